"""How do I follow a run while it goes on, and how do I stop it?

An observer is any callable that takes an event. `cancel` is a `threading.Event`: when it is set, from any
thread, the run ends at the next chunk, raises OperationCancelledError and leaves nothing behind. An observer
that fails is told no more; the run goes on.
"""

from __future__ import annotations

import logging
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

from backupkit import BackupPipeline, Directory, LoggingObserver, OperationCancelledError, Passphrase
from backupkit.events import BytesRead, Event, ProblemFound


class Meter:
    """Counts what has been read, as a web page or a metrics endpoint would show it."""

    def __init__(self) -> None:
        self.read = 0
        self.problems = 0

    def __call__(self, event: Event) -> None:
        match event:
            case BytesRead(count):
                self.read += count
            case ProblemFound():
                self.problems += 1
            case _:
                pass  # Started, Expected, EntryStarted, Waiting, Finished


def main() -> None:
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="log: %(levelname)s %(message)s")
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        (root / "shop").mkdir()
        for number in range(8):
            (root / "shop" / f"{number}.bin").write_bytes(bytes(1_000_000))
        (root / "backups").mkdir()

        meter = Meter()
        stop = threading.Event()

        def stop_half_way(event: Event) -> None:
            if meter.read >= 4_000_000:
                stop.set()

        def broken(event: Event) -> None:
            raise RuntimeError("the metrics server is down")

        pipeline = BackupPipeline(
            "shop",
            Directory(root / "shop"),
            root / "backups",
            encryptor=Passphrase("correct horse battery staple orbit"),
            observers=[LoggingObserver(), meter, stop_half_way, broken],
        )

        try:
            pipeline.run(cancel=stop)
        except OperationCancelledError as error:
            print(error)
            if error.report is not None:  # every failed operation hands its report on
                print(f"it had read {error.report.read} bytes and ended as {error.report.outcome!r}")
        print(f"left behind: {[path.name for path in (root / 'backups').rglob('*') if path.is_file()]}")

        report = pipeline.run()
        print(f"the next run: {report.outcome}, {report.read} bytes, {meter.problems} problems told")


if __name__ == "__main__":
    main()
