"""Whatever goes wrong at whichever call of the destination: nothing is half-written, older snapshots restore, the
next run succeeds, and stock restic finds nothing wrong."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import TypeAlias

import pytest

from backupkit import BackupPipeline, Directory
from backupkit.destinations.local import LocalDestination
from backupkit.formats.restic import locks, packing
from backupkit.formats.restic.format import Restic
from backupkit.passphrase import Passphrase
from backupkit.protocols import Destination
from backupkit.retrying import Retry
from backupkit.testing.destinations import FaultyDestination, MemoryDestination, Method
from tests.formats.restic import killing
from tests.formats.restic.killing import END, Case
from tests.restics import PASSWORD, Client

ROOT = Path(__file__).parents[3]
KINDS = ("config", "keys", "locks", "snapshots", "index", "data")
PASSPHRASE = Passphrase(PASSWORD)
Try: TypeAlias = Callable[[Case], str]


@pytest.fixture(autouse=True)
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "PACK_SIZE", 300_000)
    monkeypatch.setattr(locks, "_SETTLING", 0)


@pytest.fixture(scope="module")
def kills() -> Iterator[Try]:
    """Tries a case in a fork that is killed."""
    arguments = [sys.executable, "-m", "tests.formats.restic.killing"]
    with subprocess.Popen(
        arguments, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def tried(case: Case) -> str:
            killing.wish(process, case)
            return killing.answer(process)

        yield tried
        assert process.stdin is not None
        process.stdin.close()
    assert process.returncode == 0


def filled(folder: Path, seed: int) -> Path:
    """An application whose files fill some packs: two that every seed has, and others of its own."""
    (folder / "inner").mkdir(parents=True)
    same, own = Random(0).randbytes, Random(seed).randbytes
    for number in range(2):
        (folder / "inner" / f"same-{number}").write_bytes(same(200_000))
    for number in range(3):
        (folder / f"own-{number}").write_bytes(own(150_000 + number))
    (folder / "empty").touch()
    return folder


@pytest.fixture
def apps(tmp_path: Path) -> tuple[Path, Path]:
    """The application as it was, and as it is."""
    return filled(tmp_path / "before" / "app", 1), filled(tmp_path / "now" / "app", 2)


class Trial:
    """Folders in the state before a run, and what must be true of them afterwards."""

    def __init__(
        self, root: Path, before: Path, app: Path, older: Path | None, restic: Client, checked: set[Hashable]
    ) -> None:
        self.root = root
        self.before = before
        self.app = app
        self.contents = [content(app), *([content(older)] if older is not None else [])]
        self.older = older is not None
        self.restic = restic
        self.checked = checked
        self.each = bool(os.environ.get("BACKUPKIT_TESTS_RESTIC"))
        self._number = 0

    def cases(self, does: str, *, threads: bool = False) -> Iterator[Case]:
        with_all = self._folder()
        counts = killing.calls(Case(folder=str(with_all), app=str(self.app)))
        shutil.rmtree(with_all)
        stages: dict[Method, tuple[int, ...]] = {"write": (0, 100, END), "list": (0, 1)}
        for method, count in counts.items():
            for call in range(1, count + 1, 1 if self.each else 2):  # or a sample
                moments = [(after, False) for after in stages.get(method, (0,))]
                if method in ("write", "delete"):
                    moments.append((0, True))
                if not self.each:
                    moments = [moments[call // 2 % len(moments)]]
                for after, answer_lost in moments:
                    yield self._case(
                        does, method, call, after=after, answer_lost=answer_lost, threads=threads
                    )

    def _case(
        self,
        does: str,
        method: Method,
        call: int,
        *,
        threads: bool,
        after: int = 0,
        answer_lost: bool = False,
    ) -> Case:
        return Case(
            folder=str(self._folder()),
            app=str(self.app),
            does=does,
            method=method,
            call=call,
            after=after,
            answer_lost=answer_lost,
            threads=threads,
        )

    def _folder(self) -> Path:
        self._number += 1
        folder = self.root / f"case-{self._number}"
        shutil.copytree(self.before, folder)
        return folder

    def judge(self, case: Case, ended: str) -> None:
        """All that is promised after it ended so, and after the next run."""
        folder = Path(case.folder)
        counts = objects(folder)
        found = self.snapshots(folder)
        if self.older:
            assert self.contents[1] in found
        assert len(found) <= len(self.contents)
        assert all(one in self.contents for one in found)
        assert ended != "succeeded" or found == self.contents
        state = self.state(folder, counts)
        known = state in self.checked and not self.each
        self.checked.add(state)
        if counts["config"] and not known:
            self.ask_restic(folder, case)
        written = killing.write(LocalDestination(folder), self.app)
        assert written.backup.complete
        assert [one for one in written.problems if one.check != "repository"] == []
        assert self.snapshots(folder)[0] == self.contents[0]
        objects(folder)
        if not known:
            self.ask_restic(folder, case)
        shutil.rmtree(folder)

    def snapshots(self, folder: Path) -> list[dict[str, bytes]]:
        """What each holds, the newest first."""
        return killing.contents(LocalDestination(folder))

    def state(self, folder: Path, counts: Counter[str]) -> Hashable:
        """Of each kind of state, restic is asked once, or in the session `restic` each time."""
        kinds = [(kind, counts[kind]) for kind in KINDS if kind != "locks"]
        return self.older, *kinds, bool([*folder.rglob("*.partial")])

    def ask_restic(self, folder: Path, case: Case) -> None:
        restic = self.restic.at(folder, self.root / "cache")
        if objects(folder)["locks"]:
            # The lock of a process that was killed is stale; that of this one, which lives, is not.
            restic.run("unlock", *([] if case.does == "kill" else ["--remove-all"]))
        assert "no errors were found" in restic.check(read_data=True)


def content(app: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(app)): path.read_bytes() for path in sorted(app.rglob("*")) if path.is_file()
    }


def objects(folder: Path) -> Counter[str]:
    """How many of each kind there are; every one is whole: its name is the hash of what is in it."""
    counts: Counter[str] = Counter()
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            kind = path.relative_to(folder).parts[0]
            assert kind in KINDS, path
            assert kind == "config" or hashlib.sha256(path.read_bytes()).hexdigest() == path.name, path
            counts[kind] += 1
    return counts


@pytest.fixture(scope="module")
def checked() -> set[Hashable]:
    """The kinds of states that stock restic has been asked about."""
    return set()


@pytest.fixture
def trial(tmp_path: Path, apps: tuple[Path, Path], installed_restic: Client, checked: set[Hashable]) -> Trial:
    """A repository that has a snapshot already."""
    older, app = apps
    before = tmp_path / "repository"
    before.mkdir()
    killing.write(LocalDestination(before), older)
    return Trial(tmp_path, before, app, older, installed_restic, checked)


@pytest.fixture
def first(tmp_path: Path, apps: tuple[Path, Path], installed_restic: Client, checked: set[Hashable]) -> Trial:
    """An empty folder."""
    (tmp_path / "empty").mkdir()
    return Trial(tmp_path, tmp_path / "empty", apps[1], None, installed_restic, checked)


def test_a_run_that_is_killed_at_any_call_harms_nothing(trial: Trial, kills: Try) -> None:
    for case in trial.cases("kill"):
        ended = kills(case)
        assert ended in ("killed by SIGKILL", "succeeded"), case
        trial.judge(case, ended)


def test_the_first_run_that_is_killed_at_any_call_harms_nothing(first: Trial, kills: Try) -> None:
    for case in first.cases("kill", threads=True):
        ended = kills(case)
        assert ended in ("killed by SIGKILL", "succeeded"), case
        first.judge(case, ended)


@pytest.mark.parametrize("does", ["error", "dead"])
def test_a_run_in_which_any_call_fails_harms_nothing(trial: Trial, does: str) -> None:
    for case in trial.cases(does):
        ended = killing.run(case)
        assert ended in ("DestinationError", "succeeded"), (ended, case)
        trial.judge(case, ended)


def test_the_first_run_in_which_any_call_fails_harms_nothing(first: Trial) -> None:
    for case in first.cases("dead"):
        ended = killing.run(case)
        assert ended in ("DestinationError", "succeeded"), (ended, case)
        first.judge(case, ended)


def test_cleaning_sweeps_what_a_killed_run_has_left_unfinished_once_it_is_old(
    trial: Trial, kills: Try
) -> None:
    case = Case(folder=str(trial.before), app=str(trial.app), does="kill", call=2, after=100)
    assert kills(case) == "killed by SIGKILL"
    pipeline = BackupPipeline(
        "shop",
        Directory(trial.app),
        str(trial.before),
        encryptor=PASSPHRASE,
        format=Restic(),
        leftovers_after=timedelta(hours=1),
    )
    for lock in (trial.before / "locks").glob("*"):
        lock.unlink()  # as time does with one that a dead process has left
    left = {*trial.before.rglob("*.partial")}  # two, if another pack was just being stored
    assert left
    for age, swept in ((0, 0), (2, len(left))):
        hours_ago = time.time() - age * 3600
        for one in left:
            os.utime(one, (hours_ago, hours_ago))
        (result,) = pipeline.clean().destinations
        assert (result.outcome, len(result.swept)) == ("succeeded", swept)
        assert {*trial.before.rglob("*.partial")} == (left if not swept else set())
    assert len(trial.snapshots(trial.before)) == 1


@pytest.mark.parametrize("does", ["error", "dead"])
def test_of_two_repositories_the_one_in_which_any_call_fails_does_not_fail_the_other(
    apps: tuple[Path, Path], does: str
) -> None:
    older, app = apps

    def pipeline(app: Path, *destinations: Destination) -> BackupPipeline:
        return BackupPipeline(
            "shop",
            Directory(app),
            [*destinations],
            encryptor=PASSPHRASE,
            format=Restic(cache=False),
            retry=Retry(tries=1),
        )

    before = MemoryDestination("before")
    pipeline(older, before).run()
    counted = FaultyDestination(copy_of(before))
    assert pipeline(app, counted, copy_of(before, "good")).run().outcome == "succeeded"
    methods: tuple[Method, ...] = ("write", "list", "read", "delete")
    failed = 0
    for method in methods:
        for call in range(1, counted.calls[method] + 1):
            bad, good = copy_of(before), copy_of(before, "good")
            case = Case(folder="memory:bad", app=str(app), does=does, method=method, call=call)
            report = pipeline(app, FaultyDestination(bad, killing.faults(case)), good).run()
            outcomes = [one.outcome for one in report.destinations]
            assert outcomes in (["succeeded", "succeeded"], ["failed", "succeeded"]), (method, call, report)
            failed += outcomes[0] == "failed"
            assert report.outcome == ("succeeded" if outcomes[0] == "succeeded" else "incomplete")
            assert len(pipeline(app, good).list().backups) == 2
            assert len(pipeline(app, bad).list().backups) in (1, 2)
            assert pipeline(app, bad, good).run().outcome == "succeeded"
            assert pipeline(app, bad).verify().outcome == "succeeded"
    assert failed > 10


def copy_of(other: MemoryDestination, name: str = "bad") -> MemoryDestination:
    made = MemoryDestination(name)
    made.objects.update(other.objects)
    return made
