"""What is known of fsspec and of the file systems it reaches: below sources, which read them, and destinations."""
