"""Where the work is done that the page is asked for: on threads, seen by all processes of a machine."""
