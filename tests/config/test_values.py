"""What texts in settings stand for: variables, secrets in files, durations."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from backupkit import ConfigurationError, Directory, Passphrase
from backupkit.config import from_mapping, load
from backupkit.config.values import Surroundings, duration, is_secret

AROUND = Surroundings({"A": "apple", "EMPTY": ""})


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("${A} pie", "apple pie"),
        ("${B:-banana}", "banana"),
        ("${EMPTY}", ""),
        ("${EMPTY:-banana}", "banana"),
        ("${B:-}", ""),
        ("$${A} for 5$$", "${A} for 5$"),
        ("$HOME, $1 and $", "$HOME, $1 and $"),
    ],
)
def test_variables_are_filled_in(written: str, means: str) -> None:
    assert AROUND.text(written) == means


def test_what_a_variable_holds_is_not_looked_through_again() -> None:
    assert Surroundings({"A": "${B} $$"}).text("${A}") == "${B} $$"


def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(ConfigurationError, match="variable B, which is not set"):
        AROUND.text("${B}")


@pytest.mark.parametrize("written", ["${}", "${A", "${1}", "${A:+x}"])
def test_what_begins_no_variable_is_refused(written: str) -> None:
    with pytest.raises(ConfigurationError, match="begins no variable"):
        AROUND.text(written)


def test_the_first_line_of_a_file_is_a_secret_where_one_belongs(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3://bucket\r\nsecond\n")
    written = f"file:{tmp_path}/secret"
    assert AROUND.text(written, secret=True) == "s3://bucket"
    assert AROUND.text(written) == written
    assert AROUND.text("file:///mnt/backup", secret=True) == "file:///mnt/backup"


def test_a_path_means_itself_and_a_url_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("memory://bucket")
    pipeline = from_mapping(
        {
            "pipelines": {
                "shop": {
                    "sources": {"type": "directory", "path": "file:/x", "name": "x"},
                    "destinations": [
                        f"file:{tmp_path}/secret",
                        {"url": f"file:{tmp_path}/secret", "part_size": 5},
                    ][:1],
                    "encryptor": "none",
                }
            }
        },
        environ={},
    ).pipeline()
    (source,) = pipeline.sources
    assert isinstance(source, Directory)
    assert source.path == Path("file:/x").absolute()
    assert pipeline.destinations[0].location == "memory://bucket"


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("15 minutes", timedelta(minutes=15)),
        ("6h", timedelta(hours=6)),
        ("1 day 12 hours", timedelta(days=1.5)),
        ("1.5h", timedelta(minutes=90)),
        ("90 s", timedelta(seconds=90)),
        ("2w", timedelta(weeks=2)),
        ("6", None),
        ("6 apples", None),
        ("6h and more", None),
        ("", None),
        ("999999999999 weeks", None),
    ],
)
def test_durations_are_read(text: str, means: timedelta | None) -> None:
    assert duration(text) == means


@pytest.mark.parametrize(
    "key", ["password", "passphrase", "secret", "client_secret", "token", "key", "account_key"]
)
def test_the_name_of_a_key_tells_that_it_is_secret(key: str) -> None:
    assert is_secret(key)


@pytest.mark.parametrize("key", ["path", "tokenize", "keys_to_keep", "compass", "name", "endpoint_url"])
def test_other_keys_are_not_secret(key: str) -> None:
    assert not is_secret(key)


def test_a_dotenv_file_has_what_the_environment_lacks_and_only_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "backupkit.toml").write_text(
        '[pipelines.shop]\nsources = "${A}"\ndestinations = "/${B}"\nencryptor = "environment"\n'
    )
    (tmp_path / ".env").write_text('A=from-file\nB="from ${A} file"\nBACKUP_ARCHIVE_PASSWORD=of-the-file\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("A", "/from-environment")
    monkeypatch.delenv("B", raising=False)
    monkeypatch.delenv("BACKUP_ARCHIVE_PASSWORD", raising=False)
    with pytest.raises(ConfigurationError, match="variable B, which is not set"):
        load()
    pipeline = load(dotenv=".env").pipeline()
    assert [source.name for source in pipeline.sources] == ["from-environment"]
    assert pipeline.destinations[0].location == "file:///from%20%24%7BA%7D%20file"
    assert isinstance(pipeline.encryptor, Passphrase)
    monkeypatch.setenv("BACKUP_ARCHIVE_PASSWORD", "set later")
    assert pipeline.encryptor.reveal() == b"set later"
    assert "B" not in os.environ


def test_a_missing_dotenv_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "backupkit.toml").write_text("")
    with pytest.raises(ConfigurationError, match="/nowhere with variables cannot be read"):
        load(tmp_path / "backupkit.toml", dotenv="/nowhere")


def test_the_specifications_variables_make_notifiers() -> None:
    table = {
        "sources": "/srv/shop",
        "destinations": "/mnt/backup",
        "encryptor": "none",
        "notifiers": "environment",
    }
    environ = {
        "BACKUP_NOTIFICATION_EMAIL": "ops@shop.example",
        "MAIL_HOST": "mail.shop.example",
        "BACKUP_SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T1234567/B1234567/abcdefghijklmnopqrstuvwx",
    }
    found = from_mapping({"pipelines": {"shop": table}}, environ=environ).pipeline().notifiers
    assert len(found) == 2
    assert from_mapping({"pipelines": {"shop": table}}, environ={}).pipeline().notifiers == ()


@pytest.mark.parametrize(
    "url", ["sqlite:///:memory:", "sqlite://", "sqlite:////x.db", "https://h/x", "mysql:///x"]
)
def test_a_url_that_names_no_relative_path_is_left_as_it_is(url: str) -> None:
    assert Surroundings({}, Path("/srv")).url(url) == url


def test_none_is_a_text_like_others_where_there_is_no_limit_to_lift() -> None:
    source = {"type": "directory", "path": "/x", "name": "none"}
    table = {"sources": source, "destinations": "/mnt/backup", "encryptor": "none"}
    found = from_mapping({"pipelines": {"shop": table}}, environ={}).pipeline()
    assert [one.name for one in found.sources] == ["none"]
