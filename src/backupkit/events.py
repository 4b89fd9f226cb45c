"""What observers hear, in order: one Started, any number of the others, one Finished."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from backupkit.model import Operation, Problem, Report


@dataclass(frozen=True, slots=True)
class Started:
    """An operation began."""

    operation: Operation
    name: str


@dataclass(frozen=True, slots=True)
class Expected:
    """It is known how many plain bytes will be read."""

    size: int


@dataclass(frozen=True, slots=True)
class EntryStarted:
    """The content of an entry is about to be read; `size` is None where that is not known, as of dumps.

    Where folders are handed over unread, one of what was read of them since the last event stands for all.
    """

    path: str
    size: int | None


@dataclass(frozen=True, slots=True)
class BytesRead:
    """So many more plain bytes have passed."""

    count: int


@dataclass(frozen=True, slots=True)
class ProblemFound:
    """A problem, as soon as it is known; it will stand in the report too."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something failed in a way worth retrying, and will be tried again after so many seconds."""

    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The operation ended; the last event."""

    report: Report


Event: TypeAlias = Started | Expected | EntryStarted | BytesRead | ProblemFound | Waiting | Finished
