"""MySQL and MariaDB servers: what can be asked of them, and what their errors mean."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from backupkit.databases.clients import State
from backupkit.databases.mysql_options import connection_of
from backupkit.databases.mysql_programs import Purpose, Tool, access_of, find_tool
from backupkit.databases.programs import Access, ClientError, Limits, Outside, Passing, answer_of
from backupkit.databases.urls import DatabaseURL

_SYSTEM = frozenset({"information_schema", "mysql", "performance_schema", "sys"})
_NO_LIMITS = Limits()
_UNKNOWN_DATABASE = 1049
_LOCK_WAIT = 60  # seconds that others may keep a table which is to be dropped
_NO_TLS = "The server offers no TLS, which the URL requires: set it up there, or leave it out of the URL."
_ESCAPES = {"n": "\n", "t": "\t", "0": "\0", "\\": "\\"}


@dataclass(frozen=True, slots=True)
class MySQLClient:
    """One database on a MySQL or MariaDB server, through `mysql` or `mariadb`."""

    url: DatabaseURL
    tools: Path | None = None

    def tool(self, purpose: Purpose) -> Tool:
        return find_tool(purpose, self.url, self.tools)

    @contextmanager
    def access(self, tool: Tool) -> Iterator[Access]:
        """What the program needs to connect, once it is sure that a TLS that is required will be there."""
        if connection_of(self.url).tls == "required" and tool.of_mariadb:
            # Measured with 10.11: told --ssl, it goes on without where the server has none, and says nothing.
            found = self._answers("SHOW SESSION STATUS LIKE 'Ssl_cipher'", in_database=False)
            if not any(value for _, value in found):
                raise ClientError(_NO_TLS)
        with access_of(self.url, tool) as access:
            yield access

    def query(self, sql: str, *, in_database: bool = True, limits: Limits = _NO_LIMITS) -> list[list[str]]:
        """The rows of the answers to one or more statements, in this database or in none; NULL is a text."""
        with self.access(self.tool("client")):
            return self._answers(sql, in_database=in_database, limits=limits)

    def _answers(self, sql: str, *, in_database: bool, limits: Limits = _NO_LIMITS) -> list[list[str]]:
        tool = self.tool("client")
        argv = [
            tool.path,
            *("--batch", "--skip-column-names", "--skip-reconnect", "--default-character-set=utf8mb4"),
            *tool.if_known("--skip-print-query-on-error"),
            *([f"--database={self.url.database}"] if in_database and self.url.database else []),
        ]
        with access_of(self.url, tool) as access:
            answer = answer_of(argv, access, explain=self.explain, limits=limits, feed=f"{sql};\n".encode())
        return [[_unescaped(field) for field in line.split("\t")] for line in answer.split("\n")[:-1]]

    def state(self) -> State:
        try:
            rows = self.query(_FILLED)
        except ClientError as error:
            if re.search(rf"ERROR {_UNKNOWN_DATABASE} \(", str(error)):
                return "missing"
            raise
        return "filled" if rows[0][0] == "1" else "empty"

    def create(self) -> None:
        self.query(f"CREATE DATABASE {quoted(self.url.database)}", in_database=False)

    def drop(self) -> None:
        # The server's own limit is a day: an idle transaction that has looked at a table would hold this up.
        limit = f"SET SESSION lock_wait_timeout = {_LOCK_WAIT}"
        self.query(f"{limit};\nDROP DATABASE IF EXISTS {quoted(self.url.database)}", in_database=False)

    def count_rows(self) -> Mapping[str, int]:
        tables = [row[0] for row in self.query(_TABLES)]
        if not tables:
            return {}
        # One by one: for each part of a UNION of thousands the server keeps memory.
        counts = self.query(";\n".join(f"SELECT COUNT(*) FROM {quoted(name)}" for name in tables))  # noqa: S608
        return {name: int(count) for name, (count,) in zip(tables, counts, strict=True)}

    def databases(self) -> list[str]:
        rows = self.query("SHOW DATABASES", in_database=False)
        return sorted(name for (name,) in rows if name.lower() not in _SYSTEM)

    def explain(self, said: str) -> str | None:
        found = {int(number) for pair in _CODE.findall(said) for number in pair if number}
        for codes, pattern, meaning in _MEANINGS:
            if found & codes or (pattern and re.search(pattern, said)):
                return meaning
        return None


def quoted(identifier: str) -> str:
    return "`" + identifier.replace("`", "``") + "`"


def _unescaped(field: str) -> str:
    """What --batch wrote so that it stays in its line and column."""
    if "\\" not in field:
        return field
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), field)


_FILLED = """SELECT
    EXISTS (SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE())
 OR EXISTS (SELECT 1 FROM information_schema.routines WHERE routine_schema = DATABASE())
 OR EXISTS (SELECT 1 FROM information_schema.events WHERE event_schema = DATABASE())"""
WITH_ROWS = """t.table_schema = DATABASE() AND t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')
    AND UPPER(t.engine) NOT IN ('MRG_MYISAM', 'MRG_ISAM', 'CONNECT', 'OQGRAPH', 'SPIDER', 'VP', 'FEDERATED')"""
"""Of `information_schema.tables t`, those of this database with rows of their own.

Others show the rows of others, or of another server: a dump leaves those out, as the tools do by --no-data-med.
"""
_TABLES = f"SELECT t.table_name FROM information_schema.tables t WHERE {WITH_ROWS} ORDER BY t.table_name"  # noqa: S608

# `ERROR 1045 (28000) at line 3: …`, `Got error: 1045: "…"`, `Error 2013: …`, `Couldn't execute '…': … (1044)`; and
# not the number of a row, as in `when dumping table `orders` at row: 2013`.
_CODE = re.compile(r"\b(?:ERROR|Error|error:) (\d{4})\b|\((\d{4})\)")
_MEANINGS: tuple[tuple[frozenset[int], str, str], ...] = (
    (
        frozenset({1045, 1698}),
        "",
        "The server refused the user or the password: correct them in the URL.",
    ),
    (
        frozenset({2059, 1251}),
        r"Authentication plugin .* cannot be loaded",
        "The client is older than the server and does not know how its users prove who they are: install client "
        "programs of at least the server's version, and give their folder as tools=.",
    ),
    (
        frozenset(),
        r"SSL is required,? but the server (does not|doesn't) support it",
        _NO_TLS,
    ),
    (
        frozenset({3159}),
        "require_secure_transport",
        "The server takes no connections without TLS: add ?ssl_mode=required to the URL.",
    ),
    (
        frozenset({2026}),
        "",
        "TLS could not be set up: check the certificates in the URL, and whether the server's names its host.",
    ),
    (
        frozenset({_UNKNOWN_DATABASE}),
        "",
        "There is no such database on the server: correct its name in the URL.",
    ),
    (
        frozenset(),
        "Couldn't find table",
        "A table that was asked for is not there: correct its name.",
    ),
    (
        frozenset({1412}),
        "",
        Passing(
            "A table was changed (ALTER, DROP, TRUNCATE or RENAME) while it was dumped, from which no transaction "
            "protects: run this again when that is over."
        ),
    ),
    (
        frozenset({1205}),
        "",
        Passing(
            "Another connection uses a table and did not let go of it for long: end its transaction (SHOW "
            "PROCESSLIST shows who is connected), and run this again."
        ),
    ),
    (
        frozenset({1356}),
        "",
        "A view refers to what is no longer there, or its definer may no longer read it: mend or drop it, or name "
        "it in exclude_tables.",
    ),
    (
        frozenset(),
        r"FLUSH TABLES.*privilege",
        "The user may not flush tables, which a dump with GTIDs needs: grant RELOAD or FLUSH_TABLES, or say "
        'gtid_purged="OFF".',
    ),
    (
        frozenset(),
        r"has insuffici?ent privileges to",
        "The user may not read the body of a routine: grant SELECT on mysql.proc (MariaDB) or SHOW_ROUTINE "
        "(MySQL), or say routines=False.",
    ),
    (
        frozenset({1021, 1114}),
        r"ERROR 3 \(|No space left on device|Disk quota exceeded|[Ee]rr(no|code)?:? \"?(28|122)\b|error (28|122)\b",
        Outside("The server has no room left for the data: make some on its disk, or raise its limits."),
    ),
    (
        frozenset({1037, 1041}),
        "",
        Outside("The server has no memory left: look at its log."),
    ),
    (
        frozenset({1153, 2020}),
        "bigger than 'max_allowed_packet'",
        "A row is larger than the server takes at once: raise max_allowed_packet there to more than twice the "
        "largest value (binary data doubles in a dump), 1G at most, and run this again.",
    ),
    (
        frozenset({1418, 1419}),
        "",
        "The server keeps a binary log and lets only administrators create such routines and triggers: set its "
        "log_bin_trust_function_creators, or restore as one.",
    ),
    (
        frozenset({3546}),
        "",
        'The dump sets the server\'s GTIDs, which has some already: dump with gtid_purged="OFF", or restore to a '
        "server that is new.",
    ),
    (
        frozenset({1227}),
        "",
        "The user may not create views, routines, triggers or events that belong to another (their DEFINER), or "
        "may not set what the dump sets: restore as a user with SET USER (MariaDB), SET_ANY_DEFINER or "
        "SET_USER_ID (MySQL), or SUPER.",
    ),
    (
        frozenset({1044, 1142, 1143, 1370}),
        "Access denied",
        "The user may not do all that this needs: grant it, or use a user who may.",
    ),
    (
        frozenset({2006, 2013, 2055, 1053, 1927}),
        "Lost connection",
        Passing(
            "The server went away in the middle: look at its log, and run this again. (It also hangs up on a row "
            "that is larger than its max_allowed_packet.)"
        ),
    ),
    (
        frozenset({2002, 2003, 2005}),
        "",
        Passing("The server cannot be reached: is it running, and are host, port and socket right?"),
    ),
    (
        frozenset(),
        "Unknown command|sandbox mode",
        "The dump holds a command for the client, and not for the server, which no dump needs: it was not run.",
    ),
    (
        frozenset(),
        "unknown (option|variable)",
        "The program does not know an option that it was given: correct extra_options, or install a newer one.",
    ),
)
