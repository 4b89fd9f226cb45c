"""How the backups of a pipeline stand, in sentences, of which those come first that say what is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import get_args

from backupkit.integrations.asgi.standing import recovering, troubles
from backupkit.integrations.asgi.standing.facts import Facts, Known, Sentence, Tone
from backupkit.integrations.asgi.words import moment

_ORDER: tuple[Tone, ...] = get_args(Tone)
_NAMES_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """`sentences` are never none. `recoverable` is up to when everything can be restored, or None."""

    sentences: tuple[Sentence, ...]
    recoverable: datetime | None

    @property
    def tone(self) -> Tone:
        return self.sentences[0].tone


def standing(facts: Facts) -> Standing:
    """What there is to say of a pipeline."""
    known = Known(facts)
    return Standing(sentences=_in_order(_all(facts, known)), recoverable=known.recoverable)


def together(standings: Mapping[str, Standing], *, now: datetime, zone: tzinfo) -> tuple[Sentence, ...]:
    """What there is to say of several pipelines at once."""
    said: dict[Tone, list[str]] = {tone: [] for tone in _ORDER}
    for name, one in standings.items():
        said[one.tone].append(name)
    count, sentences = len(standings), []
    if said["bad"]:
        text = f"Something is wrong with {len(said['bad'])} of {count} pipelines: {_listed(said['bad'])}."
        sentences.append(Sentence("bad", text))
    if said["warn"]:
        sentences.append(Sentence("warn", f"Worth a look: {_listed(said['warn'])}."))
    times = [one.recoverable for one in standings.values() if one.recoverable is not None]
    if times and len(times) == count:
        oldest = moment(min(times), now=now, zone=zone)
        sentences.append(Sentence("good", f"All {count} pipelines are recoverable, to {oldest} or later."))
    elif times:
        are = "is" if len(times) == 1 else "are"
        sentences.append(Sentence("calm", f"{len(times)} of {count} pipelines {are} recoverable."))
    if said["calm"]:
        sentences.append(Sentence("calm", f"Being asked: {_listed(said['calm'])}."))
    return _in_order(sentences)


def rank(one: Standing) -> int:
    """What comes first in a list: the less, the worse."""
    return _ORDER.index(one.tone)


def _all(facts: Facts, known: Known) -> Iterator[Sentence]:
    yield from troubles.silent(facts)
    yield from recovering.lacking(facts, known)
    yield from troubles.failed(facts, known)
    yield from troubles.unfinished(facts, known)
    yield from troubles.late(facts, known)
    yield from troubles.faults(facts, known)
    yield from troubles.unhealthy(facts, known)
    yield from troubles.behind(facts, known)
    yield from recovering.recoverable(facts, known)
    yield from recovering.proven(facts, known)
    yield from recovering.lasting(facts, known)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMES_SHOWN])
    return shown if len(names) <= _NAMES_SHOWN else f"{shown} and {len(names) - _NAMES_SHOWN} more"


def _in_order(sentences: Iterable[Sentence]) -> tuple[Sentence, ...]:
    """Each once, and what is wrong first."""
    return tuple(sorted(dict.fromkeys(sentences), key=lambda one: _ORDER.index(one.tone)))
