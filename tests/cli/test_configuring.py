"""`backupkit config`: settings are begun, checked and shown at the command line."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema
import pytest

from backupkit import APPLICATION_EXCLUDES, ConfigurationError, Directory, SQLite
from backupkit.config import load
from backupkit.config.starter import Wanted, starter, write_starter
from tests.cli import warm

SETTINGS = (
    '[pipelines.shop]\nsources = "${SHOP:-data}"\ndestinations = "backups"\nencryptor = "environment"\n'
)


def backupkit(*arguments: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return warm.run(["config", *arguments], folder=folder, env={**os.environ, **environ})


def test_right_settings_are_told_so_whatever_is_missing_on_this_machine(tmp_path: Path) -> None:
    (tmp_path / "backupkit.toml").write_text(SETTINGS)
    (tmp_path / "below").mkdir()
    done = backupkit("check", folder=tmp_path / "below", BACKUP_ARCHIVE_PASSWORD="")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"{tmp_path}/backupkit.toml is right: 1 pipeline.",
        f"  shop: 1 source → file://{tmp_path}/backups; passphrase from environment variable "
        "BACKUP_ARCHIVE_PASSWORD, which is not set here",
    ]


def test_all_that_is_wrong_is_told_line_by_line_with_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(SETTINGS + "a = 1\nretry = 3\n")
    done = backupkit("check", "--config", "x.toml", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    first, *others = done.stderr.splitlines()
    assert first == "Error: the settings cannot be used."
    assert [line.partition(": is no")[0] for line in others] == [
        f"{tmp_path}/x.toml:5: pipelines.shop.a",
        f"{tmp_path}/x.toml:6: pipelines.shop.retry",
    ]


def test_the_environment_may_name_the_settings(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(SETTINGS)
    done = backupkit("check", folder=tmp_path, BACKUPKIT_CONFIG="x.toml")
    assert done.stdout.startswith(f"{tmp_path}/x.toml is right")


def test_a_program_is_told_what_is_wrong_as_json(tmp_path: Path) -> None:
    (tmp_path / "backupkit.toml").write_text(SETTINGS + "a = 1\n")
    done = backupkit("check", "--json", folder=tmp_path)
    assert (done.returncode, json.loads(done.stdout)["error"]["type"]) == (2, "SettingsError")


def test_no_settings_at_all_are_told(tmp_path: Path) -> None:
    done = backupkit("check", folder=tmp_path)
    assert done.returncode == 2
    assert "backupkit config init" in done.stderr


def test_settings_are_shown_with_variables_of_a_file_and_without_secrets(tmp_path: Path) -> None:
    (tmp_path / "backupkit.toml").write_text(SETTINGS)
    (tmp_path / ".env").write_text("SHOP=/srv/shop\nBACKUP_ARCHIVE_PASSWORD=hunter2\n")
    done = backupkit("show", "--env-file", ".env", "--pipeline", "shop", folder=tmp_path)
    assert done.stdout.splitlines()[:3] == [
        "[pipelines.shop]",
        "sources = [",
        '    { type = "directory", path = "/srv/shop", follow_symlinks = false },',
    ]
    assert "hunter2" not in done.stdout
    as_json = json.loads(backupkit("show", "--json", folder=tmp_path).stdout)
    assert as_json["pipelines"]["shop"]["encryptor"] == {"type": "environment"}


def test_a_pipeline_that_there_is_not_is_told_when_it_is_to_be_shown(tmp_path: Path) -> None:
    (tmp_path / "backupkit.toml").write_text(SETTINGS)
    done = backupkit("show", "--pipeline", "forum", folder=tmp_path)
    assert done.returncode == 2
    assert "name one of shop" in done.stderr


def test_the_schema_is_printed(tmp_path: Path) -> None:
    done = backupkit("schema", folder=tmp_path)
    jsonschema.Draft7Validator.check_schema(json.loads(done.stdout))


def test_what_flags_begin_loads_and_runs(tmp_path: Path) -> None:
    for name in ("shop", "backups"):
        (tmp_path / name).mkdir()
    (tmp_path / "shop" / "fruit").write_text("apples")
    done = backupkit("init", "--folder", "shop", "--destination", "backups", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    written = tmp_path / "backupkit.toml"
    assert backupkit("check", folder=tmp_path).returncode == 0
    pipeline = load(
        written, environ={"BACKUP_ARCHIVE_PASSWORD": "correct horse battery staple orbit"}
    ).pipeline()
    (source,) = pipeline.sources
    assert isinstance(source, Directory)
    assert source.exclude == APPLICATION_EXCLUDES
    assert (pipeline.name, pipeline.run().outcome) == ("shop", "succeeded")


def test_a_file_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "backupkit.toml").write_text("mine")
    done = backupkit("init", "--destination", "backups", folder=tmp_path)
    assert done.returncode == 2
    assert "is there already, and nothing was written" in done.stderr
    assert (tmp_path / "backupkit.toml").read_text() == "mine"


def test_nor_is_one_that_appears_while_questions_are_answered(tmp_path: Path) -> None:
    (tmp_path / "backupkit.toml").write_text("mine")
    with pytest.raises(ConfigurationError, match="is there already"):
        write_starter(tmp_path / "backupkit.toml", "ours")
    assert (tmp_path / "backupkit.toml").read_text() == "mine"


def test_variables_within_texts_stay_variables_and_dollars_in_a_folder_dollars() -> None:
    wanted = Wanted(
        name="shop",
        folder="/srv/${shop}",
        database="${DATABASE_URL:-sqlite:////srv/app.db}",
        destinations=["s3://${BUCKET}/shop"],
    )
    (pipeline,) = tomllib.loads(starter(wanted))["pipelines"].values()
    assert pipeline["sources"][0]["path"] == "/srv/$${shop}"
    assert pipeline["sources"][1] == "${DATABASE_URL:-sqlite:////srv/app.db}"
    assert pipeline["destinations"] == ["s3://${BUCKET}/shop"]


def test_nothing_is_written_under_a_name_that_no_pipeline_can_have(tmp_path: Path) -> None:
    done = backupkit("init", "--name", "my/shop", "--destination", "backups", folder=tmp_path)
    assert done.returncode == 2
    assert "'my/shop' cannot name a folder" in done.stderr
    assert not (tmp_path / "backupkit.toml").exists()


@pytest.mark.parametrize(
    ("option", "url"),
    [
        ("--database", "mysql://u:hunter2@h/x"),
        ("--destination", "sftp://u:hunter2@h/x"),
        ("--destination", "s3://bucket/x?secret=hunter2"),
    ],
)
def test_no_password_is_taken_from_an_option_into_the_file(option: str, url: str, tmp_path: Path) -> None:
    done = backupkit("init", "--destination", "backups", option, url, folder=tmp_path)
    assert done.returncode == 2
    assert "hunter2" not in done.stderr
    assert not (tmp_path / "backupkit.toml").exists()


def test_without_a_terminal_a_destination_must_be_named(tmp_path: Path) -> None:
    done = backupkit("init", folder=tmp_path)
    assert done.returncode == 2
    assert "give --destination" in done.stderr
    assert not (tmp_path / "backupkit.toml").exists()


def test_at_a_terminal_a_person_is_asked_and_passwords_become_variables(tmp_path: Path) -> None:
    answers = "/srv/shop\nshop\nmysql://u:hunter2@h/x\n/mnt/backup\nsftp://u:hunter2@h/x\n\nn\ny\n"
    terminal, end = pty.openpty()
    try:
        os.write(terminal, answers.encode())
        done = subprocess.run(
            [sys.executable, "-m", "backupkit", "config", "init"],
            cwd=tmp_path,
            stdin=end,
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        os.close(terminal)
        os.close(end)
    assert (done.returncode, done.stderr) == (0, "")
    assert "set DATABASE_URL, BACKUP_DESTINATION_2 in the environment" in done.stdout
    text = (tmp_path / "backupkit.toml").read_text()
    assert "hunter2" not in text
    found = load(
        tmp_path / "backupkit.toml",
        environ={"DATABASE_URL": "sqlite:////x.db", "BACKUP_DESTINATION_2": "/mnt/other"},
    ).pipeline()
    assert isinstance(found.sources[1], SQLite)
    assert [one.location for one in found.destinations] == ["file:///mnt/backup", "file:///mnt/other"]
    assert found.encryptor is None
