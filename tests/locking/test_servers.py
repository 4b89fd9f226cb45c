"""Locks that live on a server: what comes of one that forgets, pauses, ends or refuses, and of wrong settings."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import redis
import redis.asyncio
import sqlalchemy as sa

from backupkit import BackupAlreadyRunningError, ConfigurationError, DatabaseLock, RedisLock
from backupkit.locking import leases
from backupkit.locking.names import short_name
from backupkit.protocols import Lease, Lock
from backupkit.tables import LEASES, Records
from tests import servers
from tests.servers import PASSWORD, Server, free_port
from tests.storage.certificates import self_signed

AT_ONCE = timedelta(0)
KEY = f"backupkit:lock:{short_name('shop')}"


def check_for_ever(lease: Lease) -> None:
    while True:
        lease.check()


def take(lock: Lock, name: str = "shop") -> None:
    with lock.hold(name, wait=AT_ONCE):
        pass


@contextmanager
def client_of(server: Server) -> Iterator[redis.Redis]:
    with redis.Redis(port=server.port, password=PASSWORD) as client:
        yield client


@pytest.fixture
def quick(redis_server: Server) -> str:
    """The URL of the Redis server, of which answers are not waited for long."""
    return f"{redis_server.url('0')}?socket_timeout=0.2"


@pytest.fixture
def file(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/locks.sqlite3"


def test_a_key_that_somebody_deletes_is_a_lock_that_is_lost(redis_server: Server) -> None:
    with (
        RedisLock(redis_server.url("0")).hold("shop", wait=AT_ONCE) as lease,
        client_of(redis_server) as client,
    ):
        lease.check()
        assert client.delete(KEY) == 1
        with pytest.raises(BackupAlreadyRunningError, match="somebody removed it"):
            lease.check()
        with pytest.raises(BackupAlreadyRunningError, match="somebody removed it"):
            lease.check()


def test_a_key_that_another_has_taken_is_lost_and_left_to_the_other(redis_server: Server) -> None:
    with client_of(redis_server) as client:
        with RedisLock(redis_server.url("0")).hold("shop", wait=AT_ONCE) as lease:
            client.set(KEY, "0123 web-2 (process 7)\n", ex=60)
            with pytest.raises(BackupAlreadyRunningError, match=r"taken over, by web-2 \(process 7\)\\n"):
                lease.check()
        assert client.delete(KEY) == 1


def test_a_row_that_somebody_deletes_is_a_lock_that_is_lost(file: str) -> None:
    with DatabaseLock(file).hold("shop", wait=AT_ONCE) as lease:
        lease.check()
        with Records(file, (LEASES,)).begin() as connection:
            assert connection.execute(sa.delete(LEASES)).rowcount == 1
        with pytest.raises(BackupAlreadyRunningError, match="somebody removed it"):
            lease.check()


def test_a_lease_whose_life_is_over_is_lost_although_nobody_has_it(file: str) -> None:
    with DatabaseLock(file).hold("shop", wait=AT_ONCE) as lease:
        with Records(file, (LEASES,)).begin() as connection:
            assert connection.execute(sa.update(LEASES).values(until=0)).rowcount == 1
        with pytest.raises(BackupAlreadyRunningError, match="was lost"):
            lease.check()


def test_a_connection_that_broke_is_not_taken_for_a_server_that_is_away(postgresql_server: Server) -> None:
    url = postgresql_server.url("postgres").replace("postgresql", "postgresql+psycopg", 1)
    engine = sa.create_engine(url, pool_size=1, max_overflow=0, isolation_level="READ COMMITTED")
    try:
        with DatabaseLock(engine).hold("shop", wait=AT_ONCE) as lease:
            lease.check()
            with Records(url, (LEASES,)).begin() as connection:
                assert connection.execute(sa.delete(LEASES)).rowcount == 1
                connection.execute(
                    sa.text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE datname = 'postgres' AND pid <> pg_backend_pid()"
                    )
                )
            with pytest.raises(BackupAlreadyRunningError, match="somebody removed it"):
                lease.check()
    finally:
        LEASES.drop(engine)
        engine.dispose()


@pytest.mark.parametrize("kind", ["redis", "database"])
def test_whoever_is_refused_hears_who_holds_it(redis_server: Server, file: str, kind: str) -> None:
    lock: Lock = RedisLock(redis_server.url("0")) if kind == "redis" else DatabaseLock(file)
    says = rf"'shop' is under way, by {socket.gethostname()} \(process \d+\) since 2\d{{3}}-"
    with lock.hold("shop", wait=AT_ONCE), pytest.raises(BackupAlreadyRunningError, match=says):
        take(lock)


def test_a_server_that_pauses_takes_no_lease_away_while_its_life_lasts(
    redis_server: Server, quick: str
) -> None:
    with RedisLock(quick).hold("shop", wait=AT_ONCE) as lease:
        redis_server.process.send_signal(signal.SIGSTOP)
        try:
            lease.check()
        finally:
            redis_server.process.send_signal(signal.SIGCONT)
        lease.check()


def test_a_server_that_pauses_for_longer_than_its_life_has_taken_it_away(
    redis_server: Server, quick: str
) -> None:
    with RedisLock(quick, life=timedelta(seconds=1)).hold("shop", wait=AT_ONCE) as lease:
        redis_server.process.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(BackupAlreadyRunningError, match="within its life of 1 second"):
                check_for_ever(lease)
        finally:
            redis_server.process.send_signal(signal.SIGCONT)


class Silent:
    """A place that gives its lease and answers no more."""

    location = "nowhere"

    def take(self) -> bool:
        return True

    def renew(self) -> bool:
        raise leases.NoAnswerError("There is no answer.")

    def release(self) -> None:
        pass

    def holder(self) -> None:
        pass


@pytest.mark.parametrize("clock", ["monotonic", "time"])
def test_without_an_answer_life_is_over_when_one_of_two_clocks_says_so(
    monkeypatch: pytest.MonkeyPatch, clock: str
) -> None:
    now = {
        "monotonic": 1000.0,
        "time": 2000.0,
    }  # one stands still while a machine sleeps, the other may be set back
    clocks = SimpleNamespace(monotonic=lambda: now["monotonic"], time=lambda: now["time"])
    monkeypatch.setattr(leases, "time", clocks)
    with leases.held(Silent(), "shop", life=60, wait=AT_ONCE) as lease:
        now[clock] += 59
        lease.check()
        now[clock] += 2
        with pytest.raises(BackupAlreadyRunningError, match="within its life of 60 seconds"):
            lease.check()


HELD_AND_RENEWED = """
import os, sys, threading
from datetime import timedelta
from backupkit import RedisLock
lock = RedisLock(sys.stdin.read())
if child := os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
with lock.hold("shop", wait=timedelta(0)) as lease:
    lease.check()
os._exit(0)
"""


def test_a_lock_survives_a_fork(redis_server: Server) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HELD_AND_RENEWED], input=redis_server.url("0"), text=True, check=False
    )
    assert done.returncode == 0


LEFT_BY_A_CHILD = """
import os, sys, warnings
from datetime import timedelta
from backupkit import DatabaseLock
warnings.simplefilter("ignore")  # that there are threads
class End(Exception): pass
lock = DatabaseLock(sys.argv[1])
with lock.hold("shop", wait=timedelta(0)) as lease:
    try:
        with lock.hold("blog", wait=timedelta(0)) as other:
            if child := os.fork():
                assert os.waitpid(child, 0)[1] == 0
                other.check()
            else:
                raise End
    except End:
        os._exit(0)
"""


def test_a_forked_process_that_leaves_lets_nothing_go_that_its_parent_holds(file: str) -> None:
    subprocess.run([sys.executable, "-c", LEFT_BY_A_CHILD, file], check=True)


def test_a_client_of_the_application_serves_too(redis_server: Server) -> None:
    with redis.Redis(
        unix_socket_path=str(redis_server.socket), password=PASSWORD, decode_responses=True
    ) as client:
        lock = RedisLock(client)
        assert repr(lock) == f"RedisLock('redis://{redis_server.socket}/0')"
        with lock.hold("shop", wait=AT_ONCE) as lease:
            lease.check()
            with pytest.raises(BackupAlreadyRunningError, match="under way, by"):
                take(RedisLock(redis_server.url("0")))
        assert client.ping(), "it is not ours to close"


def test_a_server_is_reached_by_its_socket(redis_server: Server) -> None:
    url = (
        redis_server.url("0").replace(f"127.0.0.1:{redis_server.port}", "", 1).replace("redis://", "unix://")
    )
    lock = RedisLock(url.removesuffix("/0") + str(redis_server.socket))
    with lock.hold("shop", wait=AT_ONCE), client_of(redis_server) as client:
        assert client.exists(KEY)


def test_tls_is_spoken_and_the_certificate_checked() -> None:
    port = free_port()
    with servers.server_folder("redis") as (folder, user):
        known = self_signed(folder)
        for file in (known.certificate, known.key):
            file.chmod(0o644)
        program = [
            *(
                "redis-server",
                "--port",
                "0",
                "--tls-port",
                str(port),
                "--tls-auth-clients",
                "no",
                "--save",
                "",
            ),
            *("--tls-cert-file", str(known.certificate), "--tls-key-file", str(known.key)),
            *("--tls-ca-cert-file", str(known.certificate)),
        ]
        with servers.running(program, user, folder) as process:
            servers.wait_for("redis", process, folder, lambda: servers.listens(port))
            take(RedisLock(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={known.certificate}"))
            with pytest.raises(ConfigurationError, match="CERTIFICATE_VERIFY_FAILED"):
                take(RedisLock(f"rediss://127.0.0.1:{port}/0"))


def test_nobody_has_a_lock_of_a_server_that_is_not_there() -> None:
    port = free_port()
    for lock in (
        RedisLock(f"redis://:hush@127.0.0.1:{port}/0"),
        DatabaseLock(f"postgresql://shop:hush@127.0.0.1:{port}/shop"),
        DatabaseLock(f"mysql://shop:hush@127.0.0.1:{port}/shop"),
        DatabaseLock("sqlite:////nowhere/locks.sqlite3"),
    ):
        with pytest.raises(ConfigurationError, match="The lock of 'shop' cannot be taken") as caught:
            take(lock)
        assert "hush" not in str(caught.value)


def test_a_wrong_password_is_told_and_not_shown(redis_server: Server) -> None:
    with pytest.raises(ConfigurationError, match="could not be used") as caught:
        take(RedisLock(f"redis://:hush@127.0.0.1:{redis_server.port}/0"))
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("server", "says"),
    [
        ("postgresql://:hush@h/shop", "is no Redis server"),
        ("hush", "This is not the URL of a database"),
        ("redis://:hush@h/0?colour=red", "'colour', which means nothing here"),
        ("redis://:hush@h/0?socket_timeout=hush", "correct its options"),
        (redis.asyncio.Redis(), "is neither the URL of a Redis server nor a redis.Redis"),
        (None, "is neither the URL of a Redis server nor a redis.Redis"),
    ],
)
def test_what_is_no_redis_server_is_refused(server: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        take(RedisLock(server))
    assert "hush" not in str(caught.value)


def test_no_database_at_all_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="names no database"):
        DatabaseLock(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("life", [timedelta(0), timedelta(seconds=0.9), timedelta(days=2), 60])
def test_a_life_that_is_not_possible_is_refused(life: timedelta) -> None:
    with pytest.raises(ConfigurationError, match="life="):
        RedisLock("redis://h", life=life)
    with pytest.raises(ConfigurationError, match="life="):
        DatabaseLock("sqlite:///locks.sqlite3", life=life)


def test_a_missing_redis_py_names_the_extra() -> None:
    program = """
import sys
sys.modules["redis"] = None
from backupkit import RedisLock
RedisLock("redis://h")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr.rstrip().endswith("RedisLock needs redis: pip install 'backupkit[redis]'")
