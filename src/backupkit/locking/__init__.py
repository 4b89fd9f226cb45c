"""Who may run a pipeline now, on this machine or in a whole fleet; and how many runs may use one thing at once."""

from __future__ import annotations

from backupkit.locking.holding import hold
from backupkit.locking.machine import MachineLock

__all__ = ["MachineLock", "hold"]
