"""An object of 1 GiB to an S3 store and back by backupkit, and by those that people use for it, in turn.

    python benchmarks/destinations.py [--quick] [--size MiB] [--rounds 5] [--only upload] [--link far] [--tls]

The store is a private SeaweedFS, its data in memory; "far" it is behind a link of 25 ms, and 20 MB/s for each
connection. Each run is a process of its own, measured after its imports and one small object. What it sends is made
as it goes, what it fetches is hashed and compared; the first round looks whether the right object was stored.
The peers are at their defaults, and where one can be told, also with parts as large and as many at once as ours.
Printed are minimum, median and maximum of each figure, and of the ratios of each round's pair.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from programs import Figures, MiB, Run, spread, taken_in_turn
from transfers import PEERS, content

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.storage.s3 import SECRET, S3Server
from tests.storage.seaweedfs import seaweedfs

BANDWIDTH, ROUND_TRIP = 20e6, 0.025
# By one connection, which takes a minute, and always the same one: once is enough.
SLOW = {"upload": ["s3fs"], "download": ["s3fs", "obstore", "rclone"]}
HERE = Path(__file__).parent


def main() -> None:
    arguments = parsed()
    size = (arguments.size or (128 if arguments.quick else 1024)) * MiB
    rounds = arguments.rounds or (2 if arguments.quick else 5)
    peers = arguments.peer or [*PEERS]
    digest = hashlib.sha256()
    for chunk in content(size):
        digest.update(chunk)
    print(
        f"{size >> 20} MiB, {rounds} rounds, {os.cpu_count()} processors, Python {sys.version.split()[0]}\n"
    )
    with seaweedfs(within=memory()) as server:
        place = Place(server, size, digest.hexdigest(), tls=arguments.tls, options=arguments.ours)
        for link in arguments.link or ["near", "far"]:
            for direction in arguments.only or ["upload", "download"]:
                with place.reached(link) as endpoint:
                    runs = place.runs(direction, peers, endpoint)
                    slow = dict.fromkeys(SLOW[direction], 1) if link == "far" else {}
                    figures = taken_in_turn(runs, rounds, fewer=slow)
                show(f"{direction}, {link}", figures)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="128 MiB, two rounds")
    parser.add_argument("--size", type=int, help="MiB")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--only", action="append", choices=["upload", "download"])
    parser.add_argument("--link", action="append", choices=["near", "far"])
    parser.add_argument("--peer", action="append", choices=[*PEERS])
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--ours", default="{}", help="options of ours, as JSON")
    return parser.parse_args()


def memory() -> str:
    """Where the store keeps its data, so that nobody's writing to a disk disturbs: in memory, if there is room."""
    place = Path("/dev/shm")
    return str(place if place.exists() and shutil.disk_usage(place).free > 8 << 30 else "/tmp")


class Place:
    """The store, and what is measured in it."""

    def __init__(self, server: S3Server, size: int, digest: str, *, tls: bool, options: str) -> None:
        self._server = server
        self._size = size
        self._digest = digest
        self._tls = tls
        self._options = options
        self._checked: set[str] = set()
        self._stored = self._made(size)

    @contextmanager
    def reached(self, link: str) -> Iterator[str]:
        """Yield the address of the store, or of a link to it."""
        port = self._server.secure_port if self._tls else self._server.port
        scheme = "https" if self._tls else "http"
        if link == "near":
            yield f"{scheme}://127.0.0.1:{port}"
            return
        command = [sys.executable, str(HERE / "slow_link.py"), str(port)]
        command += ["--bandwidth", str(BANDWIDTH), "--round-trip", str(ROUND_TRIP)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin
            assert process.stdout
            yield f"{scheme}://127.0.0.1:{process.stdout.readline().strip()}"
            process.stdin.close()

    def runs(self, direction: str, peers: Sequence[str], endpoint: str) -> dict[str, Run]:
        if direction == "upload":
            return {peer: partial(self._uploaded, peer, endpoint) for peer in peers}
        # It has no options for reading.
        return {
            peer: partial(self._downloaded, peer, endpoint) for peer in peers if peer != "obstore, like ours"
        }

    def _uploaded(self, peer: str, endpoint: str) -> Figures:
        bucket = self._made(0)
        figures = self._run("upload", peer, endpoint, bucket)
        if peer not in self._checked:
            if self._asked("check", bucket=bucket) != self._digest:
                sys.exit(f"{peer} uploaded something else")
            self._checked.add(peer)
        self._asked("remove", bucket=bucket)
        return figures

    def _downloaded(self, peer: str, endpoint: str) -> Figures:
        return self._run("download", peer, endpoint, self._stored)

    def _run(self, direction: str, peer: str, endpoint: str, bucket: str) -> Figures:
        os.sync()  # what others left for the disk to write
        told = self._asked(direction, peer, bucket=bucket, endpoint=endpoint, size=self._size)
        return Figures(told["wall"], told["cpu"], told["peak"])

    def _made(self, size: int) -> str:
        bucket = f"bench-{uuid.uuid4().hex[:12]}"
        self._asked("make", bucket=bucket, size=size)
        return bucket

    def _asked(
        self, what: str, peer: str = "-", *, bucket: str, endpoint: str | None = None, size: int = 0
    ) -> Any:
        environment = {
            "S3_ENDPOINT": endpoint or self._server.endpoint,
            "S3_BUCKET": bucket,
            "S3_KEY": "admin",
            "S3_SECRET": SECRET,
            "S3_SHA256": self._digest,
            "OURS": self._options,
            **({"S3_AUTHORITY": str(self._server.certificate.certificate)} if self._tls else {}),
        }
        command = [sys.executable, str(HERE / "transfers.py"), what, peer, str(size)]
        done = subprocess.run(
            command, env={**os.environ, **environment}, stdout=subprocess.PIPE, check=False, text=True
        )
        if done.returncode:
            sys.exit(f"{what} by {peer} failed with {done.returncode}")
        return json.loads(done.stdout)


def show(heading: str, runs: Mapping[str, Sequence[Figures]]) -> None:
    print(
        f"{heading:20} {'seconds':^23} {'cpu s':^23} {'MiB above base':^23} {'times as long as the best':^23}"
    )
    best = min(runs, key=lambda name: statistics.median(one.wall for one in runs[name]))
    for name, figures in runs.items():
        columns = ([one.wall for one in figures], [one.cpu for one in figures], [one.peak for one in figures])
        ratio = spread([one.wall / other.wall for one, other in zip(figures, runs[best], strict=False)])
        print(f"{name:20} {' '.join(map(spread, columns))} {ratio}")
    print(flush=True)


if __name__ == "__main__":
    main()
