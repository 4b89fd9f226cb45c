"""Snapshots by backupkit, by restic and by borg, in turn, of the same trees.

    python benchmarks/snapshots.py [--quick] [--rounds N] [--trees small large dump] [--restic PROGRAM …]

In each round every program makes a repository anew (the peers before the clock runs, we in our first run), and then
a first snapshot of a tree, one of the tree unchanged, and one after a hundredth of it has changed; it compares the
first two, and the last two, restores the last one, and reads all data of the repository to verify it. All run as
whole processes, start-up and key derivation included, one after the other, on trees that are in memory: each is
read before each program, because borg has the system forget what it has read. What waits for the disk is written
before each. restic and borg run with their defaults (zstd, and lz4), borg with `repokey-blake2`. Printed are
minimum, median and maximum of each figure, and of the ratios of each round's pair: on a machine that others use too
only the ratios say something.

`--folder /dev/shm` leaves the disk out of it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from programs import PASSPHRASE, Figures, Run, apart, show_figures, show_ratios, timed, warm
from snapshot_trees import TREES, Change
from trees import Tree

OPERATIONS = {
    "first": "the first snapshot, into an empty repository",
    "unchanged": "a second one, of which nothing has changed",
    "changed": "a third one, of which a hundredth has changed",
    "same": "what differs between the first two, of which nothing does",
    "diff": "what differs between the second and the third",
    "restore": "the third one into an empty folder",
    "verify": "all data of the repository: restic check --read-data, borg check --verify-data",
}

_OURS = """
import sys
from backupkit import BackupPipeline, Directory, Passphrase, Restic

operation, repository, folder = sys.argv[1:]
pipeline = BackupPipeline(
    "bench", [Directory(folder)], [repository], encryptor=Passphrase.from_env("BENCH_PASSPHRASE"), format=Restic(),
)
match operation:
    case "run":
        pipeline.run()
    case "restore":
        pipeline.restore("latest", to=folder)
    case "verify":
        pipeline.verify()
    case "same" | "diff":
        third, second, first = pipeline.list().backups
        for _ in pipeline.diff(*((first, second) if operation == "same" else (second, third))):
            pass
"""


class Program(Protocol):
    """One that is compared. All that it keeps is below its folder, which is empty at first."""

    @property
    def name(self) -> str: ...
    def make(self, folder: Path) -> None: ...
    def snapshot(self, folder: Path, tree: Path) -> Figures: ...
    def restore(self, folder: Path, to: Path) -> Figures:
        """The newest snapshot, to an empty folder, which then holds the tree at any depth."""

    def verify(self, folder: Path, tree: Path) -> Figures: ...
    def compare(self, folder: Path, tree: Path, operation: str) -> Figures:
        """Two of three snapshots: the first two for "same", the last two for "diff"."""


@dataclass(frozen=True)
class Restic:
    program: str
    name: str

    def make(self, folder: Path) -> None:
        subprocess.run([self.program, "init", "-q"], check=True, env={**os.environ, **self._settings(folder)})

    def snapshot(self, folder: Path, tree: Path) -> Figures:
        return self._timed(folder, "backup", str(tree))

    def restore(self, folder: Path, to: Path) -> Figures:
        return self._timed(folder, "restore", "latest", "--target", str(to))

    def verify(self, folder: Path, tree: Path) -> Figures:
        return self._timed(folder, "check", "--read-data")

    def compare(self, folder: Path, tree: Path, operation: str) -> Figures:
        made = sorted(
            (folder / "repository" / "snapshots").iterdir(), key=lambda path: path.stat().st_mtime_ns
        )
        first, second, third = (path.name for path in made)
        return self._timed(folder, "diff", *((first, second) if operation == "same" else (second, third)))

    def _timed(self, folder: Path, *arguments: str) -> Figures:
        return timed([self.program, "-q", *arguments], **self._settings(folder))

    def _settings(self, folder: Path) -> Mapping[str, str]:
        return {
            "RESTIC_REPOSITORY": str(folder / "repository"),
            "RESTIC_PASSWORD": PASSPHRASE,
            "RESTIC_CACHE_DIR": str(folder / "cache"),
        }


@dataclass(frozen=True)
class Borg:
    program: str
    name: str = "borg"

    def make(self, folder: Path) -> None:
        command = [self.program, "init", "-e", "repokey-blake2"]
        subprocess.run(command, check=True, env={**os.environ, **self._settings(folder)}, capture_output=True)

    def snapshot(self, folder: Path, tree: Path) -> Figures:
        number = len(list(folder.glob("snapshot-*")))
        (folder / f"snapshot-{number}").touch()  # one name is as good as another, but each can be given once
        return self._timed(folder, "create", f"::snapshot-{number}", str(tree))

    def restore(self, folder: Path, to: Path) -> Figures:
        number = len(list(folder.glob("snapshot-*"))) - 1
        to.mkdir()
        script = 'cd "$1" && exec "$2" extract "$3"'  # it extracts into the folder in which it runs
        command = ["sh", "-c", script, "sh", str(to), self.program, f"::snapshot-{number}"]
        return timed(command, **self._settings(folder))

    def verify(self, folder: Path, tree: Path) -> Figures:
        return self._timed(folder, "check", "--verify-data")

    def compare(self, folder: Path, tree: Path, operation: str) -> Figures:
        first = 0 if operation == "same" else 1
        return self._timed(folder, "diff", f"::snapshot-{first}", f"snapshot-{first + 1}")

    def _timed(self, folder: Path, *arguments: str) -> Figures:
        return timed([self.program, *arguments], **self._settings(folder))

    def _settings(self, folder: Path) -> Mapping[str, str]:
        return {
            "BORG_REPO": str(folder / "repository"),
            "BORG_PASSPHRASE": PASSPHRASE,
            "BORG_BASE_DIR": str(folder / "cache"),
        }


@dataclass(frozen=True)
class Ours:
    """This library, as a program of a few lines uses it."""

    name: str = "backupkit"

    def make(self, folder: Path) -> None:
        """Make a folder only: the repository is made by the first run, which pays for it."""
        (folder / "repository").mkdir()

    def snapshot(self, folder: Path, tree: Path) -> Figures:
        return self._timed("run", folder, tree)

    def restore(self, folder: Path, to: Path) -> Figures:
        return self._timed("restore", folder, to)

    def verify(self, folder: Path, tree: Path) -> Figures:
        return self._timed("verify", folder, tree)

    def compare(self, folder: Path, tree: Path, operation: str) -> Figures:
        return self._timed(operation, folder, tree)

    def _timed(self, operation: str, folder: Path, of: Path) -> Figures:
        command = [sys.executable, "-c", _OURS, operation, str(folder / "repository"), str(of)]
        places = {"XDG_CACHE_HOME": str(folder / "cache"), "XDG_STATE_HOME": str(folder / "state")}
        return timed(command, BENCH_PASSPHRASE=PASSPHRASE, **places)


def main() -> None:
    arguments = parsed()
    scale, rounds = (0.1, min(arguments.rounds, 1)) if arguments.quick else (1.0, arguments.rounds)
    programs = found(arguments.restic)
    print(
        f"{len(os.sched_getaffinity(0))} processors, Python {sys.version.split()[0]}, {rounds} rounds",
        end="; ",
    )
    print("; ".join(program.name for program in programs), end="\n\n")
    with tempfile.TemporaryDirectory(prefix="backupkit-bench-", dir=arguments.folder) as name:
        for tree in arguments.trees:
            title, make, change = TREES[tree]
            folder = Path(name, tree)
            folder.mkdir()
            made = apart(make, folder / "tree", scale)
            print(f"## {title}: {made.files} files, {made.size / 1e6:.0f} MB\n", flush=True)
            case = Case(folder, programs, change)
            show(case.measured(rounds), programs)
            shutil.rmtree(folder)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the data, one round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trees", nargs="+", choices=TREES, default=[*TREES])
    parser.add_argument(
        "--restic", nargs="+", default=["restic"], metavar="PROGRAM", help="one or several versions of it"
    )
    parser.add_argument("--folder", type=Path, help="where trees and repositories are for the while")
    return parser.parse_args()


def found(restics: list[str]) -> list[Program]:
    """All programs that are compared."""
    missing = [program for program in (*restics, "borg") if shutil.which(program) is None]
    if missing:
        sys.exit(f"This benchmark needs {', '.join(missing)}: apt-get install restic borgbackup")
    programs: list[Program] = []
    for program in restics:
        said = subprocess.run([program, "version"], check=True, capture_output=True, text=True).stdout
        programs.append(Restic(program, " ".join(said.split()[:2])))
    return [*programs, Borg("borg"), Ours()]


@dataclass(frozen=True)
class Case:
    """One tree, and the repository of each program beside it."""

    folder: Path
    programs: list[Program]
    change: Change

    @property
    def tree(self) -> Path:
        return self.folder / "tree"

    def measured(self, rounds: int) -> dict[str, dict[str, list[Figures]]]:
        """The figures of each program in each operation; each round begins with the tree that the last one left."""
        figures: dict[str, dict[str, list[Figures]]] = {
            operation: {program.name: [] for program in self.programs} for operation in OPERATIONS
        }
        for number in range(rounds):
            first = number % len(self.programs)
            in_turn = self.programs[first:] + self.programs[:first]
            for program in in_turn:
                place = self.place(program)
                shutil.rmtree(place, ignore_errors=True)
                place.mkdir()
                program.make(place)
            for operation in OPERATIONS:
                if operation == "changed":
                    apart(self.change, self.tree, number)
                for program in in_turn:
                    apart(warm, self.tree)
                    figures[operation][program.name].append(self.run(operation, program, number)())
        return figures

    def place(self, program: Program) -> Path:
        return self.folder / program.name.replace(" ", "-")

    def run(self, operation: str, program: Program, number: int) -> Run:
        match operation:
            case "restore":
                return partial(self.restored, program, number)
            case "verify":
                return partial(program.verify, self.place(program), self.tree)
            case "same" | "diff":
                return partial(program.compare, self.place(program), self.tree, operation)
            case _:
                return partial(self.taken, program)

    def taken(self, program: Program) -> Figures:
        place = self.place(program)
        figures = program.snapshot(place, self.tree)
        return replace(figures, size=apart(measured, place / "repository").size)

    def restored(self, program: Program, number: int) -> Figures:
        """Restore to a new folder, which stays: ext4 makes files slowly where many were removed a moment ago."""
        target = self.folder / f"{self.place(program).name}-restored-{number}"
        figures = program.restore(self.place(program), target)
        if apart(measured, target) != apart(measured, self.tree):
            sys.exit(f"Not everything was restored by {program.name}.")
        return figures


def measured(folder: Path) -> Tree:
    sizes = [path.lstat().st_size for path in folder.rglob("*") if path.is_file()]
    return Tree(len(sizes), sum(sizes))


def show(figures: Mapping[str, dict[str, list[Figures]]], programs: list[Program]) -> None:
    own = Ours().name
    for operation, title in OPERATIONS.items():
        print(f"{operation}\n{title}\n")
        show_figures(figures[operation])
        pairs = [(program.name, own) for program in programs if program.name != own]
        show_ratios(figures[operation], pairs)


if __name__ == "__main__":
    main()
