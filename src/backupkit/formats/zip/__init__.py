"""ZIP archives: records (bytes), aes, writer, reader, manifest, naming, repository and format."""
