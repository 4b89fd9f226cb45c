"""Downloading an archive as the file that it is: whole or not at all, and over nothing that is there."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from backupkit import (
    BackupPipeline,
    ConfigurationError,
    DestinationError,
    IntegrityError,
    OperationCancelledError,
    Passphrase,
    RestoreError,
    open_repository,
)
from backupkit.events import BytesRead, Event, Expected, Finished, Started
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination
from tests.pipeline.shop import Make, Scripted, content
from tests.pipeline.snapshots import FORMAT, PASSPHRASE

FILES = Scripted("app", {"app/a": b"a" * 3000, "app/b": b"b"})


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """An empty folder."""
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


@pytest.fixture
def pipeline(make: Make, destination: MemoryDestination) -> BackupPipeline:
    pipeline = make(FILES, destination, encryptor=PASSPHRASE)
    pipeline.run()
    return pipeline


def archive(destination: MemoryDestination) -> bytes:
    [data] = [data for name, data in destination.objects.items() if name.endswith(".zip")]
    return bytes(data)


def test_what_is_downloaded_is_what_is_stored_and_can_be_opened(
    pipeline: BackupPipeline, destination: MemoryDestination, here: Path
) -> None:
    report = pipeline.download(to=here / "shop")
    id_ = pipeline.get().id
    [result] = report.destinations
    assert result.file == str(here / "shop")
    assert Path(result.file).read_bytes() == archive(destination)
    assert (report.operation, report.outcome, report.written) == (
        "download",
        "succeeded",
        len(archive(destination)),
    )
    (here / "folder").mkdir()
    pipeline.download(id_, to=here / "folder")
    assert os.listdir(here / "folder") == [f"{id_}.zip"]
    assert content(open_repository(here / "folder", PASSPHRASE), id_) == content(pipeline)
    pipeline.download(id_, to=f"{here}/new/folder/")
    assert os.listdir(here / "new" / "folder") == [f"{id_}.zip"]


def test_only_its_owner_can_read_it(pipeline: BackupPipeline, here: Path) -> None:
    pipeline.download(to=here / "shop.zip")
    assert (here / "shop.zip").stat().st_mode & 0o777 == 0o600


def test_where_there_is_no_room_nothing_is_begun(pipeline: BackupPipeline) -> None:
    with pytest.raises(RestoreError, match=r"/proc/x was not downloaded: .* where 0 B are free"):
        pipeline.download(to="/proc/x")


def test_no_passphrase_is_needed(
    pipeline: BackupPipeline, make: Make, destination: MemoryDestination, here: Path
) -> None:
    stranger = make(FILES, destination, encryptor=Passphrase("another one"))
    assert stranger.download(to=here / "shop.zip").outcome == "succeeded"
    assert b"".join(stranger.file().chunks()) == archive(destination)


def test_what_is_there_is_replaced_only_when_told_to(
    pipeline: BackupPipeline, destination: MemoryDestination, here: Path
) -> None:
    file = here / "shop.zip"
    file.write_bytes(b"precious")
    with pytest.raises(RestoreError, match=r"shop\.zip exists already, so nothing was downloaded"):
        pipeline.download(to=file)
    assert file.read_bytes() == b"precious"
    pipeline.download(to=file, overwrite=True)
    assert file.read_bytes() == archive(destination)
    assert os.listdir(here) == ["shop.zip"]


def test_a_link_in_its_place_is_not_followed(pipeline: BackupPipeline, here: Path) -> None:
    (here / "precious").write_bytes(b"precious")
    (here / "shop.zip").symlink_to("precious")
    with pytest.raises(RestoreError, match="exists already"):
        pipeline.download(to=here / "shop.zip")
    pipeline.download(to=here / "shop.zip", overwrite=True)
    assert not (here / "shop.zip").is_symlink()
    assert (here / "precious").read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        (Fault(method="read", does=None, after=100), RestoreError, "bytes could be read, and it has"),
        (
            Fault(method="read", does=DestinationError("The cable was cut.", location="m"), after=100),
            DestinationError,
            "The cable was cut.",
        ),
    ],
)
def test_one_that_does_not_come_whole_leaves_nothing(
    pipeline: BackupPipeline,
    make: Make,
    destination: MemoryDestination,
    here: Path,
    fault: Fault,
    error: type[Exception],
    said: str,
) -> None:
    faulty = make(FILES, FaultyDestination(destination, [fault]), encryptor=PASSPHRASE)
    (here / "folder").mkdir()
    with pytest.raises(error, match=said):
        faulty.download(to=here / "folder")
    assert os.listdir(here / "folder") == []


def test_cancelling_ends_it_and_leaves_nothing(pipeline: BackupPipeline, here: Path) -> None:
    cancel = threading.Event()
    pipeline.observers = (lambda event: cancel.set() if isinstance(event, Expected) else None,)
    with pytest.raises(OperationCancelledError):
        pipeline.download(to=here / "folder" / "shop.zip", cancel=cancel)
    assert [path for path in here.rglob("*") if path.is_file()] == []


def test_observers_hear_how_much_there_is_and_how_much_has_come(
    pipeline: BackupPipeline, destination: MemoryDestination, here: Path
) -> None:
    heard: list[Event] = []
    pipeline.observers = (heard.append,)
    pipeline.download(to=here / "shop.zip")
    assert isinstance(heard[0], Started)
    assert isinstance(heard[-1], Finished)
    size = len(archive(destination))
    assert [event.size for event in heard if isinstance(event, Expected)] == [size]
    assert sum(event.count for event in heard if isinstance(event, BytesRead)) == size


@pytest.mark.usefixtures("impatient")
def test_a_snapshot_is_no_file_and_what_to_do_instead_is_said(
    make: Make, destination: MemoryDestination, here: Path
) -> None:
    pipeline = make(FILES, destination, encryptor=PASSPHRASE, format=FORMAT)
    pipeline.run()
    for ask in (lambda: pipeline.download(to=here / "x"), pipeline.file):
        with pytest.raises(ConfigurationError, match=r"is no file of its own .*: restore it, or copy it"):
            ask()
    assert os.listdir(here) == []


def test_any_part_of_an_archive_can_be_read_by_itself(
    pipeline: BackupPipeline, destination: MemoryDestination
) -> None:
    file, whole = pipeline.file(), archive(destination)
    assert file.within is not None
    assert file.size is not None
    for start, stop in [
        (0, 10),
        (7, 100),
        (len(whole) - 3, len(whole) + 50),
        (5, 5),
        (len(whole), len(whole) + 1),
    ]:
        assert b"".join(file.within(start, stop)) == whole[start:stop]


def test_a_part_of_an_archive_that_has_become_shorter_is_no_whole_part(
    pipeline: BackupPipeline, destination: MemoryDestination
) -> None:
    file = pipeline.file()
    assert file.within is not None
    assert file.size is not None
    [name] = [name for name in destination.objects if name.endswith(".zip")]
    destination.objects[name] = destination.objects[name][:-100]
    with pytest.raises(IntegrityError):
        b"".join(file.within(10, file.size))
