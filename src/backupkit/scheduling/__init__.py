"""When an application's backups are made, watched and cleaned, and how that is done whoever starts it."""

from __future__ import annotations

from backupkit.scheduling.jobs import Job, Verb, perform
from backupkit.scheduling.schedule import Schedule, Scheduled

__all__ = ["Job", "Schedule", "Scheduled", "Verb", "perform"]
