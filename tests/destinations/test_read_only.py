from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backupkit import AccessDeniedError, ConfigurationError, LocalDestination, ReadOnly, open_repository
from backupkit.destinations.wrapping import Wrapping
from backupkit.model import StoredObject
from backupkit.protocols import Destination, HasLeftovers
from backupkit.testing.destinations import DestinationTests, MemoryDestination
from tests.pipeline.conftest import make as make  # the fixture
from tests.pipeline.shop import Make, Scripted, content, messages, names, stored


class _ReadThrough(Wrapping):
    """Reads through ReadOnly what it writes past it."""

    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        return ReadOnly(self.inner).read(name, start=start, length=length)

    def stat(self, name: str) -> StoredObject:
        return ReadOnly(self.inner).stat(name)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        return ReadOnly(self.inner).list(prefix)


class TestReadingThroughReadOnly(DestinationTests):
    @pytest.fixture
    def destination(self, tmp_path: Path) -> Destination:
        return _ReadThrough(LocalDestination(tmp_path))


def test_nothing_is_written_replaced_or_deleted() -> None:
    inner = MemoryDestination()
    stored = inner.write("a/object", [b"content"])
    destination = ReadOnly(inner)
    for ask in (
        lambda: destination.write("a/new", [b"x"]),
        lambda: destination.write("a/object", [b"x"], overwrite=True),
        lambda: destination.delete("a/object"),
    ):
        with pytest.raises(
            AccessDeniedError, match="which is used as ReadOnly: use it without that"
        ) as caught:
            ask()
        assert caught.value.location == "memory:memory"
        assert not caught.value.retryable
    assert [*inner.list()] == [stored]
    assert inner.objects == {"a/object": b"content"}


def test_a_name_that_is_none_is_refused_as_everywhere() -> None:
    with pytest.raises(ConfigurationError):
        ReadOnly(MemoryDestination()).write("../a", [b"x"])
    with pytest.raises(ConfigurationError):
        ReadOnly(MemoryDestination()).delete("../a")


def test_the_chunks_of_a_refused_write_are_closed() -> None:
    closed: list[bool] = []

    def chunks() -> Iterator[bytes]:
        try:
            yield b"a"
            yield b"b"
        finally:
            closed.append(True)

    stream = chunks()
    next(stream)
    with pytest.raises(AccessDeniedError):
        ReadOnly(MemoryDestination()).write("object", stream)
    assert closed == [True]


def test_leftovers_are_seen_and_stay(tmp_path: Path) -> None:
    (tmp_path / ".object.0123456789abcdef.partial").write_bytes(b"half")
    destination: Destination = ReadOnly(LocalDestination(tmp_path))
    assert isinstance(destination, HasLeftovers)
    (leftover,) = destination.leftovers()
    with pytest.raises(AccessDeniedError):
        destination.discard(leftover)
    assert len(names(tmp_path)) == 1


def test_backups_are_listed_restored_and_verified_there_and_the_mark_is_a_warning(
    make: Make, tmp_path: Path
) -> None:
    make(Scripted("a", {"a": b"content"}), stored(tmp_path / "disk")).run()
    before = names(tmp_path / "disk")
    backups = open_repository(ReadOnly(LocalDestination(tmp_path / "disk")))
    assert content(backups) == {"a": b"content"}
    backups.restore(to=tmp_path / "restored")
    assert (tmp_path / "restored/a").read_bytes() == b"content"
    report = backups.verify()
    assert report.outcome == "succeeded"
    (warning,) = report.problems
    assert warning.severity == "warning"
    assert "could not be recorded: The object 'backupkit/shop/" in warning.message
    assert names(tmp_path / "disk") == before


def test_an_unconfirmed_backup_is_verified_there_and_stays_unconfirmed(make: Make, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    make(Scripted("a", {"a": b"content"}), stored(disk)).run()
    for summary in disk.rglob("*.json"):
        summary.unlink()
    backups = open_repository(ReadOnly(LocalDestination(disk)))
    (listed,) = backups.list().backups
    report = backups.verify(listed)
    assert report.outcome == "succeeded"
    assert [one.severity for one in report.problems] == ["warning", "warning"]
    assert [one.complete for one in backups.list().backups] == [None]


def test_a_run_and_a_clean_there_say_why_they_do_nothing(make: Make, tmp_path: Path) -> None:
    pipeline = make(Scripted("a", {"a": b"content"}), ReadOnly(stored(tmp_path / "disk")))
    with pytest.raises(AccessDeniedError):
        pipeline.run()
    left = tmp_path / "disk/shop/.object.0123456789abcdef.partial"
    left.parent.mkdir()
    left.write_bytes(b"half")
    import os

    os.utime(left, (0, 0))
    report = pipeline.clean()
    assert report.outcome == "incomplete"
    assert "which is used as ReadOnly" in messages(report.problems)[0]
    assert left.exists()
