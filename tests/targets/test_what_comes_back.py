"""What DirectoryTarget restores: content, links, holes and metadata."""

from __future__ import annotations

import itertools
import os
import resource
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backupkit.model import Entry, Owner
from backupkit.targets import DirectoryTarget
from backupkit.testing.entries import with_content
from tests.leftovers import no_file_left_open
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


def test_a_file_comes_back_with_content_mode_and_time(tmp_path: Path) -> None:
    assert write(tmp_path / "new", file("a.txt", b"hello", 0o640)) == []
    restored = tmp_path / "new/a.txt"
    assert restored.read_bytes() == b"hello"
    assert mode(restored) == 0o640
    assert restored.stat().st_mtime_ns == WHEN


def test_a_read_only_file_and_an_empty_one_come_back(tmp_path: Path) -> None:
    assert write(tmp_path, file("a", b"x", 0o400), with_content(Entry(path="b", mode=0o600))) == []
    assert mode(tmp_path / "a") == 0o400
    assert (tmp_path / "b").read_bytes() == b""


def test_a_file_without_a_recorded_mode_is_for_its_owner_only(tmp_path: Path) -> None:
    write(tmp_path, file("dump.sql", mode=None))
    assert mode(tmp_path / "dump.sql") == 0o600


def test_a_folder_gets_its_mode_and_time_after_its_content(tmp_path: Path) -> None:
    problems = write(tmp_path, folder("a", 0o555), folder("a/b", 0o500), file("a/b/c"), file("a/d"))
    assert problems == []
    assert [mode(tmp_path / "a"), mode(tmp_path / "a/b")] == [0o555, 0o500]
    assert (tmp_path / "a").stat().st_mtime_ns == WHEN
    assert (tmp_path / "a/b").stat().st_mtime_ns == WHEN
    (tmp_path / "a").chmod(0o700)
    (tmp_path / "a/b").chmod(0o700)


def test_an_ordinary_user_gets_folders_that_lock_him_out(tmp_path: Path) -> None:
    script = (
        "import os, sys\n"
        "from backupkit.targets import DirectoryTarget\n"
        "from tests.targets.restoring import NOBODY, ROOT, file, folder, mode, write\n"
        "from pathlib import Path\n"
        "if ROOT: os.setgroups([]); os.setgid(NOBODY); os.setuid(NOBODY)\n"
        "place = Path(sys.argv[1], 'new')\n"
        "print(write(place, folder('a', 0), folder('a/b', 0o750), file('a/b/c'), folder('d')))\n"
        "print(oct(mode(place / 'a')))\n"
        "(place / 'a').chmod(0o700)\n"
        "print(oct(mode(place / 'a/b')))\n"
    )
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        Path(place).chmod(0o777)
        done = subprocess.run(
            [sys.executable, "-c", script, place],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout == "[]\n0o0\n0o750\n"


def test_a_folder_is_closed_to_others_until_the_end(tmp_path: Path) -> None:
    seen: list[int] = []

    def entries() -> Iterator[Entry]:
        yield folder("private", 0o755)
        yield file("private/a")
        seen.append(mode(tmp_path / "private"))

    assert list(DirectoryTarget(tmp_path).write(entries())) == []
    assert seen == [0o700]
    assert mode(tmp_path / "private") == 0o755


def test_folders_that_are_not_among_the_entries_are_made(tmp_path: Path) -> None:
    before = os.umask(0o040)
    try:
        assert write(tmp_path, file("a/b/c")) == []
    finally:
        os.umask(before)
    assert mode(tmp_path / "a") == 0o715
    assert (tmp_path / "a/b/c").read_bytes() == b"content"


def test_folders_deeper_than_there_are_descriptors_come_back(tmp_path: Path) -> None:
    deep = "/".join("d" * 200)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (_open_descriptors() + 60, hard))
    try:
        problems = write(tmp_path, file(f"{deep}/a"), file(f"{deep}/b"), file("d/c"), file(f"{deep}/e/f"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert problems == []
    assert (tmp_path / deep / "b").read_bytes() == b"content"
    assert (tmp_path / deep / "e/f").read_bytes() == b"content"
    assert (tmp_path / "d/c").read_bytes() == b"content"


def _open_descriptors() -> int:
    return max(int(fd) for fd in os.listdir("/dev/fd")) + 1


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    with no_file_left_open():
        write(tmp_path, folder("a"), file("a/b"), hardlink("c/d", "a/b"), symlink("s", "a"), file("s/x"))
        check(tmp_path, file("a/b"), file("c/x"))


def test_a_symlink_comes_back_as_it_is_wherever_it_points(tmp_path: Path) -> None:
    place = tmp_path / "new"
    assert (
        write(place, symlink("up", "../../etc/passwd"), symlink("abs", "/etc"), symlink("gone", "\udcff"))
        == []
    )
    assert os.readlink(place / "up") == "../../etc/passwd"
    assert os.readlink(place / "abs") == "/etc"
    assert os.readlink(place / "gone") == "\udcff"
    assert (place / "abs").lstat().st_mtime_ns == WHEN


def test_hardlinks_come_back_as_one_file(tmp_path: Path) -> None:
    assert write(tmp_path, file("a/one"), hardlink("b/two", "a/one"), hardlink("three", "a/one")) == []
    assert (tmp_path / "a/one").stat().st_nlink == 3
    assert (tmp_path / "b/two").samefile(tmp_path / "a/one")
    assert names(tmp_path) == ["a", "a/one", "b", "b/two", "three"]


def test_hardlinks_whose_target_is_not_restored_share_the_content_of_the_first(tmp_path: Path) -> None:
    assert write(tmp_path, hardlink("two", "one", b"text"), hardlink("three", "one", b"text")) == []
    assert (tmp_path / "two").read_bytes() == b"text"
    assert (tmp_path / "two").samefile(tmp_path / "three")


def test_a_hardlink_is_never_made_to_a_file_that_was_there_before(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"old")
    problems = write(tmp_path, file("one", b"new"), hardlink("two", "one", b"new"))
    assert [problem.path for problem in problems] == ["one"]
    assert (tmp_path / "one").read_bytes() == b"old"
    assert (tmp_path / "two").read_bytes() == b"new"


def test_overwriting_one_name_of_a_file_with_another_leaves_no_partial(tmp_path: Path) -> None:
    entries = [file("one"), hardlink("two", "one"), hardlink("two", "one")]
    assert write(tmp_path, *entries, overwrite=True) == []
    assert names(tmp_path) == ["one", "two"]
    assert (tmp_path / "one").stat().st_nlink == 2


def test_names_that_are_not_utf8_or_odd_come_back(tmp_path: Path) -> None:
    odd = ["\udcff\udcfe", " lead", "trail ", "new\nline", "-rf", "a\\b", "größe", "~", "..."]
    assert write(tmp_path, *(file(name) for name in odd)) == []
    assert sorted(os.listdir(tmp_path)) == sorted(odd)


@pytest.mark.parametrize("name", ["n" * 255, "\udcff" * 255, "ü" * 127, "𝄞" * 63])
def test_the_longest_names_come_back(tmp_path: Path, name: str) -> None:
    assert write(tmp_path, file(name)) == []
    assert names(tmp_path) == [name]


def can_set_xattrs(place: Path) -> bool:
    try:
        os.setxattr(place, "user.backupkit", b"")
    except (OSError, AttributeError):
        return False
    os.removexattr(place, "user.backupkit")
    return True


def test_xattrs_of_files_and_folders_come_back(tmp_path: Path) -> None:
    if not can_set_xattrs(tmp_path):
        pytest.skip("this file system has no extended attributes for users")
    marked = {"user.a": b"\x00\xff", "user.b": b""}
    problems = write(
        tmp_path, replace(folder("d"), xattrs=marked), replace(file("d/f", mode=0o400), xattrs=marked)
    )
    assert problems == []
    for path in (tmp_path / "d", tmp_path / "d/f"):
        assert {name: os.getxattr(path, name) for name in os.listxattr(path)} == marked


KIB64 = 65536


def test_holes_come_back_as_holes(tmp_path: Path) -> None:
    content = bytes(16 * KIB64) + b"x" * KIB64 + bytes(16 * KIB64)
    holes = ((0, 16 * KIB64), (17 * KIB64, 16 * KIB64))
    chunks = [content[start : start + 50_000] for start in range(0, len(content), 50_000)]
    assert write(tmp_path, replace(with_content(Entry(path="a"), *chunks), holes=holes)) == []
    restored = tmp_path / "a"
    assert restored.read_bytes() == content
    assert restored.stat().st_blocks * 512 < 4 * KIB64


def test_zeros_become_holes_when_asked_for(tmp_path: Path) -> None:
    content = bytes(16 * KIB64) + b"x" * KIB64 + bytes(16 * KIB64)
    chunks = [content[start : start + 50_000] for start in range(0, len(content), 50_000)]
    entry = with_content(Entry(path="a"), *chunks)
    for sparse in (False, True):
        place = tmp_path / str(sparse)
        assert list(DirectoryTarget(place, sparse=sparse).write([entry])) == []
        assert (place / "a").read_bytes() == content
        assert ((place / "a").stat().st_blocks * 512 < 4 * KIB64) == sparse


@given(
    pieces=st.lists(st.tuples(st.sampled_from([b"\0", b"\1"]), st.integers(0, 9000)), max_size=6),
    cuts=st.lists(st.integers(1, 9000), max_size=6),
)
def test_leaving_out_zeros_loses_nothing(pieces: list[tuple[bytes, int]], cuts: list[int]) -> None:
    content = b"".join(byte * count for byte, count in pieces)
    ends = list(itertools.accumulate(cuts, initial=0))
    chunks = [content[start:end] for start, end in itertools.pairwise([*ends, len(content) + ends[-1]])]
    with tempfile.TemporaryDirectory() as place:
        assert list(DirectoryTarget(place, sparse=True).write([with_content(Entry(path="a"), *chunks)])) == []
        assert Path(place, "a").read_bytes() == content


@given(
    content=st.binary(min_size=1, max_size=40),
    cuts=st.lists(st.integers(1, 10), max_size=6),
    holes=st.lists(st.tuples(st.integers(-3, 40), st.integers(-3, 40)), max_size=4),
)
def test_content_is_never_lost_to_a_hole_that_is_none(
    content: bytes, cuts: list[int], holes: list[tuple[int, int]]
) -> None:
    ends = list(itertools.accumulate(cuts, initial=0))
    chunks = [content[start:end] for start, end in itertools.pairwise([*ends, len(content) + ends[-1]])]
    with tempfile.TemporaryDirectory() as place:
        entry = replace(with_content(Entry(path="a"), *chunks), holes=tuple(holes))
        assert write(Path(place), entry) == []
        assert Path(place, "a").read_bytes() == content


@needs_root
def test_root_restores_owners_by_number_where_the_name_is_unknown(tmp_path: Path) -> None:
    owner = Owner(uid=4242, gid=4343, user="nobody-of-this-name", group="no-such-group")
    entries = [folder("d"), file("d/f"), symlink("d/s", "x")]
    assert write(tmp_path, *(replace(entry, owner=owner) for entry in entries)) == []
    for path in (tmp_path / "d", tmp_path / "d/f", tmp_path / "d/s"):
        assert (path.lstat().st_uid, path.lstat().st_gid) == (4242, 4343)


@needs_root
def test_root_restores_owners_by_name_before_number(tmp_path: Path) -> None:
    assert (
        write(tmp_path, replace(file("f"), owner=Owner(uid=4242, gid=4343, user="root", group="root"))) == []
    )
    assert ((tmp_path / "f").stat().st_uid, (tmp_path / "f").stat().st_gid) == (0, 0)


component = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8
).filter(lambda name: name not in {".", ".."})
trees: st.SearchStrategy[dict[str, object]] = st.recursive(
    st.binary(max_size=50) | st.text("abc/.", min_size=1, max_size=6),
    lambda children: st.dictionaries(component, children, max_size=4),
    max_leaves=12,
).filter(lambda tree: isinstance(tree, dict))  # type: ignore[assignment]  # filter() does not narrow


def entries_of(tree: dict[str, object], above: str = "") -> Iterator[Entry]:
    """A folder for a dict, a file for bytes, a symlink for a text; parents first."""
    for number, (name, node) in enumerate(sorted(tree.items())):
        path = above + name
        if isinstance(node, dict):
            yield replace(folder(path, 0o700 + number), modified_ns=WHEN + number)
            yield from entries_of(node, f"{path}/")
        elif isinstance(node, bytes):
            yield replace(file(path, node, 0o600 + number), modified_ns=WHEN + number)
        else:
            yield symlink(path, str(node))


def tree_at(place: Path) -> Iterator[tuple[str, str, int | None, int, object]]:
    for path in place.rglob("*"):
        status = path.lstat()
        kind = "symlink" if path.is_symlink() else "directory" if path.is_dir() else "file"
        content = os.readlink(path) if kind == "symlink" else path.read_bytes() if kind == "file" else None
        bits = None if kind == "symlink" else stat.S_IMODE(status.st_mode)
        yield str(path.relative_to(place)), kind, bits, status.st_mtime_ns, content


@settings(deadline=None)
@given(trees)
def test_writing_the_entries_of_a_tree_gives_the_tree(tree: dict[str, object]) -> None:
    entries = list(entries_of(tree))
    expected = [
        (
            entry.path,
            entry.kind,
            entry.mode,
            entry.modified_ns,
            entry.target
            if entry.kind == "symlink"
            else b"".join(entry.chunks())
            if entry.kind == "file"
            else None,
        )
        for entry in entries
    ]
    with tempfile.TemporaryDirectory() as place:
        assert write(Path(place), *entries) == []
        assert sorted(tree_at(Path(place)), key=str) == sorted(expected, key=str)
        assert len(write(Path(place), *entries)) == sum(entry.kind != "directory" for entry in entries)
        assert write(Path(place), *entries, overwrite=True) == []
        assert sorted(tree_at(Path(place)), key=str) == sorted(expected, key=str)
