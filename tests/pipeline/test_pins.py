"""Pins: a backup that somebody wants to keep stays, at every destination, whoever looks and whatever the policy."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backupkit import (
    AccessDeniedError,
    Backup,
    BackupNotFoundError,
    BackupPipeline,
    ConfigurationError,
    DestinationError,
    KeepLast,
    Pin,
    RetentionPlan,
    TieredRetention,
    open_repository,
)
from backupkit.model import Removed
from backupkit.protocols import RetentionPolicy
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination
from tests.pipeline.shop import Clock, Make, Scripted, down, stored

FILES = Scripted("app", {"app/a": b"a"})


class RemoveAll:
    def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
        return RetentionPlan(remove=tuple(Removed(one, "who needs backups") for one in backups))


def made(pipeline: BackupPipeline, clock: Clock, count: int) -> list[Backup]:
    found: list[Backup] = []
    for _ in range(count):
        clock.forward(hours=1)
        backup = pipeline.run().destinations[0].backup
        assert backup is not None
        found.append(backup)
    return found


def pins(backups: BackupPipeline) -> dict[str, Pin | None]:
    return {one.location: one.pin for one in backups.list().backups}


def test_a_backup_is_pinned_at_every_destination_and_returned_as_it_now_is(make: Make, clock: Clock) -> None:
    pipeline = make(FILES, [MemoryDestination("one"), MemoryDestination("two")], clock=clock)
    [backup] = made(pipeline, clock, 1)
    until = clock.now + timedelta(days=90)
    pinned = pipeline.pin(reason="before the upgrade", until=until)
    pin = Pin(reason="before the upgrade", until=until)
    assert (pinned.id, pinned.location, pinned.pin) == (backup.id, "memory:one", pin)
    assert pins(pipeline) == {"memory:one": pin, "memory:two": pin}
    assert pipeline.get().pin == pin


@pytest.mark.parametrize("policy", [KeepLast(1), TieredRetention(max_size=1), RemoveAll()])
def test_cleaning_leaves_a_pinned_backup_until_it_is_unpinned(
    make: Make, destination: MemoryDestination, clock: Clock, policy: RetentionPolicy
) -> None:
    pipeline = make(FILES, destination, clock=clock, retention=policy)
    first, *_, last = made(pipeline, clock, 3)
    pipeline.pin(first.id, reason="the audit")
    clock.forward(days=10_000)
    [result] = pipeline.clean().destinations
    assert result.plan is not None
    assert {one.backup.id: one.reasons for one in result.plan.keep}[first.id][0] == "pinned: the audit"
    assert [one.id for one in pipeline.list().backups] == [last.id, first.id]
    assert pipeline.unpin(first.id).pin is None
    pipeline.clean()
    assert [one.id for one in pipeline.list().backups] == [last.id]
    assert [name for name in destination.objects if first.id in name] == []


def test_a_pin_that_is_set_while_cleaning_is_under_way_counts(
    make: Make, destination: MemoryDestination, clock: Clock
) -> None:
    other = make(FILES, destination, clock=clock)
    first, second, third, _ = made(other, clock, 4)

    def pin() -> None:
        other.pin(first, reason="just in time")

    # Removals go from the newest to the oldest, and this happens in that of the third.
    cleaned = FaultyDestination(destination, [Fault(method="delete", does=pin, goes_on=True)])
    report = make(FILES, cleaned, clock=clock, retention=KeepLast(1)).clean()
    assert [(one.message, one.severity) for one in report.problems] == [
        (f"The backup {first.id} was pinned while cleaning was under way, and stays: just in time", "warning")
    ]
    assert report.outcome == "succeeded"
    assert [one.freed for one in report.destinations] == [second.stored + third.stored]
    assert other.get(first.id).pin == Pin(reason="just in time")


def test_a_pin_that_has_ended_holds_nothing(make: Make, destination: MemoryDestination, clock: Clock) -> None:
    pipeline = make(FILES, destination, clock=clock, retention=KeepLast(1))
    first, last = made(pipeline, clock, 2)
    pipeline.pin(first, reason="the audit", until=clock.now + timedelta(days=1))
    clock.forward(hours=23)
    assert pipeline.clean().outcome == "succeeded"
    assert len(pipeline.list().backups) == 2
    clock.forward(hours=1)
    pipeline.clean()
    assert [one.id for one in pipeline.list().backups] == [last.id]


def test_pins_need_no_pipeline_and_no_passphrase(make: Make, tmp_path: Path, clock: Clock) -> None:
    place = stored(tmp_path / "backups")
    pipeline = make(FILES, place, clock=clock, encryptor=None)
    made(pipeline, clock, 1)
    pipeline.pin(reason="the audit")
    for where in (place.folder, place.folder / "shop"):
        backups = open_repository(where)
        assert [one.pin for one in backups.list().backups] == [Pin(reason="the audit")]
        assert backups.unpin("latest").pin is None
        assert pipeline.get().pin is None
        assert backups.pin(reason="the audit").pin == Pin(reason="the audit")
    assert pipeline.get().pin == Pin(reason="the audit")


def test_a_destination_that_refuses_is_named_and_the_others_have_the_pin(make: Make, clock: Clock) -> None:
    def refusing(name: str) -> FaultyDestination:
        error = AccessDeniedError(f"{name} is read-only.", location=f"memory:{name}")
        # The archive and its summary are written; what comes later is refused.
        return FaultyDestination(
            MemoryDestination(name), [Fault(method="write", does=error, call=3, lasting=True)]
        )

    pipeline = make(FILES, [refusing("one"), MemoryDestination("two")], clock=clock)
    [backup] = made(pipeline, clock, 1)
    with pytest.raises(DestinationError) as caught:
        pipeline.pin(reason="the audit")
    assert str(caught.value) == (
        f"The backup {backup.id} was pinned at memory:two, but could not be pinned at memory:one: "
        "one is read-only."
    )
    assert caught.value.location == "memory:one"
    assert isinstance(caught.value.__cause__, AccessDeniedError)
    assert pins(pipeline) == {"memory:one": None, "memory:two": Pin(reason="the audit")}

    pipeline = make(FILES, [refusing("one"), refusing("two")], clock=clock)
    made(pipeline, clock, 1)
    with pytest.raises(ExceptionGroup) as group:
        pipeline.pin(reason="the audit")
    assert [getattr(one, "location", None) for one in group.value.exceptions] == ["memory:one", "memory:two"]


def test_a_destination_that_does_not_answer_may_hold_the_backup_and_is_named(
    make: Make, clock: Clock
) -> None:
    dead = FaultyDestination(
        MemoryDestination("down"), [Fault(method="list", does=down(retryable=True), call=None)]
    )
    pipeline = make(FILES, [dead, MemoryDestination("two")], clock=clock)
    pipeline.run(to="memory:two")
    with pytest.raises(
        DestinationError, match="was pinned at memory:two, but could not be pinned at memory:down: The cable"
    ):
        pipeline.pin(reason="the audit")
    assert pins(pipeline) == {"memory:two": Pin(reason="the audit")}
    with pytest.raises(
        DestinationError, match="was unpinned at memory:two, but could not be unpinned at memory:down"
    ):
        pipeline.unpin("latest")
    assert pins(pipeline) == {"memory:two": None}


def test_a_backup_that_is_gone_cannot_be_pinned(
    make: Make, destination: MemoryDestination, clock: Clock
) -> None:
    pipeline = make(FILES, destination, clock=clock, retention=KeepLast(1))
    first, _ = made(pipeline, clock, 2)
    pipeline.clean()
    before = {**destination.objects}
    for backup in (first, first.id):
        with pytest.raises(BackupNotFoundError):
            pipeline.pin(backup, reason="the audit")
    assert destination.objects == before


def test_what_cannot_be_a_pin_is_refused_before_anything_is_asked(make: Make, clock: Clock) -> None:
    dead = FaultyDestination(
        MemoryDestination(), [Fault(method="list", does=down(retryable=True), call=None)]
    )
    pipeline = make(FILES, dead, clock=clock)
    with pytest.raises(ConfigurationError, match="does not say why"):
        pipeline.pin(reason=" ")
    with pytest.raises(ConfigurationError, match="has passed"):
        pipeline.pin(reason="the audit", until=datetime(2026, 1, 1, tzinfo=UTC))
    assert dead.calls["list"] == 0


def test_a_listing_with_pins_is_still_one_of_marks_and_one_of_archives(make: Make, clock: Clock) -> None:
    counting = FaultyDestination(MemoryDestination())
    pipeline = make(FILES, counting, clock=clock)
    for backup in made(pipeline, clock, 5)[:2]:
        pipeline.pin(backup, reason="the audit")
    counting.calls.clear()
    pipeline.list()
    assert counting.calls == {"list": 2, "read": 2}, "one read for each pin"
