"""A pipeline whose only destination is a URL of S3, with the credentials in the environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from backupkit import BackupPipeline, Directory, KeepLast, MaximumAge, MinimumCount, Passphrase
from tests.cli.shop import environment
from tests.storage.s3 import SECRET, S3Server

PASSPHRASE = "seven-random-words-that-nobody-guesses"


@pytest.fixture
def url(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "admin")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    return f"s3://{s3_server.new_bucket()}/shop?endpoint_url={s3_server.endpoint}"


@pytest.fixture
def pipeline(url: str, tmp_path: Path) -> BackupPipeline:
    (tmp_path / "app" / "uploads").mkdir(parents=True)
    (tmp_path / "app" / "uploads" / "photo").write_bytes(os.urandom(20 << 20))
    for number in range(50):
        (tmp_path / "app" / f"{number}.csv").write_text(f"{number},apples\n")
    return BackupPipeline(
        "shop",
        Directory(tmp_path / "app"),
        url,
        encryptor=Passphrase(PASSPHRASE),
        retention=KeepLast(1),
        checks=[MaximumAge(days=1), MinimumCount(1)],
    )


def test_a_pipeline_runs_verifies_restores_cleans_and_monitors_on_s3(
    pipeline: BackupPipeline, url: str, tmp_path: Path
) -> None:
    first, second = pipeline.run(), pipeline.run()
    assert (first.outcome, second.outcome) == ("succeeded", "succeeded")
    assert [one.location for one in pipeline.list().backups] == [url, url]
    assert pipeline.verify().outcome == "succeeded"
    pipeline.restore(to=tmp_path / "restored")
    for file in (tmp_path / "app").rglob("*.csv"):
        assert (tmp_path / "restored" / "app" / file.name).read_bytes() == file.read_bytes()
    photo = Path("app", "uploads", "photo")
    assert (tmp_path / "restored" / photo).read_bytes() == (tmp_path / photo).read_bytes()
    cleaned = pipeline.clean()
    assert [len(result.plan.remove) for result in cleaned.destinations if result.plan] == [1]
    assert len(pipeline.list().backups) == 1
    assert pipeline.monitor().outcome == "succeeded"
    told = f"{pipeline!r} {first} {cleaned}"
    assert SECRET not in told


def test_the_command_line_takes_the_url(pipeline: BackupPipeline, url: str, tmp_path: Path) -> None:
    pipeline.run()
    variables = {
        "AWS_ACCESS_KEY_ID": "admin",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "BACKUP_ARCHIVE_PASSWORD": PASSPHRASE,
    }

    def backupkit(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "backupkit", *arguments],
            env=environment(variables),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert SECRET not in done.stdout + done.stderr
        return done.stdout

    (backup,) = json.loads(backupkit("list", url, "--json"))["backups"]
    assert (backup["name"], backup["location"]) == ("shop", url)
    backupkit("restore", url, "--to", "restored")
    assert (tmp_path / "restored" / "app" / "7.csv").read_text() == "7,apples\n"
