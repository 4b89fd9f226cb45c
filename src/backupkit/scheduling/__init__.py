"""When an application's backups are made, watched and cleaned, and how that is done whoever starts it."""

from __future__ import annotations

from backupkit.scheduling.jobs import Job, Verb
from backupkit.scheduling.loop import Scheduler
from backupkit.scheduling.missed import missed
from backupkit.scheduling.performing import perform
from backupkit.scheduling.schedule import Schedule, Scheduled

__all__ = ["Job", "Schedule", "Scheduled", "Scheduler", "Verb", "missed", "perform"]
