"""Every seam of the library, one Protocol each, with its contract in words. Start reading here.

    Source ──entries──▶ Repository (format) ──chunks──▶ Destination        run
    Target ◀─entries── Repository (format) ◀──chunks── Destination        restore, verify, browse

Entries above, chunks below, and the format is the only thing that turns one into the other. The protocols
are structural: nothing to inherit, nothing to register. `backupkit.testing` has a conformance class for
each seam that a third party may fill.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from backupkit.databases.urls import DatabaseURL
from backupkit.errors import BackupKitError
from backupkit.events import Event, Expected
from backupkit.model import (
    Backup,
    Contents,
    Difference,
    Entry,
    Essentials,
    Finding,
    Found,
    Growth,
    Key,
    KeyChange,
    Manifest,
    Notice,
    Occasion,
    Operation,
    Part,
    Passed,
    Problem,
    Pruned,
    Repaired,
    Report,
    RepositoryState,
    RetentionPlan,
    Share,
    StoredObject,
    Taken,
    Unlocked,
    Written,
)
from backupkit.passphrase import Passphrase
from backupkit.prune_limits import PruneLimits
from backupkit.retrying import Retry

if TYPE_CHECKING:
    from concurrent.futures import Executor

Chunks: TypeAlias = Iterable[bytes]


def nothing() -> None:
    """What is done between two steps if nobody said anything."""


class Source(Protocol):
    """Where entries come from.

    `name` is a short, stable label, unique among a pipeline's sources; a directory prefixes its paths with
    it, a database writes `db-dumps/<name>`. `contents` is what `run(only=…)` selects by.
    """

    @property
    def name(self) -> str: ...

    @property
    def contents(self) -> Contents: ...

    def entries(self) -> Iterator[Entry | Problem]:
        """Yield each entry once, a directory before what is in it, siblings in the order of their names' bytes.

        Nothing is opened before the first pull, and everything is released when the iterator is closed.
        What cannot be read is a `Problem` in its place; a `SourceError` raised here ends this source only.
        The reader reads an entry's chunks at most once at a time, before or after it pulls the next entry.
        """
        ...


@runtime_checkable
class ReadsInParts(Source, Protocol):
    """A source that can hand over folders unread, so that they are read by several threads or processes."""

    def parts(self) -> Iterator[Entry | Problem | Part]:
        """Yield what `entries()` does, but folders unread.

        Before the next item is pulled, a part has been read completely: itself and all parts in it, in any order,
        on any thread or process. So the source can tell afterwards whether what it read is still there.
        """
        ...


@runtime_checkable
class ExcludesPaths(Protocol):
    """A source that reads local files and can leave some out: a run never backs up its own destinations."""

    def excluding(self, paths: Sequence[Path]) -> Source:
        """Return a source that leaves out these absolute folders and all that is in them."""
        ...


@runtime_checkable
class ExcludesLocations(Protocol):
    """A source that reads where remote destinations may be, and can leave some out."""

    def without(self, locations: Sequence[str]) -> Source:
        """Return a source that leaves out what lies at these locations of destinations, and below them.

        ConfigurationError if nobody can tell whether one of them lies within it.
        """
        ...


@runtime_checkable
class DumpsDatabases(Protocol):
    """A source that dumps databases of servers, and can tell which: a drill must never touch those themselves."""

    def database_of(self, path: str) -> DatabaseURL | None:
        """The database that the dump at this path of a backup is of, if it is one of this source's; no I/O."""
        ...


@runtime_checkable
class Examines(Protocol):
    """A source that can say what would keep it from being read here, without reading it."""

    def examine(self) -> Iterator[Finding]:
        """Yield what was found step by step: that it is there, which programs it needs, what its server allows.

        What does not hold is a finding and no exception; what follows from it may be left out. Nothing is changed
        anywhere, no secret is in a finding, and whatever may hang is given up after a minute.
        """
        ...


@runtime_checkable
class AsksServers(Protocol):
    """A source that reads from servers, and can tell which, so that not too many runs ask one of them at once."""

    @property
    def hosts(self) -> frozenset[str]:
        """Their host names, in small letters; of a server that is reached without one there is none."""
        ...


class Target(Protocol):
    """Where restored entries go."""

    def check(self, entries: Iterable[Entry]) -> Iterator[Problem]:
        """Yield what would keep `write` from succeeding, touching nothing; reads no content."""
        ...

    def write(self, entries: Iterable[Entry]) -> Iterator[Problem]:
        """Put the entries in place, in order, yielding a problem for each that could not be.

        An entry gets its final name only when its chunks have ended without an exception. An
        `IntegrityError` or `SourceError` from the chunks is a problem of that entry alone; any other passes
        through and leaves nothing of it. A path that is no entry's (it may lead elsewhere) is a problem.
        """
        ...


class Compressor(Protocol):
    """A reversible filter over one unit (a whole entry, or one blob). One instance serves many threads.

    `algorithm` names the byte format, not the implementation: "store", "deflate" (raw, RFC 1951), "zstd".
    """

    @property
    def algorithm(self) -> str: ...

    def compress(self, chunks: Chunks) -> Iterator[bytes]: ...

    def decompress(self, chunks: Chunks) -> Iterator[bytes]:
        """Undo `compress`, in pieces of bounded size however small the input.

        Raises IntegrityError, no later than at the end, for input that is not one whole unit.
        """
        ...


@runtime_checkable
class PiecewiseCompressor(Compressor, Protocol):
    """A compressor whose unit may be compressed in pieces, each by itself, on any thread."""

    def compress_piece(self, piece: bytes, *, last: bool) -> bytes:
        """Compress one piece; the results, in order, the last one with `last=True`, are one whole unit."""
        ...


class Encryptor(Protocol):
    """A reversible, authenticated filter over one unit, under a fresh nonce or salt for each.

    `scheme` names the byte format ("winzip-aes-256", "age"). One instance serves many threads.
    """

    @property
    def scheme(self) -> str: ...

    def encrypt(self, chunks: Chunks) -> Iterator[bytes]: ...

    def decrypt(self, chunks: Chunks) -> Iterator[bytes]:
        """Undo `encrypt`. IntegrityError no later than at the end; WrongPassphraseError for a wrong key."""
        ...


@runtime_checkable
class ExpectsUnits(Encryptor, Protocol):
    """An encryptor that can prepare for many small units at once for less than for each by itself."""

    def expect(self, units: Sequence[bytes]) -> None:
        """These units, or beginnings of them, are about to be decrypted, each by a call of its own."""
        ...


class Destination(Protocol):
    """Named, immutable objects in one place. Holds settings only and connects inside each call.

    Names are "/"-separated, of `A-Z a-z 0-9 . _ -`; of two that differ only in case, the second is another object
    or refused. `location` is safe to print: no credentials.
    Errors are DestinationError and its kinds.
    """

    @property
    def location(self) -> str: ...

    def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
        """Store an object: whole after the last chunk, or not at all.

        An exception of the chunks passes through unchanged and leaves nothing behind; an object that was
        there before stays until the new one is whole. Raises ObjectExistsError unless `overwrite`.
        """
        ...

    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield the object's bytes from `start`, `length` of them or, if it ends earlier, what there is."""
        ...

    def stat(self, name: str) -> StoredObject: ...

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield the objects whose names begin with `prefix`, in name order; never an unfinished one."""
        ...

    def delete(self, name: str) -> None:
        """Delete one object; ObjectNotFoundError if there is none."""
        ...


@runtime_checkable
class OnThisMachine(Protocol):
    """A destination in a local folder, so that a run can leave that folder out."""

    @property
    def folder(self) -> Path: ...


@runtime_checkable
class LimitsStalls(Protocol):
    """A destination that gives up by itself what does not move, after `stall_limit` seconds at the latest."""

    @property
    def stall_limit(self) -> float: ...


@runtime_checkable
class HasLeftovers(Protocol):
    """A destination at which a killed run may leave unfinished, invisible objects."""

    def leftovers(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield unfinished objects under `prefix`, those still being written by others included."""
        ...

    def discard(self, leftover: StoredObject) -> None:
        """Delete one of them."""
        ...


class Repository(Protocol):
    """All backups of one format at one destination, opened; of one pipeline's name unless that is None."""

    def write(
        self,
        entries: Iterable[Entry | Problem],
        *,
        time: datetime,
        contents: frozenset[Contents],
        tags: Sequence[str] = (),
        host: str | None = None,
        retry: Retry,
    ) -> Written:
        """Write one backup, listed only once it is finished; of this machine, unless `host` names another.

        An entry that cannot be read in full is left out and becomes a problem, after `retry`; its
        `warnings` become problems too. An exception of the iterable itself ends the write and leaves nothing;
        so does a backup that would hold no entry at all, with SourceError.
        A time that is taken is moved on by microseconds until it is free.
        """
        ...

    def list(self) -> Iterator[Backup]:
        """Yield the backups, in any order, from names and one listing; no object is read."""
        ...

    def details(self, backup: Backup) -> Backup:
        """The same backup with everything filled in that can be known without a passphrase."""
        ...

    def read(self, backup: Backup) -> Iterator[Entry]:
        """Yield the entries as the source once gave them, in the same order, content on demand.

        Content may be pulled while the repository is open. IntegrityError where it is not what was written.
        """
        ...

    def copy(self, backup: Backup, to: Destination, *, each: Callable[[Chunks], Chunks] = iter) -> Backup:
        """Store the very same backup at another destination; needs no passphrase.

        All that is read passes through `each`. What an interrupted copy left whole is kept.
        """
        ...

    def check(self, backup: Backup) -> Iterator[Problem]:
        """Yield what is wrong with the structure of this backup as it is stored, without its contents.

        What merely lacks confirmation, see `confirm`, is a warning.
        """
        ...

    def confirm(self, backup: Backup) -> Backup:
        """Write again, from the backup itself, what says how its run ended."""
        ...

    def remove(self, backup: Backup) -> None:
        """Make the backup disappear. One that is gone already is no error."""
        ...

    def prune(
        self,
        *,
        without: Collection[Backup] = (),
        limits: PruneLimits | None = None,
        dry_run: bool = False,
        between: Callable[[], None] = nothing,
    ) -> Pruned:
        """Delete what no backup refers to, as far as the limits say, or else the repository's own.

        With `dry_run` nothing is done, and told what would be freed; as if the backups `without` were removed
        already. `between` is called now and then and may raise to end it: what is left is done the next time.
        What the destination refuses to delete is raised after the rest was tried.
        """
        ...


@runtime_checkable
class ReadsWithin(Repository, Protocol):
    """A repository that need not read through a whole backup to find some of its entries."""

    def read_within(
        self,
        backup: Backup,
        *,
        enters: Callable[[str], bool],
        wants: Callable[[Entry], bool],
        lost: Callable[[Problem], None] | None = None,
    ) -> Iterator[Entry]:
        """Yield those entries of `read` that `wants` says yes to, in folders at paths that `enters` says yes to.

        With `lost`, a damaged folder or entry, other than the root, is told to it and passed over; else it raises.
        """
        ...


class Browser(Protocol):
    """One backup, to be looked into here and there. Safe to use on several threads, for as long as one likes."""

    def children(self, folder: str) -> Sequence[Entry]:
        """The entries directly in the folder at this path, "" for the topmost ones, in the order of their names.

        Content may be pulled at any time. NotADirectoryError or FileNotFoundError if it is no folder of the backup.
        """
        ...


@runtime_checkable
class Browses(Repository, Protocol):
    """A repository of which single folders can be looked at, without keeping anybody from changing it meanwhile."""

    def browser(self, backup: Backup) -> Browser: ...


class BackupReader(Protocol):
    """One backup, for another process to read: can be pickled. Secret, because it holds the key."""

    def read_within(
        self,
        *,
        enters: Callable[[str], bool],
        wants: Callable[[Entry], bool],
        executor: Executor | None,
        lost: Callable[[Problem], None] | None = None,
    ) -> Iterator[Entry]:
        """See `ReadsWithin`."""
        ...


@runtime_checkable
class ReadsElsewhere(ReadsWithin, Protocol):
    """A repository of which other processes can read a backup at the same time."""

    def reader(self, backup: Backup) -> BackupReader | None:
        """None where each of them would need so much memory that one process should do it."""
        ...


@runtime_checkable
class ChecksData(Repository, Protocol):
    """A repository that can read back what it has stored faster than entry by entry, or only a share of it."""

    def check_data(self, backup: Backup, *, share: Share | None) -> Iterator[Problem | Passed | Expected]:
        """Check the structure of a backup, and read back each stored object that holds some of its contents.

        With a share, only those objects that belong to it. Problems name the entries that are damaged.
        """
        ...


@runtime_checkable
class ComparesBackups(Repository, Protocol):
    """A repository that reads backups in the order of paths, and finds out faster where two of them differ.

    In that order a folder is before what is in it, and siblings are in the order of their names' bytes.
    """

    def differences(
        self,
        before: Backup,
        other: Repository,
        after: Backup,
        *,
        folders: tuple[str, str],
        metadata: bool,
        between: Callable[[], None] = nothing,
    ) -> Iterator[Difference | Problem | tuple[int, int]] | None:
        """Yield where a backup of this repository and one of another, or of the same, differ; None if it cannot.

        Only below the two `folders`; paths are within them, if they are not the same. Entries of which only the
        metadata differs come only with `metadata`. What cannot be read is a problem in its place. Last come two
        numbers of plain bytes: what `after` alone has, and what `before` has, as far as that can be told without
        reading what is the same in both. `between` is called now and then and may raise to end it.
        """
        ...


@runtime_checkable
class FindsPaths(Repository, Protocol):
    """A repository that looks only once through what several backups have in common."""

    def find(
        self, backups: Iterable[Backup], *, enters: Callable[[str], bool], matches: Callable[[str], bool]
    ) -> Iterator[Found | Problem]:
        """Yield those entries of these backups at paths that `matches` says yes to, a folder's with "/" at its end.

        Only what is in folders at paths that `enters` says yes to. Backup by backup, each in the order of `read`.
        What cannot be read is a problem in its place.
        """
        ...


@runtime_checkable
class MeasuresBackups(Repository, Protocol):
    """A repository whose backups have stored bytes in common, and that can tell what each has added."""

    def growth(self, backups: Iterable[Backup], *, between: Callable[[], None] = nothing) -> Iterator[Growth]:
        """Yield what each backup holds and adds to those before it in this order; IntegrityError if one is damaged.

        `between` is called now and then and may raise to end it.
        """
        ...


@runtime_checkable
class Repairs(Repository, Protocol):
    """A repository of which the rest can still be used when something in it is damaged."""

    def repair(
        self,
        *,
        quick: bool,
        forget: Callable[[Backup], bool] | None,
        dry_run: bool,
        between: Callable[[], None] = nothing,
    ) -> Iterator[Problem | Passed | Expected | Repaired]:
        """Make everything usable that is still right, and yield what was found and done, as it is.

        What is lost is an error, which names the path. A damaged backup gets another one beside it, which lacks
        what is lost and so is not complete; it stays itself, unless `forget` says that it may go. `quick` reads no
        content. An interruption loses nothing, and doing it again finds nothing more to do. With `dry_run`, nothing
        is done, and told what would be.
        """
        ...


@runtime_checkable
class TakesOver(Repository, Protocol):
    """A repository that can take backups over as another one has stored them, reading no entry of them."""

    def takes_from(self, other: Repository) -> bool:
        """Whether the other one, under whatever passphrase, is of its kind."""
        ...

    def take_over(
        self,
        backups: Sequence[Backup],
        other: Repository,
        *,
        retry: Retry,
        passed: Callable[[Passed], None],
        noticed: Callable[[Problem], None],
    ) -> Iterator[Taken]:
        """Take these backups of the other repository over, in this order, and tell what became of each.

        A backup of which something is damaged is not taken over. `passed` hears of what was read, and may raise to
        end it; `noticed` of what a person should know. What an interrupted call has stored is used by the next.
        """
        ...


@runtime_checkable
class KeepsFiles(Repository, Protocol):
    """A repository in which each backup is one object, which is a file that other programs open."""

    def file(self, backup: Backup) -> Entry:
        """The object, as a file of its own name. IntegrityError at the end if it is not as long as it should be."""
        ...


@runtime_checkable
class HasManifests(Repository, Protocol):
    """A repository whose backups say of themselves what their run was."""

    def manifest(self, backup: Backup) -> Manifest:
        """What it says, read without its contents, as far as its format allows that."""
        ...


@runtime_checkable
class HasLocks(Repository, Protocol):
    """A repository with locks beside the backups, of which a process that is killed leaves one."""

    def unlock(self, *, force: bool = False, between: Callable[[], None] = nothing) -> Unlocked:
        """Remove those that nobody holds any more, or with `force` all of them; what cannot be read counts as held.

        `between` may raise to end it. One that cannot be removed is raised when the others were tried.
        """
        ...


@runtime_checkable
class HasKeys(Repository, Protocol):
    """A repository that several passphrases may open, each by a key of its own there.

    At least one key always opens it with a passphrase that this one was opened with, or is being given.
    """

    def keys(self) -> Sequence[Key]:
        """All of them, those that cannot be read included, in the order of their ids."""
        ...

    def add_key(self, passphrase: Passphrase) -> KeyChange:
        """Let a passphrase open it, too. Nothing is added where it does already.

        A key counts only after it was read back, and has opened the repository.
        """
        ...

    def remove_key(self, id: str) -> KeyChange:
        """Remove one key, by its whole id; RepositoryError if it is the last one, or the one in use."""
        ...

    def change_passphrase(self, new: Passphrase) -> KeyChange:
        """Let the new passphrase open it, and then none of those that this repository was opened with.

        Others' keys stay. Doing it again finishes what was interrupted, and does nothing where it is done.
        """
        ...

    def essentials(self) -> Essentials:
        """What could be put back if it were lost. IntegrityError if the key in use cannot be read."""
        ...


class Format(Protocol):
    """A way to store backups: pairs codecs and opens repositories.

    `shares_bytes` says that backups have stored bytes in common, so that removing one need not free what it
    occupies; a retention policy cannot promise a size then.
    """

    @property
    def shares_bytes(self) -> bool: ...

    def check(self, compressor: Compressor | None, encryptor: Encryptor | Passphrase | None) -> None:
        """Raise ConfigurationError, without I/O, for a pairing that the format cannot record."""
        ...

    def open(
        self,
        destination: Destination,
        *,
        name: str | None,
        compressor: Compressor | None = None,
        encryptor: Encryptor | Passphrase | None = None,
        executor: Executor | None = None,
        between: Callable[[], None] = nothing,
    ) -> AbstractContextManager[Repository]:
        """The repository there, of this name; nothing is asked of the destination thereby.

        Whenever it waits for others who use the destination too, `between` is called, and may raise to end it.
        """
        ...


@runtime_checkable
class FansOut(Format, Protocol):
    """A format that takes the entries of a run for several destinations, because it stores other bytes at each.

    Below any other format the pipeline puts one destination in front of all, which writes the same everywhere.
    """

    def write_to_each(
        self,
        destinations: Sequence[Destination],
        entries: Iterable[Entry | Problem | Part],
        *,
        name: str,
        compressor: Compressor | None,
        encryptor: Encryptor | Passphrase | None,
        executor: Executor | None,
        time: datetime,
        contents: frozenset[Contents],
        tags: Sequence[str],
        retry: Retry,
        failed: Callable[[int, BackupKitError], None],
        noticed: Callable[[Problem], None],
    ) -> Mapping[int, Written]:
        """Write one backup, under one name, at each destination; what was written where, by index.

        As `Repository.write` otherwise. Each entry is read once at most. A destination that fails is told to
        `failed`, on the caller's thread, and the others go on; when all have, their error is raised, or a group
        of them. `noticed` hears, before anything is read, what a person should know even if the run fails, such as
        that a repository was made. Parts are handed over unread, and whoever reads them says so by `Part.passed`.
        What waits does so by `retry.sleep`, which cancelling ends.
        """
        ...


class Lease(Protocol):
    """A lock that is held, until it is lost: a server forgets it, or its life ends while the process sleeps."""

    def check(self) -> None:
        """BackupAlreadyRunningError if it is no longer held; once it was raised, every time.

        Asks the place where the lease lives, and not a clock alone. Where that cannot be reached, the lease is held
        until its life since the last renewal is over. Safe on several threads; a run asks before each commit.
        """
        ...


class Lock(Protocol):
    """Lets one run of a pipeline happen at a time."""

    def hold(self, name: str, *, wait: timedelta) -> AbstractContextManager[Lease]:
        """Hold the lock of this name; BackupAlreadyRunningError if another does for longer than `wait`.

        ConfigurationError where there can be no lock. It is free when the context ends, and after a while if the
        process is killed. Names may hold any characters; each is a lock of its own, for all threads and processes.
        """
        ...


class RetentionPolicy(Protocol):
    """Decides which backups stay; never deletes."""

    def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
        """Put each backup, with reasons, into exactly one half of the plan. Pure; any input order."""
        ...


@runtime_checkable
class KeepsMinimum(RetentionPolicy, Protocol):
    """A policy of which the newest `minimum` good backups of each contents always stay."""

    @property
    def minimum(self) -> int: ...


class HealthCheck(Protocol):
    """One rule about the set of backups at one destination."""

    def problems(self, state: RepositoryState) -> Iterable[Problem]: ...


class Notifier(Protocol):
    """Tells people, or their programs, what happened."""

    @property
    def on(self) -> Collection[Occasion]:
        """What it wants to hear."""
        ...

    def notify(self, notice: Notice) -> None:
        """Tell it; raise if that did not succeed.

        Called on a thread of its own, which is left behind if it takes longer than the pipeline allows: give what
        may hang a timeout, lest the threads of a long-lived process add up. What it raises becomes a warning of
        the report; NotificationError says whether trying again may help, and whether some of several have heard it
        (`partly`); an OSError is tried again too. Secrets (addresses with tokens) must not be in its errors.
        """
        ...


@runtime_checkable
class HearsStarts(Notifier, Protocol):
    """A notifier that is also told when an operation begins."""

    def started(self, operation: Operation, name: str, time: datetime) -> None:
        """Called on a thread of its own; the operation does not wait for it, but its end is told after it.

        `time` is the `started` of the report that the end will have: that is how to know which end is whose.
        Not called for an operation of whose end it hears nothing, by its `on` or, as of a monitor, ever.
        """
        ...


class History(Protocol):
    """Keeps every report."""

    def record(self, report: Report) -> None:
        """Keep it; called once at the end of each operation, and under the same terms as a notifier."""
        ...


@runtime_checkable
class Memory(Protocol):
    """Remembers small texts from one process to the next: what has been told already.

    Called on threads of their own, which are left behind if they take too long. What it raises is a warning.
    """

    def recall(self, key: str) -> str | None: ...

    def remember(self, key: str, value: str | None) -> None:
        """Replace what is remembered under the key; None forgets it."""
        ...


Observer: TypeAlias = Callable[[Event], None]
