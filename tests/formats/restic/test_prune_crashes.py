"""Whatever goes wrong at whichever call of a prune: snapshots restore, stock restic finds nothing but what is of no
use, and the next prune finishes the job."""

from __future__ import annotations

import os
import shutil
from collections.abc import Hashable, Iterator
from pathlib import Path
from random import Random

import pytest

from backupkit.destinations.local import LocalDestination
from backupkit.formats.restic import locks, packing
from backupkit.model import Pruned
from backupkit.testing.destinations import Method
from tests.formats.restic import killing
from tests.formats.restic.killing import END, Case
from tests.formats.restic.test_crashes import Try, checked, content, filled, kills, objects
from tests.restics import Client

__all__ = ["checked", "kills"]
EACH = bool(os.environ.get("BACKUPKIT_TESTS_RESTIC"))


@pytest.fixture(autouse=True)
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "PACK_SIZE", 300_000)
    monkeypatch.setattr(locks, "_SETTLING", 0)


class Trial:
    """A repository of which the oldest snapshot is to go, and what must be true whatever happens to it."""

    def __init__(self, root: Path, restic: Client, checked: set[Hashable]) -> None:
        self.root = root
        self.before = root / "repository"
        self.before.mkdir()
        self.contents: list[dict[str, bytes]] = []
        for number in (1, 2):
            app = filled(root / str(number) / "app", number)
            for kept in range(6):  # between the others, so that packs are of use in part
                (app / f"own-{kept % 3}-kept-{kept}").write_bytes(Random(kept).randbytes(40_000 + kept))
            killing.write(LocalDestination(self.before), app)
            self.contents.insert(0, content(app))
        self.restic = restic
        self.checked = checked
        self._number = 0
        finished = self.copy()
        done = killing.prune(LocalDestination(finished))
        assert done.freed > 400_000
        assert done.repacked > 30_000

    def copy(self) -> Path:
        self._number += 1
        folder = self.root / f"case-{self._number}"
        shutil.copytree(self.before, folder)
        return folder

    def cases(self, does: str, *, threads: bool = False) -> Iterator[Case]:
        counts = killing.calls(Case(folder=str(self.copy()), app=""))
        for method, count in counts.items():
            for call in range(1, count + 1, 1 if EACH else 2):  # or a sample
                moments = [(after, False) for after in ((0, 100, END) if method == "write" else (0,))]
                moments += [(0, True)] if method in ("write", "delete") else []
                for after, answer_lost in moments if EACH else [moments[call // 2 % len(moments)]]:
                    yield self._case(does, method, call, after, answer_lost, threads)

    def _case(
        self, does: str, method: Method, call: int, after: int, answer_lost: bool, threads: bool
    ) -> Case:
        return Case(
            folder=str(self.copy()),
            app="",
            does=does,
            method=method,
            call=call,
            after=after,
            answer_lost=answer_lost,
            threads=threads,
        )

    def judge(self, case: Case, ended: str) -> None:
        folder = Path(case.folder)
        for lock in (folder / "locks").glob("*"):
            lock.unlink()  # as time does with one that a dead process has left
        found = self.snapshots(folder)
        assert found in (self.contents, self.contents[:1])
        assert ended != "succeeded" or found == self.contents[:1]
        self.ask_restic(folder)
        killing.prune(LocalDestination(folder))
        assert self.snapshots(folder) == self.contents[:1]
        assert objects(folder)["locks"] == 0
        assert killing.prune(LocalDestination(folder)) == Pruned(freed=0), case
        self.ask_restic(folder)
        shutil.rmtree(folder)

    def ask_restic(self, folder: Path) -> None:
        """Of each kind of state once, or in the session `restic` each time."""
        state = tuple(sorted(objects(folder).items()))
        if state not in self.checked or EACH:
            self.checked.add(state)
            assert "no errors were found" in self.restic.at(folder, self.root / "cache").check(read_data=True)

    def snapshots(self, folder: Path) -> list[dict[str, bytes]]:
        return killing.contents(LocalDestination(folder))


@pytest.fixture
def trial(tmp_path: Path, installed_restic: Client, checked: set[Hashable]) -> Trial:
    return Trial(tmp_path, installed_restic, checked)


def test_a_prune_that_is_killed_at_any_call_harms_nothing(trial: Trial, kills: Try) -> None:
    for case in trial.cases("kill"):
        ended = kills(case)
        assert ended in ("killed by SIGKILL", "succeeded"), case
        trial.judge(case, ended)


@pytest.mark.parametrize("does", ["error", "dead"])
def test_a_prune_in_which_any_call_fails_harms_nothing(trial: Trial, does: str) -> None:
    for case in trial.cases(does, threads=does == "dead"):
        ended = killing.run(case)
        assert ended in ("DestinationError", "succeeded"), (ended, case)
        trial.judge(case, ended)
