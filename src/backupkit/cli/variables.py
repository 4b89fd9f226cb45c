"""The names of the environment's variables that stand in for options."""

from __future__ import annotations

APP = "BACKUPKIT_APP"
CONFIG = "BACKUPKIT_CONFIG"
PASSPHRASE = "BACKUP_ARCHIVE_PASSWORD"  # noqa: S105 – the name of a variable
