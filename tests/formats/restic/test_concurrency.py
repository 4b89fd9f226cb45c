"""Several at once: they make the same repository, write into it, read from it, and each sees its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backupkit.destinations.local import LocalDestination
from backupkit.errors import DestinationError
from backupkit.formats.restic.format import Restic
from backupkit.formats.restic.repository import ResticRepository
from backupkit.model import Entry, StoredObject
from backupkit.passphrase import Passphrase
from backupkit.protocols import Chunks, Destination
from backupkit.retrying import Retry
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination
from backupkit.testing.entries import with_content
from backupkit.testing.repositories import BOTH, NOON
from tests.formats.restic import killing
from tests.formats.restic.killing import Case
from tests.restics import PASSWORD, Client

ROOT = Path(__file__).parents[3]
ENTRIES = [
    Entry(path="d", kind="directory"),
    with_content(Entry(path="d/f"), b"content"),
    with_content(Entry(path="g"), b"more"),
]


@contextmanager
def opened(
    destination: Destination, *, name: str | None = "shop", host: str = ""
) -> Iterator[ResticRepository]:
    with Restic(cache=False).open(destination, name=name, encryptor=Passphrase(PASSWORD)) as repository:
        if host:
            repository._host = host
        yield repository


def write(destination: Destination, name: str = "shop", *more: Entry, host: str = "") -> None:
    with opened(destination, name=name, host=host) as repository:
        repository.write([*ENTRIES, *more], time=datetime.now(UTC), contents=BOTH, retry=Retry(tries=1))


def contents(destination: Destination, *, name: str | None = "shop") -> list[dict[str, bytes]]:
    """Of all that it lists, which must be whole."""
    with opened(destination, name=name) as repository:
        return contents_of(repository)


def contents_of(repository: ResticRepository) -> list[dict[str, bytes]]:
    found = []
    for backup in repository.list():
        assert backup.good
        assert [*repository.check(backup)] == []
        found.append({entry.path: b"".join(entry.chunks()) for entry in repository.read(backup)})
    return found


class Meanwhile(MemoryDestination):
    """Does something before its call of this number, whichever call that is; no more then, and not within it."""

    def __init__(self, objects: MemoryDestination, at: int, does: Callable[[], object]) -> None:
        super().__init__()
        self.objects = objects.objects
        self.calls = 0
        self._at = at
        self._does = does

    def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
        self._count()
        return super().write(name, chunks, overwrite=overwrite)

    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        self._count()
        return super().read(name, start=start, length=length)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        self._count()
        return super().list(prefix)

    def delete(self, name: str) -> None:
        self._count()
        super().delete(name)

    def _count(self) -> None:
        self.calls += 1
        if self.calls == self._at:
            self._does()


def test_two_may_make_and_write_the_same_repository_whenever_the_second_begins() -> None:
    """The second one does all of it between two calls of the first one, whichever these are."""
    calls = Meanwhile(MemoryDestination(), 0, list)
    write(calls, "one")
    assert calls.calls > 10
    for call in range(1, calls.calls + 1):
        destination = MemoryDestination()

        def second(destination: MemoryDestination = destination) -> None:
            write(destination, "other", with_content(Entry(path="other"), b"own"))

        write(Meanwhile(destination, call, second), "one")
        assert len([name for name in destination.objects if name.startswith("keys/")]) == 1, call
        assert contents(destination, name="one") == [{"d": b"", "d/f": b"content", "g": b"more"}]
        assert contents(destination, name="other") == [
            {"d": b"", "d/f": b"content", "g": b"more", "other": b"own"}
        ]


@pytest.mark.parametrize("crash", range(1, 4))
def test_one_may_be_killed_while_another_one_makes_the_same_repository(crash: int) -> None:
    """What the killed one has left of its own beginning, such as a key, is in nobody's way."""
    calls = Meanwhile(MemoryDestination(), 0, list)
    write(calls, "one")
    for call in range(1, calls.calls + 1):
        destination = MemoryDestination()
        error = DestinationError("killed", location="memory:")
        fault = Fault(method="write", call=crash, does=error, answer_lost=True)

        faulty = FaultyDestination(destination, [fault])

        def second(faulty: Destination = faulty) -> None:
            with suppress(DestinationError):
                write(faulty, "other")

        write(Meanwhile(destination, call, second), "one")
        assert contents(destination, name="one") == [{"d": b"", "d/f": b"content", "g": b"more"}]
        write(destination, "one")
        assert len([name for name in destination.objects if name.startswith("keys/")]) == 1, call


def test_processes_may_make_and_write_the_same_repository_at_once(
    tmp_path: Path, installed_restic: Client
) -> None:
    folder = tmp_path / "repository"
    folder.mkdir()
    apps = []
    for number in range(3):
        app = tmp_path / f"app-{number}"
        app.mkdir()
        for file in range(30):
            (app / f"{file}").write_bytes(b"%d of %d\n" % (file, number % 2) * 9999)
        apps.append(app)
    with ExitStack() as stack:
        arguments = [sys.executable, "-m", "tests.formats.restic.killing"]
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    arguments, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
            )
            for _ in apps
        ]
        for process, app in zip(processes, apps, strict=True):
            killing.wish(process, Case(folder=str(folder), app=str(app), threads=True))
        assert [killing.answer(process) for process in processes] == ["succeeded"] * 3
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
    stock = installed_restic.at(folder, tmp_path / "cache")
    assert "no errors were found" in stock.check(read_data=True)
    assert len(stock.snapshots()) == 3
    assert len(stock.list("keys")) == 1
    assert len(contents(LocalDestination(folder))) == 3


def test_what_was_begun_to_be_read_is_read_to_its_end_while_others_write() -> None:
    destination = MemoryDestination()
    write(destination)
    with opened(destination) as reader:
        (backup,) = reader.list()
        entries = reader.read(backup)
        first = next(entries)
        for number in range(3):
            write(destination, "shop", with_content(Entry(path=f"new-{number}"), b"%d" % number * 1000))
        assert [first.path, *(entry.path for entry in entries)] == ["d", "d/f", "g"]


def test_what_was_written_after_a_repository_was_opened_can_be_read_from_it() -> None:
    destination = MemoryDestination()
    write(destination)
    with opened(destination) as reader:
        assert len(contents_of(reader)) == 1
        write(destination, "shop", with_content(Entry(path="new"), b"new"))
        assert sorted(len(one) for one in contents_of(reader)) == [3, 4]


def test_what_two_have_stored_at_the_same_time_is_whole_for_both() -> None:
    """Both store it then, which is more than is needed; but nothing is lost."""
    destination = MemoryDestination()
    same = with_content(Entry(path="a"), b"same" * 1000)

    def meanwhile() -> Iterator[Entry]:
        yield same
        with opened(destination, name="other") as repository:
            repository.write([same], time=NOON, contents=BOTH, retry=Retry(tries=1))

    with opened(destination) as repository:
        repository.write(meanwhile(), time=NOON, contents=BOTH, retry=Retry(tries=1))
    assert contents(destination) == contents(destination, name="other") == [{"a": b"same" * 1000}]


def test_pipelines_and_hosts_that_share_a_repository_list_their_own() -> None:
    destination = MemoryDestination()
    for name in ("shop", "blog", "shop-2"):
        for host in ("one", "two"):
            write(destination, name, host=host)
    for name in ("shop", "blog", "shop-2"):
        with opened(destination, name=name) as repository:
            assert [backup.name for backup in repository.list()] == [name] * 2
    with opened(destination, name=None) as everything:
        assert sorted({backup.name for backup in everything.list()}) == ["blog", "shop", "shop-2"]
        details = [everything.details(backup) for backup in everything.list()]
    assert sorted(str(backup.host) for backup in details) == ["one"] * 3 + ["two"] * 3
