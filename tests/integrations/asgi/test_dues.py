"""What of a schedule is due when, and what is overdue: only where something says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from backupkit import BackupPipeline, DatabaseHistory, MachineLock
from backupkit.integrations.asgi.standing.dues import dues
from backupkit.integrations.asgi.standing.past import Past, past_of
from backupkit.model import Backup, Contents
from backupkit.scheduling import Job, Schedule, Scheduled, missed, perform
from backupkit.testing.destinations import MemoryDestination
from tests.integrations.asgi.standing import DUMPS, FILES, FULL, NOW, at, backup, past, report
from tests.pipeline.shop import Clock, Scripted

RUN, HALF = Scheduled("0 3 * * *", "run"), Scheduled("0 */6 * * *", "run", only="databases")
CLEAN = Scheduled("0 4 * * *", "clean")
OLD = backup(at(20))  # so that it is known that the pipeline is older than what was due


def overdue(
    *jobs: Scheduled,
    backups: tuple[Backup, ...] | None = (OLD,),
    known: Past | None = None,
    contents: frozenset[Contents] = FULL,
) -> dict[str, datetime]:
    found = dues("shop", Schedule(jobs), contents=contents, backups=backups, past=known or past(), now=NOW)
    return {str(one.job): one.since for one in found if one.since is not None}


def test_jobs_come_in_the_order_in_which_they_are_due() -> None:
    found = dues("shop", Schedule([RUN, HALF, CLEAN]), contents=FULL, backups=None, past=None, now=NOW)
    assert [(str(one.job), one.next) for one in found] == [
        ("run --only databases", at(25, 18)),
        ("run", at(26)),
        ("clean", at(26, 4)),
    ]


def test_without_a_schedule_nothing_is_due() -> None:
    assert dues("shop", None, contents=FULL, backups=(), past=past(), now=NOW) == []


def test_a_run_without_a_backup_since_is_overdue_and_one_with_it_is_not() -> None:
    assert overdue(RUN) == {"run": at(25)}
    assert overdue(RUN, backups=(OLD, backup(at(25)))) == {}


def test_a_backup_of_a_half_is_no_full_run_but_a_full_one_has_both_halves() -> None:
    assert overdue(RUN, HALF, backups=(OLD, backup(at(25, 6), DUMPS))) == {"run": at(25)}
    assert overdue(RUN, HALF, backups=(OLD, backup(at(25, 6)))) == {}


def test_a_run_to_one_destination_is_not_done_by_a_backup_elsewhere() -> None:
    to = Scheduled("0 3 * * *", "run", to="memory:b")
    assert overdue(to, backups=(OLD, backup(at(25)))) == {"run --to memory:b": at(25)}
    assert overdue(to, backups=(OLD, backup(at(25), location="memory:b"))) == {}


def test_what_was_due_a_moment_ago_may_be_under_way() -> None:
    just = Scheduled("30 11 * * *", "run")
    assert overdue(just, backups=(OLD, backup(at(24, 12)))) == {}


def test_the_clock_of_the_machine_that_runs_may_be_behind() -> None:
    early = backup(at(25) - timedelta(minutes=5))
    assert overdue(RUN, backups=(OLD, early)) == {}


def test_a_run_that_failed_since_is_told_as_that() -> None:
    assert overdue(RUN, known=past(runs=(report("run", at(25), "failed"),))) == {}


def test_a_run_of_a_half_that_failed_is_not_the_full_one_that_was_due() -> None:
    half = past(runs=(report("run", at(25, 6), "failed", contents=DUMPS),))
    assert overdue(RUN, HALF, known=half) == {"run": at(25)}


def test_a_report_says_that_it_ran_also_where_a_destination_does_not() -> None:
    assert overdue(RUN, known=past(runs=(report("run", at(25), "succeeded", backup(at(25))),))) == {}


def test_what_was_due_before_there_was_anything_is_not_overdue() -> None:
    assert overdue(RUN, backups=()) == {}
    assert overdue(RUN, backups=(backup(at(25, 9), DUMPS),)) == {}


def test_what_is_not_known_is_not_overdue() -> None:
    assert overdue(RUN, backups=None) == {}
    assert dues("shop", Schedule([RUN]), contents=FULL, backups=(), past=None, now=NOW)[0].since is None


def test_without_a_history_only_runs_can_be_overdue() -> None:
    assert overdue(CLEAN) == {"clean": at(25, 4)}
    assert overdue(CLEAN, known=past(kept=False)) == {}
    assert overdue(CLEAN, known=past(done={CLEAN.job: at(25, 4)})) == {}


def test_what_was_begun_is_believed_for_a_day() -> None:
    weekly = Scheduled("0 3 * * SUN", "run")
    assert overdue(RUN, known=past(begun={RUN.job: at(25)})) == {}
    assert overdue(weekly, known=past(begun={weekly.job: at(22)})) == {"run": at(22)}


def pipeline(tmp_path: Path, clock: Clock, **options: Any) -> BackupPipeline:
    return BackupPipeline(
        "shop",
        [Scripted("app", {"app/a": b"a"})],
        MemoryDestination(),
        encryptor=None,
        lock=MachineLock(tmp_path / "locks"),
        clock=clock,
        **options,
    )


def test_the_past_is_what_the_history_and_the_memory_have(tmp_path: Path) -> None:
    clock = Clock(at(25, 4))
    shop = pipeline(tmp_path, clock, history=DatabaseHistory(f"sqlite:///{tmp_path / 'records.sqlite3'}"))
    schedule = Schedule([RUN, CLEAN, Scheduled("0 5 * * *", "drill")])
    missed(schedule, shop, at(24, 12))  # somebody asks, and so it is remembered what was begun
    perform(shop, Job("run"), clock=clock)
    perform(shop, Job("clean"), clock=clock)
    found = past_of(shop, schedule, lambda: NOW)
    assert found.kept
    assert [one.operation for one in found.runs] == ["run"]
    assert (found.done, found.begun) == ({CLEAN.job: at(25, 4)}, {RUN.job: at(25)})
    assert {*found.newest} == {"run", "clean"}
    late = dues("shop", schedule, contents=FILES, backups=(OLD, *shop.list().backups), past=found, now=NOW)
    assert {str(one.job): one.since for one in late if one.since} == {
        "drill": datetime(2026, 11, 25, 5, tzinfo=UTC)
    }


def test_without_a_history_the_past_is_empty(tmp_path: Path) -> None:
    class Forgetful:
        def recall(self, key: str) -> str | None:
            return None

        def remember(self, key: str, value: str | None) -> None:
            raise AssertionError("who only looks remembers nothing")

    shop = pipeline(tmp_path, Clock(), memory=Forgetful())
    found = past_of(shop, Schedule([RUN]), lambda: NOW)
    assert found == Past(time=NOW)
