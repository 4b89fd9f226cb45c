"""The demo, and that its proof would notice what it says it proves."""

from __future__ import annotations

import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from backupkit.cli.demo import demonstrate
from backupkit.cli.demo_application import make_database, make_uploads
from backupkit.cli.demo_proof import compare_database, compare_files, look_at, transfers
from backupkit.events import Event, Finished
from tests.cli.shop import environment
from tests.tools import require_tool


def demo(*options: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "backupkit", "demo", *options],
        env=environment({"TMPDIR": str(folder)}),
        capture_output=True,
        text=True,
        check=False,
    )


def commands(output: str, program: str) -> list[list[str]]:
    """The commands in the demo's last words, as a shell would take them."""
    words = output[output.index("Everything is back, and identical.") :]
    return [shlex.split(line) for line in words.splitlines() if line.startswith("  ") and program in line]


@pytest.mark.interop
def test_the_demo_proves_itself_and_its_last_words_work(tmp_path: Path) -> None:
    require_tool("7zz")
    done = demo("--folder", str(tmp_path / "new folder"), folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "DIFFERS" not in done.stdout
    uploads = tmp_path / "new folder" / "application" / "uploads"

    (unpack,) = commands(done.stdout, "7zz")
    secret = done.stdout.partition("made up for this demo: ")[2].splitlines()[0]
    subprocess.run([*unpack, f"-p{secret}"], check=True, stdout=subprocess.DEVNULL)
    opened = tmp_path / "new folder" / "opened"
    for name in ("export.csv", "odd names/trailing blank ", "odd names/line\nbreak.txt"):
        assert (opened / "uploads" / name).read_bytes() == (uploads / name).read_bytes()
    assert os.readlink(opened / "uploads" / "latest.jpg") == "photos/IMG_0019.jpg"

    listing, restore = commands(done.stdout, "backupkit ")
    listed = subprocess.run(listing, check=True, capture_output=True, text=True, env=environment({}))
    assert "complete" in listed.stdout
    subprocess.run(restore, check=True, stdout=subprocess.DEVNULL, env=environment({}))
    assert look_at(tmp_path / "new folder" / "restored" / "uploads") == look_at(uploads)


def test_a_demo_that_is_not_kept_leaves_nothing(tmp_path: Path) -> None:
    done = demo("--no-keep", folder=tmp_path)
    assert done.returncode == 0
    assert "Everything is back, and identical." in done.stdout
    assert os.listdir(tmp_path) == []


def test_the_demo_says_so_when_what_came_back_is_not_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def spoil(event: Event) -> None:
        if isinstance(event, Finished) and event.report.operation == "restore":
            (tmp_path / "application" / "uploads" / "script.sh").write_text("something else\n")

    assert not demonstrate(str(tmp_path), keep=True, observers=(spoil,))
    told = capsys.readouterr().out
    assert "DIFFERS  each file has the same content" in told
    assert "b'script.sh'" in told
    assert "NOT proven" in told
    assert "identical.\n" not in told


@pytest.fixture(scope="module")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "uploads"
    make_uploads(folder)
    return folder


def grow(folder: Path) -> None:
    (folder / "no content").write_text("x")


def flip(folder: Path) -> None:
    path = folder / "photos" / "IMG_0003.jpg"
    status = path.stat()
    path.write_bytes(bytes(status.st_size))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def lose(folder: Path) -> None:
    (folder / "odd names" / "trailing blank ").unlink()


def add(folder: Path) -> None:
    (folder / "empty" / "new").touch()


def change_mode(folder: Path) -> None:
    (folder / "-private").chmod(0o644)


def shift_time(folder: Path) -> None:
    time = folder.stat().st_mtime_ns + 1
    os.utime(folder, ns=(time, time))


def point_elsewhere(folder: Path) -> None:
    (folder / "latest.jpg").unlink()
    (folder / "latest.jpg").symlink_to("photos/IMG_0001.jpg")


def follow_link(folder: Path) -> None:
    (folder / "latest.jpg").unlink()
    shutil.copy2(folder / "photos" / "IMG_0019.jpg", folder / "latest.jpg")


def split_hard_link(folder: Path) -> None:
    shutil.copy2(folder / "export.csv", folder / "copy")
    os.replace(folder / "copy", folder / "export.csv")


@pytest.mark.parametrize(
    ("change", "noticed"),
    [
        (grow, "each file has the same content"),
        (flip, "each file has the same content"),
        (lose, "all 241 names"),
        (add, "all 241 names"),
        (change_mode, "the same mode"),
        (shift_time, "the same time"),
        (point_elsewhere, "points to the same place"),
        (follow_link, "of the same kind"),
        (split_hard_link, "hard links"),
    ],
)
def test_the_proof_notices_every_difference_of_files(
    uploads: Path, tmp_path: Path, change: Callable[[Path], None], noticed: str
) -> None:
    changed = tmp_path / "uploads"
    subprocess.run(["cp", "-a", uploads, changed], check=True)
    before = look_at(uploads)
    assert [check for check in compare_files(before, look_at(changed)) if check.differences] == []
    change(changed)
    differing = [check.what for check in compare_files(before, look_at(changed)) if check.differences]
    assert any(noticed in what for what in differing)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE account SET balance = balance + 1 WHERE id = 7",
        "UPDATE transfer SET amount = amount + 1 WHERE id = 77",
        "UPDATE transfer SET note = x'00' WHERE id = 77",
        "DELETE FROM transfer WHERE id = 77",
        "DELETE FROM transfer WHERE id > 50",
    ],
)
def test_the_proof_notices_every_difference_of_rows(tmp_path: Path, statement: str) -> None:
    database = tmp_path / "shop.sqlite3"
    make_database(database)
    recorded = transfers(database)
    begin, end = len(recorded) - 10, len(recorded)

    def differing() -> list[str]:
        checks = compare_database(database, recorded=recorded, begin=begin, end=end)
        return [check.what for check in checks if check.differences]

    assert differing() == []
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(statement)
        connection.commit()
    assert differing()
