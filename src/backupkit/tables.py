"""The tables of reports, the audit, notifications, leases and what has been told, and the database they are in.

Import this module where it is needed only: it needs SQLAlchemy.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any

from backupkit.errors import BackupKitError, ConfigurationError, NotificationError, told
from backupkit.plain_data import storable
from backupkit.state_folder import state_folder

try:
    import sqlalchemy as sa
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "Keeping reports, notifications or locks in a database needs sqlalchemy: pip install 'backupkit[history]'"
    ) from error

from sqlalchemy.dialects import mysql, postgresql, sqlite

NAME_LENGTH = 255
_FILE = "backupkit.sqlite3"
# Seconds: for another process that writes to an SQLite file, for a server to accept, for each of its answers.
_BUSY, _ACCEPT, _ANSWER = 10, 10, 30
_ENGINES = ("sqlite", "postgresql", "mysql", "mariadb")
# Where a URL names no driver: the first of these that is installed.
_DRIVERS: Mapping[str, Sequence[tuple[str, str]]] = {
    "postgresql": (("psycopg", "psycopg"), ("psycopg2", "psycopg2")),
    "mysql": (("pymysql", "pymysql"), ("MySQLdb", "mysqldb")),
    "mariadb": (("pymysql", "pymysql"), ("MySQLdb", "mysqldb")),
}
_TIME_LIMITS: Mapping[str, Mapping[str, int]] = {
    "pysqlite": {"timeout": _BUSY},
    "psycopg": {"connect_timeout": _ACCEPT},
    "psycopg2": {"connect_timeout": _ACCEPT},
    "pymysql": {"connect_timeout": _ACCEPT, "read_timeout": _ANSWER, "write_timeout": _ANSWER},
    "mysqldb": {"connect_timeout": _ACCEPT, "read_timeout": _ANSWER, "write_timeout": _ANSWER},
}
# SQLite's primary result codes that no second attempt changes: PERM, READONLY, CORRUPT, CANTOPEN, NOTADB.
_LASTING = (3, 8, 11, 14, 26)


class _Time(sa.TypeDecorator[datetime]):
    """A time to the microsecond, in UTC, in every database."""

    impl = sa.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(sa.DateTime())

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


# SQLite numbers rows by itself only where the type is INTEGER.
_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_TEXT = sa.Text().with_variant(mysql.LONGTEXT, "mysql", "mariadb")
# MySQL would take "Shop" and "shop" for the same.
_MYSQL: Mapping[str, Any] = {
    f"{engine}_{option}": value
    for engine in ("mysql", "mariadb")
    for option, value in (("charset", "utf8mb4"), ("collate", "utf8mb4_bin"), ("engine", "InnoDB"))
}

REPORTS = sa.Table(
    "backupkit_reports",
    sa.MetaData(),
    sa.Column("id", _ID, primary_key=True),
    sa.Column("identity", sa.String(64), nullable=False, unique=True),
    sa.Column("started", _Time, nullable=False, index=True),
    sa.Column("name", sa.String(NAME_LENGTH), nullable=False),
    sa.Column("operation", sa.String(16), nullable=False),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("took", sa.Double, nullable=False),
    sa.Column("read", sa.BigInteger, nullable=False),
    sa.Column("written", sa.BigInteger, nullable=False),
    sa.Column("entries", sa.BigInteger, nullable=False),
    sa.Column("problems", sa.Integer),
    sa.Column("body", _TEXT, nullable=False),
    sa.Index("ix_backupkit_reports_of", "name", "operation", "started"),
    **_MYSQL,
)
"""One row a report; `body` is all of it as JSON in ASCII, which holds file names of any bytes.

What came in a later version may be NULL: rows of before have none, nor do those of an earlier version that is
still at work.
"""

MEMORY = sa.Table(
    "backupkit_memory",
    sa.MetaData(),
    sa.Column("identity", sa.String(64), primary_key=True),
    sa.Column("name", _TEXT, nullable=False),
    sa.Column("value", _TEXT, nullable=False),
    **_MYSQL,
)
"""Small texts by their keys, which are longer than MySQL lets an index be: the digest of the key stands for it."""

AUDIT = sa.Table(
    "backupkit_audit",
    sa.MetaData(),
    sa.Column("id", _ID, primary_key=True),
    sa.Column("time", _Time, nullable=False, index=True),
    sa.Column("who", sa.String(NAME_LENGTH), nullable=False),
    sa.Column("name", sa.String(NAME_LENGTH), nullable=False),
    sa.Column("address", sa.String(NAME_LENGTH), nullable=False),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("body", _TEXT, nullable=False),
    **_MYSQL,
)
"""Who asked what of the pipeline of this name, from where; `body` is what, as JSON in ASCII."""

NOTIFICATIONS = sa.Table(
    "backupkit_notifications",
    sa.MetaData(),
    sa.Column("id", _ID, primary_key=True),
    sa.Column("identity", sa.String(64), nullable=False, unique=True),
    sa.Column("time", _Time, nullable=False),
    sa.Column("name", sa.String(NAME_LENGTH), nullable=False),
    sa.Column("occasion", sa.String(32), nullable=False),
    sa.Column("destination", _TEXT),
    sa.Column("message", _TEXT, nullable=False),
    sa.Column("body", _TEXT, nullable=False),
    sa.Column("read_at", _Time, index=True),
    **_MYSQL,
)

LEASES = sa.Table(
    "backupkit_leases",
    sa.MetaData(),
    sa.Column("identity", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(NAME_LENGTH), nullable=False),
    sa.Column("token", sa.String(64), nullable=False),
    sa.Column("holder", sa.String(NAME_LENGTH), nullable=False),
    sa.Column("until", sa.Double, nullable=False),
    **_MYSQL,
)
"""Who may do what has this name, `until` so many seconds after 1970 by the clock of the database."""

TASKS = sa.Table(
    "backupkit_tasks",
    sa.MetaData(),
    sa.Column("identity", sa.String(64), primary_key=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("time", _Time, nullable=False, index=True),
    **_MYSQL,
)
"""How often a task of a queue was delivered, under the digest of its id, or -1 if it has ended."""

ASKED = sa.Table(
    "backupkit_asked",
    sa.MetaData(),
    sa.Column("identity", sa.String(64), primary_key=True),
    sa.Column("queue", sa.String(64), nullable=False, index=True),
    sa.Column("id", sa.String(NAME_LENGTH), nullable=False),
    sa.Column("time", _Time, nullable=False, index=True),
    sa.Column("body", _TEXT, nullable=False),
    **_MYSQL,
)
"""What was asked of a queue, the digest of whose name is `queue`, and is followed; `body` is a JSON object."""


class Records:
    """Some of the tables, in the database of this URL or engine; they are made when they are first needed.

    So are the columns that tables of an earlier version lack, which must be such that may be NULL.

    Without a URL it is the file backupkit.sqlite3 in the folder for state. A new SQLite file is for its owner
    alone. ConfigurationError for a URL that cannot be used; it never shows more of it than where the database is.
    """

    def __init__(self, where: str | sa.URL | sa.Engine | None, tables: Sequence[sa.Table]) -> None:
        self._tables = tables
        self._made = False
        self._own_folder = where is None
        if where is None:
            where = sa.URL.create("sqlite", database=os.path.join(state_folder(), _FILE))
        if isinstance(where, sa.Engine):
            self.engine = where
        elif isinstance(where, str | sa.URL):
            self.engine = _engine(_url(where))
        else:
            raise ConfigurationError(
                f"{type(where).__name__} is neither the URL of a database nor an SQLAlchemy engine "
                "(an asynchronous one will not do: give its sync_engine's URL)."
            )
        if self.engine.dialect.name not in _ENGINES:
            raise ConfigurationError(
                f"Records cannot be kept in {self.engine.dialect.name}: use {', '.join(_ENGINES)}."
            )
        self._file = self._sqlite_file()

    @property
    def location(self) -> str:
        """Where the database is, without user, password and options."""
        url = self.engine.url
        return sa.URL.create(
            url.get_backend_name(), host=url.host, port=url.port, database=url.database
        ).render_as_string()

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """One transaction; whatever goes wrong in it is a NotificationError, and leaves nothing behind."""
        try:
            if not self._made or (self._file is not None and not os.path.exists(self._file)):
                self._make()
            with self.engine.begin() as connection:
                yield connection
        except BackupKitError:
            raise
        except Exception as error:
            self._made = False  # somebody may have removed them
            raise NotificationError(
                f"The database {self.location} could not be used: {self._reason(error)}.",
                retryable=_is_passing(error),
            ) from error

    def insert(self, table: sa.Table, values: Mapping[str, object], *, replace: bool = False) -> sa.Insert:
        """Insert the row, unless one of this identity is there: that one stays, or its values are replaced."""
        if self.engine.dialect.name in ("mysql", "mariadb"):
            kept = mysql.insert(table).values(values)
            return kept.on_duplicate_key_update(values if replace else {"identity": table.c.identity})
        make = postgresql.insert if self.engine.dialect.name == "postgresql" else sqlite.insert
        row = make(table).values(values)
        if replace:
            return row.on_conflict_do_update(index_elements=["identity"], set_=dict(values))
        return row.on_conflict_do_nothing(index_elements=["identity"])

    def _make(self) -> None:
        if self._file is not None:
            if self._own_folder:
                os.makedirs(os.path.dirname(self._file), mode=0o700, exist_ok=True)
            with suppress(FileExistsError):
                os.close(os.open(self._file, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        with self.engine.connect() as connection:  # a server that is away is asked once
            database = sa.inspect(connection)
            there = set(database.get_table_names())
            missing = [
                (table, column)
                for table in self._tables
                if table.name in there
                for column in _missing(database, table)
            ]
        for table in self._tables:
            if table.name not in there:
                self._make_one(table)
        for table, column in missing:
            self._add(table, column)
        self._made = True

    def _make_one(self, table: sa.Table) -> None:
        for others in range(3):  # that may make it at the same moment, and win
            try:
                table.create(self.engine, checkfirst=True)
                break
            except sa.exc.DBAPIError:
                if others == 2:
                    raise

    def _add(self, table: sa.Table, column: sa.Column[Any]) -> None:
        made = sa.schema.CreateColumn(column).compile(dialect=self.engine.dialect)
        try:
            with self.engine.begin() as connection:
                connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {made}")
        except sa.exc.DBAPIError:
            if column in _missing(sa.inspect(self.engine), table):  # nobody else was quicker
                raise

    def _sqlite_file(self) -> str | None:
        name = self.engine.url.database
        if self.engine.dialect.name != "sqlite" or not name or name == ":memory:" or name.startswith("file:"):
            return None
        return name

    def _reason(self, error: Exception) -> str:
        known = error.orig if isinstance(error, sa.exc.DBAPIError) and error.orig else error
        if isinstance(known, OSError) and known.strerror:
            return known.strerror
        text = " ".join(told(known).split()).rstrip(".")
        secret = self.engine.url.password
        return text.replace(str(secret), "***") if secret else text


def _missing(database: sa.Inspector, table: sa.Table) -> list[sa.Column[Any]]:
    there = {one["name"] for one in database.get_columns(table.name)}
    return [column for column in table.c if column.name not in there]


def text_for(value: str) -> str:
    """The text as every one of the databases can hold it."""
    return str(storable(value))


def name_for(value: str) -> str:
    """A text for a column of names."""
    return text_for(value)[:NAME_LENGTH]


def _url(where: str | sa.URL) -> sa.URL:
    try:
        url = sa.make_url(where)
    except (sa.exc.ArgumentError, ValueError):
        raise ConfigurationError(
            "This is not the URL of a database: write sqlite:////var/lib/app/records.sqlite3, or "
            "postgresql://user:password@host/database with special characters percent-encoded."
        ) from None
    if url.drivername == "postgres":
        url = url.set(drivername="postgresql")
    for module, driver in _DRIVERS.get(url.drivername, ()):
        if find_spec(module):
            return url.set(drivername=f"{url.drivername}+{driver}")
    return url


def _engine(url: sa.URL) -> sa.Engine:
    backend = url.get_backend_name()
    if backend == "sqlite" and url.database in (None, "", ":memory:"):
        raise ConfigurationError(
            "A database in memory ends with its connection: name a file, sqlite:////var/lib/app/records.sqlite3."
        )
    try:
        limits = _TIME_LIMITS.get(url.get_driver_name(), {})
        engine = sa.create_engine(
            url,
            # A connection for each transaction: records are seldom, and none is ever shared with a forked process.
            poolclass=sa.NullPool,
            connect_args={option: limit for option, limit in limits.items() if option not in url.query},
            hide_parameters=True,
        )
    except ModuleNotFoundError as error:
        wanted = " or ".join(f"'{module}'" for module, _ in _DRIVERS.get(backend, ())) or "it"
        raise ConfigurationError(
            f"A {url.drivername} database needs the driver {error.name}, which is not installed: "
            f"pip install {wanted}."
        ) from error
    except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"The URL {url.drivername}://… of a database cannot be used ({type(error).__name__}): "
            f"use {', '.join(_ENGINES)}, and options that its driver knows."
        ) from None
    if engine.dialect.is_async:
        raise ConfigurationError(
            f"{url.drivername} is an asynchronous driver: name one that is not, such as "
            "sqlite, postgresql+psycopg or mysql+pymysql."
        )
    return engine


def _is_passing(error: Exception) -> bool:
    """Whether another attempt may succeed: a lock, a deadlock, a server that is away."""
    if not isinstance(error, sa.exc.DBAPIError):
        return False
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None and code & 0xFF in _LASTING:
        return False
    return error.connection_invalidated or isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError)
