"""Making one backup: the sources are read once, and each destination gets it, fails or stays unknown by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from backupkit._operation import Running
from backupkit._reading import read_parts, read_sources
from backupkit.destinations.fan_out import FanOut
from backupkit.destinations.leased import Leased
from backupkit.destinations.stall_limited import StallLimited
from backupkit.errors import (
    BackupKitError,
    ObjectExistsError,
    OperationCancelledError,
    OutcomeUnknownError,
)
from backupkit.marks import damaged_last, read_marks
from backupkit.model import Backup, Contents, DestinationResult, Problem, Written
from backupkit.passphrase import Passphrase
from backupkit.protocols import (
    Compressor,
    Destination,
    Encryptor,
    FansOut,
    Format,
    Lease,
    Repository,
    Source,
)
from backupkit.retrying import Retry

if TYPE_CHECKING:
    from concurrent.futures import Executor


@dataclass(frozen=True, kw_only=True)
class Writing:
    """What a pipeline says of a run. `retry` waits in a way that observers hear of and that cancelling ends.

    `lease` is the lock of the run: nothing is committed anywhere once it is lost.
    """

    running: Running
    name: str
    format: Format
    destinations: Sequence[Destination]
    compressor: Compressor | None
    encryptor: Encryptor | Passphrase | None
    executor: Callable[[], Executor]
    contents: frozenset[Contents]
    tags: Sequence[str]
    retry: Retry
    stall_limit: float | None
    lease: Lease

    def __post_init__(self) -> None:
        leased = tuple(Leased(one, self.lease) for one in self.destinations)
        object.__setattr__(self, "destinations", leased)

    def write(self, sources: Sequence[Source]) -> int:
        """Make the backup, and put how each destination ended on the report; the bytes stored."""
        failures: dict[int, BackupKitError] = {}
        unknown: dict[int, BackupKitError] = {}  # from whatever attempt: it may have been kept after all
        written: Mapping[int, Written] = {}
        try:
            for attempt in self.retry.attempts():  # again from the sources only if no destination has it
                failures.clear()
                with attempt, _noted(unknown, failures), self._unless_lost(), self.executor() as executor:
                    self.running.begin_again()
                    if isinstance(self.format, FansOut):
                        written = self._write_entries(self.format, sources, executor, failures)
                    else:
                        written = self._write_stream(sources, executor, failures)
        except BaseException:
            for index, error in sorted({**failures, **unknown}.items()):
                self.running.fail(self.destinations[index].location, error)
            raise
        return self._told(written, failures)

    @contextmanager
    def _unless_lost(self) -> Iterator[None]:
        """Where the lease was lost, that is why an attempt failed, whatever else did, and there is no other one."""
        self.lease.check()
        try:
            yield
        except OperationCancelledError:
            raise
        except Exception:
            self.lease.check()
            raise

    def _write_stream(
        self, sources: Sequence[Source], executor: Executor, failures: dict[int, BackupKitError]
    ) -> Mapping[int, Written]:
        """Into one repository, of which every destination gets the same bytes."""
        everywhere = FanOut(self.destinations, stall_limit=self.stall_limit)
        try:
            with (
                # Closed before an exception goes on, which would keep it, and hooks around sources, open.
                closing(read_sources(self.running, sources, self.retry)) as entries,
                self._opened(everywhere, executor) as repository,
            ):
                written = repository.write(
                    entries,
                    time=self.running.started,
                    contents=self.contents,
                    tags=self.tags,
                    retry=self.retry,
                )
        finally:
            failures |= everywhere.failures
        return {
            index: replace(written, backup=replace(written.backup, location=destination.location))
            for index, destination in enumerate(self.destinations)
            if index not in failures
        }

    def _write_entries(
        self,
        format: FansOut,
        sources: Sequence[Source],
        executor: Executor,
        failures: dict[int, BackupKitError],
    ) -> Mapping[int, Written]:
        """Into a repository at each destination."""
        with (
            closing(read_parts(self.running, sources, self.retry)) as entries,
            ExitStack() as stack,
        ):
            return format.write_to_each(
                [stack.enter_context(self._bounded(destination)) for destination in self.destinations],
                entries,
                name=self.name,
                compressor=self.compressor,
                encryptor=self.encryptor,
                executor=executor,
                time=self.running.started,
                contents=self.contents,
                tags=self.tags,
                retry=self.retry,
                failed=failures.__setitem__,
                noticed=self._noticed,
            )

    def _noticed(self, problem: Problem) -> None:
        self.running.add(problem)
        self.running.keep()  # an attempt that is repeated makes no other one

    def _told(self, written: Mapping[int, Written], failures: Mapping[int, BackupKitError]) -> int:
        """Put everything on the report, and give a destination that failed what another one has."""
        for one in written.values():
            for problem in one.problems:
                self.running.add(problem)
        good = next(iter(written.values()))
        # What was tried again or lost has been counted too, as it went by.
        self.running.entries = good.backup.entries or 0
        self.running.read = (good.backup.size or 0) if good.read is None else good.read
        stored = 0
        for index, destination in enumerate(self.destinations):
            if index in written:
                own = written[index]
            else:
                try:
                    own = Written(backup=self._copied(failures[index], good.backup, destination), problems=())
                except OperationCancelledError:
                    raise
                except BackupKitError as error:
                    self.running.fail(destination.location, error)
                    continue
            if own.backup.shared:
                self._warn_of_damage(own.backup, self._bounded(destination))
            stored += own.backup.stored
            self.running.destinations.append(
                DestinationResult(
                    location=destination.location,
                    outcome="succeeded" if own.backup.complete else "incomplete",
                    backup=own.backup,
                    problems=tuple(one for one in own.problems if one.destination == destination.location),
                )
            )
        return stored

    def _warn_of_damage(self, backup: Backup, destination: Destination) -> None:
        """What is unchanged was not stored again, so that it is as damaged as it was."""
        try:
            damaged = damaged_last(read_marks(destination, self.name))
        except BackupKitError:  # it is there, and whoever verifies it will know
            return
        if damaged is not None:
            self.running.add(
                Problem(
                    message=f"The backup {damaged[1]} was found damaged, and {backup.id} relies on what is stored "
                    "already, so that it may lack the same: verify it. If it does, repair the repository and make "
                    "another backup.",
                    severity="warning",
                    destination=backup.location,
                )
            )

    def _copied(self, failure: BackupKitError, good: Backup, to: Destination) -> Backup:
        """Give a destination that failed the backup that another one has; the sources are not read again."""
        source = next(one for one in self.destinations if one.location == good.location)
        pending: BackupKitError | None = failure
        unknown: OutcomeUnknownError | None = None
        try:
            for attempt in self.retry.attempts():
                with attempt:
                    try:
                        if pending is not None:  # the first attempt was the run itself
                            error, pending = pending, None
                            raise error
                        with ExitStack() as stack:
                            whence: Destination = source
                            if isinstance(self.format, FansOut):  # an archive does not fit into memory
                                whence = stack.enter_context(self._bounded(source))
                            repository = stack.enter_context(self._opened(whence))
                            there = stack.enter_context(self._bounded(to))
                            copied = repository.copy(good, there, each=self.running.pass_on)
                            return replace(copied, location=to.location)
                    except OutcomeUnknownError as error:
                        unknown = unknown or error
                        raise
        except (OperationCancelledError, ObjectExistsError):  # that another object is there is known
            raise
        except BackupKitError as error:
            if unknown is None or unknown is error:
                raise
            raise unknown from error  # what failed afterwards does not say that it was not kept then
        raise failure

    def _opened(
        self, destination: Destination, executor: Executor | None = None
    ) -> AbstractContextManager[Repository]:
        return self.format.open(
            destination,
            name=self.name,
            compressor=self.compressor,
            encryptor=self.encryptor,
            executor=executor,
            between=self.running.check_cancelled,
        )

    def _bounded(self, destination: Destination) -> StallLimited:
        """One that does not hang, and of which whatever it fails with is an error of its own."""
        return StallLimited(destination, self.stall_limit)


@contextmanager
def _noted(unknown: dict[int, BackupKitError], failures: Mapping[int, BackupKitError]) -> Iterator[None]:
    """Note of which destinations nobody knows whether they have kept what this attempt gave them."""
    try:
        yield
    except BaseException:
        unknown |= {i: error for i, error in failures.items() if isinstance(error, OutcomeUnknownError)}
        raise
