"""Archives that others wrote, at the command line."""

from __future__ import annotations

import json
import os
from pathlib import Path

from backupkit import open_repository
from backupkit.cli.listings import listing_lines
from tests.cli.shop import SECRET, Shop
from tests.formats.zip.foreign_archives import by_pyzipper

STEM = "2026-01-31-02-30-00"


def put(folder: Path, secret: str) -> None:
    """An archive that is older than any other."""
    folder.mkdir(exist_ok=True)
    (folder / f"{STEM}.zip").write_bytes(by_pyzipper(secret=secret))
    os.utime(folder / f"{STEM}.zip", (0, 0))


def test_list_says_who_made_what_only_where_it_was_not_us(saved: Shop) -> None:
    assert "MADE BY" not in saved.backupkit("list", "backups").stdout
    put(saved.backups / "shop", SECRET)
    header, ours, theirs = saved.backupkit("list", "backups").stdout.splitlines()
    assert header.split("  ")[0] == "ID"
    assert "MADE BY" in header
    assert " backupkit " in ours
    assert theirs.split()[:1] == [STEM]
    assert " laravel-backup  ? " in theirs
    assert " unconfirmed " in theirs
    assert " databases+files " in saved.backupkit("list", "backups", "--details").stdout.splitlines()[2]


def test_verify_and_restore_take_one_by_its_name(saved: Shop) -> None:
    put(saved.backups / "shop", SECRET)
    url = ("backups", "--passphrase-file", "passphrase.txt", "--backup", STEM)
    assert saved.backupkit("verify", *url).returncode == 0
    assert saved.backupkit("restore", *url, "--to", "found").returncode == 0
    assert (saved.folder / "found/db-dumps/mysql-shop.sql").stat().st_size
    assert saved.document("list", "backups")[1]["backups"][1]["made_by"] == "laravel-backup"


def test_a_wrong_passphrase_has_its_exit_code(saved: Shop) -> None:
    put(saved.backups / "shop", "another one")
    for verb in (("verify",), ("restore", "--to", "found")):
        done = saved.backupkit(*verb, "backups", "--passphrase-file", "passphrase.txt", "--backup", STEM)
        assert done.returncode == 12


def test_a_folder_of_nothing_but_old_archives_can_be_listed(tmp_path: Path) -> None:
    put(tmp_path / "shop", SECRET)
    lines = [*listing_lines(open_repository(tmp_path / "shop").list(), details=False)]
    assert len(lines) == 2


def test_the_zone_of_old_names_goes_with_a_url(saved: Shop) -> None:
    put(saved.backups / "shop", SECRET)
    listed = saved.backupkit("list", "backups", "--legacy-time-zone", "Asia/Tokyo", "--json")
    times = {one["id"]: one["time"] for one in json.loads(listed.stdout)["backups"]}
    assert times[STEM] == "2026-01-30T17:30:00+00:00"
    unknown = saved.backupkit("list", "backups", "--legacy-time-zone", "Mars/Olympus")
    assert unknown.returncode == 2
    assert "Mars/Olympus" in unknown.stderr
