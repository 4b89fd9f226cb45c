"""What is known of a pipeline when it is said how its backups stand, and what a sentence about it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Literal, TypeAlias

from backupkit.integrations.asgi.standing.dues import Due
from backupkit.integrations.asgi.standing.looks import Look
from backupkit.integrations.asgi.standing.past import Past
from backupkit.integrations.asgi.standing.telling import is_usable
from backupkit.integrations.asgi.words import moment, on_day
from backupkit.model import Backup, Contents, Report

Tone: TypeAlias = Literal["bad", "warn", "good", "calm"]
"""From what is wrong to what is merely so."""


@dataclass(frozen=True, slots=True)
class Sentence:
    tone: Tone
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a pipeline of this name, whose full backups hold these contents.

    `past` is None as long as the history has not answered, and `past_error` is why it does not.
    """

    name: str
    contents: frozenset[Contents]
    looks: Sequence[Look]
    past: Past | None
    dues: Sequence[Due]
    now: datetime
    zone: tzinfo
    past_error: str | None = None

    def when(self, time: datetime) -> str:
        return moment(time, now=self.now, zone=self.zone)

    def on_day(self, time: datetime) -> str:
        return on_day(time, now=self.now, zone=self.zone)


class Known:
    """The backups that tell, newest first: all that are known, and those that are `there`, by what answers.

    `usable` is, of each contents, the newest that can be restored, or None.
    """

    def __init__(self, facts: Facts) -> None:
        self.all = _newest_first(facts.looks)
        self.there = _newest_first(look for look in facts.looks if look.answers)
        held = facts.contents or frozenset().union(*(one.contents for one in self.all))
        self.contents: Sequence[Contents] = sorted(held, reverse=True)  # files first, as everywhere
        self.usable = {one: newest_usable(self.there, [one]) for one in self.contents}

    @property
    def recoverable(self) -> datetime | None:
        """Up to when everything can be restored."""
        times = [one.time for one in self.usable.values() if one is not None]
        return min(times) if times and len(times) == len(self.usable) else None


def newest_usable(backups: Iterable[Backup], contents: Iterable[Contents]) -> Backup | None:
    """The newest that is good, and holds these contents, and in which no drill has found something wrong."""
    wanted = frozenset(contents)
    return next((one for one in backups if wanted and one.contents >= wanted and is_usable(one)), None)


def meant_by(run: Report) -> frozenset[Contents]:
    """What the run was to back up; where the report does not tell, as older ones do not, what its backups hold."""
    held = (one.backup.contents for one in run.destinations if one.backup is not None)
    return run.contents or frozenset().union(*held)


def reason(report: Report) -> str:
    """The end of a sentence that says that something failed."""
    errors = [one.message for one in report.problems if one.severity == "error"]
    return f": {ended(errors[0])}" if errors else "."


def ended(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _newest_first(looks: Iterable[Look]) -> Sequence[Backup]:
    found = (one for look in looks for one in look.telling)
    return sorted(found, key=lambda one: one.time, reverse=True)
