"""WinZip AES-256 (AE-2): salt and verifier, AES in little-endian counter mode, HMAC-SHA1 cut to ten bytes.

Source: "AES Encryption Information: Encryption Specification AE-1 and AE-2", WinZip Computing, 2009.
"""

from __future__ import annotations

import hmac
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain

from Cryptodome.Util.strxor import strxor
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from backupkit._chunks import closing_iterator, hold_back
from backupkit.errors import IntegrityError, WrongPassphraseError
from backupkit.formats.zip.key_derivation import SALT_SIZE, VERIFIER_SIZE, KeyDerivation, Keys
from backupkit.passphrase import Passphrase
from backupkit.protocols import Chunks

TAG_SIZE = 10
_FORGOTTEN = 4096  # keys of damaged units are never asked for
OVERHEAD = SALT_SIZE + VERIFIER_SIZE + TAG_SIZE

_BLOCK = 16
_PAGE_BLOCKS = 1 << 16
_PAGE = _PAGE_BLOCKS * _BLOCK


def _first_counters() -> bytes:
    """The counters 0 to 65535, 16 bytes each, least significant byte first."""
    counters = bytearray(_PAGE)
    counters[0::_BLOCK] = bytes(range(256)) * 256
    counters[1::_BLOCK] = b"".join(bytes((high,)) * 256 for high in range(256))
    return bytes(counters)


_COUNTERS = _first_counters()
_ECB = modes.ECB()  # noqa: S305 - counter mode is built on it


class WinZipAES:
    """The encryption that ZIP itself can record; each unit under a key of its own, from a fresh salt.

    A key costs 1000 rounds of PBKDF2 per unit, which is what small files spend their time on: keys for units to
    come are derived together with the one that is needed now, where that costs next to nothing. Decrypted chunks
    are authenticated only when the iterator has ended without an error.
    """

    scheme = "winzip-aes-256"

    def __init__(self, passphrase: Passphrase) -> None:
        self.passphrase = passphrase
        self._derivation = KeyDerivation(passphrase)
        self._fresh: deque[tuple[bytes, Keys]] = deque()  # salts nothing was encrypted under yet
        self._process = os.getpid()  # that they are for: after a fork, two would encrypt under the same key
        self._expected: dict[bytes, Keys] = {}

    def encrypt(self, chunks: Chunks) -> Iterator[bytes]:
        salt, keys = self._fresh_keys()
        with closing_iterator(chunks) as iterator:
            first, second = next(iterator, b""), next(iterator, None)
            if second is None:  # most units are small: one piece, and no objects to be updated
                sealed = _crypted(keys.cipher, first)
                yield b"".join(
                    (salt, keys.verifier, sealed, hmac.digest(keys.tag, sealed, "sha1")[:TAG_SIZE])
                )
                return
            crypt = counter_mode(keys.cipher)
            yield salt + keys.verifier
            tag = hmac.new(keys.tag, digestmod="sha1")
            for chunk in chain((first, second), iterator):
                sealed = crypt(chunk)
                tag.update(sealed)
                yield sealed
            yield tag.digest()[:TAG_SIZE]

    def expect(self, units: Sequence[bytes]) -> None:
        """Derive together the keys of units that are about to be decrypted, given the first bytes of each."""
        salts = [bytes(unit[:SALT_SIZE]) for unit in units if len(unit) >= SALT_SIZE]
        if len(self._expected) > _FORGOTTEN:
            self._expected.clear()
        self._expected.update(zip(salts, self._derivation.derive(salts), strict=True))

    def decrypt(self, chunks: Chunks) -> Iterator[bytes]:
        with closing_iterator(chunks) as iterator:
            head = next(iterator, b"")
            while (chunk := next(iterator, None)) is not None and len(head) < OVERHEAD:
                head += chunk
            if len(head) < OVERHEAD:
                raise IntegrityError("The encrypted data ends too early.", where=self.scheme)
            keys = self._keys_of(head)
            body = head[SALT_SIZE + VERIFIER_SIZE :]
            if chunk is None:  # a small unit, authenticated before any of it is given out
                sealed, stored = body[:-TAG_SIZE], body[-TAG_SIZE:]
                self._compare(hmac.digest(keys.tag, sealed, "sha1"), stored)
                yield _crypted(keys.cipher, sealed)
                return
            crypt = counter_mode(keys.cipher)
            tag = hmac.new(keys.tag, digestmod="sha1")
            tail = bytearray()
            for sealed in hold_back(chain((body, chunk), iterator), TAG_SIZE, tail):
                tag.update(sealed)
                yield crypt(sealed)
            self._compare(tag.digest(), tail)

    def _keys_of(self, head: bytes) -> Keys:
        salt = bytes(head[:SALT_SIZE])
        keys = self._expected.pop(salt, None) or self._derivation.derive([salt])[0]
        if not hmac.compare_digest(keys.verifier, head[SALT_SIZE : SALT_SIZE + VERIFIER_SIZE]):
            raise WrongPassphraseError(
                f"The passphrase from {self.passphrase.origin} does not open this archive: "
                "give the one it was made with."
            )
        return keys

    def _compare(self, tag: bytes, stored: bytes | bytearray) -> None:
        if not hmac.compare_digest(tag[:TAG_SIZE], stored):
            raise IntegrityError(
                "The encrypted data is damaged: its authentication code does not match.", where=self.scheme
            )

    def _fresh_keys(self) -> tuple[bytes, Keys]:
        if self._process != os.getpid():
            self._fresh.clear()
            self._process = os.getpid()
        try:
            return self._fresh.popleft()
        except IndexError:
            salts = [os.urandom(SALT_SIZE) for _ in range(self._derivation.at_once())]
            first, *others = zip(salts, self._derivation.derive(salts), strict=True)
            self._fresh.extend(others)
            return first


def counter_mode(key: bytes) -> Callable[[bytes], bytes]:
    """A function that en- or decrypts the next bytes of one stream.

    AES-CTR of the usual libraries counts big-endian; WinZip counts little-endian, from one. Encrypting a
    page of counters with AES-ECB and a vectorised XOR is several times faster than the one library that
    has a little-endian counter.
    """
    ecb = Cipher(algorithms.AES(key), _ECB).encryptor()
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


def _crypted(key: bytes, data: bytes) -> bytes:
    """What `counter_mode` makes of a whole unit, with less around it for a small one."""
    if not 0 < len(data) <= _PAGE - 2 * _BLOCK:
        return counter_mode(key)(data)
    ecb = Cipher(algorithms.AES(key), _ECB).encryptor()
    stream = ecb.update(_COUNTERS[_BLOCK : _BLOCK + len(data) + -len(data) % _BLOCK])
    return strxor(data, stream[: len(data)])
