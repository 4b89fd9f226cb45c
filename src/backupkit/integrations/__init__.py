"""What lets other programs start a pipeline: one module for each of them, imported only by who uses it."""
