"""Cleaning: the policy proposes, and no policy, destination or neighbour can make it delete too much."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from backupkit import (
    AccessDeniedError,
    Backup,
    BackupPipeline,
    ConfigurationError,
    DestinationError,
    IntegrityError,
    KeepAll,
    KeepLast,
    Kept,
    LocalDestination,
    Removed,
    RetentionPlan,
    SourceError,
    StoredObject,
    TieredRetention,
    Zip,
    all_of,
    any_of,
)
from backupkit.protocols import RetentionPolicy
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination
from tests.pipeline.shop import Clock, Make, Scripted, content, down, messages, names, stored

FILES = Scripted("app", {"app/a": b"a"})
DUMPS = Scripted("dumps", {"db-dumps/a": b"dump"}, "databases")
LOSSY = Scripted("app", {"app/a": b"a", "app/b": [[SourceError("lost", path="app/b")]]})


@dataclass
class Policy:
    """A third party's policy: whatever this function says."""

    says: Callable[[Sequence[Backup]], RetentionPlan]
    asked: int = 0

    def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
        self.asked += 1
        return self.says(backups)


def remove_all(backups: Sequence[Backup]) -> RetentionPlan:
    return RetentionPlan(remove=tuple(Removed(one, "who needs backups") for one in backups))


def make_backups(
    make: Make, destination: object, clock: Clock, kinds: str, **options: object
) -> list[Backup]:
    """A backup an hour, of these kinds: f(ull), d(atabases), i(ncomplete), u(nconfirmed), x damaged."""
    made: list[Backup] = []
    for kind in kinds:
        clock.forward(hours=1)
        sources = [LOSSY if kind == "i" else FILES, DUMPS]
        pipeline = make(sources, destination, clock=clock, **options)
        report = pipeline.run(only="databases" if kind == "d" else None)
        backup = report.destinations[0].backup
        assert backup is not None
        stem = f"{pipeline.name}/{backup.id}"
        if kind == "u":
            pipeline.destinations[0].delete(f"{stem}.complete.json")
        if kind == "x":
            assert isinstance(pipeline.destinations[0], MemoryDestination)
            archive = pipeline.destinations[0].objects[f"{stem}.zip"]
            pipeline.destinations[0].objects[f"{stem}.zip"] = archive[:-1]
            with pytest.raises(IntegrityError):
                pipeline.verify(backup)
        made.append(backup)
    return made


def left(pipeline: BackupPipeline) -> list[str]:
    return [one.id for one in reversed(pipeline.list().backups)]


def test_what_the_policy_no_longer_keeps_is_removed_with_a_reason(
    make: Make, tmp_path: Path, clock: Clock
) -> None:
    place = stored(tmp_path / "backups")
    made = make_backups(make, place, clock, "ffff")
    pipeline = make([FILES, DUMPS], place, clock=clock, retention=KeepLast(2))
    report = pipeline.clean()
    assert (report.operation, report.outcome, report.problems) == ("clean", "succeeded", ())
    (result,) = report.destinations
    assert result.plan is not None
    assert [(one.backup.id, one.reason) for one in result.plan.remove] == [
        (made[1].id, "older than the 2 newest good"),
        (made[0].id, "older than the 2 newest good"),
    ]
    assert [one.backup.id for one in result.plan.keep] == [made[3].id, made[2].id]
    assert result.freed == made[0].stored + made[1].stored
    assert left(pipeline) == [made[2].id, made[3].id]
    assert len(names(place.folder)) == 4
    assert content(pipeline)["app/a"] == b"a"


def test_a_dry_run_is_the_plan_alone(make: Make, tmp_path: Path, clock: Clock) -> None:
    place = stored(tmp_path / "backups")
    made = make_backups(make, place, clock, "fff")
    (place.folder / "shop/2026-11-01T00-00-00.000000Z.complete.json").write_text("{}")
    before = names(place.folder)
    pipeline = make([FILES, DUMPS], place, clock=clock, retention=KeepLast(1))
    (dry,) = pipeline.clean(dry_run=True).destinations
    assert dry.plan is not None
    assert [one.backup.id for one in dry.plan.remove] == [made[1].id, made[0].id]
    assert dry.freed == sum(one.stored for one in made[:2]) + len("{}")
    assert names(place.folder) == before
    (done,) = pipeline.clean().destinations
    assert done.plan == dry.plan


def test_cleaning_again_changes_nothing(make: Make, destination: MemoryDestination, clock: Clock) -> None:
    make_backups(make, destination, clock, "fdfdf")
    pipeline = make([FILES, DUMPS], destination, clock=clock, retention=KeepLast(1))
    pipeline.clean()
    before = {**destination.objects}
    report = pipeline.clean()
    assert [(one.plan.remove if one.plan else None, one.freed) for one in report.destinations] == [((), 0)]
    assert destination.objects == before


def test_the_default_policy_thins_out_and_time_alone_removes_nothing_new(
    make: Make, destination: MemoryDestination, clock: Clock
) -> None:
    made = make_backups(make, destination, clock, "fff")
    pipeline = make([FILES, DUMPS], destination, clock=clock)
    pipeline.clean()
    assert left(pipeline) == [one.id for one in made]
    clock.forward(days=10_000)
    pipeline.clean()
    assert left(pipeline) == [made[-1].id]


# The guard


@pytest.mark.parametrize(
    ("kinds", "survivors"),
    [
        ("f", [0]),
        ("fff", [2]),
        ("fdfdd", [2, 4]),
        ("fi", [0]),
        ("fu", [0]),
        ("fx", [0]),
        ("fiuxd", [0, 4]),
        ("ii", [1]),
        ("xu", [1]),
    ],
)
def test_the_newest_good_backup_of_each_contents_survives_any_policy(
    make: Make, destination: MemoryDestination, clock: Clock, kinds: str, survivors: list[int]
) -> None:
    made = make_backups(make, destination, clock, kinds)
    pipeline = make([FILES, DUMPS], destination, clock=clock, retention=Policy(remove_all))
    report = pipeline.clean()
    assert left(pipeline) == [made[index].id for index in survivors]
    (result,) = report.destinations
    assert result.plan is not None
    assert {kept.reasons[0].split()[0] for kept in result.plan.keep} == {"newest"}


def test_a_size_limit_of_nothing_still_keeps_the_newest_good_one(
    make: Make, destination: MemoryDestination, clock: Clock
) -> None:
    made = make_backups(make, destination, clock, "ffi")
    pipeline = make([FILES, DUMPS], destination, clock=clock, retention=TieredRetention(max_size=1))
    pipeline.clean()
    assert left(pipeline) == [made[1].id, made[2].id]


def test_the_minimum_of_a_third_partys_policy_survives_it_and_the_plan_says_why(
    make: Make, destination: MemoryDestination, clock: Clock
) -> None:
    class Careless(Policy):
        minimum = 2

    made = make_backups(make, destination, clock, "fffd")
    pipeline = make([FILES, DUMPS], destination, clock=clock, retention=Careless(remove_all))
    (result,) = pipeline.clean().destinations
    assert left(pipeline) == [one.id for one in made[1:]]
    assert result.plan is not None
    against = "kept against the policy, which says: who needs backups"
    assert [kept.reasons for kept in result.plan.keep] == [
        ("newest good backup of databases", against),
        ("newest good backup of files and databases", against),
        ("one of the 2 newest good backups of files and databases", against),
    ]


@pytest.mark.parametrize(
    "limited",
    [
        TieredRetention(max_size="50GB"),
        any_of(KeepLast(3), TieredRetention(max_size="50GB")),
        all_of(KeepLast(3), any_of(KeepAll(), TieredRetention(max_size=0))),
    ],
    ids=repr,
)
def test_a_size_limit_is_refused_where_removing_a_backup_need_not_free_its_bytes(
    make: Make, destination: MemoryDestination, limited: RetentionPolicy
) -> None:
    class Sharing(Zip):
        @property
        def shares_bytes(self) -> bool:
            return True

    with pytest.raises(ConfigurationError, match=r"max_size= cannot be kept with Sharing\(\)"):
        make(FILES, destination, format=Sharing(), retention=limited)
    make(FILES, destination, format=Sharing(), retention=any_of(KeepLast(3), TieredRetention()))
    make(FILES, destination, format=Zip(), retention=limited)


@pytest.mark.parametrize(
    ("says", "mistake"),
    [
        (lambda backups: RetentionPlan(), "leaves out"),
        (lambda backups: RetentionPlan(remove=(Removed(backups[-1], "old"),)), "leaves out"),
        (
            lambda backups: RetentionPlan(
                keep=tuple(Kept(one, ("good",)) for one in backups),
                remove=(Removed(replace(backups[0], id="1999-01-01T00-00-00.000000Z"), "invented"),),
            ),
            "which it was not given",
        ),
        (
            lambda backups: RetentionPlan(
                keep=tuple(Kept(one, ("good",)) for one in backups), remove=(Removed(backups[0], "both"),)
            ),
            "more than once",
        ),
        (
            lambda backups: RetentionPlan(
                remove=tuple(Removed(replace(one, complete=False), "not good") for one in backups)
            ),
            "leaves out",
        ),
        (
            lambda backups: RetentionPlan(
                remove=tuple(Removed(replace(one, name="blog"), "mine") for one in backups)
            ),
            "leaves out",
        ),
    ],
    ids=["empty", "forgets", "invents", "both", "changes", "another's"],
)
def test_a_plan_with_a_mistake_is_refused_and_nothing_is_removed(
    make: Make,
    destination: MemoryDestination,
    clock: Clock,
    says: Callable[[Sequence[Backup]], RetentionPlan],
    mistake: str,
) -> None:
    make_backups(make, destination, clock, "fff")
    make_backups(make, destination, clock, "f", name="blog")
    before = {**destination.objects}
    pipeline = make([FILES, DUMPS], destination, clock=clock, retention=Policy(says))
    for dry_run in (True, False):
        with pytest.raises(ConfigurationError, match=f"{mistake}.*so nothing was removed") as caught:
            pipeline.clean(dry_run=dry_run)
        assert caught.value.report is not None
        assert caught.value.report.outcome == "failed"
    assert destination.objects == before


def test_a_policy_cannot_change_what_its_plan_is_compared_with(
    make: Make, destination: MemoryDestination, clock: Clock
) -> None:
    def slanders(backups: Sequence[Backup]) -> RetentionPlan:
        if isinstance(backups, list):
            backups[:-1] = [replace(one, complete=False) for one in backups[:-1]]
        return remove_all(backups)

    made = make_backups(make, destination, clock, "fff")
    make([FILES, DUMPS], destination, clock=clock, retention=Policy(slanders)).clean()
    assert left(make([FILES, DUMPS], destination)) == [made[2].id]


def test_a_policy_that_crashes_removes_nothing(
    make: Make, destination: MemoryDestination, clock: Clock
) -> None:
    def crash(backups: Sequence[Backup]) -> RetentionPlan:
        raise ZeroDivisionError

    make_backups(make, destination, clock, "ff")
    before = {**destination.objects}
    with pytest.raises(ZeroDivisionError):
        make([FILES, DUMPS], destination, clock=clock, retention=Policy(crash)).clean()
    assert destination.objects == before


# Neighbours


def test_only_backups_of_the_pipelines_own_name_are_touched(
    make: Make, destination: MemoryDestination, clock: Clock
) -> None:
    made = make_backups(make, destination, clock, "ff")
    for name in ("shop-2", "sho", "blog"):
        make_backups(make, destination, clock, "ff", name=name)
        make([FILES, DUMPS], destination, name=name).verify()
    strangers = {
        "shop/notes.txt": b"mine",
        "shop/2026-11-01.zip": b"an archive of somebody else's",
        "shop/2020-01-01T00-00-00.000000Z.zip/inside": b"not an archive",
        "backup.zip": b"mine",
        "backupkit/notes.txt": b"mine",
    }
    destination.objects.update(strangers)
    others = {
        name: data
        for name, data in destination.objects.items()
        if not name.startswith("shop/2026-11-2") and not name.startswith("backupkit/shop/")
    }
    pipeline = make([FILES, DUMPS], destination, clock=clock, retention=Policy(remove_all))
    (result,) = pipeline.clean().destinations
    assert result.plan is not None
    planned = [one.backup for one in result.plan.keep] + [one.backup for one in result.plan.remove]
    assert {one.name for one in planned} == {"shop"}
    assert left(pipeline) == ["2026-11-01", made[1].id], "an archive that was put there is listed, and stays"
    assert {name: destination.objects.get(name) for name in others} == others


def test_what_is_known_about_a_backup_goes_with_it(
    make: Make, destination: MemoryDestination, clock: Clock
) -> None:
    made = make_backups(make, destination, clock, "ff")
    pipeline = make([FILES, DUMPS], destination, clock=clock, retention=KeepLast(1))
    for backup in made:
        pipeline.verify(backup)
    pipeline.clean()
    assert {name.split("/")[2] for name in destination.objects if name.startswith("backupkit/")} == {
        made[1].id
    }


def test_a_summary_whose_archive_is_gone_is_pruned_and_its_bytes_count(
    make: Make, destination: MemoryDestination, clock: Clock
) -> None:
    made = make_backups(make, destination, clock, "ff")
    destination.delete(f"shop/{made[0].id}.zip")
    orphan = destination.stat(f"shop/{made[0].id}.complete.json")
    pipeline = make([FILES, DUMPS], destination, clock=clock, retention=KeepAll())
    (result,) = pipeline.clean().destinations
    assert result.freed == orphan.size
    assert [name for name in destination.objects if made[0].id in name] == []
    assert left(pipeline) == [made[1].id]


def test_what_is_known_of_a_backup_that_was_deleted_by_hand_goes_and_its_pin_a_day_later(
    make: Make, destination: MemoryDestination, clock: Clock
) -> None:
    verified, pinned = make_backups(make, destination, clock, "ff")
    pipeline = make([FILES, DUMPS], destination, clock=clock)
    pipeline.verify(verified)
    pipeline.pin(pinned, reason="the audit")
    for backup in (verified, pinned):
        del destination.objects[f"shop/{backup.id}.zip"]
    pipeline.clean()
    [left_over] = destination.objects  # a place that is slow to list what was written must not cost a pin
    assert left_over.endswith("-pinned")
    clock.forward(hours=25)
    pipeline.clean()
    assert destination.objects == {}


def test_a_place_that_cannot_be_listed_again_keeps_what_is_known_and_the_rest_goes_on(
    make: Make, destination: MemoryDestination, clock: Clock
) -> None:
    made = make_backups(make, destination, clock, "fff")
    make([FILES, DUMPS], destination, clock=clock).verify(made[0])
    del destination.objects[f"shop/{made[0].id}.zip"]
    del destination.objects[f"shop/{made[0].id}.complete.json"]
    # After those of marks and backups: two of marks, one of objects and one of marks for the removal; pruning.
    place = FaultyDestination(destination, [Fault(method="list", does=down(retryable=True), call=8)])
    report = make([FILES, DUMPS], place, clock=clock, retention=KeepLast(1)).clean()
    assert messages(report.problems) == [
        "What was known of the gone could not be deleted: The cable was cut."
    ]
    assert [one.outcome for one in report.destinations] == ["incomplete"]
    assert [one.plan is not None for one in report.destinations] == [True]
    assert any(made[0].id in name for name in destination.objects)


def test_a_listing_that_was_cut_short_once_costs_no_pin(
    make: Make, destination: MemoryDestination, clock: Clock
) -> None:
    made = make_backups(make, destination, clock, "fff")
    pipeline = make([FILES, DUMPS], destination, clock=clock)
    pipeline.pin(made[0], reason="the audit")
    clock.forward(days=2)
    for cut in (1, 2):  # that of what is known, that of the backups
        liar = FaultyDestination(destination, [Fault(method="list", does=None, call=cut)])
        make([FILES, DUMPS], liar, clock=clock, retention=KeepLast(1)).clean()
        assert pipeline.get(made[0].id).pin is not None


def test_damage_that_is_found_while_cleaning_is_under_way_spares_the_last_good_one(
    make: Make, destination: MemoryDestination, clock: Clock
) -> None:
    made = make_backups(make, destination, clock, "fff")
    stem = f"shop/{made[2].id}.zip"
    destination.objects[stem] = destination.objects[stem][:-1]

    def find_out() -> None:
        with pytest.raises(IntegrityError):
            make([FILES, DUMPS], destination, clock=clock).verify(made[2])

    # The first to go takes its damage along: it is found when that one's archive has been deleted.
    cleaned = FaultyDestination(destination, [Fault(method="delete", does=find_out, goes_on=True)])
    report = make([FILES, DUMPS], cleaned, clock=clock, retention=KeepLast(1)).clean()
    assert messages(report.problems, "warning") == [
        f"The backup {made[0].id} stays, for {made[2].id} was found damaged while cleaning was under way: "
        "clean again"
    ]
    assert made[0].id in left(make([FILES, DUMPS], destination))


# Destinations that fail


def test_a_destination_that_cannot_list_its_leftovers_does_not_keep_the_others(
    make: Make, destination: MemoryDestination, clock: Clock
) -> None:
    class Broken(MemoryDestination):
        def leftovers(self, prefix: str = "") -> Iterator[StoredObject]:
            raise OSError("a bug")

        def discard(self, leftover: StoredObject) -> None:
            raise NotImplementedError

    broken = Broken("broken")
    for place in (broken, destination):
        make_backups(make, place, clock, "ff")
    report = make([FILES, DUMPS], [broken, destination], clock=clock, retention=KeepLast(1)).clean()
    assert [one.outcome for one in report.destinations] == ["failed", "succeeded"]
    assert messages(report.problems) == ["The leftovers at memory:broken could not be listed: OSError: a bug"]


def refuses_deleting(inner: MemoryDestination, call: int | None) -> FaultyDestination:
    error = DestinationError("The bucket is locked.", location=inner.location)
    return FaultyDestination(inner, [Fault(method="delete", does=error, call=call)])


def test_a_destination_that_refuses_to_delete_is_told_once_for_each_backup(
    make: Make, destination: MemoryDestination, clock: Clock
) -> None:
    made = make_backups(make, destination, clock, "ffff")
    faulty = refuses_deleting(destination, None)
    pipeline = make([FILES, DUMPS], faulty, clock=clock, retention=KeepLast(1))
    report = pipeline.clean()
    assert report.outcome == "incomplete"
    assert messages(report.problems) == [
        f"The backup {one.id} could not be deleted: The bucket is locked." for one in reversed(made[:3])
    ]
    (result,) = report.destinations
    assert (result.outcome, result.freed) == ("incomplete", 0)
    assert faulty.calls["delete"] == 3
    assert left(pipeline) == [one.id for one in made]


def test_one_that_goes_away_is_not_waited_for_at_each_backup(
    make: Make, destination: MemoryDestination, clock: Clock
) -> None:
    made = make_backups(make, destination, clock, "f" * 9)
    gone = FaultyDestination(destination, [Fault(method="delete", does=down(retryable=True), call=None)])
    pipeline = make([FILES, DUMPS], gone, clock=clock, retention=KeepLast(1))
    report = pipeline.clean()
    assert [one.outcome for one in report.destinations] == ["incomplete"]
    assert gone.calls["delete"] == 3
    assert messages(report.problems)[-1].startswith("The rest was not cleaned, for nobody answers")
    assert left(pipeline) == [one.id for one in made]


def test_one_refusal_does_not_keep_the_rest(make: Make, destination: MemoryDestination, clock: Clock) -> None:
    made = make_backups(make, destination, clock, "ffff")
    pipeline = make([FILES, DUMPS], refuses_deleting(destination, 1), clock=clock, retention=KeepLast(1))
    report = pipeline.clean()
    assert report.outcome == "incomplete"
    assert left(pipeline) == [made[2].id, made[3].id]
    (result,) = report.destinations
    assert result.freed == made[0].stored + made[1].stored


def test_a_removal_that_was_interrupted_leaves_a_summary_that_lists_nothing_and_is_pruned_next_time(
    make: Make, destination: MemoryDestination, clock: Clock
) -> None:
    make_backups(make, destination, clock, "ff")
    pipeline = make([FILES, DUMPS], refuses_deleting(destination, 2), clock=clock, retention=KeepLast(1))
    assert pipeline.clean().outcome == "incomplete"
    assert len(left(pipeline)) == 1
    assert pipeline.clean().outcome == "succeeded"
    assert len(destination.objects) == 2


class Locked(MemoryDestination):
    """An object store in which the objects with these endings are locked; `asked` names all that should go."""

    def __init__(self, *endings: str) -> None:
        super().__init__()
        self.endings = endings
        self.asked: list[str] = []

    def delete(self, name: str) -> None:
        self.asked.append(name)
        if name.endswith(self.endings):
            raise AccessDeniedError(f"{name} is locked.", location=self.location, name=name)
        super().delete(name)


def test_backups_that_are_locked_stay_and_all_others_go(make: Make, clock: Clock) -> None:
    place = Locked()
    made = make_backups(make, place, clock, "fffff")
    place.endings = (f"{made[1].id}.zip", f"{made[3].id}.zip")
    pipeline = make([FILES, DUMPS], place, clock=clock, retention=KeepLast(1))
    report = pipeline.clean()
    assert report.outcome == "incomplete"
    assert messages(report.problems) == [
        f"The backup {one.id} could not be deleted: shop/{one.id}.zip is locked."
        for one in (made[3], made[1])
    ]
    assert left(pipeline) == [made[1].id, made[3].id, made[4].id]
    assert [one.freed for one in report.destinations] == [made[0].stored + made[2].stored]
    place.endings = ()
    assert pipeline.clean().outcome == "succeeded"
    assert left(pipeline) == [made[4].id]


def test_what_is_known_of_a_backup_that_is_locked_stays_with_it(make: Make, clock: Clock) -> None:
    place = Locked()
    made = make_backups(make, place, clock, "ff")
    pipeline = make([FILES, DUMPS], place, clock=clock, retention=KeepLast(1))
    pipeline.verify(made[0])
    place.endings = (".zip",)
    pipeline.clean()
    assert [one.verified is not None for one in reversed(pipeline.list().backups)] == [True, False]


def test_a_size_limit_that_a_locked_place_cannot_keep_ends_after_one_try_each(
    make: Make, clock: Clock
) -> None:
    place = Locked()
    made = make_backups(make, place, clock, "fffff")
    place.endings = (".zip", ".json")
    pipeline = make([FILES, DUMPS], place, clock=clock, retention=TieredRetention(max_size=1))
    report = pipeline.clean()
    assert report.outcome == "incomplete"
    assert place.asked == [f"shop/{one.id}.zip" for one in reversed(made[:4])]
    assert len(report.problems) == 4
    assert left(pipeline) == [one.id for one in made]


def test_a_summary_that_is_locked_is_told_once_although_it_is_tried_again(make: Make, clock: Clock) -> None:
    place = Locked()
    made = make_backups(make, place, clock, "fff")
    summary = f"shop/{made[1].id}.complete.json"
    place.endings = (summary,)
    pipeline = make([FILES, DUMPS], place, clock=clock, retention=KeepLast(1))
    report = pipeline.clean()
    assert messages(report.problems) == [
        f"The backup {made[1].id} could not be deleted: {summary} is locked."
    ]
    assert left(pipeline) == [made[2].id]
    report = pipeline.clean()
    assert (report.outcome, messages(report.problems)) == (
        "incomplete",
        [f"What no backup refers to could not be deleted: {summary} is locked."],
    )


def test_a_summary_that_is_locked_does_not_keep_others_from_being_pruned(make: Make, clock: Clock) -> None:
    place = Locked()
    made = make_backups(make, place, clock, "ffff")
    for backup in made[:3]:
        del place.objects[f"shop/{backup.id}.zip"]
    place.endings = (f"{made[0].id}.complete.json",)
    pipeline = make([FILES, DUMPS], place, clock=clock, retention=KeepAll())
    assert len(pipeline.clean().problems) == 1
    assert [name for name in place.objects if name.endswith(".json")] == [
        f"shop/{made[0].id}.complete.json",
        f"shop/{made[3].id}.complete.json",
    ]


def test_marks_that_are_locked_are_told_once_and_the_backup_is_gone(make: Make, clock: Clock) -> None:
    place = Locked()
    made = make_backups(make, place, clock, "ff")
    pipeline = make([FILES, DUMPS], place, clock=clock, retention=KeepLast(1))
    pipeline.verify(made[0])
    place.endings = ("-verified",)
    report = pipeline.clean()
    [message] = messages(report.problems)
    assert message.startswith(
        f"What was known of {made[0].id}, which is gone, could not be deleted: backupkit/"
    )
    assert [one.freed for one in report.destinations] == [made[0].stored]
    assert left(pipeline) == [made[1].id]


def test_a_destination_that_breaks_its_contract_while_deleting_is_told_and_the_rest_goes_on(
    make: Make, destination: MemoryDestination, clock: Clock
) -> None:
    made = make_backups(make, destination, clock, "fff")
    other = MemoryDestination("other")
    broken = FaultyDestination(destination, [Fault(method="delete", does=OSError("a bug"), call=None)])
    pipeline = make([FILES, DUMPS], [broken, other], clock=clock, retention=KeepLast(1))
    report = pipeline.clean()
    assert messages(report.problems) == [
        f"The backup {one.id} could not be deleted: OSError: a bug" for one in (made[1], made[0])
    ]
    assert [one.outcome for one in report.destinations] == ["incomplete", "succeeded"]


def test_a_file_that_is_immutable_stays_and_the_rest_goes(make: Make, tmp_path: Path, clock: Clock) -> None:
    place = stored(tmp_path / "backups")
    made = make_backups(make, place, clock, "fff")
    archive = place.folder / f"shop/{made[0].id}.zip"
    pipeline = make([FILES, DUMPS], place, clock=clock, retention=KeepLast(1))
    with immutable(archive):
        report = pipeline.clean()
    assert report.outcome == "incomplete"
    [problem] = report.problems
    assert problem.message.startswith(f"The backup {made[0].id} could not be deleted: ")
    assert left(pipeline) == [made[0].id, made[2].id]
    assert pipeline.clean().outcome == "succeeded"
    assert left(pipeline) == [made[2].id]


@contextmanager
def immutable(file: Path) -> Iterator[None]:
    """The file cannot be deleted, not even by root; skips the test where that cannot be had."""
    chattr = shutil.which("chattr")
    if chattr is None or subprocess.run([chattr, "+i", file], check=False, capture_output=True).returncode:
        pytest.skip("chattr +i needs Linux, root and a file system that knows it")
    try:
        yield
    finally:
        subprocess.run([chattr, "-i", file], check=True)


def test_each_destination_is_cleaned_by_itself(make: Make, clock: Clock) -> None:
    one, two, dead = MemoryDestination("one"), MemoryDestination("two"), MemoryDestination("dead")
    made = make_backups(make, one, clock, "fff")
    make_backups(make, two, clock, "f")
    broken = FaultyDestination(dead, [Fault(method="list", does=down(retryable=True), call=None)])
    pipeline = make([FILES, DUMPS], [broken, one, two], clock=clock, retention=KeepLast(2))
    report = pipeline.clean()
    assert report.outcome == "incomplete"
    assert [one.outcome for one in report.destinations] == ["failed", "succeeded", "succeeded"]
    assert [len(one.plan.remove) if one.plan else None for one in report.destinations] == [None, 1, 0]
    assert [(one.message, one.destination) for one in report.problems] == [
        ("The cable was cut.", "memory:dead")
    ]
    assert made[0].id not in [backup.id for backup in pipeline.list().backups]


def test_when_no_destination_answers_cleaning_fails_with_each_reason(make: Make) -> None:
    def dead(name: str) -> FaultyDestination:
        error = DestinationError(f"{name} is down.", location=f"memory:{name}")
        return FaultyDestination(MemoryDestination(name), [Fault(method="list", does=error, call=None)])

    with pytest.raises(DestinationError, match="one is down"):
        make(FILES, dead("one")).clean()
    with pytest.raises(ExceptionGroup) as caught:
        make(FILES, [dead("one"), dead("two")]).clean()
    report = caught.value.report  # type: ignore[attr-defined]  # operations put it there
    assert [(one.message, one.destination) for one in report.problems] == [
        ("one is down.", "memory:one"),
        ("two is down.", "memory:two"),
    ]
    assert [one.outcome for one in report.destinations] == ["failed", "failed"]


def test_a_leftover_that_cannot_be_deleted_is_told(make: Make, tmp_path: Path, clock: Clock) -> None:
    place = stored(tmp_path / "backups")
    partial = place.folder / f"shop/.2026-11-22T00-00-00.000000Z.zip.{'0' * 16}.partial"
    partial.parent.mkdir()
    partial.write_bytes(b"x" * 100)

    class Immutable(LocalDestination):
        def discard(self, leftover: StoredObject) -> None:
            raise DestinationError("The disk is immutable.", location=self.location)

    options = {"leftovers_after": timedelta(0), "retention": KeepAll()}
    report = make(FILES, Immutable(place.folder), **options).clean()
    assert report.outcome == "incomplete"
    assert messages(report.problems) == [
        f"The leftover shop/{partial.name} could not be deleted: The disk is immutable."
    ]
    report = make(FILES, place, **options).clean()
    assert [one.freed for one in report.destinations] == [100]
    assert names(place.folder) == []
