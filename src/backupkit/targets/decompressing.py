"""Dumps that another program compressed before it stored them, as laravel-backup can."""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Iterable, Iterator

from backupkit._chunks import begun, closing_iterator
from backupkit.errors import IntegrityError

_PIECE = 1 << 20  # bytes given out at a time, however well they were compressed


def decompressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same chunks, or what they are the gzip (RFC 1952) or bzip2 form of, in bounded pieces.

    IntegrityError if they end before their compressed form does.
    """
    with closing_iterator(chunks) as iterator:
        head, rest = begun(iterator, 3)
        if head.startswith(b"\x1f\x8b"):
            yield from _gunzipped(rest)
        elif head.startswith(b"BZh"):
            yield from _bunzipped(rest)
        else:
            yield from rest


def _gunzipped(chunks: Iterator[bytes]) -> Iterator[bytes]:
    member = zlib.decompressobj(wbits=31)
    inside = False
    try:
        for chunk in chunks:
            data = chunk
            while data:
                if member.eof:
                    if not data.strip(b"\0"):  # padding after the last member, RFC 1952 2.2 and gzip(1)
                        break
                    member, inside = zlib.decompressobj(wbits=31), False
                inside = True
                if piece := member.decompress(data, _PIECE):
                    yield piece
                data = member.unused_data if member.eof else member.unconsumed_tail
    except zlib.error as error:
        raise _broken("gzip") from error
    if inside and not member.eof:
        raise _broken("gzip")


def _bunzipped(chunks: Iterator[bytes]) -> Iterator[bytes]:
    stream = bz2.BZ2Decompressor()
    inside = False
    try:
        for chunk in chunks:
            data = chunk
            while data or not (stream.needs_input or stream.eof):
                if stream.eof:
                    stream, inside = bz2.BZ2Decompressor(), False
                inside = True
                if piece := stream.decompress(data, _PIECE):
                    yield piece
                data = stream.unused_data if stream.eof else b""
    except OSError as error:
        raise _broken("bzip2") from error
    if inside and not stream.eof:
        raise _broken("bzip2")


def _broken(form: str) -> IntegrityError:
    return IntegrityError(
        f"A dump in {form} form is damaged or ends too early: restore another backup.", where="db-dumps"
    )
