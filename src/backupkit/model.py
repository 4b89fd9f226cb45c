"""The nouns: frozen values without I/O. Read `protocols.py` next for what is done with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias, get_args

Contents: TypeAlias = Literal["files", "databases"]
DUMPS = "db-dumps"  # the folder in a backup under which databases stand; the files' are their sources'
Kind: TypeAlias = Literal["file", "directory", "symlink", "hardlink", "fifo", "chardev", "blockdev"]
Severity: TypeAlias = Literal["warning", "error"]
Outcome: TypeAlias = Literal["succeeded", "incomplete", "failed"]
DestinationOutcome: TypeAlias = Literal["succeeded", "incomplete", "failed", "unknown"]
Verdict: TypeAlias = Literal["ok", "warning", "not ok", "not known"]
Operation: TypeAlias = Literal[
    "run",
    "restore",
    "verify",
    "drill",
    "clean",
    "monitor",
    "prune",
    "repair",
    "copy",
    "rekey",
    "unlock",
    "delete",
    "download",
]
MadeBy: TypeAlias = Literal["backupkit", "laravel-backup", "other"]
Change: TypeAlias = Literal["added", "removed", "content", "metadata", "type"]
Occasion: TypeAlias = Literal[
    "run succeeded",
    "run incomplete",
    "run failed",
    "clean succeeded",
    "clean failed",
    "verify succeeded",
    "verify failed",
    "drill passed",
    "drill failed",
    "healthy",
    "unhealthy",
    "summary",
]
"""What notifiers are told of. "healthy" is the end of being unhealthy."""

# Clocks of two machines differ by seconds; a zone mistaken for another shifts by at least 15 minutes.
CLOCK_TOLERANCE = timedelta(minutes=10)

_KINDS = frozenset(get_args(Kind))
_NO_XATTRS: Mapping[str, bytes] = MappingProxyType({})


def named(contents: Iterable[Contents]) -> str:
    """ "files and databases", as the library says it everywhere."""
    return " and ".join(sorted(contents, reverse=True)) or "unknown contents"


def no_chunks() -> Iterator[bytes]:
    """The content of everything that has none."""
    return iter(())


def flaw_of(entry: Entry) -> str | None:
    """What is wrong with the fields of an entry that somebody else's source made, or None.

    Types are not checked when Python runs, and a wrong one would only show when the backup is read.
    """

    def whole(value: object) -> bool:
        return value is None or (isinstance(value, int) and not isinstance(value, bool))

    owner = entry.owner
    if not isinstance(entry.path, str):
        return f"a path that is {type(entry.path).__name__}, not text"
    if entry.kind not in _KINDS:
        return f"the unknown kind {entry.kind!r}"
    if not (whole(entry.size) and whole(entry.modified_ns) and whole(entry.mode)):
        return "a size, modified_ns or mode that is no whole number"
    if owner is not None and not (isinstance(owner.uid, int) and isinstance(owner.gid, int)):
        return "an owner without numbers"
    if not isinstance(entry.target, str) and entry.kind in ("symlink", "hardlink"):
        return "a target that is not text"
    if not all(isinstance(key, str) and isinstance(value, bytes) for key, value in entry.xattrs.items()):
        return "extended attributes that are not text with bytes"
    if entry.kind in ("chardev", "blockdev") and not _is_device_number(entry.device):
        return "a device that is not two whole numbers"
    if entry.origin is not None and not isinstance(entry.origin, Origin):
        return "an origin that is no Origin"
    return None


def _is_device_number(device: object) -> bool:
    return (
        isinstance(device, tuple)
        and len(device) == 2
        and all(isinstance(one, int) and not isinstance(one, bool) and one >= 0 for one in device)
    )


def is_entry_path(path: str) -> bool:
    """Whether the path can be an entry's: relative, no empty, "." or ".." component, no NUL, all of it text.

    Bytes that are not UTF-8 are text here, as surrogate escapes; other unpaired surrogates are not.
    """
    if "\0" in path or not {"", ".", ".."}.isdisjoint(path.split("/")):
        return False
    try:
        path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something a person should know. An "error" means that something was lost or failed.

    `path` names the entry, `destination` the location and `check` the rule concerned, where there is one.
    """

    message: str
    severity: Severity = "error"
    check: str | None = None
    path: str | None = None
    destination: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who owns an entry, by number and, where the system knew them, by name."""

    uid: int
    gid: int
    user: str | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where on this machine an entry was read, and what is another when somebody has changed it since.

    `path` is absolute and normalised, as the user wrote the folder of the source, with what follows: a link in it
    stays there, so that `/srv/current` is the same place after the link was turned. `inode`, `device` (`st_dev`)
    and `links` are those of the file system; `changed_ns` is when content or metadata last changed (`st_ctime_ns`).
    """

    path: str
    inode: int
    device: int
    links: int
    changed_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file, directory, link, pipe, device or dump, with its metadata and its content on demand.

    `path` is relative, "/"-separated and free of ".", ".." and empty components; bytes that are not UTF-8
    stand in it as Python's surrogate escapes. `mode` holds the permission bits (0o7777). `target` is what a
    symlink points to, or the path of the earlier entry that a hardlink is another name of. `holes` are the
    `(start, length)` ranges of a sparse file that occupy no disk; they are part of the content, as zeros.
    `device` is the major and the minor number of a "chardev" or "blockdev". `origin` is set by sources that read
    files of this machine.

    `chunks()` opens the content and yields it; calling it again reads anew. For a hardlink it yields the
    content too, so that it can be restored without the file it is linked to. Whatever is wrong raises:
    an iterator that ends has given everything. What is worth telling but did no harm (a file that grew
    while it was read) is appended to `warnings` before the iterator ends; `rows` then holds how many rows each
    table of a dump has, if the source counted them.

    `reusing(descriptor)`, where it can be had, yields the very content that `chunks()` does, but takes from this
    open file whatever that holds already at its place, so that only what differs has to be fetched.
    `within(start, stop)`, where it can be had, yields the bytes from `start` to `stop`, or to the end, without
    reading what comes before. Who gives an entry other `chunks` gives it another `reusing`, `within` and `digest`
    too, or none.

    `digest` tells the content from others, where a backup says that without being read through: `sha256:` and its
    hash, or another scheme and a text. Within one scheme, the same digest is the same content, and another another.
    """

    path: str
    kind: Kind = "file"
    size: int | None = None
    modified_ns: int | None = None
    mode: int | None = None
    owner: Owner | None = None
    target: str | None = None
    xattrs: Mapping[str, bytes] = field(default_factory=lambda: _NO_XATTRS)
    holes: tuple[tuple[int, int], ...] = ()
    device: tuple[int, int] | None = None
    chunks: Callable[[], Iterator[bytes]] = field(default=no_chunks, compare=False, repr=False)
    reusing: Callable[[int], Iterator[bytes]] | None = field(default=None, compare=False, repr=False)
    within: Callable[[int, int], Iterator[bytes]] | None = field(default=None, compare=False, repr=False)
    digest: str | None = field(default=None, compare=False, repr=False)
    warnings: list[Problem] = field(default_factory=list, compare=False, repr=False)
    rows: dict[str, int] = field(default_factory=dict, compare=False, repr=False)
    origin: Origin | None = field(default=None, compare=False, repr=False)

    def __reduce__(self) -> tuple[Callable[..., Entry], tuple[()]]:
        """All fields, for pickle; it cannot take the mapping that nobody can change."""
        # Not __getstate__, which Python 3.11.0 to 3.11.3 replace.
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return partial(Entry, **values | {"xattrs": dict(self.xattrs)}), ()


@dataclass(frozen=True, slots=True)
class Passed:
    """So many `entries`, and so many plain bytes `read` of them, were dealt with; `path` is one of them."""

    path: str
    entries: int
    read: int


def no_word(passed: Passed) -> None:
    """What a part does with the word of what has passed if nobody wants to hear it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A folder of a source that has not been read yet, so that another thread or process may read it.

    `entry` is the folder itself. `read()` opens it and yields its direct children in the order of their names, as
    bytes; those that are folders as parts again. It holds nothing open between two pulls, and what it cannot read
    is a Problem. None of its entries is a "hardlink": links to one file are files whose `origin` says so. Where
    `wanted` is False, the folder is an entry only if something in it is one.

    Who reads a part calls `passed` now and then, in the process of the pipeline, with what has been dealt with
    since the last call; it may raise, when the run is cancelled. It does not go with the part to another process.
    """

    entry: Entry
    read: Callable[[], Iterator[Entry | Problem | Part]]
    wanted: bool = True
    passed: Callable[[Passed], None] = field(default=no_word, compare=False, repr=False)

    def __reduce__(self) -> tuple[Callable[..., Part], tuple[()]]:
        return partial(Part, entry=self.entry, read=self.read, wanted=self.wanted), ()


@dataclass(frozen=True, slots=True)
class Share:
    """The objects of which the beginning of the id, a number, divided by `of` leaves `number` - 1.

    All shares of the same `of` together have each object exactly once, whatever is added between two of them.
    """

    number: int
    of: int

    def has(self, id: str) -> bool:
        """Whether the object of this id, in hexadecimal, belongs to it."""
        return int(id[:8], 16) % self.of == self.number - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """Why cleaning must not remove a backup, and until when (None: until it is unpinned)."""

    reason: str
    until: datetime | None = None

    def holds(self, now: datetime) -> bool:
        return self.until is None or now < self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """One restorable point in time at one destination.

    `complete` is False when its run lost something and None when nothing says how the run ended.
    `stored` counts the bytes it occupies; of one that is `shared`, a snapshot, whose bytes others may need too,
    those that its run has added. `entries`, `size` (plain bytes), `host` and `tags` are None
    until `details(backup)` has read them. `verified` is when it was last read back in full without fault;
    `damaged` says that the newest verification found bytes that are not what was written. `proven` is when a
    drill last restored all of it and found nothing wrong; `refuted` says that the newest drill did find
    something, which may be the fault of the drill's server or of its assertions as well. `pin` is there,
    expired or not, until it is unpinned. `made_by` is what the name says: of an "other" nobody knows whether
    it belongs to the pipeline, so cleaning and health checks leave it alone. The `contents` of what others
    made are unknown, and empty, until it was verified.
    """

    id: str
    name: str
    time: datetime
    contents: frozenset[Contents]
    location: str
    complete: bool | None
    stored: int
    entries: int | None = None
    size: int | None = None
    host: str | None = None
    tags: tuple[str, ...] | None = None
    verified: datetime | None = None
    damaged: bool = False
    proven: datetime | None = None
    refuted: bool = False
    pin: Pin | None = None
    made_by: MadeBy = "backupkit"
    shared: bool = False

    @property
    def extent(self) -> int:
        """By what it is compared with others: the bytes it occupies, or, of a snapshot, the plain ones it holds."""
        return self.stored if not self.shared or self.size is None else self.size

    @property
    def good(self) -> bool:
        """Nothing was lost in its run, and no integrity failure is known since."""
        return self.complete is True and not self.damaged


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup itself says of its run and of what is in it. What its format does not record is None or empty.

    `written_by` is the program with its version, and `user` who ran it. `sources` are the folders that were read,
    or what stands at the top of the backup. `problems` are those of the run; `dumps` are the entries of databases,
    with `rows` where they were counted.
    """

    written_by: str | None = None
    user: str | None = None
    began: datetime | None = None
    ended: datetime | None = None
    sources: tuple[str, ...] = ()
    problems: tuple[Problem, ...] | None = None
    dumps: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Backups, newest first, and what kept a destination from answering."""

    backups: tuple[Backup, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def of_pipelines(self) -> bool:
        """Whether any of them looks like a pipeline's, and not like an archive that somebody put there."""
        return any(backup.made_by != "other" for backup in self.backups)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How two backups differ at one path; `before` and `after` are what they have there, or None.

    "content" is a file with other bytes, whatever else of it is other; "metadata" is whatever else is restored:
    mode, owner, time, attributes, the target of a link, the number of a device. Of a folder, the time does not
    count: what was added to it or removed says it. "type" is another kind of entry.
    """

    path: str
    change: Change
    before: Entry | None
    after: Entry | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """So many entries of each kind. `size` are the plain bytes of what one of two backups has and the other not."""

    files: int = 0
    folders: int = 0
    others: int = 0
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Differing:
    """What all differences between two backups come to.

    `files` have other content, `metadata` counts entries of which only that differs, `types` those of another kind.
    """

    added: Tally
    removed: Tally
    files: int = 0
    metadata: int = 0
    types: int = 0

    @property
    def any(self) -> bool:
        """Whether anything differs."""
        both = (self.added, self.removed)
        return bool(self.files or self.metadata or self.types) or any(
            one.files or one.folders or one.others for one in both
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An entry whose path was looked for, and a backup that holds it."""

    backup: Backup
    entry: Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One and the same entry, in each of these backups, which are in the order in which it was found there."""

    entry: Entry
    backups: tuple[Backup, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What one backup holds, and what it added to those before it. Sizes are bytes.

    `restored` is what its files take once restored, files with several links once. Of what no older backup
    refers to, `added` are the plain bytes, `stored` those at the destination, compressed and sealed, and `blobs` is
    how many pieces it is.
    """

    backup: Backup
    entries: int
    restored: int
    added: int
    stored: int
    blobs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What the backups at one destination take, oldest first; one that did not answer has a problem instead.

    `restored` is what all of them take once each is restored, `deduplicated` the plain bytes of which they are
    made, and `stored` what these take at the destination. What no backup refers to, and the index, are in none.
    """

    location: str
    growth: tuple[Growth, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def entries(self) -> int:
        return sum(one.entries for one in self.growth)

    @property
    def restored(self) -> int:
        return sum(one.restored for one in self.growth)

    @property
    def deduplicated(self) -> int:
        return sum(one.added for one in self.growth)

    @property
    def stored(self) -> int:
        return sum(one.stored for one in self.growth)

    @property
    def blobs(self) -> int:
        return sum(one.blobs for one in self.growth)

    @property
    def deduplication(self) -> float | None:
        """How many times as large all would be restored as what they are made of; None if they hold nothing."""
        return self.restored / self.deduplicated if self.deduplicated else None

    @property
    def compression(self) -> float | None:
        """How many times as large that is as what is stored of it."""
        return self.deduplicated / self.stored if self.stored else None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """One object at a destination: its name there, its size in bytes, when it was written (aware)."""

    name: str
    size: int
    modified: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What pruning gave back, or would: bytes `freed` at the destination, less those that were stored anew.

    `repacked` are the bytes of what was still of use in objects that were of little, and stored anew. `unused` are
    the bytes that are left without being of use, because of the limits or because an interruption left them.
    """

    freed: int
    repacked: int = 0
    unused: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """A damaged backup, and the one that holds what is left of it, made now or earlier; None if there is none.

    `removed` says that the damaged one is gone.
    """

    damaged: Backup
    by: Backup | None
    removed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One of those that open a repository, each for a passphrase of its own. Holds no secret.

    `created`, `user` and `host` are what it says of its origin. `in_use` is the one that opened the repository now;
    `flaw` says what is wrong with one that cannot be read.
    """

    id: str
    location: str
    created: datetime | None = None
    user: str = ""
    host: str = ""
    in_use: bool = False
    flaw: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyListing:
    """The keys of all destinations, and what kept a destination from answering."""

    keys: tuple[Key, ...]
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChange:
    """What was done to the keys of one repository, and those that open it `now`."""

    added: tuple[Key, ...] = ()
    removed: tuple[Key, ...] = ()
    now: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlocked:
    """How many locks of one repository were removed, and how many left: they are held, or cannot be read."""

    removed: int = 0
    left: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Essentials:
    """What nothing of a repository can be read without, a few kilobytes, sealed as it is stored.

    `repository` is its id, `objects` are the bytes by their names at the destination; `keys` say whose each is.
    """

    repository: str
    objects: Mapping[str, bytes]
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What `Repository.write` made, and everything that went wrong on the way, in order.

    `read` is how many plain bytes were read for it, where that need not be all that it holds.
    """

    backup: Backup
    problems: tuple[Problem, ...]
    read: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of a backup that a repository was to take over: a `copy`, or an `error` that kept it from it.

    With neither, it was there already, as `there`, if the repository can tell. `stored` are the bytes that were
    stored since the one before was told.
    """

    of: Backup
    copy: Backup | None = None
    error: Exception | None = None
    stored: int = 0
    there: Backup | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """A backup that stays, and every reason for it."""

    backup: Backup
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Removed:
    """A backup that goes, and why."""

    backup: Backup
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPlan:
    """What a policy decided. Every backup it was given stands in exactly one of the two."""

    keep: tuple[Kept, ...] = ()
    remove: tuple[Removed, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryState:
    """What a health check may look at: one destination's backups of one pipeline, newest first.

    `contents` is what a full backup of the pipeline holds. `leftovers` are unfinished objects, also of runs
    that are under way.
    """

    location: str
    backups: tuple[Backup, ...]
    contents: frozenset[Contents]
    now: datetime
    leftovers: tuple[StoredObject, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationResult:
    """How an operation ended at one destination.

    "unknown" is one that was sent a whole backup and did not answer: it may have it, or not.
    `plan` is set by clean (what was, or in a dry run would be, removed and kept), `swept` names the
    leftovers of killed runs it found, `freed` counts the bytes it gave back, or would in a dry run, and `pruned`
    says what pruning had to do with it. `summary` is set by monitor: how the backups stand there. `keys` is set by
    what changes those of a repository. `repaired` are the backups that a repair found damaged. `unlocked` is set by
    what removes locks, `file` by download: where it is.
    """

    location: str
    outcome: DestinationOutcome
    backup: Backup | None = None
    plan: RetentionPlan | None = None
    swept: tuple[StoredObject, ...] = ()
    freed: int = 0
    pruned: Pruned | None = None
    summary: DestinationSummary | None = None
    keys: KeyChange | None = None
    repaired: tuple[Repaired, ...] = ()
    unlocked: Unlocked | None = None
    file: str | None = None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredDump:
    """A dump that a drill restored to a database (its URL, without the password), and how long that took."""

    path: str
    database: str
    took: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What the assertions of a drill are given: a backup, restored.

    Its files are in `folder`, under the paths that they have in the backup. `databases` holds, by the short
    name of each dump (`shop` of `db-dumps/mysql-shop.sql`), the URL to connect to, with the password, as the
    vendors' libraries take it; SQLAlchemy wants a driver in its scheme.
    """

    folder: Path
    databases: Mapping[str, str] = field(repr=False)
    backup: Backup


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How an operation ended: as a whole, and at each destination.

    `entries` and `read` count what was read (entries, plain bytes), `written` the bytes stored or restored,
    `skipped` the entries that a resumed restore found finished; they are in neither of the others. Of a copy, they
    are the backups that were there already.
    `contents` is what a run was to back up, also where it failed; empty of other operations.
    Of a drill, `restore_took` is how long all was restored, without the checks before and the assertions after,
    and `dumps` are those that went to databases.
    `problems` holds all of them, those of the destinations included. Of a `dry_run`, nothing was done; that of a
    restore counts as `entries` and `written` what would be.
    """

    operation: Operation
    outcome: Outcome
    name: str
    started: datetime
    took: timedelta
    entries: int = 0
    read: int = 0
    written: int = 0
    skipped: int = 0
    contents: frozenset[Contents] = frozenset()
    restore_took: timedelta | None = None
    dumps: tuple[RestoredDump, ...] = ()
    dry_run: bool = False
    problems: tuple[Problem, ...] = ()
    destinations: tuple[DestinationResult, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesSummary:
    """The backups of the same contents at one destination.

    `newest` is the newest good one, or None. `growth` is by how many bytes its extent is larger than that of the
    one that was the newest good one a week before now; None if there was none.
    """

    contents: frozenset[Contents]
    count: int
    stored: int
    newest: Backup | None
    oldest: Backup
    growth: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationSummary:
    """How the pipeline's backups stand at one destination. One that did not answer has a problem and no series.

    `healthy` is what the pipeline's health checks say, and `problems` what they found.
    """

    location: str
    healthy: bool
    series: tuple[SeriesSummary, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def reachable(self) -> bool:
        """Whether it answered. If it did not, nothing is known of what it holds."""
        return not any(problem.check == "Reachable" for problem in self.problems)

    @property
    def count(self) -> int:
        return sum(one.count for one in self.series)

    @property
    def stored(self) -> int:
        return sum(one.stored for one in self.series)

    @property
    def newest(self) -> Backup | None:
        """The newest good backup of any contents."""
        return max((one.newest for one in self.series if one.newest), key=lambda one: one.time, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How all of a pipeline's backups stand."""

    name: str
    time: datetime
    destinations: tuple[DestinationSummary, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationOverview:
    """What one look at a destination tells: all backups there, newest first, and how the pipeline's own stand.

    `plan` is what cleaning would do with the pipeline's own now; those of which it is not known what they hold are
    in neither half.
    """

    location: str
    time: datetime
    backups: tuple[Backup, ...]
    summary: DestinationSummary
    plan: RetentionPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What an examination found out in one step: whether it holds, in a sentence, and what to do if it does not.

    A "warning" is what a run or a restore can live with, and a person should know.
    """

    step: str
    verdict: Verdict
    message: str
    advice: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What the credentials allow at a destination; None is not known."""

    list: bool | None = None
    read: bool | None = None
    write: bool | None = None
    overwrite: bool | None = None
    delete: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """Whether a destination keeps its contract, what the credentials allow, and what it can do.

    `round_trip` is how long one short question takes, `upload` and `download` are bytes per second, and
    `clock_difference` is by how much its clock is ahead of this machine's; None where that could not be measured.
    `left` names what was written and could not be deleted again.
    """

    location: str
    time: datetime
    took: timedelta
    findings: tuple[Finding, ...]
    rights: Rights
    recommendation: str
    round_trip: timedelta | None = None
    upload: float | None = None
    download: float | None = None
    clock_difference: timedelta | None = None
    left: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether nothing was found that does not hold."""
        return all(finding.verdict != "not ok" for finding in self.findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceExamination:
    """What would keep one source from being read here: its place, its programs, its server, its rights there."""

    name: str
    took: timedelta
    findings: tuple[Finding, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing was found that does not hold."""
        return all(finding.verdict != "not ok" for finding in self.findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineExamination:
    """What would keep a pipeline from running here, its destinations apart.

    `passphrase` is empty where there is none.
    """

    name: str
    time: datetime
    sources: tuple[SourceExamination, ...]
    passphrase: tuple[Finding, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether nothing was found that does not hold."""
        return all(one.holds for one in self.sources) and all(
            finding.verdict != "not ok" for finding in self.passphrase
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What a notifier is told: what happened, to which pipeline, when.

    `report` is that of the operation; a "summary" has none. "healthy" and "unhealthy" concern one destination,
    whose result is `destination`; `since` is when it became unhealthy, and a `reminder` is told again while it
    still is. `summary` is how the backups stand after it; None if that could not be found out in time.
    """

    occasion: Occasion
    name: str
    time: datetime
    report: Report | None = None
    destination: DestinationResult | None = None
    since: datetime | None = None
    reminder: bool = False
    summary: Summary | None = None

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong, each once, errors first: at the destination concerned, or else everywhere."""
        found: Iterable[Problem] = ()
        if self.destination is not None:
            found = self.destination.problems
        elif self.report is not None:
            found = self.report.problems
        elif self.summary is not None:
            found = (problem for one in self.summary.destinations for problem in one.problems)
        return tuple(sorted(dict.fromkeys(found), key=lambda problem: problem.severity != "error"))
