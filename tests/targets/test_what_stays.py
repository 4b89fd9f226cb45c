"""What DirectoryTarget leaves alone, and what it never leaves behind."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from backupkit.errors import (
    ConfigurationError,
    IntegrityError,
    ObjectNotFoundError,
    OperationCancelledError,
    RestoreError,
    SourceError,
    WrongPassphraseError,
)
from backupkit.model import Entry
from backupkit.targets import DirectoryTarget
from backupkit.testing.entries import with_content
from tests.targets.restoring import (
    WHEN,
    check,
    file,
    folder,
    hardlink,
    mode,
    names,
    needs_root,
    symlink,
    write,
)


def test_an_existing_file_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    before = (tmp_path / "a").stat()
    (problem,) = write(tmp_path, file("a", b"new"))
    assert (problem.severity, problem.path) == ("error", "a")
    assert "overwrite" in problem.message
    assert (tmp_path / "a").read_bytes() == b"old"
    assert (tmp_path / "a").stat().st_ctime_ns == before.st_ctime_ns
    assert names(tmp_path) == ["a"]


def test_the_content_of_a_refused_entry_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    assert len(write(tmp_path, with_content(Entry(path="a"), error=AssertionError("it was read")))) == 1


@pytest.mark.parametrize("entry", [file("a"), symlink("a", "x"), hardlink("a", "b")], ids=lambda e: e.kind)
def test_an_existing_symlink_stays_as_it_is(tmp_path: Path, entry: Entry) -> None:
    (tmp_path / "a").symlink_to("elsewhere")
    assert [problem.path for problem in write(tmp_path, entry)] == ["a"]
    assert os.readlink(tmp_path / "a") == "elsewhere"
    assert names(tmp_path) == ["a"]


def test_what_appears_while_a_file_is_written_stays_as_it_is(tmp_path: Path) -> None:
    def content() -> Iterator[bytes]:
        yield b"restored"
        (tmp_path / "a").write_bytes(b"from somebody else")

    (problem,) = write(tmp_path, Entry(path="a", chunks=content))
    assert problem.path == "a"
    assert (tmp_path / "a").read_bytes() == b"from somebody else"
    assert names(tmp_path) == ["a"]


def test_overwrite_replaces_files_and_links(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "c").write_bytes(b"old")
    assert write(tmp_path, file("a", b"new"), file("b", b"new b"), symlink("c", "a"), overwrite=True) == []
    assert (tmp_path / "a").read_bytes() == b"new"
    assert (tmp_path / "b").read_bytes() == b"new b"
    assert os.readlink(tmp_path / "c") == "a"
    assert names(tmp_path) == ["a", "b", "c"]


def test_overwrite_keeps_the_old_file_when_the_new_one_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    damaged = with_content(Entry(path="a"), b"ne", error=IntegrityError("damaged", where="a"))
    assert len(write(tmp_path, damaged, overwrite=True)) == 1
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("entry", [file("a"), symlink("a", "x"), hardlink("a", "b")], ids=lambda e: e.kind)
def test_a_folder_never_gives_way(tmp_path: Path, entry: Entry, overwrite: bool) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").write_bytes(b"old")
    assert [problem.path for problem in write(tmp_path, entry, overwrite=overwrite)] == ["a"]
    assert names(tmp_path) == ["a", "a/b"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_never_gives_way_to_a_folder_nor_to_what_is_in_it(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "a").write_bytes(b"old")
    problems = write(tmp_path, folder("a"), file("a/b"), file("c"), overwrite=overwrite)
    assert [problem.path for problem in problems] == ["a", "a/b"]
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a", "c"]


def test_what_comes_after_a_blocked_folder_goes_where_it_belongs(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x/y").write_bytes(b"old")
    assert [problem.path for problem in write(tmp_path, file("a/b"), file("x/y/z"), file("a/c"))] == ["x/y/z"]
    assert names(tmp_path) == ["a", "a/b", "a/c", "x", "x/y"]


def test_an_existing_folder_is_merged_and_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o711)
    (tmp_path / "a/old").write_bytes(b"old")
    assert write(tmp_path, folder("a", 0o750), file("a/new")) == []
    assert names(tmp_path) == ["a", "a/new", "a/old"]
    assert mode(tmp_path / "a") == 0o711


def test_overwrite_gives_an_existing_folder_its_mode_and_time(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o711)
    assert write(tmp_path, folder("a", 0o750), file("a/new"), overwrite=True) == []
    assert mode(tmp_path / "a") == 0o750
    assert (tmp_path / "a").stat().st_mtime_ns == WHEN


class OddError(Exception):
    pass


OF_THE_ENTRY = [
    IntegrityError("'a' is damaged", where="a"),
    SourceError("'a' cannot be read", path="a"),
    OSError(errno.EIO, "input/output error"),
]
OF_EVERYTHING = [
    WrongPassphraseError("wrong passphrase"),
    OperationCancelledError("cancelled"),
    ObjectNotFoundError("gone", location="here"),
    KeyboardInterrupt(),
    OddError(),
]


@pytest.mark.parametrize("error", OF_THE_ENTRY, ids=lambda error: type(error).__name__)
def test_an_entry_that_fails_half_way_leaves_nothing_and_the_rest_goes_on(
    tmp_path: Path, error: Exception
) -> None:
    failing = with_content(Entry(path="a"), b"half", error=error)
    (problem,) = write(tmp_path, failing, file("b"))
    assert (problem.severity, problem.path) == ("error", "a")
    assert names(tmp_path) == ["b"]


@pytest.mark.parametrize("error", OF_EVERYTHING, ids=lambda error: type(error).__name__)
def test_what_ends_the_restore_passes_through_and_leaves_no_partial_file(
    tmp_path: Path, error: BaseException
) -> None:
    failing = with_content(Entry(path="a"), b"half", error=error)
    with pytest.raises(type(error)) as caught:
        write(tmp_path, file("z"), failing, file("b"))
    assert caught.value is error
    assert names(tmp_path) == ["z"]


def test_a_file_has_no_name_before_its_last_chunk(tmp_path: Path) -> None:
    seen: list[tuple[list[str], int]] = []

    def content() -> Iterator[bytes]:
        yield b"one"
        (partial,) = os.listdir(tmp_path)
        seen.append((names(tmp_path), mode(tmp_path / partial)))
        yield b"two"

    assert write(tmp_path, Entry(path="name", mode=0o644, chunks=content)) == []
    ((listed, bits),) = seen
    assert listed[0].startswith(".name.")
    assert listed[0].endswith(".partial")
    assert bits == 0o600
    assert names(tmp_path) == ["name"]


def test_problems_come_while_the_entries_do(tmp_path: Path) -> None:
    def entries() -> Iterator[Entry]:
        yield file("../x")
        raise AssertionError("the problem was held back")

    problems = DirectoryTarget(tmp_path).write(entries())
    assert next(problems).path == "../x"


@needs_root
@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
def test_a_full_disk_ends_the_restore_and_leaves_no_partial_file(tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(place)], check=False
    ).returncode:
        pytest.skip("tmpfs cannot be mounted here")
    try:
        big = with_content(Entry(path="big"), *[bytes(65536)] * 8)
        with pytest.raises(RestoreError, match="full") as caught:
            write(place, file("first"), big, file("later"))
        assert caught.value.path == "big"
        assert names(place) == ["first"]
        (problem,) = check(place, big)
        assert "524.3 kB" in problem.message
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_folder_that_cannot_be_made_is_a_restore_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RestoreError):
        write(tmp_path / "file/below", file("a"))
    with pytest.raises(RestoreError):
        write(tmp_path / "file", file("a"))


def test_an_empty_folder_name_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError):
        DirectoryTarget("")


@pytest.mark.parametrize("call", ["open", "symlink", "link", "close"])
def test_a_ctrl_c_in_the_moment_in_which_something_is_made_leaves_nothing_unfinished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    real = getattr(os, call)

    def interrupted(*args: Any, **options: Any) -> Any:
        answer = real(*args, **options)
        if any(".partial" in name for name in names(tmp_path)):
            monkeypatch.setattr(os, call, real)
            raise KeyboardInterrupt
        return answer

    entries = {"open": file("a"), "symlink": symlink("a", "b")}
    write(tmp_path, file("0"))
    monkeypatch.setattr(os, call, interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, file("a"), entries.get(call, hardlink("b", "a")), overwrite=True)
    assert [name for name in names(tmp_path) if ".partial" in name] == []


@pytest.mark.parametrize("call", ["close", "dup"])
def test_a_hard_link_that_cannot_be_made_is_a_file_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    real = getattr(os, call)

    def fails(fd: int) -> NoReturn:
        if call == "close":
            real(fd)
        monkeypatch.setattr(os, call, real)
        raise OSError(errno.EIO, "Input/output error")

    def entries() -> Iterator[Entry]:
        yield file("a")
        monkeypatch.setattr(os, call, fails)
        yield hardlink("b", "a")

    assert [*DirectoryTarget(tmp_path).write(entries())] == []
    assert names(tmp_path) == ["a", "b"]
    assert (tmp_path / "b").read_bytes() == b"content"


def test_a_folder_that_closes_with_an_error_was_restored_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.close

    def entries() -> Iterator[Entry]:
        yield file("a")
        monkeypatch.setattr(os, "close", fails)

    def fails(fd: int) -> NoReturn:
        real(fd)
        raise OSError(errno.EIO, "Input/output error")

    assert [*DirectoryTarget(tmp_path).write(entries())] == []
