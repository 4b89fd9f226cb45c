"""The few backups at a destination that sentences are about: some ten of ten thousand, found once for each look."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from backupkit.model import CLOCK_TOLERANCE, Backup, Contents

_WANTED: tuple[frozenset[Contents], ...] = (
    frozenset(),
    frozenset({"files"}),
    frozenset({"databases"}),
    frozenset({"files", "databases"}),
)


def telling(backups: Iterable[Backup], name: str, now: datetime) -> Sequence[Backup]:
    """Those of the pipeline of this name that tell how it stands, newest first.

    They are, of all that hold files, databases or both: the newest, the newest good one, the newest that can be
    restored, that was verified, and that had a drill, and the one that was proven last; and the oldest of all.
    Those that a wrong clock has dated in the future are left out.
    """
    own = [
        one
        for one in backups
        if one.name == name and one.made_by != "other" and one.time - now <= CLOCK_TOLERANCE
    ]
    own.sort(key=lambda one: one.time, reverse=True)
    found = own[-1:]
    first_that: tuple[Callable[[Backup], object], ...] = (
        lambda one: True,
        lambda one: one.good,
        is_usable,
        was_verified,
        had_a_drill,
    )
    for wanted in _WANTED:
        holding = [one for one in own if one.contents >= wanted]
        found += [one for is_it in first_that if (one := next(filter(is_it, holding), None)) is not None]
        found += sorted((one for one in holding if one.proven), key=lambda one: one.proven or now)[-1:]
    chosen = {*map(id, found)}  # to compare them would be to look at all that is known of each
    return [one for one in own if id(one) in chosen]


def is_usable(backup: Backup) -> bool:
    """Whether it is good, and no drill has found something wrong in it."""
    return backup.good and not backup.refuted


def was_verified(backup: Backup) -> bool:
    return backup.verified is not None or backup.damaged


def had_a_drill(backup: Backup) -> bool:
    return backup.proven is not None or backup.refuted
