"""Notifiers: who tells people, or their programs, what happened."""
