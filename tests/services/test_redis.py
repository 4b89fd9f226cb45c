"""Redis servers that run here: dumped while they are written to, restored, compared key by key."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from backupkit import BackupPipeline, Passphrase
from backupkit.databases.programs import ClientError
from backupkit.databases.redis import RedisClient
from backupkit.databases.urls import parse_database_url
from backupkit.errors import IntegrityError, RestoreError, SourceError
from backupkit.model import Entry
from backupkit.protocols import Source
from backupkit.sources.redis import Redis
from backupkit.targets import _redis_master
from backupkit.targets.database import DatabaseTarget
from backupkit.testing.sources import SourceTests
from tests import servers
from tests.servers import PASSWORD, Server
from tests.tools import require_tool

pytestmark = pytest.mark.services

QUICK = ["repl-diskless-sync-delay 0", "enable-debug-command yes"]
MEGABYTE = 1 << 20
LIBRARY = "#!lua name=mylib\nredis.register_function('answer', function(keys, args) return 42 end)"


@pytest.fixture(scope="module")
def origin() -> Iterator[Server]:
    """What is dumped."""
    with servers.redis(settings=QUICK) as server:
        yield server


@pytest.fixture(scope="module")
def other() -> Iterator[Server]:
    """What is restored to."""
    with servers.redis(settings=QUICK) as server:
        yield server


@pytest.fixture(autouse=True)
def _empty(origin: Server, other: Server) -> None:
    for server in (origin, other):
        with connected(server) as connection:
            connection.flushall()
            connection.function_flush()


@contextmanager
def connected(server: Server, db: int = 0) -> Iterator[Any]:
    with closing(redis.Redis(port=server.port, password=server.password, db=db, protocol=2)) as connection:
        yield connection


def fill(server: Server) -> None:
    """Something of every type, in every encoding, in several databases."""
    with connected(server) as db:
        db.set("text", "snow ☃")
        db.set(b"binary \0\xff\r\n key", bytes(range(256)))
        db.set("number", 1234567890123)
        db.set("long", b"abc" * 50_000)
        db.set("big", os.urandom(3 * MEGABYTE))
        db.set("expires", "later", px=86_400_000)
        db.setbit("bits", 100_000, 1)
        db.pfadd("hyperloglog", *range(3000))
        db.rpush("short list", 1, "two", b"\xff")
        db.rpush("long list", *[f"item {n}" * 20 for n in range(2000)])
        db.sadd("numbers", *range(400))
        db.sadd("short set", "a", "b")
        db.sadd("long set", *[f"member {n}" for n in range(2000)])
        db.hset("short hash", mapping={"field": "value", "f\0": b"\xfe"})
        db.hset("long hash", mapping={f"field {n}": "v" * 100 for n in range(1000)})
        db.zadd("short ranking", {"a": 1.5, "b": float("-inf"), "c": float("inf")})
        db.zadd("long ranking", {f"member {n}": n / 3 for n in range(1000)})
        db.geoadd("places", (13.361389, 38.115556, "Palermo"))
        for n in range(300):
            db.xadd("stream", {"n": n, "text": "x" * 50}, id=f"{n + 1}-0")
        db.xgroup_create("stream", "readers", id="0")
        db.xreadgroup("readers", "alice", {"stream": ">"}, count=10)
        db.xack("stream", "readers", "1-0", "2-0")
        db.xdel("stream", "5-0")
        db.function_load(LIBRARY)
    with connected(server, 9) as db:
        db.set("ninth", 9)
        db.set("ninth that expires", 9, ex=86_400)


def everything(server: Server) -> dict[object, object]:
    """Each key of each database, as the server itself serializes it, with when it expires."""
    found: dict[object, object] = {}
    for number in range(16):
        with connected(server, number) as db:
            for key in db.keys():  # noqa: SIM118 - this asks the server
                kind = db.type(key)
                found[number, key] = (kind, db.execute_command("PEXPIRETIME", key), content(db, kind, key))
    with connected(server) as db:
        found["functions"] = db.execute_command("FUNCTION", "DUMP")
        found["digest"] = db.execute_command("DEBUG", "DIGEST")
    return found


def content(db: Any, kind: bytes, key: bytes) -> object:
    match kind:
        case b"string" | b"list":
            return db.dump(key)
        case b"set":
            return sorted(db.smembers(key))
        case b"hash":
            return sorted(db.hgetall(key).items())
        case b"zset":
            return db.zrange(key, 0, -1, withscores=True)
        case b"stream":
            groups = db.xinfo_groups(key)
            pending = [db.xpending_range(key, g["name"], "-", "+", 1000) for g in groups]
            for one in pending[0] if pending else []:
                one.pop("time_since_delivered")
            return db.xrange(key), groups, pending, db.xinfo_stream(key)["last-generated-id"]
    raise AssertionError(kind)


def dump_of(url: str, **options: Any) -> Entry:
    (entry,) = Redis(url, **options).entries()
    return kept(entry)


def kept(entry: Entry) -> Entry:
    """The same entry with its content read once: reading it again would make another dump."""
    chunks = list(entry.chunks())
    return Entry(path=entry.path, chunks=lambda: iter(chunks), rows=entry.rows)


def bytes_of(entry: Entry) -> bytes:
    return b"".join(entry.chunks())


def entry_of(content: bytes) -> Entry:
    return Entry(path="db-dumps/redis-shop.rdb", chunks=lambda: iter([content[:1000], content[1000:]]))


def restore(entry: Entry, url: str, *, overwrite: bool = False) -> None:
    target = DatabaseTarget(url, overwrite=overwrite)
    assert list(target.check([entry])) == []
    assert list(target.write([entry])) == []


def assert_it_leads_with_its_own_settings(server: Server) -> None:
    with connected(server) as db:
        assert db.info("replication")["role"] == "master"
        assert db.config_get("repl-diskless-load") == {"repl-diskless-load": "disabled"}
        db.set("may be written", 1)


class TestRedisSource(SourceTests):
    @pytest.fixture
    def source(self, origin: Server) -> Source:
        with connected(origin) as db:
            db.set("key", "value")
        return Redis(origin.url())

    @pytest.fixture
    def failing_source(self, origin: Server) -> Source:
        return Redis(origin.url(password="wrong"))

    def test_content_reads_the_same_twice(self, source: Source) -> None:
        """But for the time and the use of memory, which a server writes into each dump."""
        (entry,) = source.entries()
        assert isinstance(entry, Entry)
        assert len(bytes_of(entry)) == pytest.approx(len(bytes_of(entry)), abs=20)

    def test_content_can_be_read_when_the_next_entry_has_been_pulled(self, source: Source) -> None:
        assert len(list(source.entries())) == 1


def test_what_was_dumped_comes_back_equal(origin: Server, other: Server) -> None:
    fill(origin)
    restore(dump_of(origin.url()), other.url())
    assert everything(other) == everything(origin)
    assert_it_leads_with_its_own_settings(other)


def test_a_pipeline_backs_it_up_and_restores_it_and_shows_no_password(
    origin: Server, other: Server, tmp_path: Path
) -> None:
    fill(origin)
    pipeline = BackupPipeline(
        "cache", Redis(origin.url(), name="cache", count_rows=True), tmp_path, encryptor=Passphrase("word")
    )
    reports = [pipeline.run(), pipeline.restore(to=other.url())]
    assert [report.outcome for report in reports] == ["succeeded", "succeeded"]
    assert everything(other) == everything(origin)
    (entry,) = pipeline.entries("latest")
    assert entry.rows == {"db0": 18, "db9": 1}
    assert PASSWORD not in repr([*reports, pipeline])


def test_a_stock_server_started_on_the_file_has_the_same_data(origin: Server) -> None:
    fill(origin)
    folder = Path(tempfile.mkdtemp(prefix="bk-rdb-", dir="/tmp"))
    try:
        file = folder / "restored.rdb"
        file.write_bytes(bytes_of(dump_of(origin.url())))
        subprocess.run(
            [require_tool("redis-cli").with_name("redis-check-rdb"), file], check=True, capture_output=True
        )
        folder.chmod(0o777)
        file.chmod(0o666)
        with servers.redis(settings=[*QUICK, f"dir {folder}", "dbfilename restored.rdb"]) as stock:
            assert everything(stock) == everything(origin)
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("diskless", ["yes", "no"])
def test_a_dump_is_one_moment_of_all_databases_while_they_are_written(
    origin: Server, other: Server, diskless: str
) -> None:
    with connected(origin) as db:
        db.config_set("repl-diskless-sync", diskless)
        db.execute_command("DEBUG", "POPULATE", 20_000, "filler", 500)
    stop, wrote = threading.Event(), threading.Event()

    def write() -> None:
        with connected(origin) as db:
            number = 0
            while not stop.is_set():
                number += 1
                with db.pipeline(transaction=True) as together:
                    together.incr("a").rpush("list", number).execute_command("SELECT", 3)
                    together.incr("b").execute_command("SELECT", 0)
                    together.execute()
                if number == 50:
                    wrote.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        wrote.wait()
        with connected(origin) as db:
            before = int(db.get("a"))
        dump = dump_of(origin.url())
    finally:
        stop.set()
        writer.join()
        with connected(origin) as db:
            db.config_set("repl-diskless-sync", "yes")
    restore(dump, other.url())
    with connected(other) as db, connected(other, 3) as third:
        count = int(db.get("a"))
        assert count >= before
        assert int(third.get("b")) == count
        assert db.lrange("list", 0, -1) == [str(n).encode() for n in range(1, count + 1)]


def test_keys_that_never_expire_are_counted_as_the_restored_server_counts_them(
    origin: Server, other: Server
) -> None:
    fill(origin)
    dump = dump_of(origin.url(), count_rows=True)
    restore(dump, other.url())
    assert dump.rows == RedisClient(parse_database_url(other.url())).count_rows()
    assert dump.rows == {"db0": 18, "db9": 1}


def test_a_server_that_is_not_empty_is_refused_and_then_replaced(origin: Server, other: Server) -> None:
    fill(origin)
    with connected(other, 5) as db:
        db.set("old", 1)
    dump = dump_of(origin.url())
    (problem,) = DatabaseTarget(other.url()).check([dump])
    assert "not empty" in problem.message
    restore(dump, other.url(), overwrite=True)
    assert everything(other) == everything(origin)


def test_functions_alone_count_as_content(other: Server) -> None:
    client = RedisClient(parse_database_url(other.url()))
    assert client.state() == "empty"
    with connected(other) as db:
        db.function_load(LIBRARY)
    assert client.state() == "filled"
    client.drop()
    assert client.state() == "empty"


def test_an_empty_server_is_dumped_and_restored(origin: Server, other: Server) -> None:
    with connected(other) as db:
        db.set("old", 1)
    restore(dump_of(origin.url()), other.url(), overwrite=True)
    assert everything(other) == everything(origin)


def test_a_server_that_keeps_an_append_only_file_still_has_the_data_after_a_restart(origin: Server) -> None:
    fill(origin)
    with servers.redis(settings=[*QUICK, "appendonly yes"]) as durable:
        restore(dump_of(origin.url()), durable.url())
        with connected(durable) as db:
            while db.info("persistence")["aof_rewrite_in_progress"]:
                pass
            db.execute_command("DEBUG", "LOADAOF")
        assert everything(durable) == everything(origin)


def test_a_server_that_would_give_its_own_master_a_password_is_restored_to(origin: Server) -> None:
    fill(origin)
    with servers.redis(settings=[*QUICK, "masterauth hidden", "masteruser somebody"]) as follower:
        restore(dump_of(origin.url()), follower.url())
        assert everything(follower) == everything(origin)


def test_a_socket_leads_to_the_server(origin: Server, other: Server) -> None:
    fill(origin)
    secret = origin.url().split("@127")[0]
    dump = dump_of(f"{secret}@/?unix_socket={origin.socket}")
    assert dump.path == "db-dumps/redis-server.rdb"
    restore(dump, f"{secret}@/?unix_socket={other.socket}")
    assert everything(other) == everything(origin)


def test_a_server_is_known_again_by_whatever_name(origin: Server, other: Server) -> None:
    secret = origin.url().split("@127")[0]
    one = RedisClient(parse_database_url(origin.url()))
    names = [f"{secret}@localhost:{origin.port}/3", f"{secret}@/?unix_socket={origin.socket}"]
    for name in names:
        assert one.is_same_server(RedisClient(parse_database_url(name)))
    assert not one.is_same_server(RedisClient(parse_database_url(other.url())))


def test_what_others_write_while_the_dump_is_read_through_stays(origin: Server, other: Server) -> None:
    fill(origin)
    content = bytes_of(dump_of(origin.url()))

    def chunks() -> Iterator[bytes]:
        with connected(other) as db:
            db.set("written meanwhile", 1)
        yield content

    with pytest.raises(RestoreError, match="not empty, by now"):
        restore(Entry(path="db-dumps/redis-shop.rdb", chunks=chunks), other.url())
    with connected(other) as db:
        assert db.keys() == [b"written meanwhile"]


def test_a_user_with_just_the_rights_that_are_told_is_enough(origin: Server, other: Server) -> None:
    fill(origin)
    with connected(origin) as db:
        db.execute_command("ACL", "SETUSER", "dumper", "on", f">{PASSWORD}", "+sync", "+replconf")
    with connected(other) as db:
        rights = ["+replicaof", "+config", "+info", "+function"]
        db.execute_command("ACL", "SETUSER", "restorer", "on", f">{PASSWORD}", *rights)
    restore(dump_of(origin.url(user="dumper")), other.url(user="restorer"))
    assert everything(other) == everything(origin)


def test_a_user_without_the_rights_is_told_which(origin: Server, other: Server) -> None:
    for server in (origin, other):
        with connected(server) as db:
            db.execute_command("ACL", "SETUSER", "reader", "on", ">short", "+info", "+function", "+config")
    with pytest.raises(SourceError, match=r"may not do all that this needs.*\+sync"):
        dump_of(origin.url(user="reader", password="short"))
    with pytest.raises(RestoreError, match=r"may not do all that this needs.*\+replicaof"):
        restore(dump_of(origin.url()), other.url(user="reader", password="short"))
    assert_it_leads_with_its_own_settings(other)


def test_tls_is_spoken_and_its_certificate_checked(tmp_path: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="bk-tls-", dir="/tmp"))
    try:
        certificate, key = make_certificate(folder)
        port = servers.free_port()
        files = [f"tls-cert-file {certificate}", f"tls-key-file {key}", f"tls-ca-cert-file {certificate}"]
        settings = [*QUICK, f"tls-port {port}", "tls-auth-clients no", *files]
        with servers.redis(settings=settings) as server:
            fill(server)
            secret = server.url().split("@127")[0].replace("redis:", "rediss:")
            url = f"{secret}@127.0.0.1:{port}?ssl_ca_certs={certificate}"
            restore(dump_of(url), url, overwrite=True)
            with pytest.raises(SourceError, match="certificate"):
                dump_of(f"{secret}@127.0.0.1:{port}")
            with connected(server) as db:
                db.config_set("tls-replication", "yes")
            with pytest.raises(RestoreError, match="by TLS only"):
                restore(dump_of(url), url, overwrite=True)
    finally:
        shutil.rmtree(folder)


def make_certificate(folder: Path) -> tuple[Path, Path]:
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755)
    return folder / "cert.pem", folder / "key.pem"


def test_a_wrong_password_is_told_and_not_shown(origin: Server) -> None:
    with pytest.raises(SourceError, match="refused the user or the password") as raised:
        dump_of(origin.url(password="wrong-s3cret"))
    assert "wrong-s3cret" not in str(raised.value)
    with pytest.raises(RestoreError, match="refused the user or the password"):
        list(DatabaseTarget(origin.url(password="wrong")).write([entry_of(b"REDIS0009")]))
    (problem,) = DatabaseTarget(origin.url(password="wrong")).check([entry_of(b"")])
    assert "refused the user or the password" in problem.message


def test_a_server_that_is_not_there_is_told() -> None:
    url = f"redis://127.0.0.1:{servers.free_port()}"
    with pytest.raises(SourceError, match="cannot be reached"):
        dump_of(url)
    with pytest.raises(RestoreError, match="cannot be reached"):
        list(DatabaseTarget(url).write([entry_of(b"REDIS0009")]))


def children(name: str) -> list[int]:
    """The processes of that name that this one has started."""
    found = []
    for process in filter(str.isdecimal, os.listdir("/proc")):
        try:
            head, _, rest = Path(f"/proc/{process}/stat").read_text().rpartition(")")
        except OSError:
            continue
        if head.endswith(f"({name}") and int(rest.split()[1]) == os.getpid():
            found.append(int(process))
    return found


def test_a_dump_whose_client_is_killed_is_an_error_and_its_password_was_nowhere(origin: Server) -> None:
    with connected(origin) as db:
        db.config_set("rdbcompression", "no")
        db.execute_command("DEBUG", "POPULATE", 40, "big", MEGABYTE)
    (entry,) = Redis(origin.url()).entries()
    chunks = entry.chunks()
    next(chunks)
    (client,) = children("redis-cli")
    for file in ("cmdline", "environ"):
        assert PASSWORD.encode()[:8] not in Path(f"/proc/{client}/{file}").read_bytes()
    os.kill(client, signal.SIGKILL)
    with pytest.raises(SourceError, match="SIGKILL") as raised:
        list(chunks)
    assert raised.value.retryable
    with connected(origin) as db:
        db.config_set("rdbcompression", "yes")


def test_a_server_that_is_killed_while_it_is_dumped_is_told() -> None:
    with servers.redis(settings=[*QUICK, "rdbcompression no"]) as server:
        with connected(server) as db:
            db.execute_command("DEBUG", "POPULATE", 40, "big", MEGABYTE)
        (entry,) = Redis(server.url()).entries()
        chunks = entry.chunks()
        next(chunks)
        # The child that makes the dump would finish it alone.
        for process in [*forks_of(server.process.pid), server.process.pid]:
            os.kill(process, signal.SIGKILL)
        server.kill()
        with pytest.raises(SourceError, match="went away in the middle"):
            list(chunks)


def forks_of(parent: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def test_a_replica_without_its_master_says_so(origin: Server) -> None:
    settings = [*QUICK, f"replicaof 127.0.0.1 {servers.free_port()}", "replica-serve-stale-data yes"]
    with servers.redis(settings=settings) as replica:
        with pytest.raises(SourceError, match="lost its master"):
            dump_of(replica.url())
        with pytest.raises(RestoreError, match="is a replica"):
            restore(dump_of(origin.url()), replica.url())


def test_a_member_of_a_cluster_is_refused(origin: Server) -> None:
    bus = f"cluster-port {servers.free_port()}"  # else it is 10000 above the server's, which may be too high
    with servers.redis(settings=[*QUICK, "cluster-enabled yes", bus]) as member:
        dump_of(member.url())
        with pytest.raises(RestoreError, match="part of a cluster"):
            restore(dump_of(origin.url()), member.url())


@pytest.mark.parametrize("command", ["REPLICAOF", "CONFIG"])
def test_a_service_that_has_not_the_commands_is_told(origin: Server, command: str) -> None:
    dump = dump_of(origin.url())
    with (
        servers.redis(settings=[*QUICK, f'rename-command {command} ""']) as managed,
        pytest.raises(RestoreError, match="does not have a command"),
    ):
        restore(dump, managed.url())


@pytest.fixture
def filled(origin: Server, other: Server) -> Iterator[bytes]:
    """A dump, and a server with something that has to stay; afterwards it is looked whether it did."""
    fill(origin)
    with connected(other) as db:
        db.set("kept", "whole")
    before = everything(other)
    yield bytes_of(dump_of(origin.url()))
    assert everything(other) == before
    assert_it_leads_with_its_own_settings(other)


def test_a_dump_that_breaks_off_leaves_what_was_there(filled: bytes, other: Server) -> None:
    def chunks() -> Iterator[bytes]:
        yield filled[: len(filled) // 2]
        raise ConnectionResetError("the archive went away")

    with pytest.raises(ConnectionResetError):
        restore(Entry(path="db-dumps/redis-shop.rdb", chunks=chunks), other.url(), overwrite=True)


def test_a_dump_that_breaks_off_anywhere_leaves_what_was_there(filled: bytes, other: Server) -> None:
    for at in range(100, len(filled) - 60, len(filled) // 12):

        def chunks(at: int = at) -> Iterator[bytes]:
            yield filled[:at]
            raise ConnectionResetError("the archive went away")

        with pytest.raises(ConnectionResetError):
            restore(Entry(path="db-dumps/redis-shop.rdb", chunks=chunks), other.url(), overwrite=True)


def test_a_dump_that_ends_too_early_leaves_what_was_there(filled: bytes, other: Server) -> None:
    with pytest.raises(RestoreError, match="ends too early"):
        restore(entry_of(filled[:-5000]), other.url(), overwrite=True)


@pytest.mark.parametrize("holding", [True, False])
def test_a_dump_that_was_damaged_in_its_archive_never_reaches_the_server(holding: bool) -> None:
    def chunks() -> Iterator[bytes]:
        """What an archive gives: it finds out about the damage when all of the entry has passed."""
        yield b"REDIS0009"
        for _ in range(20):
            yield b"\x99" * MEGABYTE
        raise IntegrityError("it is not what was stored", where="an archive")

    with servers.redis(settings=QUICK) as server:  # not one that is shared: it may end itself
        with connected(server) as db:
            if holding:
                db.set("precious", "on no disk")
        with pytest.raises(IntegrityError):
            restore(Entry(path="db-dumps/redis-shop.rdb", chunks=chunks), server.url(), overwrite=True)
        with connected(server) as db:
            assert db.keys() == ([b"precious"] if holding else [])
        assert_it_leads_with_its_own_settings(server)


@pytest.mark.parametrize("damage", ["one byte", "nonsense"])
def test_over_a_damaged_dump_a_server_ends_itself_and_has_what_it_had_when_it_starts(
    origin: Server, damage: str
) -> None:
    fill(origin)
    content = bytes_of(dump_of(origin.url()))
    place = content.index(b"item 7") + 2
    content = (
        content[:place] + b"X" + content[place + 1 :]
        if damage == "one byte"
        else b"REDIS0009" + b"\x99" * 5000 + b"\xff" + b"\0" * 8
    )
    folder = Path(tempfile.mkdtemp(prefix="bk-rdb-", dir="/tmp"))
    try:
        folder.chmod(0o777)
        with servers.redis(settings=[*QUICK, f"dir {folder}"]) as server:
            with connected(server) as db:
                db.set("kept", "whole")
                db.save()
            with pytest.raises(RestoreError, match="ends itself over a file that is damaged"):
                restore(entry_of(content), server.url(), overwrite=True)
            server.process.wait()
        with servers.redis(settings=[*QUICK, f"dir {folder}"]) as server, connected(server) as db:
            assert db.get("kept") == b"whole"
            assert db.dbsize() == 1
    finally:
        shutil.rmtree(folder)


def test_a_server_that_would_evict_what_is_restored_is_refused(filled: bytes, other: Server) -> None:
    with connected(other) as db:
        db.config_set("maxmemory", 3 * MEGABYTE)  # room for what it has
        db.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(
            RestoreError, match=r"may use 3145728 bytes .*would evict the rest \(allkeys-lru\)"
        ):
            restore(entry_of(filled), other.url(), overwrite=True)
    finally:
        with connected(other) as db:
            db.config_set("maxmemory", 0)
            db.config_set("maxmemory-policy", "noeviction")


def test_a_server_that_evicts_what_was_restored_is_an_error(origin: Server) -> None:
    fill(origin)
    content = bytes_of(dump_of(origin.url()))
    place = content.index(b"\xfa\x08used-mem\xc2") + 11
    content = content[:place] + bytes(4) + content[place + 4 :]  # a dump that says it was small
    settings = [*QUICK, "maxmemory 1mb", "maxmemory-policy allkeys-lru", "rdbchecksum no"]
    with (
        servers.redis(settings=settings) as small,
        pytest.raises(RestoreError, match=r"evicts keys \([1-9]"),
    ):
        restore(entry_of(content[:-8] + bytes(8)), small.url())


def test_a_server_that_evicts_nothing_is_restored_to_however_small_it_is(origin: Server) -> None:
    fill(origin)
    with servers.redis(settings=[*QUICK, "maxmemory 1mb"]) as small:
        restore(dump_of(origin.url()), small.url())
        assert everything(small) == everything(origin)


def test_what_is_no_dump_leaves_what_was_there(filled: bytes, other: Server) -> None:
    with pytest.raises(RestoreError, match="no RDB file"):
        restore(entry_of(b"-- MySQL dump\n"), other.url(), overwrite=True)


def test_a_dump_of_a_newer_server_leaves_what_was_there(filled: bytes, other: Server) -> None:
    with pytest.raises(RestoreError, match="older than the one that the dump is of"):
        restore(entry_of(b"REDIS0099" + filled[9:]), other.url(), overwrite=True)


def test_an_address_that_the_server_cannot_reach_leaves_what_was_there(
    filled: bytes, other: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_redis_master, "_CONNECTS", 1.0)
    with pytest.raises(RestoreError, match=r"did not connect to 192\.0\.2\.1 port .*listen="):
        restore(entry_of(filled), f"{other.url()}?listen=192.0.2.1:0", overwrite=True)


def test_a_server_reaches_the_address_that_is_told(origin: Server, other: Server) -> None:
    fill(origin)
    restore(dump_of(origin.url()), f"{other.url()}?listen=127.0.0.1:{servers.free_port()}")
    assert everything(other) == everything(origin)


def test_a_server_that_is_killed_while_it_loads_is_told(origin: Server) -> None:
    fill(origin)
    content = bytes_of(dump_of(origin.url()))
    with servers.redis(settings=QUICK) as server:
        readings = iter([False, True])  # it is sent what is read for the second time

        def chunks() -> Iterator[bytes]:
            yield content[:MEGABYTE]
            if next(readings):
                server.kill()
            for start in range(MEGABYTE, len(content), MEGABYTE):
                yield content[start : start + MEGABYTE]

        with pytest.raises(RestoreError, match="did not answer any more"):
            restore(Entry(path="db-dumps/redis-shop.rdb", chunks=chunks), server.url())


def test_a_stranger_gets_nothing_and_keeps_nobody_out() -> None:
    url = parse_database_url("redis:///?unix_socket=/run/none.sock")
    with _redis_master.Master(url, identity="f" * 40, deadline=None) as master:
        heard: list[bytes] = []

        def ask() -> None:
            for identity in (b"?", b"e" * 40, b"f" * 40):
                with socket.create_connection(master.address) as stranger:
                    stranger.sendall(b"*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nEVAL\r\n$1\r\n1\r\n")
                    stranger.sendall(
                        b"*3\r\n$5\r\nPSYNC\r\n$%d\r\n%s\r\n$2\r\n-1\r\n" % (len(identity), identity)
                    )
                    said = b""
                    while data := stranger.recv(1000):
                        said += data
                        if b"0" * 9 in said:
                            break
                    heard.append(said)

        asking = threading.Thread(target=ask)
        asking.start()
        with pytest.raises(Exception, match="broke off"):
            master.send(iter([b"all that is secret", b"0" * 9]))
        asking.join()
    assert heard[0] == heard[1] == b"+PONG\r\n-ERR this is no server\r\n"
    assert b"+FULLRESYNC" in heard[2]
    assert b"all that is secret" in heard[2]


@pytest.mark.parametrize("said", [b"PING\r\n", b"\r\n", b"*1\r\n$4\r\nPING\r\n", b" "])
def test_a_stranger_who_never_comes_to_the_point_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(_redis_master, "_ASKS", 0.3)
    monkeypatch.setattr(_redis_master, "_CONNECTS", 1.0)
    url = parse_database_url("redis:///?unix_socket=/run/none.sock")
    cut_off: list[bool] = []
    with _redis_master.Master(url, identity="f" * 40, deadline=None) as master:

        def keep_on() -> None:
            with socket.create_connection(master.address) as stranger:
                stranger.settimeout(0.02)  # its pace: it is never silent for as long as it is listened to
                for _ in range(200):
                    try:
                        stranger.sendall(said)
                        if not stranger.recv(1000):
                            break
                    except TimeoutError:
                        continue
                    except ConnectionError:
                        break
                else:
                    cut_off.append(False)
                    return
                cut_off.append(True)

        keeping_on = threading.Thread(target=keep_on)
        keeping_on.start()
        with pytest.raises(ClientError, match="did not connect"):
            master.send(iter([b"all that is secret"]))
        keeping_on.join()
    assert cut_off == [True]
