"""Which backups stay. A policy decides from the backups and the time alone, and never deletes.

Every policy here plans full, databases-only and files-only backups as series of their own, so that frequent
backups of the databases never push out the daily full one.
"""

from __future__ import annotations

from backupkit.retention.combining import all_of, any_of, limits_size
from backupkit.retention.counted import CountedRetention
from backupkit.retention.guarding import checked, guard, minimum_of, must_stay
from backupkit.retention.keeping import KeepAll, KeepLast, KeepWithin
from backupkit.retention.tiered import TieredRetention

__all__ = [
    "CountedRetention",
    "KeepAll",
    "KeepLast",
    "KeepWithin",
    "TieredRetention",
    "all_of",
    "any_of",
    "checked",
    "guard",
    "limits_size",
    "minimum_of",
    "must_stay",
]
