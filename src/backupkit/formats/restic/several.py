"""One run into several repositories: each is opened, locked, written and finished, or fails, by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import TypeVar

from backupkit.errors import (
    BackupKitError,
    OperationCancelledError,
    RepositoryNotFoundError,
    SourceError,
)
from backupkit.formats.backup_ids import backup_id
from backupkit.formats.restic.access import Access
from backupkit.formats.restic.locks import Lease
from backupkit.formats.restic.opened import OpenedRepository
from backupkit.formats.restic.polynomial import random_polynomial
from backupkit.formats.restic.saving import Run, Sink, SnapshotWriter
from backupkit.formats.restic.snapshots import Snapshot, free_time
from backupkit.formats.restic.storing import NobodyLeft
from backupkit.formats.restic.writing import RepositoryWriter
from backupkit.model import Entry, Part, Problem, Written
from backupkit.protocols import Compressor, Destination
from backupkit.retrying import Retry

T = TypeVar("T")
U = TypeVar("U")


def write_snapshots(
    destinations: Mapping[int, Destination],
    entries: Iterable[Entry | Problem | Part],
    run: Run,
    *,
    access: Access,
    compressor: Compressor,
    executor: Executor | None,
    retry: Retry,
    failed: Callable[[int, BackupKitError], None],
    noticed: Callable[[Problem], None],
) -> Mapping[int, Written]:
    """What was written where. What failed where is told to `failed`, and of a new repository `noticed` hears at
    once. Only when all fail are their errors raised.

    An exception of the entries themselves passes through; no snapshot is left then. SourceError if there was
    nothing to store.
    """
    failures = _Failures(failed, len(destinations))
    leases: dict[int, Lease] = {}
    with ExitStack() as stack:
        repositories, made = _opened(destinations, access, retry, executor, failures)
        news = {number: news_of(repositories[number]) for number in made}
        for problem in news.values():
            noticed(problem)
        # On this thread, because only that of the program can arrange for the signals that come with a lock.
        for number, repository in repositories.items():
            with failures.noted(number):
                lock = access.locked(repository, between=lambda: retry.sleep(0))
                leases[number] = repository.lease = stack.enter_context(lock)
        failures.raise_if_all()
        # Snapshots first: only of those that were there before is everything in the indexes.
        # One that cannot be read must not keep new ones from being made.
        known = _each(executor, repositories, lambda one: [*one.snapshots(damaged={})], failures)
        _each(executor, repositories, lambda one: one.load_index(), failures)
        failures.raise_if_all()
        sinks: dict[int, Sink] = {}
        for number in known.keys() - failures.errors.keys():
            writer = RepositoryWriter(repositories[number], compressor, executor)
            stack.callback(writer.close)
            sinks[number] = Sink(writer, run, known[number])
            if number in news:
                sinks[number].problems.append(news[number])
        written = _written(dict(sorted(sinks.items())), entries, run, retry, failures)
    for number, one in written.items():
        if (error := leases[number].left_behind) is not None:
            written[number] = replace(one, problems=(*one.problems, _left_behind(error, one)))
    return written


def _written(
    sinks: Mapping[int, Sink],
    entries: Iterable[Entry | Problem | Part],
    run: Run,
    retry: Retry,
    failures: _Failures,
) -> dict[int, Written]:
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
        writer.each(Sink.flush)
        # All must agree on the time, by which a backup is known everywhere. It is looked for as late as this, as
        # another run may have been given the same one.
        known: list[Snapshot] = []
        writer.each(lambda sink: known.extend(sink.known_now()))
        time = free_time(run.name, run.time, run.contents, known)
        for sink in writer.sinks.values():
            sink.run = replace(run, time=time)
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
    failures.raise_if_all()
    return written


class _Failures:
    """What failed where, told as soon as it is known."""

    def __init__(self, tell: Callable[[int, BackupKitError], None], number: int) -> None:
        self.errors: dict[int, BackupKitError] = {}
        self._tell = tell
        self._number = number

    def add(self, number: int, error: BackupKitError) -> None:
        self.errors[number] = error
        self._tell(number, error)

    @contextmanager
    def noted(self, number: int) -> Iterator[None]:
        """Whatever fails in here is the failure of that one alone."""
        try:
            yield
        except OperationCancelledError:
            raise
        except BackupKitError as error:
            self.add(number, error)

    def raise_if_all(self) -> None:
        """Raise the error, or all of them, if there is one for each."""
        if len(self.errors) == self._number:
            errors = [error for _, error in sorted(self.errors.items())]
            raise errors[0] if len(errors) == 1 else ExceptionGroup("every destination failed", errors)


def _opened(
    destinations: Mapping[int, Destination],
    access: Access,
    retry: Retry,
    executor: Executor | None,
    failures: _Failures,
) -> tuple[dict[int, OpenedRepository], set[int]]:
    """The repositories, and the numbers of those that were made: with one chunker parameter for all.

    What is cut in the same places is cut once, and can be copied from one to the other.
    """

    def existing(destination: Destination) -> OpenedRepository | None:
        try:
            return access.opened(destination, retry)
        except RepositoryNotFoundError:
            return None

    found = _each(executor, destinations, existing, failures)
    missing = {number: destinations[number] for number, one in found.items() if one is None}
    repositories = {number: one for number, one in found.items() if one is not None}
    if missing:
        polynomials = [one.config.polynomial for one in repositories.values()]
        polynomial = polynomials[0] if polynomials else random_polynomial()
        made = _each(
            executor, missing, lambda place: access.made(place, retry, polynomial=polynomial), failures
        )
        repositories |= made
    return dict(sorted(repositories.items())), missing.keys() & repositories.keys()


def news_of(repository: OpenedRepository) -> Problem:
    """What a person should know of a repository that was made."""
    return Problem(
        message=f"There was no repository at {repository.location}, and a new one was made. If there should have "
        "been one, the place is not mounted, or another one is meant: nothing of before is in the new one.",
        severity="warning",
        check="repository",
        destination=repository.location,
    )


def _left_behind(error: Exception, written: Written) -> Problem:
    location = written.backup.location
    return Problem(
        message=f"The lock on the repository at {location} could not be removed, and counts for half an hour: "
        f"{error}",
        severity="warning",
        check="repository",
        destination=location,
    )


def _each(
    executor: Executor | None, items: Mapping[int, T], call: Callable[[T], U], failures: _Failures
) -> dict[int, U]:
    """What the call returns for each, all at the same time; those that fail, or have failed before, are left out.

    A key takes half a second to derive, and an index of a remote repository long to load.
    """
    pending: dict[int, Callable[[], U]] = {}
    for number, item in items.items():
        if number not in failures.errors:
            pending[number] = partial(call, item) if executor is None else executor.submit(call, item).result
    results: dict[int, U] = {}
    for number, result in pending.items():
        with failures.noted(number):
            results[number] = result()
    return results
