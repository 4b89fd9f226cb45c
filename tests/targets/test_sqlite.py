"""Restoring SQLite databases, from pages and from SQL text."""

from __future__ import annotations

import gzip
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit.databases.clients import client_of
from backupkit.databases.programs import ClientError
from backupkit.databases.urls import parse_database_url
from backupkit.errors import RestoreError
from backupkit.model import Entry
from backupkit.sources.sqlite import SQLite
from backupkit.targets._sqlite_script import statements
from backupkit.targets.database import DatabaseTarget

SCHEMA = """
PRAGMA user_version=7;
CREATE TABLE customer(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, raw BLOB, score REAL,
    upper_name TEXT GENERATED ALWAYS AS (upper(name)) STORED, friend REFERENCES customer(id));
CREATE TABLE log(at TEXT, what TEXT);
CREATE INDEX by_name ON customer(name);
CREATE VIEW names AS SELECT name FROM customer;
CREATE TRIGGER logged AFTER INSERT ON customer BEGIN
    INSERT INTO log VALUES('now; or; never', new.name); -- a semicolon; in a comment
    UPDATE customer SET score = 1.5 WHERE id = new.id AND score IS NULL;
END;
CREATE VIRTUAL TABLE notes USING fts5(body);
"""


T = b"BEGIN;CREATE TABLE t(a);COMMIT;"


def filled(path: Path, *, wal: bool = False) -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        if wal:
            connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(SCHEMA)
        rows = [
            ('it\'s; a "name"\nin two lines;\n', b"\0\xff;'", None),
            ("-- no comment; /* none */ [x] `y`", None, 0.1),
            ("snow ☃ \U0001f600", b"", -1e300),
            ("a\0b", bytes(range(256)), float("inf")),
        ]
        connection.executemany("INSERT INTO customer(name, raw, score) VALUES(?,?,?)", rows)
        connection.execute("INSERT INTO notes VALUES('found; again')")
    return path


def content(path: Path) -> list[object]:
    with closing(sqlite3.connect(path)) as connection:
        schema = connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2").fetchall()
        tables = [name for kind, name, _ in schema if kind == "table" and not name.startswith("sqlite_stat")]
        rows = [connection.execute(f'SELECT * FROM "{name}" ORDER BY 1, 2').fetchall() for name in tables[:2]]  # noqa: S608
        found = connection.execute("SELECT body FROM notes WHERE notes MATCH 'again'").fetchall()
        sequence = connection.execute("SELECT * FROM sqlite_sequence").fetchall()
        version = connection.execute("PRAGMA user_version").fetchall()
        return [schema, rows, found, sequence, version]


def dump_of(content: bytes, name: str = "sqlite-shop.sql", piece: int = 1 << 20) -> Entry:
    def chunks() -> Iterator[bytes]:
        for start in range(0, len(content), piece):
            yield content[start : start + piece]

    return Entry(path=f"db-dumps/{name}", chunks=chunks)


def restore(
    entry: Entry, place: Path, *, overwrite: bool = False, time_limit: timedelta | None = None
) -> None:
    target = DatabaseTarget(f"sqlite:///{place}", create=True, overwrite=overwrite, time_limit=time_limit)
    assert list(target.check([entry])) == []
    assert list(target.write([entry])) == []


def rows_of(place: Path) -> list[object]:
    with closing(sqlite3.connect(place)) as connection:
        return connection.execute("SELECT * FROM t").fetchall()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "restored").mkdir()
    return tmp_path / "restored" / "shop.db"


@pytest.mark.parametrize("form", ["pages", "sql"])
@pytest.mark.parametrize("piece", [3, 1 << 20])
def test_what_was_dumped_comes_back_equal(
    tmp_path: Path, place: Path, form: Literal["pages", "sql"], piece: int
) -> None:
    source = filled(tmp_path / "shop.db")
    (entry,) = SQLite(source, form=form).entries()
    restore(dump_of(b"".join(entry.chunks()), piece=piece), place)
    assert content(place) == content(source)
    assert os.listdir(place.parent) == ["shop.db"]
    assert stat.S_IMODE(place.stat().st_mode) == 0o600


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="needs sqlite3's own shell")
def test_a_dump_by_sqlites_own_shell_is_restored(tmp_path: Path, place: Path) -> None:
    source = filled(tmp_path / "shop.db")
    script = subprocess.run(["sqlite3", source, ".dump"], check=True, capture_output=True).stdout
    restore(dump_of(gzip.compress(script), "sqlite-shop.sql.gz"), place)
    assert content(place)[0] == content(source)[0]


def test_a_dump_that_another_tool_compressed_is_restored(place: Path) -> None:
    script = (
        b"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE t(a);\nINSERT INTO t VALUES(1);\nCOMMIT;"
    )
    restore(dump_of(gzip.compress(script), "sqlite-shop.sql.gz"), place)
    assert rows_of(place) == [(1,)]


def test_what_is_there_is_replaced_only_when_told_to(tmp_path: Path, place: Path) -> None:
    filled(place)
    (problem,) = DatabaseTarget(f"sqlite:///{place}").check([dump_of(T)])
    assert "not empty" in problem.message


def test_the_one_that_replaces_another_has_its_mode_and_nothing_of_its_log(
    tmp_path: Path, place: Path
) -> None:
    filled(place, wal=True)
    place.chmod(0o640)
    # A program that died: what it wrote last is in the log alone.
    program = (
        "import os, sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute('INSERT INTO log VALUES(1, 2)')\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", program, place], check=True)
    assert Path(f"{place}-wal").stat().st_size
    restore(dump_of(b"BEGIN;CREATE TABLE t(a);INSERT INTO t VALUES(2);COMMIT;"), place, overwrite=True)
    assert os.listdir(place.parent) == ["shop.db"]
    assert rows_of(place) == [(2,)]
    assert stat.S_IMODE(place.stat().st_mode) == 0o640


def test_what_a_link_leads_to_is_replaced_and_the_link_stays(tmp_path: Path, place: Path) -> None:
    filled(place)
    link = tmp_path / "link.db"
    link.symlink_to(place)
    restore(dump_of(T), link, overwrite=True)
    assert link.is_symlink()
    assert rows_of(place) == []


@pytest.mark.parametrize("wal", [False, True])
def test_a_database_that_is_open_is_not_replaced(place: Path, wal: bool) -> None:
    filled(place, wal=wal)
    before = content(place)
    with closing(sqlite3.connect(place)) as connection:
        connection.execute("SELECT * FROM log").fetchone()
        with pytest.raises(RestoreError, match="is open in this process"):
            restore(dump_of(T), place, overwrite=True)
    assert content(place) == before
    assert os.listdir(place.parent) == ["shop.db"]


def test_another_process_that_has_it_open_is_named(place: Path) -> None:
    filled(place)
    program = (
        "import sqlite3, sys\nconnection = sqlite3.connect(sys.argv[1])\n"
        "connection.execute('SELECT * FROM log').fetchone()\nprint('open', flush=True)\nsys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, place], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(RestoreError, match=f"open in process {process.pid}"):
            restore(dump_of(T), place, overwrite=True)
        process.communicate()


def test_one_that_is_damaged_is_replaced_with_all_that_lies_beside_it(place: Path) -> None:
    place.write_bytes(b"no database at all")
    for suffix in ("-wal", "-shm", "-journal"):
        Path(f"{place}{suffix}").write_bytes(b"old")
    restore(dump_of(T), place, overwrite=True)
    assert os.listdir(place.parent) == ["shop.db"]
    assert rows_of(place) == []


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (b"BEGIN TRANSACTION;CREATE TABLE t(a);", "before its COMMIT"),
        (b"CREATE TABLE t(a);INSERT INTO t VALUES(1", "middle of a statement"),
        (b"CREATE TABLE t(a);INSERT INTO t VALUES('1);", "middle of a statement"),
        (b"CREATE TABLE t(a);/* and then", "middle of a statement"),
        (b"BEGIN;CREATE TABLE t(a);ROLLBACK; -- due to errors\n", "ends in ROLLBACK"),
        (b"CREATE TABLE t(a);NONSENSE;CREATE TABLE u(a);", "near \"NONSENSE\""),
        (b"CREATE TABLE t(a);INSERT INTO t VALUES('\0');", "holds a NUL"),
        (b"CREATE TABLE t(a);INSERT INTO t VALUES('\xff');", "neither the pages"),
        (b"PRAGMA foreign_keys=OFF;\n", "no COMMIT"),
        (b"CREATE TABLE t(a);INSERT INTO t VALUES(1);", "no COMMIT"),
        (b"CREATE TABLE t(a);EXPLAIN COMMIT;", "no COMMIT"),
        (T + b"CREATE TABLE u(a);", "more in the dump after its COMMIT"),
        (T + b"/* and */ BEGIN;CREATE TABLE u(a);END;", "more in the dump after its COMMIT"),
        (b"", "not one statement"),
        (b"-- only words\n", "not one statement"),
        (b"SQLite format 3\0 and then nothing", "not a whole database"),
    ],
)  # fmt: skip
def test_a_damaged_dump_leaves_what_was_there(place: Path, script: bytes, said: str) -> None:
    filled(place)
    before = place.read_bytes()
    with pytest.raises(RestoreError, match=said):
        restore(dump_of(script), place, overwrite=True)
    assert place.read_bytes() == before
    assert os.listdir(place.parent) == ["shop.db"]


@pytest.mark.parametrize("damage", ["cut", "overwritten"])
def test_damaged_pages_leave_what_was_there(tmp_path: Path, place: Path, damage: str) -> None:
    pages = filled(tmp_path / "shop.db").read_bytes()
    pages = pages[:-4096] if damage == "cut" else pages[:4096] + b"\xa5" * 8192 + pages[12288:]
    with pytest.raises(RestoreError, match="not a whole database"):
        restore(dump_of(pages, "sqlite-shop.sqlite3"), place)
    assert os.listdir(place.parent) == []


def test_what_the_archive_raises_passes_through_and_leaves_nothing(place: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"CREATE TABLE t(a);"
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        restore(Entry(path="db-dumps/sqlite-shop.sql", chunks=chunks), place)
    assert os.listdir(place.parent) == []


@pytest.mark.parametrize(
    "statement",
    [
        "ATTACH '{other}' AS other; CREATE TABLE other.t(a)",
        "CREATE TABLE t(a); VACUUM INTO '{other}'",
        "SELECT load_extension('{other}')",
        "ATTACH char(46)||'{other}' AS other",
        "ATTACH 'vacuum_db' AS other; CREATE TABLE other.t(a)",
    ],
)
def test_a_hostile_dump_reaches_no_other_file(
    tmp_path: Path, place: Path, statement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    other = tmp_path / "other.db"
    with pytest.raises(RestoreError, match="SQLite refused a statement"):
        restore(dump_of(f"{statement.format(other=other)};".encode()), place)
    assert os.listdir(tmp_path) == ["restored"]
    assert os.listdir(place.parent) == []


def test_a_dump_may_tidy_up_and_its_other_settings_are_passed_over(place: Path) -> None:
    restore(
        dump_of(
            b"PRAGMA journal_mode=WAL;PRAGMA temp_store_directory='/';" + T + b"\n-- then\nVACUUM;ANALYZE;"
        ),
        place,
    )
    assert rows_of(place) == []
    assert os.listdir(place.parent) == ["shop.db"]


def test_a_dump_that_never_ends_is_ended(place: Path) -> None:
    endless = b"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT count(*) FROM n;"
    with pytest.raises(RestoreError, match="time_limit"):
        restore(dump_of(endless), place, time_limit=timedelta(seconds=0.2))
    assert os.listdir(place.parent) == []


def test_a_folder_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(RestoreError, match="is there such a folder"):
        restore(dump_of(T), tmp_path / "none" / "shop.db")


def test_rows_are_counted_by_table(tmp_path: Path) -> None:
    client = client_of(parse_database_url(f"sqlite:///{filled(tmp_path / 'shop.db')}"))
    counted = client.count_rows()
    assert (counted["customer"], counted["log"], counted["notes"]) == (4, 4, 1)
    assert client.state() == "filled"
    client.drop()
    assert client.state() == "missing"
    assert os.listdir(tmp_path) == []


TEXTS = st.lists(
    st.sampled_from(
        ["a", ";", "'", '"', "`", "[", "]", "-", "--", "/*", "*/", "\n", " ", "/", "BEGIN", "END"]
    )
)


@given(TEXTS, st.integers(1, 7))
def test_statements_are_cut_alike_however_the_text_comes(parts: list[str], piece: int) -> None:
    text = "".join(parts)

    def cut(size: int) -> object:
        found = []
        try:
            for statement in statements(
                (text[start : start + size] for start in range(0, len(text), size)), longest=1000
            ):
                found.append(statement)  # noqa: PERF402 - what came before an error counts
        except ClientError:
            found.append("<error>")
        return found

    assert cut(piece) == cut(len(text) or 1)
