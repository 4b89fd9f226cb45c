"""Months in the life of a repository that restic and we use by turns: what is left restores to what was there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from backupkit import BackupPipeline, Directory, DirectoryTarget, Passphrase, PruneLimits
from backupkit.formats.restic import locks, packing, prune_planning
from backupkit.formats.restic.format import Restic
from backupkit.model import Backup, RetentionPlan
from tests import restics
from tests.interop.odd_tree import facts
from tests.interop.test_restic import ALL, cheap_keys, folder, in_snapshot, newest
from tests.restics import PASSWORD

__all__ = ["cheap_keys", "folder"]
pytestmark = pytest.mark.interop

SNAPSHOTS, CLEANED_EACH = (100, 6) if ALL else (9, 3)
PAUSES = (timedelta(hours=3), timedelta(days=5))
"""Between two snapshots, by turns: so that there are days, weeks and months that hold several."""
BEGIN = datetime(2026, 1, 5, 9, tzinfo=UTC)
OURS = ["--tag", "backupkit:name=shop", "--tag", "backupkit:contents=files"]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small packs, so that there are many, and most of them are of use in part before long."""
    for module in (packing, prune_planning):
        monkeypatch.setattr(module, "PACK_SIZE", 200_000)
    monkeypatch.setattr(locks, "_SETTLING", 0.01)


class Tree:
    """A folder in which something changes from one snapshot to the next; always the same, by its seed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._chance = Random(11)
        self._made = 0
        (root / "folder").mkdir(parents=True)
        (root / "large").write_bytes(self._chance.randbytes(3_000_000))
        for _ in range(25):
            self._add()

    def change(self) -> None:
        """Do some of everything that can happen to a tree."""
        for does in self._chance.sample(self._kinds, k=5):
            does(self)

    def _new(self) -> Path:
        self._made += 1
        return self._chance.choice(self._folders()) / f"{self._made}"

    def _folders(self) -> list[Path]:
        return [self.root, *sorted(path for path in self.root.rglob("*") if _is_folder(path))]

    def _files(self) -> list[Path]:
        return sorted(path for path in self.root.rglob("*") if path.is_file() and not path.is_symlink())

    def _file(self) -> Path:
        return self._chance.choice(self._files())

    def _add(self) -> None:
        self._new().write_bytes(self._chance.randbytes(int(self._chance.paretovariate(0.8) * 1000) % 900_000))

    def _add_text(self) -> None:
        self._new().write_text(f"{self._chance.random()}\n" * 9000)

    def _add_folder(self) -> None:
        folder = self._new()
        folder.mkdir()
        for number in range(4):
            (folder / f"{number}").write_bytes(self._chance.randbytes(5000))

    def _overwrite(self) -> None:
        file = self._file()
        file.write_bytes(self._chance.randbytes(file.stat().st_size))

    def _grow(self) -> None:
        with self._file().open("ab") as file:
            file.write(self._chance.randbytes(70_000))

    def _change_within(self) -> None:
        with (self.root / "large").open("r+b") as file:
            file.seek(self._chance.randrange(2_900_000))
            file.write(self._chance.randbytes(1000))

    def _rename(self) -> None:
        if (file := self._file()).name != "large":
            file.rename(self._new())

    def _rename_folder(self) -> None:
        folder = self._chance.choice(self._folders()[1:])
        folder.rename(self.root / f"{folder.name}-renamed-{self._made}")

    def _remove(self) -> None:
        if (file := self._file()).name != "large":
            file.unlink()

    def _remove_folder(self) -> None:
        if len(folders := self._folders()[1:]) > 3:
            shutil.rmtree(self._chance.choice(folders))

    def _become_link(self) -> None:
        if (file := self._file()).name != "large":
            file.unlink()
            file.symlink_to("nowhere/else")

    def _become_folder(self) -> None:
        if (file := self._file()).name != "large":
            content = file.read_bytes()
            file.unlink()
            file.mkdir()
            (file / "was a file").write_bytes(content)

    def _become_file(self) -> None:
        if len(folders := self._folders()[1:]) > 3:
            folder = self._chance.choice(folders)
            shutil.rmtree(folder)
            folder.write_bytes(b"was a folder")

    def _link(self) -> None:
        os.link(self._file(), self._new())

    def _copy(self) -> None:
        shutil.copy(self._file(), self._new())

    def _allow(self) -> None:
        self._file().chmod(self._chance.choice((0o600, 0o640, 0o755)))

    _kinds: Sequence[Callable[[Tree], None]] = (
        *(_add, _add_text, _add_folder, _overwrite, _grow, _change_within, _rename, _rename_folder),
        *(_remove, _remove_folder, _become_link, _become_folder, _become_file, _link, _copy, _allow),
    )


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


class Life:
    """A repository, who uses it, and what was there at the time of each of its snapshots."""

    def __init__(self, tree: Tree, folder: Path, stocks: Sequence[restics.Restic], tmp_path: Path) -> None:
        self.tree = tree
        self.now = BEGIN
        self.taken: dict[datetime, dict[bytes, dict[str, Any]]] = {}
        self.pipeline = BackupPipeline(
            "shop",
            Directory(tree.root),
            str(folder),
            encryptor=Passphrase(PASSWORD),
            format=Restic(),
            checks=(),
            clock=lambda: self.now,
        )
        self._stocks = stocks
        self._tmp_path = tmp_path
        self._turn = 0

    @property
    def stock(self) -> restics.Restic:
        """Each version in turn."""
        self._turn += 1
        return self._stocks[self._turn % len(self._stocks)]

    def take(self, number: int) -> None:
        """By us, by restic as one of the pipeline's, by us, by restic for itself; then time passes."""
        self.tree.change()
        self.taken[self.now] = facts(self.tree.root)
        time = ["--time", f"{self.now:%Y-%m-%d %H:%M:%S}"]
        if number % 2 == 0:
            assert self.pipeline.run().outcome == "succeeded"
        elif number % 4 == 1:
            self.stock.backup(self.tree.root, options=[*time, *OURS])
        else:
            self.stock.backup(self.tree.root, options=[*time, "--host", "elsewhere"])
        self.now += PAUSES[number % 2]

    def clean(self) -> None:
        (result,) = self.pipeline.clean().destinations
        assert result.outcome == "succeeded"
        self._forget(result.plan)

    def clean_by_restic(self) -> None:
        """What our policy plans, and of restic's own all but some."""
        (result,) = self.pipeline.clean(dry_run=True).destinations
        self._forget(result.plan)
        stock = self.stock
        times = {one["id"]: _time(one) for one in stock.snapshots()}
        own = [id for id, one in times.items() if one not in self.taken]
        foreign = [one for one in self.backups() if one.made_by == "other"][3:]
        own += [id for id, time in times.items() if time in {one.time for one in foreign}]
        for one in foreign:
            del self.taken[one.time]
        stock.forget(*own)

    def _forget(self, plan: RetentionPlan | None) -> None:
        assert plan is not None
        for removed in plan.remove:
            assert removed.backup.made_by == "backupkit"
            del self.taken[removed.backup.time]

    def backups(self) -> Sequence[Backup]:
        """The newest first; just those that must be there."""
        found = self.pipeline.list().backups
        assert {one.time for one in found} >= {*self.taken}
        return found

    def restores(self) -> None:
        """Whether every snapshot is what was there, to us, and to restic: all, or where that takes long some."""
        found = self.backups()
        assert {one.time for one in found} == {*self.taken}
        ids = {_time(one): one["id"] for one in self.stock.snapshots()}
        assert {*ids} == {*self.taken}
        for number, backup in enumerate(found):
            ours = self._tmp_path / "ours"
            self.pipeline.restore(backup.id, to=DirectoryTarget(ours, setuid=True))
            assert facts(ours / in_snapshot(self.tree.root)) == self.taken[backup.time]
            shutil.rmtree(ours)
            assert self.pipeline.verify(backup.id).outcome == "succeeded"
            if ALL or number in (0, len(found) - 1):
                theirs = self._tmp_path / "theirs"
                self.stock.restore(theirs, ids[backup.time])
                assert facts(theirs / in_snapshot(self.tree.root)) == self.taken[backup.time]
                shutil.rmtree(theirs)


def _time(snapshot: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(snapshot["time"])


def test_snapshots_by_turns_ours_and_restics_restore_to_what_was_there_whoever_cleans(
    folder: Path, tmp_path: Path
) -> None:
    """A hundred under the retention that a pipeline has by itself, with each version of restic; here, some."""
    suites = [suite for suite in ("installed", *restics.SUITES) if restics.FOLDER] if ALL else [newest()]
    stocks = [restics.client(suite).at(folder, tmp_path / f"cache-{suite}", TZ="UTC") for suite in suites]
    life = Life(Tree(tmp_path / "app"), folder, stocks, tmp_path)
    cleans = 0
    for number in range(SNAPSHOTS):
        life.take(number)
        if number % CLEANED_EACH == CLEANED_EACH - 1:
            (life.clean_by_restic if cleans % 2 else life.clean)()
            cleans += 1
    assert len(life.taken) < SNAPSHOTS
    life.pipeline.prune(limits=PruneLimits("0 B"))
    life.restores()
    assert "no errors were found" in life.stock.check(read_data=True)
    before = {path: path.read_bytes() for path in (folder / "data").rglob("*") if path.is_file()}
    (again,) = life.pipeline.prune(limits=PruneLimits("0 B")).destinations
    assert again.freed == 0
    assert {path: path.read_bytes() for path in (folder / "data").rglob("*") if path.is_file()} == before
