"""Blobs: what is sealed is what was meant, and what is unsealed is what its id says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256

import pytest
import zstandard

from backupkit.compression import Store, Zstd
from backupkit.errors import IntegrityError
from backupkit.formats.restic.blobs import seal_blob, unseal_blob
from backupkit.formats.restic.sealing import MasterKey, Sealer
from backupkit.protocols import Compressor

KEY = MasterKey.of(bytes(range(64)))
PLAIN = b"what was meant " * 100
OTHER = b"something else " * 100


class Spoiling(Sealer):
    """As if a bit had changed in memory before anything was encrypted."""

    def seal(self, plain: bytes | memoryview) -> bytes:
        return super().seal(bytes([plain[0] ^ 1]) + bytes(plain[1:]))


class Wrong(Zstd):
    """A compressor of which a right frame of other bytes comes."""

    def compress(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        list(chunks)
        yield zstandard.compress(OTHER)


@pytest.mark.parametrize(
    ("compressor", "sealer"), [(Store(), Spoiling(KEY)), (Wrong(), Sealer(KEY))], ids=["sealed", "compressed"]
)
def test_a_blob_that_came_out_wrong_is_never_stored(compressor: Compressor, sealer: Sealer) -> None:
    with pytest.raises(IntegrityError, match="came out wrong when it was sealed"):
        seal_blob(PLAIN, compressor, sealer)


@pytest.mark.parametrize("compressor", [Store(), Zstd()])
def test_a_blob_that_is_sealed_rightly_but_is_another_one_is_refused(compressor: Compressor) -> None:
    sealed, uncompressed = seal_blob(OTHER, compressor, Sealer(KEY))
    with pytest.raises(IntegrityError, match="the pack is not what was written: its hash is another"):
        unseal_blob(sealed, uncompressed, sha256(PLAIN).digest(), Sealer(KEY), where="the pack")
