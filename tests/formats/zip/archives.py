"""Archives in memory, for tests that look at them without a repository."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from datetime import UTC, datetime

from backupkit.compression import Deflate
from backupkit.formats.zip import manifest
from backupkit.formats.zip.aes import WinZipAES
from backupkit.formats.zip.ranges import DirectRanges
from backupkit.formats.zip.reader import ArchiveReader
from backupkit.formats.zip.records import Record, find_directory, unpack_directory
from backupkit.formats.zip.writer import ArchiveWriter
from backupkit.model import Entry, Problem
from backupkit.passphrase import Passphrase
from backupkit.protocols import Compressor, Encryptor
from backupkit.retrying import Retry
from backupkit.testing.destinations import MemoryDestination

MiB = 1 << 20

HEADER = manifest.Header(
    id="2026-01-31T12-00-00.000000Z",
    name="shop",
    time=datetime(2026, 1, 31, 12, tzinfo=UTC),
    contents=frozenset({"files"}),
    host="web-1",
    tags=("nightly",),
)
KEY = WinZipAES(Passphrase("five words are long enough"))


def writer_of(
    *,
    compressor: Compressor | None = None,
    encryptor: Encryptor | None = None,
    executor: Executor | None = None,
    retry: Retry | None = None,
) -> ArchiveWriter:
    return ArchiveWriter(
        HEADER,
        compressor=compressor or Deflate(),
        encryptor=encryptor,
        executor=executor,
        retry=retry or Retry(tries=1),
    )


def archive_of(
    entries: Iterable[Entry | Problem],
    *,
    compressor: Compressor | None = None,
    encryptor: Encryptor | None = None,
    executor: Executor | None = None,
) -> bytes:
    writer = writer_of(compressor=compressor, encryptor=encryptor, executor=executor)
    return b"".join(writer.chunks(entries))


def reader_of(archive: bytes, *encryptors: Encryptor) -> ArchiveReader:
    destination = MemoryDestination()
    destination.write("archive.zip", [archive])
    return ArchiveReader(DirectRanges(destination, "archive.zip", len(archive)), encryptors=encryptors)


def contents_of(archive: bytes, *encryptors: Encryptor) -> dict[str, bytes]:
    """Everything that is in the archive, read in full."""
    return {e.path: b"".join(e.chunks()) for e in reader_of(archive, *encryptors).entries()}


def repeated(piece: bytes, count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield piece


def records_of(archive: bytes) -> list[Record]:
    """What the central directory says."""
    directory = find_directory(archive, len(archive))
    return [*unpack_directory(archive[directory.offset :][: directory.size], directory)]
