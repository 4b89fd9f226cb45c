"""The command line: parses, calls one verb of a pipeline, tells how it ended, exits with a code."""
