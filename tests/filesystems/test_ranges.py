from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

import pytest

from backupkit.filesystems.asking import Asking
from backupkit.filesystems.ranges import read_ranges
from backupkit.filesystems.stores import Found, Piece
from backupkit.filesystems.transfer import Transfer

MiB = 1 << 20
CONTENT = b"".join(number.to_bytes(4, "big") for number in range(30 * MiB // 4))


class Store:
    """One file; `asked` are the ranges that were asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int, str | None]] = []

    async def get(self, start: int, length: int, tag: str | None) -> Piece | None:
        self.asked.append((start, length, tag))
        content = CONTENT[start : start + length]
        return Piece(content=content, size=len(CONTENT), tag="first") if content else None

    def look(self) -> Found:
        return Found(path="file", size=len(CONTENT), modified=datetime.now(UTC), tag="first")


@pytest.fixture
def asking() -> Iterator[Asking]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield Asking(Transfer(time_limit=5, patience=5, concurrency=2), loop)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.mark.parametrize(
    ("start", "length"), [(0, None), (5, None), (0, 3), (7, 20 * MiB), (len(CONTENT) - 3, 10), (0, 0)]
)
def test_pieces_are_the_range_and_all_of_the_state_of_the_first(
    asking: Asking, start: int, length: int | None
) -> None:
    store = Store()
    pieces = [*read_ranges(asking, store.get, store.look, start, length)]
    end = None if length is None else start + length
    assert b"".join(piece.content for piece in pieces) == CONTENT[start:end]
    assert {piece.size for piece in pieces} == {len(CONTENT)}
    assert [tag for _, _, tag in store.asked] == [None, *["first"] * (len(pieces) - 1)][: len(store.asked)]


def test_beyond_the_end_there_is_one_empty_piece(asking: Asking) -> None:
    (piece,) = read_ranges(asking, Store().get, Store().look, len(CONTENT) + 1, None)
    assert (piece.content, piece.size, piece.tag) == (b"", len(CONTENT), "first")


def test_who_wants_the_beginning_gets_a_small_piece_and_nothing_is_read_ahead(asking: Asking) -> None:
    store = Store()
    (piece,) = islice(read_ranges(asking, store.get, store.look, 0, None), 1)
    assert len(piece.content) == MiB
    assert store.asked == [(0, MiB, None)]


def test_a_file_that_ends_too_early_is_an_error(asking: Asking) -> None:
    async def get(start: int, length: int, tag: str | None) -> Piece | None:
        return Piece(content=CONTENT[start : start + length], size=len(CONTENT) + 1, tag="first")

    with pytest.raises(OSError, match="other bytes"):
        list(read_ranges(Asking(Transfer(patience=0.001), asking.loop), get, Store().look, 0, None))


def test_ranges_that_are_under_way_together_share_the_link_and_are_small(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[int] = []

    def moving(self: Asking, size: int) -> Asking:
        given.append(size)
        return Asking(self.transfer, self.loop, moving=size)

    monkeypatch.setattr(Asking, "moving", moving)
    store = Store()
    list(read_ranges(asking, store.get, store.look, 0, None))
    largest = max(length for _, length, _ in store.asked)
    assert given[-1] == asking.transfer.concurrency * largest
    assert largest == 4 * MiB
