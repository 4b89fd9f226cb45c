"""`backupkit schedule`: shows when, lets cron and systemd do it, catches up, and stays to do it itself."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import Any

import pytest
import typer

from backupkit.cli.app import app
from backupkit.scheduling import Job
from tests.cli.shop import Shop, environment

APP = ("--app", "shop_backups:pipeline")
YEARLY = """
from backupkit.scheduling import Schedule, Scheduled
yearly = Schedule([Scheduled("0 0 29 2 *", "run"), Scheduled("0 0 29 2 *", "monitor")], time_zone="UTC")
nightly = {"shop": Schedule([Scheduled("0 3 * * *", "run", only="databases")], time_zone="Asia/Tokyo")}
"""
SETTINGS = """
[pipelines.one]
sources = ["uploads"]
destinations = ["backups"]
encryptor = "none"
schedule = { time_zone = "Asia/Tokyo" }

[pipelines.two]
sources = ["uploads"]
destinations = ["backups"]
encryptor = "none"
"""


@pytest.fixture
def yearly(shop: Shop) -> Shop:
    (shop.folder / "times.py").write_text(YEARLY)
    return shop


def let_it_be_long_ago(shop: Shop) -> None:
    """As if the process that first asked what was missed had done so years ago."""
    file = shop.folder / "state" / "memory.json"
    known = json.loads(file.read_text())
    file.write_text(json.dumps(dict.fromkeys(known, "2020-01-01T00:00:00+00:00")))


@pytest.mark.parametrize(
    "job",
    [
        Job("run", only="files", to="/mnt/b", notify=False),
        Job("clean", to="/mnt/b", notify=False),
        Job("monitor", to="/mnt/b", notify=False),
        Job("verify", only="databases", to="/mnt/b", notify=False),
        Job("drill", only="databases", to="/mnt/b", notify=False),
        Job("summary"),
    ],
    ids=str,
)
def test_every_job_is_a_command_line(job: Job) -> None:
    commands: Any = typer.main.get_command(app)
    verb, *options = job.words()
    commands.commands[verb].make_context(verb, [*options, "--quiet"])


def test_the_usual_schedule_is_what_the_pipeline_has_a_use_for(unchanged: Shop) -> None:
    def jobs(name: str) -> list[str]:
        _, document = unchanged.document("schedule", "show", "--app", f"shop_backups:{name}")
        return sorted(one["job"] for one in document)

    assert jobs("pipeline") == ["clean", "monitor", "run", "run --only databases"]
    assert jobs("files_only") == ["clean", "monitor", "run"]


def test_the_next_times_are_shown_in_order(unchanged: Shop) -> None:
    done = unchanged.backupkit("schedule", "show", *APP, "--count", "9")
    head, *rows = done.stdout.splitlines()
    assert head.split() == ["NEXT", "PIPELINE", "JOB", "CRON", "TIME", "ZONE"]
    assert len(rows) == 36
    assert rows == sorted(rows, key=lambda row: row[:16])


def test_a_schedule_of_the_application_is_named(yearly: Shop) -> None:
    code, document = yearly.document("schedule", "show", *APP, "--schedule", "times:nightly")
    assert code == 0
    assert [(one["job"], one["time_zone"]) for one in document] == [("run --only databases", "Asia/Tokyo")]
    done = yearly.backupkit("schedule", "show", *APP, "--schedule", "shop_backups:number")
    assert (done.returncode, done.stderr.split(":")[1]) == (2, " shop_backups")


def test_a_settings_file_says_it_of_each_of_its_pipelines(shop: Shop) -> None:
    (shop.folder / "backupkit.toml").write_text(SETTINGS)
    _, document = shop.document("schedule", "show")
    assert {(one["pipeline"], one["time_zone"]) for one in document} == {
        ("one", "Asia/Tokyo"),
        ("two", "UTC"),
    }
    done = shop.backupkit("schedule", "crontab", "--pipeline", "one", "--cron-tz")
    head, title, first, *_ = done.stdout.splitlines()
    assert (head, title) == ("CRON_TZ=Asia/Tokyo", "# The backups of one, Asia/Tokyo")
    assert first.startswith(f"0 3 * * * cd {shop.folder} && ")
    assert f"--config {shop.folder}/backupkit.toml --pipeline one" in first


def test_a_line_for_cron_makes_a_backup_from_anywhere(shop: Shop) -> None:
    done = shop.backupkit("schedule", "crontab", *APP, "--cron-tz")
    line = next(line for line in done.stdout.splitlines() if " run --only databases " in line)
    ran = subprocess.run(
        ["sh", "-c", line.split(" ", 5)[5]], cwd="/", env=environment({}), capture_output=True, check=False
    )
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, b"")
    assert [name[-4:] for name in shop.stored()] == ["json", ".zip"]


def test_units_are_written_to_a_folder(shop: Shop) -> None:
    (shop.folder / "units").mkdir()
    done = shop.backupkit("schedule", "systemd", *APP, "--user", "backup", "--output", "units")
    assert done.returncode == 0
    written = sorted(path.name for path in (shop.folder / "units").iterdir())
    assert len(written) == 8
    assert "User=backup\n" in (shop.folder / "units" / "backupkit-shop-run.service").read_text()
    last = done.stdout.splitlines()[-1].split()
    assert last[:3] == ["systemctl", "enable", "--now"]
    assert sorted(last[3:]) == [name for name in written if name.endswith(".timer")]
    assert shop.backupkit("schedule", "systemd", *APP, "--output", "nowhere").returncode == 2


def test_what_was_missed_is_done_once_and_counts_from_the_first_time_on(yearly: Shop) -> None:
    catch_up = ("schedule", "catch-up", *APP, "--schedule", "times:yearly")
    assert yearly.backupkit(*catch_up).stdout == "Nothing was missed.\n"
    let_it_be_long_ago(yearly)
    code, document = yearly.document(*catch_up)
    assert (code, [one["operation"] for one in document]) == (0, ["run", "monitor"])
    assert yearly.backupkit(*catch_up).stdout == "Nothing was missed.\n"


def test_a_verb_that_is_the_same_job_counts(yearly: Shop) -> None:
    catch_up = ("schedule", "catch-up", *APP, "--schedule", "times:yearly", "--dry-run")
    yearly.backupkit(*catch_up)
    let_it_be_long_ago(yearly)
    yearly.backupkit("run", *APP, "--only", "files")  # another one
    assert yearly.backupkit(*catch_up).stdout == "shop: run\nshop: monitor\n"
    yearly.backupkit("run", *APP, "--tag", "by hand")
    yearly.backupkit("monitor", *APP)
    assert yearly.backupkit(*catch_up).stdout == ""


def test_where_the_memory_cannot_be_asked_that_is_told_and_backups_are_made(yearly: Shop) -> None:
    (yearly.folder / "state").write_text("no folder")
    done = yearly.backupkit("schedule", "catch-up", *APP)
    assert done.returncode == 1
    assert "so what is missed may not be known" in done.stderr
    assert yearly.backupkit("run", *APP, "--quiet").returncode == 0


def test_it_stays_and_does_what_is_due_until_it_is_stopped(yearly: Shop) -> None:
    schedule = (*APP, "--schedule", "times:yearly")
    yearly.backupkit("schedule", "catch-up", *schedule)
    let_it_be_long_ago(yearly)
    with yearly.start("schedule", "run", *schedule) as process:
        assert process.stdout
        assert process.stdout.readline() == b"shop: run:\n"
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate()
    assert (process.returncode, b"Traceback" in errors) == (0, False)
    assert [name[-4:] for name in yearly.stored()] == ["json", ".zip"]
