"""Notifications that were kept: those that nobody has read come first, until somebody says that they are read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from backupkit.errors import IntegrityError
from backupkit.integrations.asgi.pages.filters import ROWS, number_of, pipeline_of, word_of
from backupkit.integrations.asgi.routes import Route
from backupkit.integrations.asgi.standing import records
from backupkit.integrations.asgi.standing.records import Found, Ledger, part_of
from backupkit.integrations.asgi.visit import Visit
from backupkit.model import Report
from backupkit.notifiers.database import DatabaseNotifier, Notification
from backupkit.plain_data import report_from

_ID = re.compile(r"([0-9]{1,4})-([0-9]{1,18})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A notification, the page's name of its pipeline, and an id that is its own among those of all databases."""

    id: str
    pipeline: str
    notification: Notification

    @property
    def report(self) -> Report | None:
        """What it says of an operation, perhaps shortened."""
        try:
            return report_from(self._said("report"))
        except IntegrityError:
            return None

    @property
    def since(self) -> datetime | None:
        """When what it tells of health began."""
        try:
            return datetime.fromisoformat(self._said("since"))
        except (TypeError, ValueError):
            return None

    def _said(self, name: str) -> Any:
        notice = self.notification.notice
        return notice.get(name) if isinstance(notice, dict) else None


def notifications_of(visit: Visit, *, limit: int, skip: int) -> Found[Told]:
    """A part of what the address asks for: those that nobody has read first, then the newest."""
    unread = word_of(visit, "unread", ["yes"]) is not None

    def told(ledger: Ledger[DatabaseNotifier], limit: int, skip: int) -> Sequence[Told]:
        asked: Mapping[str, Any] = {"name": [*ledger.names], "limit": limit, "skip": skip}
        notifier = ledger.database
        found = notifier.unread(**asked) if unread else notifier.list(unread_first=True, **asked)
        return [
            Told(id=f"{ledger.number}-{one.id}", pipeline=ledger.names[one.name], notification=one)
            for one in found
        ]

    return part_of(
        records.notifications(visit.page.pipelines, pipeline_of(visit)),
        rows=told,
        count=lambda ledger: ledger.database.count(name=[*ledger.names], unread=unread),
        order=lambda one: (one.notification.read_at is None, one.notification.time),
        limit=limit,
        skip=skip,
    )


def mark(visit: Visit) -> int:
    """Mark as read what the form says: some by their ids, or all, of a pipeline, told up to a time; how many."""
    try:
        return _marked(visit)
    finally:
        visit.page.unread.forget()


def _marked(visit: Visit) -> int:
    ledgers = records.notifications(visit.page.pipelines, pipeline_of(visit, visit.form))
    if visit.form.get("all"):
        until = _time(visit.form.get("until"))
        return sum(one.database.mark_all_read(name=[*one.names], until=until) for one in ledgers)
    wanted: dict[int, list[int]] = {}
    for number, id_ in _ids(visit.form.get("id")):
        wanted.setdefault(number, []).append(id_)
    return sum(
        one.database.mark_read(wanted[one.number], name=[*one.names])
        for one in ledgers
        if one.number in wanted
    )


def _ids(said: object) -> Iterable[tuple[int, int]]:
    for one in said if isinstance(said, list) else [said]:
        found = _ID.fullmatch(one) if isinstance(one, str) else None
        if found is None:
            raise HTTPException(400, "Say which notifications, by their ids, or all.")
        yield int(found[1]), int(found[2])


def _time(said: object) -> datetime:
    try:
        time = datetime.fromisoformat(str(said))
        if time.tzinfo is None:
            raise ValueError("without a zone")
        return time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise HTTPException(400, "until is not a time such as 2030-01-31T00:00:00+00:00.") from None


def show(visit: Visit) -> Response:
    number = number_of(visit, "page", 1, least=1)
    found = notifications_of(visit, limit=ROWS, skip=(number - 1) * ROWS)
    kept = {name for one in records.notifications(visit.page.pipelines) for name in one.names.values()}
    return visit.html(
        "notifications.html",
        found=found,
        number=number,
        rows=ROWS,
        newest=max((one.notification.time for one in found.rows), default=None),
        unread=sum(one.notification.read_at is None for one in found.rows),
        unkept=[name for name in visit.page.pipelines if name not in kept],
    )


def read(visit: Visit) -> Response:
    mark(visit)
    said = {name: visit.form.get(name) for name in ("pipeline", "unread", "page")}
    return visit.go(visit.path("notifications", **said))


ROUTES = (
    Route("GET", "/notifications", "view", show),
    Route("POST", "/notifications/read", "view", read),
)
