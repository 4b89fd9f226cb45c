"""How do I keep backups from taking the whole network, and a restoring machine from changing them?

Wrap the destination. `Throttled` lets no more bytes per second pass, `ReadOnly` lets nothing be changed, and
`Retrying` asks a destination of your own again after failures that may pass. Wrappers go around each other, too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from backupkit import (
    BackupPipeline,
    DestinationError,
    Directory,
    LocalDestination,
    ReadOnly,
    Retrying,
    StoredObject,
    Throttled,
    open_repository,
)


class Loose(LocalDestination):
    """A disk whose cable is loose: each other list fails, and may be tried again."""

    asked = 0

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        self.asked += 1
        if self.asked % 2:
            raise DestinationError("The cable is loose.", location=self.location, retryable=True)
        yield from super().list(prefix)


def main() -> None:
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        for folder in ("shop", "disk"):
            (root / folder).mkdir()
        (root / "shop" / "film.mp4").write_bytes(bytes(range(256)) * 8192)  # 2 MiB

        disk = Retrying(Loose(root / "disk"), wait=0.01)
        pipeline = BackupPipeline(
            "shop", Directory(root / "shop"), Throttled(disk, "4MB"), encryptor=None, compressor="store"
        )
        begin = time.monotonic()
        print(f"run: {pipeline.run().outcome}")
        print(f"slower than a quarter of a second: {time.monotonic() - begin > 0.25}")

        backups = open_repository(ReadOnly(disk))
        backups.restore(to=root / "restored")
        print(f"restored: {(root / 'restored' / 'shop' / 'film.mp4').stat().st_size} bytes")
        try:
            backups.pin(reason="the end of the year")
        except DestinationError:
            print("nothing is changed")


if __name__ == "__main__":
    main()
