"""How the public names type-check. Never run: mypy in strict mode reads it.

A line that must not type-check says so with a `type: ignore` of that error, which mypy reports if it is unused.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Literal, assert_type

import backupkit
from backupkit import (
    APPLICATION_EXCLUDES,
    EVERYTHING,
    PROBLEMS,
    AppriseNotifier,
    Around,
    Backup,
    BackupKitError,
    BackupPipeline,
    Backups,
    Command,
    CountedRetention,
    DatabaseHistory,
    DatabaseLock,
    DatabaseNotifier,
    DeadManPing,
    Deflate,
    DestinationError,
    DestinationOverview,
    DestinationResult,
    Difference,
    Differing,
    Directory,
    DirectoryTarget,
    Entry,
    Examination,
    FsspecSource,
    FutureDated,
    KeepAll,
    KeepLast,
    KeepWithin,
    Kept,
    Key,
    KeyChange,
    Leftovers,
    Limits,
    Listing,
    LocalDestination,
    LoggingObserver,
    MachineLock,
    MaximumAge,
    MaximumStorage,
    MinimumCount,
    MinimumSize,
    Notification,
    Passphrase,
    Pin,
    PipelineExamination,
    PostgreSQL,
    Problem,
    ProgressObserver,
    PrometheusObserver,
    ProvenWithin,
    ReadOnly,
    RedisLock,
    Removed,
    Report,
    RepositoryState,
    Restic,
    RetentionPlan,
    Retry,
    Retrying,
    ScheduledRun,
    Simulation,
    SizeAnomaly,
    SourceError,
    SourceExamination,
    SQLite,
    Statistics,
    Store,
    StoredObject,
    Throttled,
    TieredRetention,
    VerifiedWithin,
    Version,
    WebhookNotifier,
    Zip,
    Zstd,
    all_of,
    any_of,
    examine,
    examine_pipeline,
    notifiers_from_env,
    open_destination,
    open_repository,
    plot_plan,
    plot_retention,
    simulate,
    versions_of,
)
from backupkit.events import Event
from backupkit.model import Occasion
from backupkit.protocols import (
    AsksServers,
    Chunks,
    Compressor,
    Destination,
    Encryptor,
    Examines,
    ExcludesLocations,
    ExcludesPaths,
    FansOut,
    Format,
    HasLeftovers,
    HealthCheck,
    HearsStarts,
    History,
    KeepsMinimum,
    Lease,
    Lock,
    Memory,
    Notifier,
    Observer,
    OnThisMachine,
    RetentionPolicy,
    Source,
    Target,
)
from backupkit.testing.destinations import FaultyDestination, MemoryDestination


def hear(event: Event) -> None: ...


def names() -> None:
    assert_type(backupkit.PROBLEMS, frozenset[Occasion])
    backupkit.SlackNotifier("https://hooks.slack.com/")  # type: ignore[attr-defined]  # … and of no others


def pipelines() -> None:
    smallest = BackupPipeline("shop", Directory("/srv/shop"), "/mnt/backup", encryptor=None)
    assert_type(smallest, BackupPipeline)
    full = BackupPipeline(
        "shop",
        [
            Directory(Path("/srv/shop"), name="shop", include=["*"], exclude=APPLICATION_EXCLUDES),
            SQLite("/srv/shop.db", form="sql", time_limit=timedelta(minutes=1)),
            Command(["pg_dump", Path("/x")], name="shop.sql", contents="databases", env={"PGPASSWORD": "…"}),
            Around(Directory("/srv/media")),
        ],
        ["/mnt/backup", Path("/mnt/second"), LocalDestination("/mnt/third"), open_destination("/mnt/fourth")],
        encryptor=Passphrase.from_env("BACKUP_PASSPHRASE"),
        compressor=Zstd(),
        format=Zip(),
        retention=TieredRetention(keep_all_days=7, max_size="50GB"),
        checks=[MaximumAge(days=1), MaximumStorage(50_000_000_000)],
        observers=[LoggingObserver(), ProgressObserver(), hear],
        retry=Retry(tries=3, wait=60),
        lock=MachineLock("/run/lock"),
        executor=lambda: ThreadPoolExecutor(2),
        leftovers_after=timedelta(hours=24),
        stall_limit=timedelta(minutes=2),
    )
    assert_type(full.run(), Report)
    assert_type(full.run(only="files", to="/mnt/backup", tags=["x"], wait=timedelta(1)), Report)
    assert_type(full.clean(dry_run=True), Report)
    assert_type(full.monitor(cancel=threading.Event()), Report)
    assert_type(full.contents, frozenset[Literal["files", "databases"]])

    BackupPipeline("shop", Directory("/srv"), "/mnt")  # type: ignore[call-arg]  # encryptor= must be said
    BackupPipeline("shop", "/srv", "/mnt", encryptor=None)  # type: ignore[arg-type]  # a path is no source
    full.run(only="everything")  # type: ignore[arg-type]


def notifiers() -> None:
    notifier: Notifier = AppriseNotifier("mailto://localhost", on=PROBLEMS | {"summary"}, language="ko")
    several = AppriseNotifier(
        ["slack://a/b/c", "discord://a/b"], on=["run failed"], templates=Path("/etc/shop")
    )
    assert_type(several.on, frozenset[Occasion])
    assert_type(notifiers_from_env({"BACKUP_NOTIFICATION_EMAIL": "a@example.org"}), list[AppriseNotifier])
    BackupPipeline(
        "shop",
        Directory("/srv"),
        "/mnt",
        encryptor=None,
        notifiers=[notifier, *notifiers_from_env(on=EVERYTHING)],
    )
    AppriseNotifier("mailto://localhost", on=["run finished"])  # type: ignore[list-item]


def backups(some: Backups) -> None:
    assert_type(open_repository("/mnt/backup"), Backups)
    assert_type(open_repository(Path("/mnt/backup"), "passphrase", name="shop"), Backups)
    assert_type(open_repository("/mnt/backup", legacy_time_zone="Europe/Berlin"), Backups)
    assert_type(open_repository(MemoryDestination(), Passphrase("passphrase")), Backups)
    assert_type(Backups(None, ["/mnt/backup"], encryptor=None), Backups)
    assert_type(some.list(), Listing)
    assert_type(some.list().backups, tuple[Backup, ...])
    assert_type(some.get(), Backup)
    assert_type(some.get("2026", only="databases", at="/mnt"), Backup)
    assert_type(some.details(some.get()), Backup)
    assert_type(some.entries("latest"), Iterator[Entry])
    assert_type(some.open("latest", "shop/a"), BinaryIO)
    assert_type(some.restore(to="/srv", include=["*.jpg"], overwrite=True), Report)
    assert_type(some.restore(some.get(), to=DirectoryTarget(Path("/srv"), setuid=True)), Report)
    assert_type(some.restore(to="/srv", resume=True, max_size="50GB", max_entries=10).skipped, int)
    assert_type(some.repair(quick=True, forget=True, dry_run=True), Report)
    assert_type(some.verify(), Report)
    assert_type(some.copy("all", to=some, dry_run=True), Report)
    assert_type(some.pin(reason="before the upgrade"), Backup)
    assert_type(some.pin("2026", reason="audit", until=datetime(2030, 1, 1)).pin, Pin | None)
    assert_type(some.unpin(some.get()), Backup)
    assert_type(some.keys(at="/mnt").keys, tuple[Key, ...])
    assert_type(some.add_key(Passphrase("new")).destinations[0].keys, KeyChange | None)
    assert_type(some.remove_key("5a0e2f41", at="/mnt"), Report)
    assert_type(some.change_passphrase(Passphrase("new")), Report)
    some.change_passphrase("new")  # type: ignore[arg-type]  # lest it be written down by mistake
    assert_type(some.recovery_sheet(), str)
    some.run()  # type: ignore[attr-defined]  # only a pipeline has sources


def telling(history: DatabaseHistory, notifier: DatabaseNotifier) -> None:
    keeps: History = DatabaseHistory("sqlite:////srv/records.sqlite3", keep=timedelta(days=90))
    remembers: Memory = history
    notifiers: list[Notifier] = [notifier, WebhookNotifier("https://host/", "whsec_…", on=["run failed"])]
    starts: HearsStarts = DeadManPing("https://host/", operation="verify", success_only=True)
    BackupPipeline("shop", Directory("/srv"), "/mnt", encryptor=None, history=keeps, notifiers=notifiers)
    BackupPipeline("shop", Directory("/srv"), "/mnt", encryptor=None, memory=remembers, notifiers=[starts])
    assert_type(history.reports("shop", "run", since=datetime.max, limit=None), Iterator[Report])
    assert_type(history.last("shop", "drill"), Report | None)
    assert_type(history.count(), int)
    assert_type(notifier.unread(limit=3), tuple[Notification, ...])
    assert_type(notifier.list(name="shop"), tuple[Notification, ...])
    assert_type(notifier.mark_read([1]), int)
    DatabaseNotifier(on=["run went well"])  # type: ignore[list-item]  # there is no such occasion


def nouns(backup: Backup, report: Report, plan: RetentionPlan, entry: Entry) -> None:
    assert_type(backup.time, datetime)
    assert_type(backup.contents, frozenset[Literal["files", "databases"]])
    assert_type(backup.complete, bool | None)
    assert_type(backup.good, bool)
    assert_type(report.outcome, Literal["succeeded", "incomplete", "failed"])
    assert_type(report.took, timedelta)
    assert_type(report.destinations, tuple[DestinationResult, ...])
    assert_type(report.problems[0], Problem)
    assert_type(report.destinations[0].plan, RetentionPlan | None)
    assert_type(plan.keep, tuple[Kept, ...])
    assert_type(plan.remove, tuple[Removed, ...])
    assert_type(
        entry.kind, Literal["file", "directory", "symlink", "hardlink", "fifo", "chardev", "blockdev"]
    )
    assert_type(entry.chunks(), Iterator[bytes])
    report.outcome = "succeeded"  # type: ignore[misc]  # values are frozen


def simulations(plan: RetentionPlan) -> None:
    simulation = simulate(KeepLast(7), ScheduledRun(), 365)
    assert_type(simulation, Simulation)
    assert_type(
        simulate(TheirPolicy(), [ScheduledRun("00:00", timedelta(hours=6), "databases", 10**9)], 1),
        Simulation,
    )
    assert_type(simulation.kept[0].backup, Backup)
    assert_type(simulation.kept[0].reasons, tuple[str, ...])
    assert_type(simulation.days[0].series[0].stored, int)
    assert_type(plot_retention(simulation), str)
    assert_type(plot_plan(plan, now=simulation.end), str)
    ScheduledRun(only="everything")  # type: ignore[arg-type]


def errors(error: BackupKitError, source: SourceError, destination: DestinationError) -> None:
    assert_type(error.report, Report | None)
    assert_type(source.path, str)
    assert_type(destination.location, str)
    assert_type(destination.retryable, bool)


# What is ours fills its seam.

SOURCES: list[Source] = [Directory("/srv"), SQLite("/srv/db"), Command(["true"], name="x")]
AROUND: Source = Around(SOURCES[0])
EXCLUDING: list[ExcludesPaths] = [Directory("/srv"), Around(SOURCES[0])]
APART: list[ExcludesLocations] = [
    FsspecSource("s3://media", endpoint_url="https://s3.example"),
    Around(SOURCES[0]),
]
DESTINATIONS: list[Destination] = [LocalDestination("/mnt"), MemoryDestination()]
WRAPPED: Destination = ReadOnly(Throttled(Retrying(LocalDestination("/mnt"), patience=60), "5MB"))
EXAMINED: Examination = examine(WRAPPED)
EXAMINING: list[Examines] = [Directory("/srv"), Around(SOURCES[0]), Command(["true"], name="x")]
MAY_DELETE: bool | None = EXAMINED.rights.delete
FAULTY: Destination = FaultyDestination(DESTINATIONS[0])
LOCAL: OnThisMachine = LocalDestination("/mnt")
LEAVING: HasLeftovers = LocalDestination("/mnt")
COMPRESSORS: list[Compressor] = [Store(), Deflate(), Zstd()]
TARGET: Target = DirectoryTarget("/srv")
FORMAT: Format = Zip()
SNAPSHOTS: FansOut = Restic(create=False)
LOCK: Lock = MachineLock()
LOCKS: list[Lock] = [RedisLock("redis://h", life=timedelta(minutes=5)), DatabaseLock("postgresql://h/shop")]
LIMITS = Limits({"s3://backups": 4}, lock=LOCK)
ASKING: AsksServers = PostgreSQL("postgresql://h/shop")


def in_turn() -> None:
    with LOCK.hold("shop", wait=timedelta(0)) as lease, LIMITS.hold(DESTINATIONS, SOURCES):
        held: Lease = lease
        held.check()


POLICIES: list[RetentionPolicy] = [KeepAll(), KeepLast(3), TieredRetention(), KeepWithin(days=30, hours=1.5)]
COUNTING: RetentionPolicy = CountedRetention(last=3, daily=7, once=True)
COMBINED: list[RetentionPolicy] = [any_of(*POLICIES), all_of(COUNTING, KeepLast(3))]
ALWAYS_KEEPING: list[KeepsMinimum] = [
    TieredRetention(),
    KeepWithin(days=1),
    CountedRetention(daily=1),
    any_of(KeepAll()),
]
CHECKS: list[HealthCheck] = [MaximumAge(days=1), MaximumStorage("1GB")]
MORE_CHECKS: list[HealthCheck] = [FutureDated(), Leftovers(older_than=timedelta(hours=48))]
MINIMUMS: list[HealthCheck] = [MinimumCount(7), MinimumSize("1MB", contents="databases")]
SIZES: HealthCheck = SizeAnomaly(contents="files", last=20, least=5, factor=2, severity="warning")
PROOFS: list[HealthCheck] = [VerifiedWithin(7), ProvenWithin(days=30, contents="databases")]
OBSERVERS: list[Observer] = [
    LoggingObserver(),
    ProgressObserver(),
    PrometheusObserver(textfile="x.prom"),
    hear,
]


# What is theirs fits in.


class TheirSource:
    """A third party's: a class attribute fills a property of the protocol, and a narrower result is fine."""

    def __init__(self) -> None:
        self.name = "theirs"
        self.contents: Literal["files", "databases"] = "files"

    def entries(self) -> Iterator[Entry]:
        yield Entry(path="theirs", chunks=lambda: iter([b"x"]))


class TheirDestination:
    location = "their:place"

    def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
        raise NotImplementedError

    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        raise NotImplementedError

    def stat(self, name: str) -> StoredObject:
        raise NotImplementedError

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        raise NotImplementedError

    def delete(self, name: str) -> None:
        raise NotImplementedError


def looking(backups: Backups, pipeline: BackupPipeline) -> None:
    comparison = pipeline.diff("2026-03-01", folder=("shop", "srv/shop"), other=backups)
    for difference in comparison:
        assert_type(difference, Difference)
    assert_type(comparison.so_far, Differing)
    assert_type(versions_of(backups.find("*.csv", "x", ignore_case=True)), Mapping[str, Sequence[Version]])
    assert_type(backups.statistics(at="here"), Sequence[Statistics])
    assert_type(pipeline.overview(at="here"), Sequence[DestinationOverview])


class TheirEncryptor:
    scheme = "theirs"

    def encrypt(self, chunks: Chunks) -> Iterator[bytes]:
        yield from chunks

    def decrypt(self, chunks: Chunks) -> Iterator[bytes]:
        yield from chunks


class TheirPolicy:
    def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
        return RetentionPlan(keep=tuple(Kept(backup, ("why not",)) for backup in backups))


class TheirCheck:
    def problems(self, state: RepositoryState) -> Iterable[Problem]:
        return [Problem(message="never happy", severity="warning")]


ENCRYPTOR: Encryptor = TheirEncryptor()
PIPELINE = BackupPipeline(
    "shop",
    [TheirSource(), Directory("/srv")],
    [TheirDestination(), "/mnt"],
    encryptor=ENCRYPTOR,
    retention=TheirPolicy(),
    checks=[TheirCheck()],
)
LOOKED_AT: PipelineExamination = examine_pipeline(PIPELINE)
SOURCE_LOOKED_AT: SourceExamination = LOOKED_AT.sources[0]
