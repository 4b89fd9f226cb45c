"""`BackupManager`: the management page as an ASGI application."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount
from starlette.routing import Route as StarletteRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from backupkit._operation import utc_now
from backupkit.config import Settings
from backupkit.errors import BackupKitError, BackupNotFoundError, ConfigurationError, told
from backupkit.history import DatabaseHistory
from backupkit.integrations.actions import SCRATCH, Place
from backupkit.integrations.asgi.access.abilities import Authorize
from backupkit.integrations.asgi.access.guard import Guard
from backupkit.integrations.asgi.access.headers import with_headers
from backupkit.integrations.asgi.access.secret import page_secret
from backupkit.integrations.asgi.api import addresses as api
from backupkit.integrations.asgi.mounting.slashes import mend_slashes
from backupkit.integrations.asgi.page import Page
from backupkit.integrations.asgi.pages import audit as audit_page
from backupkit.integrations.asgi.pages import backup as backup_page
from backupkit.integrations.asgi.pages import (
    backups,
    browsing,
    cleaning,
    deleting,
    metrics,
    notifications,
    operations,
    overview,
    recovery,
    reports,
    restoring,
)
from backupkit.integrations.asgi.pages.shelves import Shelves
from backupkit.integrations.asgi.queues.threads import ThreadQueue
from backupkit.integrations.asgi.routes import Route
from backupkit.integrations.asgi.standing.looks import Looks
from backupkit.integrations.asgi.standing.unread import Unread
from backupkit.integrations.asgi.templating import environment
from backupkit.integrations.asgi.visit import mount_path, path_below
from backupkit.integrations.pipelines import Given
from backupkit.integrations.pipelines import Pipelines as Named
from backupkit.integrations.work import Queue
from backupkit.pipeline import BackupPipeline
from backupkit.scheduling import Schedule
from backupkit.scheduling.schedule import schedule_of
from backupkit.zones import zone_named

_STATIC = Path(__file__).parent / "static"
_PATIENCE = timedelta(seconds=10)
ROUTES: tuple[Route, ...] = (
    *overview.ROUTES,
    *backups.ROUTES,
    *backup_page.ROUTES,
    *browsing.ROUTES,
    *deleting.ROUTES,
    *operations.ROUTES,
    *restoring.ROUTES,
    *cleaning.ROUTES,
    *reports.ROUTES,
    *notifications.ROUTES,
    *audit_page.ROUTES,
    *recovery.ROUTES,
    *api.ROUTES,
    *metrics.ROUTES,
)
"""All that the page answers, static files aside."""


class BackupManager:
    """The management page of these pipelines: an ASGI application, to be mounted at any path.

    `pipelines` are one, several, a mapping by name, or the settings of a file. `authorize` is asked of each request
    what its visitor may do; without it there is no page. `schedule` says when what is due, as for `Scheduler`.

    Work is done by `queue`, or else on threads of this process. Restores go to a new folder in `scratch` (by
    default the system's folder for temporary files), or to one of the `places`, by its name: a folder, or
    databases for the dumps. `audit` keeps who did what: the first history of a pipeline that is in a database, or
    else a file of its own. `secret`, of 16 characters or more, is for several machines that serve the same page;
    the processes of one machine share one in a file. Destinations are asked again after `period`.

    The constructor does no I/O but for that file. `close` ends what is under way. ConfigurationError for what is
    not possible.
    """

    def __init__(
        self,
        pipelines: Given | Settings,
        *,
        authorize: Authorize | None = None,
        schedule: Schedule | Mapping[str, Schedule] | None = None,
        queue: Queue | None = None,
        places: Mapping[str, Place] | None = None,
        scratch: str | os.PathLike[str] | None = None,
        audit: DatabaseHistory | None = None,
        secret: str | bytes | None = None,
        title: str = "Backups",
        time_zone: str | tzinfo = "UTC",
        period: timedelta = timedelta(seconds=30),
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        if not callable(authorize):
            raise ConfigurationError(
                "BackupManager shows and deletes backups, and nobody says to whom: give authorize=, a function "
                "that returns what the visitor of a request may do."
            )
        by_name, schedules = _named(pipelines, schedule)
        places = dict(places or {})
        if SCRATCH in places:
            raise ConfigurationError(
                f"places= cannot have one called {SCRATCH!r}: name it otherwise, or give scratch=."
            )
        queue = queue or ThreadQueue(by_name, places=places, scratch=scratch, clock=clock)
        zone = zone_named(time_zone) if isinstance(time_zone, str) else time_zone
        self.page = Page(
            title=title,
            pipelines=by_name,
            schedules=schedules,
            looks=Looks(
                by_name, period=period, patience=_PATIENCE, ends=queue.ends, schedules=schedules, clock=clock
            ),
            shelves=Shelves(by_name, patience=_PATIENCE),
            queue=queue,
            places=places,
            audit=audit or _history_of(by_name) or DatabaseHistory(),
            unread=Unread(by_name),
            zone=zone,
            clock=clock,
            templates=environment(zone, clock),
        )
        guard = Guard(self.page, authorize, page_secret(secret))
        self.routes = ROUTES
        self._app = with_headers(_application(guard))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await self._app(scope, receive, send)

    def close(self) -> None:
        """Cancel what is under way in this process, and wait until it has ended."""
        self.page.queue.close()


def _application(guard: Guard) -> ASGIApp:
    routes = [
        StarletteRoute(one.path, _endpoint(guard, one), methods=[one.method], name=f"{one.method} {one.path}")
        for one in ROUTES
    ]
    static = Mount("/static", StaticFiles(directory=_STATIC))
    handlers = {HTTPException: _refused, BackupKitError: _failed, Exception: _broken}
    app = Starlette(routes=[*routes, static], exception_handlers=cast("Any", handlers))
    # Starlette's own redirects name a scheme and a host, which are not the visitor's behind some proxies.
    app.router.redirect_slashes = False
    app.router.default = mend_slashes
    return app


def _endpoint(guard: Guard, route: Route) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return await guard.answer(route, request)

    return endpoint


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # it is registered for these
    return _sentence(request, error.status_code, error.detail, error.headers)


async def _failed(request: Request, error: Exception) -> Response:
    status = (
        404
        if isinstance(error, BackupNotFoundError)
        else 400
        if isinstance(error, ConfigurationError)
        else 502
    )
    return _sentence(request, status, told(error))


async def _broken(request: Request, error: Exception) -> Response:
    return _sentence(request, 500, "Something went wrong here; the log of this server says what.")


def _sentence(
    request: Request, status: int, sentence: str, headers: Mapping[str, str] | None = None
) -> Response:
    """What went wrong, for a program or for a person."""
    base, headers = mount_path(request.scope), {"Cache-Control": "no-store", **(headers or {})}
    if path_below(request.scope).startswith("/api/"):
        return JSONResponse({"error": sentence.encode("utf-8", "replace").decode()}, status, headers)
    text = _ERROR.render(status=status, sentence=sentence, base=base)
    return HTMLResponse(text.encode("utf-8", "replace"), status, headers)


_ERROR = environment(zone_named("UTC"), utc_now).get_template("error.html")


def _named(
    pipelines: Given | Settings, schedule: Schedule | Mapping[str, Schedule] | None
) -> tuple[Mapping[str, BackupPipeline], Mapping[str, Schedule]]:
    """The pipelines by name, and the schedules of those that have one."""
    if isinstance(pipelines, Settings):
        schedule = pipelines.schedules if schedule is None else schedule
        pipelines = pipelines.pipelines
    by_name = Named(pipelines).all()
    schedules = {}
    for name, pipeline in by_name.items():
        given = schedule.get(name) if isinstance(schedule, Mapping) else schedule
        if given is not None:
            schedules[name] = schedule_of(pipeline, given)
    return by_name, schedules


def _history_of(pipelines: Mapping[str, BackupPipeline]) -> DatabaseHistory | None:
    histories = (one.history for one in pipelines.values())
    return next((one for one in histories if isinstance(one, DatabaseHistory)), None)
