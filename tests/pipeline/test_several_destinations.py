"""Several destinations: read once, each fails by itself, and only when all have failed has the run."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from backupkit import (
    ConfigurationError,
    DestinationError,
    Directory,
    Entry,
    Passphrase,
    Problem,
    Report,
    Retry,
    SourceError,
    WrongPassphraseError,
    open_repository,
)
from backupkit.events import Event, Waiting
from backupkit.model import Contents
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination
from backupkit.testing.trees import same_tree, tree
from tests.pipeline.shop import (
    Make,
    MiB,
    Scripted,
    content,
    down,
    flaky,
    messages,
    names,
    small_disk,
    stored,
    write_fault,
)

FILES = {"uploads/a": b"a" * 10, "uploads/large": os.urandom(3 * MiB), "uploads/z": b"z"}


@pytest.fixture
def source() -> Scripted:
    return Scripted("uploads", FILES)


def test_every_destination_gets_the_same_backup_from_one_reading(
    make: Make, source: Scripted, tmp_path: Path
) -> None:
    places = [stored(tmp_path / name) for name in ("one", "two", "three")]
    report = make(source, places).run()
    assert report.outcome == "succeeded"
    assert [one.outcome for one in report.destinations] == ["succeeded"] * 3
    assert [one.location for one in report.destinations] == [place.location for place in places]
    assert source.walks == 1
    assert source.reads == [*FILES]
    assert (report.entries, report.read) == (3, sum(map(len, FILES.values())))
    archives = [[*place.folder.rglob("*.zip")] for place in places]
    assert len({archive.read_bytes() for (archive,) in archives}) == 1
    assert report.written == sum(archive.stat().st_size for (archive,) in archives)
    for place in places:
        assert content(open_repository(place)) == FILES


@pytest.mark.parametrize("after", [0, MiB, 1 << 40], ids=["at the start", "in the middle", "on committing"])
@pytest.mark.parametrize("bad", [0, 1, 2])
def test_one_that_fails_leaves_the_others_whole_and_the_run_incomplete(
    make: Make, source: Scripted, after: int, bad: int
) -> None:
    inner = [MemoryDestination(name) for name in ("one", "two", "three")]
    fault = write_fault(down(retryable=False), after=after)
    destinations: list[object] = [*inner]
    destinations[bad] = FaultyDestination(inner[bad], [fault])
    report = make(source, destinations).run()
    assert report.outcome == "incomplete"
    for number, (one, result) in enumerate(zip(inner, report.destinations, strict=True)):
        if number == bad:
            assert (result.outcome, result.backup) == ("failed", None)
            assert messages(result.problems) == ["The cable was cut."]
            assert one.objects == {}
        else:
            assert (result.outcome, result.problems) == ("succeeded", ())
            assert result.backup is not None
            assert result.backup.location == one.location
            assert content(open_repository(one)) == FILES
    assert messages(report.problems) == ["The cable was cut."]
    assert source.reads == [*FILES]


def test_one_that_fails_after_its_archive_has_it_unconfirmed(make: Make, source: Scripted) -> None:
    whole, cut = MemoryDestination("whole"), MemoryDestination("cut")
    summary = write_fault(down(retryable=False), call=2)
    pipeline = make(source, [whole, FaultyDestination(cut, [summary])])
    assert [one.outcome for one in pipeline.run().destinations] == ["succeeded", "failed"]
    at_whole, at_cut = (next(iter(open_repository(one).list().backups)) for one in (whole, cut))
    assert at_whole.good
    assert (at_cut.complete, at_cut.good) == (None, False)
    assert pipeline.get() == at_whole


@pytest.mark.parametrize("missing", [0, 1])
def test_a_missing_folder_is_that_destinations_own_trouble(
    make: Make, source: Scripted, tmp_path: Path, missing: int
) -> None:
    places = [tmp_path / "one", tmp_path / "two"]
    places[1 - missing].mkdir()
    report = make(source, places).run()
    assert report.outcome == "incomplete"
    assert report.destinations[missing].outcome == "failed"
    assert report.destinations[1 - missing].outcome == "succeeded"
    assert "does not exist: mount it or create it" in messages(report.problems)[0]
    assert content(open_repository(places[1 - missing])) == FILES


def test_a_place_that_is_no_folder_is_that_destinations_own_trouble(
    make: Make, source: Scripted, tmp_path: Path
) -> None:
    (tmp_path / "one").write_text("a file")
    report = make(source, [tmp_path / "one", stored(tmp_path / "two")]).run()
    assert [one.outcome for one in report.destinations] == ["failed", "succeeded"]
    assert (tmp_path / "one").read_text() == "a file"


def test_a_disk_that_is_mounted_read_only_is_that_destinations_own_trouble(
    make: Make, source: Scripted, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", f"size={MiB}") as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        report = make(source, [disk, stored(tmp_path / "open")]).run()
    assert [one.outcome for one in report.destinations] == ["failed", "succeeded"]
    assert "the file system is read-only: mount it writable" in messages(report.problems)[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_that_destinations_own_trouble(
    make: Make, source: Scripted, tmp_path: Path
) -> None:
    places = [stored(tmp_path / name) for name in ("closed", "open")]
    places[0].folder.chmod(0o500)
    report = make(source, places).run()
    assert [one.outcome for one in report.destinations] == ["failed", "succeeded"]
    assert "permission denied" in messages(report.problems)[0]


def test_when_all_fail_the_run_fails_with_each_reason_and_a_report(make: Make, source: Scripted) -> None:
    inner = [MemoryDestination("one"), MemoryDestination("two")]
    errors = [
        DestinationError(f"{one.location} is down.", location=one.location, retryable=False) for one in inner
    ]
    faulty = [FaultyDestination(one, [write_fault(error)]) for one, error in zip(inner, errors, strict=True)]
    with pytest.raises(ExceptionGroup) as caught:
        make(source, faulty).run()
    assert caught.value.exceptions == tuple(errors)
    report = caught.value.report  # type: ignore[attr-defined]  # operations put it there
    assert report.outcome == "failed"
    assert messages(report.problems) == ["memory:one is down.", "memory:two is down."]
    assert [one.destination for one in report.problems] == ["memory:one", "memory:two"]
    assert errors[0].report == errors[1].report == report
    assert [one.objects for one in inner] == [{}, {}]


def test_when_the_only_one_fails_its_error_is_raised_itself(make: Make, source: Scripted) -> None:
    inner = MemoryDestination()
    error = down(retryable=False)
    with pytest.raises(DestinationError) as caught:
        make(source, FaultyDestination(inner, [write_fault(error)])).run()
    assert caught.value is error
    assert error.report is not None
    assert messages(error.report.problems) == ["The cable was cut."]
    assert inner.objects == {}


def test_one_that_failed_in_passing_gets_the_backup_from_one_that_did_not(
    make: Make, source: Scripted
) -> None:
    whole, late = MemoryDestination("whole"), MemoryDestination("late")
    events: list[Event] = []
    flaky_one = FaultyDestination(late, [write_fault(down(retryable=True), after=MiB)])
    pipeline = make(
        source,
        [flaky_one, whole],
        observers=[events.append],
        retry=Retry(tries=3, wait=0.001),
        encryptor=Passphrase("correct horse battery staple extra"),
    )
    report = pipeline.run(tags=["nightly"])
    assert (report.outcome, report.problems) == ("succeeded", ())
    assert source.reads == [*FILES]
    assert [event for event in events if isinstance(event, Waiting)] == [Waiting(0.001, "The cable was cut.")]
    assert [one.outcome for one in report.destinations] == ["succeeded", "succeeded"]
    copies = pipeline.list().backups
    assert len({copy.id for copy in copies}) == 1
    assert {copy.good for copy in copies} == {True}
    for copy in copies:
        assert content(pipeline, copy) == FILES
        assert pipeline.details(copy).tags == ("nightly",)
    assert (report.entries, report.read) == (3, sum(map(len, FILES.values())))
    assert pipeline.verify().outcome == "succeeded"


def test_a_copy_has_every_kind_of_entry_and_all_metadata(make: Make, tmp_path: Path) -> None:
    from backupkit.testing.trees import File, Hardlink, Symlink

    app = tree(
        tmp_path / "app",
        {
            "run.sh": File("#!/bin/sh\n", mode=0o755, modified_ns=1_500_000_000_123_456_789),
            "sparse": File({4 * MiB: b"end"}, size=9 * MiB),
            "folder": {"link": Symlink("../run.sh"), "again": Hardlink("run.sh")},
            "empty": {},
        },
    )
    whole, late = stored(tmp_path / "whole"), stored(tmp_path / "late")
    flaky_one = FaultyDestination(late, [write_fault(down(retryable=True))])
    assert make(Directory(app), [whole, flaky_one]).run().outcome == "succeeded"
    open_repository(late).restore(to=tmp_path / "restored")
    assert same_tree(app, tmp_path / "restored/app") == []


def test_what_a_run_lost_is_lost_in_the_copy_too(make: Make) -> None:
    source = Scripted("uploads", {"uploads/a": b"a", "uploads/b": [[SourceError("gone", path="uploads/b")]]})
    whole, late = MemoryDestination("whole"), MemoryDestination("late")
    faulty = FaultyDestination(late, [write_fault(down(retryable=True))])
    report = make(source, [whole, faulty]).run()
    assert report.outcome == "incomplete"
    assert [one.outcome for one in report.destinations] == ["incomplete", "incomplete"]
    assert messages(report.problems) == ["gone"]
    assert [one.complete for one in open_repository(late).list().backups] == [False]


def test_one_that_keeps_failing_in_passing_is_given_up_after_the_tries(make: Make, source: Scripted) -> None:
    whole, bad = MemoryDestination("whole"), MemoryDestination("bad")
    faulty = FaultyDestination(bad, [write_fault(down(retryable=True), call=None)])
    report = make(source, [whole, faulty], retry=Retry(tries=3, wait=0)).run()
    assert [one.outcome for one in report.destinations] == ["succeeded", "failed"]
    assert faulty.calls["write"] == 3
    assert source.reads == [*FILES]
    assert bad.objects == {}


def test_one_that_failed_for_good_is_not_tried_again(make: Make, source: Scripted) -> None:
    bad = MemoryDestination("bad")
    faulty = FaultyDestination(bad, [write_fault(down(retryable=False))])
    make(source, [MemoryDestination(), faulty]).run()
    assert faulty.calls["write"] == 1


def test_one_that_fails_with_something_unheard_of_does_not_fail_the_others(
    make: Make, source: Scripted
) -> None:
    for faults in (
        [write_fault(RuntimeError("a mistake in an adapter"))],
        [write_fault(down(retryable=True)), write_fault(RuntimeError("a mistake"), call=2)],
    ):
        whole = MemoryDestination("whole")
        report = make(source, [whole, FaultyDestination(MemoryDestination("bad"), faults)]).run()
        assert [one.outcome for one in report.destinations] == ["succeeded", "failed"]
        assert "RuntimeError" in messages(report.problems)[0]
        assert content(open_repository(whole)) == FILES


def test_when_all_failed_in_passing_the_whole_run_is_made_again(make: Make, source: Scripted) -> None:
    inner = [MemoryDestination("one"), MemoryDestination("two")]
    faulty = [FaultyDestination(one, [write_fault(down(retryable=True), after=MiB)]) for one in inner]
    report = make(source, faulty).run()
    assert (report.outcome, report.problems) == ("succeeded", ())
    assert source.walks == 2
    assert (report.entries, report.read) == (3, sum(map(len, FILES.values())))
    for one in inner:
        assert len(one.objects) == 2
        assert content(open_repository(one)) == FILES


def test_when_one_of_all_failed_for_good_the_run_is_made_again_for_the_other(
    make: Make, source: Scripted
) -> None:
    one, two = MemoryDestination("one"), MemoryDestination("two")
    faulty = [
        FaultyDestination(one, [write_fault(down(retryable=True))]),
        FaultyDestination(two, [write_fault(down(retryable=False), call=None)]),
    ]
    report = make(source, faulty).run()
    assert [result.outcome for result in report.destinations] == ["succeeded", "failed"]


def test_a_run_may_go_to_one_of_them(make: Make, source: Scripted, tmp_path: Path) -> None:
    one, two = stored(tmp_path / "one"), stored(tmp_path / "two")
    pipeline = make(source, [one, two])
    for number, to in enumerate((two.location, str(two.folder)), start=1):
        report = pipeline.run(to=to)
        assert [result.location for result in report.destinations] == [two.location]
        assert names(one.folder) == []
        assert len(names(two.folder)) == 2 * number


def test_a_run_to_a_place_that_is_not_among_them_is_refused(
    make: Make, source: Scripted, tmp_path: Path
) -> None:
    pipeline = make(source, stored(tmp_path / "one"))
    for to in (str(tmp_path / "two"), "s3://bucket"):
        with pytest.raises(ConfigurationError):
            pipeline.run(to=to)
    assert source.walks == 0


def test_a_flaky_source_and_a_flaky_destination_together_lose_nothing(make: Make) -> None:
    source = Scripted(
        "dumps", {"db-dumps/shop.sql": [[b"half", flaky()], [b"whole"]], "db-dumps/b.sql": b"b"}
    )
    whole, late = MemoryDestination("whole"), MemoryDestination("late")
    faulty = FaultyDestination(late, [write_fault(down(retryable=True))])
    assert make(source, [faulty, whole]).run().outcome == "succeeded"
    assert content(open_repository(late)) == {"db-dumps/shop.sql": b"whole", "db-dumps/b.sql": b"b"}
    assert source.reads == ["db-dumps/shop.sql", "db-dumps/shop.sql", "db-dumps/b.sql"]


def test_an_only_destination_that_keeps_less_than_it_was_given_fails_the_run(make: Make) -> None:
    inner = MemoryDestination()
    lying = FaultyDestination(inner, [write_fault(lambda: None, after=MiB)])
    with pytest.raises(DestinationError):
        make(Scripted("uploads", FILES), lying).run()
    assert inner.objects == {}


def test_one_of_several_that_keeps_less_than_it_was_given_has_failed(make: Make, source: Scripted) -> None:
    whole, inner = MemoryDestination("whole"), MemoryDestination("lying")
    lying = FaultyDestination(inner, [write_fault(lambda: None, after=MiB)])
    report = make(source, [whole, lying]).run()
    assert [one.outcome for one in report.destinations] == ["succeeded", "failed"]
    assert "it is broken, do not trust it" in messages(report.problems)[0]
    assert inner.objects == {}


class OneWay:
    """Encrypts as a whole, and cannot decrypt: that takes a key which is kept elsewhere."""

    scheme = "one-way"

    def encrypt(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        return (bytes(255 - byte for byte in chunk) for chunk in chunks)

    def decrypt(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        raise WrongPassphraseError("The key is kept elsewhere.")


def test_a_machine_that_cannot_decrypt_what_it_writes_can_still_copy_it(make: Make) -> None:
    source = Scripted("uploads", {"uploads/a": b"a"})
    whole, late = MemoryDestination("whole"), MemoryDestination("late")
    faulty = FaultyDestination(late, [write_fault(down(retryable=True))])
    report = make(source, [whole, faulty], encryptor=OneWay()).run()
    assert [one.outcome for one in report.destinations] == ["succeeded", "succeeded"]
    assert late.objects == whole.objects


@pytest.mark.parametrize("answer_lost", [True, False])
def test_one_that_failed_after_its_archive_is_only_given_what_it_lacks(
    make: Make, source: Scripted, answer_lost: bool
) -> None:
    whole, late = MemoryDestination("whole"), MemoryDestination("late")
    summary = write_fault(down(retryable=True), call=2, answer_lost=answer_lost)
    pipeline = make(source, [whole, FaultyDestination(late, [summary])])
    report = pipeline.run()
    assert [one.outcome for one in report.destinations] == ["succeeded", "succeeded"]
    assert late.objects == whole.objects
    assert len(late.objects) == 2


def test_a_copy_that_was_read_short_is_not_taken_for_a_backup(make: Make, source: Scripted) -> None:
    late = MemoryDestination("late")
    short = FaultyDestination(MemoryDestination("whole"), [Fault(method="read", does=None, after=MiB)])
    faulty = FaultyDestination(late, [write_fault(down(retryable=True))])
    report = make(source, [short, faulty]).run()
    assert [one.outcome for one in report.destinations] == ["succeeded", "failed"]
    assert late.objects == {}


def test_one_that_hangs_keeps_nobody_from_looking_at_the_others(
    make: Make, source: Scripted, tmp_path: Path
) -> None:
    """As a network mount does whose server has gone: nothing in this process ends that call."""
    goes_on = threading.Event()
    hangs = FaultyDestination(MemoryDestination("hung"), [Fault(method="list", does=goes_on.wait, call=None)])
    whole = MemoryDestination("whole")
    make(source, whole).run()
    pipeline = make(source, [hangs, whole], stall_limit=timedelta(seconds=0.2), checks=[])
    try:
        for report in (pipeline.monitor(), pipeline.clean()):
            assert [one.outcome for one in report.destinations] == ["failed", "succeeded"]
            assert "did not answer within 0.2 seconds" in messages(report.problems)[0]
        listing = pipeline.list()
        assert (len(listing.backups), len(listing.problems)) == (1, 1)
        assert pipeline.verify().destinations[-1].outcome == "succeeded"
        assert pipeline.restore(to=tmp_path / "restored").outcome == "succeeded"
    finally:
        goes_on.set()


def test_a_run_that_failed_everywhere_reports_each_destination(make: Make, source: Scripted) -> None:
    places = [
        FaultyDestination(MemoryDestination(name), [write_fault(down(retryable=False))])
        for name in ("one", "two")
    ]
    with pytest.raises(ExceptionGroup) as raised:
        make(source, places).run()
    report: Report = raised.value.report  # type: ignore[attr-defined]  # as every error of an operation
    assert [(one.location, one.outcome) for one in report.destinations] == [
        ("memory:one", "failed"),
        ("memory:two", "failed"),
    ]


def test_what_an_attempt_found_that_was_made_again_as_a_whole_is_forgotten(make: Make) -> None:
    source = Scripted(
        "uploads", {"uploads/a": b"a", "uploads/b": Problem(message="b was away the first time")}
    )
    place = FaultyDestination(MemoryDestination(), [write_fault(down(retryable=True))])
    report = make(source, place).run()
    assert (report.outcome, report.problems, report.entries) == ("succeeded", (), 1)


def test_a_problem_of_a_source_that_is_read_again_is_told_once(make: Make) -> None:
    class Doubtful:
        name, walks = "doubtful", 0
        contents: Contents = "files"

        def entries(self) -> Iterator[Entry | Problem]:
            self.walks += 1
            yield Problem(message="half of it is missing")
            if self.walks == 1:
                raise SourceError("try again", path="doubtful", retryable=True)
            yield Entry(path="doubtful/a")

    memory = MemoryDestination()
    report = make(Doubtful(), memory).run()
    assert messages(report.problems) == ["half of it is missing"]
    summary = next(text for name, text in memory.objects.items() if name.endswith(".json"))
    assert json.loads(summary)["problems"] == 1
