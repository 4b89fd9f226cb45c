"""Units of systemd: systemd finds nothing wrong with them, and its calendar has the same moments."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings

from backupkit import ConfigurationError
from backupkit.scheduling import Schedule, Scheduled
from backupkit.scheduling.calling import Calling
from backupkit.scheduling.systemd import calendar_lines, systemd_units
from tests.scheduling.expressions import EXPRESSIONS
from tests.tools import require_tool

SHOP = Calling(
    name="shop", choice=["--app", "shop.backups:pipeline"], folder="/srv/shop", program=["/bin/echo"]
)
START = datetime(2026, 1, 1, tzinfo=UTC)
_ELAPSES = re.compile(r"(?:Next elapse|Iter\. #\d+): \w+ (\S+ \S+) UTC")


def elapses(lines: list[str], *, count: int, start: datetime = START) -> list[datetime]:
    """What systemd says that any of these elapses next, in order."""
    done = subprocess.run(
        [
            require_tool("systemd-analyze"),
            "calendar",
            f"--iterations={count}",
            f"--base-time={start:%Y-%m-%d %H:%M:%S} UTC",
            *lines,
        ],
        env={**os.environ, "TZ": "UTC"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = {datetime.fromisoformat(text).replace(tzinfo=UTC) for text in _ELAPSES.findall(done.stdout)}
    return sorted(found)[:count]


@pytest.mark.interop
@settings(max_examples=60)
@given(EXPRESSIONS)
def test_a_timer_elapses_when_cron_would_begin(when: str) -> None:
    lines = list(calendar_lines(when, "UTC"))
    assert elapses(lines, count=10) == [*islice(CronSim(when, START), 10)]


@pytest.mark.interop
@pytest.mark.parametrize(
    "when",
    [
        "0 3 13 * FRI",
        "0 3 */2 * FRI",
        "0 3 1 1,7 *",
        "0 3 29 2 *",
        "0 3 * * 5-7",
        "0 3 1-31 * FRI",
        "0 3 13 * 0-6",
    ],
)
def test_days_and_weekdays_go_together_as_in_cron(when: str) -> None:
    assert elapses(list(calendar_lines(when, "UTC")), count=8) == [*islice(CronSim(when, START), 8)]


@pytest.mark.interop
def test_a_timer_goes_by_the_clock_of_the_zone() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    found = elapses(list(calendar_lines("0 3 * * *", "Europe/Berlin")), count=365)
    assert {(one.astimezone(berlin).hour, one.hour) for one in found} == {(3, 1), (3, 2)}


@pytest.mark.interop
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    folder = tmp_path / "my 100% 'shop'"
    schedule = Schedule(
        [*Schedule().jobs, Scheduled("0 5 1 * SUN", "drill", to='/mnt/a "b" $c %d')],
        jitter=timedelta(minutes=9),
    )
    units = systemd_units(
        replace(SHOP, folder=str(folder)),
        schedule,
        user="root",
        environment_file="/etc/backups of the shop.env",
    )
    for name, text in units.items():
        (tmp_path / name).write_text(text)
    files = [str(tmp_path / name) for name in units]
    done = subprocess.run(
        [require_tool("systemd-analyze"), "verify", *files], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_each_job_is_a_service_and_a_timer() -> None:
    units = systemd_units(SHOP, Schedule())
    jobs = ["run", "run-databases", "clean", "monitor", "summary"]
    assert list(units) == [f"backupkit-shop-{job}.{kind}" for job in jobs for kind in ("service", "timer")]


def test_one_job_at_several_times_is_one_timer() -> None:
    units = systemd_units(SHOP, Schedule([Scheduled("0 3 * * *", "run"), Scheduled("0 12 13 * FRI", "run")]))
    assert [line for line in units["backupkit-shop-run.timer"].splitlines() if line.startswith("OnCal")] == [
        "OnCalendar=*-*-* 03:00:00 UTC",
        "OnCalendar=*-*-13 12:00:00 UTC",
        "OnCalendar=Fri *-*-* 12:00:00 UTC",
    ]


def test_what_was_missed_begins_at_boot_one_after_the_other() -> None:
    units = systemd_units(SHOP, Schedule())
    assert "Persistent=true" in units["backupkit-shop-clean.timer"].splitlines()
    assert "After=backupkit-shop-run.service backupkit-shop-run-databases.service" in (
        units["backupkit-shop-clean.service"].splitlines()
    )


def test_another_run_under_way_is_no_failure_and_an_incomplete_one_is() -> None:
    assert (
        "SuccessExitStatus=11" in systemd_units(SHOP, Schedule())["backupkit-shop-run.service"].splitlines()
    )


def test_the_same_job_elsewhere_or_told_to_nobody_is_another_unit() -> None:
    jobs = [
        Scheduled("0 3 * * *", "clean", to=to, notify=notify)
        for to in ("/a", "/b")
        for notify in (True, False)
    ]
    assert len(systemd_units(SHOP, Schedule(jobs))) == 8


def test_words_reach_the_program_as_they_are(tmp_path: Path) -> None:
    calling = replace(SHOP, choice=["--config", 'a "b" $c %d \\e;'], folder="/srv/100% shop")
    service = systemd_units(calling, Schedule())["backupkit-shop-clean.service"]
    assert "WorkingDirectory=/srv/100%% shop" in service.splitlines()
    assert 'ExecStart=/bin/echo clean --config "a \\"b\\" $$c %%d \\\\e;" --quiet' in service.splitlines()


@pytest.mark.parametrize("when", ["0 3 L * *", "0 3 * * MON#1"])
def test_what_systemd_does_not_know_is_refused(when: str) -> None:
    with pytest.raises(ConfigurationError, match="has what systemd does not know"):
        systemd_units(SHOP, Schedule([Scheduled(when, "run")]))


def test_a_user_cannot_bring_another_line() -> None:
    with pytest.raises(ConfigurationError, match="cannot stand in a unit"):
        systemd_units(SHOP, Schedule(), user="root\nExecStartPre=/bin/true")


@pytest.mark.parametrize("folder", ["/srv/shop\\", "/srv/shop "])
def test_a_folder_that_systemd_would_read_as_another_is_refused(folder: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot stand in a unit"):
        systemd_units(replace(SHOP, folder=folder), Schedule())


@pytest.mark.parametrize("file", ["backup.env", "-/etc/backup.env"])
def test_a_file_with_secrets_that_systemd_would_pass_over_is_refused(file: str) -> None:
    with pytest.raises(ConfigurationError, match="give the whole path"):
        systemd_units(SHOP, Schedule(), environment_file=file)


def test_a_timer_is_delayed_by_the_same_time_each_day() -> None:
    timer = systemd_units(SHOP, Schedule(jitter=timedelta(minutes=9)))["backupkit-shop-run.timer"]
    assert {"RandomizedDelaySec=540", "FixedRandomDelay=true"} <= {*timer.splitlines()}
