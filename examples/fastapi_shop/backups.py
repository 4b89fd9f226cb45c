"""What is backed up: `backupkit run --app backups:pipeline`, and the parts of the application that are about it."""

from __future__ import annotations

import asyncio
import hmac
import os
import secrets
import threading
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Header, HTTPException, Response

from backupkit import (
    BackupAlreadyRunningError,
    BackupPipeline,
    Directory,
    Passphrase,
    Report,
    SQLite,
    notifiers_from_env,
)

DATA = Path(os.environ.get("SHOP_DATA", "data")).absolute()
DATABASE, PHOTOS = DATA / "shop.sqlite3", DATA / "photos"
# Who has it may start backups by HTTP, and see the page; without one, nobody.
TOKEN = os.environ.get("SHOP_BACKUP_TOKEN") or secrets.token_urlsafe()

pipeline = BackupPipeline(
    "shop",
    [SQLite(DATABASE), Directory(PHOTOS)],
    os.environ.get("SHOP_BACKUPS", "/mnt/backup"),
    encryptor=Passphrase.from_env("BACKUP_ARCHIVE_PASSWORD"),
    notifiers=notifiers_from_env(),
)

_AT_ONCE = 0.5  # seconds in which a run finds out that another is under way


class Runs:
    """The runs of this process: one after the other, in threads, so that the event loop serves meanwhile."""

    def __init__(self) -> None:
        self._latest: asyncio.Task[Report] | None = None
        self._begun: set[asyncio.Task[Report]] = set()
        self._cancel = threading.Event()

    async def start(self) -> None:
        """Begin a run. BackupAlreadyRunningError if there is one already, whoever started it."""
        task = asyncio.create_task(asyncio.to_thread(pipeline.run, cancel=self._cancel))
        self._begun.add(task)  # also if who asked for it goes away meanwhile
        task.add_done_callback(self._begun.discard)
        await asyncio.wait([task], timeout=_AT_ONCE)
        if task.done() and isinstance(error := task.exception(), BackupAlreadyRunningError):
            raise error
        self._latest = task

    async def stop(self) -> None:
        """End the run that is under way at its next chunk; it leaves nothing behind."""
        self._cancel.set()
        if self._begun:
            await asyncio.wait(self._begun)

    def standing(self) -> dict[str, object]:
        """How the latest run stands."""
        if self._latest is None or not self._latest.done():
            return {"state": "none" if self._latest is None else "under way"}
        if (error := self._latest.exception()) is not None:
            return {"state": "failed", "problems": [str(error)]}
        report = self._latest.result()
        return {"state": report.outcome, "problems": [problem.message for problem in report.problems]}


def operator(authorization: Annotated[str, Header()] = "") -> None:
    """Let those in who have the token."""
    if not hmac.compare_digest(authorization.encode(), f"Bearer {TOKEN}".encode()):
        raise HTTPException(401, "The token is missing or wrong.")


runs = Runs()
router = APIRouter(dependencies=[Depends(operator)])


@router.post("/backups", status_code=202)
async def start_backup() -> dict[str, object]:
    try:
        await runs.start()
    except BackupAlreadyRunningError as error:
        raise HTTPException(409, str(error)) from error
    return {"latest": runs.standing()}


@router.get("/backups")
async def backups() -> dict[str, object]:
    """How the latest run stands, and which backups there are."""
    listing = await asyncio.to_thread(pipeline.list)
    return {"latest": runs.standing(), "backups": [backup.id for backup in listing.backups]}


@router.get("/health")
def health(response: Response) -> dict[str, object]:
    """What `backupkit monitor` says, for a service that asks by HTTP. Without `async`, it gets a thread."""
    report = pipeline.monitor(notify=False)
    healthy = report.outcome == "succeeded"
    response.status_code = 200 if healthy else 503
    return {"healthy": healthy, "problems": [problem.message for problem in report.problems]}
