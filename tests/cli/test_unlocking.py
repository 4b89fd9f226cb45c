"""The verb `unlock`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backupkit import LocalDestination
from tests.cli.shop import Shop
from tests.formats.restic.snapshots_made import file, written
from tests.impatience import be_impatient


def test_unlock_says_how_many_locks_it_has_removed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    be_impatient(monkeypatch)
    (shop.folder / "key.txt").write_text("correct horse battery staple")
    place = LocalDestination(shop.folder / "snapshots", create=True)
    written(place, [file("a", b"small")])
    lock = Path(shop.folder / "snapshots/locks" / ("0" * 64))
    lock.parent.mkdir(exist_ok=True)
    lock.write_bytes(b"nobody can read this")
    options = ("--passphrase-file", "key.txt")
    kept = shop.backupkit("unlock", "snapshots", *options)
    assert kept.returncode == 0
    assert "0 locks removed, 1 left (held, or not to be read)" in kept.stdout
    assert lock.exists()
    done = shop.backupkit("unlock", "snapshots", "--force", "--json", *options)
    assert done.returncode == 0
    assert [one["unlocked"] for one in json.loads(done.stdout)["destinations"]] == [{"removed": 1, "left": 0}]
    assert not lock.exists()
