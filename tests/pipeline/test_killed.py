"""A run in a process of its own is killed: at several destinations, with a lock, beside other pipelines.

What is there after SIGKILL at each call of a run is in `tests/faults`.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from backupkit import BackupPipeline, Directory
from backupkit.testing.trees import tree
from tests.pipeline import killing
from tests.pipeline.shop import Make, MiB, kinds, names, stored

NOTHING_VISIBLE = [
    "before the first entry",
    "within an entry",
    "before its first byte is written",
    "after 100 kB were written",
    "after its last byte was written",
]

FILES = {"app/a": b"a" * 1000, "app/noise": os.urandom(MiB)}


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return tree(tmp_path / "app", {path.removeprefix("app/"): file for path, file in FILES.items()})


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    return [stored(tmp_path / name).folder for name in ("one", "two")]


@pytest.fixture
def pipeline(make: Make, app: Path, folders: list[Path]) -> BackupPipeline:
    return make(Directory(app), folders[-1], leftovers_after=timedelta(0))


def killed(app: Path, where: str, *folders: Path) -> None:
    """Run the pipeline of `killing.py` in a process of its own, and see it killed."""
    arguments = [sys.executable, "-m", "tests.pipeline.killing", str(app), where, *map(str, folders)]
    root = Path(killing.__file__).parents[2]
    assert subprocess.run(arguments, cwd=root, check=False).returncode == -signal.SIGKILL


def visible(folder: Path) -> list[str]:
    return [name for name in names(folder) if not name.rpartition("/")[2].startswith(".")]


@pytest.mark.parametrize("where", NOTHING_VISIBLE)
def test_with_two_destinations_nothing_is_visible_at_either(
    where: str, app: Path, folders: list[Path], make: Make
) -> None:
    killed(app, where, *folders)
    # The other one may have been faster, and has it whole then; a summary is only written after both.
    for folder in folders[:-1] if where.startswith("after its last") else folders:
        assert [kind for kind in kinds(folder) if kind.endswith("json")] == []
    assert visible(folders[-1]) == []
    both = make(Directory(app), folders)
    assert [one.good for one in both.list().backups] in ([], [False])
    assert both.run().outcome == "succeeded"


def test_cleaning_finds_the_leftover_and_deletes_it(
    app: Path, folders: list[Path], pipeline: BackupPipeline
) -> None:
    killed(app, "within an entry", folders[-1])
    (left,) = names(folders[-1])
    assert re.fullmatch(r"shop/\.\S+\.zip\.[0-9a-f]{16}\.partial", left)
    size = (folders[-1] / left).stat().st_size

    (dry,) = pipeline.clean(dry_run=True).destinations
    assert [(one.name, one.size) for one in dry.swept] == [(left, size)]
    assert names(folders[-1]) == [left]

    (done,) = pipeline.clean().destinations
    assert done.swept == dry.swept
    assert (done.outcome, done.freed) == ("succeeded", size)
    assert names(folders[-1]) == []


def test_a_leftover_that_may_belong_to_a_live_run_is_left_alone(
    app: Path, folders: list[Path], make: Make
) -> None:
    killed(app, "within an entry", folders[-1])
    before = names(folders[-1])
    for age in (timedelta(hours=24), timedelta(minutes=30)):
        report = make(Directory(app), folders[-1], leftovers_after=age).clean()
        assert [one.swept for one in report.destinations] == [()]
    assert names(folders[-1]) == before
    os.utime(folders[-1] / before[0], (1, 1))
    report = make(Directory(app), folders[-1]).clean()
    assert [[one.name for one in result.swept] for result in report.destinations] == [before]
    assert names(folders[-1]) == []


def test_the_leftovers_of_other_pipelines_are_not_touched(app: Path, folders: list[Path], make: Make) -> None:
    killed(app, "within an entry", folders[-1])
    before = names(folders[-1])
    make(Directory(app), folders[-1], name="shop-2", leftovers_after=timedelta(0)).clean()
    make(Directory(app), folders[-1], name="sho", leftovers_after=timedelta(0)).clean()
    assert names(folders[-1]) == before


@pytest.fixture
def paused(app: Path, folders: list[Path]) -> Iterator[subprocess.Popen[bytes]]:
    """A run that has written a part of its archive and waits for the rest of a dump."""
    fifo = app.with_name("fifo")
    os.mkfifo(fifo)
    program = (
        "import sys\n"
        "from backupkit import *\n"
        "app, fifo, folder, locks = sys.argv[1:]\n"
        "BackupPipeline('shop', [Directory(app), Command(['cat', fifo], name='dump')], folder, encryptor=None,"
        " lock=MachineLock(locks), retry=Retry(tries=1)).run()\n"
    )
    locks = app.with_name("locks")
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(app), str(fifo), str(folders[-1]), str(locks)]
    )
    with open(fifo, "wb", buffering=0) as pipe:  # opens once `cat` runs
        pipe.write(b"x" * 3 * MiB)  # ends once most of it was read: the program is within the dump
        yield child
        child.kill()
    child.wait()


def test_whoever_looks_while_a_run_is_under_way_sees_nothing_of_it(
    paused: subprocess.Popen[bytes], folders: list[Path], pipeline: BackupPipeline
) -> None:
    assert pipeline.list().backups == ()
    assert visible(folders[-1]) == []
    paused.kill()
    paused.wait()
    assert pipeline.list().backups == ()


def test_a_killed_run_keeps_no_lock(paused: subprocess.Popen[bytes], pipeline: BackupPipeline) -> None:
    paused.kill()
    paused.wait()
    assert pipeline.run().outcome == "succeeded"


def test_what_a_killed_verification_left_is_swept_too(
    app: Path, folders: list[Path], pipeline: BackupPipeline
) -> None:
    pipeline.run()
    before = names(folders[-1])
    left = f"backupkit/shop/{pipeline.get().id}/.2026-11-23T03-00-00.000000Z-verified.{'0' * 16}.partial"
    (folders[-1] / left).parent.mkdir(parents=True)
    (folders[-1] / left).write_bytes(b"{")
    assert pipeline.get().verified is None
    (result,) = pipeline.clean().destinations
    assert [one.name for one in result.swept] == [left]
    assert names(folders[-1]) == before
