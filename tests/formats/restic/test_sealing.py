"""Encrypting and authenticating, held against the same made of primitives by hand."""

from __future__ import annotations

import copy
import pickle
import re
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from Cryptodome.Cipher import AES
from cryptography.hazmat.primitives.poly1305 import Poly1305
from hypothesis import given
from hypothesis import strategies as st

from backupkit.errors import IntegrityError
from backupkit.formats.restic.sealing import OVERHEAD, MasterKey, Sealer

SECRET = bytes(range(64))
KEY = MasterKey.of(SECRET)


def by_hand(plain: bytes, nonce: bytes) -> bytes:
    """The design document's "Keys, Encryption and MAC", by another library as far as there is one."""
    cipher = AES.new(SECRET[:32], AES.MODE_CTR, nonce=b"", initial_value=nonce)
    ciphertext = cipher.encrypt(plain)
    one_time_key = SECRET[48:64] + AES.new(SECRET[32:48], AES.MODE_ECB).encrypt(nonce)
    return nonce + ciphertext + Poly1305.generate_tag(one_time_key, ciphertext)


@given(st.binary(max_size=200), st.binary(min_size=16, max_size=16))
def test_it_unseals_what_was_sealed_by_hand(plain: bytes, nonce: bytes) -> None:
    assert Sealer(KEY).unseal(by_hand(plain, nonce), where="it") == plain


@given(st.binary(max_size=200))
def test_it_seals_as_it_is_done_by_hand(plain: bytes) -> None:
    sealed = Sealer(KEY).seal(plain)
    assert sealed == by_hand(plain, sealed[:16])
    assert len(sealed) == len(plain) + OVERHEAD


def test_a_nonce_is_never_used_again() -> None:
    sealer = Sealer(KEY)
    assert len({sealer.seal(b"the same")[:16] for _ in range(1000)}) == 1000


def test_a_counter_that_runs_over_goes_on_from_zero() -> None:
    plain = bytes(100)
    assert Sealer(KEY).unseal(by_hand(plain, b"\xff" * 16), where="it") == plain


def test_any_flipped_bit_is_noticed_and_where_is_said() -> None:
    sealer = Sealer(KEY)
    sealed = sealer.seal(b"some plain bytes")
    for position in range(8 * len(sealed)):
        flipped = bytearray(sealed)
        flipped[position // 8] ^= 1 << position % 8
        with pytest.raises(IntegrityError, match="data/ab is not what was written") as caught:
            sealer.unseal(bytes(flipped), where="data/ab")
        assert caught.value.where == "data/ab"


def test_bytes_that_are_missing_or_too_many_are_noticed() -> None:
    sealer = Sealer(KEY)
    sealed = sealer.seal(b"some plain bytes")
    for wrong in (*(sealed[:length] for length in range(len(sealed))), sealed + b"\0", sealed[1:]):
        with pytest.raises(IntegrityError):
            sealer.unseal(wrong, where="it")


def test_what_was_sealed_under_another_key_is_not_unsealed() -> None:
    for position in range(64):
        other = bytearray(SECRET)
        other[position] ^= 4  # no bit that Poly1305 ignores
        sealed = Sealer(MasterKey.of(bytes(other))).seal(b"some plain bytes")
        if position < 32:  # of AES, which authenticates nothing: the MAC is over the ciphertext
            assert Sealer(KEY).unseal(sealed, where="it") != b"some plain bytes"
        else:
            with pytest.raises(IntegrityError):
                Sealer(KEY).unseal(sealed, where="it")


def test_one_serves_many_threads() -> None:
    sealer = Sealer(KEY)

    def there_and_back(number: int) -> bool:
        plain = number.to_bytes(4, "big") * 5000
        return sealer.unseal(memoryview(sealer.seal(memoryview(plain))), where="it") == plain

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(there_and_back, range(500)))


def test_another_process_may_have_it() -> None:
    sealer = Sealer(KEY)
    sealed = sealer.seal(b"plain")
    assert pickle.loads(pickle.dumps(sealer)).unseal(sealed, where="it") == b"plain"
    assert copy.copy(sealer).unseal(sealed, where="it") == b"plain"


def test_a_master_key_is_written_as_json_and_read_back() -> None:
    assert KEY.fields() == {
        "mac": {"k": "ICEiIyQlJicoKSorLC0uLw==", "r": "MDEyMzQ1Njc4OTo7PD0+Pw=="},
        "encrypt": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    }
    assert MasterKey.from_fields(KEY.fields()) == KEY
    assert MasterKey.made() != MasterKey.made()


@pytest.mark.parametrize(
    "fields",
    [
        {}, {"encrypt": "AAAA"}, {"mac": {}, "encrypt": ""}, {"mac": {"k": 5, "r": 5}, "encrypt": 5},
        {"mac": KEY.fields()["mac"], "encrypt": "AAAA"}, {"mac": KEY.fields()["mac"], "encrypt": "A" * 43 + "="},
        {"mac": KEY.fields()["mac"], "encrypt": "?"}, {"mac": 5, "encrypt": "AAAA"},
    ],
)  # fmt: skip
def test_what_is_no_master_key_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        MasterKey.from_fields(fields)


def test_secrets_are_not_shown() -> None:
    for one in (repr(KEY), repr(Sealer(KEY)), str(KEY)):
        shown = re.sub(" at 0x[0-9a-f]+", "", one)  # an address may have two bytes of it by chance
        assert not any(
            f"{a:02x}{b:02x}" in shown or f"\\x{a:02x}\\x{b:02x}" in shown for a, b in pairwise(SECRET)
        )
        assert "AAEC" not in shown
