"""Small servers of tests, each on a loop in a thread of its own."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeAlias

Handle: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextmanager
def serving(handle: Handle, *, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """The port of this machine on which each connection is given to `handle`, and ended in the end."""
    loop = asyncio.new_event_loop()
    started = threading.Event()
    stop = asyncio.Event()
    port = 0
    # The loop itself does not hold a task on a connection that is read no more, and garbage collection took it.
    under_way: set[asyncio.Task[None] | None] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        under_way.add(task)
        try:
            await handle(reader, writer)
        finally:
            under_way.discard(task)
            writer.close()

    async def serve() -> None:
        nonlocal port
        server = await asyncio.start_server(one, "127.0.0.1", 0, ssl=tls, limit=1 << 20)
        port = server.sockets[0].getsockname()[1]
        started.set()
        await stop.wait()
        server.close()
        # What was accepted at the last moment has its task only now.
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    started.wait()
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        with suppress(RuntimeError):
            loop.run_until_complete(asyncio.sleep(0.01))  # let what was cancelled close its sockets
        loop.close()
