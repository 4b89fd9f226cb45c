"""Peak memory of a run, whatever the amount of data: one dump of 1, 4 and 16 GB and a few hundred small files.

The data is made as it is read and counted where it would be stored, so that no disk is needed; every run is a
process of its own. With `stored`, a dump of that size is written to the disk, verified and restored as well.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from programs import PASSPHRASE, Ours, timed

if TYPE_CHECKING:
    from backupkit import Entry, StoredObject
    from backupkit.protocols import Chunks

GB = 1_000_000_000
_SIZES = (1, 4, 16)
_SMALL_FILES = 300


def measure(folder: Path, scale: float, *, stored: float | None) -> None:
    """Print the peak of each size and compressor."""
    print("memory\npeak of a whole process that streams one encrypted dump and 300 small files\n")
    print(f"{'':32} {'read GB':>9} {'peak MiB':>9} {'wall s':>9}")
    for compressor in ("deflate", "zstd"):
        for size in _SIZES:
            amount = int(size * GB * scale)
            figures = timed([sys.executable, __file__, str(amount), compressor])
            print(
                f"{'write, ' + compressor:32} {amount / GB:9.2f} {figures.peak:9.1f} {figures.wall:9.1f}",
                flush=True,
            )
    if stored:
        on_disk(folder, int(stored * GB))
    print()


def on_disk(folder: Path, amount: int) -> None:
    if shutil.disk_usage(folder).free < 3 * amount:
        print(f"not on the disk: {folder} has no room for three times {amount / GB:.1f} GB")
        return
    archive, target = folder / "memory", folder / "restored"
    for compressor in ("deflate", "zstd"):
        archive.mkdir()
        steps = {
            "write": partial(timed, [sys.executable, __file__, str(amount), compressor, str(archive)]),
            "verify": partial(Ours().verify, archive),
            "restore": partial(Ours().restore, archive, target),
        }
        for operation, run in steps.items():
            figures = run()
            name = f"{operation}, {compressor}, on disk"
            print(f"{name:32} {amount / GB:9.2f} {figures.peak:9.1f} {figures.wall:9.1f}", flush=True)
        shutil.rmtree(archive)
        shutil.rmtree(target)


class Stream:
    """A dump of that many bytes, which shrink to about a half, and small files."""

    name = "stream"
    contents: Literal["databases"] = "databases"

    def __init__(self, size: int) -> None:
        self._size = size

    def entries(self) -> Iterator[Entry]:
        from backupkit import Entry

        for number in range(_SMALL_FILES):
            yield Entry(path=f"small/{number:03}", chunks=partial(generated, 10 * number))
        yield Entry(path="db-dumps/stream.sql", chunks=partial(generated, self._size))


def generated(size: int) -> Iterator[bytes]:
    """A half of each 64 KiB is random, the other half rows of a table."""
    half = 32 << 10
    rows = b"".join(b"(%d,'customer %d','paid'),\n" % (number, number * 7919) for number in range(9000))
    at = 0
    while size > 0:
        chunk = (os.urandom(half) + rows[at : at + half])[:size]
        at = (at + 6007) % (len(rows) - half)
        yield chunk
        size -= len(chunk)


class Counting:
    """A destination that keeps nothing but the size of what it was given."""

    location = "counting:"

    def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
        from backupkit import StoredObject

        return StoredObject(name=name, size=sum(map(len, chunks)), modified=datetime.now(UTC))

    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        raise self._nothing(name)

    def stat(self, name: str) -> StoredObject:
        raise self._nothing(name)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        return iter(())

    def delete(self, name: str) -> None:
        raise self._nothing(name)

    def _nothing(self, name: str) -> Exception:
        from backupkit import ObjectNotFoundError

        return ObjectNotFoundError(f"{name} was only counted.", location=self.location, name=name)


def main(size: str, compressor: str, folder: str | None = None) -> None:
    """One run, in a process of its own."""
    from backupkit import BackupPipeline, Passphrase

    destination = folder or Counting()
    encryptor = Passphrase(PASSPHRASE)
    BackupPipeline("bench", Stream(int(size)), destination, encryptor=encryptor, compressor=compressor).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
