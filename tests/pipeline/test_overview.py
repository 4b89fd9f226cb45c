"""What one look at a destination tells: everything that several verbs would, and it is listed once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from backupkit import BackupPipeline, ConfigurationError, MaximumStorage, StoredObject
from backupkit.retention import KeepLast
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination
from tests.pipeline.shop import Clock, Make, Scripted, down

FILES = Scripted("app", {"app/a": b"a" * 1000})
DUMPS = Scripted("dumps", {"db-dumps/a": b"dump"}, "databases")


class Counted(MemoryDestination):
    """Counts how often each prefix is listed, and each object is read."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.lists: Counter[str] = Counter()
        self.reads: list[str] = []

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        self.lists[prefix] += 1
        yield from super().list(prefix)

    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        self.reads.append(name)
        return super().read(name, start=start, length=length)


@pytest.fixture
def places() -> tuple[Counted, Counted]:
    return Counted("one"), Counted("two")


@pytest.fixture
def pipeline(make: Make, clock: Clock, places: tuple[Counted, Counted]) -> BackupPipeline:
    """With three backups at each of two destinations, of which cleaning would remove one."""
    pipeline = make([FILES, DUMPS], [*places], clock=clock, retention=KeepLast(1))
    for only in (None, "databases", None):
        pipeline.run(only=only)
        clock.forward(days=1)
    return pipeline


def test_each_destination_is_listed_once_and_no_archive_is_read(
    pipeline: BackupPipeline, places: tuple[Counted, Counted]
) -> None:
    for place in places:
        place.lists.clear()
        place.reads.clear()
    assert [one.location for one in pipeline.overview()] == ["memory:one", "memory:two"]
    for place in places:
        assert place.lists
        assert {*place.lists.values()} == {1}
        assert not any(name.endswith(".zip") for name in place.reads)


def test_it_is_what_list_summary_and_clean_say(pipeline: BackupPipeline, clock: Clock) -> None:
    pipeline.pin(pipeline.list().backups[-1], reason="before the move")
    overviews = pipeline.overview()
    assert [one.summary for one in overviews] == [*pipeline.summary().destinations]
    assert [one.plan for one in overviews] == [one.plan for one in pipeline.clean(dry_run=True).destinations]
    listed = pipeline.list().backups
    for one in overviews:
        assert one.time == clock.now
        assert one.backups == tuple(backup for backup in listed if backup.location == one.location)


def test_the_plan_says_what_would_go(pipeline: BackupPipeline) -> None:
    (overview, _) = pipeline.overview()
    assert [one.backup.id for one in overview.plan.remove] == [overview.backups[-1].id]


def test_one_destination_can_be_looked_at(pipeline: BackupPipeline, places: tuple[Counted, Counted]) -> None:
    places[0].lists.clear()
    (overview,) = pipeline.overview(at="memory:two")
    assert overview.location == "memory:two"
    assert not places[0].lists
    with pytest.raises(ConfigurationError, match="memory:one"):
        pipeline.overview(at="s3://elsewhere")


def test_of_a_destination_that_does_not_answer_the_summary_says_so_and_the_others_are_told(
    make: Make, clock: Clock
) -> None:
    down_here = FaultyDestination(
        MemoryDestination("down"), [Fault(method="list", does=down(retryable=False), call=None)]
    )
    pipeline = make(FILES, [down_here, MemoryDestination("up")], clock=clock)
    pipeline.run()
    silent, there = pipeline.overview()
    assert (silent.summary.reachable, silent.backups, silent.plan.keep) == (False, (), ())
    assert [one.message for one in silent.summary.problems] == ["The cable was cut."]
    assert len(there.backups) == 1


def test_what_others_have_made_is_listed_and_counts_for_nothing_else(make: Make, clock: Clock) -> None:
    place = MemoryDestination()
    pipeline = make(FILES, place, clock=clock)
    pipeline.run()
    (own,) = [name for name in place.objects if name.endswith(".zip")]
    place.objects["shop/export.zip"] = place.objects[own]
    (overview,) = pipeline.overview()
    assert sorted(one.made_by for one in overview.backups) == ["backupkit", "other"]
    assert overview.summary.count == 1
    assert [one.backup.made_by for one in overview.plan.keep] == ["backupkit"]
    assert overview.plan.remove == ()


def test_what_checks_find_is_in_the_summary(make: Make, clock: Clock) -> None:
    pipeline = make(FILES, MemoryDestination(), clock=clock, checks=[MaximumStorage(1)])
    pipeline.run()
    (overview,) = pipeline.overview()
    assert not overview.summary.healthy
    assert [one.check for one in overview.summary.problems] == ["MaximumStorage"]
