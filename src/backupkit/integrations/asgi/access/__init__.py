"""Who comes in, what they may do, and what of it is noted."""
