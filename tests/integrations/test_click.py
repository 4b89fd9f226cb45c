"""The command line as a command of a program made with click, such as Flask's."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from backupkit import BackupPipeline, Directory
from backupkit.errors import ConfigurationError
from backupkit.integrations.click import backup_command


def pipeline(folder: Path, name: str) -> BackupPipeline:
    for made in (name, "backups"):
        (folder / made).mkdir(exist_ok=True)
    return BackupPipeline(name, Directory(folder / name), folder / "backups", encryptor=None)


def host(*pipelines: BackupPipeline) -> click.Group:
    group = click.Group("shop")
    group.add_command(backup_command(*pipelines))
    return group


def test_verbs_options_and_exit_codes_are_those_of_the_command_line(tmp_path: Path) -> None:
    application = host(pipeline(tmp_path, "shop"))
    done = CliRunner().invoke(application, ["backup", "run", "--json"])
    assert (done.exit_code, json.loads(done.stdout)["outcome"]) == (0, "succeeded")
    assert CliRunner().invoke(application, ["backup", "verify", "--backup", "1999"]).exit_code == 10
    assert (
        "Usage: shop backup run [OPTIONS]" in CliRunner().invoke(application, ["backup", "run", "-h"]).stdout
    )


def test_one_of_several_is_chosen_by_its_name(tmp_path: Path) -> None:
    application = host(pipeline(tmp_path, "shop"), pipeline(tmp_path, "forum"))
    done = CliRunner().invoke(application, ["backup", "run", "--pipeline", "forum", "--json"])
    assert json.loads(done.stdout)["name"] == "forum"
    done = CliRunner().invoke(application, ["backup", "run"])
    assert (done.exit_code, "one of shop, forum" in done.stderr) == (2, True)


def test_it_has_no_aliases_of_databases(tmp_path: Path) -> None:
    application = host(pipeline(tmp_path, "shop"))
    done = CliRunner().invoke(application, ["backup", "restore", "--database", "default"])
    assert done.exit_code == 2


def test_how_cron_would_start_it_is_not_known(tmp_path: Path) -> None:
    application = host(pipeline(tmp_path, "shop"))
    assert CliRunner().invoke(application, ["backup", "schedule", "show"]).exit_code == 0
    done = CliRunner().invoke(application, ["backup", "schedule", "crontab"])
    assert (done.exit_code, "How cron and systemd would start shop backup" in done.stderr) == (2, True)


def test_without_a_pipeline_there_is_no_command() -> None:
    with pytest.raises(ConfigurationError, match="at least one"):
        backup_command()
