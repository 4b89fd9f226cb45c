from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from backupkit.errors import SourceError
from backupkit.model import Entry, Problem
from backupkit.sources.files import Directory
from backupkit.testing.trees import File, Folder, tree
from tests.sources.walking import content, without_privileges


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody can reach: pytest's own are private."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    try:
        with without_privileges():
            if not os.access(made, os.R_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
                pytest.skip("the folder for temporary files cannot be reached without privileges")
        yield made
    finally:
        for path in made.rglob("*"):
            if not path.is_symlink():
                path.chmod(0o700)
        shutil.rmtree(made)


def _found(source: Directory) -> list[Entry | Problem]:
    with without_privileges():
        return list(source.entries())


def test_an_unreadable_folder_is_an_error_and_the_walk_goes_on(folder: Path) -> None:
    root = tree(folder / "shop", {"a": "", "private": Folder({"x": ""}, mode=0), "z": ""})
    found = _found(Directory(root))
    assert [(type(one).__name__, one.path) for one in found] == [
        ("Entry", "shop"),
        ("Entry", "shop/a"),
        ("Entry", "shop/private"),
        ("Problem", "shop/private"),
        ("Entry", "shop/z"),
    ]
    (problem,) = [one for one in found if isinstance(one, Problem)]
    assert problem.severity == "error"
    assert "Permission denied" in problem.message


def test_an_unreadable_folder_inside_an_excluded_one_is_no_problem(folder: Path) -> None:
    root = tree(folder / "shop", {"cache": {"private": Folder({"x": ""}, mode=0)}, "own": Folder({}, mode=0)})
    found = _found(Directory(root, exclude=["cache/", "own"]))
    assert [(type(one).__name__, one.path) for one in found] == [("Entry", "shop")]


def test_what_cannot_even_be_looked_at_is_an_error(folder: Path) -> None:
    # Its names can be read, and nothing else.
    root = tree(folder / "shop", {"a": Folder({"x": "", "y": "", "z": ""}, mode=0o444)})
    found = _found(Directory(root, exclude=["y"]))
    assert [(type(one).__name__, one.path) for one in found] == [
        ("Entry", "shop"),
        ("Entry", "shop/a"),
        ("Problem", "shop/a/x"),
        ("Problem", "shop/a/z"),
    ]


def test_an_unreadable_folder_that_may_hold_what_is_included_is_an_error(folder: Path) -> None:
    root = tree(folder / "shop", {"private": Folder({"x.jpg": ""}, mode=0)})
    found = _found(Directory(root, include=["*.jpg"]))
    assert [(type(one).__name__, one.path) for one in found] == [
        ("Entry", "shop"),
        ("Problem", "shop/private"),
    ]


def test_an_unreadable_root_is_an_error_and_never_an_empty_backup(folder: Path) -> None:
    root = tree(folder / "shop", {"a": ""})
    root.chmod(0)
    with pytest.raises(SourceError, match="Permission denied"):
        _found(Directory(root))


def test_an_unreadable_file_is_an_error_when_it_is_read(folder: Path) -> None:
    root = tree(folder / "shop", {"secret": File("x", mode=0)})
    with without_privileges():
        (_, file) = Directory(root).entries()
        assert isinstance(file, Entry)
        with pytest.raises(SourceError, match=r"Permission denied.*exclude it") as caught:
            content(file)
    assert (caught.value.path, caught.value.severity, caught.value.retryable) == (
        "shop/secret",
        "error",
        False,
    )
