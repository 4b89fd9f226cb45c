"""`Queue`: where the work is done that the page is asked for, and how it is followed there. Never in a request."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, Protocol, TypeAlias

from backupkit.integrations.actions import Action
from backupkit.model import DestinationResult, Problem, Report

_MOST = 20  # of anything, in a list of works

Stage: TypeAlias = Literal["waiting", "working", "ended", "lost"]
"""Of what is "lost", the process died, or nobody knows of it any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """So much was done; `expected` and `remaining` (seconds) are None while they cannot be known."""

    entries: int = 0
    read: int = 0
    expected: int | None = None
    rate: int | None = None
    remaining: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Something that was asked for: what, of which pipeline (by the name it has on the page), by whom, and when.

    `note` says what is going on now, and `problems` are some that were found so far; the report has all.
    """

    id: str
    pipeline: str
    action: Action
    who: str
    asked: datetime
    stage: Stage
    progress: Progress = Progress()
    began: datetime | None = None
    ended: datetime | None = None
    report: Report | None = None
    error: str | None = None
    folder: str | None = None
    note: str | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def is_over(self) -> bool:
        return self.stage in ("ended", "lost")

    @property
    def failed(self) -> bool:
        return (
            self.stage == "lost"
            or self.error is not None
            or (self.report is not None and self.report.outcome == "failed")
        )


def in_short(work: Work) -> Work:
    """The same without what is long: a report may name ten thousand backups, and two hundred are kept."""
    report = work.report
    if report is None:
        return work
    destinations = tuple(map(_in_short, report.destinations))
    shorter = replace(report, destinations=destinations, problems=report.problems[:_MOST])
    return replace(work, report=replace(shorter, dumps=report.dumps[:_MOST]))


def _in_short(result: DestinationResult) -> DestinationResult:
    plan = result.plan
    if plan is not None and len(plan.keep) + len(plan.remove) > _MOST:
        plan = None
    swept, repaired = result.swept[:_MOST], result.repaired[:_MOST]
    return replace(result, plan=plan, swept=swept, repaired=repaired, problems=result.problems[:_MOST])


def to_end(because: str) -> str:
    """What is going on with work that was cancelled, and is not over yet."""
    return f"It is to end, because {because}."


def id_after(preview: str) -> str:
    """The id of the work that does what this dry run has shown."""
    return hashlib.sha256(f"after {preview}".encode()).hexdigest()[:32]


class Queue(Protocol):
    """Does work one after another, or many at once, in this process or elsewhere. Safe on many threads."""

    def submit(self, pipeline: str, action: Action, who: str, *, after: str | None = None) -> str:
        """Have it done; the id to follow it by, which nobody can guess.

        `after` is the id of the dry run that has shown it: what one of these has shown is done once, however often
        it is asked for, and at once by whatever processes. The id is `id_after` it.
        """
        ...

    def get(self, id: str) -> Work | None:
        """How it stands; None for what nobody knows."""
        ...

    def recent(self) -> Sequence[Work]:
        """What is under way, and what has ended lately, the newest first; of reports `in_short` only."""
        ...

    def ends(self, pipeline: str) -> object:
        """Something that is another thing whenever more of this pipeline's work has ended, in whatever process."""
        ...

    def cancel(self, id: str, who: str | None = None) -> None:
        """End it at the next chunk, as this person wishes; what is over, or unknown, stays as it is."""
        ...

    def close(self) -> None:
        """Cancel what this process does, and wait until it has ended."""
        ...
