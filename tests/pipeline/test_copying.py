"""Copying: what becomes of a backup elsewhere, in either format, and of what goes wrong on the way."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from os import urandom
from pathlib import Path

import pytest

from backupkit import (
    BackupNotFoundError,
    BackupPipeline,
    Backups,
    ConfigurationError,
    DestinationError,
    Directory,
    Entry,
    IntegrityError,
    OperationCancelledError,
    Passphrase,
    Problem,
    Retry,
    TieredRetention,
    WrongPassphraseError,
    Zip,
)
from backupkit._finding import to_be_copied, unreadable_ones
from backupkit.events import BytesRead, Event
from backupkit.formats.restic.objects import Objects
from backupkit.formats.restic.opened import open_existing
from backupkit.marks import write_mark
from backupkit.model import Backup, Contents
from backupkit.protocols import Destination, Format
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination
from backupkit.testing.trees import File, Folder, Hardlink, Symlink, same_tree, tree
from tests.formats.restic.snapshots_made import spoil_tree
from tests.formats.zip.foreign_archives import SECRET, by_pyzipper
from tests.impatience import be_impatient
from tests.pipeline.shop import Clock, Make, MiB, Scripted, content, down, messages
from tests.pipeline.snapshots import FORMAT, PASSPHRASE, Failing

OTHER = Passphrase("lantern gravel mosaic thirteen pebble")
APP = Scripted("app", {"app/a": b"one of the files", "app/b": b"another one"})
KINDS = pytest.mark.parametrize("format", [Zip(), FORMAT], ids=["archives", "snapshots"])
WAYS = pytest.mark.parametrize(
    ("format", "to_format"),
    [(Zip(), Zip()), (Zip(), FORMAT), (FORMAT, Zip()), (FORMAT, FORMAT)],
    ids=["archives", "archives-to-snapshots", "snapshots-to-archives", "snapshots"],
)


class Counted:
    """A dump, of which the rows were counted."""

    name = "shop.sql"
    contents: Contents = "databases"

    def entries(self) -> Iterator[Entry]:
        rows: dict[str, int] = {}

        def chunks() -> Iterator[bytes]:
            yield b"insert into orders values (1);\n"
            rows["orders"] = 1

        yield Entry(path="db-dumps/shop.sql", mode=0o600, chunks=chunks, rows=rows)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    be_impatient(monkeypatch, settling=0)  # nobody else is there


@pytest.fixture
def shop(make: Make, destination: MemoryDestination, clock: Clock, format: Format) -> BackupPipeline:
    return make([APP, Counted()], destination, encryptor=PASSPHRASE, format=format, clock=clock)


def place(
    destination: Destination | Sequence[Destination] | None = None,
    format: Format = FORMAT,
    name: str | None = None,
) -> Backups:
    """Where copies go, under another passphrase; without a pipeline."""
    backups = Backups(name, destination or there(), encryptor=OTHER, format=format)
    backups.retry = Retry(tries=1)
    return backups


def there() -> MemoryDestination:
    """An empty one, which is not that of the fixture."""
    return MemoryDestination("there")


def ids(backups: Backups) -> list[str]:
    return [one.id for one in backups.list().backups]


# What a copy is


@WAYS
def test_a_copy_is_the_same_backup(shop: BackupPipeline, clock: Clock, to_format: Format) -> None:
    shop.run(tags=["before-upgrade"])
    original = shop.pin(reason="the audit", until=clock.now + timedelta(days=9))
    to = place(format=to_format)
    report = shop.copy(to=to)
    assert (report.operation, report.outcome, report.read > 0, report.written > 0) == (
        "copy",
        "succeeded",
        True,
        True,
    )
    (copy,) = to.list().backups
    assert (report.destinations[0].backup or copy).id == copy.id
    original, copy = shop.details(original), to.details(copy)
    for name in ("id", "name", "time", "contents", "complete", "entries", "size", "host", "tags", "pin"):
        if name != "entries" or shop.format.shares_bytes or not to_format.shares_bytes:
            assert getattr(copy, name) == getattr(original, name), name
    assert content(to) == content(shop)
    assert [one.rows for one in to.entries() if one.path == "db-dumps/shop.sql"] == [{"orders": 1}]
    assert to.verify().outcome == "succeeded"


def test_a_tree_goes_from_an_archive_to_a_snapshot_and_back_unchanged(make: Make, tmp_path: Path) -> None:
    made = tree(
        tmp_path / "shop",
        {
            "deep": Folder(
                entries={"er": {"small": File("s", mode=0o4751, modified_ns=17**15)}}, mode=0o2770
            ),
            "large": b"0123456789" * 300_000,
            "linked": File("linked", xattrs={"user.color": b"\0red"}),
            "once more": Hardlink("linked"),
            "to": Symlink("nowhere", modified_ns=10**18 + 7),
            "zzz \udcff": b"",
        },
    )
    first = make(Directory(made), MemoryDestination(), encryptor=PASSPHRASE)
    first.run()
    middle, last = place(), place(MemoryDestination("last"), Zip())
    first.copy(to=middle)
    middle.copy(to=last)
    assert [*last.entries()] == [*first.entries()]
    for number, backups in enumerate((first, middle, last)):
        out = tmp_path / f"restored {number}"
        assert backups.restore(to=out, setuid=True).outcome == "succeeded"
        assert same_tree(made, out / "shop") == []


@WAYS
def test_what_is_there_is_passed_over(shop: BackupPipeline, clock: Clock, to_format: Format) -> None:
    to = place(format=to_format)
    shop.run()
    assert shop.copy("all", to=to).skipped == 0
    clock.forward(hours=1)
    shop.run()
    report = shop.copy("all", to=to)
    assert (report.skipped, [one.backup and one.backup.id for one in report.destinations]) == (
        1,
        ids(shop)[:1],
    )
    before = {*objects(to)}
    assert (shop.copy("all", to=to).skipped, ids(to)) == (2, ids(shop))
    assert {*objects(to)} == before


def objects(backups: Backups) -> Iterator[str]:
    for destination in backups.destinations:
        yield from (one.name for one in destination.list())


@KINDS
def test_a_dry_run_says_what_would_be_copied(shop: BackupPipeline) -> None:
    shop.run()
    to = place()
    report = shop.copy("all", to=to, dry_run=True)
    assert (report.dry_run, [one.backup and one.backup.id for one in report.destinations]) == (
        True,
        ids(shop),
    )
    assert [*objects(to)] == []


def test_one_that_is_chosen_several_and_all_are_copied(make: Make, clock: Clock) -> None:
    shop = make(APP, MemoryDestination(), clock=clock)
    for _ in range(4):
        shop.run()
        clock.forward(hours=1)
    newest, third, second, oldest = ids(shop)
    to = place()
    shop.copy(oldest[:20], to=to)
    assert ids(to) == [oldest]
    shop.copy([shop.get(third), second], to=to)
    assert ids(to) == [third, second, oldest]
    shop.copy(to=to)
    assert ids(to) == [newest, third, second, oldest]


# What is not good stays so


@WAYS
def test_an_incomplete_backup_stays_incomplete(
    make: Make, destination: MemoryDestination, format: Format, to_format: Format
) -> None:
    losing = Scripted("losing", {"app/c": b"a third", "app/d": Problem(message="app/d is lost")})
    shop = make([APP, losing], destination, encryptor=PASSPHRASE, format=format)
    shop.run()
    to = place(format=to_format)
    report = shop.copy("all", to=to)
    assert [one.complete for one in to.list().backups] == [False]
    assert (report.outcome, messages(report.problems, "error")) == ("succeeded", [])


@WAYS
def test_a_damaged_backup_makes_no_good_one(shop: BackupPipeline, to_format: Format) -> None:
    shop.run()
    (backup,) = shop.list().backups
    write_mark(shop.destinations[0], backup, "damaged", backup.time)
    to = place(format=to_format)
    shop.copy("all", to=to)
    assert [one.good for one in to.list().backups] == [False]


@WAYS
@pytest.mark.parametrize("damaged", [False, True])
def test_marks_of_one_that_is_gone_are_not_those_of_the_copy(
    shop: BackupPipeline, to_format: Format, damaged: bool
) -> None:
    shop.run()
    backup = shop.pin(reason="the audit")
    if damaged:
        write_mark(shop.destinations[0], backup, "damaged", backup.time)
    to = place(format=to_format)
    write_mark(to.destinations[0], backup, "damaged", backup.time)
    shop.copy("all", to=to)
    (copy,) = to.list().backups
    assert (copy.good, copy.pin) == (not damaged, backup.pin)


@WAYS
def test_that_one_which_is_gone_was_refuted_says_nothing_of_the_copy(
    shop: BackupPipeline, to_format: Format
) -> None:
    shop.run()
    to = place(format=to_format)
    write_mark(to.destinations[0], backup := shop.get(), "refuted", backup.time)
    shop.copy("all", to=to)
    assert not to.get().refuted


@WAYS
def test_a_pin_that_was_made_since_comes_over_but_not_in_a_dry_run(
    shop: BackupPipeline, to_format: Format
) -> None:
    shop.run()
    to = place(format=to_format)
    shop.copy(to=to)
    shop.pin(reason="the audit")
    for dry_run, pinned in ((True, False), (False, True)):
        assert shop.copy(to=to, dry_run=dry_run).skipped == 1
        assert (to.get().pin is not None) == pinned


def test_an_unconfirmed_archive_makes_no_good_copy(make: Make, destination: MemoryDestination) -> None:
    shop = make(APP, destination, encryptor=PASSPHRASE)
    shop.run()
    (summary,) = [name for name in destination.objects if name.endswith(".json")]
    del destination.objects[summary]
    for to in (place(), place(format=Zip())):
        report = shop.copy("all", to=to)
        assert [one.complete for one in to.list().backups] == [False]
        assert "unconfirmed, and so is its copy" in messages(report.problems, "warning")[-1]


def test_what_of_a_snapshot_cannot_be_read_is_left_out_and_told(
    make: Make, destination: MemoryDestination
) -> None:
    files = {"app/deep/a": b"in the folder", "app/b": b"beside it"}
    shop = make(Scripted("app", files), destination, encryptor=PASSPHRASE, format=FORMAT)
    backup = shop.run().destinations[0].backup
    assert backup
    _spoil(destination, backup)
    for to in (place(), place(format=Zip())):
        report = shop.copy(to=to)
        assert (report.outcome, report.destinations[0].outcome) == ("incomplete", "incomplete")
        assert "'app/deep' cannot be read" in messages(report.problems, "error")[0]
        (copy,) = to.list().backups
        assert (copy.id, copy.complete) == (backup.id, False)
        assert content(to, copy) == {"app/b": b"beside it"}


def test_a_snapshot_that_may_be_the_pipelines_is_not_left_out_in_silence(
    make: Make, destination: MemoryDestination, clock: Clock
) -> None:
    shop = make(APP, destination, encryptor=PASSPHRASE, format=FORMAT, clock=clock)
    shop.run()
    first = {name for name in destination.objects if name.startswith("snapshots/")}
    clock.forward(hours=1)
    shop.run()
    for name in first:
        destination.objects[name] = b"no snapshot"
    for to in (place(), place(format=Zip())):
        report = shop.copy("all", to=to)
        assert (report.outcome, len(ids(to))) == ("incomplete", 1)
        assert "nobody knows whether it is one of shop" in messages(report.problems, "error")[0]


@pytest.fixture
def repaired(make: Make, destination: MemoryDestination, clock: Clock) -> BackupPipeline:
    """With a damaged backup, a pinned one that holds what is left of that, and a later one."""
    files = {"app/deep/a": b"in the folder", "app/b": b"beside it"}
    shop = make([Scripted("app", files)], destination, encryptor=PASSPHRASE, format=FORMAT, clock=clock)
    (result,) = shop.run().destinations
    assert result.backup
    _spoil(destination, result.backup)
    (one,) = shop.repair().destinations[0].repaired
    assert one.by
    shop.pin(one.by, reason="all that is left")
    clock.forward(hours=1)
    make(APP, destination, encryptor=PASSPHRASE, format=FORMAT, clock=clock).run()
    return shop


def test_a_damaged_snapshot_and_what_was_repaired_of_it_are_copied_beside_each_other(
    repaired: BackupPipeline,
) -> None:
    to = place()
    report = repaired.copy("all", to=to)
    found = {one.id: one for one in to.list().backups}
    assert {one.backup.id for one in report.destinations if one.backup} == {*found}
    newest, *others = sorted(found.values(), key=lambda one: (one.time, one.tags or ()), reverse=True)
    assert (newest.good, newest.pin) == (True, None)
    what_is_left, damaged = others
    assert damaged.id in ids(repaired)
    assert what_is_left.id.startswith(f"{damaged.id}-")
    assert [one.good for one in others] == [False, False]
    assert [content(to, one) for one in others] == [{"app/b": b"beside it"}] * 2
    assert (damaged.pin, what_is_left.pin and what_is_left.pin.reason) == (None, "all that is left")
    again = repaired.copy("all", to=to)
    assert (again.outcome, again.skipped, len(ids(to))) == ("succeeded", 3, 3)


def test_what_was_repaired_and_found_damaged_again_is_damaged_where_it_is_copied_to(
    repaired: BackupPipeline, destination: MemoryDestination, clock: Clock
) -> None:
    (pinned,) = [one for one in repaired.list().backups if one.pin]
    write_mark(destination, pinned, "damaged", clock.now)
    to = place()
    repaired.copy("all", to=to)
    assert [one.damaged for one in to.list().backups if one.pin] == [True]


def test_of_a_damaged_snapshot_and_what_was_repaired_of_it_one_becomes_an_archive_that_is_pinned(
    repaired: BackupPipeline,
) -> None:
    to = place(format=Zip())
    report = repaired.copy("all", to=to)
    assert any("which is there already" in one for one in messages(report.problems, "warning"))
    newest, older = to.list().backups
    assert (newest.good, older.good) == (True, False)
    assert content(to, older) == {"app/b": b"beside it"}
    assert older.pin
    assert older.pin.reason == "all that is left"
    assert repaired.copy("all", to=to).skipped == 3


def test_the_pin_of_what_was_repaired_comes_over_though_the_copying_was_interrupted(
    repaired: BackupPipeline,
) -> None:
    inner = there()
    (pinned,) = [one for one in repaired.list().backups if one.pin]
    with suppress(DestinationError):
        repaired.copy(pinned, to=place(Failing(inner, "backupkit/")))
    to = place(inner)
    assert [one.pin for one in to.list().backups] == [None]
    repaired.copy(pinned, to=to)
    assert [one.pin and one.pin.reason for one in to.list().backups] == ["all that is left"]


def _spoil(destination: MemoryDestination, backup: Backup) -> None:
    import tests.formats.restic.snapshots_made as made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made, "SECRET", PASSPHRASE)
        spoil_tree(destination, backup, "app/deep")


def test_what_of_an_archive_cannot_be_read_is_left_out_and_told(
    make: Make, destination: MemoryDestination
) -> None:
    shop = make(APP, destination)
    backup = shop.run().destinations[0].backup
    assert backup
    name = f"shop/{backup.id}.zip"
    archive = destination.objects[name]
    destination.objects[name] = _turned(archive, archive.index(b"another one"))
    to = place()
    report = shop.copy(to=to)
    assert report.outcome == "incomplete"
    (copy,) = to.list().backups
    assert (copy.complete, content(to, copy)) == (False, {"app/a": b"one of the files"})
    destination.objects[name] = archive  # put back from elsewhere
    assert "is incomplete, unlike that at" in messages(shop.copy(to=to).problems, "warning")[0]


def test_what_is_lost_is_told_though_the_answer_of_the_copy_was_lost(
    make: Make, destination: MemoryDestination
) -> None:
    shop = make(APP, destination)
    (name,) = (f"shop/{one.backup.id}.zip" for one in shop.run().destinations if one.backup)
    archive = destination.objects[name]
    destination.objects[name] = _turned(archive, archive.index(b"another one"))
    for call in (1, 2):
        fault = Fault(method="write", call=call, does=down(retryable=True), answer_lost=True)
        to = place(FaultyDestination(there(), [fault]), Zip())
        to.retry = Retry(wait=0)
        report = shop.copy(to=to)
        assert (report.outcome, [one.complete for one in to.list().backups]) == ("incomplete", [False])


def _turned(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@WAYS
def test_a_source_that_cannot_be_reached_makes_no_incomplete_copy(
    shop: BackupPipeline, destination: MemoryDestination, to_format: Format
) -> None:
    shop.run()
    counting = FaultyDestination(destination)
    Backups(None, counting, encryptor=PASSPHRASE, format=shop.format).copy(to=place(format=to_format))
    for call in range(1, counting.calls["read"] + 1):
        fault = Fault(method="read", call=call, does=down(retryable=False), lasting=True)
        reached = FaultyDestination(destination, [fault])
        to = place(format=to_format)
        with pytest.raises(Exception, match="cable was cut"):
            Backups(None, reached, encryptor=PASSPHRASE, format=shop.format).copy(to=to)
        assert to.list().backups == ()


def foreign(destination: MemoryDestination) -> str:
    """Make the only snapshot there one of restic's; what it is called."""
    repository = open_existing(Objects(destination), PASSPHRASE)
    (snapshot,) = repository.snapshots()
    fields = {**snapshot.fields, "tags": [], "hostname": "shop"}
    repository.save_snapshot(fields)
    repository.objects.delete("snapshots", snapshot.id)
    (one,) = repository.snapshots()
    return one.short


def test_what_restic_has_made_is_none_of_a_pipelines_and_stays_restics(
    make: Make, destination: MemoryDestination
) -> None:
    make(APP, destination, encryptor=PASSPHRASE, format=FORMAT).run()
    id = foreign(destination)
    shop = Backups("shop", destination, encryptor=PASSPHRASE, format=FORMAT)
    with pytest.raises(BackupNotFoundError, match="no backups of shop"):
        shop.copy("all", to=place())
    to = place()
    report = Backups(None, destination, encryptor=PASSPHRASE, format=FORMAT).copy("all", to=to)
    (copy,) = to.list().backups
    assert [one.backup and one.backup.id for one in report.destinations] == [copy.id]
    assert (copy.made_by, copy.id != id) == ("other", True)


def test_a_damaged_snapshot_of_restics_is_not_written_anew_and_makes_no_good_copy_damaged(
    make: Make, destination: MemoryDestination, clock: Clock
) -> None:
    files = {"app/deep/a": b"in the folder", "app/b": b"beside it"}
    make(Scripted("app", files), destination, encryptor=PASSPHRASE, format=FORMAT).run()
    foreign(destination)
    everything = Backups(None, destination, encryptor=PASSPHRASE, format=FORMAT)
    (backup,) = everything.list().backups
    _spoil(destination, backup)
    to = place()
    with pytest.raises(IntegrityError):
        everything.copy(backup, to=to)
    assert to.list().backups == ()


def test_what_was_found_damaged_since_it_was_copied_is_not_damaged_there(
    make: Make, destination: MemoryDestination, clock: Clock
) -> None:
    make(APP, destination, encryptor=PASSPHRASE, format=FORMAT).run()
    foreign(destination)
    everything = Backups(None, destination, encryptor=PASSPHRASE, format=FORMAT)
    everything.copy("all", to=(to := place()))
    write_mark(destination, everything.list().backups[0], "damaged", clock.now)
    assert everything.copy("all", to=to).skipped == 1
    assert [one.good for one in to.list().backups] == [True]


def _backup(name: str = "shop", **fields: object) -> Backup:
    values = {"id": "an id", "time": Clock().now, "contents": frozenset({"files"}), "location": "here"}
    return Backup(**{"name": name, "complete": True, "stored": 1} | values | fields)  # type: ignore[arg-type]


def test_of_several_copies_a_good_one_is_copied() -> None:
    good = _backup(location="there")
    for bad in (_backup(damaged=True), _backup(complete=False), _backup(complete=None)):
        for found in ([bad, good], [good, bad]):
            assert to_be_copied(found, name="shop", to=None, where="") == [good]


def test_only_what_cannot_be_read_may_be_the_pipelines_though_it_has_no_name() -> None:
    unread = _backup("unknown", made_by="other", damaged=True, complete=None)
    others = [_backup("host", made_by="other", damaged=True), _backup("blog", damaged=True)]
    assert len([*unreadable_ones([unread, *others], name="shop", to=None)]) == 1
    assert len([*unreadable_ones([unread, *others], name=None, to="shop")]) == 1
    assert [*unreadable_ones([unread], name=None, to=None)] == []


# What goes wrong


@WAYS
def test_a_copying_that_is_interrupted_anywhere_is_finished_by_the_next(
    shop: BackupPipeline, to_format: Format
) -> None:
    shop.run()
    shop.pin(reason="the audit")
    counting = FaultyDestination(there())
    shop.copy(to=place(counting, to_format))
    for call in range(1, counting.calls["write"] + 1):
        inner = there()
        fault = Fault(method="write", call=call, does=down(retryable=False), lasting=True)
        with suppress(DestinationError):
            shop.copy(to=place(FaultyDestination(inner, [fault]), to_format))
        to = place(inner, to_format)
        for one in to.list().backups:
            assert content(to, one) == content(shop), call
            assert one.pin, call
        assert shop.copy(to=to).outcome == "succeeded"
        (copy,) = to.list().backups
        assert (copy.id, copy.complete, content(to)) == (ids(shop)[0], True, content(shop)), call
        assert copy.pin, call


@KINDS
@pytest.mark.parametrize(
    "error", [down(retryable=False), ValueError("the cable was cut")], ids=["fails", "breaks"]
)
def test_each_destination_ends_by_itself(shop: BackupPipeline, error: Exception) -> None:
    shop.run()
    broken = FaultyDestination(MemoryDestination("broken"), [Fault(method="write", call=None, does=error)])
    good = MemoryDestination("good")
    report = shop.copy(to=place([broken, good]))
    assert [(one.location, one.outcome) for one in report.destinations] == [
        (broken.location, "failed"),
        (good.location, "succeeded"),
    ]
    assert report.outcome == "incomplete"
    with pytest.raises(DestinationError, match=r"cable was cut|is not one of its errors"):
        shop.copy(to=place(broken))


@KINDS
def test_a_destination_that_fails_in_passing_is_tried_again(make: Make, format: Format) -> None:
    shop = make(APP, MemoryDestination())
    shop.run()
    counting = FaultyDestination(there())
    first = shop.copy("all", to=place(counting, format))
    once = first.entries, first.read
    for call in range(1, counting.calls["write"] + 1):
        for lost in (False, True):
            fault = Fault(method="write", call=call, does=down(retryable=True), answer_lost=lost)
            to = place(FaultyDestination(there(), [fault]), format)
            to.retry = Retry(wait=0)
            report = shop.copy(to=to)
            assert (report.outcome, report.entries, report.read) == ("succeeded", *once), call
            assert ids(to) == ids(shop)


@WAYS
def test_cancelling_ends_it_and_leaves_nothing(shop: BackupPipeline, to_format: Format) -> None:
    shop.run()
    cancel = threading.Event()

    def hear(event: Event) -> None:
        if isinstance(event, BytesRead):
            cancel.set()

    shop.observers = (hear,)
    to = place(format=to_format)
    with pytest.raises(OperationCancelledError):
        shop.copy(to=to, cancel=cancel)
    assert to.list().backups == ()


def test_the_remains_of_a_removal_are_not_taken_for_the_copy(
    make: Make, destination: MemoryDestination
) -> None:
    shop = make(APP, destination)
    (id,) = [one.backup.id for one in shop.run().destinations if one.backup]
    other = there()
    other.write(f"shop/{id}.complete.json", [b"{}"])
    to = place(other, Zip())
    with pytest.raises(Exception, match=f"The name of {id} is taken"):
        shop.copy(to=to)
    assert to.list().backups == ()


class MemoryCopy(MemoryDestination):
    """Another place with the same objects."""

    def __init__(self, of: MemoryDestination) -> None:
        super().__init__("another")
        self.objects.update(of.objects)


def test_a_wrong_passphrase_is_told_as_such(make: Make, destination: MemoryDestination) -> None:
    make(APP, destination, encryptor=PASSPHRASE).run()
    with pytest.raises(WrongPassphraseError):
        Backups(None, destination, encryptor=OTHER).copy("all", to=place())
    to = there()
    make(APP, to, encryptor=PASSPHRASE, format=FORMAT).run()
    with pytest.raises(WrongPassphraseError):
        Backups(None, destination, encryptor=PASSPHRASE).copy("all", to=place(to))
    with pytest.raises(WrongPassphraseError):  # no group, by which nobody would see it
        Backups(None, destination, encryptor=PASSPHRASE).copy("all", to=place([to, MemoryCopy(to)]))


# Whose it is


def test_the_backups_of_a_pipeline_are_copied_to_one_of_its_name_alone(make: Make, clock: Clock) -> None:
    both = MemoryDestination()
    for name in ("shop", "blog"):
        make(APP, both, name=name, clock=clock).run()
    everything = Backups(None, both, encryptor=None)
    to = place(name="shop")
    everything.copy("all", to=to)
    assert {one.name for one in place(to.destinations).list().backups} == {"shop"}
    (blog,) = [one for one in everything.list().backups if one.name == "blog"]
    with pytest.raises(ConfigurationError, match="is one of blog"):
        everything.copy(blog, to=to)
    with pytest.raises(BackupNotFoundError, match="There are no backups of forum"):
        everything.copy("all", to=place(name="forum"))
    everything.copy("all", to=(to := place()))
    assert {one.name for one in to.list().backups} == {"shop", "blog"}


@KINDS
def test_a_place_that_has_the_backups_already_is_none_to_copy_to(shop: BackupPipeline) -> None:
    shop.run()
    with pytest.raises(ConfigurationError, match="say another place"):
        shop.copy(to=shop)


def test_one_destination_of_a_pipeline_gets_what_another_one_has(make: Make, clock: Clock) -> None:
    one, other = MemoryDestination("one"), MemoryDestination("other")
    make(APP, one, encryptor=PASSPHRASE, format=FORMAT, clock=clock).run()
    clock.forward(hours=1)
    both = make(APP, [one, other], encryptor=PASSPHRASE, format=FORMAT, clock=clock)
    both.run()
    clock.forward(hours=1)
    make(APP, other, encryptor=PASSPHRASE, format=FORMAT, clock=clock).run()
    both.copy("all", to=both)
    assert len(both.list().backups) == 6


@KINDS
def test_who_unpinned_the_copy_has_the_last_word(shop: BackupPipeline) -> None:
    shop.run()
    shop.pin(reason="the audit")
    to = place()
    shop.copy(to=to)
    to.unpin("latest")
    shop.copy(to=to)
    assert to.get().pin is None


def test_archives_of_laravel_backup_become_a_pipelines_snapshots(
    make: Make, destination: MemoryDestination
) -> None:
    destination.write("shop/2026-11-20-02-00-00.zip", [by_pyzipper()])
    shop = make(APP, destination, encryptor=Passphrase(SECRET), format=Zip(legacy_time_zone="Europe/Berlin"))
    to = place()
    for skipped in (0, 1):
        report = shop.copy("all", to=to)
        assert (report.skipped, messages(report.problems, "error")) == (skipped, [])
        assert not any("is there already" in one for one in messages(report.problems, "warning"))
        (copy,) = to.list().backups
        assert (copy.id, copy.name, copy.host) == ("2026-11-20T01-00-00.000000Z", "shop", "unknown")
        assert copy.complete is False  # nobody knows how its run ended
    assert content(to, copy) == content(shop, "2026-11-20-02-00-00")


# What the next run and the next cleaning make of it


def test_a_pipeline_that_moved_goes_on_and_cleans_what_it_brought_along(make: Make, tmp_path: Path) -> None:
    folder, clock = tree(tmp_path / "shop", {"a": urandom(MiB)}), Clock()
    policy = TieredRetention(keep_all_days=2, keep_daily_days=4, keep_weekly_weeks=0, keep_monthly_months=0)
    options = {"encryptor": PASSPHRASE, "retention": policy, "clock": clock}
    archives = make(Directory(folder), MemoryDestination(), **options)
    for _ in range(12):
        archives.run()
        clock.forward(hours=12)
    snapshots = make(Directory(folder), there(), format=FORMAT, **options)
    archives.copy("all", to=snapshots)
    for pipeline in (archives, snapshots):
        assert pipeline.run().read == MiB
    clock.forward(hours=12)
    for pipeline, read in ((archives, MiB), (snapshots, 0)):
        assert pipeline.run().read == read
    # Everything was read once more, as it stands in another place now, and nothing of it was stored again.
    assert sum(one.stored for one in snapshots.list().backups) < 1.1 * MiB
    plans = [pipeline.clean(dry_run=True).destinations[0].plan for pipeline in (archives, snapshots)]
    kept, likewise = ([one.backup.id for one in plan.keep] for plan in plans if plan)
    assert kept == likewise
    assert 4 < len(kept) < 13
    assert snapshots.clean().outcome == "succeeded"
    assert ids(snapshots) == sorted(kept, reverse=True)


def test_damage_of_an_archive_as_a_whole_keeps_the_others_from_nothing(
    make: Make, destination: MemoryDestination, clock: Clock
) -> None:
    shop = make(APP, destination, clock=clock)
    for _ in range(2):
        shop.run()
        clock.forward(hours=1)
    oldest = ids(shop)[-1]
    destination.objects[f"shop/{oldest}.zip"] = destination.objects[f"shop/{oldest}.zip"][:-1]
    to = place()
    report = shop.copy("all", to=to)
    assert (report.outcome, ids(to)) == ("incomplete", ids(shop)[:1])
    assert [one.outcome for one in report.destinations] == ["failed", "succeeded"]
    again = shop.copy("all", to=to)
    assert (again.outcome, again.skipped) == ("incomplete", 1)
    with pytest.raises(IntegrityError):
        shop.copy(oldest, to=place())
