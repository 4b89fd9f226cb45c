"""The form of mongodump's archives, as far as it tells what is in one and whether it is whole.

The tools' own description: github.com/mongodb/mongo-tools, common/archive/spec.md. After a magic number come
blocks, each a header and documents up to a terminator. The first block lists the collections; each of the
others holds some documents of one, and a last one, without documents, says that a collection has ended.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field

from backupkit._chunks import closing_iterator
from backupkit.databases.programs import ClientError

_MAGIC = b"\x6d\xe2\x99\x81"
_TERMINATOR = b"\xff\xff\xff\xff"
_SHORTEST, _LONGEST = 5, 48 << 20  # bytes of a document: the server's own limit is 16 MiB and a little
_STRING, _BOOLEAN, _INT32, _INT64 = 2, 8, 16, 18  # https://bsonspec.org/spec.html

_Walk = Generator[None, bytes, None]


@dataclass(slots=True)
class Contents:
    """What an archive is found to hold: the documents of each collection, by database and name."""

    documents: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def databases(self) -> list[str]:
        return sorted({database for database, _ in self.documents if database})

    def rows(self, database: str) -> dict[str, int]:
        """Documents of each collection; without the name of its database if that is the only one."""
        return {
            collection if database else f"{of}.{collection}": count
            for (of, collection), count in self.documents.items()
            if of and is_counted(collection)
        }


def is_counted(collection: str) -> bool:
    """Whether it is an application's: the server keeps others beside them. Buckets hold time series."""
    return not collection.startswith("system.") or collection.startswith("system.buckets.")


def whole_archive(chunks: Iterable[bytes], contents: Contents) -> Iterator[bytes]:
    """The same archive; ClientError unless it is whole and holds a collection. `contents` is filled on the way.

    Sums are not checked, which takes too long here: mongorestore does.
    """
    contents.documents.clear()
    reader = _Reader(contents)
    walk = reader.walk()
    next(walk)
    with closing_iterator(chunks) as iterator:
        for chunk in iterator:
            walk.send(chunk)
            yield chunk
    reader.check_ended()


def read_contents(chunks: Iterator[bytes]) -> tuple[Contents, list[bytes]]:
    """What an archive says at its beginning that it holds, and the chunks that were read for it."""
    contents = Contents()
    reader = _Reader(contents)
    walk = reader.walk()
    next(walk)
    read = []
    for chunk in chunks:
        read.append(chunk)
        walk.send(chunk)
        if reader.listed:
            return contents, read
    raise _too_short()


class _Reader:
    """Reads forward in bytes that come in pieces. What yields waits for the next of them."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._open: set[tuple[str, str]] = set()  # collections of which more is to come
        self._between = False  # two blocks, where an archive may end
        self._data = b""
        self._at = 0
        self.listed = False  # whether the list of collections has been read

    def check_ended(self) -> None:
        if not self._between or self._at < len(self._data):
            raise _too_short()
        if self._open:
            database, collection = min(self._open)
            raise ClientError(
                f"the archive has no end of the collection {database}.{collection}: it is not whole.",
                retryable=True,
            )
        if not self._contents.documents:
            raise ClientError(
                "the archive holds no collection: is there such a database, and is its name right?"
            )

    def walk(self) -> _Walk:
        if (yield from self._take(4)) != _MAGIC:
            raise ClientError("this is no archive of mongodump: it does not begin as one.")
        if (yield from self._document()) is None:
            raise _damaged()
        while (listed := (yield from self._document())) is not None:
            self._expect(listed)
        self.listed = True
        while True:
            self._between = True
            header = yield from self._document()
            if header is None:
                raise _damaged()
            values = _values(header)
            name = (str(values.get("db", "")), str(values.get("collection", "")))
            if values.get("EOF"):
                self._contents.documents.setdefault(name, 0)
                self._open.discard(name)
                if (yield from self._document()) is not None:
                    raise _damaged()
            else:
                self._open.add(name)
                count = yield from self._skip_documents()
                self._contents.documents[name] = self._contents.documents.get(name, 0) + count

    def _expect(self, listed: bytes) -> None:
        values = _values(listed)
        collection = str(values.get("collection", ""))
        if values.get("type") == "timeseries":  # it is a view, of what has the documents
            collection = f"system.buckets.{collection}"
        name = (str(values.get("db", "")), collection)
        self._contents.documents[name] = 0
        self._open.add(name)

    def _document(self) -> Generator[None, bytes, bytes | None]:
        """The next document; None for a terminator."""
        size = yield from self._take(4)
        self._between = False
        if size == _TERMINATOR:
            return None
        rest = yield from self._take(_length(size) - 4)
        return size + rest

    def _skip_documents(self) -> Generator[None, bytes, int]:
        """Up to the terminator; how many there were."""
        count = 0
        while True:
            data, at = self._data, self._at
            size = data[at : at + 4] if at + 4 <= len(data) else (yield from self._peek())
            if size == _TERMINATOR:
                self._at += 4
                return count
            self._at += _length(size)
            count += 1

    def _peek(self) -> Generator[None, bytes, bytes]:
        size = yield from self._take(4)
        self._at -= 4
        return size

    def _take(self, size: int) -> Generator[None, bytes, bytes]:
        while self._at >= len(self._data):
            if self._at == len(self._data):
                self._data, self._at = (yield), 0
            else:
                self._at -= len(self._data)
                self._data = yield
        if self._at + size > len(self._data):
            self._between = False  # what has begun must end
            parts = [self._data[self._at :]]
            held = len(parts[0])
            while held < size:
                parts.append((yield))
                held += len(parts[-1])
            self._data, self._at = b"".join(parts), 0
        found = self._data[self._at : self._at + size]
        self._at += size
        return found


def _length(size: bytes) -> int:
    length = int.from_bytes(size, "little", signed=True)
    if not _SHORTEST <= length <= _LONGEST:
        raise _damaged()
    return length


def _values(document: bytes) -> dict[str, str | int]:
    """The fields of one of the archive's own documents, which are few and plain."""
    values: dict[str, str | int] = {}
    at, end = 4, len(document) - 1
    try:
        while at < end:
            kind = document[at]
            stop = document.index(b"\0", at + 1)
            name = document[at + 1 : stop].decode()
            at = stop + 1
            if kind == _STRING:
                size = int.from_bytes(document[at : at + 4], "little")
                values[name] = document[at + 4 : at + 3 + size].decode()
                at += 4 + size
            elif kind in (_INT32, _INT64):
                at += 4 if kind == _INT32 else 8
            elif kind == _BOOLEAN:
                values[name] = document[at]
                at += 1
            else:
                return values  # something newer, which stands behind what is needed here
    except (ValueError, IndexError) as error:
        raise _damaged() from error
    if at != end or document[end]:
        raise _damaged()
    return values


def _damaged() -> ClientError:
    return ClientError("the archive is damaged: it is not put together as mongodump does.", retryable=True)


def _too_short() -> ClientError:
    return ClientError("the archive ends too early: it is not whole.", retryable=True)
