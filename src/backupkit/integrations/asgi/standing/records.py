"""What was recorded of the pipelines of a page: several may share a database, or each have its own."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from backupkit.errors import BackupKitError, told
from backupkit.history import DatabaseHistory
from backupkit.notifiers.database import DatabaseNotifier
from backupkit.pipeline import BackupPipeline

_Database = TypeVar("_Database", DatabaseHistory, DatabaseNotifier)
_Row = TypeVar("_Row")

MOST = 10_000
"""So many rows a list goes back; what is older is found by its filters."""


@dataclass(frozen=True, slots=True)
class Ledger(Generic[_Database]):
    """A database, and the page's name of each pipeline that records there, by its own name.

    Those of other applications, which may use the same database, are none of this page's. `number` tells the
    databases of a page apart.
    """

    number: int
    database: _Database
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Found(Generic[_Row]):
    """A part of a list, how long the list is, and what kept a database from telling its rows."""

    rows: Sequence[_Row]
    count: int
    errors: Sequence[str]


def histories(
    pipelines: Mapping[str, BackupPipeline], only: str | None = None
) -> Sequence[Ledger[DatabaseHistory]]:
    """Each database that keeps reports of these pipelines, or of the one that is called so."""
    found = (
        (pipeline.history, str(pipeline.name), name)
        for name, pipeline in pipelines.items()
        if isinstance(pipeline.history, DatabaseHistory)
    )
    return _ledgers(found, only)


def notifications(
    pipelines: Mapping[str, BackupPipeline], only: str | None = None
) -> Sequence[Ledger[DatabaseNotifier]]:
    """Each database that keeps notifications of these pipelines, or of the one that is called so."""
    found = (
        (notifier, str(pipeline.name), name)
        for name, pipeline in pipelines.items()
        for notifier in pipeline.notifiers
        if isinstance(notifier, DatabaseNotifier)
    )
    return _ledgers(found, only)


def part_of(
    ledgers: Sequence[Ledger[_Database]],
    *,
    rows: Callable[[Ledger[_Database], int, int], Sequence[_Row]],
    count: Callable[[Ledger[_Database]], int],
    order: Callable[[_Row], Any],
    limit: int,
    skip: int,
) -> Found[_Row]:
    """A part of the rows of all databases in one list, what `order` says is greatest first.

    `rows` is given how many are wanted at most, and how many of the first to skip.
    """
    total = 0
    errors: list[str] = []
    lists: list[Sequence[_Row]] = []
    before = 0 if len(ledgers) > 1 else skip  # which are whose cannot be told without them
    limit = max(0, min(limit, MOST - skip))
    for ledger in ledgers:
        try:
            total += count(ledger)
            lists.append(rows(ledger, limit + skip - before, before))
        except BackupKitError as error:  # the others tell theirs all the same
            errors.append(told(error))
    merged = [*heapq.merge(*lists, key=order, reverse=True)][skip - before :]
    return Found(merged[:limit], min(total, MOST), errors)


def _ledgers(found: Iterable[tuple[_Database, str, str]], only: str | None) -> Sequence[Ledger[_Database]]:
    known: dict[str, tuple[_Database, dict[str, str]]] = {}
    for database, own, name in found:
        known.setdefault(repr(database), (database, {}))[1][own] = name
    each = [Ledger(number, *one) for number, one in enumerate(known.values())]
    if only is None:
        return each
    of_one = (
        replace(one, names={own: name for own, name in one.names.items() if name == only}) for one in each
    )
    return [one for one in of_one if one.names]
