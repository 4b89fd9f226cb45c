"""What every policy works with: the backups in their order, a series for each contents, a plan in the making.

Backups are known by their place in the order here, and by their identity elsewhere in this room. To hash or compare
one is to look at all that is known of it, which takes longer than to plan it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from operator import attrgetter

from backupkit.model import Backup, Contents, Kept, Pin, Removed, RetentionPlan, named
from backupkit.sizes import format_size


class Draft:
    """A plan in the making: the backups, newest first, and of each place why it stays, or else why it goes.

    What is pinned stays from the beginning. A pin only adds: it changes no other verdict, unless by its size.
    """

    def __init__(self, backups: Iterable[Backup], *, now: datetime) -> None:
        self.now = now.astimezone(UTC)
        self.backups = newest_first(backups)
        self.times = [*map(_key(self.backups), self.backups)]
        self.good = [backup.good for backup in self.backups]
        self._stays: dict[int, tuple[str, ...]] = {}
        self._goes: dict[int, str] = {}
        for place, backup in enumerate(self.backups):
            if backup.pin is not None and backup.pin.holds(now):
                self.keep(place, pinned(backup.pin))
        self.pinned = frozenset(self._stays)

    def series(self) -> Iterable[Sequence[int]]:
        """The places of each contents, newest first."""
        return _by_contents(self.backups)

    def keep(self, place: int, reason: str) -> None:
        reasons = self._stays.get(place, ())
        if reason not in reasons:
            self._stays[place] = (*reasons, reason)

    def remove(self, place: int, reason: str) -> None:
        """Let it go, unless there is or will be a reason to keep it."""
        self._goes[place] = reason

    def keep_future(self, series: Sequence[int]) -> Sequence[int]:
        """Keep what is dated in the future, which a wrong clock made; the places of the others."""
        for index, place in enumerate(series):
            if self.times[place] <= self.now:
                return series[index:]
            self.keep(place, "dated in the future")
        return ()

    def keep_minimum(self, series: Sequence[int], minimum: int) -> Collection[int]:
        """Keep the newest `minimum` good ones of a series; their places."""
        always = _always([self.backups[place] for place in series], self.now, minimum)
        for index, reason in always.items():
            self.keep(series[index], reason)
        return [series[index] for index in always]

    def shrink(self, limit: int, spared: Collection[int]) -> None:
        """Let the oldest go, but not those spared or pinned, while all that stay occupy more than the limit."""
        reason = f"over the size limit of {format_size(limit)}"
        total = sum(self.backups[place].stored for place in self._stays)
        for place in sorted(self._stays, reverse=True):
            if total <= limit:
                break
            if place not in spared and place not in self.pinned:
                del self._stays[place]
                self._goes[place] = reason
                total -= self.backups[place].stored

    def plan(self) -> RetentionPlan:
        return RetentionPlan(
            keep=tuple(Kept(self.backups[place], self._stays[place]) for place in sorted(self._stays)),
            remove=tuple(
                Removed(backup, self._goes[place])
                for place, backup in enumerate(self.backups)
                if place not in self._stays
            ),
        )


def newest_first(backups: Iterable[Backup]) -> list[Backup]:
    """In order of time; of two at the same time the one with the greater id is the newer."""
    # Two stable sorts are faster than one by pairs, and one of them finds its work done.
    by_id = sorted(backups, key=attrgetter("id"), reverse=True)
    return sorted(by_id, key=_key(by_id), reverse=True)


def order(backup: Backup) -> tuple[datetime, str]:
    """By this, backups can be put in the same order."""
    return _time(backup), backup.id


def protected(backups: Iterable[Backup], now: datetime, minimum: int) -> Iterator[tuple[Backup, str]]:
    """Yield the backups that nothing may remove, and why: the newest good ones of each contents, and the pinned."""
    ordered = newest_first(backups)
    for places in _by_contents(ordered):
        series = [ordered[place] for place in places]
        for index, reason in _always(series, now, minimum).items():
            yield series[index], reason
    for backup in ordered:
        if backup.pin is not None and backup.pin.holds(now):
            yield backup, pinned(backup.pin)


def pinned(pin: Pin) -> str:
    until = "" if pin.until is None else f" until {pin.until.astimezone(UTC):%Y-%m-%dT%H:%MZ}"
    return f"pinned{until}: {pin.reason}"


def newest_of(backup: Backup) -> str:
    return f"newest {'good ' if backup.good else ''}backup of {named(backup.contents)}"


def _always(series: Sequence[Backup], now: datetime, minimum: int) -> dict[int, str]:
    """Of a series, newest first: its newest `minimum` good ones, others where there are not as many, and why.

    A backup dated in the future, which a wrong clock made, counts, but stands in for none up to now.
    """
    found: dict[int, str] = {}
    wanted = min(minimum, len(series))
    past = next((index for index, backup in enumerate(series) if _time(backup) <= now), len(series))
    for first in {0, past}:
        some = range(first, len(series))
        good = [*islice((index for index in some if series[index].good), wanted)]
        others = islice((index for index in some if not series[index].good), wanted - len(good))
        for rank, index in enumerate((*good, *others)):
            backup = series[index]
            if rank == 0:
                found[index] = newest_of(backup)
            elif backup.good:
                found[index] = f"one of the {minimum} newest good backups of {named(backup.contents)}"
            else:
                found[index] = f"fewer than {minimum} backups of {named(backup.contents)} are good"
    return found


def _by_contents(ordered: Iterable[Backup]) -> Iterable[list[int]]:
    series: defaultdict[frozenset[Contents], list[int]] = defaultdict(list)
    for place, backup in enumerate(ordered):
        series[backup.contents].append(place)
    return series.values()


def _key(backups: Sequence[Backup]) -> Callable[[Backup], datetime]:
    """What gives the time of each of these: where all are in UTC, as the library makes them, the fast way."""
    return attrgetter("time") if {*map(attrgetter("time.tzinfo"), backups)} == {UTC} else _time


def _time(backup: Backup) -> datetime:
    # In UTC, because Python compares two times of the same zone by the wall clock, which repeats an hour.
    return backup.time.astimezone(UTC)
