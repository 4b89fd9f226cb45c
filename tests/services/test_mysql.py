"""MySQL and MariaDB sources and targets against a real MariaDB server, with MariaDB's own programs."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backupkit.databases.clients import client_of
from backupkit.databases.urls import parse_database_url
from backupkit.errors import IntegrityError, RestoreError, SourceError
from backupkit.model import Entry
from backupkit.protocols import Source
from backupkit.sources.mysql import MariaDB, MySQL
from backupkit.targets.database import DatabaseTarget
from backupkit.testing.sources import SourceTests
from tests.servers import PASSWORD, Server, free_port, mariadb
from tests.services.mysql_databases import connection, facts, fill, fresh, run
from tests.tools import require_tool

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def server(mariadb_server: Server) -> Iterator[Server]:
    with fresh(mariadb_server, "shop"):
        fill(mariadb_server, "shop")
        yield mariadb_server


@pytest.fixture
def scratch(server: Server) -> Iterator[str]:
    with fresh(server, "scratch"):
        yield "scratch"


def only(source: MySQL) -> Entry:
    (entry,) = source.entries()
    return entry


def dumped(source: MySQL) -> bytes:
    return b"".join(only(source).chunks())


def entry_of(*chunks: bytes) -> Entry:
    return Entry(path="db-dumps/mariadb-shop.sql", chunks=lambda: iter(chunks))


def restore(entry: Entry, url: str, *, create: bool = False, overwrite: bool = False) -> None:
    target = DatabaseTarget(url, create=create, overwrite=overwrite)
    assert [problem.message for problem in target.check([entry])] == []
    assert list(target.write([entry])) == []


class TestMariaDB(SourceTests):
    @pytest.fixture
    def source(self, server: Server) -> Source:
        return MariaDB(server.url("shop"), count_rows=True)

    @pytest.fixture
    def failing_source(self, server: Server) -> Source:
        return MariaDB(server.url("nothing"))


@pytest.mark.parametrize("kind", [MySQL, MariaDB])
def test_what_was_dumped_comes_back_identical(server: Server, scratch: str, kind: type[MySQL]) -> None:
    entry = only(kind(server.url("shop"), count_rows=True))
    restore(entry, server.url(scratch), create=True)
    assert facts(server, scratch) == facts(server, "shop")
    assert entry.warnings == []


@pytest.mark.parametrize("options", [(), ("--comments", "--binary-mode")])
@pytest.mark.parametrize("kind", [MySQL, MariaDB])
def test_the_stock_client_restores_the_file_alone(
    server: Server, scratch: str, tmp_path: Path, kind: type[MySQL], options: tuple[str, ...]
) -> None:
    (tmp_path / "dump.sql").write_bytes(dumped(kind(server.url("shop"))))
    file = tmp_path / "options.cnf"
    file.write_text(
        f"[client]\nuser={server.user}\nport={server.port}\nhost=127.0.0.1\n"
        f'password="{PASSWORD.replace(chr(92), chr(92) * 2).replace(chr(34), chr(92) + chr(34))}"\n'
    )
    run(server, f"CREATE DATABASE {scratch}")
    with (tmp_path / "dump.sql").open("rb") as dump:
        argv: list[str | Path] = [require_tool("mysql"), f"--defaults-file={file}", *options, scratch]
        subprocess.run(argv, stdin=dump, check=True)
    expected = facts(server, "shop")
    if not options:  # it takes comments out of the bodies of routines and triggers then
        expected["triggers"] = expected["triggers"].replace("-- INSERT INTO `log` VALUES (1);", "")
    assert facts(server, scratch) == expected


def test_rows_are_counted_as_the_restored_database_counts_them(server: Server, scratch: str) -> None:
    entry = only(MariaDB(server.url("shop"), count_rows=True))
    restore(entry, server.url(scratch), create=True)
    client = client_of(parse_database_url(server.url(scratch)))
    assert entry.rows == client.count_rows()
    assert entry.rows['it\'s "odd" `name`'] == 5
    assert {"empty", "Ünïcode", "history"} <= entry.rows.keys()
    assert not {"a_view", "numbers"} & entry.rows.keys()


def test_a_table_that_shows_the_rows_of_others_has_none_of_its_own(server: Server, scratch: str) -> None:
    with fresh(server, "archive"):
        run(
            server,
            "CREATE DATABASE archive",
            "CREATE TABLE archive.y2025 (id INT) ENGINE=MyISAM",
            "INSERT INTO archive.y2025 VALUES (1), (2)",
            "CREATE TABLE archive.years (id INT) ENGINE=MERGE UNION=(archive.y2025)",
        )
        entry = only(MariaDB(server.url("archive"), count_rows=True, consistency="lock"))
        restore(entry, server.url(scratch), create=True)
    assert entry.rows == {"y2025": 2}
    assert client_of(parse_database_url(server.url(scratch))).count_rows() == {"y2025": 2}


def test_two_dumps_of_an_unchanged_database_are_equal(server: Server) -> None:
    assert dumped(MariaDB(server.url("shop"))) == dumped(MariaDB(server.url("shop")))


def test_a_dump_is_of_one_moment_while_others_write(server: Server, scratch: str) -> None:
    """Money moves between two tables all the time; whatever the moment, all of it is somewhere."""
    with fresh(server, "bank"):
        run(server, "CREATE DATABASE bank")
        run(
            server,
            "CREATE TABLE a (id int PRIMARY KEY, money int, filler char(200) DEFAULT 'x')",
            "CREATE TABLE z (id int PRIMARY KEY, money int, filler char(200) DEFAULT 'x')",
            "INSERT INTO a SELECT seq, 100, REPEAT('x', 200) FROM seq_1_to_20000",
            "INSERT INTO z SELECT seq, 100, REPEAT('x', 200) FROM seq_1_to_20000",
            database="bank",
        )
        stop, moved = threading.Event(), threading.Event()

        def move() -> None:
            with connection(server, "bank", autocommit=False) as one, one.cursor() as cursor:
                number = 0
                while not stop.is_set():
                    number = number % 20000 + 1
                    cursor.execute("UPDATE a SET money = money - 7 WHERE id = %s", [number])
                    cursor.execute("UPDATE z SET money = money + 7 WHERE id = %s", [20001 - number])
                    cursor.execute("COMMIT")
                    moved.set()

        writer = threading.Thread(target=move)
        writer.start()
        entry = only(MariaDB(server.url("bank"), count_rows=True))
        parts = []
        try:
            for chunk in entry.chunks():
                parts.append(chunk)
                moved.clear()
                assert moved.wait(20)
        finally:
            stop.set()
            writer.join()
        restore(entry_of(*parts), server.url(scratch), create=True)
        total = "SELECT (SELECT SUM(money) FROM a) + (SELECT SUM(money) FROM z)"
        assert run(server, total, database=scratch) == [(4_000_000,)]
        assert entry.rows == {"a": 20000, "z": 20000}


def test_an_emoji_survives_whatever_the_url_says_of_the_applications_charset(server: Server) -> None:
    assert "😀".encode() in dumped(MariaDB(server.url("shop") + "?charset=utf8"))


def test_only_some_tables(server: Server, scratch: str) -> None:
    entry = only(MariaDB(server.url("shop"), tables=["parents", "types"], count_rows=True))
    restore(entry, server.url(scratch), create=True)
    assert run(server, "SHOW TABLES", database=scratch) == [("parents",), ("types",)]
    assert run(server, "SHOW TRIGGERS", database=scratch)[0][0] == "on_parents"
    assert entry.rows == {"parents": 2, "types": 2}
    assert "ALTER DATABASE" not in b"".join(entry.chunks()).decode()


def test_tables_and_rows_are_left_out(server: Server, scratch: str) -> None:
    source = MariaDB(
        server.url("shop"),
        exclude_tables=["log", "not there"],
        exclude_data=["types", "gone"],
        count_rows=True,
    )
    entry = only(source)
    restore(entry, server.url(scratch), create=True)
    tables = {name for (name,) in run(server, "SHOW TABLES", database=scratch)}
    assert "log" not in tables
    assert {"types", "parents", "a_view"} <= tables
    assert run(server, "SELECT COUNT(*) FROM types", database=scratch) == [(0,)]
    assert entry.rows == client_of(parse_database_url(server.url(scratch))).count_rows()


def test_the_schema_alone_or_the_data_alone(server: Server, scratch: str) -> None:
    schema = dumped(MariaDB(server.url("shop"), content="schema", triggers=False))  # they would fire
    data = only(MariaDB(server.url("shop"), content="data", count_rows=True))
    assert b"INSERT INTO" not in schema.partition(b"DELIMITER")[0]
    rows = b"".join(data.chunks())
    assert b"CREATE" not in rows.replace(b"CREATE TABLE `t`", b"")
    restore(entry_of(schema, b"\n", rows), server.url(scratch), create=True)
    assert facts(server, scratch) == {**facts(server, "shop"), "triggers": "()"}
    assert data.rows["parents"] == 2


def test_what_is_not_wanted_is_not_there(server: Server) -> None:
    text = dumped(MariaDB(server.url("shop"), routines=False, triggers=False, events=False)).decode()
    assert not [word for word in ("PROCEDURE", "FUNCTION", "TRIGGER", "EVENT ") if f" {word}" in text]


def test_counters_can_be_left_out(server: Server) -> None:
    kept = dumped(MariaDB(server.url("shop")))
    left_out = dumped(MariaDB(server.url("shop"), auto_increment=False))
    assert b"AUTO_INCREMENT=5000 " in kept
    assert left_out == kept.replace(b"InnoDB AUTO_INCREMENT=5000 ", b"InnoDB ").replace(
        b"InnoDB AUTO_INCREMENT=3 DEFAULT", b"InnoDB DEFAULT"
    )
    assert b"AUTO_INCREMENT=77" in left_out


def test_mariadbs_first_line_is_kept_for_its_own_client_only(server: Server) -> None:
    line = b"/*M!999999\\- enable the sandbox mode */"
    assert dumped(MariaDB(server.url("shop"))).startswith(line)
    assert line not in dumped(MySQL(server.url("shop")))
    assert line not in dumped(MariaDB(server.url("shop"), sandbox=False))


@pytest.mark.parametrize("engine", ["MyISAM", "Aria", "MEMORY"])
def test_tables_without_transactions_are_told_of(server: Server, engine: str) -> None:
    with fresh(server, "loose"):
        run(server, "CREATE DATABASE loose", f"CREATE TABLE loose.t (a int) ENGINE={engine}")
        run(server, "CREATE TABLE loose.u (a int) ENGINE=InnoDB", "INSERT INTO loose.t VALUES (1),(2)")
        entry = only(MariaDB(server.url("loose"), count_rows=True))
        for _ in entry.chunks():
            pass
        (problem,) = entry.warnings
        assert problem.severity == "warning"
        assert f"t ({engine})" in problem.message
        assert "u (" not in problem.message
        assert entry.rows == {"t": 2, "u": 0}
        for options in ({"consistency": "lock"}, {"exclude_data": ["t"]}, {"tables": ["u"]}):
            quiet = only(MariaDB(server.url("loose"), **options))
            for _ in quiet.chunks():
                pass
            assert quiet.warnings == []


def test_locked_tables_are_not_written_to_while_the_dump_lasts(server: Server) -> None:
    with fresh(server, "loose"):
        run(server, "CREATE DATABASE loose", "CREATE TABLE loose.a (a longtext) ENGINE=MyISAM")
        run(server, "CREATE TABLE loose.z (a int) ENGINE=MyISAM", "INSERT INTO loose.z VALUES (1)")
        run(server, *["INSERT INTO loose.a VALUES (REPEAT('x', 4000000))"] * 8)
        chunks = only(MariaDB(server.url("loose"), consistency="lock")).chunks()
        next(chunks)
        with pytest.raises(Exception, match="1205"):
            run(server, "SET lock_wait_timeout=1", "DELETE FROM loose.z")
        for _ in chunks:
            pass
        run(server, "DELETE FROM loose.z")


def test_sockets_reach_the_server(server: Server) -> None:
    from urllib.parse import quote

    socket = quote(str(server.socket), safe="")
    who = f"{server.user}:{quote(server.password, safe='')}"
    assert dumped(MariaDB(f"mariadb://{who}@{socket}/shop"))
    assert dumped(MariaDB(f"mariadb://{who}@localhost/shop?unix_socket={socket}"))


def test_the_users_own_option_file_gives_what_the_url_does_not(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = PASSWORD.replace("\\", "\\\\").replace('"', '\\"')
    (tmp_path / ".my.cnf").write_text(f'[client]\npassword="{password}"\n')
    monkeypatch.setenv("HOME", str(tmp_path))
    assert dumped(MariaDB(f"mariadb://{server.user}@127.0.0.1:{server.port}/shop"))
    (tmp_path / ".my.cnf").write_text("[client]\npassword=wrong\nport=1\n")
    assert dumped(MariaDB(server.url("shop")))


def seen(server: Server, options: Callable[[], object]) -> None:
    """The password is in no command line and no environment of a process."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            for name in ("cmdline", "environ"):
                try:
                    content = (folder / name).read_bytes()
                except OSError:
                    continue
                assert server.password.encode() not in content, (folder, name)


def test_the_password_is_nowhere_to_be_seen(server: Server, scratch: str) -> None:
    """While dump and client run, which the pipes hold up."""
    big = b"INSERT INTO t VALUES ('" + b"x" * 900_000 + b"');\n"

    def chunks() -> Iterator[bytes]:
        yield b"CREATE TABLE t (a longtext);\n"
        for _ in range(4):
            yield big
            seen(server, chunks)

    restore(Entry(path="db-dumps/mysql-x.sql", chunks=chunks), server.url(scratch), create=True)
    chunks_out = only(MariaDB(server.url(scratch))).chunks()
    next(chunks_out)
    seen(server, chunks)
    for _ in chunks_out:
        pass


# What fails, and what is said of it.


def failure(source: MySQL) -> SourceError:
    entry = only(source)
    with pytest.raises(SourceError) as caught:
        for _ in entry.chunks():
            pass
    assert PASSWORD not in str(caught.value)
    assert caught.value.path == entry.path
    return caught.value


def test_a_wrong_password(server: Server) -> None:
    error = failure(MariaDB(server.url("shop", password="wr*ng")))
    assert "refused the user or the password" in str(error)
    assert "wr*ng" not in str(error)


def test_a_server_that_is_not_there() -> None:
    error = failure(MariaDB(f"mariadb://me:x@127.0.0.1:{free_port()}/shop"))
    assert "cannot be reached" in str(error)


def test_a_missing_database(server: Server) -> None:
    assert "no such database" in str(failure(MariaDB(server.url("nothing"))))


def test_a_missing_table(server: Server) -> None:
    error = failure(MariaDB(server.url("shop"), tables=["parents", "typo"]))
    assert "A table that was asked for is not there" in str(error)
    assert "typo" in str(error)


def test_a_missing_program(server: Server, tmp_path: Path) -> None:
    error = failure(MariaDB(server.url("shop"), tools=tmp_path))
    assert "not installed" in str(error)
    assert "mariadb-client" in str(error)


def test_a_view_of_what_is_gone(server: Server) -> None:
    with fresh(server, "loose"):
        run(server, "CREATE DATABASE loose", "CREATE TABLE loose.t (a int)")
        run(server, "CREATE VIEW loose.v AS SELECT * FROM loose.t", "DROP TABLE loose.t")
        assert "A view refers to" in str(failure(MariaDB(server.url("loose"))))


@pytest.fixture
def large(server: Server) -> Iterator[str]:
    """A database whose dump fills all pipes before it comes to its last table."""
    with fresh(server, "large"):
        run(
            server,
            "CREATE DATABASE large",
            "CREATE TABLE large.a (a longtext)",
            "CREATE TABLE large.z (a int)",
        )
        run(server, *["INSERT INTO large.a VALUES (REPEAT('x', 4000000))"] * 8)
        yield "large"


def test_a_table_that_is_changed_meanwhile(server: Server, large: str) -> None:
    chunks = only(MariaDB(server.url(large))).chunks()
    next(chunks)
    run(server, "ALTER TABLE large.z ADD COLUMN b int, ALGORITHM=COPY")
    with pytest.raises(SourceError, match="A table was changed") as caught:
        for _ in chunks:
            pass
    assert caught.value.retryable


def children(name: str) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            command, _, rest = status.read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        if command == name and int(rest.split()[1]) == os.getpid():
            found.append(int(status.parent.name))
    return found


def test_a_tool_that_is_killed_meanwhile(server: Server, large: str) -> None:
    chunks = only(MariaDB(server.url(large))).chunks()
    next(chunks)
    (dump,) = children("mariadb-dump")
    os.kill(dump, signal.SIGKILL)
    with pytest.raises(SourceError, match="was ended by SIGKILL"):
        for _ in chunks:
            pass


def test_a_server_that_is_killed_meanwhile(tmp_path: Path) -> None:
    with mariadb() as server:
        run(server, "CREATE DATABASE large", "CREATE TABLE large.a (a longtext)")
        run(server, *["INSERT INTO large.a VALUES (REPEAT('x', 4000000))"] * 12)
        chunks = only(MariaDB(server.url("large"))).chunks()
        next(chunks)

        def load() -> Iterator[bytes]:
            yield b"CREATE TABLE t (a longtext);\n"
            server.kill()
            for _ in range(8):
                yield b"INSERT INTO t VALUES ('" + b"x" * 900_000 + b"');\n"

        run(server, "CREATE DATABASE scratch")
        with pytest.raises(RestoreError, match="went away in the middle"):
            list(DatabaseTarget(server.url("scratch")).write([Entry(path="db-dumps/x.sql", chunks=load)]))
        with pytest.raises(SourceError, match="went away in the middle") as caught:
            for _ in chunks:
                pass
        assert caught.value.retryable


def test_rights_that_are_missing(server: Server) -> None:
    def url(user: str) -> str:
        return server.url("shop", user=user, password="x")

    users = {
        "nothing": "SELECT ON nowhere.*",
        "half": "SELECT, SHOW VIEW ON shop.*",
        "bodies": "SELECT, SHOW VIEW, TRIGGER, EVENT, EXECUTE ON shop.*",
    }
    try:
        for user, rights in users.items():
            run(server, f"CREATE OR REPLACE USER {user} IDENTIFIED BY 'x'", f"GRANT {rights} TO {user}")
        assert "may not do all that this needs" in str(failure(MariaDB(url("nothing"))))
        assert "may not do all that this needs" in str(failure(MariaDB(url("half"))))
        assert "routines=False" in str(failure(MariaDB(url("bodies"))))
        entry = only(MariaDB(url("half"), routines=False, events=False))
        for _ in entry.chunks():
            pass
        (warning,) = entry.warnings
        assert "may not see all triggers" in warning.message
        quiet = only(MariaDB(url("bodies"), routines=False))
        for _ in quiet.chunks():
            pass
        assert quiet.warnings == []
    finally:
        run(server, *(f"DROP USER IF EXISTS {user}" for user in users))


def test_what_the_server_hides_from_the_user_is_told(server: Server) -> None:
    """It lists no routines, triggers and tables to whom it may not show them, and mysqldump misses none."""
    whole = "SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES ON shop.*"
    users = {
        ("documented", "routines"): [whole],
        ("elsewhere", "triggers"): ["SELECT, SHOW VIEW, EVENT ON shop.*", "TRIGGER ON nowhere.*"],
        ("single", "read the whole"): ["SELECT, TRIGGER ON shop.parents", "EVENT ON shop.*"],
        ("all", ""): [whole, "SELECT ON mysql.proc"],
        ("everywhere", ""): ["SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES, PROCESS ON *.*"],
    }
    names = [name for name, _ in users]
    try:
        for (name, hidden), grants in users.items():
            run(server, f"CREATE OR REPLACE USER `{name}` IDENTIFIED BY 'x'")
            run(server, *(f"GRANT {grant} TO `{name}`" for grant in grants))
            entry = only(MariaDB(server.url("shop", user=name, password="x")))
            text = b"".join(entry.chunks()).decode()
            messages = " ".join(warning.message for warning in entry.warnings)
            assert hidden in messages
            assert bool(messages) == bool(hidden)
            assert ("see routines" in messages) == ("PROCEDURE `fill`" not in text)
            assert ("see all triggers" in messages) == ("TRIGGER `on_log`" not in text)
            assert ("read the whole" in messages) == ("TABLE `log`" not in text)
        one = only(MariaDB(server.url("shop", user="single", password="x"), tables=["parents"], events=False))
        assert "TRIGGER `on_parents`" in b"".join(one.chunks()).decode()
        assert one.warnings == []
    finally:
        run(server, *(f"DROP USER IF EXISTS `{name}`" for name in names))


def test_rights_of_a_role_count_while_it_is_the_default(server: Server) -> None:
    try:
        run(
            server,
            "CREATE OR REPLACE ROLE reader",
            "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON *.* TO reader",
            "CREATE OR REPLACE USER plain IDENTIFIED BY 'x'",
            "GRANT reader TO plain",
            "SET DEFAULT ROLE reader FOR plain",
        )
        entry = only(MariaDB(server.url("shop", user="plain", password="x")))
        assert "PROCEDURE `fill`" in b"".join(entry.chunks()).decode()
        assert entry.warnings == []
    finally:
        run(server, "DROP USER IF EXISTS plain", "DROP ROLE IF EXISTS reader")


def test_tls_that_is_required_is_never_done_without(server: Server) -> None:
    """Told --ssl, MariaDB's client of 10.11 would go on without, and say nothing."""
    for mode in ("required", "verify_ca", "verify_identity"):
        assert "offers no TLS" in str(failure(MariaDB(server.url("shop"), tls=mode)))
    before = facts(server, "shop")
    with pytest.raises(RestoreError, match="offers no TLS"):
        list(DatabaseTarget(server.url("shop") + "?ssl=true", overwrite=True).write([entry_of(b"SELECT 1;")]))
    assert facts(server, "shop") == before
    assert dumped(MariaDB(server.url("shop"), tls="preferred"))
    assert dumped(MariaDB(server.url("shop"), tls="disabled"))


# Restoring.


def test_a_database_that_holds_something_is_refused_and_stays(server: Server, scratch: str) -> None:
    run(server, f"CREATE DATABASE {scratch}", f"CREATE TABLE {scratch}.mine (a int)")
    target = DatabaseTarget(server.url(scratch))
    assert "is not empty" in next(target.check([entry_of(b"")])).message
    with pytest.raises(RestoreError):
        list(target.write([entry_of(b"CREATE TABLE t (a int);\n")]))
    assert run(server, "SHOW TABLES", database=scratch) == [("mine",)]


@pytest.mark.parametrize(
    "held",
    [
        "CREATE TABLE t (a int)",
        "CREATE VIEW v AS SELECT 1",
        "CREATE PROCEDURE p() SELECT 1",
        "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT 1",
        "CREATE SEQUENCE s",
    ],
)
def test_anything_at_all_makes_a_database_filled(server: Server, scratch: str, held: str) -> None:
    client = client_of(parse_database_url(server.url(scratch)))
    assert client.state() == "missing"
    client.create()
    assert client.state() == "empty"
    run(server, held, database=scratch)
    assert client.state() == "filled"
    client.drop()
    client.drop()
    assert client.state() == "missing"


def test_databases_are_found_without_those_of_the_server(server: Server, scratch: str) -> None:
    run(server, f"CREATE DATABASE {scratch}")
    found = client_of(parse_database_url(server.url())).databases()
    assert {"shop", scratch} <= set(found)
    assert not {"mysql", "sys", "information_schema", "performance_schema"} & set(found)


def test_what_is_replaced_is_gone_and_what_comes_is_all_there_is(server: Server, scratch: str) -> None:
    run(server, f"CREATE DATABASE {scratch}", f"CREATE TABLE {scratch}.mine (a int)")
    restore(only(MariaDB(server.url("shop"))), server.url(scratch), overwrite=True)
    assert facts(server, scratch) == facts(server, "shop")


def test_a_damaged_backup_replaces_nothing(server: Server, scratch: str) -> None:
    run(server, f"CREATE DATABASE {scratch}", f"CREATE TABLE {scratch}.mine (a int)")

    def damaged() -> Iterator[bytes]:
        yield b"CREATE TABLE t (a int);\n"
        raise IntegrityError("damaged", where="db-dumps")

    target = DatabaseTarget(server.url(scratch), overwrite=True)
    with pytest.raises(IntegrityError):
        list(target.write([Entry(path="db-dumps/mysql-shop.sql", chunks=damaged)]))
    assert run(server, "SHOW TABLES", database=scratch) == [("mine",)]


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "\0\1\2",
        "--\n-- PostgreSQL database dump\n--\nSET statement_timeout = 0;\n",
        "tables",
        "rows",
        "end",
        "data",
    ],
)
def test_what_is_no_whole_dump_replaces_nothing(server: Server, scratch: str, broken: str) -> None:
    run(server, f"CREATE DATABASE {scratch}", f"CREATE TABLE {scratch}.mine (a int)")
    dump = dumped(MariaDB(server.url("shop")))
    match broken:
        case "tables":
            dump = dump[: dump.rindex(b"-- Table structure for table")]
        case "rows":
            dump = dump[: dump.index(b"INSERT INTO") + 40]
        case "end":
            dump = dump[: dump.rindex(b"-- Dump completed")]
        case "data":
            dump = dumped(MariaDB(server.url("shop"), content="data"))
        case _:
            dump = broken.encode()
    with pytest.raises(RestoreError):
        restore(entry_of(dump), server.url(scratch), overwrite=True)
    assert run(server, "SHOW TABLES", database=scratch) == [("mine",)]


@pytest.mark.parametrize("end", ["INSERT INTO t VALUES ('b", "/* and", "INSERT INTO t VALUES ("])
def test_a_script_that_ends_in_the_middle_of_a_statement_fails(
    server: Server, scratch: str, end: str
) -> None:
    script = "CREATE TABLE t (a text);\nINSERT INTO t VALUES ('a');\n" + end
    with pytest.raises(RestoreError):
        restore(entry_of(script.encode()), server.url(scratch), create=True)
    assert client_of(parse_database_url(server.url(scratch))).state() == "missing"
    restore(entry_of(script.removesuffix(end).encode()), server.url(scratch), create=True)


MADE = "CHARACTER SET latin2 COLLATE latin2_croatian_ci COMMENT 'it''s\\nours'"


@pytest.mark.parametrize("fails", [False, True])
def test_a_database_that_was_made_beforehand_stays_as_it_was_made(
    server: Server, scratch: str, fails: bool
) -> None:
    run(server, f"CREATE DATABASE {scratch} {MADE}", f"CREATE TABLE {scratch}.mine (a int)")
    before = run(server, f"SHOW CREATE DATABASE {scratch}")
    if fails:
        run(server, f"DROP TABLE {scratch}.mine")
        with pytest.raises(RestoreError):
            restore(
                entry_of(b"ALTER DATABASE CHARACTER SET utf8mb4;\nCREATE TABLE t (a int);\nFAIL;\n"),
                server.url(scratch),
            )
    else:
        restore(entry_of(b"CREATE TABLE t (a int);\n"), server.url(scratch), overwrite=True)
    assert run(server, f"SHOW CREATE DATABASE {scratch}") == before
    assert "latin2_croatian_ci" in str(before)


@pytest.mark.parametrize("damaged", [False, True])
def test_a_half_that_cannot_be_taken_away_is_told(server: Server, scratch: str, damaged: bool) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"CREATE TABLE t (a int);\n"
        if damaged:
            raise IntegrityError("The backup is damaged.", where="db-dumps")
        yield b"INSERT INTO nothing VALUES (1);\n"

    run(server, f"CREATE DATABASE {scratch}")
    entry = Entry(path="db-dumps/mariadb-shop.sql", chunks=chunks)
    try:
        run(server, "CREATE OR REPLACE USER plain IDENTIFIED BY 'x'")
        run(server, f"GRANT SELECT, INSERT, CREATE ON {scratch}.* TO plain")
        with pytest.raises(IntegrityError if damaged else RestoreError) as caught:
            restore(entry, server.url(scratch, user="plain", password="x"))
    finally:
        run(server, "DROP USER IF EXISTS plain")
    assert ("The backup is damaged" if damaged else "line 2") in str(caught.value)
    assert "What was restored so far may still be in" in str(caught.value)
    assert "grant it" in str(caught.value)


def test_a_comment_in_a_body_is_no_change_of_the_database(server: Server, scratch: str) -> None:
    with fresh(server, "careful"):
        run(server, "CREATE DATABASE careful")
        body = "CREATE PROCEDURE p()\nBEGIN\n/* Only to\nuse sparingly;\n*/\nSELECT 1;\nEND"
        run(server, body, database="careful")
        restore(only(MariaDB(server.url("careful"))), server.url(scratch), create=True)
    assert "use sparingly" in str(run(server, "SHOW CREATE PROCEDURE p", database=scratch))


def test_a_database_that_is_in_use_is_not_waited_for_for_ever(
    server: Server, scratch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backupkit.databases.mysql._LOCK_WAIT", 1)
    run(server, f"CREATE DATABASE {scratch}", f"CREATE TABLE {scratch}.mine (a int)")
    with connection(server, scratch, autocommit=False) as one, one.cursor() as cursor:
        cursor.execute("SELECT * FROM mine")
        with pytest.raises(RestoreError, match="end its transaction"):
            restore(entry_of(b"CREATE TABLE t (a int);\n"), server.url(scratch), overwrite=True)
    assert run(server, "SHOW TABLES", database=scratch) == [("mine",)]


@pytest.mark.parametrize("made", [False, True])
def test_the_first_error_ends_it_and_nothing_is_left(server: Server, scratch: str, made: bool) -> None:
    if made:
        run(server, f"CREATE DATABASE {scratch}")
    secret = b"INSERT INTO nothing VALUES ('a customer');\n"
    with pytest.raises(RestoreError) as caught:
        restore(
            entry_of(b"CREATE TABLE t (a int);\n" + secret + b"CREATE TABLE u (a int);\n"),
            server.url(scratch),
            create=True,
        )
    assert "line 2" in str(caught.value)
    assert "customer" not in str(caught.value)
    assert client_of(parse_database_url(server.url(scratch))).state() == ("empty" if made else "missing")


@pytest.mark.parametrize(
    "hostile",
    [
        "\\! touch {file}\n",
        "system touch {file}\n",
        "SELECT 1 \\! touch {file}\n;\n",
        "tee {file}\nSELECT 1;\n",
        "\\T {file}\nSELECT 1;\n",
        "source {file}.sql\n",
        "LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE t;\n",
        "pager touch {file}\n",
    ],
)
def test_a_hostile_dump_runs_nothing_here(server: Server, scratch: str, tmp_path: Path, hostile: str) -> None:
    tmp_path.chmod(0o777)
    (tmp_path / "out.sql").write_text(f"CREATE TABLE {scratch}.sourced (a int);\n")
    script = "CREATE TABLE t (a text);\n" + hostile.format(file=tmp_path / "out")
    with pytest.raises(RestoreError):
        restore(entry_of(script.encode()), server.url(scratch), create=True)
    assert not (tmp_path / "out").exists()


def test_a_dump_that_names_its_database_is_not_restored_over_that(server: Server, scratch: str) -> None:
    with fresh(server, "original"):
        run(server, "CREATE DATABASE original", "CREATE TABLE original.t (a int)")
        run(server, "INSERT INTO original.t VALUES (1)")
        argv: list[str | Path] = [
            *(require_tool("mariadb-dump"), "--no-defaults", "--databases", "original", "--protocol=socket"),
            *(f"--socket={server.socket}", f"--user={server.user}", f"--password={PASSWORD}"),
        ]
        text = subprocess.run(argv, check=True, capture_output=True).stdout
        run(server, "INSERT INTO original.t VALUES (2)")
        with pytest.raises(RestoreError, match="changes to the database `original`"):
            restore(entry_of(text), server.url(scratch), create=True)
        run(server, f"CREATE DATABASE {scratch}", f"CREATE TABLE {scratch}.mine (a int)")
        with pytest.raises(RestoreError, match="changes to the database `original`"):
            restore(entry_of(text), server.url(scratch), overwrite=True)
        assert run(server, "SHOW TABLES", database=scratch) == [("mine",)]
        assert run(server, "SELECT COUNT(*) FROM original.t") == [(2,)]


def test_a_restore_without_the_right_to_give_things_to_others_says_so(server: Server, scratch: str) -> None:
    try:
        run(server, "CREATE OR REPLACE USER plain IDENTIFIED BY 'x'", f"GRANT ALL ON {scratch}.* TO plain")
        with pytest.raises(RestoreError, match="DEFINER"):
            restore(
                only(MariaDB(server.url("shop"))),
                server.url(scratch, user="plain", password="x"),
                create=True,
            )
    finally:
        run(server, "DROP USER IF EXISTS plain")


def test_a_large_value_comes_back_or_it_is_said_what_to_do() -> None:
    """64 MiB of binary data, which are 128 MiB in a dump."""
    with mariadb(settings=["max-allowed-packet=256M", "innodb-log-file-size=768M"]) as server:
        run(server, "CREATE DATABASE large", "CREATE TABLE large.b (id int PRIMARY KEY, data longblob)")
        run(server, "INSERT INTO large.b VALUES (1, REPEAT(0x00ff275c0a, 13500000))")
        entry = only(MariaDB(server.url("large"), count_rows=True))
        restore(entry, server.url("scratch"), create=True)
        assert entry.rows == {"b": 1}
        digest = "SELECT id, LENGTH(data), MD5(data) FROM b"
        assert run(server, digest, database="scratch") == run(server, digest, database="large")
        run(server, "SET GLOBAL max_allowed_packet = 16777216")
        with pytest.raises(RestoreError, match="max_allowed_packet"):
            restore(entry, server.url("scratch"), overwrite=True)
