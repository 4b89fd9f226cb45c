"""Copies are what stock tools make of them: restic copies as we do, and knows what we copied, and the reverse."""

from __future__ import annotations

from pathlib import Path

import pytest

from backupkit import BackupPipeline, Backups, Directory, MachineLock, Passphrase, open_repository
from backupkit.formats.restic.format import Restic
from backupkit.testing.trees import File, Folder, Node, Symlink, same_tree, tree
from tests import restics
from tests.impatience import be_impatient
from tests.interop.made import run
from tests.interop.test_restic import newest
from tests.restics import PASSWORD
from tests.tools import require_tool

pytestmark = pytest.mark.interop
OTHER = "another passphrase of a test"
FORMAT = Restic(cache=False)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    be_impatient(monkeypatch, settling=0)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    nodes: dict[str, Node] = {
        "deep": Folder(entries={"er": {"small": File("s", mode=0o751, modified_ns=10**18)}}, mode=0o750),
        "large": b"0123456789" * 100_000,
        "to": Symlink("nowhere"),
    }
    return tree(tmp_path / "shop", nodes)


def repository(tmp_path: Path, name: str, password: str) -> restics.Restic:
    stock = restics.client(newest()).at(tmp_path / name, tmp_path / "cache", password=password)
    stock.plant()
    return stock


def pipeline(
    tmp_path: Path, files: Path, folder: Path, password: str, format: Restic | None
) -> BackupPipeline:
    return BackupPipeline(
        "shop",
        Directory(files),
        folder,
        encryptor=Passphrase(password),
        format=format,
        lock=MachineLock(tmp_path / "locks"),
    )


def test_restic_and_we_make_the_same_copies_and_know_each_others(tmp_path: Path, files: Path) -> None:
    source = repository(tmp_path, "source", PASSWORD)
    ours, theirs = (repository(tmp_path, name, OTHER) for name in ("ours", "theirs"))
    shop = pipeline(tmp_path, files, tmp_path / "source", PASSWORD, FORMAT)
    shop.run(tags=["before-upgrade"])
    (files / "deep" / "new").write_text("new")
    source.backup(files)
    everything = Backups(None, tmp_path / "source", encryptor=Passphrase(PASSWORD), format=FORMAT)
    assert everything.copy("all", to=_at(tmp_path / "ours")).outcome == "succeeded"
    theirs.copy_from(source)
    copies = facts(ours)
    assert copies == facts(theirs)
    assert len(copies) == 2
    ours.copy_from(source)
    assert everything.copy("all", to=_at(tmp_path / "theirs")).skipped == 2
    assert [len([*(tmp_path / name / "snapshots").iterdir()]) for name in ("ours", "theirs")] == [2, 2]
    assert "no errors were found" in ours.check(read_data=True)


def facts(stock: restics.Restic) -> list[tuple[str, str, str]]:
    """Of each snapshot: its time, its tree and its original."""
    return [(one["time"], one["tree"], one["original"]) for one in stock.snapshots()]


def _at(folder: Path) -> Backups:
    return Backups(None, folder, encryptor=Passphrase(OTHER), format=FORMAT)


def test_stock_tools_read_what_was_copied_from_the_other_format(tmp_path: Path, files: Path) -> None:
    stock = repository(tmp_path, "snapshots", OTHER)
    for name in ("archives", "again"):
        (tmp_path / name).mkdir()
    archives = pipeline(tmp_path, files, tmp_path / "archives", PASSWORD, None)
    archives.run()
    archives.copy(to=_at(tmp_path / "snapshots"))
    stock.restore(tmp_path / "restored")
    assert same_tree(files, tmp_path / "restored" / "shop") == []
    again = Backups(None, tmp_path / "again", encryptor=Passphrase(OTHER))
    open_repository(tmp_path / "snapshots", OTHER).copy("all", to=again)
    (archive,) = (tmp_path / "again" / "shop").glob("*.zip")
    run(require_tool("7zz"), "x", f"-p{OTHER}", f"-o{tmp_path / 'extracted'}", archive)
    extracted = tmp_path / "extracted" / "shop"
    assert (extracted / "large").read_bytes() == (files / "large").read_bytes()
    assert (extracted / "deep" / "er" / "small").read_text() == "s"
