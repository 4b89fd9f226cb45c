"""Our repair and stock restic's: each finds nothing to do after the other, and `restic check` nothing wrong."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from backupkit import BackupPipeline, Backups, Directory, LocalDestination, Passphrase
from backupkit.formats.restic import packing
from backupkit.formats.restic.format import Restic
from tests import restics
from tests.impatience import be_impatient
from tests.restics import PASSWORD

pytestmark = pytest.mark.interop
ALL = bool(os.environ.get("BACKUPKIT_TESTS_RESTIC"))
BEGINNINGS = ("adding pack", "reindexing", "removing", "skipped")


@pytest.fixture(autouse=True)
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    be_impatient(monkeypatch)
    monkeypatch.setattr(packing, "PACK_SIZE", 300_000)


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    (folder / "inner").mkdir(parents=True)
    random = Random(1).randbytes
    for number in range(6):
        (folder / "inner" / f"file-{number}").write_bytes(random(200_000 + number))
    return folder


@pytest.fixture(params=restics.clients(restics.SUITES if ALL else restics.SUITES[:1]))
def stock(tmp_path: Path, request: pytest.FixtureRequest) -> restics.Restic:
    """A restic that has `repair`, which the installed one need not have, at an empty repository."""
    repository = restics.client(request.param).at(tmp_path / "repository", tmp_path / "cache")
    repository.plant()
    return repository


def backups(stock: restics.Restic) -> Backups:
    format = Restic(cache=False, lock_wait=timedelta(0))
    destination = LocalDestination(Path(stock.repository))
    return Backups(None, destination, encryptor=Passphrase(PASSWORD), format=format)


def run(stock: restics.Restic, app: Path) -> None:
    BackupPipeline(
        "shop",
        Directory(app),
        LocalDestination(Path(stock.repository)),
        encryptor=Passphrase(PASSWORD),
        format=Restic(cache=False),
    ).run()


def packs(stock: restics.Restic) -> list[Path]:
    """The largest first; all but those of trees hold content."""
    found = [path for path in Path(stock.repository).glob("data/*/*") if path.is_file()]
    return sorted(found, key=lambda path: (-path.stat().st_size, path.name))


def damage(stock: restics.Restic) -> None:
    """Of each kind something: a pack is gone, one is flipped, one has no header, and so has an index no bytes."""
    gone, flipped, headless, *_ = packs(stock)
    gone.unlink()
    content = bytearray(flipped.read_bytes())
    content[1000] ^= 1
    flipped.write_bytes(content)
    headless.write_bytes(headless.read_bytes()[:-3])
    index = next((Path(stock.repository) / "index").iterdir())
    index.write_bytes(b"")


def restored(stock: restics.Restic, snapshot: str, to: Path) -> Mapping[str, bytes]:
    stock.restore(to, snapshot)
    return {path.name: path.read_bytes() for path in to.rglob("file-*")}


def of(app: Path) -> Mapping[str, bytes]:
    return {path.name: path.read_bytes() for path in app.rglob("file-*")}


@pytest.mark.parametrize("writer", ["restic's", "ours"] if ALL else ["restic's"])
def test_after_our_repair_restic_finds_nothing_wrong_and_restores_all_that_is_left(
    stock: restics.Restic, app: Path, tmp_path: Path, writer: str
) -> None:
    if writer == "ours":
        run(stock, app)
    else:
        stock.backup(app, options=["--pack-size", "4"])
        (app / "inner" / "more").write_bytes(Random(2).randbytes(300_000))
        stock.backup(app)
        (app / "inner" / "again").write_bytes(Random(3).randbytes(300_000))
        stock.backup(app)
    damage(stock)
    report = backups(stock).repair(forget=True)
    assert "no errors were found" in stock.check(read_data=True)
    said = stock.run("repair", "index")
    assert not [line for line in said.splitlines() if line.startswith(BEGINNINGS)]
    lost = {Path(problem.path).name for problem in report.problems if problem.path}
    assert lost
    left = {name: content for name, content in of(app).items() if name not in lost}
    assert restored(stock, "latest", tmp_path / "restored") == left


def test_after_restics_repair_ours_has_nothing_to_do(stock: restics.Restic, app: Path) -> None:
    run(stock, app)
    packs(stock)[0].unlink()
    next((Path(stock.repository) / "index").iterdir()).unlink()
    stock.run("repair", "index")
    stock.run("repair", "snapshots", "--forget")
    assert backups(stock).repair(dry_run=True).problems == ()


def test_what_restic_has_repaired_and_kept_beside_is_not_repaired_again(
    stock: restics.Restic, app: Path
) -> None:
    run(stock, app)
    packs(stock)[0].unlink()
    stock.run("repair", "index")
    stock.run("repair", "snapshots")
    (repaired,) = backups(stock).repair().destinations[0].repaired
    assert repaired.by is not None
    assert len(stock.snapshots()) == 2
