"""Encrypted archives of the same trees by backupkit and by `7zz a -tzip -mx=1 -mem=AES256`, in turn.

    python benchmarks/zip_archive.py [--quick] [--rounds N]

Both run as whole processes, one after the other, round after round, on trees that were just written. Printed
are each program's figures and the ratios of each round's pair as minimum, median and maximum: on a machine that
others use too only the ratios say something. Both archives are tested by 7zz before any figure is printed.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

PASSPHRASE = "a throw-away passphrase of a benchmark"

OURS = """
import sys
from backupkit import BackupPipeline, Directory, Passphrase
from backupkit.compression import compressor_named
BackupPipeline(
    "bench", Directory(sys.argv[1]), sys.argv[2],
    encryptor=Passphrase(sys.argv[3]), compressor=compressor_named(sys.argv[4]),
).run()
"""


@dataclass(frozen=True)
class Figures:
    """One run of one program."""

    wall: float
    cpu: float
    peak: float  # MiB
    size: int


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the data, two rounds")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    seven_zip = shutil.which("7zz")
    if seven_zip is None:
        sys.exit("This benchmark needs 7zz: apt-get install 7zip")
    scale, rounds = (0.1, 2) if arguments.quick else (1.0, arguments.rounds)
    with tempfile.TemporaryDirectory(prefix="backupkit-bench-") as folder:
        root = Path(folder)
        print(f"{os.cpu_count()} processors, Python {sys.version.split()[0]}, {rounds} rounds\n")
        for title, make in TREES.items():
            tree = root / title.split()[0]
            # Made in another process: a child's peak memory counts what its parent held when it was forked.
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as maker:
                files, size = maker.submit(make, tree, scale).result()
            print(f"## {title}: {files} files, {size / 1e6:.0f} MB\n")
            compare(tree, root, seven_zip, rounds)
            shutil.rmtree(tree)


def compare(tree: Path, root: Path, seven_zip: str, rounds: int) -> None:
    programs: dict[str, Callable[[], Figures]] = {
        "7zz -mx=1": lambda: run_seven_zip(tree, root, seven_zip),
        "backupkit, deflate": lambda: run_ours(tree, root, seven_zip, "deflate"),
        "backupkit, zstd": lambda: run_ours(tree, root, seven_zip, "zstd"),
    }
    figures: dict[str, list[Figures]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, run in programs.items():
            figures[name].append(run())
    print(f"{'':20} {'wall s':>22} {'cpu s':>22} {'peak MiB':>22} {'size MB':>9}")
    for name, runs in figures.items():
        print(
            f"{name:20} {spread([f.wall for f in runs])} {spread([f.cpu for f in runs])} "
            f"{spread([f.peak for f in runs])} {runs[0].size / 1e6:9.1f}"
        )
    peers = figures["7zz -mx=1"]
    for name, runs in figures.items():
        if runs is not peers:
            faster = [peer.wall / own.wall for peer, own in zip(peers, runs, strict=True)]
            leaner = [peer.cpu / own.cpu for peer, own in zip(peers, runs, strict=True)]
            ratio = f"7zz / {name.split()[-1]}"
            size = peers[0].size / runs[0].size
            print(f"{ratio:20} {spread(faster)} {spread(leaner)} {'':22} {size:9.2f}")
    print()


def run_seven_zip(tree: Path, root: Path, seven_zip: str) -> Figures:
    archive = root / "peer.zip"
    archive.unlink(missing_ok=True)
    options = ["-tzip", "-mx=1", "-mem=AES256", f"-p{PASSPHRASE}", "-bso0", "-bsp0"]
    return timed([seven_zip, "a", *options, str(archive), str(tree)], archive, seven_zip)


def run_ours(tree: Path, root: Path, seven_zip: str, compressor: str) -> Figures:
    destination = root / "ours"
    shutil.rmtree(destination, ignore_errors=True)
    destination.mkdir()
    command = [sys.executable, "-c", OURS, str(tree), str(destination), PASSPHRASE, compressor]
    return timed(command, destination, seven_zip)


def timed(command: Sequence[str], result: Path, seven_zip: str) -> Figures:
    start = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command[0]} failed with {process.returncode}")
    archive = result if result.is_file() else next(result.rglob("*.zip"))
    subprocess.run([seven_zip, "t", f"-p{PASSPHRASE}", "-bso0", "-bsp0", str(archive)], check=True)
    return Figures(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, archive.stat().st_size)


def spread(values: Sequence[float]) -> str:
    return f"{min(values):6.2f} {statistics.median(values):7.2f} {max(values):7.2f}"


def large_files(root: Path, scale: float) -> tuple[int, int]:
    """Text, logs and tables, and a third of what does not shrink, in files of 2 to 40 MB."""
    source = random.Random(1)
    words = vocabulary(source)
    count = total = 0
    root.mkdir()
    while total < 550e6 * scale:
        size = source.randrange(2_000_000, 40_000_000)
        kind = count % 3
        content = source.randbytes(size) if kind == 0 else text(source, words, size, rows=kind == 1)
        (root / f"file-{count:04}").write_bytes(content)
        total += len(content)
        count += 1
    return count, total


def small_files(root: Path, scale: float) -> tuple[int, int]:
    """A source tree's worth of files of 200 bytes to 16 KB, 200 to a folder."""
    source = random.Random(2)
    words = vocabulary(source)
    count = total = 0
    for number in range(int(40_000 * scale)):
        folder = root / f"folder-{number // 200:03}"
        folder.mkdir(parents=True, exist_ok=True)
        content = text(source, words, int(200 * 80 ** source.random()), rows=False)
        (folder / f"file-{number:05}.txt").write_bytes(content)
        total += len(content)
        count += 1
    return count, total


def vocabulary(source: random.Random) -> list[bytes]:
    letters = b"etaoinshrdlucmfwypvbgkjqxz"
    return [bytes(source.choices(letters, k=source.randrange(2, 11))) for _ in range(6000)]


def text(source: random.Random, words: Sequence[bytes], size: int, *, rows: bool) -> bytes:
    parts: list[bytes] = []
    held = 0
    block = [words[int(len(words) * source.random() ** 3)] for _ in range(min(size // 4 + 1, 40_000))]
    while held < size:
        source.shuffle(block)
        end = b",%d\n" % source.randrange(10**9) if rows else b".\n"
        part = end.join(b" ".join(block[at : at + 9]) for at in range(0, len(block), 9))
        parts.append(part)
        held += len(part)
    return b"".join(parts)[:size]


TREES: dict[str, Callable[[Path, float], tuple[int, int]]] = {
    "large files": large_files,
    "small files": small_files,
}

if __name__ == "__main__":
    main()
