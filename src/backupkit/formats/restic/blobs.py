"""Blobs: plain bytes, compressed if that helps, and sealed; and back again, checked."""

from __future__ import annotations

import hashlib
import threading
from typing import Any

import zstandard

from backupkit.errors import IntegrityError
from backupkit.formats.restic.sealing import Sealer
from backupkit.protocols import Compressor

_local = threading.local()


def seal_blob(plain: bytes | memoryview, compressor: Compressor, sealer: Sealer) -> tuple[bytes, int]:
    """The sealed bytes, and the length of the plain ones if they are compressed, else 0.

    They are unsealed again and compared before anybody relies on them: what memory or a processor got wrong
    would otherwise be noticed when it is restored.
    """
    uncompressed = 0
    body: bytes | memoryview = plain
    if compressor.algorithm != "store":
        compressed = b"".join(compressor.compress([plain]))  # type: ignore[list-item]  # a view is as good
        if len(compressed) < len(plain):
            body, uncompressed = compressed, len(plain)
    sealed = sealer.seal(body)
    again = sealer.unseal(sealed, where="memory")
    if (_decompressed(again, uncompressed) if uncompressed else again) != plain:
        raise IntegrityError(
            "A blob came out wrong when it was sealed: test this machine's memory.", where="memory"
        )
    return sealed, uncompressed


def unseal_blob(
    sealed: bytes | memoryview, uncompressed: int, id: bytes, sealer: Sealer, *, where: str
) -> bytes:
    """The plain bytes; IntegrityError, naming `where`, if their hash is not the blob's id."""
    plain = sealer.unseal(sealed, where=where)
    if uncompressed:
        try:
            plain = _decompressed(plain, uncompressed)
        except (zstandard.ZstdError, ValueError) as error:
            raise IntegrityError(f"{where} cannot be decompressed: {error}.", where=where) from error
    if hashlib.sha256(plain).digest() != id:
        raise IntegrityError(f"{where} is not what was written: its hash is another.", where=where)
    return plain


def _decompressed(body: bytes, length: int) -> bytes:
    """What one frame holds; the frame must say the length itself, or a few bytes could become any number."""
    if zstandard.frame_content_size(body) not in (length, -1):
        raise ValueError("its frame says another length than the index")
    plain: bytes = _decompressor().decompress(body, max_output_size=length)
    return plain


def _decompressor() -> Any:
    try:
        return _local.decompressor
    except AttributeError:
        _local.decompressor = zstandard.ZstdDecompressor()
        return _local.decompressor
