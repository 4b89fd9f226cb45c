from __future__ import annotations

import io
import os
import zlib
from random import Random

import pytest
import pyzipper
from Cryptodome.Cipher import AES
from Cryptodome.Util import Counter
from hypothesis import given
from hypothesis import strategies as st

from backupkit._chunks import rechunk
from backupkit.errors import ConfigurationError, IntegrityError, WrongPassphraseError
from backupkit.formats.zip import aes
from backupkit.formats.zip.aes import OVERHEAD, WinZipAES
from backupkit.formats.zip.key_derivation import SALT_SIZE, KeyDerivation
from backupkit.passphrase import Passphrase
from backupkit.protocols import Encryptor
from backupkit.testing.codecs import EncryptorTests
from tests.formats.zip.toy import ToyEncryptor

MiB = 1 << 20
RANDOM = Random(11).randbytes(3 * MiB + 33)
SECRET = "five words are long enough"


class TestWinZipAES(EncryptorTests):
    def make_encryptor(self) -> Encryptor:
        return WinZipAES(Passphrase(SECRET))

    def make_wrong_encryptor(self) -> Encryptor:
        return WinZipAES(Passphrase("but these are not they"))


class TestToyEncryptor(EncryptorTests):
    def make_encryptor(self) -> Encryptor:
        return ToyEncryptor(b"key")

    def make_wrong_encryptor(self) -> Encryptor:
        return ToyEncryptor(b"another")


@pytest.mark.parametrize("chunk", [1000, 65_536, MiB - 16, MiB - 15, MiB, MiB + 1, 4 * MiB])
def test_the_key_stream_is_that_of_a_little_endian_counter(chunk: int) -> None:
    key = bytes(range(32))
    crypt = aes.counter_mode(key)
    ours = b"".join(crypt(part) for part in rechunk([RANDOM], chunk))
    counter = Counter.new(128, initial_value=1, little_endian=True)
    assert ours == AES.new(key, AES.MODE_CTR, counter=counter).encrypt(RANDOM)


@given(st.lists(st.integers(0, 70), max_size=12), st.integers(0, 40))
def test_chunks_of_any_size_across_a_page_make_one_stream(sizes: list[int], before: int) -> None:
    page = MiB - aes._BLOCK
    parts = [
        RANDOM[: page - before],
        *(RANDOM[page + at : page + at + size] for at, size in enumerate(sizes)),
    ]
    data = b"".join(parts)
    crypt = aes.counter_mode(b"k" * 32)
    counter = Counter.new(128, initial_value=1, little_endian=True)
    assert b"".join(map(crypt, parts)) == AES.new(b"k" * 32, AES.MODE_CTR, counter=counter).encrypt(data)


@pytest.mark.parametrize("page", [0xFF, 0x100, 0xFFFF, 0x10000, 0xFFFFFF])
def test_the_counter_carries_into_every_byte(page: int) -> None:
    key = b"k" * 32
    first = page << 16 | 0xFFFF
    cipher = AES.new(key, AES.MODE_ECB)
    expected = b"".join(cipher.encrypt(number.to_bytes(16, "little")) for number in (first, first + 1))
    assert key_stream_from(key, first, 2) == expected


def key_stream_from(key: bytes, block: int, count: int) -> bytes:
    crypt = aes.counter_mode(key)
    # To get there without producing everything before it, only where it stands is moved.
    closure = dict(zip(crypt.__code__.co_freevars, crypt.__closure__ or (), strict=True))
    closure["position"].cell_contents = block * 16
    return crypt(bytes(16 * count))


@pytest.mark.parametrize("content", [b"", b"x", RANDOM], ids=["empty", "one-byte", "long"])
def test_a_unit_grows_by_a_salt_a_verifier_and_a_tag(content: bytes) -> None:
    sealed = b"".join(WinZipAES(Passphrase(SECRET)).encrypt([content]))
    assert len(sealed) == len(content) + OVERHEAD == len(content) + 28


@pytest.mark.parametrize("content", [b"", b"x", RANDOM[: MiB + 5]], ids=["empty", "one-byte", "long"])
@pytest.mark.parametrize("method", [pyzipper.ZIP_STORED, pyzipper.ZIP_DEFLATED])
def test_what_pyzipper_sealed_is_opened(content: bytes, method: int) -> None:
    buffer = io.BytesIO()
    with pyzipper.AESZipFile(buffer, "w", compression=method, encryption=pyzipper.WZ_AES) as archive:
        archive.setpassword(SECRET.encode())
        archive.writestr("f", content)
        info = archive.infolist()[0]
    data = buffer.getvalue()
    name_length, extra_length = data[26] | data[27] << 8, data[28] | data[29] << 8
    start = info.header_offset + 30 + name_length + extra_length
    body = b"".join(WinZipAES(Passphrase(SECRET)).decrypt([data[start : start + info.compress_size]]))
    if method == pyzipper.ZIP_STORED:
        assert body == content
    else:
        assert zlib.decompress(body, wbits=-15) == content


def test_a_wrong_passphrase_is_told_from_damage_and_names_where_it_came_from() -> None:
    sealed = b"".join(WinZipAES(Passphrase(SECRET)).encrypt([b"content"]))
    with pytest.raises(WrongPassphraseError, match="text") as caught:
        list(WinZipAES(Passphrase("wrong, quite wrong")).decrypt([sealed]))
    assert "quite" not in str(caught.value)
    with pytest.raises(IntegrityError, match="authentication"):
        list(WinZipAES(Passphrase(SECRET)).decrypt([sealed[:20] + b"C" + sealed[21:]]))


def test_a_passphrase_of_more_than_99_bytes_is_refused_before_anything_is_sealed() -> None:
    for use in (WinZipAES(Passphrase("x" * 100)).encrypt, WinZipAES(Passphrase("ä" * 50)).encrypt):
        with pytest.raises(ConfigurationError, match="99 bytes"):
            next(use([b"content"]))
    assert next(WinZipAES(Passphrase("x" * 99)).encrypt([b"content"]))


def test_after_a_fork_no_salt_is_used_by_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KeyDerivation, "at_once", lambda self: 8)
    encryptor = WinZipAES(Passphrase(SECRET))
    first = b"".join(encryptor.encrypt([b"x"]))[:SALT_SIZE]  # seven more are ready now
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, b"".join(b"".join(encryptor.encrypt([b"x"]))[:SALT_SIZE] for _ in range(7)))
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        childs = pipe.read()
    os.waitpid(child, 0)
    salts = [first, *(b"".join(encryptor.encrypt([b"x"]))[:SALT_SIZE] for _ in range(7))]
    assert len(childs) == 7 * SALT_SIZE
    salts += [childs[at : at + SALT_SIZE] for at in range(0, len(childs), SALT_SIZE)]
    assert len(set(salts)) == 15
