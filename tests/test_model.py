from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, cast

import pytest

from backupkit.model import (
    Differing,
    Entry,
    Origin,
    Owner,
    Part,
    Passed,
    Problem,
    Statistics,
    Tally,
    flaw_of,
)

ORIGIN = Origin("/srv/shop/a", inode=7, device=8, links=2, changed_ns=9)


def _read(path: str) -> Iterator[Entry | Problem | Part]:
    yield Entry(path=path)


def test_an_entry_survives_pickling() -> None:
    entry = Entry(path="a", mode=0o600, owner=Owner(uid=1, gid=2), xattrs={"user.a": b"1"}, origin=ORIGIN)
    for one in (entry, replace(entry, xattrs=Entry(path="a").xattrs)):
        copied = pickle.loads(pickle.dumps(one))
        assert copied == one
        assert copied.origin == ORIGIN
        assert list(copied.chunks()) == []


def test_a_part_survives_pickling_without_who_listens() -> None:
    heard: list[Passed] = []
    part = Part(
        entry=Entry(path="a", kind="directory"), read=partial(_read, "a/b"), wanted=False, passed=heard.append
    )
    copied = pickle.loads(pickle.dumps(part))
    assert (copied.entry, copied.wanted) == (part.entry, False)
    assert list(copied.read()) == [Entry(path="a/b")]
    copied.passed(Passed("a/b", 1, 0))
    assert heard == []


def test_where_an_entry_was_read_does_not_make_it_another() -> None:
    assert Entry(path="a", origin=ORIGIN) == Entry(path="a")


@pytest.mark.parametrize(
    ("field", "value", "flaw"),
    [
        ("kind", "socket", "unknown kind 'socket'"),
        ("device", None, "a device that is not two whole numbers"),
        ("device", (1, "2"), "a device that is not two whole numbers"),
        ("device", (1, -2), "a device that is not two whole numbers"),
        ("origin", "/srv/shop/a", "an origin that is no Origin"),
    ],
)
def test_a_wrong_field_of_a_device_is_told(field: str, value: object, flaw: str) -> None:
    entry = Entry(path="a", kind="chardev", device=(1, 3), origin=ORIGIN)
    assert flaw_of(entry) is None
    assert flaw in (flaw_of(replace(entry, **cast("Any", {field: value}))) or "")


@pytest.mark.parametrize(
    ("differing", "any"),
    [
        (Differing(added=Tally(), removed=Tally(size=5)), False),
        (Differing(added=Tally(files=1), removed=Tally()), True),
        (Differing(added=Tally(), removed=Tally(folders=1)), True),
        (Differing(added=Tally(others=1), removed=Tally()), True),
        (Differing(added=Tally(), removed=Tally(), files=1), True),
        (Differing(added=Tally(), removed=Tally(), metadata=1), True),
        (Differing(added=Tally(), removed=Tally(), types=1), True),
    ],
)
def test_whatever_is_counted_is_a_difference(differing: Differing, any: bool) -> None:
    assert differing.any is any


def test_of_no_backups_there_are_no_ratios() -> None:
    assert (Statistics(location="here").deduplication, Statistics(location="here").compression) == (
        None,
        None,
    )
