"""Compressors: `Store`, `Deflate`, `Zstd`. Chunks in, chunks out; one instance serves many threads."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

from backupkit._parallel import usable_processors
from backupkit.errors import ConfigurationError, IntegrityError
from backupkit.protocols import Chunks, Compressor

if TYPE_CHECKING:
    import zstandard

_PIECE = 1 << 18  # the largest piece of output, in bytes
# zstd's level 2 with a larger table and window, and longer matches: 1 to 5 % smaller, at its speed, on sources,
# logs, dumps and libraries of several MiB.
_LEVEL_2 = {"hash_log": 17, "window_log": 22, "min_match": 7}
_JOB = 2 << 20  # what a thread of zstd takes at a time; its own choice, four windows, doubles the memory


class Store:
    """No compression."""

    algorithm = "store"

    def compress(self, chunks: Chunks) -> Iterator[bytes]:
        yield from chunks

    def decompress(self, chunks: Chunks) -> Iterator[bytes]:
        yield from chunks

    def compress_piece(self, piece: bytes, *, last: bool) -> bytes:
        return piece

    def __repr__(self) -> str:
        return "Store()"


class Deflate:
    """Raw deflate (RFC 1951), which every ZIP tool reads.

    Levels 1 to 3 are ISA-L's, several times as fast as zlib's at the same size; 4 to 9 are zlib's and
    smaller. The default is the highest level before ISA-L slows down: level 3 takes half as long again for 1 %.
    """

    algorithm = "deflate"

    def __init__(self, level: int = 2) -> None:
        if not 1 <= level <= 9:
            raise ConfigurationError(f"Deflate(level={level}) is not possible: use a level from 1 to 9.")
        self.level = level

    def _compressor(self) -> Any:
        if self.level <= 3:
            from isal import isal_zlib

            return isal_zlib.compressobj(self.level, isal_zlib.DEFLATED, -15)
        import zlib

        return zlib.compressobj(self.level, zlib.DEFLATED, -15)

    def compress(self, chunks: Chunks) -> Iterator[bytes]:
        iterator = iter(chunks)
        first, second = next(iterator, b""), next(iterator, None)
        if second is None:
            yield self.compress_piece(first, last=True)
            return
        compressor = self._compressor()
        for chunk in chain((first, second), iterator):
            out = compressor.compress(chunk)
            _clear_vector_registers()
            if out:
                yield out
        out = compressor.flush()
        _clear_vector_registers()
        yield out

    def compress_piece(self, piece: bytes, *, last: bool) -> bytes:
        import zlib

        # A sync flush ends the piece on a byte boundary without a final block, so that pieces can be joined.
        # Not ISA-L's one call for all: it looks at memory that nobody has set, and so the bytes would vary.
        compressor = self._compressor()
        out: bytes = compressor.compress(piece)
        out += compressor.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)
        _clear_vector_registers()
        return out

    def decompress(self, chunks: Chunks) -> Iterator[bytes]:
        from isal import isal_zlib

        inflate = isal_zlib.decompressobj(-15)
        try:
            for chunk in chunks:
                rest = chunk
                while rest:
                    if inflate.eof:
                        raise IntegrityError("The deflate stream goes on after its end.", where="deflate")
                    out = inflate.decompress(rest, _PIECE)
                    _clear_vector_registers()
                    if out:
                        yield out
                    rest = inflate.unconsumed_tail
                if inflate.unused_data:
                    raise IntegrityError("The deflate stream goes on after its end.", where="deflate")
            while not inflate.eof and (out := inflate.decompress(b"", _PIECE)):
                yield out
        except cast("type[Exception]", isal_zlib.error) as error:  # its stub says Exception()
            raise IntegrityError("The deflate stream is damaged.", where="deflate") from error
        if not inflate.eof:
            raise IntegrityError("The deflate stream ends too early.", where="deflate")

    def __repr__(self) -> str:
        return f"Deflate(level={self.level})"


def _clear_vector_registers() -> None:
    """Undo what ISA-L leaves behind in this thread: vector registers whose upper halves are in use.

    Where the C library copies memory with EVEX instructions, nothing clears them again, and every older SSE
    instruction pays for it: the 1000 rounds of SHA-1 that derive a ZIP entry's key took 1.6 ms in place of
    0.53. OpenSSL's SHA-512 ends with the instruction that clears them, and costs less than a microsecond.
    """
    hashlib.sha512(b"").digest()


class Zstd:
    """Zstandard (RFC 8878), one frame per unit. Levels 1 to 19; smaller than deflate, and a quarter slower.

    A unit of more than one chunk is compressed by threads of zstd's own, one for each processor that this process
    may use, unless `threads` says otherwise; 0 is the calling thread. 7-Zip and WinZip read ZIP archives that use
    it, bsdtar unencrypted ones; Info-ZIP's unzip does not.
    """

    algorithm = "zstd"

    def __init__(self, level: int = 2, *, threads: int | None = None) -> None:
        if not 1 <= level <= 19:
            raise ConfigurationError(f"Zstd(level={level}) is not possible: use a level from 1 to 19.")
        if threads is not None and threads < 0:
            raise ConfigurationError(f"Zstd(threads={threads}) is not possible: use 0 or more, or None.")
        self.level = level
        self.threads = threads
        self._local = threading.local()  # a compression context serves one thread at a time

    def _compressor(self) -> zstandard.ZstdCompressor:
        import zstandard

        compressor: zstandard.ZstdCompressor | None = getattr(self._local, "compressor", None)
        if compressor is None:
            compressor = self._local.compressor = zstandard.ZstdCompressor(
                level=self.level, write_checksum=True
            )
        return compressor

    def compress(self, chunks: Chunks) -> Iterator[bytes]:
        iterator = iter(chunks)
        first = next(iterator, b"")
        second = next(iterator, None)
        if second is None:
            # One call ends the frame together with its only chunk: 3x faster on 1 MiB than a separate flush.
            yield self._compressor().compress(first)
            return
        # A context of its own, because a generator may be left half-way while the thread begins another unit.
        import zstandard

        threads = usable_processors() if self.threads is None else self.threads
        parameters = zstandard.ZstdCompressionParameters.from_level(
            self.level,
            write_checksum=True,
            threads=threads,
            job_size=_JOB if threads else 0,
            **(_LEVEL_2 if self.level == 2 else {}),
        )
        stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        for chunk in chain((first, second), iterator):
            if out := stream.compress(chunk):
                yield out
        yield stream.flush()

    def decompress(self, chunks: Chunks) -> Iterator[bytes]:
        import zstandard

        stream = zstandard.ZstdDecompressor().decompressobj()
        try:
            # Block by block, because one block never unpacks to more than 128 KiB.
            for block in _zstd_blocks(chunks):
                if out := stream.decompress(block):
                    yield out
        except zstandard.ZstdError as error:
            raise IntegrityError("The zstd stream is damaged.", where="zstd") from error
        if not stream.eof:
            raise IntegrityError("The zstd stream ends too early.", where="zstd")

    def __repr__(self) -> str:
        return f"Zstd(level={self.level})"

    def __reduce__(self) -> tuple[object, ...]:
        return partial(Zstd, threads=self.threads), (self.level,)


def _zstd_blocks(chunks: Chunks) -> Iterator[bytes]:
    """Cut one frame into its header, its blocks and its checksum (RFC 8878, section 3.1.1)."""
    iterator = iter(chunks)
    buffer = bytearray()

    def take(count: int) -> bytes:
        while len(buffer) < count:
            chunk = next(iterator, None)
            if chunk is None:
                raise IntegrityError("The zstd stream ends too early.", where="zstd")
            buffer.extend(chunk)
        taken = bytes(buffer[:count])
        del buffer[:count]
        return taken

    start = take(5)
    if start[:4] != b"\x28\xb5\x2f\xfd":
        raise IntegrityError("The zstd stream does not begin with a frame.", where="zstd")
    descriptor = start[4]
    single_segment = descriptor >> 5 & 1
    size_field = (single_segment, 2, 4, 8)[descriptor >> 6]
    dictionary_field = (0, 1, 2, 4)[descriptor & 3]
    yield start + take((1 - single_segment) + dictionary_field + size_field)
    last = False
    while not last:
        header = take(3)
        value = int.from_bytes(header, "little")
        last, kind, size = bool(value & 1), value >> 1 & 3, value >> 3
        if (size > 1 << 17 and kind != 1) or kind == 3:
            raise IntegrityError("The zstd stream is damaged.", where="zstd")
        yield header + take(1 if kind == 1 else size)
    if descriptor & 4:
        yield take(4)
    if buffer or any(iterator):
        raise IntegrityError("The zstd stream goes on after its end.", where="zstd")


def compressor_named(name: str) -> Compressor:
    """The compressor that a settings file or a person means: none, store, deflate, gzip or zstd.

    "gzip" means deflate, which is what gzip does; a ZIP entry has no room for gzip's own header.
    """
    known: dict[str, type[Store | Deflate | Zstd]] = {
        "none": Store,
        "store": Store,
        "deflate": Deflate,
        "gzip": Deflate,
        "zstd": Zstd,
    }
    if name not in known:
        raise ConfigurationError(f"There is no compressor {name!r}: use one of {', '.join(known)}.")
    return known[name]()
