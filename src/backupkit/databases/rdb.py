"""The form of Redis's RDB files, as far as it tells whether one is whole."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from backupkit._chunks import closing_iterator, hold_back
from backupkit.databases.programs import ClientError

# https://rdb.fnordig.de/file_format.html; Valkey has numbers of its own from 80 on.
_HEAD = re.compile(rb"(?:REDIS(\d{4})|VALKEY(\d{3}))")
HEAD_LENGTH = 9
BEGINNING = 512
"""Bytes in which everything stands that the server says of itself before the first key."""
_USED = re.compile(
    rb"\xfa\x08used-mem(?:\xc0(?P<b>.)|\xc1(?P<h>..)|\xc2(?P<i>.{4})|[\1-\x14](?P<text>\d+))", re.DOTALL
)
_END = 0xFF
_CHECKSUM = 8
_MARK = re.compile(rb"[0-9a-f]{40}\Z")


def version_of(head: bytes) -> int:
    """The version of the RDB file that begins with these bytes; ClientError if none does."""
    match = _HEAD.match(head)
    if match is None:
        raise ClientError("this is no RDB file of Redis: it does not begin as one.")
    return int(match[1] or match[2])


def used_memory(beginning: bytes) -> int | None:
    """How many bytes of memory the server used that wrote the file with this beginning; None if it does not say."""
    found = _USED.search(beginning[:BEGINNING])
    if found is None:
        return None
    return int(found["text"] or int.from_bytes(found["b"] or found["h"] or found["i"], "little"))


def whole_rdb(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same RDB file, without the mark that redis-cli may leave behind it; ClientError unless it is whole.

    A server that does not know beforehand how long a dump becomes ends it by 40 hexadecimal digits of its
    choice. redis-cli cuts them off a file, but not off its standard output. A file without them cannot be
    taken for one with them: it has an end code where they would have a digit.
    """
    tail = bytearray()
    head = b""
    with closing_iterator(chunks) as iterator:
        for chunk in hold_back(iterator, _CHECKSUM + 1 + 40, tail):
            if len(head) < HEAD_LENGTH:
                head += chunk[:HEAD_LENGTH]
                if len(head) >= HEAD_LENGTH:
                    version_of(head)
            yield chunk
    if _MARK.search(tail):
        del tail[-40:]
    if len(head) < HEAD_LENGTH:
        version_of(head + tail[:HEAD_LENGTH])
    if len(tail) <= _CHECKSUM or tail[-1 - _CHECKSUM] != _END:
        raise ClientError("the RDB file ends too early: it is not whole.", retryable=True)
    yield bytes(tail)
