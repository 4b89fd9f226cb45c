"""`DatabaseLock`: one run of a pipeline at a time in a whole fleet, by a row of a database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from backupkit.errors import ConfigurationError, NotificationError
from backupkit.locking.leases import LIFE, NoAnswerError, held, seconds_of, this_process
from backupkit.locking.names import short_name
from backupkit.protocols import Lease

if TYPE_CHECKING:
    import sqlalchemy as sa

    from backupkit.tables import Records


class DatabaseLock:
    """A row in a database that all machines reach, which counts until its time is over; its holder renews it.

        DatabaseLock("postgresql://shop:password@db.internal/shop")

    Supported are PostgreSQL, MySQL, MariaDB and, for one machine, SQLite, by their URL or an SQLAlchemy engine. The
    table `backupkit_leases` is made where it is missing. Only the database's own clock says whether time is over.
    `life` is how long a run that was killed, or cut off from the database, keeps others waiting.

    Needs SQLAlchemy, `pip install 'backupkit[history]'`, and the database's driver.
    """

    def __init__(self, url: str | sa.URL | sa.Engine, *, life: timedelta = LIFE) -> None:
        from backupkit.tables import LEASES, Records

        self._life = seconds_of(life, "DatabaseLock")
        if url is None:  # as of a variable that is not set: a file of this machine would lock nobody else out
            raise ConfigurationError("DatabaseLock(None) names no database: give the URL of one.")
        self._records = Records(url, (LEASES,))

    def __repr__(self) -> str:
        return f"DatabaseLock({self._records.location!r})"

    @property
    def engine(self) -> sa.Engine:
        """The database, for what else a fleet has to keep there."""
        return self._records.engine

    @contextmanager
    def hold(self, name: str, *, wait: timedelta) -> Iterator[Lease]:
        """Hold the lock of this name, as `protocols.Lock` says."""
        row = _Row(self._records, name, self._life)
        with held(row, name, life=self._life, wait=wait) as lease:
            yield lease


class _Row:
    """The row of one lease: see `leases.Place`."""

    def __init__(self, records: Records, name: str, life: float) -> None:
        import sqlalchemy as sa

        from backupkit.tables import LEASES, name_for

        self._records = records
        self._now: sa.ColumnElement[float] = sa.literal_column(_NOW[records.engine.dialect.name], sa.Double())
        self._table = LEASES
        self._identity = short_name(name)
        self._token = uuid4().hex
        self._values = {
            "name": name_for(name),
            "token": self._token,
            "holder": name_for(this_process()),
            "until": self._now + life,
        }

    @property
    def location(self) -> str:
        return self._records.location

    def take(self) -> bool:
        # Inserting is first: of two that look for a row that is not there, MySQL lets neither insert it then.
        columns = self._table.c
        free = self._table.update().where(columns.identity == self._identity, columns.until <= self._now)
        with self._answers() as connection:
            connection.execute(
                self._records.insert(self._table, {"identity": self._identity, **self._values})
            )
            connection.execute(free.values(self._values))
            return bool(connection.scalar(self._of_row(columns.token)) == self._token)

    def renew(self) -> bool:
        columns = self._table.c
        ours = self._table.update().where(
            columns.identity == self._identity, columns.token == self._token, columns.until > self._now
        )
        with self._answers() as connection:
            return connection.execute(ours.values(until=self._values["until"])).rowcount == 1

    def release(self) -> None:
        columns = self._table.c
        with self._answers() as connection:
            connection.execute(
                self._table.delete().where(columns.identity == self._identity, columns.token == self._token)
            )

    def holder(self) -> str | None:
        with self._answers() as connection:
            found = connection.scalar(self._of_row(self._table.c.holder))
        return None if found is None else str(found)

    def _of_row(self, column: sa.ColumnElement[str]) -> sa.Select[Any]:
        import sqlalchemy as sa

        return sa.select(column).where(self._table.c.identity == self._identity)

    @contextmanager
    def _answers(self) -> Iterator[sa.Connection]:
        try:
            with self._records.begin() as connection:
                yield connection
        except NotificationError as error:
            raise NoAnswerError(str(error)) from error.__cause__


# Seconds since 1970 by the clock of the database, whatever time zone a session has.
_MYSQL_NOW = "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) / 1000000E0)"
_NOW = {
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
    "postgresql": "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)",
    "mysql": _MYSQL_NOW,
    "mariadb": _MYSQL_NOW,
}
