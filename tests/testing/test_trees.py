from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from backupkit.testing.trees import File, Folder, Hardlink, Node, Symlink, same_tree, tree

MODIFIED = 1_234_567_890_123_456_789

SHOP: dict[str, Node] = {
    "index.html": "<h1>Schön</h1>",
    "run.sh": File("#!/bin/sh\n", mode=0o755, modified_ns=MODIFIED),
    "uploads": Folder(
        {"a.jpg": b"\xff\xd8", "newest": Symlink("a.jpg", modified_ns=MODIFIED), "deep": {"empty": {}}},
        mode=0o750,
        modified_ns=MODIFIED,
    ),
    "copy.jpg": Hardlink("uploads/a.jpg"),
    "sparse": File({8 << 20: b"end"}, size=16 << 20),
}


def test_a_tree_is_what_its_literal_says(tmp_path: Path) -> None:
    root = tree(tmp_path / "not" / "there" / "yet", SHOP)
    assert (root / "index.html").read_text(encoding="utf-8") == "<h1>Schön</h1>"
    assert (root / "run.sh").stat().st_mode & 0o7777 == 0o755
    assert (root / "run.sh").stat().st_mtime_ns == MODIFIED
    assert (root / "uploads").stat().st_mode & 0o7777 == 0o750
    assert (root / "uploads").stat().st_mtime_ns == MODIFIED
    assert (root / "uploads" / "newest").readlink() == Path("a.jpg")
    assert os.lstat(root / "uploads" / "newest").st_mtime_ns == MODIFIED
    assert (root / "uploads" / "deep" / "empty").is_dir()
    assert (root / "copy.jpg").samefile(root / "uploads" / "a.jpg")
    assert (root / "sparse").read_bytes() == bytes(8 << 20) + b"end" + bytes((8 << 20) - 3)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two equal trees."""
    a, b = tree(tmp_path / "a", SHOP), tree(tmp_path / "b", SHOP)
    for path in (".", "index.html", "uploads/a.jpg", "uploads/deep", "uploads/deep/empty", "sparse"):
        _set_time(a / path, MODIFIED)
        _set_time(b / path, MODIFIED)
    return a, b


def _set_time(path: Path, time: int) -> None:
    os.utime(path, ns=(time, time))


def _replace(path: Path, make: Callable[[Path], object]) -> None:
    """Put something else there without changing the folder's time."""
    before = path.parent.stat().st_mtime_ns
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    make(path)
    _set_time(path.parent, before)


def _rewrite(path: Path) -> None:
    before = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    _set_time(path, before.st_mtime_ns)


def _fill(path: Path) -> None:
    before = path.stat()
    path.write_bytes(path.read_bytes())
    _set_time(path, before.st_mtime_ns)


def _touch(path: Path) -> None:
    path.touch()
    _set_time(path.parent, MODIFIED)


def _point_to_b(path: Path) -> None:
    path.symlink_to("b")
    os.utime(path, ns=(MODIFIED, MODIFIED), follow_symlinks=False)


def _copy(path: Path) -> None:
    _replace(path, lambda path: shutil.copy2(path.parent / "uploads" / "a.jpg", path))


def test_equal_trees_have_no_difference(pair: tuple[Path, Path]) -> None:
    assert same_tree(*pair) == []


@pytest.mark.parametrize(
    ("path", "change", "difference"),
    [
        ("index.html", lambda path: _replace(path, lambda path: None), "'index.html' is missing"),
        ("extra", _touch, "'extra' is new"),
        ("index.html", _rewrite, "'index.html': the content differs"),
        ("run.sh", lambda path: path.chmod(0o700), "'run.sh': mode was '0o755' and is '0o700'"),
        (
            "uploads",
            lambda path: _set_time(path, MODIFIED + 1),
            f"'uploads': modified_ns was {MODIFIED} and is {MODIFIED + 1}",
        ),
        (".", lambda path: _set_time(path, 0), f"'.': modified_ns was {MODIFIED} and is 0"),
        (
            "uploads/newest",
            lambda path: _replace(path, _point_to_b),
            "'uploads/newest': target was 'a.jpg' and is 'b'",
        ),
        ("sparse", _fill, "'sparse': its holes are filled"),
    ],
)
def test_one_difference_is_one_line(
    pair: tuple[Path, Path], path: str, change: Callable[[Path], object], difference: str
) -> None:
    change(pair[1] / path)
    assert same_tree(*pair) == [difference]


def test_a_copy_in_place_of_a_hardlink_is_a_difference(pair: tuple[Path, Path]) -> None:
    _copy(pair[1] / "copy.jpg")
    assert same_tree(*pair) == [
        "'copy.jpg': was linked as ['copy.jpg', 'uploads/a.jpg'] and is as None",
        "'uploads/a.jpg': was linked as ['copy.jpg', 'uploads/a.jpg'] and is as None",
    ]


def test_a_link_in_place_of_a_file_is_a_difference(pair: tuple[Path, Path]) -> None:
    _replace(pair[1] / "index.html", lambda path: path.symlink_to("run.sh"))
    assert any(line.startswith("'index.html': kind was") for line in same_tree(*pair))


def test_extended_attributes_are_compared(tmp_path: Path) -> None:
    try:
        a = tree(tmp_path / "a", {"f": File("", xattrs={"user.x": b"1"}, modified_ns=0)})
    except (OSError, AttributeError):
        pytest.skip("no extended attributes in the folder for temporary files")
    b = tree(tmp_path / "b", {"f": File("", modified_ns=0)})
    _set_time(a, 0)
    _set_time(b, 0)
    assert same_tree(a, b) == ["'f': xattrs was {'user.x': b'1'} and is {}"]
