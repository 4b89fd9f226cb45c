"""The verb `doctor`."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import typer
from rich.console import Console

from backupkit.cli.choosing import Choice
from backupkit.cli.options import At, Json, Url, grouped
from backupkit.cli.output import Output
from backupkit.cli.stopping import cancelled_by_signals
from backupkit.cli.texts import columns, duration
from backupkit.destinations.opening import URLLike, chosen_of
from backupkit.errors import ConfigurationError
from backupkit.examining import examine
from backupkit.model import Examination, Rights
from backupkit.printable import printable
from backupkit.protocols import Destination


@grouped
def doctor(url: Url = None, *, at: At = None, choice: Choice, json: Json = False) -> None:
    """Try whether a destination keeps what backups need, and what these credentials allow.

    Takes a minute, and writes below backupkit/doctor-…/ only, which is deleted again. Exit code 1 if something
    does not hold.

    \b
    Examples:
      backupkit doctor /mnt/backup
      backupkit doctor s3://bucket/shop
    Each destination of a pipeline, with its options; or one of them:
      backupkit doctor --app shop.backups:pipeline
      backupkit doctor --app shop.backups:pipeline --at s3://bucket/shop
    """
    output = Output(json=json)
    with output.ending():
        places = _places(url, choice, at)
        with cancelled_by_signals() as cancel:
            examinations = tuple(_examined(place, cancel, watched=not json) for place in places)
        found = _Found(holds=all(one.holds for one in examinations), destinations=examinations)
        output.told(found, _lines(examinations), wrong=not found.holds)
        raise typer.Exit(0 if found.holds else 1)


def _examined(place: Destination | URLLike, cancel: threading.Event, *, watched: bool) -> Examination:
    """Examine it; a person at a terminal sees which step is being taken."""
    if not watched or not sys.stderr.isatty():
        return examine(place, cancel=cancel)
    with Console(stderr=True).status("") as status:
        return examine(place, cancel=cancel, tell=lambda step: status.update(f"trying: {step}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What is told of all of them."""

    holds: bool
    destinations: tuple[Examination, ...]


def _places(url: str | None, choice: Choice, at: str | None) -> Sequence[Destination | URLLike]:
    if url is None:
        pipeline = choice.one(missing="Nothing says which destination: give its URL or path, or")
        return chosen_of(pipeline.destinations, at)
    if choice.said or at is not None:
        raise ConfigurationError(
            "A URL says which destination, and so do --app, --config, --pipeline, --env-file and --at: give the "
            "URL alone, or these."
        )
    return [url]


def _lines(examinations: Sequence[Examination]) -> Iterator[str]:
    for number, one in enumerate(examinations):
        if number:
            yield ""
        yield printable(f"{one.location}, examined in {duration(one.took)}")
        yield from (
            f"  {line}"
            for line in columns([[each.verdict, each.step, each.message] for each in one.findings])
        )
        for each in one.findings:
            if each.advice is not None:
                yield f"  {each.step}: {printable(each.advice)}"
        yield f"  These credentials: {_rights(one.rights)}."
        yield f"  {one.recommendation}"
        broken = sum(each.verdict == "not ok" for each in one.findings)
        unknown = sum(each.verdict == "not known" for each in one.findings)
        more = f" {unknown} could not be found out." if unknown else ""
        yield (f"  {broken} of {len(one.findings)} do not hold." if broken else "  Nothing is wrong.") + more


def _rights(rights: Rights) -> str:
    words = {True: "may {}", False: "may not {}", None: "{}: not known"}
    return ", ".join(words[getattr(rights, one.name)].format(one.name) for one in fields(rights))
