"""How do I make backups on a schedule in an asyncio application (FastAPI, aiohttp, a bot)?

A `Scheduler` works on threads of its own, so the event loop is never blocked: start it when the application starts,
and stop it, in a thread, when that ends. `lifespan` is what FastAPI and Starlette call a lifespan.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from backupkit import BackupPipeline, Directory, FileMemory, Passphrase, Report, Summary
from backupkit.scheduling import Job, Schedule, Scheduled, Scheduler, missed

HOURLY = Schedule([Scheduled("15 * * * *", "run"), Scheduled("0 4 * * *", "clean")])


@asynccontextmanager
async def lifespan(pipeline: BackupPipeline, told: asyncio.Queue[str]) -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()

    def ended(
        pipeline: BackupPipeline, job: Job, done: Report | Summary | Exception
    ) -> None:  # on its thread
        outcome = done.outcome if isinstance(done, Report) else str(done)
        loop.call_soon_threadsafe(told.put_nowait, f"{job}: {outcome}")

    scheduler = Scheduler(pipeline, HOURLY, ended=ended)
    scheduler.start()
    try:
        yield
    finally:
        await asyncio.to_thread(scheduler.stop)  # which cancels what is under way, and waits for it


async def host(pipeline: BackupPipeline) -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    async with lifespan(pipeline, told):
        for _ in HOURLY.jobs:  # the application answers requests meanwhile
            print(await told.get())
    listing = await asyncio.to_thread(pipeline.list)
    print("backups:", len(listing.backups))


def main() -> None:
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        (root / "shop").mkdir()
        (root / "shop" / "pear.txt").write_text("a pear\n")
        (root / "backups").mkdir()
        pipeline = BackupPipeline(
            "shop",
            Directory(root / "shop"),
            root / "backups",
            encryptor=Passphrase("correct horse battery staple orbit"),
            memory=FileMemory(root / "state"),
        )
        # As if the application had been started a week ago for the first time, and soon been stopped.
        missed(HOURLY, pipeline, datetime.now(UTC) - timedelta(days=7))
        asyncio.run(host(pipeline))


if __name__ == "__main__":
    main()
