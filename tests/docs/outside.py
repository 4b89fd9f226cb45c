"""What of the world outside is not there when the documentation is run, and why."""

from __future__ import annotations

STAND_INS = {
    "pip": "needs a package index; held to the extras that pyproject.toml has",
    "apt-get": "changes the machine",
    "aws": "needs an account",
    "az": "needs an account",
    "gcloud": "needs an account",
    "systemctl": "there is no such service",
    "btrfs": "needs a file system of that kind",
    "chown": "needs users that are not here",
    "crontab": "changes the machine",
    "lp": "needs a printer",
}
"""Programs in whose place one stands that does nothing, and why. Everything else of their blocks is real."""

NOT_RUN: dict[tuple[str, str], str] = {
    ("CONTRIBUTING.md", "./dev test"): "it would run these tests; tests/test_dev.py runs ./dev",
    ("README.md", "./dev demo"): "it would run these tests; tests/cli/test_demo.py runs the demo",
    ("docs/how-to/back-up-to-dropbox.md", "from dropbox import"): (
        "a person has to allow it at Dropbox's site; examples/dropbox_token.py is run with a stand-in"
    ),
    ("docs/how-to/back-up-to-dropbox.md", "import os\n\nfrom dropbox import Dropbox"): (
        "Dropbox's own client takes no certificates but Dropbox's; tests/destinations/test_dropbox.py has one"
    ),
    ("docs/how-to/back-up-over-sftp.md", "useradd"): "it sets up a server, as root, outside of any sandbox",
    (
        "docs/how-to/restore-a-part.md",
        "backupkit restore /mnt/backup\n",
    ): "it leads a person through questions",
    ("docs/how-to/read-one-file-of-yesterday.md", "pip install fusepy"): (
        "not every machine may mount; tests/interop/test_mounting.py does where that is allowed"
    ),
}
"""Blocks that are not run, by page and how they begin, and why."""

INSTALLED = ("7zz", "restic", "php", "psql", "pg_restore", "createdb", "mysql", "curl")
"""Programs that a machine may lack: their blocks are passed over then, but not where CI is set."""
