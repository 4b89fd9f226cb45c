"""`BackupPipeline`: sources, a format, destinations and a policy. Only here is the order of a run known."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from backupkit._at_destinations import raise_if_closed
from backupkit._cleaning import Cleaning, planned
from backupkit._drilling import Drill
from backupkit._finding import warnings_about
from backupkit._monitoring import standing
from backupkit._operation import Running, has_errors, raise_all, utc_now
from backupkit._parallel import default_executor
from backupkit._parts import all_fitting, fitting
from backupkit._placing import Assertion, drill_options
from backupkit._reading import apart_from, check_sources
from backupkit._telling import Announcement
from backupkit._writing import Writing
from backupkit.backups import Backups
from backupkit.compression import compressor_named
from backupkit.databases.urls import DatabaseURL
from backupkit.destinations.names import is_component
from backupkit.destinations.opening import URLLike
from backupkit.errors import (
    ConfigurationError,
    DestinationError,
    NotificationError,
    RepositoryLockedError,
)
from backupkit.health import FutureDated, Leftovers, MaximumAge
from backupkit.locking import MachineLock, hold
from backupkit.memory import FileMemory
from backupkit.model import (
    Backup,
    Contents,
    DestinationOverview,
    DestinationResult,
    DestinationSummary,
    Notice,
    Problem,
    Report,
    Summary,
)
from backupkit.passphrase import Passphrase
from backupkit.protocols import (
    Compressor,
    Destination,
    Encryptor,
    Format,
    HealthCheck,
    History,
    Lock,
    Memory,
    Notifier,
    Observer,
    RetentionPolicy,
    Source,
)
from backupkit.retention import TieredRetention, limits_size
from backupkit.retrying import Delivery, Retry

if TYPE_CHECKING:
    from concurrent.futures import Executor

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def check_name(name: str) -> None:
    """ConfigurationError for what cannot be the name of a pipeline."""
    if not _NAME.fullmatch(name) or not is_component(name) or name.lower() == "backupkit":
        raise ConfigurationError(
            f"The pipeline name {name!r} cannot name a folder at every destination: use letters, digits, "
            "dots, hyphens and underscores, at most 229, beginning with a letter or digit and not ending with "
            'a dot; and not "backupkit" itself, or a name that Windows has for a device (con, nul …).'
        )


class BackupPipeline(Backups):
    """Everything that one application's backups need; a value to keep at module level.

    The constructor checks what can be checked without I/O. `encryptor` has no default: leaving backups
    readable must be written down as None. `retry` is for sources and destinations that fail in a way worth
    retrying. `checks` are what `monitor` asks. `leftovers_after` is how old an unfinished object of a killed run
    must be before `clean` deletes it; younger ones may belong to a run elsewhere. `stall_limit` is how long a
    destination may keep a run waiting, taking and answering nothing, before it is dropped: five minutes, or longer
    for one that gives up by itself, unless this says otherwise for all of them.

    `notifiers` are told how operations end, and `history` keeps every report; neither can fail an operation, or
    delay it by more than `delivery` allows. `memory` knows what has been told about health already: by default
    the history, if it can remember, or else a file.

    Every operation returns a Report, or, when it failed, raises an error that carries it.
    """

    def __init__(
        self,
        name: str,
        sources: Source | Sequence[Source],
        destinations: Destination | URLLike | Sequence[Destination | URLLike],
        *,
        encryptor: Encryptor | Passphrase | None,
        compressor: Compressor | str | None = None,
        format: Format | None = None,
        retention: RetentionPolicy | None = None,
        checks: Sequence[HealthCheck] = (MaximumAge(days=1), FutureDated(), Leftovers()),
        notifiers: Sequence[Notifier] = (),
        observers: Sequence[Observer] = (),
        history: History | None = None,
        memory: Memory | None = None,
        retry: Retry | None = None,
        delivery: Delivery | None = None,
        lock: Lock | None = None,
        executor: Callable[[], Executor] = default_executor,
        clock: Callable[[], datetime] = utc_now,
        leftovers_after: timedelta = timedelta(hours=24),
        stall_limit: timedelta | None = None,
    ) -> None:
        check_name(name)
        super().__init__(
            name,
            destinations,
            encryptor=encryptor,
            format=format,
            observers=observers,
            executor=executor,
            clock=clock,
        )
        if isinstance(sources, str):  # a sequence as well, but of letters
            sources = [sources]
        self.sources: tuple[Source, ...] = tuple(sources) if isinstance(sources, Sequence) else (sources,)
        self.compressor = compressor_named(compressor) if isinstance(compressor, str) else compressor
        self.retention: RetentionPolicy = fitting("retention", retention or TieredRetention())
        self.checks = all_fitting("checks", checks)
        self.notifiers = all_fitting("notifiers", notifiers)
        self.history = None if history is None else fitting("history", history)
        if memory is None:
            memory = history if isinstance(history, Memory) else FileMemory()
        self.memory = fitting("memory", memory)
        self.retry = fitting("retry", retry or Retry())
        self.delivery = fitting("delivery", delivery or Delivery())
        self.lock: Lock = fitting("lock", lock or MachineLock())
        self._leftovers_after = leftovers_after
        if stall_limit is not None and not timedelta(0) < stall_limit <= timedelta(days=1):
            raise ConfigurationError(
                f"stall_limit={stall_limit!r} is not possible: use more than no time and a day at most."
            )
        self._stall_limit = None if stall_limit is None else stall_limit.total_seconds()
        self.format.check(self.compressor, encryptor)
        if self.format.shares_bytes and limits_size(self.retention):
            raise ConfigurationError(
                f"max_size= cannot be kept with {type(self.format).__name__}(), where removing a backup need not "
                "free what it occupies: leave it out, and watch the size with MaximumStorage."
            )
        check_sources(self.sources)

    @property
    def contents(self) -> frozenset[Contents]:
        return frozenset(source.contents for source in self.sources)

    def run(
        self,
        *,
        only: Contents | None = None,
        to: str | None = None,
        tags: Sequence[str] = (),
        notify: bool = True,
        wait: timedelta = timedelta(0),
        cancel: threading.Event | None = None,
    ) -> Report:
        """Make a backup of all sources, or of `only` one kind, at all destinations, or the one named by `to`.

        The sources are read once; each destination ends by itself. A run that lost something ends
        "incomplete"; one that left no backup anywhere raises. One run of a pipeline happens at a time, wherever
        its `lock` reaches: another waits up to `wait`, then raises BackupAlreadyRunningError, and so does a run
        that has lost its lock, before anything of it is visible. Setting `cancel` ends the
        run at the next chunk; nothing unfinished is left behind. With `notify=False` no notifier hears of this run.
        """
        with self._running("run", cancel, telling=self._telling(notify=notify)) as running:
            sources = [source for source in self.sources if only in (None, source.contents)]
            if isinstance(tags, str) or not all(isinstance(tag, str) for tag in tags):
                raise ConfigurationError(
                    f"tags={tags!r} is not a list of texts: write tags=['before-upgrade']."
                )
            if not sources:
                raise ConfigurationError(
                    f"The pipeline {self.name} has no source of {only}: run it without only=."
                )
            running.contents = frozenset(source.contents for source in sources)
            destinations = self._chosen(to)
            if isinstance(self.encryptor, Passphrase) and (weakness := self.encryptor.weakness()):
                running.add(Problem(message=weakness, severity="warning", check="passphrase"))
            running.keep()
            with hold(self.lock, self.lock_name, wait=wait, between=running.check_cancelled) as lease:
                apart = apart_from(self.destinations, sources, str(self.name), whole=self.format.shares_bytes)
                stored = Writing(
                    running=running,
                    name=str(self.name),
                    format=self.format,
                    destinations=destinations,
                    compressor=self.compressor,
                    encryptor=self.encryptor,
                    executor=self._executor,
                    contents=running.contents,
                    tags=tags,
                    retry=running.retry(self.retry),
                    stall_limit=self._stall_limit,
                    lease=lease,
                ).write(apart)
            # After the lock is free: notifiers may take their time.
            return running.finish(running.outcome, written=stored)

    def clean(
        self,
        *,
        at: str | None = None,
        dry_run: bool = False,
        notify: bool = True,
        cancel: threading.Event | None = None,
    ) -> Report:
        """Plan, remove what the policy no longer keeps, and delete what nothing refers to, at each destination.

        Whatever the policy says, the newest good backup of each contents stays, and so do pinned ones. A dry run is
        the plan alone. What a destination refuses to delete is a problem, told once; the rest goes on. `at` is the
        one destination that is cleaned. With `notify=False` no notifier hears of it.
        """
        telling = None if dry_run else self._telling(notify=notify)
        with self._running("clean", cancel, telling=telling) as running:
            running.dry_run = dry_run
            destinations = self._chosen(at)
            failures: list[Exception] = []
            for destination in destinations:
                running.check_cancelled()
                before = len(running.problems)
                try:
                    result = self._clean(running, destination, dry_run)
                except (DestinationError, RepositoryLockedError) as error:
                    failures.append(error)
                    running.fail(destination.location, error)
                else:
                    problems = tuple(running.problems[before:])
                    running.destinations.append(replace(result, problems=problems))
            raise_if_closed(failures, destinations)
            if len(failures) == len(destinations):
                raise_all(f"Nothing could be cleaned for {self.name}", failures)
            return running.finish(running.outcome)

    def drill(
        self,
        backup: Backup | str = "latest",
        *,
        at: str | None = None,
        only: Contents | None = None,
        databases: Mapping[str, str | DatabaseURL] | None = None,
        scratch: str | os.PathLike[str] | None = None,
        assertions: Sequence[Assertion] = (),
        compare_rows: bool = False,
        keep: bool = False,
        notify: bool = True,
        cancel: threading.Event | None = None,
    ) -> Report:
        """Rehearse a restore: put a backup into scratch places, ask `assertions` about it, and remove it again.

        Files go to a new folder below `scratch` (default: the system's folder for temporary files), which only
        its owner can enter. Each dump goes to a database that the drill makes and drops: on the server that
        `databases` names for it (`{"shop": "postgresql://scratch-server/"}`; with a database in the URL, that
        one, which must not exist), otherwise on the server that it came from. The original is never touched.
        Dumps for which no server is known stay files, which is a warning; then the backup is not proven.

        An assertion is called with a `Restored`; it fails by raising an exception, or by returning what is
        neither None nor true. With `compare_rows`, the rows of each table are compared with those that a source
        with `count_rows=True` recorded. `keep` leaves all in place and tells where. With `notify=False` no notifier
        hears of it.

        The report says "succeeded" or "failed", which is kept beside the backup (`Backup.proven`, `refuted`, or
        `damaged`), or "incomplete" if rows could not be compared. A drill that could not be held, because there is
        no server, room or right for it, raises, and says nothing about the backup.
        """
        with self._running("drill", cancel, telling=self._telling(notify=notify)) as running:
            options = drill_options(
                only=only,
                databases=databases,
                scratch=scratch,
                assertions=assertions,
                compare_rows=compare_rows,
                keep=keep,
            )
            found, silent = self._found(backup, at=at, only=only)
            for problem in warnings_about(found, silent):
                running.add(problem)
            with self._executor() as executor:
                return Drill(
                    running=running,
                    backup=found,
                    destination=self._destination_of(found),
                    repository=lambda: self._repository_of(found, executor, running.check_cancelled),
                    sources=self.sources,
                    options=options,
                    clock=self._clock,
                ).hold()

    def monitor(
        self, *, at: str | None = None, notify: bool = True, cancel: threading.Event | None = None
    ) -> Report:
        """Ask every health check about every destination, or the one at `at`.

        Unhealthy is a report that says "failed", no error. With `notify=False` no notifier hears of it, and what is
        new about the health of a destination is still new for the next time.
        """
        found: list[DestinationSummary] = []

        def summary() -> Summary:
            return Summary(name=str(self.name), time=running.started, destinations=tuple(found))

        telling = self._telling(notify=notify, summary=summary)
        with self._running("monitor", cancel, telling=telling) as running:
            for destination in self._chosen(at):
                running.check_cancelled()
                found.append(self._summarised(destination))
                problems = found[-1].problems
                for problem in problems:
                    running.add(problem)
                running.destinations.append(
                    DestinationResult(
                        location=destination.location,
                        outcome="failed" if has_errors(problems) else "succeeded",
                        summary=found[-1],
                        problems=problems,
                    )
                )
            return running.finish("failed" if has_errors(running.problems) else "succeeded")

    def summary(self) -> Summary:
        """How the backups stand at each destination: numbers, sizes, ages, growth, and what the checks say."""
        return Summary(
            name=str(self.name),
            time=self._clock(),
            destinations=tuple(self._summarised(destination) for destination in self.destinations),
        )

    def overview(self, *, at: str | None = None) -> Sequence[DestinationOverview]:
        """What one look at each destination, or the one at `at`, tells: its backups, how they stand, what would go.

        Each is listed once, and no backup is read. Of one that does not answer, the summary says so and there is
        nothing else.
        """
        return [self._looked_at(destination) for destination in self._chosen(at)]

    def send_summary(self) -> Summary:
        """Send the summary to the notifiers that want to hear it; NotificationError for those that could not."""
        summary = self.summary()
        notice = Notice(occasion="summary", name=summary.name, time=summary.time, summary=summary)
        problems = self._telling(summary=lambda: summary).tell(notice)
        if problems:
            raise NotificationError(" ".join(problem.message for problem in problems))
        return summary

    def _clean(self, running: Running, destination: Destination, dry_run: bool) -> DestinationResult:
        now = self._clock()
        listed, marks = self._list_with_marks(destination)
        there = {(backup.name, backup.id) for backup in listed}
        unlisted = {whose: known for whose, known in marks.items() if whose not in there}
        with self._executor() as executor:
            return Cleaning(
                running=running,
                destination=destination,
                opened=lambda: self._opened(destination, executor, running.check_cancelled),
                policy=self.retention,
                places=self._places(),
                leftovers_after=self._leftovers_after,
                shares_bytes=self.format.shares_bytes,
                now=now,
            ).clean(self._own(listed), unlisted, dry_run=dry_run)

    def _places(self) -> Sequence[str]:
        """Where killed runs, and killed verifications, may have left something."""
        if self.format.shares_bytes:  # what lies there belongs to all pipelines together
            return ("",)
        return (f"{self.name}/", f"backupkit/{self.name}/")

    def _own(self, listed: Iterable[Backup]) -> list[Backup]:
        """Those that belong to this pipeline: not an export that somebody put into its folder."""
        return [one for one in listed if one.name == self.name and one.made_by != "other"]

    def _telling(self, *, notify: bool = True, summary: Callable[[], Summary] | None = None) -> Announcement:
        return Announcement(
            notifiers=self.notifiers if notify else (),
            history=self.history,
            memory=self.memory,
            delivery=self.delivery,
            summary=summary or self.summary,
        )

    def _summarised(self, destination: Destination) -> DestinationSummary:
        return self._standing(destination)[1]

    def _standing(self, destination: Destination) -> tuple[Sequence[Backup], DestinationSummary]:
        """All that is listed there, if anything can be, and how the pipeline's own stand."""
        listed: list[Backup] = []

        def own() -> Sequence[Backup]:
            listed.extend(self._list_at(destination))
            return self._own(listed)

        summary = standing(
            destination,
            own,
            checks=self.checks,
            contents=self.contents,
            places=self._places(),
            now=self._clock(),
        )
        return listed, summary

    def _looked_at(self, destination: Destination) -> DestinationOverview:
        now = self._clock()
        listed, summary = self._standing(destination)
        known = [backup for backup in self._own(listed) if backup.contents]
        return DestinationOverview(
            location=destination.location,
            time=now,
            backups=tuple(listed),
            summary=summary,
            plan=planned(self.retention, known, now=now),
        )

    @property
    def lock_name(self) -> str:
        """Under which name a run holds the lock: that of the pipeline and its destinations."""
        # Two applications on one machine may both call their pipeline "app".
        places = "\n".join(sorted(destination.location for destination in self.destinations))
        return f"{self.name}-{hashlib.sha256(places.encode()).hexdigest()[:12]}"
