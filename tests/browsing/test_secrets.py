"""`backupkit://`: what is shown, sent and remembered of the options, and that it is never a secret."""

from __future__ import annotations

import json
import pickle
import tomllib
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import fsspec
import pytest
from fsspec.config import conf, set_conf_env

from backupkit import ConfigurationError, Passphrase, Restic, WrongPassphraseError, open_repository
from backupkit.destinations.local import LocalDestination
from backupkit.repository_urls import RepositoryFileSystem
from backupkit.repository_urls.hiding import Hidden
from tests.browsing.kept import Kept, kept
from tests.restics import PASSWORD

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("place")


@pytest.fixture(scope="module")
def saved(place: Path) -> Kept:
    from tests.impatience import be_impatient

    (place / "backup").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        be_impatient(patch)
        return kept(place, Restic(workers=0), LocalDestination(place / "backup"))


@pytest.fixture
def repository(saved: Kept, place: Path) -> str:
    return str(place / "backup")


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """What fsspec keeps of file systems and settings."""
    yield
    RepositoryFileSystem.clear_instance_cache()
    conf.pop("backupkit", None)


def test_the_project_names_it_to_fsspec() -> None:
    named = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["fsspec.specs"]
    assert EntryPoint("backupkit", named["backupkit"], "fsspec.specs").load() is RepositoryFileSystem


def test_a_file_of_yesterday_is_one_call(saved: Kept, repository: str) -> None:
    url = f"backupkit://{saved.latest}/folder/orders.csv"
    with fsspec.open(url, "r", repository=repository, passphrase=PASSWORD) as file:
        assert file.read().splitlines()[2] == "2,20"


@pytest.mark.parametrize("kind", ["text", "object"])
def test_a_passphrase_is_nowhere(saved: Kept, repository: str, kind: str) -> None:
    given = PASSWORD if kind == "text" else Passphrase(PASSWORD)
    fs = fsspec.filesystem("backupkit", repository=repository, passphrase=given)
    file = fs.open(f"{saved.latest}/large")
    shown = [
        *(
            repr(fs),
            str(fs),
            repr(fs.storage_options),
            fs.to_json(),
            repr(fs.to_dict()),
            repr(file),
            str(vars(fs)),
        ),
        *(pickle.dumps(fs).decode("latin-1"), pickle.dumps(file).decode("latin-1"), fs._fs_token),
        repr(fs.__dask_tokenize__()),
    ]
    assert [one for one in shown if PASSWORD in one] == []
    with pytest.raises(TypeError):
        pickle.dumps(fs.storage_options)
    with pytest.raises(TypeError):
        json.dumps(fs.storage_options)


def test_where_it_is_read_again_the_environment_gives_the_passphrase(
    saved: Kept, repository: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fs = fsspec.filesystem("backupkit", repository=repository, passphrase=PASSWORD)
    sent, told = pickle.dumps(fs), fs.to_json()
    RepositoryFileSystem.clear_instance_cache()
    with pytest.raises(WrongPassphraseError, match="nothing can be seen without"):
        pickle.loads(sent).ls("latest")
    monkeypatch.setenv("FSSPEC_BACKUPKIT_PASSPHRASE", PASSWORD)
    set_conf_env(conf)
    for again in (pickle.loads(sent), fsspec.AbstractFileSystem.from_json(told)):
        assert again.exists(saved.latest)
        assert PASSWORD not in repr(again.storage_options)


def test_with_the_name_of_a_variable_it_can_be_sent_to_who_has_the_variable(
    saved: Kept, repository: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_SECRET", PASSWORD)
    fs = fsspec.filesystem("backupkit", repository=repository, passphrase="env:SHOP_SECRET")
    with fs.open(f"{saved.latest}/folder/orders.csv") as file:
        file.read(3)
        sent = pickle.dumps(file)
    assert PASSWORD not in fs.to_json()
    RepositoryFileSystem.clear_instance_cache()
    again = pickle.loads(sent)
    assert again.read() == b"total\n1,10\n2,20\n"
    assert again.path == f"{saved.id}/{saved.app}/folder/orders.csv"


def test_everything_may_come_from_the_environment(
    saved: Kept, repository: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FSSPEC_BACKUPKIT_REPOSITORY", repository)
    monkeypatch.setenv("FSSPEC_BACKUPKIT_PASSPHRASE", PASSWORD)
    set_conf_env(conf)
    fs, path = fsspec.url_to_fs(f"backupkit://{saved.latest}/folder/orders.csv")
    assert fs.size(path) == 19
    # What was opened already asks nobody.
    assert saved.file_system().storage_options.keys().isdisjoint({"passphrase", "repository"})


def test_another_passphrase_is_another_file_system_and_the_same_one_the_same(
    saved: Kept, repository: str
) -> None:
    def made(passphrase: object) -> RepositoryFileSystem:
        found: RepositoryFileSystem = fsspec.filesystem(
            "backupkit", repository=repository, passphrase=passphrase
        )
        return found

    right = made(PASSWORD)
    assert made(PASSWORD) is right
    assert made(Passphrase(PASSWORD)) is not made(Passphrase("another one"))
    with pytest.raises(WrongPassphraseError) as raised:
        made("a wrong one, of many words").ls("latest")
    assert "many words" not in str(raised.value)
    with pytest.raises(WrongPassphraseError):
        made(None).ls("latest")
    assert right.exists("latest")


def test_a_password_in_a_url_is_hidden_too() -> None:
    url = "sftp://shop:hunter22@backup.example/shop"
    fs = fsspec.filesystem("backupkit", repository=url, passphrase="env:SHOP_SECRET")
    for shown in (repr(fs.storage_options), fs.to_json(), pickle.dumps(fs).decode("latin-1"), fs._fs_token):
        assert "hunter22" not in shown
    with pytest.raises(ConfigurationError, match="Nothing says where the backups are"):
        pickle.loads(pickle.dumps(fs))


def test_two_secrets_are_told_apart_by_this_process_alone() -> None:
    assert repr(Hidden("one")) == repr(Hidden("one")) != repr(Hidden("other"))
    assert "one" not in repr(Hidden("one"))
    assert repr(Hidden("\udcff")) != repr(Hidden("\udcfe")), (
        "bytes that are no text, as the environment has them"
    )


def test_what_was_opened_already_is_not_sent(saved: Kept, repository: str) -> None:
    for fs in (saved.file_system(), open_repository(repository, PASSWORD).file_system()):
        for send in (pickle.dumps, lambda fs: fs.to_json()):
            with pytest.raises(TypeError, match="opened already"):
                send(fs)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "Nothing says where"),
        ({"repository": 7}, "neither a path nor a URL"),
        ({"repository": "/backup", "passphrase": b"bytes"}, "neither a text nor a Passphrase"),
        ({"repository": "/backup", "pass_phrase": "a secret"}, "no options called pass_phrase"),
    ],
)
def test_what_is_no_option_is_refused_without_repeating_it(options: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as raised:
        fsspec.filesystem("backupkit", **options)
    assert "a secret" not in str(raised.value)
