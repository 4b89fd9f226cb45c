"""How do I stop my workers, or take a file-system snapshot, while a source is read?

Put the source `Around` a context manager: it is entered before the first file is read and left after the last
one, also when the run fails or is cancelled. A hook that fails fails the run, so no backup is made of a state
you did not want. A snapshot of ZFS, btrfs or LVM is the same: make and mount it, yield, unmount and delete it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from backupkit import Around, BackupPipeline, Directory, HookError, Passphrase


class Worker:
    """Rewrites a file as fast as it can: read meanwhile, the file could be half old and half new."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.start()

    def start(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def _work(self) -> None:
        for number in count():
            self.file.write_text(f"{number}\n" * 1000)
            if self._stop.is_set():
                return

    @contextmanager
    def stopped(self) -> Iterator[None]:
        self.stop()  # for example subprocess.run(["systemctl", "stop", "shop-worker"], check=True)
        print("worker stopped")
        try:
            yield
        finally:
            self.start()
            print("worker started again")


@contextmanager
def broken() -> Iterator[None]:
    raise OSError("no space for a snapshot")
    yield


def main() -> None:
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        (root / "shop").mkdir()
        (root / "backups").mkdir()
        files = Directory(root / "shop")
        passphrase = Passphrase("correct horse battery staple orbit")
        worker = Worker(root / "shop" / "state.txt")
        try:
            pipeline = BackupPipeline(
                "shop", Around(files, worker.stopped), root / "backups", encryptor=passphrase
            )
            print(f"run: {pipeline.run().outcome}; running again: {worker.running}")

            failing = BackupPipeline("failing", Around(files, broken), root / "backups", encryptor=passphrase)
            try:
                failing.run()
            except HookError as error:
                print(f"no backup: {error}")
        finally:
            worker.stop()


if __name__ == "__main__":
    main()
