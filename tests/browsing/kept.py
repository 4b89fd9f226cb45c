"""Backups to look into: the same tree as an archive and as a snapshot."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from random import Random

from backupkit import BackupPipeline, Directory, MachineLock, Restic, Retry, Zip
from backupkit.browsing import BackupFileSystem
from backupkit.protocols import Destination, Format
from backupkit.testing.destinations import MemoryDestination
from tests.pipeline.snapshots import PASSPHRASE

ODD = os.fsdecode(b"odd \xff\n\x1b[31m*?[a] {b} %41 # \\x")
LARGE = Random(3).randbytes(5 << 20)
MODIFIED = 1_700_000_000
FORMATS: dict[str, Format] = {"archive": Zip(), "snapshot": Restic(cache=False, workers=0)}


@dataclass(frozen=True)
class Kept:
    """A backup, and the folder in it that was backed up."""

    pipeline: BackupPipeline
    destination: Destination
    id: str
    app: str

    def file_system(self) -> BackupFileSystem:
        return self.pipeline.file_system()

    @property
    def latest(self) -> str:
        return f"latest/{self.app}"


def make_app(app: Path) -> None:
    (app / "folder" / "deeper").mkdir(parents=True)
    (app / "folder" / "orders.csv").write_text("id,total\n1,10\n2,20\n")
    (app / "folder" / "deeper" / "empty").touch()
    (app / "large").write_bytes(LARGE)
    os.link(app / "large", app / "same")
    (app / "link").symlink_to("folder/orders.csv")
    (app / ODD).write_bytes(b"odd")
    (app / "folder" / "orders.csv").chmod(0o640)
    os.utime(app / "folder" / "orders.csv", (MODIFIED, MODIFIED))


def kept(folder: Path, format: Format, destination: Destination | None = None) -> Kept:
    app = folder / "app"
    make_app(app)
    destination = destination or MemoryDestination()
    pipeline = BackupPipeline(
        "shop",
        Directory(app),
        destination,
        encryptor=PASSPHRASE,
        format=format,
        lock=MachineLock(folder / "locks"),
        retry=Retry(tries=1),
    )
    (result,) = pipeline.run().destinations
    assert result.backup is not None
    return Kept(pipeline, destination, result.backup.id, str(app)[1:] if format.shares_bytes else "app")
