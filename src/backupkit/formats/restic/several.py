"""One run into several repositories: each is locked, written and finished, or fails, by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import replace

from backupkit.errors import BackupKitError, OperationCancelledError, SourceError
from backupkit.formats.backup_ids import backup_id
from backupkit.formats.restic.opened import OpenedRepository
from backupkit.formats.restic.saving import NobodyLeft, Run, Sink, SnapshotWriter
from backupkit.formats.restic.snapshots import free_time
from backupkit.formats.restic.writing import RepositoryWriter
from backupkit.model import Entry, Part, Problem, Written
from backupkit.protocols import Compressor
from backupkit.retrying import Retry


def write_snapshots(
    opened: Mapping[int, Callable[[], OpenedRepository]],
    entries: Iterable[Entry | Problem | Part],
    run: Run,
    *,
    compressor: Compressor,
    executor: Executor | None,
    retry: Retry,
) -> tuple[Mapping[int, Written], Mapping[int, BackupKitError]]:
    """What was written where, and what failed where. Only when all fail are their errors raised.

    An exception of the entries themselves passes through; no snapshot is left then. SourceError if there was
    nothing to store.
    """
    failures: dict[int, BackupKitError] = {}
    sinks: dict[int, Sink] = {}
    with ExitStack() as stack:
        for number, open_one in opened.items():
            try:
                sinks[number] = _sink(open_one(), run, compressor, executor)
            except OperationCancelledError:
                raise
            except BackupKitError as error:
                failures[number] = error
                continue
            stack.callback(sinks[number].writer.close)
        raise_if_all_failed(opened, failures)
        # All must agree on the time, by which a backup is known everywhere.
        time = free_time(
            run.name, run.time, run.contents, [snapshot for sink in sinks.values() for snapshot in sink.known]
        )
        for sink in sinks.values():
            sink.run = replace(run, time=time)
        writer = SnapshotWriter(sinks, retry)
        written: dict[int, Written] = {}

        def finish(number: int, sink: Sink) -> None:
            problems = (*writer.problems, *sink.problems)
            snapshot = sink.finish(paths=writer.paths, complete=writer.complete)
            backup = snapshot.backup(backup_id(snapshot.time, snapshot.contents), sink.repository.location)
            written[number] = Written(backup=snapshot.detailed(backup), problems=problems)

        try:
            writer.write(entries)
            if not writer.entries:
                reasons = " ".join(one.message for one in writer.problems[:5]) or "there were no entries."
                raise SourceError(f"Nothing could be backed up: {reasons}", path=run.name)
            writer.each_numbered(finish)
        except NobodyLeft:
            raise_if_all_failed(opened, {**failures, **writer.failures})
        except BaseException:
            for sink in writer.sinks.values():
                sink.writer.salvage()
            raise
        return written, {**failures, **writer.failures}


def raise_if_all_failed(opened: Mapping[int, object], failures: Mapping[int, BackupKitError]) -> None:
    """Raise the error, or all of them, if there is one for each."""
    if len(failures) == len(opened):
        errors = [error for _, error in sorted(failures.items())]
        raise errors[0] if len(errors) == 1 else ExceptionGroup("every destination failed", errors)


def _sink(repository: OpenedRepository, run: Run, compressor: Compressor, executor: Executor | None) -> Sink:
    # Snapshots first: only of those that were there before is everything in the indexes.
    known = [*repository.snapshots(damaged={})]  # which must not keep new ones from being made
    repository.load_index()
    return Sink(RepositoryWriter(repository, compressor, executor), run, known)
