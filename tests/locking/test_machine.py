"""MachineLock: what it does beyond the contract of all locks, and what it refuses to lock with."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO

import pytest

from backupkit.errors import BackupAlreadyRunningError, ConfigurationError
from backupkit.locking import MachineLock, machine

AT_ONCE = timedelta(0)
NOBODY = 65534

# argv: folder or "", name, uid. Takes the lock, says so, and keeps it until its standard input ends.
REAL = machine._SHARED  # before tests/conftest.py gives this process a folder of its own

HOLD = """
import hashlib, os, sys
import filelock
from datetime import timedelta
from backupkit.locking import machine
from backupkit.errors import BackupKitError
folder, name, uid, shared = sys.argv[1:]
if shared:
    machine._SHARED = (shared,)
if uid:
    os.setgroups([])
    os.setgid(int(uid))
    os.setuid(int(uid))
try:
    with machine.MachineLock(folder or None).hold(name, wait=timedelta(0)):
        print("held", flush=True)
        sys.stdin.read()
except BackupKitError as error:
    print(type(error).__name__, error, flush=True)
"""


@contextmanager
def holder(
    name: str, *, folder: Path | str = "", uid: int | None = None, shared: Path | str = ""
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process that holds the lock, or what it said instead."""
    arguments = [str(folder), name, "" if uid is None else str(uid), str(shared)]
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()


def take(lock: MachineLock, name: str = "shop", wait: timedelta = AT_ONCE) -> None:
    with lock.hold(name, wait=wait):
        pass


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder like /run/lock, sticky and open to everybody, that every user can reach."""
    place = Path(tempfile.mkdtemp(dir="/tmp"))
    place.chmod(0o1777)
    monkeypatch.setattr(machine, "_SHARED", (str(place),))
    yield place
    shutil.rmtree(place)


def test_the_refusal_names_the_run_and_its_lock_file(tmp_path: Path) -> None:
    with (
        MachineLock(tmp_path).hold("shop", wait=AT_ONCE),
        pytest.raises(BackupAlreadyRunningError) as caught,
    ):
        take(MachineLock(tmp_path))
    (file,) = tmp_path.iterdir()
    assert "'shop'" in str(caught.value)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("name", ["../../etc/x", "a/b", "\udcff", "größe", "x\0y", "a\nb"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "locks"
    take(MachineLock(folder), name)
    assert list(tmp_path.iterdir()) == [folder]
    assert len(list(folder.iterdir())) == 1


OUTLIVED = """
import os, subprocess, sys
from datetime import timedelta
from backupkit.locking import MachineLock
with MachineLock(sys.argv[1]).hold("shop", wait=timedelta(0)):
    {start}
    print("held", flush=True)
    os.kill(os.getpid(), 9)
"""
STARTS = {
    # close_fds=False: only that the descriptor is not inheritable can keep the lock from the child.
    "a program": 'subprocess.Popen(["cat"], stdout=subprocess.DEVNULL, close_fds=False)',
    "a fork": "os.fork() or (os.close(1), sys.stdin.read(), os._exit(0))",
}


@pytest.mark.parametrize("start", STARTS)
def test_what_a_run_started_does_not_keep_the_lock_when_it_outlives_the_run(
    tmp_path: Path, start: str
) -> None:
    script = OUTLIVED.format(start=STARTS[start])
    ours, theirs = os.pipe()  # the child lives until we close our end
    alive, dead = os.pipe()  # and its copy of this end shows that it does
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=ours, stdout=subprocess.PIPE, pass_fds=[dead]
    )
    os.close(ours)
    os.close(dead)
    os.set_blocking(alive, False)
    try:
        with process, _stdout(process) as said:
            assert said.read() == b"held\n"
        assert process.returncode == -signal.SIGKILL
        with pytest.raises(BlockingIOError):  # the child lives, or this would be the end of the pipe
            os.read(alive, 1)
        take(MachineLock(tmp_path))
    finally:
        os.close(theirs)
        os.close(alive)


def _stdout(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdout is not None
    return process.stdout


def test_the_default_place_is_open_to_everybody_whatever_the_umask(shared: Path) -> None:
    before = os.umask(0o077)
    try:
        take(MachineLock())
    finally:
        os.umask(before)
    folder = shared / "backupkit"
    (file,) = folder.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o777
    assert stat.S_IMODE(file.stat().st_mode) == 0o666


def test_the_real_default_place_excludes_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_SHARED", REAL)
    name = f"backupkit test {os.getpid()}"
    try:
        with MachineLock().hold(name, wait=AT_ONCE), holder(name) as (process, said):
            process.communicate()
            assert said.startswith("BackupAlreadyRunningError")
    finally:
        for place in REAL:
            for file in Path(place, "backupkit").glob(f"backupkit-test-{os.getpid()}-*.lock"):
                file.unlink()


def test_the_temporary_folder_of_a_user_is_not_where_the_lock_is(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    take(MachineLock())
    assert list(tmp_path.iterdir()) == []


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@needs_root
def test_another_user_can_take_a_lock_that_root_made(shared: Path) -> None:
    take(MachineLock())
    with holder("shop", uid=NOBODY, shared=shared) as (_, said):
        assert said == "held"
        with pytest.raises(BackupAlreadyRunningError):
            take(MachineLock())


@needs_root
def test_root_can_take_a_lock_that_another_user_made(shared: Path) -> None:
    with holder("shop", uid=NOBODY, shared=shared) as (_, said):
        assert said == "held"
        (file,) = (shared / "backupkit").iterdir()
        assert file.stat().st_uid == NOBODY
        with pytest.raises(BackupAlreadyRunningError):
            take(MachineLock())
    take(MachineLock())


@needs_root
def test_root_takes_the_folder_from_the_user_who_made_it(shared: Path) -> None:
    with holder("shop", uid=NOBODY, shared=shared) as (_, said):
        assert said == "held"
    assert (shared / "backupkit").stat().st_uid == NOBODY
    take(MachineLock())
    assert (shared / "backupkit").stat().st_uid == 0


@needs_root
def test_a_folder_that_is_closed_to_this_user_is_a_configuration_error(shared: Path) -> None:
    (shared / "backupkit").mkdir(mode=0o755)
    with holder("shop", uid=NOBODY, shared=shared) as (_, said):
        assert said.startswith("ConfigurationError")


def test_a_symlink_in_place_of_the_folder_is_refused(shared: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o750)
    (shared / "backupkit").symlink_to(elsewhere)
    with pytest.raises(ConfigurationError, match="MachineLock"):
        take(MachineLock())
    assert list(elsewhere.iterdir()) == []
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o750


def test_a_file_in_place_of_the_folder_is_refused(shared: Path) -> None:
    (shared / "backupkit").write_bytes(b"")
    with pytest.raises(ConfigurationError, match="MachineLock"):
        take(MachineLock())


def test_a_symlink_in_place_of_the_lock_file_is_not_followed(tmp_path: Path) -> None:
    folder, victim = tmp_path / "locks", tmp_path / "victim"
    take(MachineLock(folder))
    (file,) = folder.iterdir()
    file.unlink()
    victim.write_bytes(b"precious")
    file.symlink_to(victim)
    with pytest.raises(ConfigurationError, match="MachineLock"):
        take(MachineLock(folder))
    assert victim.read_bytes() == b"precious"


def test_a_place_that_not_everybody_may_write_to_is_passed_over(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_SHARED", (str(tmp_path / "missing"), str(tmp_path), str(shared)))
    take(MachineLock())
    assert (shared / "backupkit").is_dir()


def test_without_any_shared_place_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_SHARED", (str(tmp_path),))
    with pytest.raises(ConfigurationError, match=r"MachineLock\(folder\)"):
        take(MachineLock())


def test_a_lock_that_is_used_does_not_look_old(tmp_path: Path) -> None:
    take(MachineLock(tmp_path))
    (file,) = tmp_path.iterdir()
    os.utime(file, (0, 0))
    take(MachineLock(tmp_path))
    assert file.stat().st_mtime > 0
