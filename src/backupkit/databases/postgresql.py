"""PostgreSQL servers: how libpq's programs reach them, what can be asked of them, what their errors mean."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from backupkit.databases.clients import State
from backupkit.databases.private_files import private_file
from backupkit.databases.programs import Access, ClientError, answer_of, environment, find_program
from backupkit.databases.urls import DatabaseURL
from backupkit.errors import ConfigurationError

PACKAGE = "Debian: postgresql-client"
# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS, without those that name the
# server, the user and the database, which stand elsewhere in the URL.
_KEYWORDS = frozenset(
    (
        *("hostaddr", "require_auth", "channel_binding", "connect_timeout", "client_encoding", "options"),
        *("application_name", "fallback_application_name", "keepalives", "keepalives_idle"),
        *("keepalives_interval", "keepalives_count", "tcp_user_timeout", "gssencmode", "sslmode"),
        *("sslnegotiation", "sslcompression", "sslcert", "sslkey", "sslcertmode", "sslrootcert", "sslcrl"),
        *("sslcrldir", "sslsni", "requirepeer", "ssl_min_protocol_version", "ssl_max_protocol_version"),
        *("krbsrvname", "gsslib", "gssdelegation", "service", "target_session_attrs", "load_balance_hosts"),
        "passfile",
    )
)
_FIELD, _RECORD = "\x1f", "\x1e"


def check_url(url: DatabaseURL) -> DatabaseURL:
    """The URL if all that it asks for will be heeded; ConfigurationError otherwise."""
    if "sslpassword" in url.options:
        raise ConfigurationError(
            f"The URL of {url} has an sslpassword, which the programs can only be told in sight of others: use a "
            "key without one, in a file that only its owner may read."
        )
    for option in url.options:
        # A driver has options of its own, which say nothing of the connection; but never on security.
        if option not in _KEYWORDS and (not url.driver or re.match("ssl|tls|gss|krb", option)):
            raise ConfigurationError(
                f"The URL of {url} has the option {option!r}, which PostgreSQL's programs do not know: correct it "
                "(the names are those of libpq), or leave it out."
            )
    return url


@dataclass(frozen=True, slots=True)
class PostgreSQLClient:
    """One database on a PostgreSQL server, through psql."""

    url: DatabaseURL
    tools: Path | None = None

    @contextmanager
    def access(self, database: str | None = None) -> Iterator[Access]:
        """What each of PostgreSQL's programs needs to connect: to this database, or to another one there."""
        env = environment("PG", without={"PGPASSWORD", "PGDATABASE"} if self.url.password else {"PGDATABASE"})
        arguments = (f"--dbname={self._conninfo(database or self.url.database)}",)
        if self.url.password is None:
            yield Access(arguments=arguments, env=env)
            return
        with private_file(_password_line(self.url.password)) as file:
            yield Access(
                arguments=arguments,
                env={**env, "PGPASSFILE": file.path},
                descriptors=file.descriptors,
                secrets=(self.url.password,),
            )

    def query(self, sql: str, *, database: str | None = None) -> list[list[str]]:
        """The rows of an answer, each field as PostgreSQL writes it."""
        argv = [
            self.program("psql"),
            *("--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--no-password"),
            *("--set=ON_ERROR_STOP=1", f"--field-separator={_FIELD}", f"--record-separator={_RECORD}"),
        ]
        with self.access(database) as access:
            answer = answer_of(argv, access, explain=self.explain, feed=f"{sql};\n".encode())
        answer = answer.removesuffix("\n").removesuffix(_RECORD)
        return [row.split(_FIELD) for row in answer.split(_RECORD)] if answer else []

    def program(self, name: str) -> str:
        return find_program([name], self.tools, package=PACKAGE)

    def state(self) -> State:
        try:
            rows = self.query(_FILLED)
        except ClientError:
            # What the server says is in its own language, so it is asked whether there is such a database.
            try:
                missing = self.url.database not in self._everything()
            except ClientError:
                missing = False
            if missing:
                return "missing"
            raise
        return "filled" if rows[0][0] == "t" else "empty"

    def create(self) -> None:
        self.query(
            f"CREATE DATABASE {quoted(self.url.database)} TEMPLATE template0", database=self._maintenance()
        )

    def drop(self) -> None:
        self.query(
            f"DROP DATABASE IF EXISTS {quoted(self.url.database)} WITH (FORCE)", database=self._maintenance()
        )

    def count_rows(self) -> Mapping[str, int]:
        tables = [row[0] for row in self.query(_TABLES)]
        if not tables:
            return {}
        counts = " UNION ALL ".join(f"SELECT {literal(name)}, count(*) FROM {name}" for name in tables)  # noqa: S608
        return {name: int(count) for name, count in self.query(counts)}

    def databases(self) -> list[str]:
        return sorted(name for name in self._everything() if name != "postgres")

    def _everything(self) -> list[str]:
        rows = self.query(
            "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate",
            database=self._maintenance(),
        )
        return [row[0] for row in rows]

    def _maintenance(self) -> str:
        return "template1" if self.url.database == "postgres" else "postgres"

    def explain(self, said: str) -> str | None:
        for pattern, meaning in _MEANINGS:
            if re.search(pattern, said):
                return meaning
        return None

    def _conninfo(self, database: str) -> str:
        hosts = [host for host, _ in self.url.hosts]
        ports = ["" if port is None else str(port) for _, port in self.url.hosts]
        values = {
            "host": self.url.socket or ",".join(hosts),
            "port": ",".join(ports).strip(",") and ",".join(ports),
            "user": self.url.user,
            "dbname": database,
            **{key: value for key, value in self.url.options.items() if key in _KEYWORDS},
        }
        return " ".join(f"{key}={_conninfo_value(value)}" for key, value in values.items() if value)


def quoted(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL that any server reads alike, whatever its standard_conforming_strings."""
    return " E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _conninfo_value(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _password_line(password: str) -> bytes:
    # One line for whatever server the connection string leads to, several hosts and sockets included.
    return b"*:*:*:*:" + password.replace("\\", "\\\\").replace(":", "\\:").encode() + b"\n"


_SYSTEM = "n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'"
_OF_EXTENSION = (
    "SELECT 1 FROM pg_depend d WHERE d.objid = o.oid AND d.deptype = 'e' AND d.classid = {}::regclass"
)
_FILLED = f"""SELECT
    EXISTS (SELECT 1 FROM pg_class o JOIN pg_namespace n ON n.oid = o.relnamespace
            WHERE {_SYSTEM} AND NOT EXISTS ({_OF_EXTENSION.format("'pg_class'")}))
 OR EXISTS (SELECT 1 FROM pg_proc o JOIN pg_namespace n ON n.oid = o.pronamespace
            WHERE {_SYSTEM} AND NOT EXISTS ({_OF_EXTENSION.format("'pg_proc'")}))
 OR EXISTS (SELECT 1 FROM pg_type o JOIN pg_namespace n ON n.oid = o.typnamespace
            WHERE {_SYSTEM} AND NOT EXISTS ({_OF_EXTENSION.format("'pg_type'")}))
 OR EXISTS (SELECT 1 FROM pg_namespace n WHERE {_SYSTEM} AND n.nspname <> 'public')
 OR EXISTS (SELECT 1 FROM pg_largeobject_metadata)"""  # noqa: S608 - of constants
_TABLES = f"""SELECT format('%I.%I', n.nspname, o.relname)
    FROM pg_class o JOIN pg_namespace n ON n.oid = o.relnamespace
    WHERE o.relkind = 'r' AND {_SYSTEM} AND NOT EXISTS ({_OF_EXTENSION.format("'pg_class'")})
    ORDER BY 1"""  # noqa: S608 - of constants

_MEANINGS = (
    (
        r"password authentication failed|no password supplied|fe_sendauth",
        "The server refused the user or the password: correct them in the URL.",
    ),
    (
        r"server version mismatch|unsupported version \(",
        "The client is older than the server or than the dump: install PostgreSQL's client programs of at least "
        "the server's version, and give their folder as tools=.",
    ),
    (
        r"no matching (tables|schemas) were found",
        "A table or schema that was asked for is not there: correct its name.",
    ),
    (
        r"Connection refused|could not translate host name|No such file or directory.*\n?.*accepting connections",
        "The server cannot be reached: is it running, and are host, port and socket right?",
    ),
    (
        r"server closed the connection|terminating connection|connection to server was lost|SSL SYSCALL error",
        "The server went away in the middle: look at its log, and run this again.",
    ),
    (
        r"permission denied",
        "The user may not do all that this needs: grant it, or use a user who may.",
    ),
)
