"""What a local destination does when the disk is full, the process is killed or the right is missing."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from backupkit.destinations.local import LocalDestination
from backupkit.errors import AccessDeniedError, DestinationError

MiB = 1 << 20
NOBODY = 65534


def zeros(size: int, then: BaseException | None = None) -> Iterator[bytes]:
    for start in range(0, size, 100_000):
        yield bytes(min(100_000, size - start))
    if then:
        raise then


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def run(code: str, *arguments: str | Path) -> str:
    """Run the code, which sees `LocalDestination` and `folder`, in a process of its own; return its output."""
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + textwrap.dedent(code), *map(str, arguments)],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        timeout=60,
    )
    return done.stdout.strip()


PREAMBLE = """
import os, sys
from backupkit.destinations.local import LocalDestination
from backupkit.errors import *
folder = sys.argv[1]
"""


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """An empty file system of 8 MiB and 12 files."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system to fill")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m,nr_inodes=12", "tmpfs", str(folder)]
    done = subprocess.run(mount, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("free", [0, 4096, MiB, 3 * MiB + 4096, 8 * MiB - 4096])
def test_a_full_disk_is_one_clear_error_and_nothing_is_left_of_the_object(mounted: Path, free: int) -> None:
    (mounted / "other").write_bytes(bytes(8 * MiB - free))
    destination = LocalDestination(mounted)
    with pytest.raises(
        DestinationError, match=r"'app/1\.zip' could not be written .*: the disk is full: "
    ) as e:
        destination.write("app/1.zip", zeros(8 * MiB))
    assert isinstance(e.value.__cause__, OSError)
    assert (e.value.name, e.value.location, e.value.retryable) == ("app/1.zip", destination.location, False)
    assert files(mounted) == ["other"]
    (mounted / "other").unlink()
    assert destination.write("app/1.zip", zeros(7 * MiB)).size == 7 * MiB


def test_a_disk_that_can_hold_no_more_files_is_full(mounted: Path) -> None:
    destination = LocalDestination(mounted)

    def write_many() -> None:
        for number in range(12):
            destination.write(f"{number}.zip", [b"content"])

    with pytest.raises(DestinationError, match="the disk is full"):
        write_many()
    written = [stored.name for stored in destination.list()]
    assert written
    assert files(mounted) == written


def test_a_full_disk_keeps_the_object_that_was_to_be_replaced(mounted: Path) -> None:
    destination = LocalDestination(mounted)
    destination.write("index", [b"old"])
    with pytest.raises(DestinationError, match="the disk is full"):
        destination.write("index", zeros(9 * MiB), overwrite=True)
    assert (mounted / "index").read_bytes() == b"old"
    assert files(mounted) == ["index"]


def test_a_full_disk_ends_the_source_too(mounted: Path) -> None:
    closed: list[bool] = []

    def chunks() -> Iterator[bytes]:
        try:
            yield from zeros(9 * MiB)
        finally:
            closed.append(True)

    with pytest.raises(DestinationError):
        LocalDestination(mounted).write("object", chunks())
    assert closed == [True]


def test_a_read_only_disk_is_said_to_be_one(mounted: Path) -> None:
    destination = LocalDestination(mounted)
    destination.write("object", [b"content"])
    subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
    for ask in (
        lambda: destination.write("app/1.zip", [b"content"]),
        lambda: destination.write("object", [b"new"], overwrite=True),
        lambda: destination.delete("object"),
    ):
        with pytest.raises(AccessDeniedError, match="mount it writable"):
            ask()
    assert b"".join(destination.read("object")) == b"content"


@pytest.mark.parametrize("limit", [1, 4096, MiB, 3 * MiB + 1])
def test_a_limit_on_the_size_of_files_is_a_failed_write(tmp_path: Path, limit: int) -> None:
    code = """
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
        try:
            LocalDestination(folder).write("app/1.zip", [bytes(1 << 20)] * 4)
        except DestinationError as error:
            print(error)
        """
    assert "the file is larger than the file system or a limit of this process allows" in run(
        code, tmp_path, str(limit)
    )
    assert files(tmp_path) == []


@pytest.mark.parametrize(("size", "overwrite"), [(0, False), (3 * MiB, True)])
def test_a_killed_writer_leaves_nothing_but_a_leftover_that_can_be_discarded(
    tmp_path: Path, size: int, overwrite: bool
) -> None:
    destination = LocalDestination(tmp_path)
    before = [destination.write("app/1.zip", [b"old"])] if overwrite else []
    code = """
        def chunks():
            yield bytes(int(sys.argv[2]))
            print("ready", flush=True)
            sys.stdin.read()

        LocalDestination(folder).write("app/1.zip", chunks(), overwrite=True)
        """
    arguments = [sys.executable, "-c", PREAMBLE + textwrap.dedent(code), str(tmp_path), str(size)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        writer.kill()
    assert writer.returncode == -signal.SIGKILL

    assert [*destination.list()] == before
    (leftover,) = destination.leftovers("app/")
    assert leftover.size <= size
    destination.discard(leftover)
    assert [*destination.leftovers()] == []
    assert destination.write("app/1.zip", [b"next run"], overwrite=True).size == 8


def test_a_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    code = """
        import signal
        def chunks():
            yield bytes(2 << 20)
            os.kill(os.getpid(), signal.SIGINT)
            yield bytes(2 << 20)

        try:
            LocalDestination(folder).write("app/1.zip", chunks())
        except KeyboardInterrupt:
            print("interrupted")
        """
    assert run(code, tmp_path) == "interrupted"
    assert files(tmp_path) == []


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_ctrl_c_in_the_moment_in_which_the_file_is_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    def interrupted(*args: Any, **options: Any) -> NoReturn:
        opened(*args, **options)
        raise KeyboardInterrupt

    opened = os.open
    monkeypatch.setattr(os, "open", interrupted)
    with pytest.raises(KeyboardInterrupt):
        LocalDestination(tmp_path).write("1.zip", [b"content"], overwrite=overwrite)
    monkeypatch.undo()
    assert files(tmp_path) == []


def test_a_reader_does_not_mind_how_its_file_was_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def close(file: int) -> NoReturn:
        closed(file)
        raise OSError(errno.EIO, "Input/output error")

    closed = os.close
    destination = LocalDestination(tmp_path)
    destination.write("object", [b"content"])
    monkeypatch.setattr(os, "close", close)
    assert [*destination.read("object")] == [b"content"]
    stopped = destination.read("object")
    next(stopped)
    stopped.close()  # type: ignore[attr-defined]  # a generator


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can get to; pytest's own are for one user only."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def as_ordinary_user(code: str, folder: Path) -> str:
    """Permissions do not hold for root: the child imports first, then becomes nobody."""
    drop = f"if os.geteuid() == 0: os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
    return run(drop + textwrap.dedent(code), folder)


def test_a_folder_one_may_not_write_to_is_denied(open_folder: Path) -> None:
    disk = open_folder / "disk"
    disk.mkdir()
    disk.chmod(0o555)
    code = """
        for name in ("1.zip", "app/1.zip"):
            try:
                LocalDestination(folder + "/disk").write(name, [b"content"])
            except AccessDeniedError as error:
                print(error, isinstance(error.__cause__, PermissionError))
        """
    lines = as_ordinary_user(code, open_folder).splitlines()
    assert len(lines) == 2
    for line in lines:
        assert "1.zip' could not be written at file://" in line
        assert "permission denied: give this user the right" in line
        assert line.endswith("True")


def test_a_folder_one_may_not_look_into_fails_the_list_and_is_never_left_out(open_folder: Path) -> None:
    secret = open_folder / "secret"
    secret.mkdir()
    (secret / "object").write_bytes(b"content")
    secret.chmod(0)
    code = """
        try:
            print(list(LocalDestination(folder).list()))
        except AccessDeniedError as error:
            print("denied:", error)
        try:
            LocalDestination(folder).stat("secret/object")
        except AccessDeniedError as error:
            print("denied:", error)
        """
    try:
        lines = as_ordinary_user(code, open_folder).splitlines()
    finally:
        secret.chmod(0o700)
    assert [line.split(":")[0] for line in lines] == ["denied", "denied"]
    assert "The objects could not be listed at" in lines[0]
