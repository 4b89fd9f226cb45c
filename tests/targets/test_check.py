"""What DirectoryTarget.check says before anything is written."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import pytest

from backupkit.model import Entry
from backupkit.targets import DirectoryTarget
from backupkit.testing.entries import with_content
from tests.targets.restoring import (
    NOBODY,
    ROOT,
    check,
    file,
    folder,
    hardlink,
    names,
    symlink,
    write,
)


def test_nobody_is_told_to_move_away_a_link_that_leads_to_a_folder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "www").symlink_to("data")
    (problem,) = check(tmp_path, folder("www"), overwrite=True)
    assert "a link is at its place, which is not followed: restore to another folder" in problem.message
    assert "move" not in problem.message


def test_check_finds_nothing_wrong_and_touches_nothing(tmp_path: Path) -> None:
    assert (
        check(tmp_path / "new/deeper", folder("a"), file("a/b"), symlink("s", "x"), hardlink("h", "a/b"))
        == []
    )
    assert names(tmp_path) == []


def test_check_reads_no_content(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert check(tmp_path, with_content(Entry(path="a/b"), error=AssertionError("it was read"))) == []


def test_check_finds_what_write_would_refuse(tmp_path: Path) -> None:
    for name in ("file", "also"):
        (tmp_path / name).write_bytes(b"old")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    entries = [
        *(file("file"), folder("also"), file("folder"), folder("folder"), file("folder/new"), file("link/x")),
        *(file("file/x"), symlink("link", "y"), folder("../up"), file("new")),
    ]
    for overwrite in (False, True):
        found = check(tmp_path, *entries, overwrite=overwrite)
        before = names(tmp_path)
        copy = tmp_path.with_name(f"{tmp_path.name}-{overwrite}")
        shutil.copytree(tmp_path, copy, symlinks=True)
        assert found == write(copy, *entries, overwrite=overwrite)
        assert {problem.severity for problem in found} == {"error"}
        assert names(tmp_path) == before
        assert len(found) == (7 if not overwrite else 5)


def test_check_says_how_much_space_is_missing(tmp_path: Path) -> None:
    (problem,) = check(tmp_path / "new", Entry(path="a", size=10**18), Entry(path="b", size=10**18))
    assert "2 EB" in problem.message
    assert problem.severity == "error"


def test_too_little_space_is_a_warning_where_zeros_need_none(tmp_path: Path) -> None:
    (problem,) = DirectoryTarget(tmp_path, sparse=True).check([Entry(path="a", size=10**18)])
    assert problem.severity == "warning"


def test_check_does_not_count_holes(tmp_path: Path) -> None:
    assert check(tmp_path, Entry(path="a", size=10**18, holes=((0, 10**18),))) == []


@pytest.mark.parametrize("place", ["file", "file/below", "dangling"])
def test_check_finds_a_target_that_is_no_folder(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "dangling").symlink_to("nowhere")
    (problem,) = check(tmp_path / place, file("a"))
    assert problem.severity == "error"


def test_check_finds_a_target_that_is_not_writable(tmp_path: Path) -> None:
    if not ROOT:
        tmp_path.chmod(0o500)
        assert len(check(tmp_path / "new", file("a"))) == 1
        return
    # Permissions do not bound root: ask as somebody else.
    script = (
        "import os, sys\n"
        "from backupkit.targets import DirectoryTarget\n"
        f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "print(len(list(DirectoryTarget(sys.argv[1]).check([]))))\n"
    )
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        Path(place).chmod(0o711)
        done = subprocess.run(
            [sys.executable, "-c", script, f"{place}/new"], capture_output=True, text=True, check=True
        )
    assert done.stdout == "1\n"


def test_check_takes_its_entries_as_a_stream(tmp_path: Path) -> None:
    def entries() -> Iterable[Entry]:
        yield file("../x")
        raise AssertionError("the problem was held back")

    assert next(DirectoryTarget(tmp_path).check(entries())).path == "../x"


def test_a_disk_that_cannot_tell_how_full_it_is_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(path: str) -> NoReturn:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "statvfs", fails)
    (problem,) = check(tmp_path, file("a"))
    assert problem.severity == "error"
    assert "cannot be looked into (Input/output error): restore to another place" in problem.message


def test_where_nothing_can_be_looked_up_checking_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os.path, "lexists", lambda path: False)
    assert check(tmp_path / "new", file("a")) == []
