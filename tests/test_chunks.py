from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit._chunks import begun, closing_iterator, gather, hold_back, rechunk

_chunks = st.lists(st.binary(max_size=20))
_size = st.integers(1, 30)


@given(_chunks, _size)
def test_rechunk_gives_pieces_of_the_size_and_a_shorter_last_one(chunks: list[bytes], size: int) -> None:
    pieces = [*rechunk(chunks, size)]
    assert b"".join(pieces) == b"".join(chunks)
    assert all(len(piece) == size for piece in pieces[:-1])
    assert all(0 < len(piece) <= size for piece in pieces[-1:])


def test_rechunk_passes_a_chunk_of_the_right_size_on_uncopied() -> None:
    chunk = bytes(100)
    (piece,) = rechunk([chunk], 100)
    assert piece is chunk


def test_rechunk_takes_no_more_than_it_needs() -> None:
    taken = []

    def chunks() -> Iterator[bytes]:
        for number in range(10):
            taken.append(number)
            yield b"abc"

    assert next(rechunk(chunks(), 4)) == b"abca"
    assert taken == [0, 1]


@given(_chunks, _size)
def test_the_beginning_of_a_stream_is_looked_at_and_the_stream_stays_whole(
    chunks: list[bytes], size: int
) -> None:
    head, stream = begun(iter(chunks), size)
    content = b"".join(chunks)
    assert head == content[:size]
    assert b"".join(stream) == content


def test_no_more_of_a_stream_is_taken_than_its_beginning() -> None:
    chunks = iter([b"abc"] * 10)
    assert begun(chunks, 4)[0] == b"abca"
    assert len(list(chunks)) == 8


@given(_chunks, _size)
def test_gather_gives_at_least_the_size_until_the_end(chunks: list[bytes], size: int) -> None:
    pieces = [*gather(chunks, size)]
    assert b"".join(pieces) == b"".join(chunks)
    assert all(len(piece) >= size for piece in pieces[:-1])
    assert all(pieces)


@given(_chunks, _size)
def test_gather_cuts_no_chunk(chunks: list[bytes], size: int) -> None:
    ends = {0}
    for chunk in chunks:
        ends.add(max(ends) + len(chunk))
    position = 0
    for piece in gather(chunks, size):
        position += len(piece)
        assert position in ends


def test_gather_passes_a_large_chunk_on_uncopied() -> None:
    chunk = bytes(100)
    (piece,) = gather([chunk], 50)
    assert piece is chunk


@given(_chunks, _size)
def test_hold_back_keeps_the_last_bytes(chunks: list[bytes], count: int) -> None:
    tail = bytearray()
    given_out = b"".join(hold_back(chunks, count, tail))
    whole = b"".join(chunks)
    assert given_out + tail == whole
    assert len(tail) == min(count, len(whole))


@given(_chunks, _size)
def test_hold_back_never_gives_out_what_may_be_the_last_bytes(chunks: list[bytes], count: int) -> None:
    tail = bytearray()
    seen = given_out = 0

    def counted() -> Iterator[bytes]:
        nonlocal seen
        for chunk in chunks:
            seen += len(chunk)
            yield chunk

    for chunk in hold_back(counted(), count, tail):
        given_out += len(chunk)
        assert given_out <= max(0, seen - count)


@pytest.mark.parametrize("stop", ["at the end", "half-way", "by an error"])
def test_closing_iterator_closes_what_it_iterates_over(stop: str) -> None:
    closed = []

    def chunks() -> Iterator[bytes]:
        try:
            yield b"one"
            yield b"two"
        finally:
            closed.append(True)

    def use() -> None:
        with closing_iterator(chunks()) as iterator:
            next(iterator)
            assert not closed
            if stop == "at the end":
                list(iterator)
            elif stop == "by an error":
                raise ValueError(stop)

    if stop == "by an error":
        with pytest.raises(ValueError, match=stop):
            use()
    else:
        use()
    assert closed


def test_closing_iterator_takes_what_cannot_be_closed() -> None:
    with closing_iterator([b"one"]) as iterator:
        assert [*iterator] == [b"one"]


def test_what_a_thread_still_reads_does_not_hide_the_first_error() -> None:
    waiting, go_on = threading.Event(), threading.Event()

    def chunks() -> Iterator[bytes]:
        waiting.set()
        go_on.wait()
        yield b"late"

    iterator = chunks()
    thread = threading.Thread(target=next, args=(iterator,))
    with pytest.raises(KeyboardInterrupt), closing_iterator(iterator):  # noqa: PT012 - as it happens
        thread.start()
        waiting.wait()
        raise KeyboardInterrupt
    go_on.set()
    thread.join()
