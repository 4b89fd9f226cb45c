"""A shop with a past: two pipelines whose backups of some months were made, cleaned and drilled by our clock."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from backupkit import (
    Backup,
    BackupKitError,
    BackupPipeline,
    Command,
    DatabaseHistory,
    Directory,
    LocalDestination,
    MachineLock,
    MaximumAge,
    Passphrase,
    ProvenWithin,
    SizeAnomaly,
    SQLite,
)
from backupkit.model import Contents
from backupkit.notifiers.database import DatabaseNotifier
from backupkit.scheduling import Schedule, Scheduled

NOW = datetime(2026, 3, 18, 9, 12, tzinfo=UTC)  # a Wednesday
DISK, BUCKET = "file:///mnt/backup", "s3://shop-backups"
_DAYS = 90
_PIECE = 4096  # bytes
# While the file is there, it goes on and on, a kilobyte at a time.
_STOCK = 'echo pear,5; while [ -e "$1" ]; do printf "%01000d\\n" 7; sleep 0.1; done'
_WEEKLY = (Scheduled("5 4 * * 0", "clean"), Scheduled("20 4 * * 0", "drill"))


class Clock:
    """Stands where it was put, `step` further each time that it is asked, until it is let go from there."""

    def __init__(self) -> None:
        self.step = timedelta(seconds=20)
        self._time = NOW
        self._let_go: float | None = None
        self._lock = threading.Lock()

    def __call__(self) -> datetime:
        with self._lock:
            if self._let_go is not None:
                return self._time + timedelta(seconds=time.monotonic() - self._let_go)
            self._time += self.step
            return self._time

    def put(self, time: datetime) -> None:
        self._time = time

    def let_go(self) -> None:
        self._let_go = time.monotonic()


class Called(LocalDestination):
    """A folder that is called by another address, so that no page shows a path of this machine.

    While there is `slow`, what is read comes in small pieces, which take their time.
    """

    def __init__(self, folder: Path, location: str, slow: Path) -> None:
        super().__init__(folder)
        self._called, self._slow = location, slow

    @property
    def location(self) -> str:
        return self._called

    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        for chunk in super().read(name, start=start, length=length):
            for place in range(0, len(chunk), _PIECE):
                if self._slow.exists():
                    time.sleep(0.05)
                yield chunk[place : place + _PIECE]


class Shop:
    """What is backed up, where to, and the two pipelines that do it."""

    def __init__(self, root: Path) -> None:
        self.root, self.clock = root, Clock()
        self.uploads, self.database = root / "uploads", root / "shop.sqlite3"
        self.letters = root / "newsletter.sqlite3"
        self._hold, self._slow = root / "hold", root / "slow"
        stock = ["sh", "-c", _STOCK, "sh", str(self._hold)]
        self.disk, self.bucket, self.state = root / "disk", root / "bucket", root / "state"
        self.other = root / "other"  # where somebody may restore to
        for folder in (self.uploads, self.disk, self.bucket, self.state):
            folder.mkdir(parents=True)
        for database in (self.database, self.letters):
            with _open(database) as connection:
                connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, what BLOB)")
        records = f"sqlite:///{self.state / 'records.sqlite3'}"
        self.history, self.kept = DatabaseHistory(records), DatabaseNotifier(records)
        disk, bucket = (
            Called(folder, location, self._slow)
            for folder, location in ((self.disk, DISK), (self.bucket, BUCKET))
        )
        lock = MachineLock(root)  # another shop of this machine has the same addresses
        passphrase = Passphrase("correct horse battery staple orbit")
        self.shop = BackupPipeline(
            "shop",
            [
                Directory(self.uploads),
                SQLite(self.database),
                Command(stock, name="stock.csv", contents="files"),
            ],
            [disk, bucket],
            encryptor=passphrase,
            checks=(MaximumAge(days=1), ProvenWithin(days=8), SizeAnomaly()),
            history=self.history,
            notifiers=[self.kept],
            clock=self.clock,
            lock=lock,
        )
        self.newsletter = BackupPipeline(
            "newsletter",
            SQLite(self.letters),
            [bucket],
            encryptor=passphrase,
            history=self.history,
            notifiers=[self.kept],
            clock=self.clock,
            lock=lock,
        )
        self.pipelines = (self.shop, self.newsletter)
        nightly = Scheduled("0 3 * * *", "run")
        self.schedule = {
            "shop": Schedule([nightly, Scheduled("0 6,9,12,18 * * *", "run", only="databases"), *_WEEKLY]),
            "newsletter": Schedule([nightly, *_WEEKLY]),
        }

    def live(self) -> None:
        """Have its past, up to NOW, when its clock is let go."""
        for ago in range(_DAYS, -1, -1):
            self._day((NOW - timedelta(days=ago)).replace(hour=0, minute=0), ago)
        self.clock.put(NOW)
        self.clock.step = timedelta(0)
        old = [one.id for one in self.kept.list(limit=None) if one.time < NOW - timedelta(days=2)]
        self.kept.mark_read(old)

    def newest(self, *contents: Contents) -> Backup:
        """The newest good backup on the disk, of files and databases if nothing else is said."""
        wanted = {*(contents or ("files", "databases"))}
        there = (one for one in self.shop.list().backups if one.location == DISK and one.good)
        return max((one for one in there if one.contents == wanted), key=lambda one: one.time)

    @contextmanager
    def held(self) -> Iterator[None]:
        """What a run reads last goes on and on."""
        with _there(self._hold):
            yield

    @contextmanager
    def slow(self) -> Iterator[None]:
        """What is read from a destination takes seconds."""
        with _there(self._slow):
            yield

    def _day(self, day: datetime, ago: int) -> None:
        dice = random.Random(ago)
        (self.uploads / f"{day:%Y-%m}").mkdir(exist_ok=True)
        photo = self.uploads / f"{day:%Y-%m}" / f"{day:%d}.jpg"
        photo.write_bytes(dice.randbytes(dice.randrange(2_000, 6_000)))
        with _open(self.database) as connection:
            connection.execute("INSERT INTO orders (what) VALUES (?)", [dice.randbytes(300)])
        self.clock.put(day.replace(hour=3))
        if ago == 24:  # a night on which nothing was done
            return
        if ago == 12:
            (self.uploads / "all-orders.csv").write_bytes(dice.randbytes(900_000))
        if ago == 11:
            (self.uploads / "all-orders.csv").unlink()
        without = {17: [self.bucket], 5: [self.disk, self.bucket], 9: [self.database]}.get(ago, [])
        with gone(*without), suppress(BackupKitError, ExceptionGroup):
            self.shop.run()
        if ago == 30:
            self.shop.pin("latest", reason="before the move to the new shop")
        if ago > 3:  # and since then, never
            self.newsletter.run()
        if ago < 4:
            for hour in (6, 9, 12, 18) if ago else (6, 9):
                self.clock.put(day.replace(hour=hour))
                self.shop.run(only="databases")
        if day.weekday() == 6:
            self.clock.put(day.replace(hour=4, minute=5))
            self.shop.clean()
            self.newsletter.clean()
            for location in (DISK, BUCKET):
                self.shop.drill(at=location, scratch=self.state)
        if ago == 0:
            self.clock.put(day.replace(hour=9, minute=5))
            for pipeline in self.pipelines:
                pipeline.monitor()


@contextmanager
def _there(file: Path) -> Iterator[None]:
    file.touch()
    try:
        yield
    finally:
        file.unlink()


@contextmanager
def _open(database: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(database)
    try:
        with connection:
            yield connection
    finally:
        connection.close()


@contextmanager
def gone(*paths: Path) -> Iterator[None]:
    """Without these, as if a disk were not mounted."""
    for path in paths:
        path.rename(path.with_name(f"{path.name}.gone"))
    try:
        yield
    finally:
        for path in paths:
            path.with_name(f"{path.name}.gone").rename(path)
