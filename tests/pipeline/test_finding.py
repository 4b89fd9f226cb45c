"""Which backup is meant: lists, ids and their beginnings, and what "latest" is."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from backupkit import (
    Backup,
    BackupNotFoundError,
    BackupPipeline,
    Backups,
    ConfigurationError,
    DestinationError,
    IntegrityError,
    Passphrase,
    RepositoryNotFoundError,
    SourceError,
    open_repository,
)
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination
from tests.pipeline.shop import Clock, Make, Scripted, content, down, messages, stored

FILES = Scripted("app", {"app/a": b"a"})
DUMPS = Scripted("dumps", {"db-dumps/a": b"dump"}, "databases")
LOSSY = Scripted("app", {"app/a": b"a", "app/b": [[SourceError("lost", path="app/b")]]})


@pytest.fixture
def pipeline(make: Make, destination: MemoryDestination, clock: Clock) -> BackupPipeline:
    return make([FILES, DUMPS], destination, clock=clock)


def run(pipeline: BackupPipeline, clock: Clock, *, incomplete: bool = False, **options: object) -> Backup:
    """Make a backup an hour after the last one."""
    clock.forward(hours=1)
    sources = pipeline.sources
    if incomplete:
        pipeline.sources = (LOSSY, DUMPS)
    report = pipeline.run(**options)  # type: ignore[arg-type]  # whatever a run takes
    pipeline.sources = sources
    (result,) = report.destinations
    assert result.backup is not None
    return pipeline.list().backups[0]


# Lists


def test_a_list_is_newest_first_and_knows_what_names_tell(pipeline: BackupPipeline, clock: Clock) -> None:
    made = [
        run(pipeline, clock),
        run(pipeline, clock, only="databases"),
        run(pipeline, clock, only="files"),
        run(pipeline, clock, incomplete=True),
    ]
    listing = pipeline.list()
    assert listing.problems == ()
    assert [one.id for one in listing.backups] == [one.id for one in reversed(made)]
    assert [one.id for one in listing.backups] == [
        "2026-11-23T07-00-00.000000Z",
        "2026-11-23T06-00-00.000000Z-files",
        "2026-11-23T05-00-00.000000Z-databases",
        "2026-11-23T04-00-00.000000Z",
    ]
    assert [one.complete for one in listing.backups] == [False, True, True, True]
    assert [one.contents for one in listing.backups] == [
        {"files", "databases"},
        {"files"},
        {"databases"},
        {"files", "databases"},
    ]


def test_a_list_reads_no_object(make: Make, destination: MemoryDestination) -> None:
    make([FILES, DUMPS], destination).run()
    faulty = FaultyDestination(destination)
    backups = Backups(None, faulty, encryptor=None)
    assert len(backups.list().backups) == 1
    assert faulty.calls["read"] == 0
    assert faulty.calls["list"] == 2, "one for the backups, one for what is known about them"


def test_what_a_list_cannot_know_comes_with_the_details(pipeline: BackupPipeline, clock: Clock) -> None:
    backup = run(pipeline, clock, tags=["nightly", "before the move"])
    assert (backup.entries, backup.size, backup.host, backup.tags) == (None, None, None, None)
    details = pipeline.details(backup)
    assert (details.entries, details.size, details.tags) == (2, 5, ("nightly", "before the move"))
    assert details.host


def test_a_destination_that_does_not_answer_is_a_problem_of_the_list(
    make: Make, destination: MemoryDestination
) -> None:
    dead = FaultyDestination(
        MemoryDestination("dead"), [Fault(method="list", does=down(retryable=True), call=None)]
    )
    make(FILES, destination).run()
    pipeline = make(FILES, [dead, destination])
    listing = pipeline.list()
    assert [one.location for one in listing.backups] == ["memory:memory"]
    assert [(one.message, one.destination) for one in listing.problems] == [
        ("The cable was cut.", "memory:dead")
    ]
    assert pipeline.get().location == "memory:memory"


def test_two_runs_at_the_same_moment_are_two_backups(pipeline: BackupPipeline) -> None:
    for _ in range(3):
        pipeline.run()
    assert [one.id[-8:] for one in pipeline.list().backups] == [".000002Z", ".000001Z", ".000000Z"]


# Latest


def test_the_latest_is_the_newest_of_several(pipeline: BackupPipeline, clock: Clock) -> None:
    run(pipeline, clock)
    newest = run(pipeline, clock)
    assert pipeline.get() == newest


def test_a_newer_one_that_holds_less_is_not_the_latest(pipeline: BackupPipeline, clock: Clock) -> None:
    full = run(pipeline, clock)
    run(pipeline, clock, only="databases")
    run(pipeline, clock, only="files")
    assert pipeline.get() == full


def test_the_latest_of_some_contents_may_hold_more(pipeline: BackupPipeline, clock: Clock) -> None:
    databases = run(pipeline, clock, only="databases")
    full = run(pipeline, clock)
    files = run(pipeline, clock, only="files")
    assert pipeline.get(only="databases") == full
    assert pipeline.get(only="files") == files
    newer = run(pipeline, clock, only="databases")
    assert pipeline.get(only="databases") == newer
    assert databases.good


def test_an_incomplete_one_is_not_the_latest(pipeline: BackupPipeline, clock: Clock) -> None:
    good = run(pipeline, clock)
    run(pipeline, clock, incomplete=True)
    assert pipeline.get() == good


def test_an_unconfirmed_one_is_not_the_latest(
    pipeline: BackupPipeline, clock: Clock, destination: MemoryDestination
) -> None:
    good = run(pipeline, clock)
    unconfirmed = run(pipeline, clock)
    destination.delete(f"shop/{unconfirmed.id}.complete.json")
    assert pipeline.get() == good


def test_a_damaged_one_is_not_the_latest(
    pipeline: BackupPipeline, clock: Clock, destination: MemoryDestination
) -> None:
    good = run(pipeline, clock)
    damaged = run(pipeline, clock)
    archive = f"shop/{damaged.id}.zip"
    destination.objects[archive] = destination.objects[archive][:-1]
    with pytest.raises(IntegrityError):
        pipeline.verify(damaged)
    assert pipeline.get() == good


def test_without_a_good_one_there_is_no_latest_and_the_newest_is_named(
    pipeline: BackupPipeline, clock: Clock
) -> None:
    with pytest.raises(BackupNotFoundError, match="There is no backup 'latest' at memory:memory"):
        pipeline.get()
    incomplete = run(pipeline, clock, incomplete=True)
    with pytest.raises(BackupNotFoundError, match=f"The newest is {incomplete.id}: name it to use it"):
        pipeline.get()
    run(pipeline, clock, only="databases")
    with pytest.raises(BackupNotFoundError, match="say only= to want less"):
        pipeline.get()


def test_the_latest_is_the_newest_of_all_destinations_unless_one_is_named(make: Make, clock: Clock) -> None:
    one, two = MemoryDestination("one"), MemoryDestination("two")
    pipeline = make([FILES, DUMPS], [one, two], clock=clock)
    pipeline.run()
    assert pipeline.get().location == "memory:one"
    clock.forward(hours=1)
    pipeline.run(to="memory:two")
    assert pipeline.get().location == "memory:two"
    assert pipeline.get(at="memory:one").time < clock.now
    with pytest.raises(ConfigurationError, match=r"There is no destination .*/three.*memory:one, memory:two"):
        pipeline.get(at="/three")


def test_without_a_pipeline_the_latest_holds_all_that_any_backup_holds(
    pipeline: BackupPipeline, clock: Clock, destination: MemoryDestination
) -> None:
    run(pipeline, clock, only="files")
    backups = open_repository(destination)
    assert backups.get().contents == {"files"}
    full = run(pipeline, clock)
    run(pipeline, clock, only="files")
    assert backups.get() == full


# Ids


def test_the_beginning_of_an_id_is_enough_if_it_is_the_beginning_of_one(
    pipeline: BackupPipeline, clock: Clock
) -> None:
    early, late = run(pipeline, clock), run(pipeline, clock)
    assert pipeline.get(early.id) == early
    assert pipeline.get("2026-11-23T05") == late
    with pytest.raises(BackupNotFoundError, match=r"is the beginning of several backups \(.*\): say more"):
        pipeline.get("2026-11-23")


def test_several_backups_that_an_id_may_mean_are_named_once_wherever_they_are(
    make: Make, destination: MemoryDestination, clock: Clock
) -> None:
    pipeline = make([FILES], [destination, MemoryDestination("memory://b")], clock=clock)
    for _ in range(2):
        clock.forward(hours=1)
        pipeline.run()
    late, _, early, _ = pipeline.list().backups
    with pytest.raises(BackupNotFoundError) as caught:
        pipeline.get("2026-11-23")
    assert f"({late.id}, {early.id})" in str(caught.value)


def test_a_whole_id_is_no_beginning(pipeline: BackupPipeline) -> None:
    pipeline.run()
    pipeline.run(only="databases")
    full = pipeline.get()
    assert pipeline.get(full.id) == full
    assert pipeline.get(f"{full.id}-databases").contents == {"databases"}


def test_a_backup_that_is_not_good_can_be_named(pipeline: BackupPipeline, clock: Clock) -> None:
    incomplete = run(pipeline, clock, incomplete=True)
    assert pipeline.get(incomplete.id) == incomplete


def test_one_backup_at_two_destinations_is_not_ambiguous(make: Make) -> None:
    pipeline = make(FILES, [MemoryDestination("one"), MemoryDestination("two")])
    pipeline.run()
    id_ = pipeline.get().id
    assert pipeline.get(id_[:10]).location == "memory:one"
    assert pipeline.get(id_, at="memory:two").location == "memory:two"


def test_an_unknown_id_is_an_error_that_says_where_it_was_looked_for(pipeline: BackupPipeline) -> None:
    pipeline.run()
    with pytest.raises(BackupNotFoundError, match=r"There is no backup '1999' at memory:memory: list"):
        pipeline.get("1999")


def test_an_unknown_id_may_be_where_nobody_answers(make: Make, destination: MemoryDestination) -> None:
    dead = FaultyDestination(
        MemoryDestination("dead"), [Fault(method="list", does=down(retryable=True), call=None)]
    )
    with pytest.raises(BackupNotFoundError, match=r"not every destination answered: The cable was cut"):
        make(FILES, [destination, dead]).get("2026")


def test_only_the_pipelines_own_backups_are_found(
    make: Make, pipeline: BackupPipeline, destination: MemoryDestination
) -> None:
    pipeline.run()
    own = pipeline.list().backups
    for name in ("shop-2", "sho", "SHOP"):
        other = make(FILES, destination, name=name)
        assert other.list().backups == ()
        other.run()
        assert [one.name for one in other.list().backups] == [name]
    assert pipeline.list().backups == own
    assert {one.name for one in open_repository(destination).list().backups} == {
        "shop",
        "shop-2",
        "sho",
        "SHOP",
    }
    assert {one.name for one in open_repository(destination, name="sho").list().backups} == {"sho"}


def test_a_backup_of_another_place_is_refused(pipeline: BackupPipeline, make: Make) -> None:
    pipeline.run()
    elsewhere = make(FILES, MemoryDestination("elsewhere"))
    with pytest.raises(ConfigurationError, match="is at memory:memory, which is none of memory:elsewhere"):
        elsewhere.details(pipeline.get())


# Looking inside


def test_an_entry_is_opened_as_a_file_and_streamed(make: Make) -> None:
    lines = b"".join(b"line %d\n" % number for number in range(500_000))
    pipeline = make(Scripted("app", {"app/a": b"a", "app/lines": lines}), MemoryDestination())
    pipeline.run()
    with pipeline.open("latest", "app/lines") as file:
        assert isinstance(file, io.BufferedReader)
        assert (file.readable(), file.writable(), file.seekable()) == (True, False, False)
        assert file.read(7) == b"line 0\n"
        assert file.readline() == b"line 1\n"
        assert file.peek(4)[:4] == b"line"
        assert b"line 0\nline 1\n" + file.read() == lines
        assert file.read() == b""
    assert file.closed
    with pipeline.open("latest", "app/lines") as file:
        assert file.read(1) == b"l"
    with pipeline.open("latest", "app/a") as file, io.TextIOWrapper(file) as text:
        assert text.read() == "a"


def test_opening_what_is_not_there_is_an_error(pipeline: BackupPipeline) -> None:
    pipeline.run()
    with pytest.raises(BackupNotFoundError, match="holds no file 'app/missing': look at its entries"):
        pipeline.open("latest", "app/missing")


def test_a_damaged_entry_is_noticed_while_it_is_read(make: Make, destination: MemoryDestination) -> None:
    pipeline = make(Scripted("app", {"app/a": b"the one and only content"}), destination)
    pipeline.run()
    name = next(one for one in destination.objects if one.endswith(".zip"))
    destination.objects[name] = destination.objects[name].replace(b"only", b"ONLY")
    with pipeline.open("latest", "app/a") as file, pytest.raises(IntegrityError):
        file.read()


def test_the_entries_can_be_left_half_way(pipeline: BackupPipeline) -> None:
    pipeline.run()
    entries = pipeline.entries()
    assert next(entries).path == "app/a"
    entries.close()  # type: ignore[attr-defined]  # it is a generator


# A place and a passphrase


def test_a_place_without_backups_says_so(tmp_path: Path) -> None:
    with pytest.raises(RepositoryNotFoundError, match=r"There are no backups at file:///.*: give the folder"):
        open_repository(tmp_path)
    with pytest.raises(RepositoryNotFoundError, match="does not exist: mount it"):
        open_repository(tmp_path / "missing")
    with pytest.raises(RepositoryNotFoundError, match="There are no backups of blog"):
        open_repository(MemoryDestination(), name="blog")


def test_a_place_is_listed_once_to_open_it(pipeline: BackupPipeline, destination: MemoryDestination) -> None:
    pipeline.run()
    asked = FaultyDestination(destination)
    open_repository(asked)
    assert asked.calls["list"] == 3, (
        "one for the format, one for the backups, one for what is known about them"
    )


def test_a_pipelines_own_folder_is_a_place_too_and_its_marks_are_known(make: Make, tmp_path: Path) -> None:
    place = stored(tmp_path / "my backups")
    make(FILES, place).run()
    within = open_repository(place.folder / "shop")
    assert within.name == "shop"
    within.verify()
    assert within.get().verified is not None
    assert open_repository(place.folder / "shop/").get() == within.get() == open_repository(place).get()


def test_the_passphrase_may_be_a_text_or_an_object(make: Make, destination: MemoryDestination) -> None:
    make(FILES, destination, encryptor=Passphrase("correct horse battery staple extra")).run()
    for passphrase in (
        "correct horse battery staple extra",
        Passphrase("correct horse battery staple extra"),
    ):
        assert content(open_repository(destination, passphrase)) == {"app/a": b"a"}


def test_a_place_that_does_not_answer_is_told_as_what_it_is(destination: MemoryDestination) -> None:
    dead = FaultyDestination(destination, [Fault(method="list", does=down(retryable=True), call=None)])
    with pytest.raises((RepositoryNotFoundError, DestinationError), match="The cable was cut"):
        open_repository(dead)
    assert messages(Backups(None, dead, encryptor=None).list().problems) == ["The cable was cut."]
