"""How do I start a backup from an asyncio application (FastAPI, aiohttp, a bot) without blocking it?

`await asyncio.to_thread(pipeline.run)`. To end a run when its task is cancelled, as at shutdown, hand it a
`threading.Event` and set that: a thread cannot be cancelled from outside.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from backupkit import BackupPipeline, Directory, OperationCancelledError, Passphrase, Report
from backupkit.events import BytesRead, Event


async def run_backup(pipeline: BackupPipeline) -> Report:
    """Make a backup in a thread; if this task is cancelled, so is the run, and it leaves nothing behind."""
    cancel = threading.Event()
    run = asyncio.create_task(asyncio.to_thread(pipeline.run, cancel=cancel))
    try:
        return await asyncio.shield(run)
    except asyncio.CancelledError:
        cancel.set()
        with suppress(OperationCancelledError):
            await run
        raise


async def host(root: Path) -> None:
    loop = asyncio.get_running_loop()
    reading = asyncio.Event()

    def observer(event: Event) -> None:  # called in the run's thread
        if isinstance(event, BytesRead):
            loop.call_soon_threadsafe(reading.set)

    pipeline = BackupPipeline(
        "shop",
        Directory(root / "shop"),
        root / "backups",
        encryptor=Passphrase("correct horse battery staple orbit"),
        observers=[observer],
    )

    backup = asyncio.create_task(run_backup(pipeline))
    served = 0
    while not backup.done():
        await asyncio.sleep(0)
        served += 1  # the application answers requests meanwhile
    print(f"run: {backup.result().outcome}; served meanwhile: {served > 10}")

    reading.clear()
    backup = asyncio.create_task(run_backup(pipeline))
    await reading.wait()
    backup.cancel()  # as asyncio does at shutdown
    with suppress(asyncio.CancelledError):
        await backup
    listing = await asyncio.to_thread(pipeline.list)
    print(f"cancelled: {backup.cancelled()}; backups: {len(listing.backups)}")


def main() -> None:
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        (root / "shop").mkdir()
        for number in range(20):
            (root / "shop" / f"{number}.bin").write_bytes(bytes(3_000_000))
        (root / "backups").mkdir()
        asyncio.run(host(root))


if __name__ == "__main__":
    main()
