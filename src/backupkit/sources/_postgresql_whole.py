"""Dumps of PostgreSQL pass through here, and do not end well unless they are whole."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from backupkit._chunks import closing_iterator
from backupkit._parallel import also_read
from backupkit.databases.postgresql import PostgreSQLClient
from backupkit.databases.postgresql_scripts import HEAD, counted, is_whole
from backupkit.databases.programs import (
    Access,
    ClientError,
    Limits,
    check_extra_options,
    environment,
    output_of,
    with_tail,
)
from backupkit.errors import ConfigurationError

_AHEAD = 4  # chunks of a mebibyte, at most, that the archive's reader may be behind
# What is ours to say: the form that is read here, where it goes to, and which database is meant.
_OURS = ("format", "file", "dbname", "compress", "jobs", "create", "host", "port", "username", "password")
_OURS_SHORT = "FfdZjChpUW"
_SHORT_WITH_VALUES = "eEnNStTl"  # what follows these in the same text is no option
_INSERTS = ("inserts", "column-inserts", "attribute-inserts", "rows-per-insert")


def check_options(options: Sequence[str]) -> tuple[str, ...]:
    """Options for pg_dump or pg_dumpall beyond those that we know; ConfigurationError for those that we give."""
    checked = check_extra_options(options)
    for option in checked:
        if _means(option, _OURS) or any(letter in _OURS_SHORT for letter in _letters(option)):
            raise ConfigurationError(
                f"extra_options has {option!r}, which is set by the source's own parameters and by the URL, or "
                "can be read as short for what is: write others in full."
            )
    return checked


def asks_for_inserts(options: Sequence[str]) -> bool:
    return any(_means(option, _INSERTS) for option in options)


def _means(option: str, names: Sequence[str]) -> bool:
    """Whether it is one of these long options, which may be cut short wherever that leaves one meaning."""
    given = option[2:].partition("=")[0]
    return option.startswith("--") and any(name.startswith(given) for name in names)


def _letters(option: str) -> Iterator[str]:
    """The short options of a text such as `-vx`."""
    for letter in option[1:] if option.startswith("-") and not option.startswith("--") else "":
        yield letter
        if letter in _SHORT_WITH_VALUES:
            return


def whole_script(script: Iterable[bytes], program: str) -> Iterator[bytes]:
    """The same bytes; ClientError at their end if the line is missing that pg_dump and pg_dumpall write last."""
    head, tail = bytearray(), bytearray()
    for chunk in with_tail(script, tail):
        if len(head) < HEAD:
            head += chunk[: HEAD - len(head)]
        yield chunk
    if not is_whole(bytes(head), bytes(tail)):
        raise ClientError(
            f"{os.path.basename(program)} succeeded, but its end-of-dump line is missing: what it wrote is not "
            "whole.",
            retryable=True,
        )


def whole_archive(
    archive: Iterable[bytes], client: PostgreSQLClient, limits: Limits, counts: dict[str, int] | None
) -> Iterator[bytes]:
    """The same bytes; ClientError no later than at their end unless pg_restore, beside, can make a script of them.

    That proves the form, the table of contents, and that the data of each table is there to its end. `counts`
    is given the numbers of rows in that script.
    """
    program = client.program("pg_restore")
    argv = [program, "--file=/dev/null" if counts is None else "--file=-"]

    def read(chunks: Iterator[bytes]) -> None:
        script = output_of(
            argv,
            Access(env=environment()),
            explain=client.explain,
            limits=Limits(silence=limits.silence),
            feed=chunks,
        )
        try:
            with closing_iterator(script if counts is None else counted(script, counts)) as rest:
                for _ in rest:
                    pass
        except ClientError as error:
            raise ClientError(
                f"pg_dump succeeded, or has not failed yet, but what it wrote is not whole. {error}",
                retryable=True,
            ) from error

    yield from also_read(archive, read, _AHEAD)
