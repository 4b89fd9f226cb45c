"""`backupkit` and `python -m backupkit`: the command line, if what it needs is installed."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        from backupkit.cli.app import main as command_line
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in ("typer", "rich"):
            raise
        sys.stderr.write(
            f"The command line needs {missing}, which is missing: pip install 'backupkit[cli]'\n"
        )
        sys.exit(2)
    command_line()


if __name__ == "__main__":
    main()
