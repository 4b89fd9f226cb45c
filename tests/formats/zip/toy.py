"""An encryptor that ZIP has no record for. Good enough to notice damage; never to keep a secret."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterator
from itertools import chain

from backupkit._chunks import hold_back, rechunk
from backupkit.errors import IntegrityError, WrongPassphraseError
from backupkit.protocols import Chunks

_PAGE = 1 << 16


class ToyEncryptor:
    scheme = "toy"

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.decrypted = 0  # how many units were opened

    def encrypt(self, chunks: Chunks) -> Iterator[bytes]:
        nonce = os.urandom(16)
        yield nonce + self._check(nonce)
        tag = hmac.new(self.key + nonce, digestmod="sha256")
        for number, page in enumerate(rechunk(chunks, _PAGE)):
            sealed = self._mask(nonce, number, page)
            tag.update(sealed)
            yield sealed
        yield tag.digest()

    def decrypt(self, chunks: Chunks) -> Iterator[bytes]:
        self.decrypted += 1
        tail = bytearray()
        body = hold_back(chunks, 32, tail)
        head = b""
        while len(head) < 24:
            chunk = next(body, None)
            if chunk is None:
                raise IntegrityError("The toy ends too early.", where=self.scheme)
            head += chunk
        nonce, rest = head[:16], head[24:]
        if head[16:24] != self._check(nonce):
            raise WrongPassphraseError("This is not the key of the toy: give the other one.")
        tag = hmac.new(self.key + nonce, digestmod="sha256")
        for number, page in enumerate(rechunk(chain([rest], body), _PAGE)):
            tag.update(page)
            yield self._mask(nonce, number, page)
            yield b""  # nothing forbids it
        if bytes(tail) != tag.digest():
            raise IntegrityError("The toy is damaged.", where=self.scheme)

    def _check(self, nonce: bytes) -> bytes:
        return hashlib.sha256(self.key + nonce).digest()[:8]

    def _mask(self, nonce: bytes, number: int, page: bytes) -> bytes:
        stream = hashlib.shake_128(self.key + nonce + number.to_bytes(8, "big")).digest(len(page))
        return (int.from_bytes(page, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(page), "big")
