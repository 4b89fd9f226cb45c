"""What a backup says of itself, without its contents."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from backupkit import BackupPipeline, Entry, Manifest, Passphrase, Problem, WrongPassphraseError, Zip
from backupkit.model import Contents
from backupkit.protocols import Format
from backupkit.testing.destinations import MemoryDestination
from tests.pipeline.shop import Make, Scripted
from tests.pipeline.snapshots import FORMAT, PASSPHRASE

FILES = Scripted("app", {"app/a": b"a" * 300_000})


class Counted:
    """A database whose rows are counted while it is dumped."""

    name = "shop"
    contents: Contents = "databases"

    def entries(self) -> Iterator[Entry]:
        entry = Entry(path="db-dumps/server/shop.sql")
        yield Entry(path=entry.path, rows=entry.rows, chunks=partial(self._dump, entry.rows))

    def _dump(self, rows: dict[str, int]) -> Iterator[bytes]:
        yield b"insert"
        rows["customers"] = 3


@pytest.mark.parametrize("format_", [Zip(), FORMAT])
def test_a_backup_names_its_dumps_with_their_rows(
    make: Make, destination: MemoryDestination, format_: Format
) -> None:
    pipeline = make([FILES, Counted()], destination, encryptor=PASSPHRASE, format=format_)
    pipeline.run()
    [dump] = pipeline.manifest().dumps
    assert (dump.path, dict(dump.rows)) == ("db-dumps/server/shop.sql", {"customers": 3})


def test_an_archive_names_what_was_lost_in_its_run_and_what_is_in_it(
    make: Make, destination: MemoryDestination
) -> None:
    pipeline = make(
        Scripted("app", {"app/a": b"a", "app/b": Problem(message="b is locked", path="app/b")}),
        destination,
        encryptor=PASSPHRASE,
    )
    pipeline.run()
    manifest = pipeline.manifest(pipeline.list().backups[0])
    assert manifest.sources == ("app",)
    assert [one.message for one in manifest.problems or ()] == ["b is locked"]


def test_a_snapshot_says_who_made_it_by_which_program_and_when(
    make: Make, destination: MemoryDestination
) -> None:
    pipeline = make(Scripted("app", {"app/a": b"a"}), destination, encryptor=PASSPHRASE, format=FORMAT)
    pipeline.run()
    manifest = pipeline.manifest()
    assert manifest.written_by is not None
    assert manifest.written_by.startswith("backupkit")
    assert manifest.user is not None
    assert manifest.began is not None
    assert manifest.ended is not None
    assert manifest.began <= manifest.ended
    assert manifest.problems is None


def test_a_manifest_is_read_without_the_contents(pipeline_of_much: BackupPipeline) -> None:
    [destination] = pipeline_of_much.destinations
    assert isinstance(destination, Counting)
    backup = pipeline_of_much.get()
    destination.read_bytes = 0
    assert pipeline_of_much.manifest(backup) == Manifest(sources=("app",), problems=())
    assert 0 < destination.read_bytes < 9_000_000


def test_a_wrong_passphrase_is_said(make: Make, destination: MemoryDestination) -> None:
    make(FILES, destination, encryptor=PASSPHRASE).run()
    other = make(FILES, destination, encryptor=Passphrase("another one, and wrong"))
    with pytest.raises(WrongPassphraseError):
        other.manifest(other.list().backups[0])


class Counting(MemoryDestination):
    """Counts what is read of it."""

    read_bytes = 0

    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        for chunk in super().read(name, start=start, length=length):
            self.read_bytes += len(chunk)
            yield chunk


@pytest.fixture
def pipeline_of_much(make: Make) -> BackupPipeline:
    """One archive of 40 MB, which nothing makes smaller."""
    from random import Random

    much = Scripted("app", {f"app/{number}": Random(number).randbytes(8_000_000) for number in range(5)})
    pipeline = make(much, Counting(), encryptor=None)
    pipeline.run()
    return pipeline
