from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from backupkit import BackupPipeline
from backupkit.errors import ConfigurationError, SourceError
from backupkit.model import Contents, Entry, Problem
from backupkit.protocols import Source
from backupkit.retrying import Retry
from backupkit.sources.command import Command
from backupkit.sources.files import Directory
from backupkit.sources.hooks import Around
from backupkit.sources.parallel import Parallel
from backupkit.testing.sources import SourceTests
from tests.leftovers import no_file_left_open

PATIENCE = timedelta(seconds=60)


def sh(code: str, name: str) -> Command:
    return Command(["sh", "-c", code], name=name, time_limit=PATIENCE)


@dataclass
class Counting:
    """A source of dumps that count their rows, and that may fail on the way."""

    name: str
    error: Exception | None = None
    contents: Contents = "databases"
    readings: list[str] = field(default_factory=list)

    def entries(self) -> Iterator[Entry | Problem]:
        rows: dict[str, int] = {}
        warnings: list[Problem] = []

        def chunks() -> Iterator[bytes]:
            self.readings.append(self.name)
            yield b"data"
            rows["users"] = 3
            warnings.append(Problem(message=f"{self.name} is slow", severity="warning"))

        yield Entry(path=f"db-dumps/{self.name}", chunks=chunks, rows=rows, warnings=warnings)
        if self.error is not None:
            raise self.error


class TestParallel(SourceTests):
    @pytest.fixture
    def source(self) -> Source:
        return Parallel(sh("echo a", "a"), sh("echo b", "b"), sh("seq 100000", "c"), at_once=2)

    def test_nothing_is_opened_before_the_first_pull(self, source: Source) -> None:
        """Of the entries: their contents are begun before they are pulled, which is what this source is for."""
        with no_file_left_open():
            entries = source.entries()
        with no_file_left_open():
            next(entries)
            entries.close()  # type: ignore[attr-defined] # it is a generator


def contents(source: Source) -> dict[str, bytes]:
    with closing(source.entries()) as entries:  # type: ignore[type-var] # they are generators
        return {entry.path: b"".join(entry.chunks()) for entry in entries if isinstance(entry, Entry)}


def test_dumps_come_in_the_order_of_their_sources_and_whole() -> None:
    source = Parallel(sh("sleep 0.2; echo slow", "slow"), sh("echo fast", "fast"), at_once=2)
    assert list(contents(source).items()) == [("db-dumps/slow", b"slow\n"), ("db-dumps/fast", b"fast\n")]


def test_several_dumps_are_under_way_at_once(tmp_path: Path) -> None:
    meet = tmp_path / "meet"
    # Opening a named pipe waits for who opens its other end: neither can end without the other.
    os.mkfifo(meet)
    source = Parallel(
        sh(f"echo hello >'{meet}'; echo told", "first"), sh(f"cat '{meet}'", "second"), at_once=2
    )
    assert contents(source) == {"db-dumps/first": b"told\n", "db-dumps/second": b"hello\n"}


def test_no_more_than_at_once_are_begun(tmp_path: Path) -> None:
    sources = [sh(f"touch '{tmp_path}/{name}'; echo {name}", name) for name in "abcd"]
    with closing(Parallel(*sources, at_once=2).entries()) as entries:  # type: ignore[type-var]
        first = next(entries)
        assert isinstance(first, Entry)
        assert b"".join(first.chunks()) == b"a\n"
        assert not {"c", "d"} & {path.name for path in tmp_path.iterdir()}


def test_a_dump_is_read_ahead_in_bounded_memory() -> None:
    endless = Command(["yes"], name="endless")
    with closing(Parallel(sh("echo a", "a"), endless, at_once=2).entries()) as entries:  # type: ignore[type-var]
        first = next(entries)
        assert isinstance(first, Entry)
        assert b"".join(first.chunks()) == b"a\n"
        second = next(entries)
        assert isinstance(second, Entry)
        assert next(second.chunks()).startswith(b"y\n")


def test_what_a_dump_noted_before_its_turn_is_kept_with_the_backup(tmp_path: Path) -> None:
    source = Parallel(Counting("one"), Counting("two"), at_once=2)
    pipeline = BackupPipeline("shop", source, tmp_path, encryptor=None)
    report = pipeline.run()
    assert [problem.message for problem in report.problems] == ["one is slow", "two is slow"]
    assert [entry.rows for entry in pipeline.entries()] == [{"users": 3}, {"users": 3}]


def test_a_dump_that_is_read_again_is_made_again() -> None:
    inner = Counting("one")
    (entry,) = Parallel(inner).entries()
    assert isinstance(entry, Entry)
    assert [b"".join(entry.chunks()), b"".join(entry.chunks())] == [b"data", b"data"]


def test_a_dump_that_is_read_after_the_end_of_the_entries_is_whole() -> None:
    entries = list(Parallel(sh("seq 2000000", "a"), sh("seq 2000000", "b")).entries())
    lines = [b"".join(entry.chunks()).count(b"\n") for entry in entries if isinstance(entry, Entry)]
    assert lines == [2_000_000, 2_000_000]


def test_a_dump_that_fails_is_lost_alone(tmp_path: Path) -> None:
    source = Parallel(sh("echo half; exit 1", "bad"), sh("echo good", "good"), at_once=2)
    report = BackupPipeline("shop", source, tmp_path, encryptor=None, retry=Retry(tries=1)).run()
    assert report.outcome == "incomplete"
    assert [problem.path for problem in report.problems] == ["db-dumps/bad"]
    assert report.entries == 1


def test_a_source_that_fails_is_a_problem_and_the_next_one_follows() -> None:
    error = SourceError("The server is gone.", path="one")
    found = list(Parallel(Counting("one", error), Counting("two")).entries())
    assert [one.path for one in found] == ["db-dumps/one", "one", "db-dumps/two"]
    assert found[1] == Problem(message="The server is gone.", path="one")


def test_hooks_stand_around_all_of_them(tmp_path: Path) -> None:
    log: list[str] = []

    @contextmanager
    def hook() -> Iterator[None]:
        log.append("enter")
        yield
        log.append("leave")

    with pytest.raises(ConfigurationError, match=r"write Around\(Parallel"):
        Parallel(Around(Counting("one"), hook))
    one, two = Counting("one", readings=log), Counting("two", readings=log)
    BackupPipeline("shop", Around(Parallel(one, two), hook), tmp_path, encryptor=None).run()
    assert (log[0], log[-1]) == ("enter", "leave")
    assert sorted(log[1:-1]) == ["one", "two"]


@pytest.mark.parametrize("at_once", [0, -1])
def test_less_than_one_at_once_is_refused(at_once: int) -> None:
    with pytest.raises(ConfigurationError, match="1 or more"):
        Parallel(Counting("one"), at_once=at_once)


def test_equal_names_and_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="another name"):
        Parallel(Counting("one"), Counting("one"))
    with pytest.raises(ConfigurationError, match="holds files"):
        Parallel(Directory(tmp_path))
