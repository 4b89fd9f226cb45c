"""Where objects are stored."""
