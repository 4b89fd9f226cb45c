"""One entry of an archive of ours, from the bytes at its place to its content."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from backupkit._chunks import closing_iterator
from backupkit._parallel import read_ahead
from backupkit.compression import Deflate, Store, Zstd
from backupkit.errors import IntegrityError
from backupkit.formats.zip.ranges import Parts
from backupkit.formats.zip.records import ALGORITHMS, Record, pack_descriptor, pack_local
from backupkit.protocols import Compressor, Encryptor

_DECOMPRESSORS: dict[str, Compressor] = {one.algorithm: one for one in (Store(), Deflate(), Zstd())}
_LARGE = 1 << 20  # bytes of a body from which on threads are worth their while
_AHEAD = 4  # chunks


def decoded(
    record: Record, encryptor: Encryptor | None, stream: Iterator[bytes], *, threads: bool
) -> Iterator[bytes]:
    """The content of an entry; all that stands around it is compared with what it must be.

    `stream` has the bytes at its place and is closed. With `threads`, one of them decrypts a large entry and
    another decompresses it, ahead of what the caller does with it.
    """
    head, foot = pack_local(record), pack_descriptor(record)
    name = record.name.decode(errors="replace")
    crc = size = 0
    with closing_iterator(stream):
        parts = Parts(stream)
        if b"".join(parts.take(len(head))) != head:
            raise IntegrityError("its local header was changed", where=name)
        with _opened(record, encryptor, parts.take(record.stored), threads) as chunks:
            for chunk in chunks:
                size += len(chunk)
                if size > record.size:
                    break
                if not record.encrypted:
                    crc = zlib.crc32(chunk, crc)
                yield chunk
        if size != record.size or crc != record.crc:
            raise IntegrityError("its size or checksum is not the one recorded", where=name)
        if b"".join(parts.take(len(foot))) != foot:
            raise IntegrityError("its data descriptor was changed", where=name)


@contextmanager
def _opened(
    record: Record, encryptor: Encryptor | None, body: Iterator[bytes], threads: bool
) -> Iterator[Iterator[bytes]]:
    """Decrypt and decompress; what is begun is closed in the order that lets no thread be in the way."""

    def ahead(chunks: Iterator[bytes]) -> Iterator[bytes]:
        return read_ahead(chunks, _AHEAD) if threads and record.stored > _LARGE else chunks

    decompress = _DECOMPRESSORS[_algorithm(record)].decompress
    decrypted = ahead(encryptor.decrypt(body)) if record.encrypted and encryptor is not None else body
    with closing_iterator(decrypted), closing_iterator(ahead(decompress(decrypted))) as chunks:
        yield chunks


def _algorithm(record: Record) -> str:
    if record.method not in ALGORITHMS:
        name = record.name.decode(errors="replace")
        raise IntegrityError(f"its method, {record.method}, is unknown", where=name)
    return ALGORITHMS[record.method]
