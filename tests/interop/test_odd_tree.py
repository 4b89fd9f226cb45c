from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.interop.odd_tree import facts, make
from tests.restics import Client

pytestmark = pytest.mark.interop


def test_stock_restic_brings_everything_back(restic: Client, tmp_path: Path) -> None:
    """By which what our snapshots are held to is known to be possible."""
    tree = tmp_path / "tree"
    make(tree, raw_targets=restic.version >= (0, 17))
    one = restic.at(tmp_path / "repository", tmp_path / "cache")
    one.plant()
    one.backup(tree)
    one.restore(tmp_path / "restored")
    assert facts(tmp_path / "restored" / tree.relative_to("/")) == facts(tree)


@pytest.mark.parametrize("changed", ["content", "mode", "time", "link", "attribute", "target"])
def test_facts_differ_when_anything_does(changed: str, tmp_path: Path) -> None:
    for name in ("one", "other"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "file").write_bytes(b"content")
        os.link(folder / "file", folder / "again")
        (folder / "link").symlink_to("file")
        for path in (folder / "file", folder / "link", folder):
            os.utime(path, ns=(1, 1), follow_symlinks=False)
    assert facts(tmp_path / "one") == facts(tmp_path / "other")
    file, link = tmp_path / "one" / "file", tmp_path / "one" / "link"
    match changed:
        case "content":
            file.write_bytes(b"another")
        case "mode":
            file.chmod(0o4644)
        case "time":
            os.utime(file, ns=(1, 2))
        case "link":
            (tmp_path / "one" / "again").unlink()
            (tmp_path / "one" / "again").write_bytes(b"content")
        case "attribute":
            os.setxattr(file, "user.one", b"\0")
        case "target":
            link.unlink()
            link.symlink_to("again")
    if changed in ("content", "link", "target"):
        for path in (file, link, tmp_path / "one" / "again", tmp_path / "one"):
            os.utime(path, ns=(1, 1), follow_symlinks=False)
    assert facts(tmp_path / "one") != facts(tmp_path / "other")
