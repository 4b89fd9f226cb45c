"""Listing many backups takes one look at the place, and no archive is opened."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backupkit import LocalDestination, StoredObject
from tests.pipeline.shop import Clock, Make, Scripted

COUNT = 10_000
START = datetime(2000, 1, 1, tzinfo=UTC)


class Counting(LocalDestination):
    """Counts what it is asked for."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.asked: Counter[str] = Counter()

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        self.asked[f"list {prefix}"] += 1
        return super().list(prefix)

    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        self.asked["read"] += 1
        return super().read(name, start=start, length=length)

    def stat(self, name: str) -> StoredObject:
        self.asked["stat"] += 1
        return super().stat(name)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The names of ten thousand archives: what a backup every hour leaves in more than a year."""
    folder = tmp_path_factory.mktemp("many")
    (folder / "shop").mkdir()
    first = f"{folder}/empty"
    os.close(os.open(first, os.O_CREAT | os.O_WRONLY, 0o600))
    for number in range(COUNT):
        name = f"{folder}/shop/{START + timedelta(hours=number):%Y-%m-%dT%H-%M-%S.%fZ}.zip"
        os.link(first, name)  # 16 times as fast as making a file
    yield folder
    shutil.rmtree(folder)


def test_ten_thousand_archives_are_listed_in_one_pass_and_none_is_opened(
    make: Make, many: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Counting(many)
    pipeline = make(Scripted("app", {"app/a": b"a"}), place, clock=clock)
    scanned: Counter[str] = Counter()
    scandir = os.scandir

    def counted(path: str | Path) -> os.DirEntry[str]:
        scanned[os.fspath(path)] += 1
        return scandir(path)  # type: ignore[return-value]

    monkeypatch.setattr(os, "scandir", counted)
    backups = pipeline.list().backups
    assert len(backups) == COUNT
    assert backups[-1].time == START
    assert place.asked == {"list backupkit/shop/": 1, "list shop/": 1}
    assert scanned[f"{many}/shop"] == 1, "one pass over the folder of the archives"


def test_monitoring_ten_thousand_archives_opens_none(make: Make, many: Path, clock: Clock) -> None:
    place = Counting(many)
    pipeline = make(Scripted("app", {"app/a": b"a"}), place, clock=clock)
    pipeline.monitor()
    assert place.asked == {"list backupkit/shop/": 1, "list shop/": 1}
