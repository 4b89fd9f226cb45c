"""ZIP archives: records (bytes), headers, aes, writer, reader, manifest, naming, repository and format."""
