"""Small entries are fetched and decoded in groups, which nobody notices but by the number of requests."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit.errors import DestinationError, IntegrityError
from backupkit.formats.zip.ranges import DirectRanges
from backupkit.formats.zip.reader import ArchiveReader
from backupkit.formats.zip.together import _Group
from backupkit.model import Entry
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination
from backupkit.testing.entries import with_content
from tests.formats.zip.archives import KEY, archive_of, records_of

MiB = 1 << 20
NOISE = Random(5).randbytes(3 * MiB)
FILES = {f"file-{number:03}": NOISE[number : number * 11] for number in range(100)}

each_executor = pytest.mark.parametrize(
    "make_executor", [nullcontext, lambda: ThreadPoolExecutor(2)], ids=["none", "two-threads"]
)
Executors = Callable[[], AbstractContextManager[Executor | None]]


def archive(files: dict[str, bytes], *, encrypted: bool = True) -> bytes:
    entries = [with_content(Entry(path=path), content) for path, content in files.items()]
    return archive_of(entries, encryptor=KEY if encrypted else None)


def reader(data: bytes, executor: Executor | None, *faults: Fault) -> tuple[FaultyDestination, ArchiveReader]:
    inner = MemoryDestination()
    inner.write("archive.zip", [data])
    destination = FaultyDestination(inner, faults)
    ranges = DirectRanges(destination, "archive.zip", len(data))
    return destination, ArchiveReader(ranges, encryptors=[KEY], executor=executor)


def content(entry: Entry) -> bytes:
    return b"".join(entry.chunks())


@each_executor
def test_many_small_entries_take_few_requests(make_executor: Executors) -> None:
    with make_executor() as executor:
        destination, opened = reader(archive(FILES), executor)
        before = destination.calls["read"]
        assert {entry.path: content(entry) for entry in opened.entries()} == FILES
    assert destination.calls["read"] - before <= 5


@each_executor
def test_entries_may_be_collected_first_and_read_afterwards(make_executor: Executors) -> None:
    with make_executor() as executor:
        destination, opened = reader(archive(FILES), executor)
        entries = [*opened.entries()]
        before = destination.calls["read"]
        assert {entry.path: content(entry) for entry in entries} == FILES
    assert destination.calls["read"] - before <= 5


@given(st.lists(st.integers(0, 99), max_size=60), st.booleans())
def test_in_any_order_and_however_often_the_content_is_right(order: list[int], threads: bool) -> None:
    with ThreadPoolExecutor(2) if threads else nullcontext() as executor:
        _, opened = reader(ARCHIVE, executor)
        entries = [*opened.entries()]
        for number in order:
            assert content(entries[number]) == FILES[f"file-{number:03}"]


ARCHIVE = archive(FILES)


def test_a_single_entry_far_from_the_last_one_is_read_by_itself() -> None:
    files = {f"{number:03}": b"%d" % number for number in range(300)}
    with ThreadPoolExecutor(2) as executor:
        destination, opened = reader(archive(files), executor)
        entries = [*opened.entries()]
        assert content(entries[0]) == b"0"
        before = destination.calls["read"]
        assert content(entries[290]) == b"290"
        assert destination.calls["read"] - before == 1


@each_executor
def test_a_damaged_entry_is_told_and_its_neighbours_are_read(make_executor: Executors) -> None:
    data = bytearray(ARCHIVE)
    data[records_of(ARCHIVE)[40].offset + 200] ^= 1
    with make_executor() as executor:
        _, opened = reader(bytes(data), executor)
        found: dict[str, bytes] = {}
        for entry in opened.entries():
            if entry.path == "file-040":
                with pytest.raises(IntegrityError, match="file-040 is damaged"):
                    content(entry)
            else:
                found[entry.path] = content(entry)
    assert found == {path: data for path, data in FILES.items() if path != "file-040"}


@each_executor
def test_a_failing_request_fails_the_entry_that_needs_it_and_may_be_tried_again(
    make_executor: Executors,
) -> None:
    error = DestinationError("the connection was lost", location="memory:", retryable=True)
    with make_executor() as executor:
        opening = reader(ARCHIVE, executor)[0].calls["read"]
        _, opened = reader(ARCHIVE, executor, Fault(method="read", does=error, call=opening + 1))
        entries = [*opened.entries()]
        tried: list[str] = []
        for entry in entries:
            try:
                assert content(entry) == FILES[entry.path]
            except DestinationError:
                tried.append(entry.path)
                assert content(entry) == FILES[entry.path]
    assert tried == ["file-000"]


def test_large_entries_are_read_through_threads_that_end_with_them() -> None:
    files = {"large": NOISE, "text": b"a line like the next\n" * 200_000, "small": b"x"}
    with ThreadPoolExecutor(2) as executor:
        _, opened = reader(archive(files), executor)
        assert {entry.path: content(entry) for entry in opened.entries()} == files


def test_a_large_entry_may_be_given_up_half_way() -> None:
    with ThreadPoolExecutor(2) as executor:
        _, opened = reader(archive({"large": NOISE, "next": b"n"}), executor)
        large, following = opened.entries()
        chunks: Iterator[bytes] = large.chunks()
        assert NOISE.startswith(next(chunks))
        chunks.close()  # type: ignore[attr-defined]
        assert content(following) == b"n"


def test_what_was_passed_over_does_not_stay_in_memory() -> None:
    files = {f"{number:03}": NOISE[: 200 * 1024] for number in range(100)}
    import tracemalloc

    _, opened = reader(archive(files), None)
    entries = [*opened.entries()]
    tracemalloc.start()
    for entry in entries[::7]:
        assert content(entry) == NOISE[: 200 * 1024]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12 * MiB


def test_whoever_keeps_folders_until_the_end_keeps_none_of_what_lies_beside_them() -> None:
    entries = [
        Entry(path=f"{number:03}", kind="directory" if number % 10 == 0 else "file") for number in range(400)
    ]
    _, opened = reader(archive_of(entries, encryptor=KEY), None)
    folders = [entry for entry in opened.entries() if entry.kind == "directory"]
    assert len(folders) == 40
    gc.collect()
    assert [one for one in gc.get_objects() if issubclass(type(one), _Group)] == []
