"""Encrypting and authenticating: AES-256 in counter mode and Poly1305-AES (restic design document, "Keys …")."""

from __future__ import annotations

import os
import threading
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305

from backupkit.errors import IntegrityError

OVERHEAD = 32  # bytes that sealing adds: a nonce before, an authentication code after
_NONCE = _TAG = 16


@dataclass(frozen=True, slots=True)
class MasterKey:
    """64 secret bytes, of a repository or made of a passphrase: for AES, and `k` and `r` of the MAC."""

    encrypt: bytes = field(repr=False)
    mac_k: bytes = field(repr=False)
    mac_r: bytes = field(repr=False)

    @classmethod
    def made(cls) -> MasterKey:
        return cls.of(os.urandom(64))

    @classmethod
    def of(cls, secret: bytes) -> MasterKey:
        return cls(secret[:32], secret[32:48], secret[48:64])

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> MasterKey:
        """From its JSON; ValueError, KeyError or TypeError if that is none."""
        mac = fields["mac"]
        key = cls(*(b64decode(text, validate=True) for text in (fields["encrypt"], mac["k"], mac["r"])))
        if (len(key.encrypt), len(key.mac_k), len(key.mac_r)) != (32, 16, 16):
            raise ValueError("the master key has the wrong length")
        if not (any(key.encrypt) and any(key.mac_k) and any(key.mac_r)):
            raise ValueError("the master key is empty")
        return key

    def fields(self) -> dict[str, Any]:
        """As its JSON has it."""
        return {"mac": {"k": _text(self.mac_k), "r": _text(self.mac_r)}, "encrypt": _text(self.encrypt)}


class Sealer:
    """Seals and unseals under one key: `nonce || ciphertext || MAC`. One instance serves many threads."""

    def __init__(self, key: MasterKey) -> None:
        self._key = key
        self._local = threading.local()  # making ciphers anew: twice the time of a blob of 4 KiB

    def seal(self, plain: bytes | memoryview) -> bytes:
        """The sealed bytes, `OVERHEAD` more than given, under a fresh random nonce."""
        counter, block = self._ciphers()
        nonce = os.urandom(_NONCE)
        counter.reset_nonce(nonce)
        ciphertext = counter.update(plain)
        tag = Poly1305.generate_tag(self._key.mac_r + block.update(nonce), ciphertext)
        return b"".join((nonce, ciphertext, tag))

    def unseal(self, sealed: bytes | memoryview, *, where: str) -> bytes:
        """What was sealed; IntegrityError, naming `where`, if these are not those bytes, or of another key."""
        view = memoryview(sealed)
        if len(view) < OVERHEAD:
            raise IntegrityError(
                f"{where} is cut short: {len(view)} bytes are less than any has.", where=where
            )
        counter, block = self._ciphers()
        nonce, ciphertext = view[:_NONCE], view[_NONCE:-_TAG]
        try:
            Poly1305.verify_tag(self._key.mac_r + block.update(nonce), ciphertext, bytes(view[-_TAG:]))
        except InvalidSignature:
            raise IntegrityError(
                f"{where} is not what was written: its authentication code does not fit.", where=where
            ) from None
        counter.reset_nonce(bytes(nonce))
        return bytes(counter.update(ciphertext))

    def _ciphers(self) -> tuple[Any, Any]:
        try:
            return self._local.ciphers  # type: ignore[no-any-return]
        except AttributeError:
            counter = Cipher(algorithms.AES(self._key.encrypt), modes.CTR(bytes(_NONCE))).encryptor()
            # One block at a time, of a nonce that is never used again: what Poly1305-AES is made of.
            block = Cipher(algorithms.AES(self._key.mac_k), modes.ECB()).encryptor()  # noqa: S305
            self._local.ciphers = counter, block
            return counter, block

    def __reduce__(self) -> tuple[object, ...]:
        return Sealer, (self._key,)


def _text(secret: bytes) -> str:
    return b64encode(secret).decode()
