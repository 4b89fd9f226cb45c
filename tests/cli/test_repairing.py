"""The verb `repair`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from backupkit import LocalDestination
from tests.cli.shop import Shop
from tests.formats.restic.snapshots_made import file, written
from tests.impatience import be_impatient

SECRET = "correct horse battery staple"


@pytest.fixture
def damaged(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of which the content of one file is lost."""
    be_impatient(monkeypatch)
    (shop.folder / "key.txt").write_text(SECRET)
    folder = shop.folder / "snapshots"
    written(LocalDestination(folder, create=True), [file("a", b"small"), file("b", os.urandom(1 << 20))])
    pack = max(folder.glob("data/*/*"), key=lambda path: path.stat().st_size)
    content = bytearray(pack.read_bytes())
    content[len(content) // 2] ^= 1
    pack.write_bytes(content)
    return folder


def test_repair_names_what_is_lost_and_exits_3_and_a_dry_run_only_tells(shop: Shop, damaged: Path) -> None:
    told = shop.backupkit("repair", "snapshots", "--dry-run", "--json", "--passphrase-file", "key.txt")
    report = json.loads(told.stdout)
    assert (told.returncode, report["operation"], report["dry_run"]) == (3, "repair", True)
    assert [one["path"] for one in report["problems"] if one["severity"] == "error"] == ["b"]
    assert len([*damaged.glob("snapshots/*")]) == 1
    done = shop.backupkit("repair", "snapshots", "--forget", "--passphrase-file", "key.txt")
    assert done.returncode == 3
    assert "error: The file 'b' is lost" in done.stderr
    assert "the damaged one was removed" in done.stderr
    assert len([*damaged.glob("snapshots/*")]) == 1
