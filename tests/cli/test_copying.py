"""`backupkit copy`."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from backupkit.cli.app import app
from tests.cli.shop import SECRET, Shop
from tests.restics import client

PASSPHRASE = ("--passphrase-file", "passphrase.txt")


def test_archives_are_copied_to_a_place_of_snapshots_and_then_passed_over(
    unchanged: Shop, tmp_path: Path
) -> None:
    place = tmp_path / "snapshots"
    client("installed").at(place, tmp_path / "cache", password=SECRET).plant()
    to = ("--to", str(place))
    done = unchanged.backupkit("copy", "backups", "--all", *to, *PASSPHRASE)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 backup copied" in done.stdout
    code, report = unchanged.document("copy", "--app", "shop_backups:pipeline", *to, "--dry-run")
    assert (code, report["operation"], report["skipped"], report["dry_run"]) == (0, "copy", 1, True)
    assert len([*(place / "snapshots").iterdir()]) == 1


def test_a_new_place_gets_the_format_of_the_backups_and_what_contradicts_it_is_2(
    unchanged: Shop, tmp_path: Path
) -> None:
    to = ("--to", str(tmp_path), *PASSPHRASE)
    done = unchanged.backupkit("copy", "backups", *to)
    assert (done.returncode, len([*tmp_path.rglob("*.zip")])) == (0, 1)
    done = unchanged.backupkit("copy", "backups", *to, "--to-format", "snapshots")
    assert (done.returncode, done.stdout) == (2, "")
    assert "is kept as zip, not as snapshots" in done.stderr
    done = unchanged.backupkit("copy", "backups")
    assert (done.returncode, done.stdout) == (2, "")
    assert "give --to or --to-app" in done.stderr


@pytest.mark.parametrize(
    ("options", "flaw"),
    [
        (("--to-passphrase-command", ""), "The --to-passphrase-command is empty"),
        (("--to-passphrase-env", "A", "--to-passphrase-file", "b"), "give one --to-passphrase option"),
    ],
)
def test_what_is_wrong_with_the_passphrase_of_the_copies_is_said_of_its_options(
    options: tuple[str, ...], flaw: str
) -> None:
    done = CliRunner().invoke(app, ["copy", "backups", "--to", "copies", *options])
    assert done.exit_code == 2
    assert flaw in done.stderr
