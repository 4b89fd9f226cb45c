from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit.formats.zip.naming import BOTH, backup_id, parse
from backupkit.model import Contents

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
        "shop/2026-01-31T23-59-58.000042Z-both.zip",
        "shop/2026-01-31T23-59-58Z.zip",
        "shop/2026-02-30T23-59-58.000042Z.zip",
        "shop/2026-01-31T24-59-58.000042Z.zip",
        "shop/2026-01-31T23-59-58.000042Z.zip\n",
        "shop/sub/2026-01-31T23-59-58.000042Z.zip",
        "shop/x2026-01-31T23-59-58.000042Z.zip",
        "backupkit/shop/2026-01-31T23-59-58.000042Z/verified",
    ],
    ids=repr,
)
def test_what_is_not_ours_has_no_name(name: str) -> None:
    assert parse(name) is None
