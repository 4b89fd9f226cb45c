from __future__ import annotations

import hashlib
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit.formats.zip.sha1_lanes import HmacPads, Lanes

pytest.importorskip("llvmlite", reason="llvmlite is not installed: pip install 'backupkit[speed]'")

SALTS = [bytes([number]) * 16 for number in range(40)]


@cache
def compiled(lanes: int) -> Lanes:
    return Lanes(lanes)


@pytest.mark.parametrize("lanes", [4, 8, 16, 32])
def test_all_widths_give_what_hashlib_gives(lanes: int) -> None:
    found = [*compiled(lanes).derive(HmacPads(b"secret"), SALTS, 1000)]
    assert found == [hashlib.pbkdf2_hmac("sha1", b"secret", salt, 1000, 80) for salt in SALTS]


@given(
    st.binary(max_size=100),
    st.lists(st.binary(min_size=16, max_size=16), max_size=20),
    st.integers(1, 3),
)
def test_any_secret_salts_and_rounds_give_what_hashlib_gives(
    secret: bytes, salts: list[bytes], rounds: int
) -> None:
    found = [*compiled(8).derive(HmacPads(secret), salts, rounds)]
    assert found == [hashlib.pbkdf2_hmac("sha1", secret, salt, rounds, 80) for salt in salts]
