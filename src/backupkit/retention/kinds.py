"""Reasons in general: "newest of 2026-11-03" and "newest of 2026-11-04" are of one kind, "newest of a day"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

# Which text tells a kind, what it is called, and its rank: the longer it holds, the later. Any policy may say
# anything; what none of them fits is a kind of its own.
_ALWAYS = r"newest (?:good )?backup of |one of the \d+ newest (?:good )?backups |fewer than \d+ backups of "
_KNOWN = (
    (re.compile(r"(?:newer than|within) \d[\w ]*"), "", 1),
    (re.compile(r"newest (?:good one )?of \d{4}-\d\d-\d\d[T ]\d\d"), "newest of an hour", 2),
    (re.compile(r"newest (?:good one )?of \d{4}-\d\d-\d\d\b"), "newest of a day", 3),
    (re.compile(r"newest (?:good one )?of (?:week )?\d{4}-W\d\d\b"), "newest of a week", 4),
    (re.compile(r"newest (?:good one )?of \d{4}-\d\d\b"), "newest of a month", 5),
    (re.compile(r"newest (?:good one )?of \d{4}(?: \(|$)"), "newest of a year", 6),
    (re.compile(_ALWAYS), "newest of its contents, which always stays", 7),
    (re.compile(r"pinned\b"), "pinned", 8),
)
_PERIODS = (
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d(?:h|(?::\d\d)*Z?)"), "an hour"),
    (re.compile(r"\b\d{4}-\d\d-\d\d\b"), "a day"),
    (re.compile(r"\b(?:week )?\d{4}-W\d\d\b"), "a week"),
    (re.compile(r"\b\d{4}-\d\d\b"), "a month"),
    (re.compile(r"(?<=\bof )\d{4}(?= \(|$)"), "a year"),
)
_COUNT = re.compile(r" \((?:hour|dai|week|month|year)ly \d+ of \d+\)$")
OTHER = 0


@dataclass(frozen=True, slots=True)
class Kind:
    """What several reasons have in common. `rank` is 0 for what is not known, and tells the known ones apart."""

    label: str
    rank: int = OTHER


def kind_of(reasons: Sequence[str]) -> Kind:
    """The kind of the reason that will hold longest; of the first one, if none is known."""
    known = [kind for reason in reasons if (kind := _known(reason))]
    first = reasons[0] if reasons else "no reason given"
    return max(known, key=lambda kind: kind.rank, default=Kind(in_general(first)))


def _known(reason: str) -> Kind | None:
    for pattern, label, rank in _KNOWN:
        if pattern.match(reason):
            return Kind(label or reason, rank)
    return None


def in_general(reason: str) -> str:
    """The reason without the period that it is about, or its number: "not the newest of a day"."""
    reason = _COUNT.sub("", reason)
    for pattern, period in _PERIODS:
        reason, found = pattern.subn(period, reason)
        if found:
            return reason
    return reason
