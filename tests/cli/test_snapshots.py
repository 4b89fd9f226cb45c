"""The command line where there are snapshots: the same verbs, and what each exit code stands for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.shop import SECRET, Shop
from tests.restics import Restic, client

MODULE = """

from datetime import timedelta

from backupkit import Restic

snapshots = BackupPipeline(
    "shop", [uploads, database], ["snapshots"], encryptor=Passphrase.from_file("passphrase.txt"),
    retention=KeepLast(1), format=Restic(lock_wait=timedelta(0)), lock=MachineLock("locks"),
)
"""
APP = ("--app", "shop_backups:snapshots")


@pytest.fixture
def shop(shop: Shop) -> Shop:
    with (shop.folder / "shop_backups.py").open("a") as module:
        module.write(MODULE)
    (shop.folder / "snapshots").mkdir()
    return shop


@pytest.fixture
def stock(shop: Shop, tmp_path: Path) -> Restic:
    restic = client("installed").at(shop.folder / "snapshots", tmp_path / "cache", password=SECRET)
    restic.plant()
    return restic


def test_every_verb_works_with_snapshots(shop: Shop, stock: Restic) -> None:
    for _ in range(2):  # of which one is then removed
        ran = shop.backupkit("run", *APP)
        assert (ran.returncode, ran.stderr) == (0, "")
    listed = shop.backupkit("list", "snapshots", "--details", "--passphrase-file", "passphrase.txt")
    assert listed.returncode == 0
    assert len(listed.stdout.splitlines()) == 3
    for arguments in (
        ("verify", "snapshots"),
        ("restore", "snapshots", "--to", "restored"),
        ("pin", "snapshots", "--backup", "latest", "--reason", "audit"),
    ):
        done = shop.backupkit(*arguments, "--passphrase-file", "passphrase.txt")
        assert (done.returncode, done.stderr) == (0, "")
    cleaned = shop.backupkit("clean", *APP)
    assert (cleaned.returncode, cleaned.stderr) == (0, "")
    assert shop.backupkit("monitor", *APP).returncode == 0
    stock.check(read_data=True)


def test_no_backups_is_10_locked_is_11_and_a_wrong_passphrase_is_12(shop: Shop, stock: Restic) -> None:
    assert shop.backupkit("list", "snapshots", "--passphrase-file", "passphrase.txt").returncode == 10
    for _ in range(2):
        assert shop.backupkit("run", *APP).returncode == 0
    (shop.folder / "wrong.txt").write_text("another one, of many words")
    done = shop.backupkit("list", "snapshots", "--passphrase-file", "wrong.txt")
    assert (done.returncode, done.stdout) == (12, "")
    assert "No key of the repository" in done.stderr
    done = shop.backupkit("list", "snapshots")
    assert done.returncode == 12
    assert "Give --passphrase-file" in done.stderr
    lock(shop)
    for verb in ("run", "clean"):
        done = shop.backupkit(verb, *APP, "--json")
        assert done.returncode == 11
        assert json.loads(done.stdout)["error"]["type"] == "RepositoryLockedError"


def lock(shop: Shop) -> None:
    """Leave the exclusive lock of another machine."""
    from datetime import timedelta

    from backupkit import LocalDestination, Passphrase
    from backupkit.formats.restic.access import Access
    from backupkit.formats.restic.locks import LockFile
    from backupkit.formats.restic.times import utc_now

    access = Access(passphrase=Passphrase(SECRET), creates=False, lock_wait=timedelta(0), cache=False)
    repository = access.opened(LocalDestination(shop.folder / "snapshots"))
    file = LockFile(time=utc_now(), exclusive=True, hostname="elsewhere", username="root", pid=1)
    repository.objects.save("locks", file.fields(), repository.sealer)
