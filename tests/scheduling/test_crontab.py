"""Lines of a crontab: cron accepts them, they mean the same moments, and sh does what they say."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backupkit import ConfigurationError
from backupkit.scheduling import Schedule, Scheduled
from backupkit.scheduling.calling import Calling
from backupkit.scheduling.crontab import crontab_lines
from tests.scheduling.expressions import EXPRESSIONS
from tests.tools import require_tool

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SHOP = Calling(
    name="shop",
    choice=["--app", "shop.backups:pipeline"],
    folder="/srv/shop",
    program=["/srv/venv/bin/backupkit"],
)


def lines(schedule: Schedule = Schedule(), calling: Calling = SHOP, **options: Any) -> list[str]:  # noqa: B008
    return list(crontab_lines([(calling, schedule)], **{"machine": UTC, "now": NOW, **options}))


def commands(found: Sequence[str]) -> list[str]:
    return [line.split(" ", 1 if line.startswith("@") else 5)[-1] for line in found if line[0] != "#"]


def test_each_job_is_a_line_and_what_was_missed_is_caught_up_after_boot() -> None:
    cd, choice = "cd /srv/shop && ", "--app shop.backups:pipeline"
    assert lines(Schedule([Scheduled("0 3 * * *", "run"), Scheduled("0 8 * * MON", "summary")])) == [
        "# The backups of shop, UTC",
        f"0 3 * * * {cd}/srv/venv/bin/backupkit run {choice} --wait 3600 --quiet",
        f"0 8 * * 1 {cd}/srv/venv/bin/backupkit summary --send {choice} --quiet",
        f"@reboot {cd}sleep 60 && /srv/venv/bin/backupkit schedule catch-up {choice} --quiet",
    ]


def test_a_jitter_is_a_sleep_at_the_beginning() -> None:
    (one,) = jobs = [Scheduled("0 3 * * *", "run")]
    schedule = Schedule(jobs, jitter=timedelta(minutes=10))
    seconds = int(schedule.delay("shop", one).total_seconds())
    assert seconds > 0
    assert f" && sleep {seconds} && " in lines(schedule)[1]


def test_what_is_odd_about_a_path_reaches_the_program_as_it_is(tmp_path: Path) -> None:
    folder, program = tmp_path / "my 100% 'shop'", tmp_path / "back $up"
    folder.mkdir()
    program.write_text('#!/bin/sh\npwd\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    calling = replace(SHOP, folder=str(folder), program=[str(program)], choice=["--config", "50%;\\x"])
    command = commands(lines(Schedule([Scheduled("0 3 * * *", "clean")]), calling))[0]
    assert "%" not in command.replace(r"\%", "")
    said = subprocess.check_output(["sh", "-c", command.replace(r"\%", "%")], text=True)  # which cron does
    assert said.splitlines() == [str(folder), "clean", "--config", "50%;\\x", "--quiet"]


@pytest.mark.parametrize("name", ["100\\%", "a\\\\%b", "\\\\\\%%\\", "it's \\%"])
def test_a_percent_sign_after_backslashes_does_not_end_the_command(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    calling = replace(SHOP, folder=str(tmp_path / name), program=["/bin/pwd"], choice=[])
    command = commands(lines(Schedule([Scheduled("0 3 * * *", "clean")]), calling))[0].partition(" && ")[0]
    assert re.fullmatch(r"(\\.|[^\\%])*", command, re.DOTALL)
    said = subprocess.check_output(["sh", "-c", command.replace(r"\%", "%") + " && pwd"], text=True)
    assert said == f"{tmp_path / name}\n"


@given(EXPRESSIONS)
def test_the_fields_mean_what_the_expression_means(when: str) -> None:
    written = " ".join(lines(Schedule([Scheduled(when, "run")]))[1].split()[:5])
    assert [*islice(CronSim(written, NOW), 20)] == [*islice(CronSim(when, NOW), 20)]
    for one, other in zip(written.split(), when.split(), strict=True):
        assert one.startswith("*") == other.startswith("*")


@pytest.mark.interop
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(whens=st.lists(EXPRESSIONS, min_size=50, max_size=50, unique=True))
def test_cron_accepts_every_line(whens: list[str], tmp_path: Path) -> None:
    crontab = require_tool("crontab")
    found = lines(Schedule([Scheduled(when, "run") for when in whens]), cron_tz=True)
    file = tmp_path / "crontab"
    file.write_text("\n".join([*found, ""]))
    done = subprocess.run([crontab, "-n", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_zone_of_another_clock_than_the_machine_is_refused() -> None:
    berlin = Schedule(time_zone="Europe/Berlin")
    with pytest.raises(
        ConfigurationError, match="does not show the time of Europe/Berlin: give the schedule"
    ):
        lines(berlin)
    assert lines(berlin, machine=ZoneInfo("Europe/Vienna"))[0] == "# The backups of shop, Europe/Berlin"
    assert lines(berlin, cron_tz=True)[0] == "CRON_TZ=Europe/Berlin"


@pytest.mark.parametrize("zone", ["UTC", "Etc/UTC", "Africa/Abidjan"])
def test_zones_are_the_same_if_their_clocks_are(zone: str) -> None:
    assert lines(Schedule(time_zone=zone), machine=ZoneInfo("Etc/UTC"))


@pytest.mark.parametrize("zone", ["Europe/London", "Africa/Lagos"])
def test_zones_differ_if_their_clocks_do_in_winter_or_in_summer(zone: str) -> None:
    with pytest.raises(ConfigurationError):
        lines(Schedule(time_zone=zone))


def test_in_a_file_for_the_system_each_line_names_the_user() -> None:
    found = lines(Schedule([Scheduled("0 3 * * *", "run")]), user="backup")
    assert [line.split(" cd ")[0] for line in found] == [
        "# The backups of shop, UTC",
        "0 3 * * * backup",
        "@reboot backup",
    ]


@pytest.mark.parametrize("user", ["", "the backup", "root\n* * * * * root"])
def test_what_is_no_name_of_a_user_is_refused(user: str) -> None:
    with pytest.raises(ConfigurationError, match="give the name of a user"):
        lines(user=user)


def test_a_destination_cannot_bring_another_line() -> None:
    with pytest.raises(ConfigurationError, match="cannot stand in one line"):
        lines(Schedule([Scheduled("0 3 * * *", "run", to="disk\n* * * * * reboot")]))


@pytest.mark.parametrize("when", ["0 3 L * *", "0 3 LW * *", "0 3 * * MON#1", "0 3 * * 5L"])
def test_what_cron_does_not_know_is_refused(when: str) -> None:
    with pytest.raises(ConfigurationError, match="has what cron does not know"):
        lines(Schedule([Scheduled(when, "run")]))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"folder": "shop"}, "'shop' is not found from everywhere"),
        ({"program": ["backupkit"]}, "'backupkit' is not found from everywhere"),
        ({"folder": "/srv/shop\n* * * * * reboot"}, "cannot stand in one line"),
        ({"choice": ["--app", "a:b\n"]}, "cannot stand in one line"),
    ],
)
def test_what_cannot_be_called_from_a_crontab_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        replace(SHOP, **changes)


def test_the_program_is_the_one_that_runs_this() -> None:
    program = Calling(name="shop", choice=[], folder="/").program
    said = subprocess.check_output([*program, "--version"], text=True, env=dict(os.environ))
    assert said.startswith("backupkit ")
