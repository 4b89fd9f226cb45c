"""Words and columns."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from typer.testing import CliRunner

from backupkit.cli.app import app as command_line
from backupkit.cli.reports import dry_clean_lines, problem_lines
from backupkit.cli.summaries import summary_lines
from backupkit.cli.texts import columns, counted, duration, minutes
from backupkit.model import Backup, DestinationResult, Pin, Problem, Report
from backupkit.plain_data import plain
from backupkit.retention import TieredRetention
from backupkit.testing.notices import summary


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


def test_a_plan_says_of_each_backup_why_and_a_reason_somebody_gave_cannot_break_its_line() -> None:
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)

    def backup(days: int, pin: Pin | None = None) -> Backup:
        return Backup(
            id=f"{now - timedelta(days=days):%Y-%m-%d}",
            name="shop",
            time=now - timedelta(days=days),
            contents=frozenset({"databases"}),
            location="/mnt/backup",
            complete=True,
            stored=10**9,
            pin=pin,
        )

    pin = Pin(reason="before\n\x1b[31m9.0", until=now + timedelta(days=9))
    plan = TieredRetention(minimum=2).plan(
        [backup(0), backup(1), backup(900), backup(901), backup(902, pin)], now=now
    )
    result = DestinationResult(location="/mnt/backup", outcome="succeeded", plan=plan)
    report = Report(
        operation="clean",
        outcome="succeeded",
        name="shop",
        started=now,
        took=timedelta(seconds=1),
        destinations=(result,),
    )
    assert list(dry_clean_lines(report)) == [
        "Nothing was deleted (dry run): 4 would be kept, 1 removed, 0 B freed.",
        "/mnt/backup (succeeded)",
        "  keep    2026-11-23  databases  1 GB  complete  newest good backup of databases",
        "  keep    2026-11-22  databases  1 GB  complete  newer than 7 days; "
        "one of the 2 newest good backups of databases",
        "  keep    2024-06-06  databases  1 GB  complete  newest of 2024",
        "  remove  2024-06-05  databases  1 GB  complete  not the newest of 2024",
        "  keep    2024-06-04  databases  1 GB  complete  pinned until 2026-12-02T12:00Z: "
        "before\\n\\x1b[31m9.0",
    ]


@pytest.mark.parametrize(
    ("passed", "age"),
    [
        (timedelta(seconds=29), "0 minutes"),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(minutes=59), "59 minutes"),
        (timedelta(minutes=60), "1 hour"),
        (timedelta(hours=47), "47 hours"),
        (timedelta(hours=48), "2 days"),
    ],
)
def test_a_summary_tells_ages_in_a_unit_that_fits(passed: timedelta, age: str) -> None:
    made = summary()
    newest = made.destinations[0].newest
    assert newest is not None
    _, _, full, _ = summary_lines(replace(made, time=newest.time + passed))
    assert f"  {age}  " in full


@pytest.mark.parametrize(
    "verb",
    [
        *("demo", "run", "list", "verify", "restore", "drill", "clean", "retention", "monitor"),
        *("copy", "pin", "unpin", "summary", "prune", "repair", "ls", "cat", "diff", "find", "stats"),
        *("key list", "key add", "key remove", "key change", "key sheet"),
    ],
)
def test_each_verb_teaches_by_example(verb: str) -> None:
    done = CliRunner().invoke(command_line, [*verb.split(), "--help"])
    assert done.exit_code == 0
    assert f"\n    backupkit {verb}" in done.stdout
