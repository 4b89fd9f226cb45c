"""A file system that lives for long, while others run, remove, prune and damage."""

from __future__ import annotations

import errno
import multiprocessing
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from backupkit import (
    BackupPipeline,
    DestinationError,
    Directory,
    IntegrityError,
    MachineLock,
    ReadOnly,
    Restic,
    Zip,
)
from backupkit.browsing import BackupFileSystem
from backupkit.browsing import shelf as shelf_module
from backupkit.destinations.wrapping import Wrapping
from backupkit.model import Backup, StoredObject
from backupkit.protocols import Chunks
from backupkit.prune_limits import PruneLimits
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination
from tests.browsing.kept import LARGE, Kept, kept
from tests.pipeline.snapshots import PASSPHRASE
from tests.restics import client

MiB = 1 << 20
SNAPSHOTS = Restic(cache=False, workers=0)


class Noting(Wrapping):
    """What was read, written and listed."""

    def __init__(self, inner: MemoryDestination) -> None:
        super().__init__(inner)
        self.reads: list[str] = []
        self.writes: list[str] = []
        self.lists: list[str] = []

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        self.lists.append(prefix)
        return super().list(prefix)

    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        self.reads.append(name)
        return super().read(name, start=start, length=length)

    def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
        self.writes.append(name)
        return super().write(name, chunks, overwrite=overwrite)


@pytest.fixture(params=[Zip(), SNAPSHOTS], ids=["archive", "snapshot"])
def saved(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    return kept(tmp_path, request.param)


@pytest.fixture
def snapshot(tmp_path: Path) -> Kept:
    return kept(tmp_path, SNAPSHOTS, Noting(MemoryDestination()))


def test_the_latest_is_asked_for_again_when_told(saved: Kept, tmp_path: Path) -> None:
    fs = saved.pipeline.file_system()
    held = fs.open(f"{saved.latest}/large")
    (tmp_path / "app" / "large").write_bytes(b"changed")
    saved.pipeline.run()
    assert fs.cat_file(f"{saved.latest}/large") == LARGE
    assert len(BackupFileSystem(saved.pipeline).ls("")) == 3 > len(fs.ls(""))
    fs.ls("", refresh=True)
    assert fs.cat_file(f"{saved.latest}/large") == b"changed"
    fs.invalidate_cache()
    assert fs.cat_file(f"{saved.id}/{saved.app}/large") == LARGE
    assert held.read() == LARGE
    assert len(fs.ls("")) == 3


def test_and_after_a_while_by_itself(saved: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("backupkit.browsing.shelf.time.monotonic", lambda: now)
    fs = saved.pipeline.file_system()
    forever = BackupFileSystem(saved.pipeline, listings_expiry_time=None)
    never = BackupFileSystem(saved.pipeline, use_listings_cache=False)
    assert [len(one.ls("")) for one in (fs, forever, never)] == [2, 2, 2]
    saved.pipeline.run()
    now += 59
    assert [len(one.ls("")) for one in (fs, forever, never)] == [2, 2, 3]
    now += 2
    assert [len(one.ls("")) for one in (fs, forever, never)] == [3, 2, 3]


def test_the_repository_is_opened_and_its_index_read_once(snapshot: Kept) -> None:
    fs = snapshot.file_system()
    fs.cat_file(f"{snapshot.latest}/large", 0, 10)
    assert isinstance(snapshot.destination, Noting)
    snapshot.destination.reads.clear()
    fs.cat_file(f"{snapshot.id}/{snapshot.app}/folder/orders.csv")
    fs.find("latest")
    assert {name.partition("/")[0] for name in snapshot.destination.reads} == {"data"}


def test_nothing_is_locked_nor_written(snapshot: Kept) -> None:
    assert isinstance(snapshot.destination, Noting)
    snapshot.destination.writes.clear()
    fs = snapshot.file_system()
    with fs.open(f"{snapshot.latest}/large") as file:
        file.read(10)
        assert [*snapshot.destination.list("locks/")] == []
        assert file.read() == LARGE[10:]
    assert snapshot.destination.writes == []


def test_where_nothing_may_be_written_it_reads(saved: Kept) -> None:
    place = ReadOnly(saved.destination)
    format = saved.pipeline.format
    pipeline = BackupPipeline("shop", Directory("/srv"), place, encryptor=PASSPHRASE, format=format)
    assert pipeline.file_system().cat_file(f"{saved.latest}/large") == LARGE


def test_a_backup_that_was_removed_is_not_there(saved: Kept) -> None:
    fs, reading = (saved.pipeline.file_system() for _ in range(2))
    fs.ls(saved.latest)
    reading.info(f"{saved.id}/{saved.app}/large")
    file = fs.open(f"{saved.latest}/large", block_size=1)
    with saved.pipeline._repository_of(saved.pipeline.get()) as repository:
        repository.remove(saved.pipeline.get())
    for stored in [*saved.destination.list("data/")]:  # as a prune does
        saved.destination.delete(stored.name)
    with pytest.raises(FileNotFoundError):
        file.read(10)
    with pytest.raises(FileNotFoundError):
        fs.cat_file(f"{saved.id}/{saved.app}/large")
    assert not fs.exists(saved.id)
    with pytest.raises(FileNotFoundError):
        reading.cat_file(f"{saved.id}/{saved.app}/large")


def test_damage_is_damage_where_nobody_can_tell_whether_the_backup_is_there(
    snapshot: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    fs = snapshot.file_system()
    fs.ls(snapshot.latest)
    for stored in [*snapshot.destination.list("data/")]:
        snapshot.destination.delete(stored.name)

    def silent() -> None:
        raise DestinationError("the cable was cut", location="there")

    monkeypatch.setattr(fs._shelf, "_list", silent)
    with pytest.raises(IntegrityError):
        fs.cat_file(f"{snapshot.id}/{snapshot.app}/large")


def test_a_backup_that_was_removed_at_one_place_is_read_at_the_other(tmp_path: Path) -> None:
    places = MemoryDestination("one"), MemoryDestination("two")
    (tmp_path / "file").write_bytes(b"x")
    source = Directory(tmp_path)
    pipeline = BackupPipeline("shop", source, places, encryptor=PASSPHRASE, format=SNAPSHOTS)
    pipeline.run()
    fs = pipeline.file_system()
    backup = pipeline.get()
    path = f"{backup.id}{tmp_path}/file"
    assert fs.size(path) == 1
    with pipeline._repository_of(backup) as repository:
        repository.remove(backup)
    for stored in [*places[0].list("data/")]:
        places[0].delete(stored.name)
    with pytest.raises(FileNotFoundError):
        fs.cat_file(path)
    assert fs.cat_file(path) == b"x"


def test_a_pipe_has_no_content(snapshot: Kept, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "app" / "pipe")
    snapshot.pipeline.run()
    fs = snapshot.file_system()
    path = f"{snapshot.latest}/pipe"
    assert fs.info(path)["type"] == "other"
    with pytest.raises(OSError, match="a pipe or a device") as raised:
        fs.cat_file(path)
    assert raised.value.errno == errno.EINVAL
    with pytest.warns(UserWarning, match="neither a file nor a folder"):
        fs.get_file(path, str(tmp_path / "got"))


def test_an_empty_folder_of_an_archive_is_one(tmp_path: Path) -> None:
    (tmp_path / "app" / "empty").mkdir(parents=True)
    pipeline = BackupPipeline("shop", Directory(tmp_path / "app"), MemoryDestination(), encryptor=PASSPHRASE)
    pipeline.run()
    fs = pipeline.file_system()
    assert fs.ls("latest/app", detail=False) == ["latest/app/empty"]
    assert fs.ls("latest/app/empty") == []


def test_what_was_looked_into_last_stays_and_places_are_opened_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf_module, "_BROWSERS", 2)
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "file").write_bytes(b"x")
    pipeline = BackupPipeline("shop", Directory(tmp_path / "app"), MemoryDestination(), encryptor=PASSPHRASE)
    ids = [result.backup.id for _ in range(3) for result in pipeline.run().destinations if result.backup]
    fs = pipeline.file_system()
    opened = 0
    of = pipeline._repository_of

    def counted(backup: Backup, *others: Any) -> Any:
        nonlocal opened
        opened += 1
        return of(backup, *others)

    monkeypatch.setattr(pipeline, "_repository_of", counted)
    for id in (ids[0], ids[1], ids[0], ids[2]):
        fs._shelf.children(fs._shelf.backup(id), "")
        fs._shelf._browser(fs._shelf.backup(id))
    assert [key[2] for key in fs._shelf._browsers] == [ids[0], ids[2]]
    assert opened == 1


def test_of_archives_with_many_entries_fewer_are_kept_but_always_the_one_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf_module, "_WHOLE", 2)
    (tmp_path / "app").mkdir()
    for name in ("a", "b"):
        (tmp_path / "app" / name).write_bytes(b"x")
    pipeline = BackupPipeline("shop", Directory(tmp_path / "app"), MemoryDestination(), encryptor=PASSPHRASE)
    ids = [result.backup.id for _ in range(2) for result in pipeline.run().destinations if result.backup]
    shelf = pipeline.file_system()._shelf
    for id in ids:
        assert shelf.children(shelf.backup(id), "app").keys() == {"a", "b"}
    assert [key[2] for key in shelf._browsers] == [ids[1]]


def test_of_a_backup_that_is_known_nobody_is_asked_whether_it_is_there(
    snapshot: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    fs = snapshot.file_system()
    path = f"{snapshot.id}/{snapshot.app}/large"
    fs.cat_file(path)
    assert isinstance(snapshot.destination, Noting)
    snapshot.destination.lists.clear()
    fs.invalidate_cache()
    assert fs.cat_file(path) == LARGE
    assert snapshot.destination.lists == []


@pytest.mark.parametrize("whose", ["restic's", "ours"])
def test_what_a_prune_has_moved_is_read_from_where_it_is(tmp_path: Path, whose: str) -> None:
    place, app = tmp_path / "backup", tmp_path / "app"
    restic = client("installed").at(place, tmp_path / "cache")
    restic.plant()
    app.mkdir()
    content = Random(7).randbytes(3 * MiB)
    (app / "stays").write_bytes(content)
    (app / "goes").write_bytes(Random(8).randbytes(3 * MiB))
    pipeline = BackupPipeline(
        "shop",
        Directory(app),
        place,
        encryptor=PASSPHRASE,
        format=SNAPSHOTS,
        lock=MachineLock(tmp_path / "locks"),
    )
    pipeline.run()
    first = pipeline.get()
    (app / "goes").unlink()
    pipeline.run()
    fs = pipeline.file_system()
    path = f"latest{app}/stays"
    assert fs.cat_file(path, 0, 10) == content[:10]
    packs = [one for one in (place / "data").rglob("*") if one.is_file() and one.stat().st_size > MiB]
    with pipeline._repository_of(first) as repository:
        repository.remove(first)
    if whose == "ours":
        pipeline.prune(limits=PruneLimits(max_unused=0))
    else:
        restic.prune(options=["--max-unused", "0"])
    assert [one for one in packs if one.exists()] == []
    assert fs.cat_file(path, 2 * MiB, 2 * MiB + 10) == content[2 * MiB : 2 * MiB + 10]
    with fs.open(path) as file:
        assert file.read() == content
    assert fs.find(f"latest{app}") == [path]


def test_damage_is_told_and_is_nothing_else(snapshot: Kept) -> None:
    fs = snapshot.file_system()
    fs.find("latest")
    for stored in [*snapshot.destination.list("data/")]:
        content = bytearray(b"".join(snapshot.destination.read(stored.name)))
        if len(content) > MiB:
            content[len(content) // 2] ^= 1
            snapshot.destination.delete(stored.name)
            snapshot.destination.write(stored.name, [bytes(content)])
    path = f"{snapshot.latest}/large"
    with pytest.raises(IntegrityError):
        fs.cat_file(path)
    with fs.open(path) as file, pytest.raises(IntegrityError):
        file.read()
    assert fs.exists(path)
    assert fs.size(f"{snapshot.latest}/folder/orders.csv") == 19
    assert (
        fs.cat_file(f"{snapshot.latest}/folder/orders.csv", 3) == b"total\n1,10\n2,20\n"
    )  # of the same pack


def test_a_damaged_folder_is_told_when_somebody_asks_whether_something_is_in_it(snapshot: Kept) -> None:
    fs = snapshot.file_system()
    for stored in [*snapshot.destination.list("data/")]:
        snapshot.destination.delete(stored.name)
    for ask in (fs.exists, fs.isfile, fs.isdir):
        with pytest.raises(IntegrityError):
            ask(f"{snapshot.latest}/folder/orders.csv")
    with pytest.raises(IntegrityError):
        fs.find(snapshot.latest)


def test_a_forked_process_goes_on_by_itself(saved: Kept) -> None:
    fs = saved.pipeline.file_system()
    fs.ls(saved.latest)
    shelf = fs._shelf
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def read() -> None:
        sender.send(fs.cat_file(f"{saved.latest}/large") == LARGE)
        sender.close()

    locked, forked = threading.Event(), threading.Event()

    def hold() -> None:
        with shelf._lock:  # which nobody will let go in the child
            locked.set()
            forked.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait()
    child = context.Process(target=read)
    child.start()
    forked.set()
    holder.join()
    try:
        assert receiver.poll(20)
        assert receiver.recv()
    finally:
        child.kill()  # one that waits would keep this process from ending
        child.join()


def test_of_one_destination_the_others_are_not_asked(tmp_path: Path) -> None:
    chosen, other = Noting(MemoryDestination("chosen")), Noting(MemoryDestination("other"))
    (tmp_path / "file").write_bytes(b"x")
    both = BackupPipeline("shop", Directory(tmp_path), [other, chosen], encryptor=PASSPHRASE)
    both.run()
    other.reads.clear()
    other.lists.clear()
    fs = both.file_system(at=chosen.location)
    assert len(fs.ls("")) == 2
    assert chosen.lists
    assert (other.lists, other.reads) == ([], [])


def test_a_destination_that_does_not_answer_hides_no_other_and_is_told_where_nothing_is_found(
    tmp_path: Path,
) -> None:
    cut = Fault(method="list", does=DestinationError("the cable was cut", location="there"), call=None)
    silent, place = FaultyDestination(MemoryDestination("silent"), [cut]), MemoryDestination("place")
    (tmp_path / "file").write_bytes(b"x")
    BackupPipeline("shop", Directory(tmp_path), place, encryptor=PASSPHRASE).run()
    both = BackupPipeline("shop", Directory(tmp_path), [silent, place], encryptor=PASSPHRASE)
    assert len(both.file_system().ls("")) == 2
    with pytest.raises(DestinationError, match="cable"):
        both.file_system(at=silent.location).ls("")


def test_several_names_in_one_place_are_told_apart_by_id(tmp_path: Path) -> None:
    destination = MemoryDestination()
    app = tmp_path / "app"
    app.mkdir()
    (app / "file").write_bytes(b"x")
    for name in ("shop", "mail"):
        BackupPipeline(name, Directory(app), destination, encryptor=PASSPHRASE, format=SNAPSHOTS).run()
    from backupkit import open_repository

    fs = open_repository(destination, PASSPHRASE).file_system()
    both = fs.ls("", detail=False)
    assert len(both) == 2
    assert "latest" not in both
    assert [fs.find(id) for id in both] == [[f"{id}{app}/file"] for id in both]
    with pytest.raises(FileNotFoundError, match="of several names"):
        fs.ls("latest")
    assert len(open_repository(destination, PASSPHRASE, name="shop").file_system().ls("")) == 2


def test_an_id_that_several_names_have_is_nobodys(tmp_path: Path) -> None:
    destination, now = MemoryDestination(), datetime(2026, 5, 4, tzinfo=UTC)
    (tmp_path / "file").write_bytes(b"x")
    for name in ("shop", "mail"):
        BackupPipeline(
            *(name, Directory(tmp_path), destination),
            encryptor=PASSPHRASE,
            format=SNAPSHOTS,
            clock=lambda: now,
        ).run()
    from backupkit import open_repository

    backups = open_repository(destination, PASSPHRASE)
    (id,) = {one.id for one in backups.list().backups}
    fs = backups.file_system()
    assert fs.ls("") == []
    with pytest.raises(FileNotFoundError, match=r"of several names \(mail, shop\)"):
        fs.ls(id)


def test_very_many_entries_are_listed_and_not_all_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf_module, "_ENTRIES", 100)
    for folder in range(8):
        (tmp_path / "app" / str(folder)).mkdir(parents=True)
        for number in range(30):
            (tmp_path / "app" / str(folder) / str(number)).touch()
    destination = MemoryDestination()
    source = Directory(tmp_path / "app")
    pipeline = BackupPipeline("shop", source, destination, encryptor=PASSPHRASE, format=SNAPSHOTS)
    pipeline.run()
    fs = pipeline.file_system()
    assert len(fs.find("latest")) == 240
    shelf = fs._shelf
    assert sum(map(len, shelf._folders.values())) == shelf._entries <= 100
    assert len(fs.find("latest")) == 240
    oldest = next(iter(shelf._folders))
    fs.ls(f"latest/{oldest[1]}")
    assert [*shelf._folders][-1] == oldest, "what was looked at last goes last"
    monkeypatch.setattr(shelf_module, "_ENTRIES", 1)
    assert len(fs.ls(f"latest{tmp_path}/app")) == 8
    fs.invalidate_cache()
    assert [len(fs.ls(f"latest{tmp_path}/app/{folder}")) for folder in (0, 0)] == [30, 30]
    assert [*map(len, shelf._folders.values())] == [30], "the last one is kept, however many are in it"
