"""A drill: a backup is restored to scratch places, questioned there, and what was found is kept beside it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType

from backupkit._operation import Running, has_errors
from backupkit._placing import DrillOptions, Dump, Placing
from backupkit._questioning import not_recorded, objection, rows_differ
from backupkit._scratch import ScratchDatabase, drop_abandoned, scratch_folder
from backupkit.databases.programs import ClientError, is_outside
from backupkit.databases.urls import DatabaseURL
from backupkit.errors import DestinationError, IntegrityError, RestoreError
from backupkit.marks import Mark, with_marks, write_mark
from backupkit.model import (
    DUMPS,
    Backup,
    Contents,
    DestinationResult,
    Entry,
    Outcome,
    Problem,
    Report,
    Restored,
    RestoredDump,
)
from backupkit.protocols import Destination, Repository, Source
from backupkit.selection import Selection
from backupkit.targets import DirectoryTarget
from backupkit.targets.dumps import ROLES, of_another_engine, roles_are_no_database, short_name
from backupkit.targets.routed import RoutedTarget, misnamed, name_of


@dataclass(slots=True)
class _Plan:
    """What the backup holds: dumps that become databases or stay files, what they are of, and which kinds."""

    dumps: dict[str, Dump] = field(default_factory=dict)
    sources: list[DatabaseURL] = field(default_factory=list)
    left_files: list[str] = field(default_factory=list)
    contents: set[Contents] = field(default_factory=set)

    def noting(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        for entry in entries:
            if entry.path != DUMPS:  # the folder alone is neither
                self.contents.add("databases" if entry.path.startswith(f"{DUMPS}/") else "files")
            yield entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """One drill of one backup. It raises if it could not be held: that proves nothing either way."""

    running: Running
    backup: Backup
    destination: Destination
    repository: Callable[[], AbstractContextManager[Repository]]
    sources: tuple[Source, ...]
    options: DrillOptions
    clock: Callable[[], datetime]
    recorded: list[tuple[Mark, datetime]] = field(default_factory=list, init=False)

    def hold(self) -> Report:
        """Restore, question, record, and remove everything again."""
        with ExitStack() as places:
            outcome = self._held(places)
        result = DestinationResult(
            location=self.backup.location,
            outcome=outcome,
            backup=with_marks(self.backup, self.recorded),
            problems=tuple(self.running.problems),
        )
        self.running.destinations.append(result)
        return self.running.finish(outcome, written=self.running.read)

    def _held(self, places: ExitStack) -> Outcome:
        running, options = self.running, self.options
        scratch = places.enter_context(scratch_folder(options.scratch, keep=options.keep, tell=running.add))
        folder = scratch / "restored"
        placing = Placing(sources=self.sources, options=options, folder=folder, clock=self.clock)
        plan = _Plan()
        dumps = plan.dumps
        damaged: list[IntegrityError] = []
        try:
            with self.repository() as repository:
                selection = Selection(only=options.only)
                self._plan(plan, placing, selection, repository)
                self._make_databases(plan, places)
                running.expect(selection.size)
                self._restore(selection.of(repository.read(self.backup)), folder, dumps, damaged)
        except IntegrityError as error:  # of the structure; that of one content is a problem of its entry
            running.add(Problem(message=str(error), path=error.where, destination=self.backup.location))
            damaged.append(error)
        finally:
            if damaged:  # however the rest ends: this was seen
                self._record("damaged")
        if damaged:
            return "failed"
        self._check_files(dumps.values())
        uncounted: list[Problem] = []
        if not has_errors(running.problems):
            if options.compare_rows:
                uncounted = self._compare_rows(dumps.values())
            self._ask(folder, dumps)
        running.check_cancelled()
        if has_errors(running.problems):
            self._record("refuted")
            return "failed"
        for problem in uncounted:
            running.add(problem)
        if not uncounted:
            self._prove(plan)
        return running.outcome

    def _plan(self, plan: _Plan, placing: Placing, selection: Selection, repository: Repository) -> None:
        """Decide where each dump goes. Raises, before anything is made, if something stands against it."""
        running, dumps = self.running, plan.dumps
        named: dict[str, list[str]] = {name: [] for name in self.options.databases}
        sources = plan.sources

        def files() -> Iterator[Entry]:
            for entry in selection.learning(plan.noting(repository.read(self.backup))):
                running.check_cancelled()
                place = placing.place_of(entry)
                if isinstance(place, Dump):
                    dumps[entry.path] = place
                elif place is not None:
                    plan.left_files.append(entry.path)
                    running.add(place)
                if (name := name_of(entry, named)) is not None:
                    named[name].append(entry.path)
                    if entry.path.endswith(ROLES):
                        running.add(roles_are_no_database(entry.path))
                source, _ = placing.source_of(entry.path)
                sources.extend([] if source is None else [source])
                if not isinstance(place, Dump) or place.scratch is None:
                    yield entry

        chosen = files()
        for problem in DirectoryTarget(placing.folder).check(chosen):
            running.add(problem)
        for _ in chosen:
            pass  # a check may stop early
        for problem in misnamed(named):
            running.add(problem)
        for dump in dumps.values():
            placing.check_apart(dump, sources)
            if (mismatch := of_another_engine(dump.path, dump.url)) is not None:
                running.add(mismatch)
        errors = [problem.message for problem in running.problems if problem.severity == "error"]
        if not selection.count:
            errors.append(f"The backup {self.backup.id} holds nothing of what was asked for.")
        if errors:
            raise RestoreError(f"The drill could not begin: {' '.join(errors[:3])}", path=self.backup.id)

    def _make_databases(self, plan: _Plan, places: ExitStack) -> None:
        """Make all scratch databases, once it is known that every server answers."""
        databases = [(dump, dump.scratch) for dump in plan.dumps.values() if dump.scratch is not None]
        for dump, database in databases:
            self.running.check_cancelled()
            database.check_apart(dump.path, plan.sources)
            database.check(dump.path)
        swept: list[DatabaseURL] = []
        for _, database in databases:
            if (
                isinstance(database, ScratchDatabase)
                and database.made_up
                and not any(map(database.url.same_server, swept))
            ):
                swept.append(database.url)
                drop_abandoned(database, self.clock(), self.running.add)
        for dump, database in databases:
            self.running.check_cancelled()
            used = partial(getattr, dump, "begun")
            places.enter_context(
                database.made(dump.path, keep=self.options.keep, tell=self.running.add, used=used)
            )

    def _restore(
        self,
        entries: Iterable[Entry],
        folder: Path,
        dumps: Mapping[str, Dump],
        damaged: list[IntegrityError],
    ) -> None:
        """Restore all, noting damage and times. RestoreError if that failed for want of a place to restore to."""
        began = self.clock()
        loaded = {path: dump for path, dump in dumps.items() if dump.scratch is not None}
        target = RoutedTarget(loaded, DirectoryTarget(folder))
        for problem in target.write(self._noting(entry, damaged) for entry in entries):
            self.running.add(problem)
        self.running.restore_took = self.clock() - began
        for dump in loaded.values():
            if dump.took is not None:
                restored = RestoredDump(path=dump.path, database=str(dump.url), took=dump.took)
                self.running.dumps.append(restored)
            elif dump.failure is not None and not damaged:
                self._check_server(dump, dump.failure)

    def _check_files(self, dumps: Iterable[Dump]) -> None:
        """Add a problem for each file that is to be a database, and that a restore to its place would refuse."""
        from backupkit.targets.sqlite import check_file

        for dump in dumps:
            # What did not come back is told already.
            if dump.scratch is None and os.path.exists(dump.url.database):
                self.running.check_cancelled()
                try:
                    check_file(dump.url.database)
                except ClientError as error:
                    if is_outside(error):
                        raise RestoreError(
                            f"The copy of {dump.path} could not be read: {error}", path=dump.path
                        ) from error
                    self.running.add(Problem(message=f"{dump.path} is no database: {error}", path=dump.path))

    def _noting(self, entry: Entry, damaged: list[IntegrityError]) -> Entry:
        def chunks() -> Iterator[bytes]:
            try:
                yield from entry.chunks()
            except IntegrityError as error:
                damaged.append(error)
                raise

        return self.running.watched(replace(entry, chunks=chunks, reusing=None, within=None))

    def _check_server(self, dump: Dump, failure: RestoreError) -> None:
        """Raise the failure if it is the server's or the disk's: that says nothing about the backup."""
        if is_outside(failure):
            raise failure
        try:
            dump.client.state()
        except ClientError:
            raise failure from failure.__cause__

    def _compare_rows(self, dumps: Iterable[Dump]) -> list[Problem]:
        """Add a problem for each dump whose rows differ; return those for dumps of which nothing is known."""
        uncounted = []
        for dump in dumps:
            self.running.check_cancelled()
            if dump.scratch is None and not dump.rows:
                continue  # byte for byte the file that was copied, by its checksum
            try:
                found = dump.client.count_rows()
            except ClientError as error:
                raise RestoreError(
                    f"The rows of {dump.path} in {dump.url} could not be counted: {error}", path=dump.path
                ) from error
            if not dump.rows and found:
                uncounted.append(not_recorded(dump.path))
            elif (problem := rows_differ(dump.path, dump.rows, found)) is not None:
                self.running.add(problem)
        return uncounted

    def _ask(self, folder: Path, dumps: Mapping[str, Dump]) -> None:
        """Ask every assertion, whatever the others say."""
        folder.mkdir(exist_ok=True)  # where a backup holds databases only, nothing was restored there
        restored = Restored(folder=folder, databases=MappingProxyType(_urls(dumps)), backup=self.backup)
        secrets = [dump.url.password for dump in dumps.values() if dump.url.password]
        for assertion in self.options.assertions:
            self.running.check_cancelled()
            if (problem := objection(assertion, restored, secrets)) is not None:
                self.running.add(problem)

    def _prove(self, plan: _Plan) -> None:
        """Record that all of the backup came back; a part of it proves nothing but itself, which is told."""
        only, files = self.options.only, plan.left_files
        if only is not None and not plan.contents <= {only}:
            why = f"only its {only} were rehearsed"
        elif files:
            why = f"no database was made of {', '.join(files[:5])}{' and others' if len(files) > 5 else ''}"
        else:
            self._record("proven")
            return
        message = f"The backup {self.backup.id} does not count as proven: {why}."
        self.running.add(Problem(message=message, severity="warning"))

    def _record(self, mark: Mark) -> None:
        try:
            write_mark(self.destination, self.backup, mark, now := self.clock())
            self.recorded.append((mark, now))
        except DestinationError as error:
            message = f"That the backup {self.backup.id} is {mark} could not be recorded: {error}"
            self.running.add(Problem(message=message, severity="warning", destination=self.backup.location))


def _urls(dumps: Mapping[str, Dump]) -> dict[str, str]:
    """The URLs, with passwords, by the short names of the dumps, or where those clash by their whole ones."""
    below = {path: path.removeprefix(f"{DUMPS}/") for path in dumps}
    short = [short_name(name) for name in below.values()]
    return {
        short_name(name) if short.count(short_name(name)) == 1 else name: dumps[path].url.for_clients()
        for path, name in below.items()
    }
