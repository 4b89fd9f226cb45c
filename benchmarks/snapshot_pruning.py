"""Pruning beside restic's, of copies of one repository: most of its packs are of use in part, others are of none.

Of a tree, of the tree with a fifth more in it, and of the tree without that but changed ten times over, there is a
snapshot each, and the first two are forgotten. Each program prunes a copy, in turn; once with its defaults, by
which a twentieth may stay that is of no use, and once so that nothing does. What all of them leave is compared.

Of a dump of 120 MB so little has to be pruned that all take as long as it takes to start, to derive the key and to
wait for the lock: here it is four times as large.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from programs import PASSPHRASE, Figures, apart, show_figures, show_ratios, timed, warm
from snapshot_trees import TREES

_CHANGES = 10
_FURTHER = 100_000  # bytes of each of the files of the fifth
_ALIKE = 1.02  # times as large may a repository be afterwards: programs fill their last packs differently
_LARGER = {"dump": 4}
_OWN = "backupkit"

PRUNES = {
    "prune": ("two of three snapshots were forgotten; a twentieth may stay that is of no use", ()),
    "prune all": ("the same, and nothing stays that is of no use", ("--max-unused", "0")),
}


@dataclass(frozen=True)
class Pruning:
    """One kind of tree, in a folder of its own. `restics` are programs, by their names."""

    folder: Path
    kind: str
    scale: float
    restics: dict[str, str]

    def measured(self, rounds: int) -> dict[str, dict[str, list[Figures]]]:
        self._make()
        names = [*self.restics, _OWN]
        figures: dict[str, dict[str, list[Figures]]] = {
            operation: {name: [] for name in names} for operation in PRUNES
        }
        for number in range(rounds):
            first = number % len(names)
            for operation, (_, options) in PRUNES.items():
                for name in names[first:] + names[:first]:
                    figures[operation][name].append(self._pruned(name, options))
        for operation, programs in figures.items():
            sizes = {name: ran[-1].size for name, ran in programs.items()}
            if max(sizes.values()) > _ALIKE * min(sizes.values()):
                sys.exit(f"Not the same was left by each {operation}: {sizes}")
        return figures

    @property
    def _tree(self) -> Path:
        return self.folder / "tree"

    @property
    def _original(self) -> Path:
        return self.folder / "original"

    def _make(self) -> None:
        """Make the repository that is copied for each program, by the first restic."""
        _, make, change = TREES[self.kind]
        self.folder.mkdir()
        apart(make, self._tree, self.scale * _LARGER.get(self.kind, 1))
        program = next(iter(self.restics.values()))

        def restic(*arguments: str) -> str:
            settings = {**os.environ, **_restic_settings(self.folder, self._original)}
            command = [program, "-q", *arguments]
            return subprocess.run(command, check=True, env=settings, stdout=subprocess.PIPE, text=True).stdout

        restic("init")
        restic("backup", "--tag", "old", str(self._tree))
        apart(add_further, self._tree)
        restic("backup", "--tag", "old", str(self._tree))
        shutil.rmtree(self._tree / "further")
        for number in range(_CHANGES):
            apart(change, self._tree, number)
        restic("backup", str(self._tree))
        restic("forget", *(one["id"] for one in json.loads(restic("snapshots", "--tag", "old", "--json"))))

    def _pruned(self, name: str, options: Sequence[str]) -> Figures:
        place = self.folder / "pruned"
        shutil.copytree(self._original, place / "repository")
        apart(warm, place / "repository")
        if name == _OWN:
            command = [sys.executable, "-m", "backupkit", "prune", str(place / "repository"), *options]
            figures = timed(
                [*command, "--passphrase-env", "BENCH_PASSPHRASE"],
                BENCH_PASSPHRASE=PASSPHRASE,
                XDG_CACHE_HOME=str(place / "cache"),
                XDG_STATE_HOME=str(place / "state"),
            )
        else:
            settings = _restic_settings(place, place / "repository")
            figures = timed([self.restics[name], "-q", "prune", *options], **settings)
        size = sum(file.stat().st_size for file in (place / "repository").rglob("*") if file.is_file())
        shutil.rmtree(place)
        return replace(figures, size=size)


def add_further(tree: Path) -> None:
    """A fifth as much again, of random bytes, in a folder."""
    total = sum(file.stat().st_size for file in tree.rglob("*") if file.is_file())
    chance = random.Random(6)
    (tree / "further").mkdir()
    for number in range(total // 5 // _FURTHER):
        (tree / "further" / f"{number:05}").write_bytes(chance.randbytes(_FURTHER))


def show(figures: dict[str, dict[str, list[Figures]]]) -> None:
    for operation, (title, _) in PRUNES.items():
        print(f"{operation}\n{title}\n")
        show_figures(figures[operation])
        show_ratios(figures[operation], [(name, _OWN) for name in figures[operation] if name != _OWN])


def _restic_settings(folder: Path, repository: Path) -> dict[str, str]:
    return {
        "RESTIC_REPOSITORY": str(repository),
        "RESTIC_PASSWORD": PASSPHRASE,
        "RESTIC_CACHE_DIR": str(folder / "cache"),
    }
