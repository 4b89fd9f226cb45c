from __future__ import annotations

import math
import os
import random
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO, TypeAlias

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from backupkit.databases.sqlite import SQLiteClient
from backupkit.databases.urls import parse_database_url
from backupkit.errors import ConfigurationError, SourceError
from backupkit.model import Entry
from backupkit.sources._sqlite_text import dump
from backupkit.sources.sqlite import Form, SQLite
from backupkit.testing.sources import SourceTests

Value: TypeAlias = int | float | str | bytes | None

ACCOUNTS = 200
TOTAL = ACCOUNTS * 1000


def make(path: Path, *statements: str, journal: str = "delete") -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode={journal}")
        for statement in statements:
            connection.execute(statement)
    return path


def make_bank(path: Path, *, journal: str) -> Path:
    """Accounts whose balances have the same sum after every transaction, on several hundred pages."""
    make(path, "CREATE TABLE account(id INTEGER PRIMARY KEY, balance INTEGER, note TEXT)", journal=journal)
    with closing(sqlite3.connect(path)) as connection, connection:
        rows = [(number, 1000, "x" * 2000) for number in range(ACCOUNTS)]
        connection.executemany("INSERT INTO account VALUES(?, ?, ?)", rows)
    return path


def the_entry(source: SQLite) -> Entry:
    (entry,) = source.entries()
    return entry


def content(source: SQLite) -> bytes:
    return b"".join(the_entry(source).chunks())


@contextmanager
def restored(source: SQLite, folder: Path) -> Iterator[sqlite3.Connection]:
    path = folder / "restored.sqlite3"
    if source.form == "pages":
        path.write_bytes(content(source))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        if source.form == "sql":
            connection.executescript(content(source).decode())
        yield connection


def outcome(source: SQLite) -> SourceError:
    """The error of a source whose walk must fail."""
    with pytest.raises(SourceError) as raised:
        list(source.entries())
    return raised.value


class TestPagesAsASource(SourceTests):
    @pytest.fixture
    def source(self, tmp_path: Path) -> SQLite:
        return SQLite(make_bank(tmp_path / "bank.db", journal="wal"))

    @pytest.fixture
    def failing_source(self, tmp_path: Path) -> SQLite:
        return SQLite(tmp_path / "missing.db")


class TestSqlAsASource(SourceTests):
    @pytest.fixture
    def source(self, tmp_path: Path) -> SQLite:
        return SQLite(make_bank(tmp_path / "bank.db", journal="delete"), form="sql")


@pytest.mark.parametrize("form", ["pages", "sql"])
def test_rows_are_counted_in_the_state_that_is_dumped(tmp_path: Path, form: Form) -> None:
    path = make_bank(tmp_path / "bank.db", journal="wal")
    make(path, 'CREATE TABLE "no ""rows"(a)', "CREATE VIRTUAL TABLE notes USING fts5(body)", journal="wal")
    make(path, "INSERT INTO notes VALUES('one')", journal="wal")
    entry = the_entry(SQLite(path, form=form, count_rows=True))
    for number in (ACCOUNTS, ACCOUNTS + 1):  # read again, it is a new state
        chunks = entry.chunks()
        parts = [next(iter(chunks))]
        make(path, "INSERT INTO account(balance) VALUES(0)", journal="wal")
        parts += chunks
        place = tmp_path / f"{number}.db"
        place.write_bytes(b"".join(parts) if form == "pages" else b"")
        if form == "sql":
            with closing(sqlite3.connect(place, isolation_level=None)) as connection:
                connection.executescript(b"".join(parts).decode())
        client = SQLiteClient(parse_database_url(f"sqlite:///{place}"))
        assert entry.rows == client.count_rows()
        assert (entry.rows["account"], entry.rows['no "rows'], entry.rows["notes"]) == (number, 0, 1)


def test_nobody_counts_unasked(tmp_path: Path) -> None:
    entry = the_entry(SQLite(make_bank(tmp_path / "bank.db", journal="delete")))
    assert list(entry.chunks())
    assert entry.rows == {}


@pytest.mark.parametrize("form", ["pages", "sql"])
def test_a_table_that_nobody_can_count_is_told(tmp_path: Path, form: Form) -> None:
    path = make(
        tmp_path / "a.db",
        "CREATE TABLE t(a)",
        "PRAGMA writable_schema=ON",
        "INSERT INTO sqlite_master VALUES('table','v','v',0,'CREATE VIRTUAL TABLE v USING no_such_module')",
    )
    with pytest.raises(SourceError, match=r"cannot be counted \(no such module.*leave count_rows out"):
        list(the_entry(SQLite(path, form=form, count_rows=True)).chunks())
    assert list(the_entry(SQLite(path, form=form)).chunks())


# Names, and what the entry says


@pytest.mark.parametrize(
    ("source", "path"),
    [
        (SQLite("/srv/shop/orders.db"), "db-dumps/sqlite-orders.sqlite3"),
        (SQLite("/srv/shop/orders.db", form="sql"), "db-dumps/sqlite-orders.sql"),
        (SQLite("/srv/shop/orders.db", name="shop"), "db-dumps/sqlite-shop.sqlite3"),
    ],
)
def test_the_dump_is_named_after_the_file_unless_told(source: SQLite, path: str) -> None:
    assert f"db-dumps/{source.name}" == path
    assert source.contents == "databases"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a\nb", "a\0b", "\udcff"])
def test_a_name_that_is_not_one_component_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="name="):
        SQLite("orders.db", name=name)


def test_a_file_whose_name_makes_no_dump_name_needs_another() -> None:
    with pytest.raises(ConfigurationError, match="name="):
        SQLite("/srv/or\nders.db")
    assert SQLite("/srv/or\nders.db", name="orders").name == "sqlite-orders.sqlite3"


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="form"):
        SQLite("a.db", form="csv")  # type: ignore[arg-type] # what is refused
    with pytest.raises(ConfigurationError, match="time_limit"):
        SQLite("a.db", time_limit=timedelta(seconds=-1))


def test_the_entry_has_the_time_of_the_file_and_is_for_its_owner_only(tmp_path: Path) -> None:
    path = make(tmp_path / "a.db", "CREATE TABLE t(a)")
    os.utime(path, ns=(1, 1_234_567_890_123_456_789))
    entry = the_entry(SQLite(path))
    assert (entry.modified_ns, entry.mode, entry.size) == (1_234_567_890_123_456_789, 0o600, None)


# What is no database is an error, and stays as it is


@pytest.mark.parametrize("form", ["pages", "sql"])
def test_a_missing_database_is_an_error_and_is_not_created(tmp_path: Path, form: Form) -> None:
    error = outcome(SQLite(tmp_path / "missing.db", form=form))
    assert "missing.db" in str(error)
    assert not error.retryable
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_vanished_after_the_walk_is_an_error_and_is_not_created(tmp_path: Path) -> None:
    path = make(tmp_path / "a.db", "CREATE TABLE t(a)")
    entry = the_entry(SQLite(path))
    path.unlink()
    with pytest.raises(SourceError):
        next(entry.chunks())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["pages", "sql"])
@pytest.mark.parametrize(
    ("bytes_", "message"),
    [(b"", "empty"), (b"x", "no database"), (b"name,price\n" * 500, "not an SQLite database")],
)
def test_a_file_that_is_no_database_is_an_error(
    tmp_path: Path, form: Form, bytes_: bytes, message: str
) -> None:
    (tmp_path / "a.db").write_bytes(bytes_)
    error = outcome(SQLite(tmp_path / "a.db", form=form))
    assert message in str(error)
    assert not error.retryable
    assert (tmp_path / "a.db").read_bytes() == bytes_


def test_a_folder_is_an_error(tmp_path: Path) -> None:
    assert "not a file" in str(outcome(SQLite(tmp_path)))


@pytest.mark.parametrize("form", ["pages", "sql"])
def test_a_damaged_database_is_an_error(tmp_path: Path, form: Form) -> None:
    path = make_bank(tmp_path / "a.db", journal="delete")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError):
        content(SQLite(path, form=form))


@pytest.mark.parametrize("name", [b"a b?mode=rwc&c#d%41.db", "ä €.db".encode(), b"\xff\xfe.db", b"a\nb.db"])
@pytest.mark.parametrize("form", ["pages", "sql"])
def test_any_file_name_is_opened(tmp_path: Path, name: bytes, form: Form) -> None:
    plain = make(tmp_path / "plain.db", "CREATE TABLE t(a)", "INSERT INTO t VALUES(42)")
    folder = tmp_path / "odd"
    folder.mkdir()
    odd = os.fsdecode(os.path.join(os.fsencode(folder), name))
    os.rename(plain, odd)
    with restored(SQLite(odd, name="odd", form=form), tmp_path) as connection:
        assert connection.execute("SELECT * FROM t").fetchall() == [(42,)]
    assert os.listdir(os.fsencode(folder)) == [name]


def test_a_relative_path_is_looked_up_when_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = SQLite("a.db")
    make(tmp_path / "a.db", "CREATE TABLE t(a)")
    monkeypatch.chdir(tmp_path)
    assert content(source).startswith(b"SQLite format 3\0")


# Pages


@pytest.mark.parametrize("page_size", [512, 4096, 65536])
def test_pages_are_those_of_the_database(tmp_path: Path, page_size: int) -> None:
    path = tmp_path / "a.db"
    make(path, f"PRAGMA page_size={page_size}", "CREATE TABLE t(a)", "CREATE INDEX i ON t(a)")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany("INSERT INTO t VALUES(?)", ((f"{n}" * 50,) for n in range(5000)))
    original, copy = path.read_bytes(), content(SQLite(path))
    # In the header, on the first page, SQLite counts the copy as a change.
    assert len(copy) == len(original)
    assert copy[:24] == original[:24]
    assert copy[100:] == original[100:]


def test_pages_come_in_chunks_of_a_mebibyte(tmp_path: Path) -> None:
    path = make(tmp_path / "a.db", "CREATE TABLE t(a)", "INSERT INTO t VALUES(zeroblob(2500000))")
    sizes = [len(chunk) for chunk in the_entry(SQLite(path)).chunks()]
    assert sizes[:-1] == [1 << 20, 1 << 20]
    assert 0 < sizes[-1] <= 1 << 20


def test_a_database_in_wal_mode_is_restored_in_wal_mode(tmp_path: Path) -> None:
    source = SQLite(make_bank(tmp_path / "a.db", journal="wal"))
    with restored(source, tmp_path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_what_is_still_in_the_wal_is_in_the_snapshot(tmp_path: Path) -> None:
    path = make(tmp_path / "a.db", "CREATE TABLE t(a)", journal="wal")
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("INSERT INTO t VALUES('only in the WAL')")
        assert b"only in the WAL" not in path.read_bytes()
        with restored(SQLite(path), tmp_path) as connection:
            assert connection.execute("SELECT a FROM t").fetchall() == [("only in the WAL",)]


def test_the_snapshot_is_taken_when_the_chunks_are_pulled_and_anew_each_time(tmp_path: Path) -> None:
    path = make(tmp_path / "a.db", "CREATE TABLE t(a)")
    entry = the_entry(SQLite(path))
    for mark in ("first mark", "second mark"):
        make(path, f"INSERT INTO t VALUES('{mark}')")
        assert mark.encode() in b"".join(entry.chunks())


def test_writers_are_free_while_the_snapshot_is_read(tmp_path: Path) -> None:
    path = make_bank(tmp_path / "a.db", journal="delete")
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as writer:
        chunks = the_entry(SQLite(path)).chunks()
        pieces = [next(chunks)]
        writer.execute("DELETE FROM account")
        pieces += chunks
    (tmp_path / "copy.db").write_bytes(b"".join(pieces))
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("SELECT count(*) FROM account").fetchone() == (ACCOUNTS,)


# Other connections write

MOVE_MONEY = """
import random, sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
connection.execute("PRAGMA cache_size=5")  # spills unfinished transactions into the file
done = 0
while True:
    connection.execute("BEGIN IMMEDIATE")
    for _ in range(20):
        giver, taker, amount = random.randrange(200), random.randrange(200), random.randrange(50)
        note = random.choice("abc") * random.randrange(1500, 2500)
        connection.execute("UPDATE account SET balance=balance-?, note=? WHERE id=?", (amount, note, giver))
        connection.execute("UPDATE account SET balance=balance+? WHERE id=?", (amount, taker))
    connection.execute("COMMIT")
    done += 1
    print(done, flush=True)
    time.sleep(random.random() / 200)
"""


@contextmanager
def busy_bank(path: Path) -> Iterator[IO[str]]:
    """Move money in another process; yields what it prints: one line for each transaction."""
    with subprocess.Popen(
        [sys.executable, "-c", MOVE_MONEY, path], stdout=subprocess.PIPE, text=True, bufsize=1
    ) as writer:
        assert writer.stdout
        try:
            writer.stdout.readline()
            yield writer.stdout
        finally:
            writer.kill()


@pytest.mark.parametrize("form", ["pages", "sql"])
@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_dump_shows_one_state_while_another_process_writes(
    tmp_path: Path, journal: str, form: Form
) -> None:
    path = make_bank(tmp_path / "bank.db", journal=journal)
    source = SQLite(path, form=form)
    with busy_bank(path) as transactions:
        states = set()
        for number in range(5):
            folder = tmp_path / str(number)
            folder.mkdir()
            with restored(source, folder) as copy:
                assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                assert copy.execute("SELECT sum(balance), count(*) FROM account").fetchone() == (
                    TOTAL,
                    ACCOUNTS,
                )
                states.add(copy.execute("SELECT group_concat(balance) FROM account").fetchone())
            transactions.readline()
    assert len(states) > 1  # it did write


@pytest.mark.parametrize("form", ["pages", "sql"])
def test_the_application_in_the_same_process_keeps_its_locks(tmp_path: Path, form: Form) -> None:
    """POSIX locks belong to a process: closing any other descriptor of the file would drop them."""
    path = make_bank(tmp_path / "bank.db", journal="delete")
    with closing(sqlite3.connect(path, isolation_level=None)) as application:
        application.execute("BEGIN IMMEDIATE")
        content(SQLite(path, form=form))
        intruder = "import sqlite3,sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
        done = subprocess.run([sys.executable, "-c", intruder, path], capture_output=True, text=True)
    assert "database is locked" in done.stderr


@pytest.mark.parametrize("form", ["pages", "sql"])
def test_a_database_that_stays_locked_is_an_error_worth_retrying(tmp_path: Path, form: Form) -> None:
    path = make_bank(tmp_path / "bank.db", journal="delete")
    entry = the_entry(SQLite(path, form=form, time_limit=timedelta(milliseconds=50)))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SourceError, match="locked") as raised:
            next(entry.chunks())
        assert raised.value.retryable
        assert raised.value.path == f"db-dumps/sqlite-bank.{'sqlite3' if form == 'pages' else 'sql'}"
        other.execute("ROLLBACK")
        assert b"".join(entry.chunks())


def test_a_locked_database_still_has_its_entry(tmp_path: Path) -> None:
    """The walk does not wait: the wait, and the retry, belong to the entry's content."""
    path = make_bank(tmp_path / "bank.db", journal="delete")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert the_entry(SQLite(path)).path == "db-dumps/sqlite-bank.sqlite3"


@pytest.mark.parametrize("time_limit", [timedelta(minutes=1), None])
def test_a_lock_that_ends_in_time_is_waited_for(tmp_path: Path, time_limit: timedelta | None) -> None:
    path = make_bank(tmp_path / "bank.db", journal="delete")
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    with closing(other):
        other.execute("BEGIN EXCLUSIVE")
        later = threading.Timer(0.2, other.execute, ["ROLLBACK"])
        later.start()
        assert content(SQLite(path, time_limit=time_limit))
        later.join()


# What a crash left behind

CRASH = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size=5")
connection.execute("INSERT INTO account VALUES(1000, 0, 'committed')")
connection.execute("BEGIN")
connection.execute("UPDATE account SET balance=0")
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("form", ["pages", "sql"])
@pytest.mark.parametrize(("journal", "left"), [("wal", "bank.db-wal"), ("delete", "bank.db-journal")])
def test_what_a_killed_writer_left_unfinished_is_not_in_the_dump(
    tmp_path: Path, journal: str, left: str, form: Form
) -> None:
    path = make_bank(tmp_path / "bank.db", journal=journal)
    subprocess.run([sys.executable, "-c", CRASH, path], check=False)
    assert (tmp_path / left).exists()
    with restored(SQLite(path, form=form), tmp_path) as copy:
        assert copy.execute("SELECT sum(balance) FROM account").fetchone() == (TOTAL,)
        assert copy.execute("SELECT count(*) FROM account WHERE note='committed'").fetchone() == (1,)


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_database_at_rest_has_the_same_files_beside_it_afterwards(tmp_path: Path, journal: str) -> None:
    path = make_bank(tmp_path / "bank.db", journal=journal)
    before = path.read_bytes()
    content(SQLite(path))
    assert [one.name for one in tmp_path.iterdir()] == ["bank.db"]
    assert path.read_bytes() == before


AS_NOBODY = """
import os, sys
import sqlite3, stat, tempfile, urllib.parse  # while Python's own folders can be read
from backupkit.errors import SourceError
from backupkit.sources.sqlite import SQLite
if os.geteuid() == 0:
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
try:
    (entry,) = SQLite(sys.argv[1], scratch=sys.argv[2]).entries()
    sys.stdout.buffer.write(b"".join(entry.chunks()))
except SourceError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def read_as_nobody(path: Path) -> subprocess.CompletedProcess[bytes]:
    """Dump it as a user who may read the file but write neither to it nor beside it."""
    scratch = path.parent / "scratch"
    scratch.mkdir()
    scratch.chmod(0o777)
    path.chmod(0o444)
    path.parent.chmod(0o555)
    try:
        return subprocess.run([sys.executable, "-c", AS_NOBODY, path, scratch], capture_output=True)
    finally:
        path.parent.chmod(0o755)


def test_a_database_that_may_only_be_read_is_read(open_folder: Path) -> None:
    path = make_bank(open_folder / "bank.db", journal="delete")
    done = read_as_nobody(path)
    assert done.stderr == b""
    assert done.stdout[100:] == path.read_bytes()[100:]


def test_a_wal_database_in_a_folder_that_may_only_be_read_is_a_clear_error(open_folder: Path) -> None:
    path = make_bank(open_folder / "bank.db", journal="wal")
    done = read_as_nobody(path)
    assert done.returncode == 1
    assert b"in WAL mode" in done.stderr
    assert b"back up as the user who owns it" in done.stderr


# The scratch copy


def test_the_scratch_copy_has_no_name_and_goes_with_the_iterator(tmp_path: Path) -> None:
    path = make_bank(tmp_path / "bank.db", journal="wal")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    chunks = the_entry(SQLite(path, scratch=scratch)).chunks()
    assert next(chunks)
    assert list(scratch.iterdir()) == []
    close(chunks)


def close(chunks: Iterator[bytes]) -> None:
    chunks.close()  # type: ignore[attr-defined] # they are generators


STOP_WHILE_READING = """
import sys
from backupkit.sources.sqlite import SQLite
(entry,) = SQLite(sys.argv[1]).entries()
chunks = entry.chunks()
next(chunks)
print("reading", flush=True)
sys.stdin.read()
"""


def test_nothing_stays_in_the_temporary_folder_after_a_kill(tmp_path: Path) -> None:
    path = make_bank(tmp_path / "bank.db", journal="wal")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", STOP_WHILE_READING, path],
        env={**os.environ, "TMPDIR": str(scratch)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout
        assert child.stdout.readline() == b"reading\n"
        if os.path.isdir("/proc/self/fd"):
            held = [os.readlink(one) for one in Path(f"/proc/{child.pid}/fd").iterdir()]
            assert any(str(scratch) in one for one in held)  # it is there that the copy was made
        child.send_signal(signal.SIGKILL)
    assert list(scratch.iterdir()) == []


def test_a_scratch_folder_that_is_missing_is_an_error(tmp_path: Path) -> None:
    source = SQLite(make(tmp_path / "a.db", "CREATE TABLE t(a)"), scratch=tmp_path / "missing")
    with pytest.raises(SourceError, match="scratch=") as raised:
        content(source)
    assert not raised.value.retryable


LIMITED = """
import resource, signal, sys
from backupkit.errors import SourceError
from backupkit.sources.sqlite import SQLite
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
(entry,) = SQLite(sys.argv[1]).entries()
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    next(entry.chunks())
except SourceError as error:
    sys.exit(f"refused: {error}")
"""


def test_a_scratch_copy_that_cannot_be_finished_is_an_error(tmp_path: Path) -> None:
    path = make_bank(tmp_path / "bank.db", journal="wal")
    done = subprocess.run([sys.executable, "-c", LIMITED, path], capture_output=True, text=True)
    assert done.stderr.startswith("refused: The SQLite database")


# SQL text

Load: TypeAlias = Callable[[bytes, Path], None]


def load_with_python(script: bytes, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script.decode())


def load_with_shell(script: bytes, path: Path) -> None:
    done = subprocess.run(["sqlite3", "-bail", path], input=script, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


LOADERS = [
    load_with_python,
    pytest.param(
        load_with_shell,
        marks=[
            pytest.mark.interop,
            pytest.mark.skipif(shutil.which("sqlite3") is None, reason="the sqlite3 shell is not installed"),
        ],
    ),
]

ODD_SCHEMA = [
    "PRAGMA user_version=7",
    "PRAGMA application_id=-559038737",
    """CREATE TABLE "o'dd ""name" ("a'b" TEXT, "select" ANY, "ä\n" BLOB)""",
    """INSERT INTO "o'dd ""name" VALUES('it''s;' || char(10) || '.quit', -9223372036854775808, X'00ff')""",
    """INSERT INTO "o'dd ""name" VALUES('', 9223372036854775807, X'')""",
    "CREATE TABLE parent(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE COLLATE NOCASE)",
    "INSERT INTO parent(name) VALUES('one'), ('two'), ('three')",
    "DELETE FROM parent WHERE id=3",
    "CREATE TABLE a_child(id INTEGER PRIMARY KEY, parent REFERENCES parent(id))",
    "INSERT INTO a_child VALUES(10, 2), (-5, 999)",
    'CREATE TABLE "auto\'inc"(id INTEGER PRIMARY KEY AUTOINCREMENT)',
    'INSERT INTO "auto\'inc" VALUES(41)',
    "CREATE TABLE emptied(id INTEGER PRIMARY KEY AUTOINCREMENT)",
    "CREATE TABLE generated(a INTEGER, b AS (a * 2) STORED, c TEXT, d AS (a || c) VIRTUAL)",
    "INSERT INTO generated(a, c) VALUES(21, 'x')",
    "CREATE TABLE pairs(a, b, PRIMARY KEY(b, a)) WITHOUT ROWID",
    "INSERT INTO pairs VALUES('z', 1), ('a', 2)",
    "CREATE TABLE strict(a INT, b REAL, c ANY) STRICT",
    "INSERT INTO strict VALUES(1, 2, '3'), (NULL, 9e999, 4)",
    "CREATE UNIQUE INDEX i ON parent(name DESC) WHERE id > 0",
    "CREATE VIEW v AS SELECT * FROM w",
    "CREATE VIEW w AS SELECT name FROM parent",
    "CREATE TRIGGER t AFTER INSERT ON parent BEGIN DELETE FROM a_child; SELECT 1; END",
    "CREATE TRIGGER u INSTEAD OF INSERT ON w BEGIN SELECT CASE WHEN 1 THEN 2 END; END",
    "ANALYZE",
]


def everything(path: Path) -> dict[str, object]:
    """The whole of a database: settings, schema, and the rows of each table, all as bytes."""
    with closing(sqlite3.connect(path)) as connection:
        connection.text_factory = lambda text: ("text", text)
        schema = connection.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
        ).fetchall()
        connection.text_factory = str
        tables = [
            name for name, _ in connection.execute("SELECT name, rowid FROM sqlite_master WHERE type='table'")
        ]
        connection.text_factory = lambda text: ("text", text)
        found: dict[str, object] = {"schema": schema}
        for pragma in ("user_version", "application_id"):
            found[pragma] = connection.execute(f"PRAGMA {pragma}").fetchone()
        for table in tables:
            quoted = table.replace('"', '""')
            rows = connection.execute(f'SELECT * FROM "{quoted}" NOT INDEXED').fetchall()  # noqa: S608 - quoted
            found[f"table {table}"] = [tuple(map(repr, row)) for row in rows]
        return found


@pytest.mark.parametrize("load", LOADERS)
def test_a_database_made_from_the_text_is_equal(tmp_path: Path, load: Load) -> None:
    path = make(tmp_path / "a.db", *ODD_SCHEMA)
    load(content(SQLite(path, form="sql")), tmp_path / "b.db")
    assert everything(tmp_path / "b.db") == everything(path)


@pytest.mark.parametrize("load", LOADERS)
def test_virtual_tables_work_in_a_database_made_from_the_text(tmp_path: Path, load: Load) -> None:
    path = tmp_path / "a.db"
    try:
        make(
            path,
            "CREATE TABLE before(a)",
            "CREATE VIRTUAL TABLE \"te'xt\" USING fts5(body, tokenize='porter')",
            "INSERT INTO \"te'xt\" VALUES('the quick brown fox'), ('lazy dogs')",
            "CREATE VIRTUAL TABLE area USING rtree(id, x0, x1)",
            "INSERT INTO area VALUES(1, 2.5, 3.5)",
            "CREATE INDEX afterwards ON before(a)",
        )
    except sqlite3.OperationalError as error:
        pytest.skip(f"this SQLite lacks a module: {error}")
    load(content(SQLite(path, form="sql")), tmp_path / "b.db")
    assert everything(tmp_path / "b.db") == everything(path)
    with closing(sqlite3.connect(tmp_path / "b.db")) as copy:
        assert copy.execute("""SELECT body FROM "te'xt" WHERE "te'xt" MATCH 'dog'""").fetchall() == [
            ("lazy dogs",)
        ]
        assert copy.execute("SELECT id FROM area WHERE x0 > 2").fetchall() == [(1,)]
        assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_statement_of_the_schema_may_end_in_a_comment(tmp_path: Path) -> None:
    path = make(
        tmp_path / "a.db",
        "CREATE TABLE t(a) -- one",
        "INSERT INTO t VALUES(1)",
        "CREATE INDEX i ON t(a) WHERE a > 0 -- two",
        "CREATE VIEW v AS SELECT a FROM t -- three",
        "CREATE VIEW w AS SELECT a FROM v /* four, never closed",
    )
    load_with_python(content(SQLite(path, form="sql")), tmp_path / "b.db")
    with closing(sqlite3.connect(tmp_path / "b.db")) as copy:
        assert copy.execute("SELECT a FROM w").fetchall() == [(1,)]


def test_the_text_restores_sequences_of_tables_that_are_no_more(tmp_path: Path) -> None:
    path = make(
        tmp_path / "a.db",
        "CREATE TABLE gone(id INTEGER PRIMARY KEY AUTOINCREMENT)",
        "INSERT INTO gone DEFAULT VALUES",
        "DROP TABLE gone",
    )
    load_with_python(content(SQLite(path, form="sql")), tmp_path / "b.db")


def test_the_text_is_of_one_moment_however_slowly_it_is_read(tmp_path: Path) -> None:
    path = make(
        tmp_path / "a.db",
        "CREATE TABLE one(state, filling)",
        "CREATE TABLE two(state)",
        "INSERT INTO one VALUES('old', zeroblob(2000000))",
        "INSERT INTO two VALUES('old')",
        journal="wal",
    )
    chunks = the_entry(SQLite(path, form="sql")).chunks()
    pieces = [next(chunks)]
    make(path, "UPDATE one SET state='new'", "UPDATE two SET state='new'", journal="wal")
    load_with_python(b"".join([*pieces, *chunks]), tmp_path / "b.db")
    with closing(sqlite3.connect(tmp_path / "b.db")) as copy:
        assert copy.execute("SELECT one.state, two.state FROM one, two").fetchall() == [("old", "old")]


def test_rows_come_in_the_order_of_the_table_whatever_indexes_there_are(tmp_path: Path) -> None:
    path = make(
        tmp_path / "a.db",
        "CREATE TABLE t(a, b AS (hex(zeroblob(100))) STORED)",
        "CREATE INDEX i ON t(a)",  # smaller than the table, and has all that is asked for
        "INSERT INTO t VALUES(3), (1), (2)",
    )
    values = [line for line in content(SQLite(path, form="sql")).splitlines() if b"INSERT" in line]
    assert values == [b'INSERT INTO "t" VALUES(%d);' % number for number in (3, 1, 2)]


def test_text_that_is_not_utf8_comes_back_byte_by_byte(tmp_path: Path) -> None:
    path = make(
        tmp_path / "a.db", "CREATE TABLE t(a TEXT)", "INSERT INTO t VALUES(CAST(X'61ff00fe' AS TEXT))"
    )
    load_with_python(content(SQLite(path, form="sql")), tmp_path / "b.db")
    with closing(sqlite3.connect(tmp_path / "b.db")) as copy:
        assert copy.execute("SELECT typeof(a), hex(a) FROM t").fetchall() == [("text", "61FF00FE")]


def test_a_utf16_database_has_no_text_form(tmp_path: Path) -> None:
    path = make(
        tmp_path / "a.db", "PRAGMA encoding='UTF-16le'", "CREATE TABLE t(a)", "INSERT INTO t VALUES('x')"
    )
    with pytest.raises(SourceError, match="pages") as raised:
        content(SQLite(path, form="sql"))
    assert not raised.value.retryable
    with restored(SQLite(path), tmp_path) as copy:
        assert copy.execute("SELECT a FROM t").fetchall() == [("x",)]


def test_a_row_that_no_statement_can_hold_is_an_error(tmp_path: Path) -> None:
    path = make(tmp_path / "a.db", "CREATE TABLE t(a)", "INSERT INTO t VALUES(zeroblob(600))")
    with closing(sqlite3.connect(path)) as connection:
        connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, 1000)
        with pytest.raises(OverflowError, match="the table t "):
            list(dump(connection))


def test_the_text_comes_in_chunks_of_a_mebibyte(tmp_path: Path) -> None:
    path = make(tmp_path / "a.db", "CREATE TABLE t(a)", "INSERT INTO t VALUES(zeroblob(1500000))")
    sizes = [len(chunk) for chunk in the_entry(SQLite(path, form="sql")).chunks()]
    assert sizes[:-1] == [1 << 20, 1 << 20]


def test_every_number_comes_back_to_the_bit(tmp_path: Path) -> None:
    chance = random.Random(1)
    anything = (struct.unpack("<d", chance.randbytes(8))[0] for _ in range(4000))
    numbers = [number for number in anything if not math.isnan(number)]
    numbers += [0.0, -0.0, math.inf, -math.inf, 5e-324, -5e-324, 2.2250738585072014e-308, sys.float_info.max]
    path = make(tmp_path / "a.db", "CREATE TABLE t(a)")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany("INSERT INTO t VALUES(?)", [(number,) for number in numbers])
    load_with_python(content(SQLite(path, form="sql")), tmp_path / "b.db")
    with closing(sqlite3.connect(tmp_path / "b.db")) as copy:
        assert [repr(a) for (a,) in copy.execute("SELECT a FROM t ORDER BY rowid")] == list(
            map(repr, numbers)
        )


NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=12)
VALUES: st.SearchStrategy[Value] = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.sampled_from(["", "\0", "a\0b", "'", "''", ";", "1e5", "12", "-0", " 7 ", "x'00'", "--", "\ufeff"]),
    st.binary(max_size=20),
)
TYPES = st.sampled_from(["", "TEXT", "INTEGER", "REAL", "NUMERIC", "BLOB"])


def unique_names(names: list[str]) -> bool:
    return len({name.upper().lower() for name in names}) == len(names)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[tuple[str, str]], list[list[Value]]]:
    names = draw(st.lists(NAMES, min_size=1, max_size=4).filter(unique_names))
    columns = [(name, draw(TYPES)) for name in names]
    row = st.lists(VALUES, min_size=len(names), max_size=len(names))
    return columns, draw(st.lists(row, max_size=8))


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(st.dictionaries(NAMES, tables(), max_size=3).filter(lambda made: unique_names(list(made))))
@example({"t": ([("a", "")], [[math.nan], [math.inf], ["a\0b"], [2**63 - 1], [b"\0"]])})
def test_any_table_comes_back_equal_from_its_text(
    made: dict[str, tuple[list[tuple[str, str]], list[list[Value]]]],
) -> None:
    def quoted(name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.db")
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("PRAGMA user_version=1")  # so that there is a database without tables, too
            for name, (columns, rows) in made.items():
                definition = ",".join(f"{quoted(column)} {kind}" for column, kind in columns)
                connection.execute(f"CREATE TABLE {quoted('t' + name)} ({definition})")
                marks = ",".join("?" * len(columns))
                connection.executemany(f"INSERT INTO {quoted('t' + name)} VALUES({marks})", rows)
        load_with_python(content(SQLite(path, form="sql")), Path(folder, "b.db"))
        assert everything(Path(folder, "b.db")) == everything(path)
