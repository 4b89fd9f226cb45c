"""WinZip AES-256 (AE-2): salt and verifier, AES in little-endian counter mode, HMAC-SHA1 cut to ten bytes.

Source: "AES Encryption Information: Encryption Specification AE-1 and AE-2", WinZip Computing, 2009.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Iterator

from backupkit._chunks import closing_iterator, hold_back
from backupkit.errors import ConfigurationError, IntegrityError, WrongPassphraseError
from backupkit.passphrase import Passphrase
from backupkit.protocols import Chunks

SALT_SIZE = 16
VERIFIER_SIZE = 2
TAG_SIZE = 10
OVERHEAD = SALT_SIZE + VERIFIER_SIZE + TAG_SIZE

_BLOCK = 16
_PAGE_BLOCKS = 1 << 16
_PAGE = _PAGE_BLOCKS * _BLOCK
_LONGEST = 99  # bytes; 7-Zip refuses more (kPasswordSizeMax in its WzAes.h)


def _first_counters() -> bytes:
    """The counters 0 to 65535, 16 bytes each, least significant byte first."""
    counters = bytearray(_PAGE)
    counters[0::_BLOCK] = bytes(range(256)) * 256
    counters[1::_BLOCK] = b"".join(bytes((high,)) * 256 for high in range(256))
    return bytes(counters)


_COUNTERS = _first_counters()


class WinZipAES:
    """The encryption that ZIP itself can record; each unit under a key of its own, from a fresh salt.

    A key costs 1000 rounds of PBKDF2 per unit, which is what small files spend their time on; it is derived
    when the unit's first chunk is pulled, off the GIL. Decrypted chunks are authenticated only when the
    iterator has ended without an error.
    """

    scheme = "winzip-aes-256"

    def __init__(self, passphrase: Passphrase) -> None:
        self.passphrase = passphrase

    def encrypt(self, chunks: Chunks) -> Iterator[bytes]:
        salt = os.urandom(SALT_SIZE)
        cipher_key, tag_key, verifier = self._keys(salt)
        yield salt + verifier
        crypt = _counter_mode(cipher_key)
        tag = hmac.new(tag_key, digestmod="sha1")
        for chunk in chunks:
            sealed = crypt(chunk)
            tag.update(sealed)
            yield sealed
        yield tag.digest()[:TAG_SIZE]

    def decrypt(self, chunks: Chunks) -> Iterator[bytes]:
        with closing_iterator(chunks) as iterator:
            head = bytearray()
            while len(head) < SALT_SIZE + VERIFIER_SIZE:
                chunk = next(iterator, None)
                if chunk is None:
                    raise IntegrityError("The encrypted data ends too early.", where=self.scheme)
                head += chunk
            rest = bytes(head[SALT_SIZE + VERIFIER_SIZE :])
            cipher_key, tag_key, verifier = self._keys(bytes(head[:SALT_SIZE]))
            if not hmac.compare_digest(verifier, head[SALT_SIZE : SALT_SIZE + VERIFIER_SIZE]):
                raise WrongPassphraseError(
                    f"The passphrase from {self.passphrase.origin} does not open this archive: "
                    "give the one it was made with."
                )
            crypt = _counter_mode(cipher_key)
            tag = hmac.new(tag_key, digestmod="sha1")
            stored = bytearray()
            for sealed in hold_back(_after(rest, iterator), TAG_SIZE, stored):
                tag.update(sealed)
                yield crypt(sealed)
            if not hmac.compare_digest(tag.digest()[:TAG_SIZE], stored):
                raise IntegrityError(
                    "The encrypted data is damaged: its authentication code does not match.",
                    where=self.scheme,
                )

    def _keys(self, salt: bytes) -> tuple[bytes, bytes, bytes]:
        from cryptography.hazmat.primitives.hashes import SHA1
        from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

        secret = self.passphrase.reveal()
        if len(secret) > _LONGEST:
            raise ConfigurationError(
                f"The passphrase from {self.passphrase.origin} is longer than {_LONGEST} bytes, which 7-Zip "
                "cannot type: use a shorter one."
            )
        derived = PBKDF2HMAC(SHA1(), 66, salt, 1000).derive(secret)  # noqa: S303 - AE-2 fixes the hash
        return derived[:32], derived[32:64], derived[64:]


def _after(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _counter_mode(key: bytes) -> Callable[[bytes], bytes]:
    """A function that en- or decrypts the next bytes of one stream.

    AES-CTR of the usual libraries counts big-endian; WinZip counts little-endian, from one. Encrypting a
    page of counters with AES-ECB and a vectorised XOR is several times faster than the one library that
    has a little-endian counter.
    """
    from Cryptodome.Util.strxor import strxor
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    ecb = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305 - counter mode is built on it
    position = _BLOCK  # of the next byte, counted from the block of counter 0, which is never used
    page, counters = 0, bytearray()
    stream = bytearray()

    def crypt(data: bytes) -> bytes:
        nonlocal position, page, counters, stream
        parts = []
        start = 0
        while start < len(data):
            number, inside = divmod(position, _PAGE)
            count = min(len(data) - start, _PAGE - inside)
            if number != page or (number and not counters):
                # Within a page only the two lowest bytes differ; the others are the page's number.
                counters = counters or bytearray(_COUNTERS)
                changed = number ^ page
                for byte in range(8):
                    if changed >> (8 * byte) & 0xFF:
                        value = number >> (8 * byte) & 0xFF
                        counters[2 + byte :: _BLOCK] = bytes((value,)) * _PAGE_BLOCKS
                page = number
            begin, end = inside - inside % _BLOCK, inside + count + -(inside + count) % _BLOCK
            if len(stream) < end - begin + _BLOCK:
                stream = bytearray(end - begin + _BLOCK)
            with memoryview(counters or _COUNTERS) as blocks, memoryview(stream) as view:
                ecb.update_into(blocks[begin:end], view)
                skip = inside - begin
                with memoryview(data) as plain:
                    # Its stub knows bytes only; it takes any buffer.
                    parts.append(strxor(plain[start : start + count], view[skip : skip + count]))  # type: ignore[arg-type]
            position += count
            start += count
        return parts[0] if len(parts) == 1 else b"".join(parts)

    return crypt
