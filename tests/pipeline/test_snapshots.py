"""A pipeline with `format=Restic()`: what changes for its verbs, at one destination and at several."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backupkit import (
    APPLICATION_EXCLUDES,
    BackupPipeline,
    ConfigurationError,
    DestinationError,
    Directory,
    IntegrityError,
    KeepLast,
    Leftovers,
    LocalDestination,
    MaximumStorage,
    MinimumSize,
    OperationCancelledError,
    Passphrase,
    Report,
    RepositoryLockedError,
    RepositoryNotFoundError,
    Restic,
    Retry,
    SizeAnomaly,
    SourceError,
    SQLite,
    TieredRetention,
    UnsupportedCodecError,
    WrongPassphraseError,
    Zip,
    open_destination,
)
from backupkit.events import BytesRead, EntryStarted, Event
from backupkit.formats.restic.access import Access
from backupkit.formats.restic.locks import held
from backupkit.formats.restic.opened import OpenedRepository
from backupkit.protocols import FansOut
from backupkit.testing.destinations import MemoryDestination
from backupkit.testing.trees import Node, same_tree, tree
from tests.pipeline.shop import Clock, MiB, Scripted, content, messages, names, size_of, stored
from tests.pipeline.snapshots import FORMAT, PASSPHRASE, Failing, Hanging
from tests.restics import Restic as StockRestic
from tests.restics import client
from tests.storage.s3 import SECRET, S3Server

pytestmark = pytest.mark.usefixtures("impatient")

LARGE = os.urandom(3 * MiB)
FILES: Mapping[str, Node] = {"a": b"a" * 100, "folder": {"large": LARGE, "small": b"small"}}


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return tree(tmp_path / "app", FILES)


@pytest.fixture
def make(tmp_path: Path) -> Any:
    def made(sources: Any, destinations: Any, **options: Any) -> BackupPipeline:
        from backupkit import MachineLock

        settings: dict[str, Any] = {
            "encryptor": PASSPHRASE,
            "format": FORMAT,
            "retry": Retry(tries=1),
            "lock": MachineLock(tmp_path / "locks"),
            "checks": (),
        }
        name = options.pop("name", "shop")
        return BackupPipeline(name, sources, destinations, **(settings | options))

    return made


@pytest.fixture
def go_on() -> Iterator[threading.Event]:
    """What a destination that hangs waits for; it comes at the end, whatever the test says."""
    event = threading.Event()
    yield event
    event.set()


def opened(place: Any) -> OpenedRepository:
    access = Access(passphrase=PASSPHRASE, creates=False, lock_wait=timedelta(0), cache=False)
    return access.opened(place if hasattr(place, "read") else LocalDestination(place))


def outcomes(report: Report) -> list[str]:
    return [one.outcome for one in report.destinations]


def everything(app: Path, destination: Path) -> Path:
    """Where a folder of the machine is when a snapshot was restored."""
    return destination.joinpath(*app.parts[1:])


# One destination


def test_only_what_has_changed_is_read_and_only_what_is_new_is_stored(
    make: Any, app: Path, tmp_path: Path
) -> None:
    place = stored(tmp_path / "backup")
    pipeline = make(Directory(app), place)
    size = len(LARGE) + 105
    first = pipeline.run()
    assert (first.outcome, first.read) == ("succeeded", size)
    assert first.entries == len([*pipeline.entries()])
    assert size / 2 < first.written < size * 1.1
    again = pipeline.run()
    assert (again.outcome, again.read, again.written) == ("succeeded", 0, 0)
    assert again.entries == first.entries
    (app / "new").write_bytes(b"new")
    third = pipeline.run()
    assert (third.read, third.entries) == (3, first.entries + 1)
    assert 0 < third.written < 10_000
    pipeline.restore(to=tmp_path / "restored")
    assert same_tree(app, everything(app, tmp_path / "restored")) == []
    assert pipeline.verify().outcome == "succeeded"
    assert pipeline.list().backups[0].verified is not None


def test_observers_hear_of_what_is_read_though_folders_are_handed_over_unread(
    make: Any, app: Path, tmp_path: Path
) -> None:
    events: list[Event] = []
    pipeline = make(Directory(app), stored(tmp_path / "backup"), observers=[events.append])
    report = pipeline.run()
    assert sum(one.count for one in events if isinstance(one, BytesRead)) == report.read
    paths = [one.path for one in events if isinstance(one, EntryStarted)]
    assert paths
    assert all(path == "app" or path.startswith("app/") for path in paths)


def test_a_new_repository_is_told_and_the_second_run_says_nothing(
    make: Any, app: Path, tmp_path: Path
) -> None:
    place = stored(tmp_path / "backup")
    pipeline = make(Directory(app), place)
    first = pipeline.run()
    (problem,) = first.problems
    assert (problem.severity, problem.destination) == ("warning", place.location)
    assert "a new one was made" in problem.message
    assert first.destinations[0].problems == (problem,)
    assert pipeline.run().problems == ()


def test_that_a_repository_was_made_is_told_by_the_run_that_failed_in_it(make: Any, tmp_path: Path) -> None:
    nothing = Scripted("app", {"app": SourceError("gone", path="app")})
    with pytest.raises(SourceError) as caught:
        make(nothing, stored(tmp_path / "backup")).run()
    report = caught.value.report
    assert report is not None
    assert "a new one was made" in messages(report.problems, "warning")[0]


def test_that_a_repository_was_made_is_told_though_the_run_had_to_begin_again(make: Any, app: Path) -> None:
    flaky = Failing(MemoryDestination(), "data/", times=3, retryable=True)
    report = make(Directory(app), flaky, retry=Retry(tries=2, wait=0)).run()
    assert report.outcome == "succeeded"
    assert ["a new one was made" in one for one in messages(report.problems)] == [True]


def test_where_something_else_is_no_repository_is_made(make: Any, app: Path, tmp_path: Path) -> None:
    place = stored(tmp_path / "backup")
    (place.folder / "photos").mkdir()
    (place.folder / "photos" / "1.jpg").write_bytes(b"jpeg")
    with pytest.raises(ConfigurationError, match=r"something .* that is no repository \(photos/1.jpg\)"):
        make(Directory(app), place).run()
    assert names(place.folder) == ["photos/1.jpg"]


def test_where_archives_are_no_repository_is_made(make: Any, app: Path, tmp_path: Path) -> None:
    place = stored(tmp_path / "backup")
    make(Directory(app), place, format=Zip()).run()
    before = names(place.folder)
    with pytest.raises(ConfigurationError, match="is no repository"):
        make(Directory(app), place).run()
    assert names(place.folder) == before


@pytest.mark.parametrize("there", [True, False], ids=["empty", "not there"])
def test_with_create_false_nothing_is_ever_made(make: Any, app: Path, tmp_path: Path, there: bool) -> None:
    folder = tmp_path / "backup"
    if there:
        folder.mkdir()
    pipeline = make(Directory(app), folder, format=Restic(create=False))
    with pytest.raises((RepositoryNotFoundError, DestinationError)):
        pipeline.run()
    assert folder.exists() == there
    assert not there or names(folder) == []


def test_with_create_false_what_is_there_is_written_to(make: Any, app: Path, tmp_path: Path) -> None:
    place = stored(tmp_path / "backup")
    make(Directory(app), place).run()
    report = make(Directory(app), place, format=Restic(create=False)).run()
    assert (report.outcome, report.read, report.problems) == ("succeeded", 0, ())


def test_what_two_sources_both_hold_is_a_mistake_that_is_told_and_nothing_is_stored(
    make: Any, app: Path, tmp_path: Path
) -> None:
    places = [stored(tmp_path / name) for name in ("one", "two")]
    pipeline = make([Directory(app), Directory(app / "folder", name="inner")], places)
    with pytest.raises(ConfigurationError, match=r"holds every path once|was written already"):
        pipeline.run()
    assert pipeline.list().backups == ()


def test_a_repository_in_a_source_is_left_out_and_one_that_is_the_source_is_refused(
    make: Any, app: Path
) -> None:
    (app / "backup").mkdir()
    pipeline = make(Directory(app), app / "backup")
    pipeline.run()
    assert pipeline.run().read == 0
    assert f"{app}/backup/config"[1:] not in [entry.path for entry in pipeline.entries()]
    with pytest.raises(ConfigurationError, match="backups go to: name a destination outside the source"):
        make(Directory(app / "backup"), app / "backup").run()


def test_codecs_that_the_format_cannot_record_are_refused_without_io() -> None:
    with pytest.raises(ConfigurationError, match="always encrypted"):
        BackupPipeline("shop", Directory("/srv"), "/mnt", encryptor=None, format=Restic())
    with pytest.raises(UnsupportedCodecError, match="deflate"):
        BackupPipeline(
            "shop", Directory("/srv"), "/mnt", encryptor=PASSPHRASE, compressor="deflate", format=Restic()
        )
    with pytest.raises(ConfigurationError, match="max_size"):
        BackupPipeline(
            "shop", Directory("/srv"), "/mnt", encryptor=PASSPHRASE, format=Restic(),
            retention=TieredRetention(max_size="1GB"),
        )  # fmt: skip
    with pytest.raises(ConfigurationError, match="lock_wait"):
        Restic(lock_wait=timedelta(seconds=-1))


def test_a_wrong_passphrase_is_one_clear_error(make: Any, app: Path, tmp_path: Path) -> None:
    place = stored(tmp_path / "backup")
    make(Directory(app), place).run()
    wrong = make(Directory(app), place, encryptor=Passphrase("another one, of many words"))
    for verb in (wrong.run, wrong.list, wrong.verify, wrong.clean):
        with pytest.raises(WrongPassphraseError, match="No key of the repository"):
            verb()


def test_a_cancelled_run_leaves_no_snapshot_and_no_lock(make: Any, app: Path, tmp_path: Path) -> None:
    place = stored(tmp_path / "backup")
    cancel = threading.Event()
    make(Directory(app), place).run()
    dump = Scripted("dump", {"db-dumps/shop.sql": [[b"x" * 100, cancel.set, b"y"]]}, contents="databases")
    pipeline = make([Directory(app), dump], place)
    with pytest.raises(OperationCancelledError):
        pipeline.run(cancel=cancel)
    assert len(pipeline.list().backups) == 1
    assert names(place.folder / "locks") == []


def test_a_run_of_nothing_fails(make: Any, tmp_path: Path) -> None:
    pipeline = make(Scripted("app", {"app": SourceError("gone", path="app")}), stored(tmp_path / "backup"))
    with pytest.raises(SourceError, match="Nothing could be backed up"):
        pipeline.run()
    assert pipeline.list().backups == ()


def test_what_is_lost_makes_the_run_and_the_snapshot_incomplete(make: Any, tmp_path: Path) -> None:
    place = stored(tmp_path / "backup")
    lossy = Scripted("app", {"app/a": b"a", "app/b": [[SourceError("b is unreadable", path="app/b")]]})
    pipeline = make(lossy, place)
    report = pipeline.run()
    assert (report.outcome, outcomes(report)) == ("incomplete", ["incomplete"])
    assert messages(report.problems, "error") == ["b is unreadable"]
    (backup,) = pipeline.list().backups
    assert (backup.complete, backup.good) == (False, False)


# Dumps, drills, details


def test_a_dump_is_drilled_and_the_rows_of_its_tables_are_compared(
    make: Any, app: Path, tmp_path: Path
) -> None:
    import sqlite3
    from contextlib import closing

    database = tmp_path / "shop.sqlite3"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("create table orders (id integer)")
        connection.executemany("insert into orders values (?)", [(number,) for number in range(7)])
        connection.commit()
    source = SQLite(database, count_rows=True)
    pipeline = make([Directory(app), source], stored(tmp_path / "backup"))
    assert pipeline.run().outcome == "succeeded"
    (dump,) = [one for one in pipeline.entries() if one.path.startswith("db-dumps/") and one.kind == "file"]
    assert dump.rows == {"orders": 7}
    assert dump.xattrs == {}
    report = pipeline.drill(compare_rows=True)
    assert (report.outcome, report.problems) == ("succeeded", ())
    assert pipeline.list().backups[0].proven is not None


def test_a_list_knows_the_details_and_one_entry_opens(make: Any, app: Path, tmp_path: Path) -> None:
    pipeline = make(Directory(app), stored(tmp_path / "backup"))
    pipeline.run(tags=["before-upgrade"])
    (backup,) = pipeline.list().backups
    assert pipeline.details(backup) == backup
    assert (backup.size, backup.tags, backup.host) == (
        len(LARGE) + 105,
        ("before-upgrade",),
        os.uname().nodename,
    )
    assert backup.contents == {"files"}
    with pipeline.open(backup, f"{app}/folder/small"[1:]) as file:
        assert file.read() == b"small"
    report = pipeline.restore(to=tmp_path / "restored", include=[f"{app}/folder/small"])
    assert [path.name for path in (tmp_path / "restored").rglob("*") if path.is_file()] == ["small"]
    assert report.outcome == "succeeded"


# Cleaning, pins, health


def test_cleaning_removes_snapshots_and_frees_what_only_they_needed(
    make: Any, app: Path, tmp_path: Path, clock: Clock
) -> None:
    place = stored(tmp_path / "backup")
    pipeline = make(Directory(app), place, retention=KeepLast(1), clock=clock)
    for number in range(3):
        (app / "a").write_bytes(b"a" * number)
        clock.forward(hours=1)
        pipeline.run()
    oldest = pipeline.list().backups[-1]
    pipeline.pin(oldest, reason="audit")
    would = pipeline.clean(dry_run=True).destinations[0]
    before = size_of(place.folder / "data")
    report = pipeline.clean()
    assert outcomes(report) == ["succeeded"]
    assert report.problems == ()
    (result,) = report.destinations
    gone = before - size_of(place.folder / "data")
    assert would.freed == gone > 0
    assert gone <= result.freed < gone + 2000, "and a little of indexes"
    assert [one.id for one in pipeline.list().backups if one.pin] == [oldest.id]
    assert len(pipeline.list().backups) == 2
    assert names(place.folder / "locks") == []
    assert pipeline.clean().problems == ()
    assert content(pipeline, oldest)[f"{app}/a"[1:]] == b""


def test_storage_is_what_each_snapshot_added(make: Any, app: Path, tmp_path: Path) -> None:
    place = stored(tmp_path / "backup")
    pipeline = make(Directory(app), place, checks=[MaximumStorage("4MB")])
    for _ in range(3):
        pipeline.run()
    assert pipeline.monitor().outcome == "succeeded"
    assert pipeline.summary().destinations[0].problems == ()
    (app / "another").write_bytes(os.urandom(2 * MiB))
    pipeline.run()
    assert pipeline.monitor().outcome == "failed"


def test_a_snapshot_that_added_nothing_is_no_smaller_than_those_before(
    make: Any, app: Path, tmp_path: Path, clock: Clock
) -> None:
    checks = [SizeAnomaly(least=3), MinimumSize("2MB")]
    pipeline = make(Directory(app), stored(tmp_path / "backup"), checks=checks, clock=clock)
    for _ in range(5):
        clock.forward(hours=1)
        pipeline.run()
    assert pipeline.monitor().problems == ()
    (app / "folder" / "large").unlink()
    clock.forward(hours=1)
    pipeline.run()
    assert [one.check for one in pipeline.monitor().problems] == ["SizeAnomaly", "MinimumSize"]


def test_what_a_killed_run_left_is_found_and_swept_wherever_it_lies(
    make: Any, app: Path, tmp_path: Path
) -> None:
    place = stored(tmp_path / "backup")
    pipeline = make(Directory(app), place, checks=[Leftovers()])
    pipeline.run()
    partial = place.folder / "data" / ".abc.0123456789abcdef.partial"
    partial.write_bytes(b"x")
    os.utime(partial, (0, 0))
    assert [one.check for one in pipeline.monitor().problems] == ["Leftovers"]
    assert len(pipeline.clean().destinations[0].swept) == 1
    assert not partial.exists()
    assert pipeline.monitor().problems == ()


# Locks


def test_who_uses_the_repository_alone_keeps_a_run_a_restore_and_a_cleaning_out(
    make: Any, app: Path, tmp_path: Path
) -> None:
    place = stored(tmp_path / "backup")
    pipeline = make(Directory(app), place, retention=KeepLast(1))
    pipeline.run()
    pipeline.run()
    other = opened(place)
    with held(other.objects, other.sealer, exclusive=True, wait=timedelta(0)):
        for verb in (
            pipeline.run,
            pipeline.verify,
            pipeline.clean,
            lambda: pipeline.restore(to=tmp_path / "out"),
        ):
            with pytest.raises(RepositoryLockedError, match="is in use by"):
                verb()
        assert len(pipeline.list().backups) == 2
    with held(other.objects, other.sealer, exclusive=False, wait=timedelta(0)):
        assert pipeline.run().outcome == "succeeded"
        assert pipeline.verify().outcome == "succeeded"
        with pytest.raises(RepositoryLockedError):
            pipeline.clean()
    assert len(pipeline.list().backups) == 3
    assert outcomes(pipeline.clean()) == ["succeeded"]


def test_waiting_for_the_repository_can_be_cancelled(make: Any, app: Path, tmp_path: Path) -> None:
    place = stored(tmp_path / "backup")
    make(Directory(app), place).run()
    cancel = threading.Event()
    pipeline = make(Directory(app), place, format=Restic(lock_wait=timedelta(hours=1)))
    other = opened(place)
    with held(other.objects, other.sealer, exclusive=True, wait=timedelta(0)):
        timer = threading.Timer(0.2, cancel.set)
        timer.start()
        with pytest.raises(OperationCancelledError):
            pipeline.run(cancel=cancel)
        timer.join()


def test_a_run_whose_lock_was_taken_away_stores_no_snapshot(make: Any, app: Path, tmp_path: Path) -> None:
    place = stored(tmp_path / "backup")
    make(Directory(app), place).run()

    def take_away() -> None:
        for lock in (place.folder / "locks").iterdir():
            lock.unlink()

    dump = Scripted("dump", {"db-dumps/shop.sql": [[take_away, b"x"]]}, contents="databases")
    pipeline = make(dump, place)
    with pytest.raises(Exception, match=r"The lock on the repository at .* was lost"):
        pipeline.run()
    assert len(pipeline.list().backups) == 1


def test_what_cannot_be_written_to_can_be_restored(make: Any, app: Path, tmp_path: Path) -> None:
    from backupkit import ReadOnly

    place = stored(tmp_path / "backup")
    make(Directory(app), place).run()
    reader = make(Directory(app), ReadOnly(place))
    assert reader.restore(to=tmp_path / "restored").outcome == "succeeded"
    assert same_tree(app, everything(app, tmp_path / "restored")) == []


# Several destinations


def test_each_destination_gets_the_snapshot_from_one_reading(make: Any, tmp_path: Path) -> None:
    source = Scripted("uploads", {"uploads/a": b"a" * 10, "uploads/large": LARGE})
    places = [stored(tmp_path / name) for name in ("one", "two", "three")]
    pipeline = make(source, places)
    report = pipeline.run()
    assert outcomes(report) == ["succeeded"] * 3
    assert [one.location for one in report.destinations] == [place.location for place in places]
    assert source.reads == ["uploads/a", "uploads/large"]
    assert len({one.id for one in pipeline.list().backups}) == 1
    assert report.written == sum(one.backup.stored for one in report.destinations if one.backup)
    repositories = [opened(place) for place in places]
    assert len({one.config.polynomial for one in repositories}) == 1
    assert len({one.config.id for one in repositories}) == 3
    for place in places:
        assert content(pipeline, at=place.location)["uploads/large"] == LARGE


def test_a_new_repository_takes_over_how_the_others_cut(make: Any, app: Path, tmp_path: Path) -> None:
    old, new = stored(tmp_path / "old"), stored(tmp_path / "new")
    make(Directory(app), old).run()
    report = make(Directory(app), [new, old]).run()
    assert opened(new).config.polynomial == opened(old).config.polynomial
    assert [len(one.problems) for one in report.destinations] == [1, 0]  # the new one is told


@pytest.mark.parametrize("prefix", ["config", "locks/", "data/", "index/", "snapshots/"])
def test_one_that_fails_leaves_the_others_whole_and_the_run_incomplete(
    make: Any, app: Path, prefix: str
) -> None:
    whole, cut = MemoryDestination("whole"), MemoryDestination("cut")
    pipeline = make(Directory(app), [Failing(cut, prefix), whole])
    report = pipeline.run()
    assert report.outcome == "incomplete"
    assert outcomes(report) == ["failed", "succeeded"]
    assert messages(report.destinations[0].problems) == ["The cable was cut."]
    assert [one.location for one in pipeline.list().backups] == ["memory:whole"]
    assert pipeline.verify().outcome == "succeeded"


def test_when_all_fail_the_run_fails_with_each_reason(make: Any, app: Path) -> None:
    pipeline = make(Directory(app), [Failing(MemoryDestination(name), "data/") for name in ("one", "two")])
    with pytest.raises(ExceptionGroup) as caught:
        pipeline.run()
    report: Report = caught.value.report  # type: ignore[attr-defined]  # operations put it there
    assert outcomes(report) == ["failed", "failed"]
    assert [one.destination for one in report.destinations[1].problems] == ["memory:two"]


def test_what_fails_in_passing_is_tried_again_without_reading_anew(make: Any) -> None:
    source = Scripted("uploads", {"uploads/large": LARGE})
    flaky = Failing(MemoryDestination(), "data/", times=2, retryable=True)
    report = make(source, flaky, retry=Retry(tries=3, wait=0)).run()
    assert report.outcome == "succeeded"
    assert source.reads == ["uploads/large"]


def test_one_that_failed_and_came_back_is_given_the_snapshot_of_another(make: Any) -> None:
    source = Scripted("uploads", {"uploads/large": LARGE})
    late, whole = MemoryDestination("late"), MemoryDestination("whole")
    flaky = Failing(late, "index/", times=2, retryable=True)  # of packs, two are stored at once
    pipeline = make(source, [flaky, whole], retry=Retry(tries=2, wait=0))
    report = pipeline.run()
    assert outcomes(report) == ["succeeded", "succeeded"]
    assert source.reads == ["uploads/large"]
    assert len({one.id for one in pipeline.list().backups}) == 1
    assert content(pipeline, at="memory:late") == {"uploads/large": LARGE}


def test_one_that_stalls_while_its_snapshot_is_given_to_another_does_not_hold_up_the_run(
    make: Any, go_on: threading.Event
) -> None:
    flaky = Failing(MemoryDestination("late"), "index/", times=2, retryable=True)  # the only one there is
    whole = Hanging(MemoryDestination("whole"), "data/", go_on)
    pipeline = make(
        Scripted("uploads", {"uploads/large": LARGE}),
        [flaky, whole],
        retry=Retry(tries=2, wait=0),
        stall_limit=timedelta(seconds=0.3),
    )
    report = pipeline.run()
    assert outcomes(report) == ["failed", "succeeded"]
    assert "memory:whole did not answer" in messages(report.destinations[0].problems)[0]


@pytest.mark.parametrize("prefix", ["data/", "snapshots/"])
def test_one_that_stalls_while_it_is_written_to_is_dropped(
    make: Any, app: Path, prefix: str, go_on: threading.Event
) -> None:
    whole, inner = MemoryDestination("whole"), MemoryDestination("hangs")
    hanging = Failing(inner, prefix, does=go_on.wait)
    report = make(Directory(app), [hanging, whole], stall_limit=timedelta(seconds=0.3)).run()
    assert outcomes(report) == ["failed", "succeeded"]
    assert "did not move for 0.3 seconds" in messages(report.destinations[0].problems)[0]


def test_of_one_that_never_answers_to_its_snapshot_nobody_knows_how_it_ended(
    make: Any, app: Path, go_on: threading.Event
) -> None:
    inner, whole = MemoryDestination("hangs"), MemoryDestination("whole")
    hanging = Failing(inner, "snapshots/", does=go_on.wait, afterwards=True)
    report = make(Directory(app), [hanging, whole], stall_limit=timedelta(seconds=0.3)).run()
    assert outcomes(report) == ["unknown", "succeeded"]
    assert messages(report.destinations[0].problems)[0].startswith("Whether memory:hangs has kept")
    assert len(make(Directory(app), inner).list().backups) == 1


@pytest.mark.parametrize("prefix", ["config", "index/", "snapshots/"])
def test_one_that_stalls_while_it_is_read_is_dropped(
    make: Any, app: Path, prefix: str, go_on: threading.Event
) -> None:
    whole, inner = MemoryDestination("whole"), MemoryDestination("hangs")
    make(Directory(app), [inner, whole]).run()
    pipeline = make(
        Directory(app), [Hanging(inner, prefix, go_on), whole], stall_limit=timedelta(seconds=0.3)
    )
    report = pipeline.run()
    assert outcomes(report) == ["failed", "succeeded"]
    assert "did not answer within 0.3 seconds" in messages(report.destinations[0].problems)[0]


def test_a_run_can_go_to_one_of_several(make: Any, app: Path) -> None:
    one, two = MemoryDestination("one"), MemoryDestination("two")
    report = make(Directory(app), [one, two]).run(to="memory:two")
    assert [result.location for result in report.destinations] == ["memory:two"]
    assert one.objects == {}


def test_a_repository_that_does_not_open_does_not_hide_the_others(make: Any, app: Path) -> None:
    good, other = MemoryDestination("good"), MemoryDestination("other")
    make(Directory(app), good).run()
    make(Directory(app), other, encryptor=Passphrase("another one, of many words")).run()
    pipeline = make(Directory(app), [other, good])
    listing = pipeline.list()
    assert [one.location for one in listing.backups] == ["memory:good"]
    assert [one.destination for one in listing.problems] == ["memory:other"]
    assert outcomes(pipeline.run()) == ["failed", "succeeded"]
    assert pipeline.get().location == "memory:good"


def test_a_format_says_by_a_protocol_that_it_fans_out() -> None:
    assert isinstance(Restic(), FansOut)
    assert not isinstance(Zip(), FansOut)


# Stock restic, and S3


@pytest.fixture
def stock(tmp_path: Path) -> StockRestic:
    return client("installed").at(tmp_path / "backup", tmp_path / "cache")


def test_stock_restic_finds_nothing_wrong_with_any_of_it(
    make: Any, app: Path, tmp_path: Path, stock: StockRestic
) -> None:
    pipeline = make([Directory(app)], [stored(tmp_path / "backup"), stored(tmp_path / "second")])
    pipeline.run(tags=["nightly"])
    (app / "folder" / "small").write_bytes(b"changed")
    pipeline.run()
    stock.check(read_data=True)
    first, second = stock.snapshots()
    assert first["tags"] == ["nightly", "backupkit:name=shop", "backupkit:contents=files"]
    assert (second["parent"], second["paths"]) == (first["id"], [str(app)])
    assert stock.ls()[f"{app}/folder/small"]["size"] == len(b"changed")


def test_snapshots_that_restic_made_are_listed_restored_and_never_planned(
    make: Any, app: Path, tmp_path: Path, stock: StockRestic
) -> None:
    stored(tmp_path / "backup")
    stock.plant()
    stock.backup(app)
    pipeline = make(Directory(app), tmp_path / "backup", retention=KeepLast(1))
    (foreign,) = pipeline.list().backups
    assert (foreign.made_by, foreign.name, foreign.contents) == ("other", os.uname().nodename, frozenset())
    report = pipeline.run()
    assert (report.read, report.problems) == (0, ())  # restic's snapshot is the one before
    assert pipeline.get().made_by == "backupkit"
    plan = pipeline.clean(dry_run=True).destinations[0].plan
    assert plan is not None
    assert len(plan.keep) == 1
    assert not plan.remove
    assert pipeline.verify(foreign).outcome == "succeeded"
    pipeline.restore(foreign, to=tmp_path / "restored")
    assert same_tree(app, everything(app, tmp_path / "restored")) == []
    assert pipeline.summary().destinations[0].count == 1


def test_the_whole_path_on_s3(
    make: Any, app: Path, tmp_path: Path, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "admin")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    url = f"s3://{s3_server.new_bucket()}/shop?endpoint_url={s3_server.endpoint}"
    cached = Restic(cache=tmp_path / "kept", lock_wait=timedelta(0))
    pipeline = make(
        Directory(app, exclude=APPLICATION_EXCLUDES),
        [open_destination(url), stored(tmp_path / "backup")],
        format=cached,
        retention=KeepLast(1),
    )
    (tmp_path / "kept").mkdir()
    assert outcomes(pipeline.run()) == ["succeeded", "succeeded"]
    again = pipeline.run()
    assert (again.outcome, again.read) == ("succeeded", 0)
    repositories = [
        one.name for one in (tmp_path / "kept" / "backupkit" / "restic").iterdir() if one.is_dir()
    ]
    assert len(repositories) == 1  # of the one that is not on this machine
    assert pipeline.verify(at=url).outcome == "succeeded"
    pipeline.restore(to=tmp_path / "restored", at=url)
    assert same_tree(app, everything(app, tmp_path / "restored")) == []
    assert outcomes(pipeline.clean()) == ["succeeded", "succeeded"]
    assert len(pipeline.list().backups) == 2


def test_a_run_after_damage_warns_that_it_relies_on_the_same_until_that_is_cured(
    make: Any, app: Path, tmp_path: Path
) -> None:
    place = tmp_path / "backup"
    pipeline = make(Directory(app), stored(place))
    pipeline.run()
    packs = [path for path in (place / "data").rglob("*") if path.is_file()]
    largest = max(packs, key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[1000] ^= 1
    largest.chmod(0o600)
    largest.write_bytes(content)
    with pytest.raises(IntegrityError, match="Others, and the next one, rely on the same bytes"):
        pipeline.verify()
    (warning,) = pipeline.run().problems
    assert "was found damaged" in warning.message
    with pytest.raises(IntegrityError):
        pipeline.verify()  # the new one
    largest.unlink()
    client("installed").at(place, tmp_path / "cache").run("rebuild-index")
    (warning,) = pipeline.run().problems
    assert pipeline.verify().outcome == "succeeded"
    assert pipeline.run().problems == ()
    assert [pipeline.verify(one).outcome for one in pipeline.list().backups] == ["succeeded"] * 4
