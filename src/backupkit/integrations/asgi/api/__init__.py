"""The page for programs: the same in JSON, with the same abilities."""
