"""`DatabaseNotifier`: keeps notifications in a table, read and unread, for an application to show."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from backupkit.model import Notice, Occasion
from backupkit.notifiers.notice_json import json_of
from backupkit.notifiers.occasions import EVERYTHING, checked_occasions
from backupkit.plain_data import identity_of

if TYPE_CHECKING:
    import sqlalchemy as sa

_MESSAGE = 2000  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """A notice that was kept. `message` holds the problems, a line each, if there are any, and `read_at` when it
    was read, or None. `notice` is all of it, as a webhook would send it.
    """

    id: int
    time: datetime
    name: str
    occasion: Occasion
    destination: str | None
    message: str
    notice: Mapping[str, Any] = field(repr=False)
    read_at: datetime | None


class DatabaseNotifier:
    """Keeps notices in the table backupkit_notifications of the database of `url`, or of an SQLAlchemy engine.

    Supported are SQLite, PostgreSQL, MySQL and MariaDB. The default is the file that `DatabaseHistory` keeps
    reports in. The table is made if it is missing. Lists begin with the newest.

    Needs SQLAlchemy, `pip install 'backupkit[history]'`, and the database's driver. NotificationError where the
    database cannot be used; what it could not do leaves nothing behind.
    """

    def __init__(
        self, url: str | sa.URL | sa.Engine | None = None, *, on: Iterable[Occasion] = EVERYTHING
    ) -> None:
        from backupkit.tables import NOTIFICATIONS, Records

        self.on = checked_occasions(on)
        self._records = Records(url, (NOTIFICATIONS,))
        self._table = NOTIFICATIONS

    def notify(self, notice: Notice) -> None:
        """Keep it, unread; the same notice, told again, is kept once."""
        from backupkit.tables import name_for, text_for

        row = {
            "identity": identity_of(notice),
            "time": notice.time,
            "name": name_for(notice.name),
            "occasion": notice.occasion,
            "destination": None if notice.destination is None else text_for(notice.destination.location),
            "message": text_for("\n".join(one.message for one in notice.problems)[:_MESSAGE]),
            "body": json_of(notice),
        }
        with self._records.begin() as connection:
            connection.execute(self._records.insert(self._table, row))

    def unread(
        self, *, name: str | Collection[str] | None = None, limit: int | None = 50, skip: int = 0
    ) -> tuple[Notification, ...]:
        """What nobody has read yet, of one pipeline or of several."""
        return self._found(self._table.c.read_at.is_(None), *self._of(name), limit=limit, skip=skip)

    def list(
        self,
        *,
        name: str | Collection[str] | None = None,
        before: datetime | None = None,
        unread_first: bool = False,
        limit: int | None = 50,
        skip: int = 0,
    ) -> tuple[Notification, ...]:
        """All of them: of one pipeline or of several, told before a time."""
        wanted = [*self._of(name)]
        if before is not None:
            wanted.append(self._table.c.time < before)
        return self._found(*wanted, unread_first=unread_first, limit=limit, skip=skip)

    def count(self, *, name: str | Collection[str] | None = None, unread: bool = False) -> int:
        """How many there are, or how many nobody has read yet."""
        import sqlalchemy as sa

        counted = sa.select(sa.func.count()).select_from(self._table).where(*self._of(name))
        if unread:
            counted = counted.where(self._table.c.read_at.is_(None))
        with self._records.begin() as connection:
            return int(connection.execute(counted).scalar() or 0)

    def mark_read(self, ids: Iterable[int], *, name: str | Collection[str] | None = None) -> int:
        """Mark those of these ids as read; how many were unread. Those that do not exist are passed over.

        With `name`, so are those of other pipelines.
        """
        return self._mark(self._table.c.id.in_(tuple(ids)), *self._of(name))

    def mark_all_read(
        self, *, name: str | Collection[str] | None = None, until: datetime | None = None
    ) -> int:
        """Mark all as read, or those told up to a time, which were shown; how many were unread."""
        early = [] if until is None else [self._table.c.time <= until]
        return self._mark(*self._of(name), *early)

    def _of(self, name: str | Collection[str] | None) -> Iterable[sa.ColumnElement[bool]]:
        from backupkit.tables import name_for

        if name is not None:
            names = [name] if isinstance(name, str) else name
            yield self._table.c.name.in_([name_for(one) for one in names])

    def _mark(self, *wanted: sa.ColumnElement[bool]) -> int:
        unread = self._table.c.read_at.is_(None)
        marked = self._table.update().where(unread, *wanted).values(read_at=datetime.now(UTC))
        with self._records.begin() as connection:
            return int(connection.execute(marked).rowcount)

    def _found(
        self, *wanted: sa.ColumnElement[bool], unread_first: bool = False, limit: int | None, skip: int
    ) -> tuple[Notification, ...]:
        import sqlalchemy as sa

        columns = self._table.c
        order = [
            *([columns.read_at.is_not(None)] if unread_first else []),
            columns.time.desc(),
            columns.id.desc(),
        ]
        # The texts of those that are skipped are not sorted with them.
        part = (
            sa.select(columns.id).where(*wanted).order_by(*order).limit(limit).offset(skip or None).subquery()
        )
        asked = self._table.select().join(part, columns.id == part.c.id).order_by(*order)
        with self._records.begin() as connection:
            rows = connection.execute(asked).all()
        return tuple(map(_notification, rows))

    def __repr__(self) -> str:
        return f"DatabaseNotifier({self._records.location!r})"


def _notification(row: Any) -> Notification:
    message = row.message
    try:
        notice = json.loads(row.body)
    except ValueError:
        notice = {}
        message = f"{message}\nThe rest of this notification is damaged.".lstrip()
    return Notification(
        id=row.id,
        time=row.time,
        name=row.name,
        occasion=cast("Occasion", row.occasion),
        destination=row.destination,
        message=message,
        notice=notice,
        read_at=row.read_at,
    )
