"""Progress as it happens: server-sent events about one operation."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from backupkit.errors import BackupKitError, told
from backupkit.integrations.asgi.visit import Visit
from backupkit.integrations.work import Work

_OFTEN = 0.5  # seconds between two looks
_LASTS = 30.0  # seconds, so that no server waits long for it when it ends; browsers come again
_SILENT = 5.0  # seconds, after which something is sent that says nothing, so that it is noticed who has left


def events_of(visit: Visit, work: Work) -> Response:
    """What has become another than the browser shows, until it is over.

    "state" is all that is shown of the operation, "progress" a part of that, and "over" says that no more comes.
    """
    shown = visit.request.headers.get("last-event-id") or visit.query.get("stage")
    # There a stream would occupy one of the few threads of the server: it is asked again each second instead.
    lasts = 0.0 if "wsgi_environ" in visit.request.scope else _LASTS
    headers = {"X-Accel-Buffering": "no"}  # which nginx heeds
    return StreamingResponse(
        _events(visit, work.id, shown, lasts), media_type="text/event-stream", headers=headers
    )


async def _events(visit: Visit, id: str, stage: str | None, lasts: float) -> AsyncIterator[bytes]:
    end = time.monotonic() + lasts
    shown: object = None
    said = time.monotonic()
    yield b"retry: 1000\n\n"
    while True:
        try:
            work = await run_in_threadpool(visit.page.queue.get, id)
        except BackupKitError as error:  # the browser comes again
            yield await run_in_threadpool(_event, visit, "progress", stage or "", silent=told(error))
            return
        if work is None:
            break
        now = work.progress, work.note, work.problems
        name = "state" if work.stage != stage else "progress" if now != shown and not work.is_over else None
        if name is not None:
            stage, shown, said = work.stage, now, time.monotonic()
            yield await run_in_threadpool(_event, visit, name, work.stage, work=work)
        elif time.monotonic() - said >= _SILENT:
            said = time.monotonic()
            yield b": still there\n\n"
        if work.is_over:
            break
        if time.monotonic() >= end:
            return
        await asyncio.sleep(_OFTEN)
    yield b"event: over\ndata: over\n\n"


def _event(visit: Visit, name: str, stage: str, **values: object) -> bytes:
    template = visit.page.templates.get_template(f"operation_{name}.html")
    text = template.render(visit=visit, page=visit.page, **values)
    data = "".join(f"data: {line}\n" for line in text.splitlines())
    return f"event: {name}\nid: {stage}\n{data}\n".encode("utf-8", "replace")
