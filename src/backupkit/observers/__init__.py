"""Observers: what hears every event of an operation, and may neither fail nor delay it."""

from __future__ import annotations

from backupkit.observers.log import LoggingObserver
from backupkit.observers.progress import ProgressObserver

__all__ = ["LoggingObserver", "ProgressObserver"]
