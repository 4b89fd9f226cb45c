"""`pin` and `unpin`, and what they change in `list` and `clean`, as real processes."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from backupkit import ConfigurationError
from backupkit.cli.pinning import end_of
from tests.cli.shop import Shop

APP = ("--app", "shop_backups:pipeline")


def test_a_pinned_backup_is_shown_kept_and_let_go_again(saved: Shop) -> None:
    first = next(saved.backups.rglob("*.zip")).stem
    done = saved.backupkit(
        *("pin", *APP, "--backup", first[:20], "--reason", "audit 2026", "--until", "2999-03-31")
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{first} is pinned until 2999-04-01T00:00Z: audit 2026\n"
    saved.backupkit("run", *APP)
    head, newer, older = saved.backupkit("list", "backups").stdout.splitlines()
    assert "  PINNED " in head
    assert re.search(r"never +- +file:", newer)
    assert "  until 2999-04-01T00:00Z: audit 2026  file:" in older
    assert "pinned until 2999-04-01T00:00Z: audit 2026" in saved.backupkit("clean", *APP).stdout
    # Without the pipeline, and without the passphrase:
    done = saved.backupkit("unpin", "backups", "--backup", first)
    assert (done.returncode, done.stdout) == (0, f"{first} is not pinned.\n")
    assert re.search(rf"  remove  {first}", saved.backupkit("clean", *APP).stdout)


def test_a_pin_without_an_end_holds_until_it_is_unpinned_and_json_is_the_backup(saved: Shop) -> None:
    code, backup = saved.document("pin", "backups", "--backup", "latest", "--reason", "for good")
    assert (code, backup["name"]) == (0, "shop")
    assert backup["pin"] == {"reason": "for good", "until": None}
    assert "  for good  file:" in saved.backupkit("list", *APP).stdout


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--backup", "latest", "--reason", ""], 2, "does not say why the backup is pinned"),
        (["--backup", "1999", "--reason", "audit"], 10, "There is no backup '1999'"),
    ],
)
def test_a_pin_that_cannot_be_is_refused(
    unchanged: Shop, options: list[str], code: int, message: str
) -> None:
    done = unchanged.backupkit("pin", "backups", *options)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr


def test_a_date_means_its_end_and_a_time_says_its_zone() -> None:
    assert end_of("2027-03-31") == datetime(2027, 4, 1, tzinfo=UTC)
    assert end_of("9999-12-31") == datetime.max.replace(tzinfo=UTC)
    assert end_of("2027-03-31T12:00+02:00") == datetime(2027, 3, 31, 10, tzinfo=UTC)
    assert end_of("2027-03-31T12:00Z") == datetime(2027, 3, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize("until", ["", "soon", "2027-02-29", "2027-03-31T12:00"])
def test_a_date_that_is_not_clear_is_refused(until: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--until .* is not clear: write it as"):
        end_of(until)


def test_a_pin_that_not_every_destination_took_fails_and_names_it(saved: Shop) -> None:
    id_ = next(saved.backups.rglob("*.zip")).stem
    done = saved.backupkit("pin", "--app", "shop_backups:halfway", "--backup", id_, "--reason", "audit")
    assert (done.returncode, done.stdout) == (1, "")
    assert "but could not be pinned at " in done.stderr
    assert "not-mounted" in done.stderr
