"""Pipelines whose runs begin, and end when they are told to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from backupkit import BackupPipeline
from backupkit.model import Contents, Entry, Problem


class Gated:
    """A source of one file that grows until somebody makes the file `go`."""

    contents: Contents = "files"

    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        self.began, self.go = folder / "began", folder / "go"

    def entries(self) -> Iterator[Entry | Problem]:
        yield Problem(message="A file was passed over.", severity="warning")
        yield Entry(path="file", chunks=self._chunks)

    def _chunks(self) -> Iterator[bytes]:
        self.began.touch()
        while not self.go.exists():
            time.sleep(0.01)
            yield bytes(1000)


def gated(folder: Path, name: str = "gated") -> BackupPipeline:
    for made in (folder / name, folder / "backups"):
        made.mkdir(exist_ok=True)
    return BackupPipeline(name, Gated(folder / name), folder / "backups", encryptor=None)


def until(ready: Callable[[], Any]) -> Any:
    for _ in range(3000):
        if found := ready():
            return found
        time.sleep(0.005)
    raise AssertionError("it never came")


def begun(folder: Path, name: str = "gated") -> None:
    until((folder / name / "began").exists)


def let_go(folder: Path, name: str = "gated") -> None:
    (folder / name / "go").touch()
