from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from backupkit.filesystems.filling import Filling


@given(st.integers(0, 50), st.lists(st.binary(max_size=20)))
def test_what_is_taken_is_what_came_as_far_as_there_was_room(size: int, chunks: list[bytes]) -> None:
    filling = Filling(size)
    written = sum(filling.write(chunk) for chunk in chunks)
    came = b"".join(chunks)[:size]
    assert (written, filling.room) == (len(came), size - len(came))
    assert filling.taken() == came


def test_what_was_taken_is_not_held_any_more() -> None:
    filling = Filling(3)
    filling.write(b"abc")
    filling.taken()
    assert filling.taken() == b""
