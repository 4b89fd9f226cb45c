"""A run that has lost its lock leaves nothing visible, in either format and anywhere, and does not begin again."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from backupkit import (
    BackupAlreadyRunningError,
    DatabaseLock,
    Directory,
    Passphrase,
    RedisLock,
    Restic,
    Retry,
)
from backupkit.destinations import leased
from backupkit.events import Event, Waiting
from backupkit.formats.restic import spreading, workers
from backupkit.protocols import Format
from backupkit.tables import LEASES, Records
from backupkit.testing.destinations import FaultyDestination, MemoryDestination
from backupkit.testing.trees import tree
from tests import servers
from tests.pipeline.shop import KiB, Make, Scripted, Step, content, down, messages, names, stored, write_fault
from tests.pipeline.snapshots import FORMAT, PASSPHRASE

FORMATS: Mapping[str, tuple[Format | None, Passphrase | None]] = {
    "archives": (None, None),
    "snapshots": (FORMAT, PASSPHRASE),
}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/locks.sqlite3"


@pytest.fixture
def take_away(url: str) -> Callable[[], None]:
    """Somebody deletes every lock."""

    def take_away() -> None:
        with Records(url, (LEASES,)).begin() as connection:
            assert connection.execute(sa.delete(LEASES)).rowcount == 1

    return take_away


@pytest.fixture(params=FORMATS)
def options(request: pytest.FixtureRequest, url: str, impatient: None) -> dict[str, Any]:
    format, passphrase = FORMATS[request.param]
    return {
        "lock": DatabaseLock(url),
        "retry": Retry(tries=3, wait=0),
        "format": format,
        "encryptor": passphrase,
    }


def test_a_run_that_lost_its_lock_leaves_no_backup_and_reads_nothing_again(
    make: Make, options: dict[str, Any], take_away: Callable[[], None]
) -> None:
    source = Scripted("app", {"app/a": [[b"a" * KiB, take_away, b"b"], [b"b"]]})
    places = MemoryDestination("first"), MemoryDestination("second")
    pipeline = make(source, places, **options)
    with pytest.raises(BackupAlreadyRunningError, match="was lost") as caught:
        pipeline.run()
    assert pipeline.list().backups == ()
    assert (source.walks, source.reads) == (1, ["app/a"])
    report = caught.value.report
    assert report is not None
    assert report.outcome == "failed"
    assert [one.outcome for one in report.destinations] == ["failed", "failed"]
    locks = [name for place in places for name in place.objects if name.startswith("locks/")]
    assert locks == [], "what is its own is removed all the same"
    assert pipeline.run().outcome == "succeeded"


def test_a_destination_that_may_be_tried_again_is_not_once_the_lock_is_lost(
    make: Make, options: dict[str, Any], take_away: Callable[[], None]
) -> None:
    source = Scripted("app", {"app/a": [[b"a", take_away]]})
    failing = FaultyDestination(MemoryDestination("second"), [write_fault(down(retryable=True), call=None)])
    with pytest.raises(BackupAlreadyRunningError, match="was lost"):
        make(source, [MemoryDestination("first"), failing], **options).run()
    assert source.walks == 1


def test_a_lock_that_is_lost_between_two_attempts_begins_no_other(
    make: Make, url: str, take_away: Callable[[], None]
) -> None:
    source = Scripted("app", {"app/a": b"a"})
    failing = FaultyDestination(MemoryDestination(), [write_fault(down(retryable=True))])

    def lose_it_while_waiting(event: Event) -> None:
        if isinstance(event, Waiting):
            take_away()

    pipeline = make(
        source,
        failing,
        lock=DatabaseLock(url),
        retry=Retry(tries=3, wait=0),
        observers=[lose_it_while_waiting],
    )
    with pytest.raises(BackupAlreadyRunningError, match="was lost"):
        pipeline.run()
    assert source.walks == 1


def test_a_destination_gets_no_copy_once_the_lock_is_lost(
    make: Make, options: dict[str, Any], take_away: Callable[[], None]
) -> None:
    last = ".complete.json" if options["format"] is None else "snapshots/"
    one = MemoryDestination("first")
    two = MemoryDestination("second")
    failing = FaultyDestination(two, [write_fault(down(retryable=True))])
    taken = threading.Event()

    class TakenAfterwards(FaultyDestination):
        """Somebody takes the lock as soon as the backup is there."""

        def write(self, name: str, *args: Any, **more: Any) -> Any:
            written = super().write(name, *args, **more)
            if last in name:
                take_away()
                taken.set()
            return written

    pipeline = make(Scripted("app", {"app/a": b"a"}), [TakenAfterwards(one, []), failing], **options)
    report = pipeline.run()
    assert taken.is_set()
    assert report.outcome == "incomplete"
    assert [one.outcome for one in report.destinations] == ["succeeded", "failed"]
    assert any("was lost" in message for message in messages(report.problems, "error"))
    assert [backup.location for backup in pipeline.list().backups] == [one.location]


def test_a_lock_is_looked_after_while_a_long_object_is_written(
    make: Make, url: str, take_away: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leased, "_OFTEN", 0.0)
    ended = threading.Event()
    noise = os.urandom(64 * KiB)
    script: list[Step] = [take_away]
    for _ in range(1000):
        script += [noise, lambda: time.sleep(0.001)]  # the thread that stores it has its turn
    script.append(ended.set)
    source = Scripted("app", {"app/a": [script]})
    with pytest.raises(BackupAlreadyRunningError, match="was lost"):
        make(source, MemoryDestination(), lock=DatabaseLock(url)).run()
    assert not ended.is_set()


# Two machines: what they have in common is the server of the lock, and the destination.
PROGRAM = """
import sys
from datetime import timedelta
from backupkit import *
url, folder = sys.stdin.readline().split()
class Waits:
    name, contents = "app", "files"
    def entries(self):
        print("reading", flush=True)
        sys.stdin.read()
        yield Entry(path="app", kind="directory")
BackupPipeline("shop", Waits(), folder, encryptor=None, lock=RedisLock(url)).run()
"""


@contextmanager
def run_elsewhere(url: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{url} {folder}\n")
        process.stdin.flush()
        assert process.stdout.readline() == "reading\n"
        yield process
        process.kill()


def test_runs_on_two_machines_exclude_each_other(
    make: Make, tmp_path: Path, redis_server: servers.Server
) -> None:
    url = redis_server.url("0")
    pipeline = make(Scripted("app", {"app/a": b"a"}), stored(tmp_path / "backups"), lock=RedisLock(url))
    with run_elsewhere(url, tmp_path / "backups") as other:
        with pytest.raises(BackupAlreadyRunningError, match=rf"\(process {other.pid}\)"):
            pipeline.run()
        other.communicate()
        assert other.returncode == 0
    assert pipeline.run().outcome == "succeeded"
    assert len(pipeline.list().backups) == 2


def test_a_run_that_takes_longer_than_the_life_of_its_lease_keeps_it(
    make: Make, tmp_path: Path, redis_server: servers.Server
) -> None:
    life = timedelta(seconds=1.5)
    lock = RedisLock(redis_server.url("0"), life=life)

    def another() -> None:
        with pytest.raises(BackupAlreadyRunningError):
            make(Scripted("app", {"app/a": b"a"}), stored(tmp_path / "backups"), lock=lock).run(
                wait=1.5 * life
            )

    source = Scripted("app", {"app/a": [[b"a", another, b"b"]]})
    pipeline = make(source, stored(tmp_path / "backups"), lock=lock)
    assert pipeline.run().outcome == "succeeded"
    assert len(pipeline.list().backups) == 1


@pytest.fixture
def server() -> Iterator[servers.Server]:
    """A Redis server that keeps its keys over a restart, and may be stopped."""
    with servers.redis(settings=["appendonly yes", "appendfsync always"]) as server:
        yield server


@contextmanager
def started_again(server: servers.Server, *options: str) -> Iterator[None]:
    """The same server, which was ended without warning, on the same port."""
    server.process.kill()
    server.process.wait()
    user = pwd.getpwuid(server.folder.stat().st_uid).pw_name if os.geteuid() == 0 else None
    program = ["redis-server", str(server.folder / "redis.conf"), *options]
    with servers.running(program, user, server.folder) as process:
        servers.wait_for("redis", process, server.folder, lambda: servers.listens(server.port))
        yield


@pytest.mark.parametrize(("keeps", "outcome"), [("yes", "succeeded"), ("no", "lost")])
def test_a_server_that_starts_again_must_have_kept_the_lock(
    make: Make, tmp_path: Path, server: servers.Server, keeps: str, outcome: str
) -> None:
    with (
        run_until_read(make, tmp_path, RedisLock(server.url("0"))) as run,
        started_again(server, "--appendonly", keeps),
    ):
        assert run() == outcome


def test_a_server_that_is_away_for_longer_than_the_life_of_a_lease_ends_the_run(
    make: Make, tmp_path: Path, server: servers.Server
) -> None:
    lock = RedisLock(f"{server.url('0')}?socket_timeout=0.2", life=timedelta(seconds=1))
    with run_until_read(make, tmp_path, lock) as run:
        server.process.send_signal(signal.SIGSTOP)
        threading.Event().wait(1.1)  # its life passes
        assert run() == "lost"
        server.process.send_signal(signal.SIGCONT)


def test_a_server_that_is_away_for_a_moment_does_not_end_the_run(
    make: Make, tmp_path: Path, server: servers.Server
) -> None:
    with run_until_read(make, tmp_path, RedisLock(f"{server.url('0')}?socket_timeout=0.2")) as run:
        server.process.send_signal(signal.SIGSTOP)
        assert run() == "succeeded"
        server.process.send_signal(signal.SIGCONT)


@contextmanager
def run_until_read(make: Make, tmp_path: Path, lock: RedisLock) -> Iterator[Callable[[], str]]:
    """A run that is in the middle of its source; what is given lets it go on, and says how that ended."""
    reading, go = threading.Event(), threading.Event()
    pipeline = make(
        Scripted("app", {"app/a": [[b"a", reading.set, go.wait, b"b"]]}),
        stored(tmp_path / "backups"),
        lock=lock,
    )
    endings: list[str] = []

    def work() -> None:
        try:
            endings.append(pipeline.run().outcome)
        except BackupAlreadyRunningError as error:
            endings.append("lost" if "was lost" in str(error) else str(error))

    def end() -> str:
        go.set()
        thread.join()
        backups = len(pipeline.list().backups)
        assert backups == (1 if endings == ["succeeded"] else 0)
        assert names(tmp_path / "backups") == [] or backups
        return endings[0]

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert reading.wait(60)
        yield end
    finally:
        go.set()
        thread.join()


def test_what_workers_store_is_not_seen_once_the_lock_is_lost(
    impatient: None,
    make: Make,
    tmp_path: Path,
    url: str,
    take_away: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[workers.Worker] = []
    start = workers._started

    def noted(setup: bytes) -> workers.Worker:
        started.append(start(setup))
        started[-1].connection.poll(10)
        return started[-1]

    monkeypatch.setattr(workers, "_started", noted)
    for limit, value in (("_WORTH", 10), ("_SOON", 0), ("_MEANWHILE", 1)):
        monkeypatch.setattr(spreading, limit, value)
    app = tree(tmp_path / "app", {f"{number}": {"a": b"a" * 100} for number in range(40)})
    source = Scripted("last", {"last": [[take_away, b"b"], [b"b"]]})
    pipeline = make(
        [Directory(app), source],
        stored(tmp_path / "backups"),
        lock=DatabaseLock(url),
        format=Restic(cache=False, workers=2),
        encryptor=PASSPHRASE,
    )
    with pytest.raises(BackupAlreadyRunningError, match="was lost"):
        pipeline.run()
    assert started
    assert pipeline.list().backups == ()
    assert pipeline.run().outcome == "succeeded"
    assert content(pipeline)["last"] == b"b"
