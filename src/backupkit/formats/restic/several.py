"""One run into several repositories: each is opened, written and finished, or fails, by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, Future
from contextlib import ExitStack
from dataclasses import replace
from typing import TypeAlias, TypeVar

from backupkit.errors import (
    BackupKitError,
    OperationCancelledError,
    RepositoryNotFoundError,
    SourceError,
)
from backupkit.formats.backup_ids import backup_id
from backupkit.formats.restic.objects import Objects
from backupkit.formats.restic.opened import OpenedRepository, create, open_existing
from backupkit.formats.restic.polynomial import random_polynomial
from backupkit.formats.restic.saving import NobodyLeft, Run, Sink, SnapshotWriter
from backupkit.formats.restic.snapshots import free_time
from backupkit.formats.restic.writing import RepositoryWriter
from backupkit.model import Entry, Part, Problem, Written
from backupkit.passphrase import Passphrase
from backupkit.protocols import Compressor
from backupkit.retrying import Retry

T = TypeVar("T")
U = TypeVar("U")

Opener: TypeAlias = Callable[[int | None], OpenedRepository]
"""Opens the repository of a destination; or, given a chunker parameter, makes one there."""


def opener(objects: Objects, passphrase: Passphrase) -> Opener:
    """That of these objects."""

    def open(polynomial: int | None) -> OpenedRepository:
        if polynomial is None:
            return open_existing(objects, passphrase)
        return create(objects, passphrase, polynomial=polynomial)

    return open


def write_snapshots(
    openers: Mapping[int, Opener],
    entries: Iterable[Entry | Problem | Part],
    run: Run,
    *,
    creates: bool,
    compressor: Compressor,
    executor: Executor | None,
    retry: Retry,
    failed: Callable[[int, BackupKitError], None],
) -> Mapping[int, Written]:
    """What was written where; what failed where is told to `failed`. Only when all fail are their errors raised.

    An exception of the entries themselves passes through; no snapshot is left then. SourceError if there was
    nothing to store.
    """
    failures = _Failures(failed)
    with ExitStack() as stack:
        repositories, made = _opened(openers, creates, executor, failures)
        failures.raise_if_all(openers)
        # Snapshots first: only of those that were there before is everything in the indexes.
        known = _each(executor, repositories, lambda _, one: [*one.snapshots()], failures)
        _each(executor, repositories, lambda _, one: one.load_index(), failures)
        failures.raise_if_all(openers)
        # All must agree on the time, by which a backup is known everywhere.
        time = free_time(
            run.name,
            run.time,
            run.contents,
            (one for snapshots in known.values() for one in snapshots),
        )
        run = replace(run, time=time)
        sinks: dict[int, Sink] = {}
        for number, snapshots in known.items():
            if number in failures.errors:
                continue
            writer = RepositoryWriter(repositories[number], compressor, executor)
            stack.callback(writer.close)
            sinks[number] = Sink(writer, run, snapshots)
            if number in made:
                sinks[number].problems.append(_news(repositories[number]))
        return _written(sinks, entries, run, retry, failures, openers)


def _written(
    sinks: Mapping[int, Sink],
    entries: Iterable[Entry | Problem | Part],
    run: Run,
    retry: Retry,
    failures: _Failures,
    openers: Mapping[int, Opener],
) -> Mapping[int, Written]:
    writer = SnapshotWriter(sinks, retry)
    written: dict[int, Written] = {}

    def finish(number: int, sink: Sink) -> None:
        problems = (*writer.problems, *sink.problems)
        snapshot = sink.finish(paths=writer.paths, complete=writer.complete)
        backup = snapshot.backup(backup_id(snapshot.time, snapshot.contents), sink.repository.location)
        written[number] = Written(backup=snapshot.detailed(backup), problems=problems, read=writer.read)

    try:
        writer.write(entries)
        if not writer.entries:
            reasons = " ".join(one.message for one in writer.problems[:5]) or "there were no entries."
            raise SourceError(f"Nothing could be backed up: {reasons}", path=run.name)
        writer.each_numbered(finish)
    except NobodyLeft:
        pass
    except BaseException:
        for sink in writer.sinks.values():
            sink.writer.salvage()
        raise
    finally:
        for number, error in writer.failures.items():
            failures.add(number, error)
    failures.raise_if_all(openers)
    return written


class _Failures:
    """What failed where, told as soon as it is known."""

    def __init__(self, tell: Callable[[int, BackupKitError], None]) -> None:
        self.errors: dict[int, BackupKitError] = {}
        self._tell = tell

    def add(self, number: int, error: BackupKitError) -> None:
        self.errors[number] = error
        self._tell(number, error)

    def raise_if_all(self, of: Mapping[int, object]) -> None:
        """Raise the error, or all of them, if there is one for each."""
        if len(self.errors) == len(of):
            errors = [error for _, error in sorted(self.errors.items())]
            raise errors[0] if len(errors) == 1 else ExceptionGroup("every destination failed", errors)


def _opened(
    openers: Mapping[int, Opener], creates: bool, executor: Executor | None, failures: _Failures
) -> tuple[dict[int, OpenedRepository], set[int]]:
    """The repositories, and the numbers of those that were made: with one chunker parameter for all.

    What is cut in the same places is cut once, and can be copied from one to the other.
    """

    def existing(_: int, opener: Opener) -> OpenedRepository | None:
        try:
            return opener(None)
        except RepositoryNotFoundError:
            if not creates:
                raise
            return None

    found = _each(executor, openers, existing, failures)
    missing = {number: openers[number] for number, one in found.items() if one is None}
    repositories = {number: one for number, one in found.items() if one is not None}
    polynomials = [one.config.polynomial for one in repositories.values()]
    if missing:
        polynomial = polynomials[0] if polynomials else random_polynomial()
        repositories |= _each(executor, missing, lambda _, opener: opener(polynomial), failures)
    return dict(sorted(repositories.items())), set(missing)


def _news(repository: OpenedRepository) -> Problem:
    return Problem(
        message=f"There was no repository at {repository.location}, and a new one was made. If there should have "
        "been one, the place may not be mounted, or another one is meant: nothing of before is in the new one.",
        severity="warning",
        check="repository",
        destination=repository.location,
    )


def _each(
    executor: Executor | None, items: Mapping[int, T], call: Callable[[int, T], U], failures: _Failures
) -> dict[int, U]:
    """What the call returns for each, all at the same time; those that fail, or have failed before, are left out.

    A key takes half a second to derive, and an index of a remote repository long to load.
    """
    pending: dict[int, Future[U]] = {}
    results: dict[int, U] = {}
    for number, item in items.items():
        if number in failures.errors:
            continue
        if executor is None:
            pending[number] = Future()
            try:
                pending[number].set_result(call(number, item))
            except BackupKitError as error:
                pending[number].set_exception(error)
        else:
            pending[number] = executor.submit(call, number, item)
    for number, future in pending.items():
        try:
            results[number] = future.result()
        except OperationCancelledError:
            raise
        except BackupKitError as error:
            failures.add(number, error)
    return results
