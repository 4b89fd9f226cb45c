"""What MySQL's own mysqldump and mysql are told.

They cannot be had on the machines that run this. Programs stand in for them that say they are MySQL's, know their
options, write down what they were started with, and then let MariaDB's do the work, against a MariaDB server.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backupkit.errors import RestoreError, SourceError
from backupkit.model import Entry
from backupkit.sources.mysql import MariaDB, MySQL
from backupkit.targets.database import DatabaseTarget
from tests.servers import Server
from tests.services.mysql_databases import facts, fill, fresh, run
from tests.tools import require_tool

pytestmark = pytest.mark.services

VERSIONS = {
    "mysqldump": "mysqldump  Ver 8.0.39 for Linux on x86_64 (MySQL Community Server - GPL)",
    "mysql": "mysql  Ver 8.0.39 for Linux on x86_64 (MySQL Community Server - GPL)",
}
# What they know and MariaDB's do not, and the other way round.
OWN = {
    "mysqldump": ("column-statistics", "set-gtid-purged", "ssl-mode", "network-timeout"),
    "mysql": ("ssl-mode", "system-command", "connect-timeout"),
}
FOREIGN = ("ignore-table-data", "sandbox", "print-query-on-error", "dump-history", "system")
SCRIPT = """#!{python}
import json, os, re, subprocess, sys
arguments = sys.argv[1:]
if "--help" in arguments:
    print({version!r})
    known = subprocess.run([{real!r}, "--no-defaults", "--help"], capture_output=True, text=True).stdout
    for line in known.split("\\n")[1:]:
        if not re.match(r" +(-., +)?--(" + "|".join({foreign!r}) + r")(=| |$)", line):
            print(line)
    for option in {own!r}:
        print("  --" + option + "=name")
    sys.exit()
for argument in arguments:
    if argument == "--":
        break
    if re.match("--(skip-)?(" + "|".join({foreign!r}) + r")(=| |$)", argument):
        sys.exit("unknown option " + argument)
files = [open(one[16:]).read() for one in arguments if one.startswith("--defaults-file=")]
with open({record!r}, "a") as record:
    print(json.dumps([{name!r}, arguments, dict(os.environ), files]), file=record)
{act}
dashes = arguments.index("--") if "--" in arguments else len(arguments)
own = [one for one in arguments[:dashes] if not re.match("--(skip-)?(" + "|".join({own!r}) + r")(=| |$)", one)]
os.execv({real!r}, [{real!r}, *own, *arguments[dashes:]])
"""


@dataclass(frozen=True)
class Started:
    """A program as it was started."""

    name: str
    arguments: list[str]
    variables: dict[str, str]
    files: list[str]


@dataclass(frozen=True)
class StandIns:
    folder: Path
    record: Path

    def write(self, name: str, *, act: str = "") -> None:
        real = require_tool({"mysqldump": "mariadb-dump", "mysql": "mariadb"}[name])
        (self.folder / name).write_text(
            SCRIPT.format(
                python=sys.executable,
                name=name,
                version=VERSIONS[name],
                real=os.fspath(real),
                own=OWN[name],
                foreign=FOREIGN,
                record=os.fspath(self.record),
                act=act,
            )
        )
        (self.folder / name).chmod(0o755)

    def started(self, name: str) -> list[Started]:
        lines = self.record.read_text().splitlines()
        return [one for one in (Started(*json.loads(line)) for line in lines) if one.name == name]


@pytest.fixture
def programs(tmp_path: Path) -> StandIns:
    (tmp_path / "bin").mkdir()
    made = StandIns(tmp_path / "bin", tmp_path / "record")
    for name in VERSIONS:
        made.write(name)
    return made


@pytest.fixture(scope="module")
def server(mariadb_server: Server) -> Iterator[Server]:
    with fresh(mariadb_server, "shop"):
        fill(mariadb_server, "shop")
        yield mariadb_server


@pytest.fixture
def scratch(server: Server) -> Iterator[str]:
    with fresh(server, "scratch"):
        yield "scratch"


def dump(programs: StandIns, server: Server, **options: Any) -> Entry:
    """A dump that was made, once; what it holds is kept."""
    (entry,) = MySQL(server.url("shop"), tools=programs.folder, **options).entries()
    content = b"".join(entry.chunks())
    return Entry(path=entry.path, chunks=lambda: iter([content]), rows=entry.rows)


def restore(programs: StandIns, entry: Entry, url: str) -> None:
    list(DatabaseTarget(url, create=True, tools=programs.folder).write([entry]))


def test_a_server_that_does_not_answer_what_is_asked_first_ends_the_dump_in_time(
    programs: StandIns, server: Server
) -> None:
    programs.write("mysql", act="import time; time.sleep(600)")
    with pytest.raises(SourceError, match="mysql wrote nothing for 1 s"):
        dump(programs, server, silence_limit=timedelta(seconds=1))


def test_what_was_dumped_comes_back_identical(programs: StandIns, server: Server, scratch: str) -> None:
    restore(programs, dump(programs, server), server.url(scratch))
    assert facts(server, scratch) == facts(server, "shop")


def test_mysqldump_is_told_what_it_alone_knows(programs: StandIns, server: Server) -> None:
    dump(programs, server)
    (started,) = programs.started("mysqldump")
    assert started.arguments[0].startswith("--defaults-file=/proc/self/fd/")
    assert started.arguments[1:] == [
        *("--host=127.0.0.1", f"--port={server.port}", "--protocol=tcp"),
        *(
            "--skip-dump-date",
            "--no-tablespaces",
            "--max-allowed-packet=1G",
            "--default-character-set=utf8mb4",
        ),
        *("--single-transaction", "--quick", "--skip-lock-tables"),
        *("--column-statistics=0", "--set-gtid-purged=OFF", "--hex-blob"),
        *("--routines", "--triggers", "--events", "--", "shop"),
    ]


def test_the_password_is_in_the_file_and_nowhere_else(
    programs: StandIns, server: Server, scratch: str
) -> None:
    restore(programs, dump(programs, server), server.url(scratch))
    quoted = server.password.replace("\\", "\\\\").replace('"', '\\"')
    for started in (*programs.started("mysqldump"), *programs.started("mysql")):
        assert started.files == [f'[client]\nuser="admin"\npassword="{quoted}"\n']
        assert not any(server.password in text for text in (*started.arguments, *started.variables.values()))
        assert started.variables["MYSQL_TEST_LOGIN_FILE"] == "/dev/null/mylogin.cnf"


def test_the_client_is_locked_in_by_its_own_options(programs: StandIns, server: Server, scratch: str) -> None:
    restore(programs, dump(programs, server), server.url(scratch))
    loading = [one.arguments for one in programs.started("mysql") if "--binary-mode" in one.arguments]
    assert loading[0][4:] == [
        *("--batch", "--binary-mode", "--local-infile=0", "--max-allowed-packet=1G", "--comments"),
        *(
            "--skip-reconnect",
            "--default-character-set=utf8mb4",
            "--skip-system-command",
            "--database=scratch",
        ),
    ]


@pytest.mark.parametrize("gtids", ["AUTO", "ON", "COMMENTED"])
def test_gtids_are_dumped_if_that_is_asked(programs: StandIns, server: Server, gtids: Any) -> None:
    dump(programs, server, gtid_purged=gtids)
    assert f"--set-gtid-purged={gtids}" in programs.started("mysqldump")[0].arguments


def test_gtids_of_mariadbs_tool_are_an_error_that_says_so(server: Server) -> None:
    (entry,) = MySQL(server.url("shop"), gtid_purged="ON").entries()
    with pytest.raises(SourceError, match="is for MySQL's mysqldump"):
        list(entry.chunks())


def test_tls_is_asked_for_in_mysqls_words(programs: StandIns, server: Server) -> None:
    dump(programs, server, tls="preferred")
    assert "--ssl-mode=PREFERRED" in programs.started("mysqldump")[0].arguments
    assert "--ssl-mode=PREFERRED" in programs.started("mysql")[0].arguments


def test_rows_alone_are_left_out_by_dumping_the_structure_first(
    programs: StandIns, server: Server, scratch: str
) -> None:
    entry = dump(
        programs, server, exclude_data=["types", "parents", "gone"], count_rows=True, gtid_purged="ON"
    )
    structure, rest = (one.arguments for one in programs.started("mysqldump"))
    assert structure[structure.index("--") :] == ["--", "shop", "types", "parents"]
    assert {"--no-data", "--triggers", "--skip-routines", "--skip-events", "--set-gtid-purged=OFF"} <= set(
        structure
    )
    assert {"--ignore-table=shop.types", "--ignore-table=shop.parents", "--set-gtid-purged=ON"} <= set(rest)
    restore(programs, entry, server.url(scratch))
    assert run(
        server, "SELECT (SELECT COUNT(*) FROM types), (SELECT COUNT(*) FROM parents)", database=scratch
    ) == [(0, 0)]
    assert (entry.rows["types"], entry.rows["parents"], entry.rows["children"]) == (0, 0, 2)
    full, part = facts(server, "shop"), facts(server, scratch)
    assert full.keys() == part.keys()
    assert {name for name in full if full[name] != part[name]} == {"types", "parents"}


def test_each_of_the_two_dumps_has_to_be_whole(programs: StandIns, server: Server) -> None:
    for part in ("'--no-data' in arguments", "'--no-data' not in arguments"):
        programs.write("mysqldump", act=f"if {part}: print('-- half'); sys.exit(0)")
        with pytest.raises(SourceError, match="not whole"):
            dump(programs, server, exclude_data=["types"])


def test_only_some_tables_and_of_one_no_rows(programs: StandIns, server: Server, scratch: str) -> None:
    entry = dump(
        programs, server, tables=["children", "types"], exclude_data=["types", "log"], count_rows=True
    )
    assert entry.rows == {"children": 2, "types": 0}
    restore(programs, entry, server.url(scratch))
    assert run(server, "SHOW TABLES", database=scratch) == [("children",), ("types",)]


SAYINGS = {
    "older": (
        "mysqldump: Got error: 2059: Authentication plugin 'caching_sha2_password' cannot be loaded: "
        "/usr/lib/mysql/plugin/caching_sha2_password.so: cannot open shared object file: No such file",
        "The client is older than the server",
    ),
    "flush": (
        "mysqldump: Couldn't execute 'FLUSH TABLES': Access denied; you need (at least one of) the RELOAD or "
        "FLUSH_TABLES privilege(s) for this operation (1227)",
        'say gtid_purged="OFF"',
    ),
    "changed": (
        "mysqldump: Couldn't execute 'SELECT /*!40001 SQL_NO_CACHE */ * FROM `t`': Table definition has changed, "
        "please retry transaction (1412)",
        "A table was changed",
    ),
    "gone": (
        "mysqldump: Error 2013: Lost connection to MySQL server during query when dumping table `t` at row: 1045",
        "The server went away in the middle",
    ),
    "tls": (
        "mysqldump: Got error: 2026: SSL connection error: SSL is required but the server doesn't support it when "
        "trying to connect",
        "The server offers no TLS",
    ),
    "secure": (
        "mysqldump: Got error: 3159: Connections using insecure transport are prohibited while "
        "--require_secure_transport=ON. when trying to connect",
        "takes no connections without TLS",
    ),
}


@pytest.mark.parametrize("saying", SAYINGS)
def test_what_mysqldump_says_is_explained(programs: StandIns, server: Server, saying: str) -> None:
    said, meant = SAYINGS[saying]
    programs.write("mysqldump", act=f"sys.exit({said!r})")
    with pytest.raises(SourceError) as caught:
        dump(programs, server)
    assert meant in str(caught.value)


def test_a_set_of_gtids_that_is_refused_is_explained(
    programs: StandIns, server: Server, scratch: str
) -> None:
    said = (
        "ERROR 3546 (HY000) at line 24: @@GLOBAL.GTID_PURGED cannot be changed: the added gtid set must not "
        "overlap with @@GLOBAL.GTID_EXECUTED"
    )
    programs.write("mysql", act=f"if '--binary-mode' in arguments: sys.stdin.read(); sys.exit({said!r})")
    entry = Entry(path="db-dumps/mysql-shop.sql", chunks=lambda: iter([b"CREATE TABLE t (a int);\n"]))
    with pytest.raises(RestoreError, match="dump with gtid_purged"):
        restore(programs, entry, server.url(scratch))


def test_mysqls_programs_serve_mariadb_too_where_there_are_no_others(
    programs: StandIns, server: Server, scratch: str
) -> None:
    (entry,) = MariaDB(server.url("shop"), tools=programs.folder).entries()
    restore(programs, entry, server.url(scratch))
    assert facts(server, scratch) == facts(server, "shop")
