"""Sealed JSON."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import zstandard

from backupkit.errors import IntegrityError
from backupkit.formats.restic import documents
from backupkit.formats.restic.documents import decode, encode
from backupkit.formats.restic.sealing import MasterKey, Sealer

SEALER = Sealer(MasterKey.of(bytes(range(64))))
COMPRESS = zstandard.ZstdCompressor().compress


@pytest.mark.parametrize("document", [{}, [], {"packs": [{"id": "ab"}] * 100}])
@pytest.mark.parametrize("compressed", [True, False])
def test_a_document_is_itself_again_in_both_encodings(document: Any, compressed: bool) -> None:
    stored = encode(document, SEALER, compressed=compressed)
    assert decode(stored, SEALER, where="it") == document
    assert SEALER.unseal(stored, where="it")[:1] == (
        b"\2" if compressed else b"{" if document != [] else b"["
    )


@pytest.mark.parametrize(
    "plain",
    [
        b"", b"\2", b"\1" + COMPRESS(b"{}"), b"\3{}", b"\2{}", b"\2" + COMPRESS(b""), b"\2" + COMPRESS(b"{}")[:-3],
        b"{", b"{}{}", b"[" * 100_000, b"\2" + COMPRESS(b"[" * 100_000), b'{"a":\xff}', b"5", b"\2" + b"\xff" * 100,
    ],
)  # fmt: skip
def test_what_is_no_document_is_an_integrity_error(plain: bytes) -> None:
    with pytest.raises(IntegrityError, match="index/ab holds no document") as caught:
        decode(SEALER.seal(plain), SEALER, where="index/ab")
    assert caught.value.where == "index/ab"


def test_a_document_that_grows_beyond_measure_is_refused_before_it_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(documents, "_LIMIT", 1000)
    assert decode(SEALER.seal(b"\2" + COMPRESS(b"{" + b" " * 998 + b"}")), SEALER, where="it") == {}
    with pytest.raises(IntegrityError, match="larger than 1000 bytes"):
        decode(SEALER.seal(b"\2" + COMPRESS(b"{" + b" " * 999 + b"}")), SEALER, where="it")


def test_a_bomb_takes_no_more_memory_than_the_largest_document() -> None:
    script = """
import io, resource, zstandard
from backupkit.errors import IntegrityError
from backupkit.formats.restic import documents
from backupkit.formats.restic.sealing import MasterKey, Sealer
sealer = Sealer(MasterKey.of(bytes(range(64))))
bomb = io.BytesIO(b"\\2")
bomb.seek(1)
with zstandard.ZstdCompressor().stream_writer(bomb, closefd=False) as writer:
    for _ in range(1 << 9):
        writer.write(bytes(1 << 20))
sealed = sealer.seal(bomb.getvalue())
documents._LIMIT = 1 << 20
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    documents.decode(sealed, sealer, where="it")
except IntegrityError:
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert int(done.stdout) < 32 << 20
