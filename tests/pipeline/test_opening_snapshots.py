"""`open_repository` where there are snapshots: with nothing but the URL and the passphrase."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from backupkit import (
    BackupNotFoundError,
    BackupPipeline,
    Directory,
    IntegrityError,
    MachineLock,
    Passphrase,
    RepositoryNotFoundError,
    Zip,
    open_repository,
)
from backupkit.testing.destinations import MemoryDestination
from backupkit.testing.trees import same_tree, tree
from tests.pipeline.snapshots import FORMAT, PASSPHRASE
from tests.restics import PASSWORD, Restic, client

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return tree(tmp_path / "app", {"a": b"a" * 100, "folder": {"b": b"b"}})


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "backup").mkdir()
    return tmp_path / "backup"


@pytest.fixture
def stock(place: Path, tmp_path: Path) -> Restic:
    restic = client("installed").at(place, tmp_path / "cache")
    restic.plant()
    return restic


def run(app: Path, place: Path, name: str = "shop") -> None:
    locks = MachineLock(place.parent / "locks")
    BackupPipeline(name, Directory(app), place, encryptor=PASSPHRASE, format=FORMAT, lock=locks).run()


def test_the_format_is_found_out(app: Path, place: Path, tmp_path: Path) -> None:
    run(app, place)
    backups = open_repository(place, PASSWORD)
    assert [one.name for one in backups.list().backups] == ["shop"]
    backups.restore(to=tmp_path / "restored")
    assert same_tree(app, tmp_path.joinpath("restored", *app.parts[1:])) == []
    assert backups.verify().outcome == "succeeded"


@pytest.mark.parametrize("inside", ["keys", "snapshots", "data", "shop"])
def test_a_folder_within_is_as_good(app: Path, place: Path, inside: str) -> None:
    run(app, place)
    backups = open_repository(place / inside, PASSWORD)
    assert backups.destinations[0].location == open_repository(place, PASSWORD).destinations[0].location
    assert len(backups.list().backups) == 1


def test_the_folder_of_a_pipeline_within_means_its_snapshots(app: Path, place: Path) -> None:
    run(app, place, "shop")
    run(app, place, "mail")
    with pytest.raises(BackupNotFoundError, match=r"backups of several names .* \(mail, shop\)"):
        open_repository(place, PASSWORD).get()
    assert open_repository(place / "mail", PASSWORD).get().name == "mail"
    assert open_repository(place, PASSWORD, name="shop").get().name == "shop"
    with pytest.raises(RepositoryNotFoundError, match="no backups of typo"):
        open_repository(place / "typo", PASSWORD)


def test_without_the_passphrase_nothing_can_be_seen(app: Path, place: Path) -> None:
    from backupkit import WrongPassphraseError

    run(app, place)
    with pytest.raises(WrongPassphraseError, match="are snapshots"):
        open_repository(place)
    with pytest.raises(WrongPassphraseError, match="No key of the repository"):
        open_repository(place, "another one, of many words")


@pytest.mark.parametrize(
    ("lost", "told"), [("config", "There is no config at"), ("keys", "No key of the repository")]
)
def test_a_repository_without_its_config_or_its_keys_is_a_damaged_one_and_not_an_empty_place(
    app: Path, place: Path, lost: str, told: str
) -> None:
    run(app, place)
    locks = MachineLock(place.parent / "locks")
    pipeline = BackupPipeline("shop", Directory(app), place, encryptor=PASSPHRASE, format=FORMAT, lock=locks)
    for path in [place / "config"] if lost == "config" else (place / "keys").iterdir():
        path.unlink()
    for verb in (pipeline.list, pipeline.run, pipeline.verify, pipeline.clean):
        with pytest.raises(IntegrityError, match=told):
            verb()
    assert any(told in problem.message for problem in pipeline.monitor().problems)
    with pytest.raises(IntegrityError, match=told):
        open_repository(place, PASSPHRASE)
    assert (place / "config").exists() is (lost == "keys")


def test_an_empty_repository_has_no_backups(stock: Restic, place: Path) -> None:
    with pytest.raises(RepositoryNotFoundError, match="There are no backups"):
        open_repository(place, PASSWORD)


def test_what_restic_alone_has_made_just_works(stock: Restic, app: Path, place: Path, tmp_path: Path) -> None:
    stock.backup(app)
    (app / "a").write_bytes(b"newer")
    stock.backup(app)
    backups = open_repository(place, PASSWORD)
    newest, older = backups.list().backups
    assert {newest.name, older.name} == {os.uname().nodename}
    assert (newest.made_by, newest.good) == ("other", True)
    assert backups.get() == newest
    assert backups.get(older.id) == older
    assert f"{app}/folder/b"[1:] in [entry.path for entry in backups.entries()]
    backups.restore(to=tmp_path / "restored")
    assert same_tree(app, tmp_path.joinpath("restored", *app.parts[1:])) == []
    assert backups.verify().outcome == "succeeded"
    assert backups.list().backups[0].verified is not None
    stock.check()  # what is known of backups lies beside the repository, and disturbs nobody


def test_of_snapshots_of_several_hosts_the_latest_is_asked_for_by_one(
    stock: Restic, app: Path, place: Path
) -> None:
    stock.backup(app, options=["--host", "web1"])
    stock.backup(app, options=["--host", "web2"])
    backups = open_repository(place, PASSWORD)
    with pytest.raises(BackupNotFoundError, match=r"\(web1, web2\)"):
        backups.get()
    assert open_repository(place / "web1", PASSWORD).get().name == "web1"
    assert open_repository(place, PASSWORD, name="web2").get().name == "web2"


def test_what_restic_made_does_not_count_where_a_pipeline_has_snapshots(
    stock: Restic, app: Path, place: Path
) -> None:
    run(app, place)
    stock.backup(app)
    backups = open_repository(place, PASSWORD)
    assert [one.made_by for one in backups.list().backups] == ["other", "backupkit"]
    assert backups.get().name == "shop"


def test_any_of_the_repositorys_passphrases_opens_it(stock: Restic, app: Path, place: Path) -> None:
    stock.backup(app)
    stock.add_key("a second passphrase")
    for passphrase in (PASSWORD, "a second passphrase"):
        assert len(open_repository(place, passphrase).list().backups) == 1
    rotated = Passphrase("not yet added", previous=["a second passphrase"])
    assert len(open_repository(place, rotated).list().backups) == 1


def test_archives_are_still_archives(app: Path, place: Path) -> None:
    BackupPipeline("shop", Directory(app), place, encryptor=None, format=Zip()).run()
    assert open_repository(place).get().shared is False
    assert open_repository(place / "shop").get().name == "shop"


def test_a_destination_that_is_no_folder_is_asked_too(app: Path) -> None:
    memory = MemoryDestination()
    BackupPipeline("shop", Directory(app), memory, encryptor=PASSPHRASE, format=FORMAT).run()
    assert open_repository(memory, PASSWORD).get().name == "shop"
