"""The memory of a process and all those that it started, together."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_EVERY = 0.1  # seconds


@dataclass
class Peak:
    """The most that was seen; 0 as long as there was one process only, whose own peak the kernel knows exactly."""

    bytes: int = 0


@contextmanager
def watched(process: int) -> Iterator[Peak]:
    """Look every tenth of a second. What several processes share is counted once (Pss of the kernel)."""
    peak, ended = Peak(), threading.Event()

    def watch() -> None:
        while not ended.wait(_EVERY):
            members = [process, *_below(process)]
            if len(members) > 1:
                peak.bytes = max(peak.bytes, sum(map(_memory, members)))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        ended.set()
        watcher.join()


def _below(process: int) -> Iterator[int]:
    with suppress(OSError):  # it has ended, or this is no Linux
        for thread in Path(f"/proc/{process}/task").iterdir():
            for child in map(int, (thread / "children").read_text().split()):
                yield child
                yield from _below(child)


def _memory(process: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
