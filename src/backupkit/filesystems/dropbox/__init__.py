"""Dropbox, over its official SDK: a file system for fsspec, and the store that backupkit writes to."""
