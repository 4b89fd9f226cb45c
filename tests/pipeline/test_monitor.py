"""Monitoring: every check is asked about every destination, and one that breaks is a finding too."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from backupkit import (
    BackupPipeline,
    IntegrityError,
    MaximumAge,
    MaximumStorage,
    Problem,
    ProvenWithin,
    RepositoryState,
    StoredObject,
    VerifiedWithin,
)
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination
from tests.pipeline.shop import Clock, Make, Scripted, down, messages, stored

FILES = Scripted("app", {"app/a": b"a" * 1000})
DUMPS = Scripted("dumps", {"db-dumps/a": b"dump"}, "databases")


@pytest.fixture
def pipeline(make: Make, clock: Clock) -> BackupPipeline:
    pipeline = make([FILES, DUMPS], [MemoryDestination("one"), MemoryDestination("two")], clock=clock)
    pipeline.run()
    return pipeline


def test_fresh_backups_are_healthy(pipeline: BackupPipeline, clock: Clock) -> None:
    clock.forward(hours=23)
    report = pipeline.monitor()
    assert (report.operation, report.outcome, report.problems) == ("monitor", "succeeded", ())
    assert [(one.location, one.outcome) for one in report.destinations] == [
        ("memory:one", "succeeded"),
        ("memory:two", "succeeded"),
    ]


def test_too_old_a_backup_is_unhealthy_by_default_and_no_exception(
    pipeline: BackupPipeline, clock: Clock
) -> None:
    clock.forward(days=2)
    report = pipeline.monitor()
    assert report.outcome == "failed"
    assert [one.outcome for one in report.destinations] == ["failed", "failed"]
    assert [(one.check, one.destination) for one in report.problems] == [
        ("MaximumAge", "memory:one"),
        ("MaximumAge", "memory:two"),
    ]


def test_each_destination_is_judged_by_its_own_backups(pipeline: BackupPipeline, clock: Clock) -> None:
    clock.forward(days=2)
    pipeline.run(to="memory:two")
    report = pipeline.monitor()
    assert [one.outcome for one in report.destinations] == ["failed", "succeeded"]


def test_a_backup_of_the_databases_alone_does_not_make_it_healthy(
    pipeline: BackupPipeline, clock: Clock
) -> None:
    clock.forward(days=2)
    pipeline.run(only="databases")
    assert pipeline.monitor().outcome == "failed"
    pipeline.checks = (MaximumAge(days=1, contents="databases"),)
    assert pipeline.monitor().outcome == "succeeded"


def test_a_place_without_backups_is_unhealthy(make: Make) -> None:
    assert make(FILES, MemoryDestination()).monitor().outcome == "failed"


def test_a_destination_that_does_not_answer_is_unhealthy_and_the_others_are_asked(make: Make) -> None:
    dead = FaultyDestination(
        MemoryDestination("dead"), [Fault(method="list", does=down(retryable=True), call=None)]
    )
    pipeline = make(FILES, [dead, MemoryDestination("two")])
    pipeline.run(to="memory:two")
    report = pipeline.monitor()
    assert [one.outcome for one in report.destinations] == ["failed", "succeeded"]
    assert [(one.check, one.message, one.destination) for one in report.problems] == [
        ("Reachable", "The cable was cut.", "memory:dead")
    ]


def test_a_destination_that_breaks_its_contract_is_unhealthy_and_the_others_are_asked(make: Make) -> None:
    class Broken(MemoryDestination):
        def leftovers(self, prefix: str = "") -> Iterator[StoredObject]:
            raise ZeroDivisionError("a bug")

        def discard(self, leftover: StoredObject) -> None:
            raise AssertionError

    pipeline = make(FILES, [Broken("broken"), MemoryDestination("two")])
    pipeline.run()
    report = pipeline.monitor()
    assert [one.outcome for one in report.destinations] == ["failed", "succeeded"]
    assert [(one.check, one.message, one.destination) for one in report.problems] == [
        (
            "Reachable",
            "The leftovers at memory:broken could not be listed: ZeroDivisionError: a bug",
            "memory:broken",
        )
    ]


def test_monitoring_looks_at_the_destination_alone(make: Make, clock: Clock) -> None:
    """A scheduler that is dead is noticed, for no run has to tell of itself; and nothing is written."""
    place = MemoryDestination()
    make(FILES, place, clock=clock).run()
    before = {**place.objects}
    clock.forward(days=2)
    elsewhere = make(FILES, place, clock=clock)
    assert messages(elsewhere.monitor().problems) != []
    assert place.objects == before


def test_by_default_a_wrong_clock_and_what_killed_runs_left_are_warnings(
    make: Make, tmp_path: Path, clock: Clock
) -> None:
    place = stored(tmp_path / "backups")
    pipeline = make([FILES, DUMPS], place, clock=clock)
    clock.forward(days=30)
    pipeline.run()
    clock.forward(days=-30)
    pipeline.run()
    left = place.folder / f"shop/.2026-11-20T00-00-00.000000Z.zip.{'0' * 16}.partial"
    left.write_bytes(b"x" * 100)
    os.utime(left, (clock.now.timestamp() - 86_401, clock.now.timestamp() - 86_401))
    report = pipeline.monitor()
    assert report.outcome == "succeeded"
    assert [(one.check, one.severity) for one in report.problems] == [
        ("FutureDated", "warning"),
        ("Leftovers", "warning"),
    ]
    assert left.name in report.problems[1].message


def test_damage_and_a_drill_that_failed_are_told_until_a_newer_backup_is_whole(
    make: Make, destination: MemoryDestination, clock: Clock
) -> None:
    checks = [VerifiedWithin(7), ProvenWithin(30)]
    pipeline = make(FILES, destination, clock=clock, checks=checks)
    pipeline.run()
    pipeline.verify()
    assert pipeline.drill().outcome == "succeeded"
    assert pipeline.monitor().outcome == "succeeded"
    clock.forward(hours=1)
    pipeline.run()
    assert pipeline.drill(assertions=[lambda restored: False]).outcome == "failed"
    archive = f"shop/{pipeline.get().id}.zip"
    destination.objects[archive] = destination.objects[archive][:-1]
    clock.forward(hours=1)
    with pytest.raises(IntegrityError):
        pipeline.verify()
    first, second = messages(pipeline.monitor().problems)
    assert "that was verified is damaged: " in first
    assert "that had a drill failed it: " in second
    pipeline.run()
    pipeline.verify()
    pipeline.drill()
    assert pipeline.monitor().outcome == "succeeded"


def test_all_checks_are_asked_and_all_findings_told(make: Make, clock: Clock) -> None:
    pipeline = make(
        FILES, MemoryDestination(), clock=clock, checks=[MaximumAge(hours=1), MaximumStorage("100")]
    )
    pipeline.run()
    clock.forward(hours=2)
    report = pipeline.monitor()
    assert [one.check for one in report.problems] == ["MaximumAge", "MaximumStorage"]


@dataclass
class Check:
    """A third party's check, which keeps what it was shown."""

    finds: list[Problem] = field(default_factory=list)
    fails: Exception | None = None
    seen: list[RepositoryState] = field(default_factory=list)

    def problems(self, state: RepositoryState) -> Iterable[Problem]:
        self.seen.append(state)
        return self._problems()

    def _problems(self) -> Iterator[Problem]:
        yield from self.finds
        if self.fails:
            raise self.fails


def test_a_check_sees_the_backups_of_its_pipeline_newest_first(
    pipeline: BackupPipeline, clock: Clock, make: Make
) -> None:
    make(FILES, pipeline.destinations[0], name="blog").run()
    clock.forward(hours=1)
    pipeline.run()
    check = Check()
    pipeline.checks = (check,)
    pipeline.monitor()
    one, two = check.seen
    assert (one.location, two.location) == ("memory:one", "memory:two")
    assert [backup.name for backup in one.backups] == ["shop", "shop"]
    assert one.backups[0].time > one.backups[1].time
    assert one.contents == {"files", "databases"}
    assert one.now == clock.now


def test_a_check_that_breaks_is_a_finding_and_the_others_are_asked(pipeline: BackupPipeline) -> None:
    warned = Problem(message="found before it broke", severity="warning")
    broken, other = Check([warned], ZeroDivisionError("division by zero")), Check()
    pipeline.checks = (broken, other)
    report = pipeline.monitor()
    assert report.outcome == "failed"
    assert len(other.seen) == 2
    assert (
        messages(report.problems, "error")
        == ["The health check Check itself failed: ZeroDivisionError: division by zero"] * 2
    )
    assert [one.outcome for one in report.destinations] == ["failed", "failed"]


def test_a_finding_that_names_no_destination_counts_at_each(pipeline: BackupPipeline) -> None:
    pipeline.checks = (Check([Problem(message="too few backups")]),)
    report = pipeline.monitor()
    assert [one.outcome for one in report.destinations] == ["failed", "failed"]


def test_a_warning_is_told_and_leaves_it_healthy(pipeline: BackupPipeline) -> None:
    pipeline.checks = (Check([Problem(message="soon too many", severity="warning")]),)
    report = pipeline.monitor()
    assert (report.outcome, messages(report.problems)) == ("succeeded", ["soon too many"])


def test_without_checks_being_reachable_is_enough(make: Make) -> None:
    assert make(FILES, MemoryDestination(), checks=()).monitor().outcome == "succeeded"
