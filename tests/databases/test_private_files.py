from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from backupkit.databases import private_files
from backupkit.databases.private_files import private_file

SECRET = b"*:*:*:*:a\\:b\n"


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As on a system without files in memory, with a folder of its own for temporary ones."""
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(tempfile, "tempdir", os.fspath(tmp_path))
    return tmp_path


def age(path: Path) -> None:
    """Make it look as if it was made some time ago."""
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 2 * private_files._NEW))


needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="files in memory are Linux's")


@needs_linux
def test_a_child_that_inherits_it_can_read_it_as_often_as_it_likes() -> None:
    with private_file(SECRET) as file:
        for _ in range(2):
            done = subprocess.run(
                ["cat", file.path, file.path], pass_fds=file.descriptors, capture_output=True
            )
            assert done.stdout == SECRET * 2


@needs_linux
def test_a_child_that_does_not_inherit_it_cannot() -> None:
    with private_file(SECRET) as file:
        done = subprocess.run(["cat", file.path], capture_output=True)
    assert done.stdout == b""
    assert done.returncode != 0


@needs_linux
def test_it_has_no_name_and_its_mode_keeps_others_out() -> None:
    with private_file(SECRET) as file:
        status = os.stat(file.path)
    assert (status.st_mode & 0o777, status.st_nlink) == (0o600, 0)


@needs_linux
def test_nothing_is_open_afterwards() -> None:
    before = os.listdir("/proc/self/fd")
    with private_file(SECRET):
        pass
    assert os.listdir("/proc/self/fd") == before


def test_elsewhere_it_is_a_file_that_only_its_owner_may_read_and_that_goes(named: Path) -> None:
    with private_file(SECRET) as file:
        assert Path(file.path).read_bytes() == SECRET
        assert Path(file.path).stat().st_mode & 0o777 == 0o600
        assert [path.name for path in named.iterdir()] == [Path(file.path).name]
    assert list(named.iterdir()) == []


def test_elsewhere_it_goes_when_what_it_was_for_fails(named: Path) -> None:
    with pytest.raises(LookupError), private_file(SECRET):
        raise LookupError
    assert list(named.iterdir()) == []


def test_what_a_killed_process_left_goes_with_the_next_use(named: Path) -> None:
    code = f"""
import os, sys, tempfile
sys.platform = "darwin"
tempfile.tempdir = {os.fspath(named)!r}
from backupkit.databases.private_files import private_file
with private_file({SECRET!r}):
    os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = named.iterdir()
    assert left.read_bytes() == SECRET
    age(left)
    with private_file(b"next"):
        assert not left.exists()


def test_what_a_living_process_uses_stays(named: Path) -> None:
    with private_file(SECRET) as first:
        age(Path(first.path))
        with private_file(b"second"):
            assert Path(first.path).read_bytes() == SECRET


def test_a_link_that_was_planted_there_is_not_followed(named: Path) -> None:
    victim = named / "victim"
    victim.write_bytes(b"data")
    age(victim)
    (named / f"{private_files._PREFIX}planted").symlink_to(victim)
    with private_file(SECRET):
        pass
    assert victim.read_bytes() == b"data"
