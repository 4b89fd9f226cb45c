"""Where what one process leaves for the next is kept on this machine."""

from __future__ import annotations

import os

from backupkit.errors import ConfigurationError

_FOR_ROOT = "/var/lib/backupkit"


def state_folder() -> str:
    """/var/lib/backupkit for root, and for others `backupkit` in XDG_STATE_HOME, or else in ~/.local/state."""
    if os.geteuid() == 0:
        return _FOR_ROOT
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    if not os.path.isabs(state):  # nobody's home is known, as in containers that run as any user
        raise ConfigurationError(
            "There is no home folder to remember anything in: set XDG_STATE_HOME, or name a place, as in "
            "memory=FileMemory(folder) or DatabaseHistory(url)."
        )
    return os.path.join(state, "backupkit")
