"""Rules about the backups at one destination. Each looks at all it needs and reports all it finds.

They look at nothing but the state that they are given, so that a run, a cleaning or a scheduler that no longer
happens is noticed by what it leaves undone.
"""

from __future__ import annotations

from backupkit.health.ages import FutureDated, MaximumAge
from backupkit.health.amounts import MaximumStorage, MinimumCount, MinimumSize
from backupkit.health.anomalies import SizeAnomaly
from backupkit.health.leftovers import Leftovers
from backupkit.health.proofs import ProvenWithin, VerifiedWithin

__all__ = [
    "FutureDated",
    "Leftovers",
    "MaximumAge",
    "MaximumStorage",
    "MinimumCount",
    "MinimumSize",
    "ProvenWithin",
    "SizeAnomaly",
    "VerifiedWithin",
]
