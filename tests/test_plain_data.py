"""Reports become JSON and come back as they were, and nothing else comes back as a report."""

from __future__ import annotations

import json
import typing
from contextlib import suppress
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta, timezone
from types import UnionType
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit import model
from backupkit.errors import IntegrityError
from backupkit.model import Problem, Report
from backupkit.plain_data import identity_of, plain, report_from, storable

REPORT = Report(
    operation="run",
    outcome="succeeded",
    name="shop",
    started=datetime(2026, 11, 23, 3, tzinfo=UTC),
    took=timedelta(seconds=1.5),
)

# Paths hold bytes that are not UTF-8 as surrogate escapes, and tests of texts must hold NUL.
TEXTS = st.text(st.one_of(st.characters(), st.sampled_from("\0\udc80\udcff\ud800")), max_size=8)
ZONES = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
YEARS = timedelta(days=36_500)
LEAVES: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXTS,
    int: st.integers(0, 2**63 - 1),
    bool: st.booleans(),
    datetime: st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=ZONES),
    timedelta: st.timedeltas(-YEARS, YEARS),
}


def made_of(kind: Any) -> st.SearchStrategy[Any]:
    """Values of this kind with every field filled in, nested ones too."""
    origin, of = typing.get_origin(kind), typing.get_args(kind)
    if kind in LEAVES:
        return LEAVES[kind]
    if origin in (UnionType, typing.Union):
        return st.one_of(*(st.none() if one is type(None) else made_of(one) for one in of))
    if origin is Literal:
        return st.sampled_from(of)
    if origin is tuple:
        return st.lists(made_of(of[0]), max_size=2).map(tuple)
    if origin is frozenset:
        return st.frozensets(made_of(of[0]), max_size=2)
    assert is_dataclass(kind), kind
    types = typing.get_type_hints(kind, vars(model))
    return st.builds(
        kind,  # type: ignore[arg-type]  # a class, but is_dataclass cannot say so
        **{field.name: made_of(types[field.name]) for field in fields(kind)},
    )


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(made_of(Report))
def test_a_report_comes_back_equal_from_its_json(report: Report) -> None:
    text = json.dumps(plain(report))
    assert text.isascii()
    assert report_from(json.loads(text)) == report


@given(JSON)
def test_any_other_json_is_an_integrity_error(data: object) -> None:
    with pytest.raises(IntegrityError):
        report_from(data)


@given(made_of(Report), st.data())
def test_a_report_with_one_field_replaced_is_a_report_or_an_integrity_error(
    report: Report, data: st.DataObject
) -> None:
    there = plain(report)
    parents = [there]
    while True:  # down to some field
        parent = parents[-1]
        key = data.draw(st.sampled_from(list(parent) if isinstance(parent, dict) else range(len(parent))))
        if not parent[key] or not isinstance(parent[key], dict | list) or data.draw(st.booleans()):
            break
        parents.append(parent[key])
    parents[-1][key] = data.draw(JSON)
    with suppress(IntegrityError):
        assert isinstance(report_from(there), Report)


def test_an_error_quotes_little_of_what_it_was_given() -> None:
    with pytest.raises(IntegrityError) as caught:
        report_from({**plain(REPORT), "entries": "1" * 10_000})
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("problems", "abc"),
        ("problems", {}),
        ("destinations", [[]]),
        ("entries", True),
        ("entries", 1.5),
        ("took", "1"),
        ("took", True),
        ("started", 0),
        ("outcome", "ended"),
        ("name", None),
        ("dumps", None),
    ],
)
def test_a_field_of_the_wrong_kind_is_not_taken_for_something_like_it(field: str, value: object) -> None:
    with pytest.raises(IntegrityError):
        report_from({**plain(REPORT), field: value})


def test_fields_of_a_later_version_are_passed_over() -> None:
    data = {**plain(REPORT), "colour": "green", "problems": [{"message": "Lost.", "since": 3}]}
    assert report_from(data).problems == (Problem(message="Lost."),)


def test_fields_that_an_earlier_version_did_not_know_have_their_default() -> None:
    data = {key: plain(REPORT)[key] for key in ("operation", "outcome", "name", "started", "took")}
    assert report_from(data) == REPORT


@given(JSON)
def test_what_is_storable_is_utf8_without_nul(data: object) -> None:
    for text in texts_in(storable(data)):
        assert b"\0" not in text.encode()


def test_a_name_that_is_not_utf8_is_written_out() -> None:
    assert storable(["caf\udce9\0", {"a": "é"}]) == ["caf\\udce9\\u0000", {"a": "é"}]


def test_the_identity_is_the_same_for_the_same_value_alone() -> None:
    again = report_from(json.loads(json.dumps(plain(REPORT))))
    other = Report(**{**{field.name: getattr(REPORT, field.name) for field in fields(REPORT)}, "entries": 1})
    assert identity_of(again) == identity_of(REPORT) != identity_of(other)
    assert len(identity_of(REPORT)) == 64


def texts_in(data: object) -> list[str]:
    match data:
        case str():
            return [data]
        case list():
            return [text for one in data for text in texts_in(one)]
        case dict():
            return [text for one in data.values() for text in texts_in(one)]
        case _:
            return []
