"""The verb `doctor`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields

import typer
from rich.console import Console
from rich.markup import escape

from backupkit.cli.choosing import Choice
from backupkit.cli.options import At, Json, Url, grouped
from backupkit.cli.output import Output
from backupkit.cli.stopping import cancelled_by_signals
from backupkit.cli.texts import columns, duration
from backupkit.destinations.opening import URLLike, chosen_of
from backupkit.errors import ConfigurationError
from backupkit.examining import examine
from backupkit.examining_pipelines import examine_pipeline
from backupkit.model import Examination, Finding, Rights, SourceExamination
from backupkit.pipeline import BackupPipeline
from backupkit.printable import printable
from backupkit.protocols import Destination


@grouped
def doctor(url: Url = None, *, at: At = None, choice: Choice, json: Json = False) -> None:
    """Try whether a destination keeps what backups need; of a pipeline, whether its sources can be read too.

    A destination takes a minute; there it writes below backupkit/doctor-…/ only, which is deleted again. At sources
    nothing is changed: their places, programs, servers and rights are looked at. Exit code 1 if something does not
    hold.

    \b
    Examples:
      backupkit doctor /mnt/backup
      backupkit doctor s3://bucket/shop
    The sources and each destination of a pipeline, with its options; or one destination:
      backupkit doctor --app shop.backups:pipeline
      backupkit doctor --app shop.backups:pipeline --at s3://bucket/shop
    """
    output = Output(json=json)
    with output.ending():
        pipeline, places = _places(url, choice, at)
        with cancelled_by_signals() as cancel, _watching(watched=not json) as tell:
            # Sources first: what is wrong with them is told in seconds.
            own = None if pipeline is None else examine_pipeline(pipeline, cancel=cancel, tell=tell)
            examinations = tuple(examine(place, cancel=cancel, tell=tell) for place in places)
        found = _Found(
            holds=all(one.holds for one in examinations) and (own is None or own.holds),
            sources=own.sources if own else (),
            passphrase=own.passphrase if own else (),
            destinations=examinations,
        )
        output.told(found, _lines(found), wrong=not found.holds)
        raise typer.Exit(0 if found.holds else 1)


@contextmanager
def _watching(*, watched: bool) -> Iterator[Callable[[str], object]]:
    """What hears of each step; a person at a terminal sees which is being taken."""
    if not watched or not sys.stderr.isatty():
        yield lambda step: None
        return
    with Console(stderr=True).status("") as status:
        yield lambda step: status.update(f"trying: {escape(step)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What is told of all of them."""

    holds: bool
    sources: tuple[SourceExamination, ...]
    passphrase: tuple[Finding, ...]
    destinations: tuple[Examination, ...]


def _places(
    url: str | None, choice: Choice, at: str | None
) -> tuple[BackupPipeline | None, Sequence[Destination | URLLike]]:
    """The pipeline of which more than one place is meant, and the places."""
    if url is None:
        pipeline = choice.one(missing="Nothing says which destination: give its URL or path, or")
        return (pipeline if at is None else None), chosen_of(pipeline.destinations, at)
    if choice.said or at is not None:
        raise ConfigurationError(
            "A URL says which destination, and so do --app, --config, --pipeline, --env-file and --at: give the "
            "URL alone, or these."
        )
    return None, [url]


def _lines(found: _Found) -> Iterator[str]:
    for number, lines in enumerate(_parts(found)):
        if number:
            yield ""
        yield from lines


def _parts(found: _Found) -> Iterator[Iterator[str]]:
    for source in found.sources:
        yield _told(f"source {source.name}, examined in {duration(source.took)}", source.findings)
    if found.passphrase:
        yield _told("passphrase", found.passphrase)
    for one in found.destinations:
        heading = f"{one.location}, examined in {duration(one.took)}"
        yield _told(heading, one.findings, f"These credentials: {_rights(one.rights)}.", one.recommendation)


def _told(heading: str, findings: Sequence[Finding], *more: str) -> Iterator[str]:
    yield printable(heading)
    yield from (
        f"  {line}" for line in columns([[each.verdict, each.step, each.message] for each in findings])
    )
    for each in findings:
        if each.advice is not None:
            yield f"  {printable(each.step)}: {printable(each.advice)}"
    yield from (f"  {line}" for line in more)
    broken = sum(each.verdict == "not ok" for each in findings)
    unknown = sum(each.verdict == "not known" for each in findings)
    last = f" {unknown} could not be found out." if unknown else ""
    yield (f"  {broken} of {len(findings)} do not hold." if broken else "  Nothing is wrong.") + last


def _rights(rights: Rights) -> str:
    words = {True: "may {}", False: "may not {}", None: "{}: not known"}
    return ", ".join(words[getattr(rights, one.name)].format(one.name) for one in fields(rights))
