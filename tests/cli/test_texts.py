"""Words and columns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from backupkit.cli.reports import problem_lines
from backupkit.cli.texts import columns, counted, duration, minutes, printable
from backupkit.model import Problem
from backupkit.plain_data import plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, é and 🗃", "plain text, é and 🗃"),
        ("line\nbreak\ttab", r"line\nbreak\ttab"),
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("\udcff\udce9", r"\udcff\udce9"),
        ("right\u202eto left", r"right\u202eto left"),
    ],
)
def test_only_what_a_terminal_shows_as_it_is_reaches_it(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_columns_are_aligned_and_never_cut() -> None:
    assert list(columns([["a", "long" * 50, "x"], ["bbb", "c", ""]])) == [
        f"a    {'long' * 50}  x",
        "bbb  c",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (59.96, "1 min 0 s"), (200, "3 min 20 s"), (3900, "1 h 5 min")],
)
def test_durations_have_the_unit_that_matters(seconds: float, text: str) -> None:
    assert duration(timedelta(seconds=seconds)) == text


def test_times_are_in_utc_to_the_minute() -> None:
    time = datetime(2026, 3, 1, 1, 30, 59, tzinfo=timezone(timedelta(hours=2)))
    assert minutes(time) == "2026-02-28T23:30Z"


def test_one_is_singular() -> None:
    assert [counted(n, "entry", "entries") for n in (0, 1, 2)] == ["0 entries", "1 entry", "2 entries"]


def test_a_problem_says_its_place_once() -> None:
    problems = [
        Problem(message="a.txt is damaged", path="a.txt", destination="file:///one"),
        Problem(message="pg_dump failed:\nno such\x07 table", severity="warning"),
    ]
    assert list(problem_lines(problems)) == [
        "  error: a.txt is damaged (file:///one)",
        "  warning: pg_dump failed:",
        r"    no such\x07 table",
    ]


def test_plain_data_is_what_json_can_hold() -> None:
    time = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    value = (time, timedelta(minutes=1), frozenset({"files", "databases"}), None, 1, Problem(message="m"))
    assert plain(value) == [
        "2026-01-02T03:04:05.000006+00:00",
        60.0,
        ["databases", "files"],
        None,
        1,
        {"message": "m", "severity": "error", "check": None, "path": None, "destination": None},
    ]
