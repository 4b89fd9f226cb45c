"""PostgreSQL servers: how libpq's programs reach them, what can be asked of them, what their errors mean."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from backupkit.databases.clients import State
from backupkit.databases.postgresql_errors import meaning_of
from backupkit.databases.postgresql_names import literal, printed, quoted
from backupkit.databases.private_files import private_file
from backupkit.databases.programs import (
    Access,
    ClientError,
    Limits,
    answer_of,
    environment,
    find_program,
)
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
_NO_LIMITS = Limits()
_FIELD, _RECORD = "\x1f", "\x1e"
_COUNTED_TOGETHER = 200  # tables in one query: thousands would exceed the depth to which servers read one
# Databases of managed servers, which belong to those who run them.
_OF_PROVIDERS = frozenset(("rdsadmin", "cloudsqladmin", "azure_maintenance", "azure_sys"))


def check_url(url: DatabaseURL) -> DatabaseURL:
    """The URL if all that it asks for will be heeded; ConfigurationError otherwise."""
    if "sslpassword" in url.options:
        raise ConfigurationError(
            f"The URL of {url} has an sslpassword, which the programs can only be told in sight of others: use a "
            "key without one, in a file that only its owner may read."
        )
    if url.password is not None and "passfile" in url.options:
        raise ConfigurationError(
            f"The URL of {url} has a password and a passfile, in which libpq would look for another one: leave one "
            "of them out."
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
class Partition:
    """`whole_found` says whether the partitioned table is found without its schema."""

    whole_schema: str
    whole: str
    whole_found: bool
    schema: str
    name: str


@dataclass(frozen=True, slots=True)
class PostgreSQLClient:
    """One database on a PostgreSQL server, through psql."""

    url: DatabaseURL
    tools: Path | None = None

    @contextmanager
    def access(self, database: str | None = None) -> Iterator[Access]:
        """What each of PostgreSQL's programs needs to connect: to this database, or to another one there."""
        without = {"PGDATABASE", "PG_COLOR"} | ({"PGPASSWORD"} if self.url.password else set())
        env = environment("PG", without=without)
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

    def query(self, sql: str, *, database: str | None = None, limits: Limits = _NO_LIMITS) -> list[list[str]]:
        """The rows of an answer, each field as PostgreSQL writes it."""
        argv = [
            self.program("psql"),
            *("--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--no-password"),
            *("--set=ON_ERROR_STOP=1", f"--field-separator={_FIELD}", f"--record-separator={_RECORD}"),
        ]
        script = f"SET client_encoding TO 'UTF8';\n{sql};\n".encode()
        with self.access(database) as access:
            answer = answer_of(argv, access, explain=self.explain, limits=limits, feed=script)
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
        """Create the database as the server makes new ones, but never without an encoding.

        With SQL_ASCII the server would take any bytes for text, and never notice that a dump is in another one.
        """
        template = "SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = 'template0'"
        ((encoding,),) = self._elsewhere(template)
        utf8 = " ENCODING 'UTF8'" if encoding == "SQL_ASCII" else ""
        self._elsewhere(f"CREATE DATABASE {quoted(self.url.database)} TEMPLATE template0{utf8}")

    def drop(self) -> None:
        """Drop the database, and end the sessions of those who are in it."""
        ((version,),) = self._elsewhere("SHOW server_version_num")
        if int(version) >= 130000:
            self._elsewhere(f"DROP DATABASE IF EXISTS {quoted(self.url.database)} WITH (FORCE)")
            return
        self._elsewhere(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "  # noqa: S608 - it is quoted
            f"WHERE datname ={literal(self.url.database)} AND pid <> pg_backend_pid()"
        )
        self._elsewhere(f"DROP DATABASE IF EXISTS {quoted(self.url.database)}")

    def count_rows(self) -> Mapping[str, int]:
        """Rows of each table, those of its partitions and heirs apart, as a dump has them."""
        tables = self.query(_TABLES)
        counts: dict[str, int] = {}
        for start in range(0, len(tables), _COUNTED_TOGETHER):
            selects = [
                f"SELECT{literal(printed(schema, table))}, count(*) FROM ONLY {quoted(schema)}.{quoted(table)}"
                for schema, table in tables[start : start + _COUNTED_TOGETHER]
            ]
            counts.update((name, int(count)) for name, count in self.query(" UNION ALL ".join(selects)))
        return counts

    def tables_of_extensions(self) -> frozenset[str]:
        """Tables that come with an extension: a dump may hold rows of them, but `count_rows` does not."""
        return frozenset(printed(schema, table) for schema, table in self.query(_TABLES_OF_EXTENSIONS))

    def encoding(self) -> str:
        """The encoding of the database's text, as PostgreSQL calls it."""
        return self.query("SHOW server_encoding")[0][0]

    def partitions(self) -> list[Partition]:
        """All of each partitioned table, those of its partitions included."""
        rows = self.query(_PARTITIONS)
        return [Partition(row[0], row[1], row[2] == "t", row[3], row[4]) for row in rows]

    def databases(self) -> list[str]:
        """All that are no templates; "postgres", which every server has, unless it is known to be empty."""
        names = sorted(name for name in self._everything() if name not in _OF_PROVIDERS)
        if "postgres" in names and not self._is_filled("postgres"):
            names.remove("postgres")
        return names

    def _everything(self) -> list[str]:
        rows = self._elsewhere("SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate")
        return [row[0] for row in rows]

    def _is_filled(self, database: str) -> bool:
        try:
            return self.query(_FILLED, database=database)[0][0] == "t"
        except ClientError:
            # It may be, so that its dump says what is wrong, rather than that it is left out unseen.
            return True

    def _elsewhere(self, sql: str) -> list[list[str]]:
        """Ask in another database of the server: which of them a user may connect to differs."""
        failure: ClientError | None = None
        for database in dict.fromkeys(("postgres", "template1", self.url.user or "postgres")):
            if database == self.url.database:
                continue
            try:
                return self.query(sql, database=database)
            except ClientError as error:
                # Only where there was no connection, so nothing that failed is tried again for another reason.
                if not re.search(r"connection to server|could not connect|FATAL", str(error)):
                    raise
                failure = failure or error
        assert failure is not None  # noqa: S101 - one of the three is another database
        raise failure

    def explain(self, said: str) -> str | None:
        return meaning_of(said)

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
_ALL_TABLES = f"""SELECT n.nspname, o.relname
    FROM pg_class o JOIN pg_namespace n ON n.oid = o.relnamespace
    WHERE o.relkind = 'r' AND {_SYSTEM} AND {{}}EXISTS ({_OF_EXTENSION.format("'pg_class'")})
    ORDER BY 1, 2"""  # noqa: S608 - of constants
_TABLES = _ALL_TABLES.format("NOT ")
_TABLES_OF_EXTENSIONS = _ALL_TABLES.format("")
# Servers before version 10, which have no partitions, have none of this kind either.
_PARTITIONS = """WITH RECURSIVE part (whole, relation) AS (
        SELECT i.inhparent, i.inhrelid
        FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class w ON w.oid = i.inhparent
        WHERE w.relkind = 'p'
        UNION
        SELECT part.whole, i.inhrelid FROM part JOIN pg_catalog.pg_inherits i ON i.inhparent = part.relation)
    SELECT wn.nspname, w.relname, pg_catalog.pg_table_is_visible(w.oid), n.nspname, c.relname
    FROM part
    JOIN pg_catalog.pg_class w ON w.oid = part.whole JOIN pg_catalog.pg_namespace wn ON wn.oid = w.relnamespace
    JOIN pg_catalog.pg_class c ON c.oid = part.relation JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    ORDER BY 1, 2, 4, 5"""
