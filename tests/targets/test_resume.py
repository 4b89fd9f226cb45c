"""Going on where a restore was interrupted: what counts as finished, what is redone, what is swept."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest

from backupkit.errors import IntegrityError
from backupkit.model import Entry, Owner, Problem
from backupkit.targets import DirectoryTarget
from backupkit.testing.entries import with_content
from backupkit.testing.trees import same_tree
from tests.targets.restoring import (
    NOBODY,
    WHEN,
    file,
    folder,
    hardlink,
    mode,
    names,
    needs_root,
    symlink,
    write,
)

PARTIAL = ".a.0123abcd.partial"


def dump(path: str, content: bytes = b"dump") -> Entry:
    """A file that no time is known of."""
    return with_content(Entry(path=path), content)


def resume(place: Path, *entries: Entry, overwrite: bool = False, setuid: bool = False) -> list[Problem]:
    target = DirectoryTarget(place, resume=True, overwrite=overwrite, setuid=setuid)
    return list(target.write(entries))


def unread(entry: Entry) -> Entry:
    """The same entry; reading its content fails the test."""
    return replace(with_content(entry, error=AssertionError(f"{entry.path} was read")), size=entry.size)


# What counts as finished


FINISHED = [
    [file("a")],
    [file("a", mode=0o400)],
    [file("a", mode=None)],
    [file("a", mode=0o4755)],
    [file("a", b"")],
    [symlink("a", "../elsewhere")],
    [file("a"), hardlink("b", "a"), hardlink("c", "a")],
    [hardlink("b", "not restored"), hardlink("c", "not restored")],
    [folder("d"), file("d/a")],
]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("entries", FINISHED, ids=str)
def test_what_is_finished_is_not_read_and_not_touched(
    tmp_path: Path, entries: list[Entry], overwrite: bool
) -> None:
    write(tmp_path, *entries)
    before = {name: (tmp_path / name).lstat() for name in names(tmp_path)}
    skipped: list[str] = []
    target = DirectoryTarget(
        tmp_path, resume=True, overwrite=overwrite, skipped=lambda entry: skipped.append(entry.path)
    )
    files = [entry.path for entry in entries if entry.kind != "directory"]
    assert list(target.check(map(unread, entries))) == []
    assert list(target.write(map(unread, entries))) == []
    assert skipped == files * 2
    for path in files:
        after = (tmp_path / path).lstat()
        assert (after.st_ino, after.st_ctime_ns) == (before[path].st_ino, before[path].st_ctime_ns)


def relink(path: Path) -> None:
    path.unlink()
    path.symlink_to("y")


def shorten(path: Path) -> None:
    os.truncate(path, 3)
    os.utime(path, ns=(WHEN, WHEN))


def pretend(path: Path) -> None:
    """A symlink that has all a file's entry asks for."""
    path.unlink()
    path.symlink_to("7 bytes")
    os.utime(path, ns=(WHEN, WHEN), follow_symlinks=False)


def replace_by_file(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"x")


UNFINISHED: list[tuple[Entry, Callable[[Path], object]]] = [
    (file("a"), lambda path: path.write_bytes(b"shorter")),  # as long, but of another time
    (file("a"), lambda path: os.utime(path, ns=(WHEN, WHEN + 1))),
    (file("a"), shorten),
    (file("a", b"7 bytes", 0o777), pretend),
    (file("a"), lambda path: path.chmod(0o600)),
    (file("a"), lambda path: path.chmod(0o4644)),
    (symlink("a", "x"), relink),
    (file("a"), relink),
    (symlink("a", "x"), replace_by_file),
]


@pytest.mark.parametrize(("entry", "change"), UNFINISHED)
def test_what_differs_is_in_the_way_as_ever_unless_overwritten(
    tmp_path: Path, entry: Entry, change: Callable[[Path], object]
) -> None:
    write(tmp_path, entry)
    change(tmp_path / "a")
    before = (tmp_path / "a").lstat()
    target = DirectoryTarget(tmp_path, resume=True)
    (problem,) = target.check([entry])
    assert "it exists already" in problem.message
    assert list(target.write([entry])) == [problem]
    assert (tmp_path / "a").lstat() == before
    assert list(DirectoryTarget(tmp_path, resume=True, overwrite=True).check([entry])) == []
    assert resume(tmp_path, entry, overwrite=True) == []
    write(tmp_path / "fresh", entry)
    assert same_tree(tmp_path / "fresh", tmp_path / "fresh") == []
    assert (tmp_path / "a").lstat().st_size == (tmp_path / "fresh/a").lstat().st_size
    assert mode(tmp_path / "a") == mode(tmp_path / "fresh/a")


@needs_root
def test_a_file_of_somebody_else_is_not_finished(tmp_path: Path) -> None:
    ours = replace(file("a"), owner=Owner(uid=os.getuid(), gid=os.getgid()))
    write(tmp_path, ours)
    os.chown(tmp_path / "a", NOBODY, NOBODY)
    assert [problem.path for problem in resume(tmp_path, ours)] == ["a"]
    theirs = replace(ours, owner=Owner(uid=NOBODY, gid=NOBODY))
    assert resume(tmp_path, unread(theirs)) == []


def test_a_hard_link_is_finished_only_as_the_same_file(tmp_path: Path) -> None:
    write(tmp_path, file("a"), file("b"))
    assert [problem.path for problem in resume(tmp_path, file("a"), hardlink("b", "a"))] == ["b"]
    assert resume(tmp_path, file("a"), hardlink("b", "a"), overwrite=True) == []
    assert (tmp_path / "b").samefile(tmp_path / "a")


def test_a_hard_link_is_made_to_a_file_that_was_finished(tmp_path: Path) -> None:
    write(tmp_path, file("a"))
    assert resume(tmp_path, unread(file("a")), unread(hardlink("b", "a"))) == []
    assert (tmp_path / "b").samefile(tmp_path / "a")


def test_a_file_is_no_hard_link_to_what_is_only_restored_now(tmp_path: Path) -> None:
    write(tmp_path, file("b"))
    problems = resume(tmp_path, folder("new"), file("new/a"), hardlink("b", "new/a"))
    assert [problem.path for problem in problems] == ["b"]


def test_a_hard_link_is_made_to_a_finished_one_where_the_file_itself_is_not_restored(tmp_path: Path) -> None:
    write(tmp_path, hardlink("b", "not restored"))
    entries = [unread(hardlink("b", "not restored")), unread(hardlink("c", "not restored"))]
    assert resume(tmp_path, *entries) == []
    assert (tmp_path / "b").samefile(tmp_path / "c")


def test_a_folder_gets_its_mode_and_time_from_the_restore_that_ends(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir(mode=0o700)
    assert resume(tmp_path, folder("d", 0o750), file("d/a")) == []
    assert mode(tmp_path / "d") == 0o750
    assert (tmp_path / "d").stat().st_mtime_ns == WHEN


def test_nothing_is_finished_unless_resumed(tmp_path: Path) -> None:
    write(tmp_path, file("a"))
    assert [problem.path for problem in write(tmp_path, file("a"))] == ["a"]


# What only the content can tell


def test_a_file_without_a_time_is_finished_if_its_content_is_the_same(tmp_path: Path) -> None:
    write(tmp_path, dump("a"), dump("b"))
    before = (tmp_path / "a").stat()
    skipped: list[str] = []
    target = DirectoryTarget(tmp_path, resume=True, skipped=lambda entry: skipped.append(entry.path))
    unknown = replace(dump("b"), size=None, modified_ns=None)
    assert list(target.check([unread(dump("a")), unread(unknown)])) == []
    assert skipped == []
    assert list(target.write([dump("a"), unknown])) == []
    assert skipped == ["a", "b"]
    assert (tmp_path / "a").stat().st_ctime_ns == before.st_ctime_ns


def test_a_file_without_a_time_is_restored_again_when_overwriting(tmp_path: Path) -> None:
    write(tmp_path, dump("a"), hardlink("b", "a"))
    before = (tmp_path / "a").stat()
    assert resume(tmp_path, dump("a"), hardlink("b", "a"), overwrite=True) == []
    assert (tmp_path / "a").stat().st_ino != before.st_ino
    assert (tmp_path / "a").samefile(tmp_path / "b")


@pytest.mark.parametrize("there", [b"damp", b"dum", b"dumps", b""])
def test_a_file_without_a_time_and_with_other_content_stays_and_is_told(tmp_path: Path, there: bytes) -> None:
    write(tmp_path, dump("a", there))
    unknown = replace(dump("a"), size=None)
    (problem,) = resume(tmp_path, unknown)
    assert "it exists already" in problem.message
    assert (tmp_path / "a").read_bytes() == there
    assert resume(tmp_path, unknown, overwrite=True) == []
    assert (tmp_path / "a").read_bytes() == b"dump"


def test_a_hard_link_to_what_has_other_content_is_not_finished(tmp_path: Path) -> None:
    write(tmp_path, dump("a", b"damp"), hardlink("b", "a"))
    assert (tmp_path / "a").samefile(tmp_path / "b")
    problems = resume(tmp_path, dump("a"), hardlink("b", "a"))
    assert [problem.path for problem in problems] == ["a", "b"]
    assert resume(tmp_path, dump("a"), hardlink("b", "a"), overwrite=True) == []
    assert (tmp_path / "b").read_bytes() == b"dump"
    assert (tmp_path / "a").samefile(tmp_path / "b")


def test_damage_that_comparing_finds_is_told(tmp_path: Path) -> None:
    write(tmp_path, dump("a"))
    damaged = with_content(Entry(path="a"), b"dump", error=IntegrityError("damaged", where="a"))
    assert [problem.message for problem in resume(tmp_path, damaged)] == ["damaged"]


# What the interrupted restore left behind


def test_unfinished_files_beside_their_entries_are_removed(tmp_path: Path) -> None:
    long = "n" * 200
    tops = [PARTIAL, f".{long[:50]}.0123abcd.partial"]
    for name in tops:
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / PARTIAL).symlink_to("nowhere")
    assert resume(tmp_path, file("a"), folder("d"), symlink("d/a", "x"), file(long)) == []
    assert names(tmp_path) == ["a", "d", "d/a", long]


def test_an_unfinished_file_beside_a_finished_one_is_removed(tmp_path: Path) -> None:
    write(tmp_path, file("a"))
    os.link(tmp_path / "a", tmp_path / PARTIAL)
    assert resume(tmp_path, unread(file("a"))) == []
    assert names(tmp_path) == ["a"]


KEPT = [
    ".b.0123abcd.partial",  # of no entry
    ".a.0123ABCD.partial",
    ".a.0123abc.partial",
    ".a.0123abcd.partial.",
    "a.0123abcd.partial",
    ".a.partial",
]


@pytest.mark.parametrize("name", KEPT)
def test_files_of_any_other_name_stay(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"mine")
    assert resume(tmp_path, file("a")) == []
    assert names(tmp_path) == sorted([name, "a"])


def test_a_folder_of_such_a_name_stays(tmp_path: Path) -> None:
    (tmp_path / PARTIAL).mkdir()
    assert resume(tmp_path, file("a")) == []
    assert names(tmp_path) == [PARTIAL, "a"]


@needs_root
def test_such_a_file_of_somebody_else_stays(tmp_path: Path) -> None:
    (tmp_path / PARTIAL).write_bytes(b"theirs")
    os.chown(tmp_path / PARTIAL, NOBODY, NOBODY)
    assert resume(tmp_path, file("a")) == []
    assert names(tmp_path) == [PARTIAL, "a"]


def test_unfinished_files_stay_unless_resumed_and_where_no_entry_goes(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    for place in (tmp_path, tmp_path / "elsewhere"):
        (place / PARTIAL).write_bytes(b"half")
    assert write(tmp_path, file("a"), file("elsewhere/b")) == []
    assert resume(tmp_path, file("sub/a")) == []
    assert names(tmp_path)[:2] == [PARTIAL, "a"]
    assert f"elsewhere/{PARTIAL}" in names(tmp_path)


def test_an_entry_whose_name_looks_unfinished_is_an_entry(tmp_path: Path) -> None:
    entries = [file(PARTIAL), file("a"), file(".!.0123abcd.partial"), file("!")]
    write(tmp_path, *entries)
    assert resume(tmp_path, *entries) == []
    assert names(tmp_path) == sorted(entry.path for entry in entries)


# Killed at every step

MODIFYING = ("open", "mkdir", "write", "symlink", "link", "rename", "unlink", "utime", "fchmod", "close")
TREE = [
    folder("app", 0o750),
    file("app/empty", b""),
    file("app/one", b"one" * 100, 0o640),
    folder("app/read-only", 0o555),
    file("app/read-only/two", b"two", 0o400),
    symlink("app/link", "one"),
    hardlink("app/same", "app/one", b"one" * 100),
    replace(with_content(file("app/sparse"), bytes(1 << 21)), holes=((0, 1 << 21),)),
    dump("db-dumps/shop.sql", b"create table" * 10),
    file("implied/folder/three", b"three"),
]


# No entry has their time.
UNDESCRIBED = tuple(
    f"{name!r}: modified_ns" for name in (".", "db-dumps", "db-dumps/shop.sql", "implied", "implied/folder")
)


def die(*_: object) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


def restore_and_be_killed(place: Path, step: int) -> bool:
    """Restore the tree in a process that is killed before its so many-th change; whether it came that far."""
    child = os.fork()
    if not child:
        left = iter(range(step))
        try:
            for name in MODIFYING:
                real = getattr(os, name)
                setattr(os, name, partial(_counted, real, left))
            list(DirectoryTarget(place).write(TREE))
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def _counted(real: Callable[..., object], left: Iterator[int], *args: object, **kwargs: object) -> object:
    if next(left, None) is None:
        die()
    return real(*args, **kwargs)


def test_a_restore_killed_at_any_step_is_completed_and_nothing_finished_is_redone(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    assert write(whole, *TREE) == []
    steps = 0
    while restore_and_be_killed(place := tmp_path / str(steps), steps):
        steps += 1
        finished = {
            entry.path: (place / entry.path).lstat()
            for entry in TREE
            if entry.kind != "directory" and os.path.lexists(place / entry.path)
        }
        pulled: list[str] = []
        entries = [replace(entry, chunks=partial(_pulled, entry, pulled)) for entry in TREE]
        skipped: list[str] = []
        target = DirectoryTarget(place, resume=True, skipped=lambda entry, to=skipped: to.append(entry.path))  # type: ignore[misc]
        assert list(target.check(entries)) == []
        assert pulled == []
        skipped.clear()
        assert list(target.write(entries)) == []
        assert [line for line in same_tree(whole, place) if not line.startswith(UNDESCRIBED)] == []
        assert skipped == list(finished)
        assert not {*pulled} & {*finished} - {"db-dumps/shop.sql"}
        for path, before in finished.items():
            after = (place / path).lstat()
            assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert steps > 50


def _pulled(entry: Entry, pulled: list[str]) -> Iterator[bytes]:
    pulled.append(entry.path)
    yield from entry.chunks()
