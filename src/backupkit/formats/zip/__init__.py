"""ZIP archives: records (bytes), headers, aes, writer, reader, manifest, naming, repository and format.

`foreign` and `foreign_*` read archives that others wrote.
"""
