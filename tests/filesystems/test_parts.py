from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit.filesystems.asking import Asking
from backupkit.filesystems.parts import cut, growing, send_parts
from backupkit.filesystems.transfer import Transfer

MiB = 1 << 20


@pytest.fixture
def asking() -> Iterator[Asking]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield Asking(Transfer(time_limit=5, patience=5), loop)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()

    async def finish() -> None:
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)

    loop.run_until_complete(finish())
    loop.close()


@given(st.lists(st.binary(max_size=40)), st.integers(1, 7), st.integers(1, 3))
def test_parts_are_the_stream_cut_to_the_sizes(chunks: list[bytes], first: int, step: int) -> None:
    sizes = [*islice(growing(first, step=step, largest=50), 2000)]
    parts = [*cut(chunks, sizes)]
    assert b"".join(parts) == b"".join(chunks)
    assert [len(part) for part in parts[:-1]] == sizes[: max(len(parts) - 1, 0)]
    assert all(parts)


def test_ten_thousand_growing_parts_hold_five_tebibytes() -> None:
    sizes = [*islice(growing(8 * MiB, step=800, largest=1024 * MiB), 10_000)]
    assert sum(sizes) >= 5 << 40
    assert sizes[:800] == [8 * MiB] * 800
    assert max(sizes) == 1 << 30


def test_answers_come_in_order_and_only_so_much_is_under_way(asking: Asking) -> None:
    under_way: set[int] = set()
    most = 0

    async def send(number: int, part: bytes) -> tuple[int, bytes]:
        nonlocal most
        under_way.add(number)
        most = max(most, len(under_way))
        for _ in range(20 - number):  # the later ones end first
            await asyncio.sleep(0)
        under_way.remove(number)
        return number, part

    parts = [bytes([number]) * 10 for number in range(1, 20)]
    assert send_parts(asking, send, iter(parts), room=40) == [*enumerate(parts, start=1)]
    assert most <= 4


def test_a_part_that_is_slow_holds_up_no_other(asking: Asking) -> None:
    sent: list[int] = []
    all_others_sent = asyncio.Event()

    async def send(number: int, part: bytes) -> int:
        if number == 1:
            await all_others_sent.wait()
        sent.append(number)
        if len(sent) == 9:
            all_others_sent.set()
        return number

    assert send_parts(asking, send, iter([b"a"] * 10), room=2) == [*range(1, 11)]
    assert sent == [*range(2, 11), 1]


def test_a_part_that_fails_for_good_ends_those_under_way(asking: Asking) -> None:
    cancelled = threading.Event()

    async def send(number: int, part: bytes) -> int:
        if number == 1:
            raise PermissionError(13, "Permission denied")
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return number

    with pytest.raises(PermissionError):
        send_parts(asking, send, iter([b"a", b"b"]), room=10)
    assert cancelled.wait(5)


def test_a_part_that_fails_in_a_way_that_may_pass_is_sent_again(asking: Asking) -> None:
    attempts: list[bytes] = []

    async def send(number: int, part: bytes) -> bytes:
        attempts.append(part)
        if len(attempts) < 3:
            raise ConnectionResetError(104, "Connection reset by peer")
        return part

    assert send_parts(asking, send, iter([b"a"]), room=10) == [b"a"]
    assert attempts == [b"a"] * 3


def test_a_part_may_take_as_long_as_all_that_share_the_link(asking: Asking) -> None:
    # Alone, one byte would have a fifth of a second, and a hundred have twenty.
    impatient = Asking(Transfer(time_limit=0.1, slowest=10, patience=0.1), asking.loop)

    async def send(number: int, part: bytes) -> bytes:
        await asyncio.sleep(0.4)
        return part

    assert send_parts(impatient, send, iter([b"a", b"b"]), room=200) == [b"a", b"b"]


def test_what_the_parts_raise_passes_unchanged(asking: Asking) -> None:
    async def send(number: int, part: bytes) -> int:
        return number

    error = ValueError("from the source")

    def parts() -> Iterator[bytes]:
        yield b"a"
        raise error

    with pytest.raises(ValueError, match="from the source") as caught:
        send_parts(asking, send, parts(), room=10)
    assert caught.value is error
