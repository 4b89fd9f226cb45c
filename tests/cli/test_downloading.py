"""The verb `download`, as a real process."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.shop import Shop


def test_download_fetches_the_archive_and_says_where_it_is(unchanged: Shop, tmp_path: Path) -> None:
    [archive] = unchanged.backups.rglob("*.zip")
    # Without the pipeline, and without the passphrase:
    done = unchanged.backupkit("download", "backups", "--to", f"{tmp_path}/new/")
    assert (done.returncode, done.stderr) == (0, "")
    head, whence, where = done.stdout.splitlines()
    assert re.fullmatch(r"The download of backups succeeded in [\d.]+ s: [\d.]+ kB written\.", head)
    assert whence == f"  from {archive.stem} at {unchanged.backups.as_uri()}"
    assert where == f"  to {tmp_path}/new/{archive.name}"
    assert (tmp_path / "new" / archive.name).read_bytes() == archive.read_bytes()


def test_download_as_json_names_the_file_and_replaces_none_unasked(unchanged: Shop, tmp_path: Path) -> None:
    wanted = ("download", "--app", "shop_backups:pipeline", "--to", f"{tmp_path}/shop.zip")
    code, report = unchanged.document(*wanted)
    assert (code, report["destinations"][0]["file"]) == (0, f"{tmp_path}/shop.zip")
    again = unchanged.backupkit(*wanted)
    assert (again.returncode, "exists already" in again.stderr) == (1, True)
    assert unchanged.backupkit(*wanted, "--overwrite").returncode == 0


@pytest.mark.parametrize("options", [[], ["--to", "x", "--backup", "1999"]])
def test_download_wants_a_place_and_a_backup_that_is_there(unchanged: Shop, options: list[str]) -> None:
    done = unchanged.backupkit("download", "backups", *options)
    assert done.returncode == (10 if options else 2)
    assert not (unchanged.folder / "x").exists()
