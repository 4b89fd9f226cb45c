"""Encrypted ZIP archives by backupkit, by 7-Zip and by PHP's ZipArchive, in turn, on the same trees.

    python benchmarks/zip_archive.py [--quick] [--only write|verify|restore|memory|primitives] …

The peers are `7zz a -tzip -mx=1 -mem=AES256`, `7zz t` and `7zz x`, and ZipArchive as laravel-backup uses it.
All run as whole processes, start-up included, one after the other and in each round in another order, on trees and
archives that are in memory; what waits for the disk is written before each. Ours flushes its archive to the disk,
the peers do not. Printed are minimum, median and maximum of each figure, and of the ratios of each round's
pair: on a machine that others use too only the ratios say something. 7zz has tested every archive first.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import memory
import primitives
from programs import (
    Figures,
    Ours,
    Run,
    SevenZip,
    ZipArchive,
    apart,
    archive_in,
    find_seven_zip,
    find_zip_archive,
    show_figures,
    show_ratios,
    taken_in_turn,
    warm,
)
from trees import TREES, Tree

OPERATIONS = ("write", "verify", "restore")
PARTS = (*OPERATIONS, "primitives", "memory")
COMPRESSORS = ("deflate", "zstd")


def main() -> None:
    arguments = parsed()
    scale, rounds = (0.1, min(arguments.rounds, 2)) if arguments.quick else (1.0, arguments.rounds)
    parts = arguments.only or PARTS
    seven_zip = find_seven_zip()
    php = None if arguments.without_php or "write" not in parts else find_zip_archive()
    with tempfile.TemporaryDirectory(prefix="backupkit-bench-", dir=arguments.folder) as name:
        folder = Path(name)
        print(f"{primitives.processors()} processors, Python {sys.version.split()[0]}, {rounds} rounds\n")
        for title, make in TREES.items():
            if set(parts) == {"memory"} or arguments.tree not in (None, title.split()[0]):
                continue
            made = apart(make, folder / "tree", scale)
            print(f"## {title}: {made.files} files, {made.size / 1e6:.0f} MB\n", flush=True)
            case = Case(folder, made, seven_zip, php)
            compare(case, parts, rounds, arguments.php_rounds)
            for left in folder.iterdir():
                shutil.rmtree(left) if left.is_dir() else left.unlink()
        if "memory" in parts:
            memory.measure(folder, 1 / 16 if arguments.quick else 1, stored=arguments.stored)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the data, two rounds")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", action="append", choices=PARTS, help="one part; may be given several times")
    parser.add_argument("--tree", choices=[title.split()[0] for title in TREES], help="one of the two trees")
    parser.add_argument(
        "--php-rounds", type=int, default=1, help="how many rounds PHP, which is slow, runs in"
    )
    parser.add_argument("--without-php", action="store_true")
    parser.add_argument(
        "--stored",
        type=float,
        metavar="GB",
        help="memory: write, verify and restore that much on the disk, too",
    )
    parser.add_argument("--folder", type=Path, help="where trees and archives are for the while")
    return parser.parse_args()


@dataclass(frozen=True)
class Case:
    """One tree, and where each program's archive of it is. The same names stand in all tables."""

    folder: Path
    made: Tree
    seven_zip: SevenZip
    php: ZipArchive | None

    @property
    def tree(self) -> Path:
        return self.folder / "tree"

    def archive(self, name: str) -> Path:
        """What this program writes: a file, or the folder that is our destination."""
        return self.folder / f"{name}.zip"

    def runs(self, operation: str) -> dict[str, Run]:
        match operation:
            case "write":
                return self.writing()
            case "verify":
                return self.verifying()
            case _:
                return self.restoring()

    def writing(self) -> dict[str, Run]:
        runs: dict[str, Run] = {"7zz": partial(self.seven_zip.write, self.tree, self.archive("7zz"))}
        for one in COMPRESSORS:
            runs[one] = partial(Ours().write, self.tree, self.archive(one), one)
        if self.php is not None:
            runs["php"] = partial(self.php.write, self.tree, self.archive("php"))
        return runs

    def verifying(self) -> dict[str, Run]:
        runs: dict[str, Run] = {"7zz": partial(self.tested, "7zz")}
        for one in COMPRESSORS:
            runs[one] = partial(self.verified, one)
            runs[f"7zz on {one}"] = partial(self.tested, one)
        return runs

    def restoring(self) -> dict[str, Run]:
        runs: dict[str, Run] = {"7zz": partial(self.restored, "7zz", self.extract)}
        for one in COMPRESSORS:
            runs[one] = partial(self.restored, one, Ours().restore)
            runs[f"7zz on {one}"] = partial(self.restored, one, self.extract)
        return runs

    def tested(self, name: str) -> Figures:
        return self.seven_zip.test(archive_in(warm(self.archive(name))))

    def verified(self, name: str) -> Figures:
        return Ours().verify(warm(self.archive(name)))

    def extract(self, archive: Path, to: Path) -> Figures:
        return self.seven_zip.extract(archive_in(archive), to)

    def restored(self, name: str, restore: Callable[[Path, Path], Figures]) -> Figures:
        target = self.folder / "restored"
        figures = restore(warm(self.archive(name)), target)
        # Beside the tree 7zz puts our manifest, which is an entry to it.
        sizes = [path.stat().st_size for path in (target / self.tree.name).rglob("*") if path.is_file()]
        if (len(sizes), sum(sizes)) != (self.made.files, self.made.size):
            sys.exit(f"Not everything was restored from the archive by {name}.")
        shutil.rmtree(target)
        return figures


def compare(case: Case, parts: Sequence[str], rounds: int, php_rounds: int) -> None:
    """Run, check and print the parts asked for."""
    warm(case.tree)
    taken: dict[tuple[str, str], tuple[float, float]] = {}  # wall and cpu
    for operation in OPERATIONS:
        if operation not in parts:
            continue
        for name, write in case.writing().items():
            if operation != "write" and name != "php" and not case.archive(name).exists():
                write()
        runs = taken_in_turn(case.runs(operation), rounds, fewer={"php": php_rounds})
        if operation == "write":
            for name in runs:
                case.tested(name)
        print(f"{operation}\n{TITLES[operation]}\n")
        show_figures(runs)
        pairs = [(peer, one) for one in COMPRESSORS for peer in ("7zz", f"7zz on {one}", "php")]
        show_ratios(runs, [pair for pair in pairs if pair[0] in runs])
        for one in COMPRESSORS:
            wall = statistics.median(figures.wall for figures in runs[one])
            taken[operation, one] = wall, statistics.median(figures.cpu for figures in runs[one])
    if "primitives" in parts:
        for operation in OPERATIONS:
            for one in COMPRESSORS:
                if (operation, one) not in taken:
                    figures = case.runs(operation)[one]()
                    taken[operation, one] = figures.wall, figures.cpu
        apart(primitives.measure, case.tree, case.made, case.folder, taken)


TITLES = {
    "write": "7zz a -mx=1; backupkit with deflate and with zstd; php: ZipArchive, deflate 9, encrypted afterwards",
    "verify": "7zz t and backupkit's verify, each on its own archive; 7zz on ours",
    "restore": "7zz x and backupkit's restore, each from its own archive; 7zz from ours",
}


if __name__ == "__main__":
    main()
