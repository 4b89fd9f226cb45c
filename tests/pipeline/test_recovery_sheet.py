"""The recovery sheet: what it restores, and what it never says."""

from __future__ import annotations

import re
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from backupkit import (
    BackupPipeline,
    Backups,
    DestinationError,
    Directory,
    IntegrityError,
    MachineLock,
    Passphrase,
)
from backupkit.destinations.local import LocalDestination
from backupkit.formats.restic.access import Access
from backupkit.protocols import Chunks
from backupkit.testing.destinations import MemoryDestination
from backupkit.testing.trees import tree
from tests.pipeline.snapshots import FORMAT, PASSPHRASE, Silent
from tests.restics import PASSWORD, Restic, client

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture
def stock(tmp_path: Path) -> Restic:
    restic = client("installed").at(tmp_path / "repository", tmp_path / "cache")
    restic.plant()
    return restic


@pytest.fixture
def pipeline(stock: Restic, tmp_path: Path) -> BackupPipeline:
    """One that has made a snapshot, in a repository with two keys."""
    app = tree(tmp_path / "app", {"orders.csv": b"1;2;3"})
    lock = MachineLock(tmp_path / "locks")
    pipeline = BackupPipeline(
        "shop", Directory(app), stock.repository, encryptor=PASSPHRASE, format=FORMAT, lock=lock
    )
    pipeline.run()
    pipeline.add_key(Passphrase("a colleague's, of many words"))
    return pipeline


def commands(sheet: str) -> str:
    """Those that put back what was lost, as somebody copies them from the sheet."""
    (found,) = re.findall(r"```sh\n(\(\n.*?\n\)\n)```", sheet, re.DOTALL)
    return str(found)


def follow(sheet: str, folder: Path) -> str:
    done = subprocess.run(
        ["sh"], input=commands(sheet), cwd=folder, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


@pytest.mark.interop
def test_a_repository_without_config_and_keys_is_made_whole_from_the_sheet_and_restic_restores_it(
    pipeline: BackupPipeline, stock: Restic, tmp_path: Path
) -> None:
    sheet, folder = pipeline.recovery_sheet(), Path(stock.repository)
    shutil.rmtree(folder / "keys")
    (folder / "config").unlink()
    assert follow(sheet, folder).count(": OK\n") == 3
    assert [path.stat().st_mode & 0o077 for path in (folder / "config", *folder.glob("keys/*"))] == [0] * 3
    ((where, which),) = re.findall(r"^restic -r (\S+) restore (.*) --target restored$", sheet, re.MULTILINE)
    assert where == str(folder)
    stock.run("restore", *which.split(), "--target", tmp_path / "restored")
    assert tmp_path.joinpath("restored", *tmp_path.parts[1:], "app", "orders.csv").read_bytes() == b"1;2;3"
    assert pipeline.verify().outcome == "succeeded"


@pytest.mark.interop
def test_of_what_restic_has_made_by_itself_the_newest_is_found_by_the_sheet_too(
    stock: Restic, tmp_path: Path
) -> None:
    stock.backup(tree(tmp_path / "app", {"orders.csv": b"1;2;3"}))
    sheet = Backups(None, stock.repository, encryptor=PASSPHRASE, format=FORMAT).recovery_sheet()
    ((_, which),) = re.findall(r"^restic -r (\S+) restore (.*) --target restored$", sheet, re.MULTILINE)
    stock.run("restore", *which.split(), "--target", tmp_path / "restored")
    assert [*tmp_path.glob("restored/**/orders.csv")]


def test_what_is_there_is_left_as_it_is_and_said_to_be_another(
    pipeline: BackupPipeline, stock: Restic
) -> None:
    sheet, config = pipeline.recovery_sheet(), Path(stock.repository) / "config"
    config.write_bytes(b"damaged, or another repository's")
    assert "config: FAILED" in follow(sheet, config.parent)
    assert config.read_bytes() == b"damaged, or another repository's"


def test_no_sheet_is_made_that_would_not_help(pipeline: BackupPipeline, stock: Restic) -> None:
    folder = Path(stock.repository)
    (used,) = (key.id for key in pipeline.keys().keys if key.in_use)
    (folder / "keys" / used).write_bytes(b"damaged")
    with pytest.raises(IntegrityError, match="cannot be read any more: put it back"):
        pipeline.recovery_sheet()
    (folder / "config").write_bytes(b"damaged")
    with pytest.raises(IntegrityError, match="config at"):
        pipeline.recovery_sheet()


def test_the_sheet_holds_neither_the_passphrase_nor_the_key_in_any_form(
    pipeline: BackupPipeline, stock: Restic
) -> None:
    sheet = pipeline.recovery_sheet()
    access = Access(passphrase=PASSPHRASE, creates=False, lock_wait=FORMAT.lock_wait, cache=False)
    repository = access.opened(LocalDestination(Path(stock.repository)))
    key = repository._key
    secrets = [PASSWORD.encode(), key.encrypt, key.mac_k, key.mac_r]
    texts = [*key.fields()["mac"].values(), key.fields()["encrypt"], f"{repository.config.polynomial:x}"]
    held = [b64decode(one) for one in re.findall(r"<<'END'\n(.*?)END\n", sheet, re.DOTALL)]
    assert len(held) == 3
    for secret in [*secrets, *map(str.encode, texts)]:
        for place in (sheet.encode(), *held):
            assert secret not in place
            assert secret.hex().encode() not in place


def test_it_says_what_is_where_whose_the_keys_are_and_where_to_write_the_passphrase_down(
    pipeline: BackupPipeline, stock: Restic
) -> None:
    sheet = pipeline.recovery_sheet()
    listing = pipeline.keys()
    assert sheet.startswith("# How to restore the backups of shop\n\nMade on ")
    assert f"{datetime.now(UTC):%Y}" in sheet
    assert "The passphrase is kept at:\n\n______" in sheet
    assert f"## 1. {pipeline.destinations[0].location}\n" in sheet
    assert f"Id of the repository: {stock.cat('config')['id']}\n" in sheet
    for key in listing.keys:
        assert f"key {key.id[:8]}, of {key.user or 'somebody'}@{key.host or 'somewhere'}" in sheet
    assert sheet.count("whose passphrase is meant above") == 1
    assert "The credentials" not in sheet
    assert "it comes from" not in sheet  # of a text in the program, that would tell nobody anything
    everything = Backups(None, stock.repository, encryptor=PASSPHRASE, format=FORMAT).recovery_sheet()
    assert "--host" not in everything


def test_of_archives_it_has_the_steps_with_7_zip_and_no_keys(tmp_path: Path) -> None:
    places: Any = [tmp_path / "disk", MemoryDestination()]
    passphrase = Passphrase.from_env("BACKUP_ARCHIVE_PASSWORD")
    sheet = Backups("shop", places, encryptor=passphrase).recovery_sheet()
    assert f"7zz x -orestored {tmp_path}/disk/shop/NEWEST.zip\n" in sheet
    assert "7zz x -orestored NEWEST.zip\n" in sheet
    assert "it comes from: environment variable BACKUP_ARCHIVE_PASSWORD" in sheet
    assert "encrypted by AES-256" in sheet
    assert "## 2. memory:memory" in sheet
    assert "The credentials for the places below are not on it" in sheet
    assert "keys/" not in sheet


def test_of_archives_that_are_not_encrypted_or_by_another_scheme_it_says_that(tmp_path: Path) -> None:
    class Rot:
        scheme = "age"

        def encrypt(self, chunks: Chunks) -> Iterator[bytes]:
            return iter(chunks)

        decrypt = encrypt

    plain = Backups("shop", tmp_path, encryptor=None).recovery_sheet()
    assert "not encrypted" in plain
    assert "passphrase is kept" not in plain
    assert "It asks" not in plain
    foreign = Backups("shop", tmp_path, encryptor=Rot()).recovery_sheet()
    assert "each encrypted as a whole (age)" in foreign
    assert "7zz" not in foreign


def test_a_sheet_that_would_lack_a_destination_is_not_made(pipeline: BackupPipeline) -> None:
    both: Any = [pipeline.destinations[0], Silent(MemoryDestination("gone"))]
    backups = Backups("shop", both, encryptor=PASSPHRASE, format=FORMAT)
    with pytest.raises(DestinationError, match="Nobody answers"):
        backups.recovery_sheet()
    assert "gone" not in backups.recovery_sheet(at=pipeline.destinations[0].location)
