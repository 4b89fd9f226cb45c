"""Backups at a URL need the URL, what the environment has of secrets, and the passphrase: no settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from backupkit import BackupPipeline, Directory, Passphrase, open_destination, open_repository
from tests.storage.moto import moto, new_bucket, options

SOURCE = Directory(__file__, name="a")
PASSWORD = "seven-random-words-that-nobody-guesses"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Of the folder of a bucket that a pipeline has written to."""
    with moto() as endpoint:
        bucket = new_bucket(endpoint)
        destination = open_destination(f"s3://{bucket}/backups", **options(endpoint))
        pipeline = BackupPipeline("shop", SOURCE, destination, encryptor=Passphrase(PASSWORD))
        assert pipeline.run().outcome == "succeeded"
        yield f"s3://{bucket}/backups?endpoint_url={endpoint}"


def backupkit(*arguments: str | Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "FSSPEC_"))
    }
    return subprocess.run(
        [sys.executable, "-m", "backupkit", *map(str, arguments)],
        env={**inherited, "BACKUP_ARCHIVE_PASSWORD": PASSWORD, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


AWS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "hunter2"}


def test_a_backup_is_listed_verified_and_restored_by_its_url(url: str, tmp_path: Path) -> None:
    listed = backupkit("list", url, "--json", environment=AWS)
    assert listed.returncode == 0, listed.stderr
    (backup,) = json.loads(listed.stdout)["backups"]
    assert backup["name"] == "shop"
    verified = backupkit("verify", url, environment=AWS)
    assert verified.returncode == 0, verified.stderr
    restored = backupkit("restore", url, "--to", tmp_path / "restored", environment=AWS)
    assert restored.returncode == 0, restored.stderr
    assert (tmp_path / "restored" / "a").read_bytes() == Path(__file__).read_bytes()
    assert "hunter2" not in "".join(one.stdout + one.stderr for one in (listed, verified, restored))


def test_the_url_may_be_that_of_the_pipelines_folder(url: str, tmp_path: Path) -> None:
    inner = url.replace("/backups?", "/backups/shop?")
    restored = backupkit("restore", inner, "--to", tmp_path / "restored", environment=AWS)
    assert restored.returncode == 0, restored.stderr
    assert (tmp_path / "restored" / "a").read_bytes() == Path(__file__).read_bytes()


def test_the_settings_of_fsspecs_users_are_followed(url: str, tmp_path: Path) -> None:
    """Variables, and a file as in `~/.config/fsspec`."""
    place, _, endpoint = url.partition("?endpoint_url=")
    (tmp_path / "conf.json").write_text(json.dumps({"s3": {"key": "any", "endpoint_url": endpoint}}))
    environment = {"FSSPEC_CONFIG_DIR": str(tmp_path), "FSSPEC_S3": '{"secret": "any"}'}
    listed = backupkit("list", place, "--json", environment=environment)
    assert listed.returncode == 0, listed.stderr
    assert len(json.loads(listed.stdout)["backups"]) == 1


def test_a_bucket_that_is_not_there_ends_in_one_sentence_without_secrets(url: str) -> None:
    _, _, endpoint = url.partition("?endpoint_url=")
    done = backupkit("list", f"s3://no-such-bucket-here?endpoint_url={endpoint}", environment=AWS)
    assert done.returncode == 10
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


def test_a_pipelines_folder_opens_what_is_learnt_of_its_backups_too() -> None:
    place = f"memory://{uuid.uuid4().hex}/backups"
    pipeline = BackupPipeline("shop", SOURCE, place, encryptor=None)
    pipeline.run()
    backups = open_repository(f"{place}/shop")
    backups.verify()
    (backup,) = pipeline.list().backups
    assert backup.verified is not None
    assert backup.location == place


def test_a_destination_is_named_by_its_url_with_its_settings_or_without() -> None:
    name = uuid.uuid4().hex
    places = [open_destination(f"s3://{name}/{one}", endpoint_url="https://s3.example") for one in "ab"]
    pipeline = BackupPipeline("shop", SOURCE, places, encryptor=None)
    for at in (f"s3://{name}/a", f"s3://{name}/a/", f"s3a://{name}/a?endpoint_url=https://s3.example"):
        assert pipeline._chosen(at) == [places[0]]


def test_a_url_that_means_several_destinations_is_refused() -> None:
    from backupkit import ConfigurationError

    places = [open_destination("s3://b/x", endpoint_url=f"https://{one}.example") for one in "ab"]
    pipeline = BackupPipeline("shop", SOURCE, places, encryptor=None)
    with pytest.raises(ConfigurationError, match="Several destinations"):
        pipeline.get(at="s3://b/x")
