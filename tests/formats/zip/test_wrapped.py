"""Archives that are encrypted as a whole, and can be read from their beginning only."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit.errors import (
    DestinationError,
    IntegrityError,
    UnsupportedCodecError,
    WrongPassphraseError,
)
from backupkit.formats.zip import ranges
from backupkit.formats.zip.format import Zip
from backupkit.formats.zip.ranges import SequentialRanges
from backupkit.formats.zip.reader import ArchiveReader
from backupkit.model import Entry
from backupkit.passphrase import Passphrase
from backupkit.protocols import Encryptor, Format
from backupkit.retrying import Retry
from backupkit.testing.destinations import MemoryDestination
from backupkit.testing.entries import with_content
from backupkit.testing.repositories import BOTH, NOON, RepositoryTests
from tests.formats.zip.archives import MiB, archive_of
from tests.formats.zip.toy import ToyEncryptor

CONTENT = Random(5).randbytes(100_000)


@pytest.fixture
def short_tail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "_TAIL", 100)


@pytest.mark.usefixtures("short_tail")
class TestWithNextToNothingKeptInMemory(RepositoryTests):
    """The directory and the manifest need passes of their own."""

    def make_format(self) -> Format:
        return Zip()

    def make_encryptor(self) -> Encryptor:
        return ToyEncryptor(b"key")


def in_pieces(content: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]
        yield b""


@pytest.mark.usefixtures("short_tail")
@pytest.mark.parametrize("size", [1, 7, 99, 100, 101, 4000])
def test_any_range_is_what_a_slice_would_be(size: int) -> None:
    content = CONTENT[:2000]
    ranges = SequentialRanges(lambda: in_pieces(content, size))
    assert ranges.total == 2000
    random = Random(size)
    for _ in range(100):
        start, length = random.randrange(2000), random.randrange(1000)
        wanted = content[start : start + length]
        assert b"".join(ranges.read(start, length)) == wanted
        next(ranges.read(start, length), None)  # and one that is left half-way


@given(
    st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 300)), min_size=2, max_size=4),
    st.lists(st.integers(0), max_size=60),
)
def test_ranges_may_be_read_in_turns(wanted: list[tuple[int, int]], turns: list[int]) -> None:
    content = CONTENT[:1000]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges, "_TAIL", 50)
        found = SequentialRanges(lambda: in_pieces(content, 30))
        streams = [found.read(start, length) for start, length in wanted]
        got = [b"" for _ in wanted]
        for turn in turns:
            got[turn % len(wanted)] += next(streams[turn % len(wanted)], b"")
        got = [taken + b"".join(stream) for taken, stream in zip(got, streams, strict=True)]
    assert got == [content[start : start + length] for start, length in wanted]


def test_reading_everything_in_order_takes_two_passes() -> None:
    destination, key = MemoryDestination(), ToyEncryptor(b"key")
    entries = [with_content(Entry(path=f"{n:02}"), CONTENT) for n in range(10)]
    with Zip().open(destination, name="shop", encryptor=key) as repository:
        backup = repository.write(entries, time=NOON, contents=BOTH, retry=Retry(tries=1)).backup
        contents = [b"".join(entry.chunks()) for entry in repository.read(backup)]
    assert contents == [CONTENT] * 10
    assert key.decrypted == 1  # it is small enough to be kept from the pass that learns its length

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges, "_TAIL", 20_000)
        with Zip().open(destination, name="shop", encryptor=key) as repository:
            contents = [b"".join(entry.chunks()) for entry in repository.read(backup)]
    assert contents == [CONTENT] * 10
    assert key.decrypted == 3


@pytest.mark.parametrize("threads", [False, True])
def test_neither_folders_nor_large_entries_cost_a_pass_of_their_own(
    monkeypatch: pytest.MonkeyPatch, threads: bool
) -> None:
    monkeypatch.setattr(ranges, "_TAIL", 20_000)
    destination, key = MemoryDestination(), ToyEncryptor(b"key")
    entries: list[Entry] = []
    for number in range(6):
        entries += [
            Entry(path=f"{number}", kind="directory"),
            with_content(Entry(path=f"{number}/a"), CONTENT),
            Entry(path=f"{number}/b", kind="symlink", target="a"),
            with_content(Entry(path=f"{number}/large"), *[CONTENT] * 12),
        ]
    with Zip().open(destination, name="shop", encryptor=key) as repository:
        backup = repository.write(entries, time=NOON, contents=BOTH, retry=Retry(tries=1)).backup
    with (
        ThreadPoolExecutor(2) if threads else nullcontext() as executor,
        Zip().open(destination, name="shop", encryptor=key, executor=executor) as repository,
    ):
        read = {entry.path: b"".join(entry.chunks()) for entry in repository.read(backup)}
    assert read["5/large"] == CONTENT * 12
    assert key.decrypted == 2  # one to learn its length, one for all contents


def test_a_stream_that_failed_is_opened_anew_by_whoever_tries_again() -> None:
    opened = 0

    def stream() -> Iterator[bytes]:
        nonlocal opened
        opened += 1
        yield CONTENT[:500]
        if opened == 2:
            raise DestinationError("the connection was lost", location="memory:", retryable=True)
        yield CONTENT[500:1000]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges, "_TAIL", 50)
        found = SequentialRanges(stream)
        assert b"".join(found.read(0, 400)) == CONTENT[:400]
        with pytest.raises(DestinationError):
            list(found.read(600, 100))
        assert b"".join(found.read(600, 100)) == CONTENT[600:700]


def test_the_name_of_the_archive_tells_its_scheme() -> None:
    destination = MemoryDestination()
    with Zip().open(destination, name="shop", encryptor=ToyEncryptor(b"key")) as repository:
        backup = repository.write([Entry(path="f")], time=NOON, contents=BOTH, retry=Retry(tries=1)).backup
    assert [*destination.objects] == [f"shop/{backup.id}.zip.toy", f"shop/{backup.id}.complete.json"]
    assert b"PK" not in destination.objects[f"shop/{backup.id}.zip.toy"][:4]


def test_a_passphrase_cannot_open_what_another_scheme_sealed() -> None:
    destination = MemoryDestination()
    with Zip().open(destination, name="shop", encryptor=ToyEncryptor(b"key")) as repository:
        backup = repository.write([Entry(path="f")], time=NOON, contents=BOTH, retry=Retry(tries=1)).backup
    with (
        Zip().open(destination, name="shop", encryptor=Passphrase("another way")) as repository,
        pytest.raises(WrongPassphraseError, match="'toy'"),
    ):
        list(repository.read(backup))


def test_an_archive_before_the_encryption_stays_readable() -> None:
    destination = MemoryDestination()
    with Zip().open(destination, name="shop") as repository:
        entry = with_content(Entry(path="f"), b"content")
        backup = repository.write([entry], time=NOON, contents=BOTH, retry=Retry(tries=1)).backup
    for key in (ToyEncryptor(b"key"), Passphrase("five words are long enough")):
        with Zip().open(destination, name="shop", encryptor=key) as repository:
            assert [b"".join(e.chunks()) for e in repository.read(backup)] == [b"content"]


@pytest.mark.parametrize("scheme", ["", "Toy", "a/b", "a.b", "a b", "ä"])
def test_a_scheme_that_cannot_stand_in_a_name_is_refused(scheme: str) -> None:
    encryptor = ToyEncryptor(b"key")
    encryptor.scheme = scheme
    with pytest.raises(UnsupportedCodecError):
        Zip().check(None, encryptor)


def test_damage_of_a_wrapped_archive_is_found_before_anything_is_given_out() -> None:
    key = ToyEncryptor(b"key")
    archive = archive_of([with_content(Entry(path="f"), CONTENT, bytes(2 * MiB))])
    sealed = bytearray(b"".join(key.encrypt([archive])))
    sealed[len(sealed) // 2] ^= 1
    with pytest.raises(IntegrityError, match="toy"):
        ArchiveReader(SequentialRanges(lambda: key.decrypt([bytes(sealed)])), encryptors=[])
