"""Repository formats, one room each."""
