"""The programs that are compared, each started as a whole process, and the tables they end in."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import ParamSpec, TypeAlias, TypeVar

from process_tree import watched

P = ParamSpec("P")
T = TypeVar("T")

PASSPHRASE = "a throw-away passphrase of a benchmark"
MiB = 1 << 20

_WRITE = """
import sys
from backupkit import BackupPipeline, Directory, Passphrase
BackupPipeline(
    "bench", Directory(sys.argv[1]), sys.argv[2], encryptor=Passphrase(sys.argv[3]), compressor=sys.argv[4],
).run()
"""
_VERIFY = """
import sys
from backupkit import Passphrase, open_repository
open_repository(sys.argv[1], Passphrase(sys.argv[2])).verify()
"""
_RESTORE = """
import sys
from backupkit import Passphrase, open_repository
open_repository(sys.argv[1], Passphrase(sys.argv[2])).restore(to=sys.argv[3])
"""


@dataclass(frozen=True)
class Figures:
    """One run of one program, from its start to its end as a process."""

    wall: float
    cpu: float
    peak: float  # MiB, of all its processes together
    size: int = 0  # of what it wrote


Run: TypeAlias = Callable[[], Figures]


def timed(command: Sequence[str], **environment: str) -> Figures:
    """Run a program that must succeed. What others left for the disk to write is written before."""
    os.sync()
    start = time.perf_counter()
    process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    with watched(process.pid) as together:
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command[0]} failed with {process.returncode}")
    return Figures(wall, usage.ru_utime + usage.ru_stime, max(usage.ru_maxrss * 1024, together.bytes) / MiB)


@dataclass(frozen=True)
class SevenZip:
    """7-Zip at its fastest level that compresses."""

    program: str

    def write(self, tree: Path, archive: Path) -> Figures:
        archive.unlink(missing_ok=True)
        figures = timed([*self._command("a"), "-tzip", "-mx=1", "-mem=AES256", str(archive), str(tree)])
        return replace(figures, size=archive.stat().st_size)

    def test(self, archive: Path) -> Figures:
        return timed([*self._command("t"), str(archive)])

    def extract(self, archive: Path, to: Path) -> Figures:
        return timed([*self._command("x"), f"-o{to}", str(archive)])

    def _command(self, verb: str) -> list[str]:
        return [self.program, verb, f"-p{PASSPHRASE}", "-bso0", "-bsp0"]


@dataclass(frozen=True)
class ZipArchive:
    """PHP's ZipArchive, used as laravel-backup uses it."""

    program: str

    def write(self, tree: Path, archive: Path) -> Figures:
        archive.unlink(missing_ok=True)
        script = Path(__file__).with_name("ziparchive.php")
        command = [self.program, "-d", "memory_limit=-1", str(script), str(tree), str(archive)]
        figures = timed(command, ZIP_PASSPHRASE=PASSPHRASE)
        return replace(figures, size=archive.stat().st_size)


@dataclass(frozen=True)
class Ours:
    """This library, as a program of a few lines uses it."""

    def write(self, tree: Path, folder: Path, compressor: str) -> Figures:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        figures = timed([sys.executable, "-c", _WRITE, str(tree), str(folder), PASSPHRASE, compressor])
        return replace(figures, size=archive_in(folder).stat().st_size)

    def verify(self, folder: Path) -> Figures:
        return timed([sys.executable, "-c", _VERIFY, str(folder), PASSPHRASE])

    def restore(self, folder: Path, to: Path) -> Figures:
        return timed([sys.executable, "-c", _RESTORE, str(folder), PASSPHRASE, str(to)])


def find_seven_zip() -> SevenZip:
    program = shutil.which("7zz")
    if program is None:
        sys.exit("This benchmark needs 7zz: apt-get install 7zip")
    return SevenZip(program)


def find_zip_archive() -> ZipArchive | None:
    """PHP if it can do this; otherwise None, and how to get it is printed."""
    program = shutil.which("php")
    able = "exit(ZipArchive::isEncryptionMethodSupported(ZipArchive::EM_AES_256) ? 0 : 1);"
    if program is None or subprocess.run([program, "-r", able], capture_output=True).returncode:
        print("Without PHP, whose ZipArchive is not there: apt-get install php-cli php-zip\n")
        return None
    return ZipArchive(program)


def archive_in(path: Path) -> Path:
    return path if path.is_file() else next(path.rglob("*.zip"))


def taken_in_turn(runs: Mapping[str, Run], rounds: int, fewer: Mapping[str, int]) -> dict[str, list[Figures]]:
    """Run all of them round after round, each round in another order."""
    figures: dict[str, list[Figures]] = {name: [] for name in runs}
    names = list(runs)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            if number < fewer.get(name, rounds):
                figures[name].append(runs[name]())
    return {name: ran for name, ran in figures.items() if ran}


def show_figures(runs: dict[str, list[Figures]]) -> None:
    sized = any(one.size for figures in runs.values() for one in figures)
    heading = f"{'':20} {'wall s':^23} {'cpu s':^23} {'peak MiB':^23}"
    print((heading + sized * f" {'size MB':>9}").rstrip())
    for name, figures in runs.items():
        columns = ([one.wall for one in figures], [one.cpu for one in figures], [one.peak for one in figures])
        size = sized * f" {figures[0].size / 1e6:9.1f}"
        print(f"{name:20} {' '.join(map(spread, columns))}{size}")


def show_ratios(runs: dict[str, list[Figures]], pairs: Sequence[tuple[str, str]]) -> None:
    """How the second of each pair compares with the first, in the rounds in which both ran."""
    sized = any(one.size for figures in runs.values() for one in figures)
    heading = f"{'':33} {'times as fast':^23} {'times less cpu':^23}"
    print("\n" + (heading + sized * f" {'its size':>9}").rstrip())
    for peer, own in pairs:
        both = list(zip(runs[peer], runs[own], strict=False))  # the peer may have run in the first ones only
        wall = spread([theirs.wall / ours.wall for theirs, ours in both])
        cpu = spread([theirs.cpu / ours.cpu for theirs, ours in both])
        size = sized and f" {both[0][1].size / max(both[0][0].size, 1):9.3f}"
        print(f"{own + ' against ' + peer:33} {wall} {cpu}{size or ''}")
    print(flush=True)


def spread(values: Sequence[float]) -> str:
    """Minimum, median, maximum."""
    return f"{min(values):7.2f} {statistics.median(values):7.2f} {max(values):7.2f}"


def warm(path: Path) -> Path:
    """Read everything once, so that nobody waits for the disk in another one's place."""
    for file in [path] if path.is_file() else sorted(path.rglob("*")):
        if file.is_file():
            with file.open("rb") as opened:
                while opened.read(1 << 20):
                    pass
    return path


def apart(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call in another process: a program's peak counts what the process that started it held."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
        return other.submit(function, *args, **kwargs).result()
