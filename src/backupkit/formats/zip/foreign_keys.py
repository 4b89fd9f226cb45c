"""Keys for the entries of somebody else's archive: WinZip AES of every length, and ZipCrypto."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any, Protocol

from backupkit._chunks import hold_back
from backupkit.errors import IntegrityError
from backupkit.formats.zip.aes import TAG_SIZE, counter_mode
from backupkit.formats.zip.foreign_records import STREAMED, ForeignRecord
from backupkit.formats.zip.key_derivation import VERIFIER_SIZE


class Key(Protocol):
    """What decrypts one entry; each call begins anew."""

    def decrypt(self, chunks: Iterator[bytes]) -> Iterator[bytes]: ...


def head_size(record: ForeignRecord) -> int:
    """The bytes before the encrypted content, by which keys are tried."""
    return 12 if record.aes is None else record.aes[1] // 2 + VERIFIER_SIZE


def key_for(record: ForeignRecord, secret: bytes, head: bytes) -> Key | None:
    """The entry's key, unless it shows that the secret is not the one.

    One wrong secret in 65,536 passes with AES, one in 256 with ZipCrypto.
    """
    if record.aes is None:
        return _zip_crypto(record, secret, head)
    return _aes(record.aes[1], secret, head)


@dataclass(frozen=True, slots=True)
class _AESKey:
    cipher: bytes = field(repr=False)
    tag: bytes = field(repr=False)

    def decrypt(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        crypt = counter_mode(self.cipher)
        tag = hmac.new(self.tag, digestmod="sha1")
        stored = bytearray()
        for sealed in hold_back(chunks, TAG_SIZE, stored):
            tag.update(sealed)
            yield crypt(sealed)
        if not hmac.compare_digest(tag.digest()[:TAG_SIZE], stored):
            raise IntegrityError("its authentication code does not match", where="zip entry")


def _aes(size: int, secret: bytes, head: bytes) -> Key | None:
    from cryptography.hazmat.primitives.hashes import SHA1
    from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

    salt, verifier = head[:-VERIFIER_SIZE], head[-VERIFIER_SIZE:]
    derived = PBKDF2HMAC(SHA1(), 2 * size + VERIFIER_SIZE, salt, 1000).derive(secret)  # noqa: S303 - the standard's
    if not hmac.compare_digest(derived[2 * size :], verifier):
        return None
    return _AESKey(derived[:size], derived[size : 2 * size])


@dataclass(frozen=True, slots=True)
class _ZipCryptoKey:
    start: Callable[[], Any] = field(repr=False)  # it holds the passphrase

    def decrypt(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        crypt = self.start()
        for chunk in chunks:
            yield crypt.decrypt(chunk)


def _zip_crypto(record: ForeignRecord, secret: bytes, head: bytes) -> Key | None:
    from pyzipper.zipfile import CRCZipDecrypter

    # What of pyzipper's own record it looks at.
    info = SimpleNamespace(
        filename=record.name,
        CRC=record.crc,
        use_datadescripter=record.flags & STREAMED,
        _raw_time=record.raw_time,
    )
    start = partial(CRCZipDecrypter, info, secret, head)
    try:
        start()
    except RuntimeError:  # the last byte of the head is not the one that the directory has
        return None
    return _ZipCryptoKey(start)
