"""`DatabaseHistory`: every report, and who asked for what, in tables that pages and programs read."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, cast

from backupkit.errors import ConfigurationError, IntegrityError
from backupkit.model import Operation, Outcome, Problem, Report
from backupkit.plain_data import identity_of, plain, report_from

if TYPE_CHECKING:
    import sqlalchemy as sa

_PAGE = 100  # reports read at once
# Longer bodies are compressed: cleaning tells of each backup, and MySQL takes no statement above 4 to 64 MiB.
_LONG = 1 << 20
_COMPRESSED = "zlib:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What a list says of a report, which `DatabaseHistory.report` has in full by its `id`; that never changes.

    `problems` is how many it has.
    """

    id: str
    name: str
    operation: Operation
    outcome: Outcome
    started: datetime
    took: timedelta
    entries: int
    read: int
    written: int
    problems: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLine:
    """Who asked for what, when, of which pipeline ("" of none), from which address, and whether it was let pass.

    `what` is made of what JSON can hold, and has no secrets.
    """

    time: datetime
    who: str
    what: Mapping[str, Any]
    pipeline: str = ""
    address: str = ""
    outcome: Literal["asked", "refused"] = "asked"


class DatabaseHistory:
    """Keeps every report in the database of `url`, which may be an SQLAlchemy engine too.

    Supported are SQLite, PostgreSQL, MySQL and MariaDB. The default is the file backupkit.sqlite3 in the folder
    where `FileMemory` keeps its own. Tables are made where they are missing. With `keep`, reports of a pipeline
    that are older go when its next one is recorded. It is a `Memory` too, of what has been told, and keeps the
    lines of an audit under the same terms.

    Needs SQLAlchemy, `pip install 'backupkit[history]'`, and the database's driver. NotificationError where the
    database cannot be used; what it could not do leaves nothing behind.
    """

    def __init__(self, url: str | sa.URL | sa.Engine | None = None, *, keep: timedelta | None = None) -> None:
        from backupkit.tables import AUDIT, MEMORY, REPORTS, Records

        if keep is not None and keep <= timedelta(0):
            raise ConfigurationError(
                f"keep={keep} would keep no report: say longer, or None for all of them."
            )
        self._records = Records(url, (REPORTS, AUDIT, MEMORY))
        self._table = REPORTS
        self._audit = AUDIT
        self._memory = MEMORY
        self.keep = keep

    def record(self, report: Report) -> None:
        """Keep the report, and let go of those that are too old; recording the same one again changes nothing."""
        from backupkit.tables import name_for

        name = name_for(report.name)
        row = {
            "identity": identity_of(report),
            "started": report.started,
            "name": name,
            "operation": report.operation,
            "outcome": report.outcome,
            "took": report.took.total_seconds(),
            "read": report.read,
            "written": report.written,
            "entries": report.entries,
            "problems": len(report.problems),
            "body": _written(report),
        }
        with self._records.begin() as connection:
            connection.execute(self._records.insert(self._table, row))
            if self.keep is not None:
                # Neither clock, if it is ahead, may empty the history.
                before = min(datetime.now(UTC), report.started) - self.keep
                old = self._table.c.started < before
                connection.execute(self._table.delete().where(self._table.c.name == name, old))

    def reports(
        self,
        name: str | Collection[str] | None = None,
        operation: Operation | None = None,
        *,
        outcome: Outcome | None = None,
        since: datetime | None = None,
        before: datetime | None = None,
        limit: int | None = 50,
    ) -> Iterator[Report]:
        """Yield the reports, newest first, of operations that began at `since` or later, and before `before`.

        `name` is a pipeline's, or several. Of a report whose details cannot be read, there is what stands in its
        row, and a warning among its problems.
        """
        import sqlalchemy as sa

        table = self._table
        wanted = self._filters(name, operation, outcome, since, before)
        newest_first = sa.select(table).where(*wanted).order_by(table.c.started.desc(), table.c.id.desc())
        page, left = newest_first, limit
        while left is None or left > 0:
            count = _PAGE if left is None else min(left, _PAGE)
            with self._records.begin() as connection:
                rows = connection.execute(page.limit(count)).all()
            for row in rows:
                yield _report(row)
            if len(rows) < count:
                return
            left = None if left is None else left - count
            last = rows[-1]
            earlier = sa.and_(table.c.started == last.started, table.c.id < last.id)
            page = newest_first.where(sa.or_(table.c.started < last.started, earlier))

    def recorded(
        self,
        name: str | Collection[str] | None = None,
        operation: Operation | None = None,
        *,
        outcome: Outcome | None = None,
        since: datetime | None = None,
        before: datetime | None = None,
        limit: int = 50,
        skip: int = 0,
    ) -> Sequence[Recorded]:
        """A part of the list of the same reports, in the same order, without their details."""
        columns = self._table.c
        wanted = self._listed().where(*self._filters(name, operation, outcome, since, before))
        newest_first = wanted.order_by(columns.started.desc(), columns.id.desc())
        with self._records.begin() as connection:
            rows = connection.execute(newest_first.limit(limit).offset(skip)).all()
        return [*map(_recorded, rows)]

    def newest(self, name: str | Collection[str]) -> Sequence[Recorded]:
        """The newest report of each operation of this pipeline, or of these, without its details; oldest first."""
        import sqlalchemy as sa

        columns = self._table.c
        of_each = sa.select(columns.name, columns.operation, sa.func.max(columns.started).label("started"))
        of_each = of_each.where(*self._filters(name, None, None, None, None))
        last = of_each.group_by(columns.name, columns.operation).subquery()
        wanted = self._listed().join(
            last,
            sa.and_(*(columns[one] == last.c[one] for one in ("name", "operation", "started"))),
        )
        with self._records.begin() as connection:
            return [*map(_recorded, connection.execute(wanted.order_by(columns.started, columns.id)).all())]

    def _listed(self) -> sa.Select[Any]:
        """What a list says; the details only where an earlier version did not count the problems."""
        import sqlalchemy as sa

        columns = self._table.c
        body = sa.case((columns.problems.is_(None), columns.body)).label("body")
        return sa.select(*(one for one in columns if one.name != "body"), body)

    def report(self, id: str) -> Report | None:
        """The report that a list says has this id, or None."""
        found = self._table.select().where(self._table.c.identity == id)
        with self._records.begin() as connection:
            row = connection.execute(found).first()
        return None if row is None else _report(row)

    def last(self, name: str, operation: Operation) -> Report | None:
        """The newest report of this operation of the pipeline."""
        return next(self.reports(name, operation, limit=1), None)

    def count(
        self,
        name: str | Collection[str] | None = None,
        operation: Operation | None = None,
        *,
        outcome: Outcome | None = None,
        since: datetime | None = None,
        before: datetime | None = None,
    ) -> int:
        """How many reports there are."""
        import sqlalchemy as sa

        counted = sa.select(sa.func.count()).select_from(self._table)
        counted = counted.where(*self._filters(name, operation, outcome, since, before))
        with self._records.begin() as connection:
            return int(connection.execute(counted).scalar() or 0)

    def note(self, line: AuditLine) -> None:
        """Keep the line, and let go of those of its pipeline that are too old."""
        from backupkit.tables import name_for

        row = {
            "time": line.time,
            "who": name_for(line.who),
            "name": name_for(line.pipeline),
            "address": name_for(line.address),
            "outcome": line.outcome,
            "body": json.dumps(dict(line.what)),
        }
        with self._records.begin() as connection:
            connection.execute(self._audit.insert().values(row))
            if self.keep is not None:
                old = self._audit.c.time < min(datetime.now(UTC), line.time) - self.keep
                connection.execute(self._audit.delete().where(self._audit.c.name == row["name"], old))

    def noted(
        self, pipeline: str | None = None, who: str | None = None, *, limit: int = 50, skip: int = 0
    ) -> Sequence[AuditLine]:
        """The lines about this pipeline, of what this person asked for, newest first."""
        columns = self._audit.c
        wanted = self._audit.select().where(*self._lines(pipeline, who))
        newest_first = wanted.order_by(columns.time.desc(), columns.id.desc())
        with self._records.begin() as connection:
            rows = connection.execute(newest_first.limit(limit).offset(skip)).all()
        return [
            AuditLine(
                time=row.time,
                who=row.who,
                what=json.loads(row.body),
                pipeline=row.name,
                address=row.address,
                outcome=row.outcome,
            )
            for row in rows
        ]

    def count_noted(self, pipeline: str | None = None, who: str | None = None) -> int:
        """How many lines there are."""
        import sqlalchemy as sa

        counted = sa.select(sa.func.count()).select_from(self._audit)
        with self._records.begin() as connection:
            return int(connection.execute(counted.where(*self._lines(pipeline, who))).scalar() or 0)

    def _lines(self, pipeline: str | None, who: str | None) -> list[sa.ColumnElement[bool]]:
        from backupkit.tables import name_for

        asked = ((self._audit.c.name, pipeline), (self._audit.c.who, who))
        return [column == name_for(value) for column, value in asked if value is not None]

    def recall(self, key: str) -> str | None:
        """What is remembered under the key."""
        found = self._memory.select().where(self._memory.c.identity == identity_of(key))
        with self._records.begin() as connection:
            row = connection.execute(found).first()
        return None if row is None else str(json.loads(row.value))

    def remember(self, key: str, value: str | None) -> None:
        """Replace what is remembered under the key; None forgets it."""
        from backupkit.tables import text_for

        identity = identity_of(key)
        with self._records.begin() as connection:
            if value is None:
                connection.execute(self._memory.delete().where(self._memory.c.identity == identity))
            else:
                row = {"identity": identity, "name": text_for(key), "value": json.dumps(value)}
                connection.execute(self._records.insert(self._memory, row, replace=True))

    def _filters(
        self,
        name: str | Collection[str] | None,
        operation: str | None,
        outcome: str | None,
        since: datetime | None,
        before: datetime | None,
    ) -> list[sa.ColumnElement[bool]]:
        from backupkit.tables import name_for

        columns = self._table.c
        filters: list[sa.ColumnElement[bool]] = []
        if name is not None:
            names = [name] if isinstance(name, str) else name
            filters.append(columns.name.in_([name_for(one) for one in names]))
        if operation is not None:
            filters.append(columns.operation == operation)
        if outcome is not None:
            filters.append(columns.outcome == outcome)
        if since is not None:
            filters.append(columns.started >= since)
        if before is not None:
            filters.append(columns.started < before)
        return filters

    def __repr__(self) -> str:
        return f"DatabaseHistory({self._records.location!r})"


def _written(report: Report) -> str:
    body = json.dumps(plain(report))
    if len(body) <= _LONG:
        return body
    return _COMPRESSED + base64.b64encode(zlib.compress(body.encode("ascii"))).decode("ascii")


def _recorded(row: Any) -> Recorded:
    return Recorded(
        id=row.identity,
        name=row.name,
        operation=row.operation,
        outcome=row.outcome,
        started=row.started,
        took=timedelta(seconds=row.took),
        entries=row.entries,
        read=row.read,
        written=row.written,
        problems=len(_report(row).problems) if row.problems is None else row.problems,
    )


def _report(row: Any) -> Report:
    try:
        text = row.body
        if text.startswith(_COMPRESSED):
            text = zlib.decompress(base64.b64decode(text.removeprefix(_COMPRESSED))).decode("ascii")
        return report_from(json.loads(text))
    except (IntegrityError, ValueError, RecursionError, zlib.error) as error:
        message = (
            f"The details of report {row.id} of the history cannot be read, because it is damaged or a later "
            f"version wrote it ({type(error).__name__})."
        )
        return Report(
            operation=cast("Operation", row.operation),
            outcome=cast("Outcome", row.outcome),
            name=row.name,
            started=row.started,
            took=timedelta(seconds=row.took),
            entries=row.entries,
            read=row.read,
            written=row.written,
            problems=(Problem(message=message, severity="warning", check="history"),),
        )
