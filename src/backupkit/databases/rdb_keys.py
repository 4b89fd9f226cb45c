"""Counting the keys in an RDB file as it streams by, which takes a walk through all of it.

The form: rdb.c and rdb.h of Redis 7, whose types up to 21 are those of all versions before, and those that 7.4
added for hashes whose fields expire.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator

from backupkit.databases.programs import ClientError
from backupkit.databases.rdb import HEAD_LENGTH

# Instead of a type there may stand one of these.
_SLOT, _FUNCTIONS, _MODULE, _IDLE, _FREQUENCY = 0xF4, 0xF5, 0xF7, 0xF8, 0xF9
_AUXILIARY, _SIZES, _EXPIRES_MS, _EXPIRES, _DATABASE, _END = 0xFA, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF

_STRING = frozenset({0, 9, 10, 11, 12, 13, 16, 17, 20})  # or something that is packed into one
_STRINGS = frozenset({1, 2, 14})
_PAIRS = frozenset({4})
_SCORES, _BINARY_SCORES, _MODULE_VALUE, _PACKED_NODES = 3, 5, 7, 18
_STREAMS = {15: 1, 19: 2, 21: 3}
_EXPIRING_PAIRS, _EXPIRING_PACKED = 24, 25

_Walk = Generator[None, bytes, None]


def count_keys(chunks: Iterable[bytes], rows: dict[str, int]) -> Iterator[bytes]:
    """The same chunks; when they have ended, `rows` has the number of keys that never expire, by database.

    Raises ClientError for anything that is not a whole RDB file of a form that is known here.
    """
    rows.clear()
    walk = _Reader().walk(rows)
    next(walk)
    ended = False
    for chunk in chunks:
        if not ended:
            try:
                walk.send(chunk)
            except StopIteration:
                ended = True
        yield chunk
    if not ended:
        raise ClientError("the RDB file ends too early: it is not whole.", retryable=True)


class _Reader:
    """Reads forward in bytes that come in pieces. What yields waits for the next of them."""

    def __init__(self) -> None:
        self._data = b""
        self._at = 0

    def walk(self, rows: dict[str, int]) -> _Walk:
        """Through the whole file, up to its end code; what follows is the checksum."""
        yield from self._skip(HEAD_LENGTH)
        database, persistent = "db0", True
        while True:
            kind = yield from self._byte()
            if kind in (_EXPIRES_MS, _EXPIRES):
                yield from self._skip(8 if kind == _EXPIRES_MS else 4)
                persistent = False
            elif kind == _IDLE:
                yield from self._length()
            elif kind == _FREQUENCY:
                yield from self._skip(1)
            elif kind < _SLOT:
                yield from self._string()
                yield from self._value(kind)
                if persistent:
                    rows[database] = rows.get(database, 0) + 1
                persistent = True
            elif kind == _DATABASE:
                database = f"db{yield from self._length()}"
            elif kind == _SIZES:
                yield from self._lengths(2)
            elif kind == _AUXILIARY:
                yield from self._strings(2)
            elif kind == _FUNCTIONS:
                yield from self._string()
            elif kind == _SLOT:
                yield from self._lengths(3)
            elif kind == _MODULE:
                yield from self._lengths(3)  # which module, and when, as a number with its type
                yield from self._module()
            elif kind == _END:
                return
            else:
                raise _unknown(kind)

    def _value(self, kind: int) -> _Walk:
        if kind in _STRING:
            yield from self._string()
        elif kind in _STRINGS:
            yield from self._strings((yield from self._length()))
        elif kind in _PAIRS:
            yield from self._strings(2 * (yield from self._length()))
        elif kind == _SCORES:
            for _ in range((yield from self._length())):
                yield from self._string()
                size = yield from self._byte()
                yield from self._skip(size if size < 253 else 0)  # those above are no numbers, or infinite
        elif kind == _BINARY_SCORES:
            for _ in range((yield from self._length())):
                yield from self._string()
                yield from self._skip(8)
        elif kind == _PACKED_NODES:
            for _ in range((yield from self._length())):
                yield from self._length()
                yield from self._string()
        elif kind in _STREAMS:
            yield from self._stream(_STREAMS[kind])
        elif kind == _MODULE_VALUE:
            yield from self._length()
            yield from self._module()
        elif kind == _EXPIRING_PAIRS:
            yield from self._skip(8)
            for _ in range((yield from self._length())):
                yield from self._length()
                yield from self._strings(2)
        elif kind == _EXPIRING_PACKED:
            yield from self._skip(8)
            yield from self._string()
        else:
            raise _unknown(kind)

    def _stream(self, version: int) -> _Walk:
        yield from self._strings(2 * (yield from self._length()))
        # How many there are, and the ids of the last, and since version 2 of the first and of what was removed.
        yield from self._lengths(3 if version == 1 else 8)
        for _ in range((yield from self._length())):  # groups
            yield from self._string()
            yield from self._lengths(2 if version == 1 else 3)
            for _ in range((yield from self._length())):  # what nobody has acknowledged
                yield from self._skip(16 + 8)
                yield from self._length()
            for _ in range((yield from self._length())):  # consumers
                yield from self._string()
                yield from self._skip(8 if version < 3 else 16)
                yield from self._skip(16 * (yield from self._length()))

    def _module(self) -> _Walk:
        """What a module wrote: values, each with its kind before it."""
        while kind := (yield from self._length()):
            if kind in (1, 2):
                yield from self._length()
            elif kind in (3, 4):
                yield from self._skip(4 if kind == 3 else 8)
            elif kind == 5:
                yield from self._string()
            else:
                raise _unknown(kind)

    def _strings(self, count: int) -> _Walk:
        for _ in range(count):
            yield from self._string()

    def _string(self) -> _Walk:
        first = yield from self._byte()
        if first < 0x40:
            size = first
        elif first < 0xC0:
            size = yield from self._length(first)
        elif first <= 0xC2:
            size = 1 << (first - 0xC0)  # a number
        elif first == 0xC3:  # compressed
            size = yield from self._length()
            yield from self._length()
        else:
            raise _unknown(first)
        yield from self._skip(size)

    def _lengths(self, count: int) -> _Walk:
        for _ in range(count):
            yield from self._length()

    def _length(self, first: int | None = None) -> Generator[None, bytes, int]:
        if first is None:
            first = yield from self._byte()
        if first < 0x40:
            return first
        if first < 0x80:
            return (first & 0x3F) << 8 | (yield from self._byte())
        if first in (0x80, 0x81):
            value = 0
            for _ in range(4 if first == 0x80 else 8):
                value = value << 8 | (yield from self._byte())
            return value
        raise _unknown(first)

    def _byte(self) -> Generator[None, bytes, int]:
        while self._at >= len(self._data):
            self._at -= len(self._data)
            self._data = yield
        value = self._data[self._at]
        self._at += 1
        return value

    def _skip(self, size: int) -> _Walk:
        self._at += size
        yield from ()


def _unknown(code: int) -> ClientError:
    return ClientError(
        f"the RDB file has something that is not known here (code {code}), so that its keys cannot be counted: "
        "leave out count_rows."
    )
