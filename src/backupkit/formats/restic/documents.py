"""The JSON objects of a repository, sealed (restic design document, "Unpacked Data Format")."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import zstandard

from backupkit.errors import IntegrityError
from backupkit.formats.restic import go_json
from backupkit.formats.restic.sealing import Sealer

_COMPRESSED = 2  # the encoding version, before the compressed document
_LIMIT = 1 << 28  # bytes of one document; restic keeps its largest, indexes, below 8 MiB


def encode(document: Mapping[str, Any] | bytes, sealer: Sealer, *, compressed: bool = True) -> bytes:
    """A document, or its JSON, as it is stored. The config is not compressed: any version can read its own."""
    plain = document if isinstance(document, bytes) else go_json.dumps(document)
    if compressed:
        plain = bytes([_COMPRESSED]) + zstandard.ZstdCompressor().compress(plain)
    return sealer.seal(plain)


def decode(stored: bytes, sealer: Sealer, *, where: str) -> Any:
    """The document that these bytes hold; IntegrityError, naming `where`, if they hold none."""
    plain = sealer.unseal(stored, where=where)
    try:
        if plain[:1] not in (b"{", b"["):
            plain = _decompressed(plain)
        return json.loads(plain)
    except (ValueError, RecursionError, zstandard.ZstdError) as error:
        raise IntegrityError(f"{where} holds no document: {error}.", where=where) from error


def _decompressed(plain: bytes) -> bytes:
    if plain[:1] != bytes([_COMPRESSED]):
        raise ValueError(f"its encoding version is {plain[:1].hex() or 'missing'}, not {_COMPRESSED:02x}")
    with zstandard.ZstdDecompressor().stream_reader(memoryview(plain)[1:]) as reader:
        document = reader.read(_LIMIT + 1)
    if len(document) > _LIMIT:
        raise ValueError(f"it is larger than {_LIMIT} bytes")
    return document
