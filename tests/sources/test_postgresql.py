from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backupkit.errors import ConfigurationError, SourceError
from backupkit.sources.postgresql import PostgreSQL
from backupkit.sources.postgresql_roles import PostgreSQLRoles

PASSWORD = "q\"u'o\\te #1 %41:@/ end"
URL = "postgresql://admin:q%22u%27o%5Cte%20%231%20%2541%3A%40%2F%20end@db.example:5433/shop"
WHOLE = "--\n-- PostgreSQL database dump\n--\n\nSELECT 1;\n\n--\n-- PostgreSQL database dump complete\n--\n\n"


@pytest.fixture
def tools(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder with programs that run the given lines of Python."""

    def make(**programs: str) -> Path:
        asked = "print('UTF8') if 'encoding;' in sys.stdin.read() else None"
        for name, code in {"psql": asked, **programs}.items():
            program = tmp_path / name
            program.write_text(f"#!{sys.executable} -I\nimport os, sys, time, signal\n{code}\n")
            program.chmod(0o755)
        return tmp_path

    return make


def content(source: PostgreSQL | PostgreSQLRoles) -> bytes:
    (entry,) = source.entries()
    return b"".join(entry.chunks())


def failure(source: PostgreSQL | PostgreSQLRoles) -> str:
    with pytest.raises(SourceError) as raised:
        content(source)
    assert raised.value.retryable
    return str(raised.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "tar"}, "no form 'tar'"),
        ({"content": "rows"}, "no content 'rows'"),
        ({"tables": ["a"], "exclude_tables": ["b"]}, "both tables and exclude_tables"),
        ({"content": "schema", "count_rows": True}, "has no rows"),
        ({"content": "schema", "exclude_data": ["a"]}, "has no rows"),
        ({"inserts": True, "count_rows": True}, "not counted"),
        ({"extra_options": ["--inserts"], "count_rows": True}, "not counted"),
        ({"extra_options": ["--column-ins"], "count_rows": True}, "not counted"),
        ({"extra_options": ["--rows-per-insert=10"], "count_rows": True}, "not counted"),
        ({"tables": "orders"}, "give a list"),
        ({"exclude_data": ["a.b.c"]}, "exclude_data has 'a.b.c'"),
        ({"extra_options": ["--format=tar"]}, "set by the source's own parameters"),
        ({"extra_options": ["-Fd"]}, "set by the source's own parameters"),
        ({"extra_options": ["--create"]}, "set by the source's own parameters"),
        ({"extra_options": ["--dbn=dbname=postgres"]}, "set by the source's own parameters"),
        ({"extra_options": ["--f=t"]}, "set by the source's own parameters"),
        ({"extra_options": ["-vC"]}, "set by the source's own parameters"),
        ({"extra_options": ["-xd", "postgres"]}, "set by the source's own parameters"),
        ({"extra_options": ["-vW"]}, "set by the source's own parameters"),
        ({"time_limit": timedelta(0)}, "limits above zero"),
        ({"name": "a/b"}, "cannot be named"),
    ],
)
def test_options_that_contradict_are_refused_at_once(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        PostgreSQL(URL, **options)


def test_options_that_only_look_like_those_of_the_source_are_taken() -> None:
    options = ("-vnCases", "--filter=x", "--schema=Cases", "-E", "UTF8", "--no-comments")
    assert PostgreSQL(URL, extra_options=options).extra_options == options


def test_a_source_for_another_database_of_the_server_keeps_all_options() -> None:
    source = PostgreSQL(URL, form="custom", exclude_data=["log"]).with_database("b", dump_name="main/b")
    assert source.url.database == "b"
    assert source.name == "postgresql-main/b.pgdump"
    assert [name.text for name in source.exclude_data] == ["log"]
    assert source.database_of("db-dumps/postgresql-main/b.pgdump") == source.url
    with pytest.raises(ConfigurationError, match="cannot be named"):
        source.with_database("b", dump_name="main/b/c")


def test_a_url_without_a_database_dumps_nothing_by_itself(tools: Callable[..., Path]) -> None:
    source = PostgreSQL("postgresql://db.example", name="main", tools=tools(pg_dump=f"print({WHOLE!r})"))
    with pytest.raises(SourceError, match=r"names none: write postgresql://db.example/name"):
        content(source)
    assert content(source.with_database("shop", dump_name="main/shop"))


def test_roles_are_named_after_the_database_or_else_the_host() -> None:
    assert PostgreSQLRoles(URL).name == "postgresql-shop.roles.sql"
    assert PostgreSQLRoles("postgresql://db.example").name == "postgresql-db.example.roles.sql"
    assert PostgreSQLRoles(URL, name="main").name == "postgresql-main.roles.sql"


RECORD = (
    "import json; kept = open(os.environ['PGPASSFILE']).read();"
    "json.dump([sys.argv, dict(os.environ), kept], open(os.path.dirname(sys.argv[0]) + '/seen', 'w'));"
    f"print({WHOLE!r}, end='')"
)


@pytest.mark.parametrize("source", [PostgreSQL, PostgreSQLRoles])
def test_the_password_is_in_the_private_file_and_nowhere_else(
    source: Any, tools: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    folder = tools(pg_dump=RECORD, pg_dumpall=RECORD)
    content(source(URL, tools=folder))
    argv, environment, kept = json.loads((folder / "seen").read_text())
    assert kept == "*:*:*:*:q\"u'o\\\\te #1 %41\\:@/ end\n"
    for text in (*argv, *environment.values()):
        assert PASSWORD not in text
        assert "%22u%27o" not in text
    assert PASSWORD not in repr(source(URL, tools=folder))


def test_every_option_reaches_pg_dump(tools: Callable[..., Path]) -> None:
    folder = tools(pg_dump=RECORD)
    content(
        PostgreSQL(
            URL,
            content="data",
            tables=["a", "s.b*"],
            exclude_data=['"x.y"'],
            owners=False,
            privileges=False,
            inserts=True,
            large_objects=False,
            silence_limit=timedelta(seconds=10),
            extra_options=["--verbose"],
            tools=folder,
        )
    )
    argv, *_ = json.loads((folder / "seen").read_text())
    assert argv[1].startswith("--dbname=host='db.example' port='5433' user='admin' dbname='shop'")
    assert argv[2:] == [
        *(
            "--no-password",
            "--encoding=UTF8",
            "--format=plain",
            "--data-only",
            "--no-owner",
            "--no-privileges",
            "--inserts",
            "-B",
        ),
        *("--strict-names", '--table="a"', '--table="s"."b"*', '--exclude-table-data="x.y"'),
        *("--lock-wait-timeout=8000", "--verbose"),
    ]


LYING = {
    "nothing": "",
    "half of it": f"print({WHOLE[:60]!r})",
    "its end not last": f"print({WHOLE + 'SELECT 2;'!r})",
    "no second key": "print('\\\\restrict a1\\n' + " + repr(WHOLE) + ", end='')",
    "a flood of complaints": "sys.stderr.write('x' * 10_000_000); print('SELECT 1;')",
}


@pytest.mark.parametrize("code", LYING.values(), ids=LYING.keys())
def test_a_pg_dump_that_succeeds_without_its_last_line_has_failed(
    code: str, tools: Callable[..., Path]
) -> None:
    assert "is not whole" in failure(PostgreSQL(URL, tools=tools(pg_dump=code)))


FAILING = {
    "killed": ("print('x', flush=True); os.kill(os.getpid(), signal.SIGKILL)", "was ended by SIGKILL"),
    "stalled": ("time.sleep(300)", "wrote nothing for 0.2 s"),
    "straggling": (
        f"print({WHOLE!r}, flush=True)\nif not os.fork(): time.sleep(300)",
        "left a process behind|wrote nothing for",
    ),
    "older": (
        "sys.exit('pg_dump: error: aborting because of server version mismatch')",
        "older than the server .* tools=",
    ),
    "refused": (
        "sys.exit('connection to server failed: FATAL:  password authentication failed')",
        "refused the user or the password",
    ),
    "telling": (f"sys.exit('it was ' + {PASSWORD!r})", r"it was \*\*\*"),
}


@pytest.mark.parametrize(("code", "message"), FAILING.values(), ids=FAILING.keys())
@pytest.mark.parametrize("form", ["plain", "custom"])
def test_a_pg_dump_that_fails_is_explained(
    code: str, message: str, form: Any, tools: Callable[..., Path]
) -> None:
    folder = tools(pg_dump=code, pg_restore="sys.stdin.buffer.read()")
    source = PostgreSQL(URL, form=form, tools=folder, silence_limit=timedelta(seconds=0.2))
    with pytest.raises(SourceError, match=message):
        content(source)


def test_a_missing_program_is_named_with_its_package(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"pg_dump is not installed.*postgresql-client"):
        content(PostgreSQL(URL, tools=tmp_path))


ARCHIVE = "sys.stdout.buffer.write(b'PGDMP' + bytes(40_000_000))"


@pytest.mark.parametrize(
    ("reader", "message"),
    [
        ("sys.exit('pg_restore: error: could not read from input file: end of file')", "is not whole"),
        ("sys.stdin.buffer.read(); sys.exit(1)", "is not whole"),
        ("", "is not whole"),
        ("time.sleep(300)", "pg_restore wrote nothing for"),
    ],
    ids=["at once", "at the end", "unread", "stalled"],
)
def test_an_archive_that_pg_restore_cannot_read_has_failed(
    reader: str, message: str, tools: Callable[..., Path]
) -> None:
    folder = tools(pg_dump=ARCHIVE, pg_restore=reader)
    source = PostgreSQL(URL, form="custom", tools=folder, silence_limit=timedelta(seconds=1))
    assert message in failure(source)


def test_an_archive_that_is_no_longer_wanted_leaves_no_program_behind(tools: Callable[..., Path]) -> None:
    note = "open(os.path.dirname(sys.argv[0]) + '/' + os.path.basename(sys.argv[0]) + '.pid', 'w').write("
    note += "str(os.getpid()))\n"
    folder = tools(pg_dump=note + ARCHIVE, pg_restore=note + "sys.stdin.buffer.read()")
    (entry,) = PostgreSQL(URL, form="custom", tools=folder).entries()
    chunks = entry.chunks()
    while not (folder / "pg_restore.pid").exists() or not (folder / "pg_restore.pid").read_text():
        next(chunks)
    chunks.close()  # type: ignore[attr-defined] # it is a generator
    for name in ("pg_dump.pid", "pg_restore.pid"):
        with pytest.raises(ProcessLookupError):
            os.kill(int((folder / name).read_text()), 0)
