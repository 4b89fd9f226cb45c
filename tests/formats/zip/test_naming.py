from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit.errors import ConfigurationError
from backupkit.formats.backup_ids import BOTH, backup_id
from backupkit.formats.zip.format import Zip
from backupkit.formats.zip.naming import parse, summary_name, zone_of
from backupkit.model import Backup, Contents

TIME = datetime(2026, 1, 31, 23, 59, 58, 42, tzinfo=UTC)
FILES: frozenset[Contents] = frozenset({"files"})
DATABASES: frozenset[Contents] = frozenset({"databases"})


@pytest.mark.parametrize(
    ("contents", "name"),
    [
        (BOTH, "2026-01-31T23-59-58.000042Z"),
        (FILES, "2026-01-31T23-59-58.000042Z-files"),
        (DATABASES, "2026-01-31T23-59-58.000042Z-databases"),
    ],
)
def test_an_id_is_the_time_and_what_the_backup_holds(contents: frozenset[Contents], name: str) -> None:
    assert backup_id(TIME, contents) == name
    assert backup_id(TIME.astimezone(timezone(timedelta(hours=9))), contents) == name


@given(
    st.datetimes(datetime(1000, 1, 1), timezones=st.just(UTC)),
    st.sampled_from([BOTH, FILES, DATABASES]),
    st.sampled_from(
        [".zip", ".zip.age", ".zip.restic-aes-256-poly1305", ".complete.json", ".incomplete.json"]
    ),
)
def test_what_is_in_a_name_comes_back(time: datetime, contents: frozenset[Contents], suffix: str) -> None:
    identity = backup_id(time, contents)
    found = parse(f"shop/{identity}{suffix}")
    assert found is not None
    assert (found.name, found.id, found.time, found.contents) == ("shop", identity, time, contents)
    kind, scheme = {".complete.json": ("complete", None), ".incomplete.json": ("incomplete", None)}.get(
        suffix, ("archive", suffix.removeprefix(".zip").removeprefix(".") or None)
    )
    assert (found.kind, found.scheme) == (kind, scheme)


@given(st.lists(st.datetimes(datetime(1000, 1, 1), timezones=st.just(UTC)), min_size=2))
def test_ids_sort_by_time(times: list[datetime]) -> None:
    assert [backup_id(time, BOTH) for time in sorted(times)] == sorted(
        backup_id(time, BOTH) for time in times
    )


@pytest.mark.parametrize(
    "name",
    [
        "",
        "shop",
        "2026-01-31T23-59-58.000042Z.zip",
        "shop/2026-01-31T23-59-58.000042Z",
        "shop/2026-01-31T23-59-58.000042Z.json",
        "shop/2026-01-31T23-59-58.000042Z.zip.",
        "shop/2026-01-31T23-59-58.000042Z.zip.AGE",
        "shop/2026-01-31T23-59-58.000042Z.zip.partial.x",
        "shop/2026-01-31T23-59-58.000042Z.zip\n",
        "shop/sub/2026-01-31T23-59-58.000042Z.zip",
        "backupkit/shop/2026-01-31T23-59-58.000042Z/verified",
        "backupkit/2026-01-31-23-59-58.zip",
        "2026-01-31-23-59-58.zip",
        "shop/.zip",
        "shop/export.zip.age",
        "shop/export.complete.json",
        "shop/export.both.complete.json",
        "shop/2026-01-31T23-59-58.000042Z.full.complete.json",
    ],
    ids=repr,
)
def test_what_is_neither_an_archive_nor_a_summary_has_no_name(name: str) -> None:
    assert parse(name) is None


# Archives that others wrote.


@pytest.mark.parametrize(
    "stem",
    [
        "export",
        "export.zip",
        "app.databases",
        "2026-01-31T23-59-58.000042Z-both",
        "2026-01-31T23-59-58Z",
        "2026-02-30T23-59-58.000042Z",
        "2026-02-30-23-59-58",
        "only-db-2026-01-31-23-59-58",
        "2026-01-31-23-59-58-nightly",
    ],
)
def test_any_other_archive_is_somebody_elses(stem: str) -> None:
    found = parse(f"shop/{stem}.zip")
    assert found is not None
    assert (found.id, found.made_by, found.kind, found.contents) == (stem, "other", "archive", frozenset())
    assert found.at(UTC) is None


@pytest.mark.parametrize("contents", [BOTH, FILES, DATABASES], ids=sorted)
@pytest.mark.parametrize("complete", [True, False])
def test_the_name_of_a_foreign_summary_says_what_the_archive_holds(
    contents: frozenset[Contents], complete: bool
) -> None:
    backup = Backup(
        id="app.files",
        name="shop",
        time=TIME,
        contents=contents,
        location="memory:",
        complete=complete,
        stored=0,
        made_by="other",
    )
    found = parse(summary_name(backup))
    assert found is not None
    assert (found.name, found.id, found.contents) == ("shop", "app.files", contents)
    assert found.kind == ("complete" if complete else "incomplete")


@pytest.mark.parametrize(
    ("zone", "stem", "time"),
    [
        ("UTC", "2026-01-31-23-59-58", "2026-01-31T23:59:58+00:00"),
        ("Europe/Berlin", "2026-07-01-02-00-00", "2026-07-01T00:00:00+00:00"),
        ("America/New_York", "2026-01-31-23-59-58", "2026-02-01T04:59:58+00:00"),
        ("Europe/Berlin", "2026-10-25-02-30-00", "2026-10-25T00:30:00+00:00"),  # twice: the first
        ("Europe/Berlin", "2026-03-29-02-30-00", "2026-03-29T01:30:00+00:00"),  # never: as if winter went on
    ],
)
def test_a_name_of_laravel_backup_is_a_local_time(zone: str, stem: str, time: str) -> None:
    found = parse(f"shop/{stem}.zip")
    assert found is not None
    assert found.made_by == "laravel-backup"
    at = found.at(zone_of(zone))
    assert at is not None
    assert at.isoformat() == time
    assert found.at(None) is None


def test_a_local_time_that_no_calendar_has_in_utc_is_none() -> None:
    found = parse("shop/0001-01-01-00-00-00.zip")
    assert found is not None
    assert found.at(timezone(timedelta(hours=9))) is None


@pytest.mark.parametrize("zone", ["Europe/Bärlin", "", "../etc/passwd", "a\0b", 7], ids=repr)
def test_an_unknown_time_zone_is_refused_at_once(zone: str) -> None:
    with pytest.raises(ConfigurationError, match="no time zone"):
        Zip(legacy_time_zone=zone)


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin", timezone(timedelta(hours=1))], ids=repr)
def test_a_format_with_a_time_zone_is_a_value(zone: str | tzinfo | None) -> None:
    assert {Zip(legacy_time_zone=zone): 1}[Zip(legacy_time_zone=zone)] == 1
