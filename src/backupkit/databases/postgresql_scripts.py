"""The plain scripts that pg_dump and pg_restore write, read while they stream by at the speed of C."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from backupkit._chunks import closing_iterator
from backupkit.databases.postgresql_names import printed

HEAD = 4096
"""Bytes at the beginning of a script that hold its settings, and the key that newer versions write there."""

Kind: TypeAlias = Literal["script", "rows", "transaction"]

_ENTRY = b"\n-- Data for Name: "
_ROWS_END = b"\n\\.\n"
_OBJECTS = b"\n--\n\nBEGIN;\n\nSELECT pg_catalog.lo_open("
_BEGIN, _COMMIT = b"BEGIN;\n", b"COMMIT;\n"
_OBJECTS_END = b"\n\n" + _COMMIT
# What may follow the heading of a table's rows: they themselves, or that there are none in this form.
_COPY = re.compile(
    rb"\n(?:COPY (?P<table>(?:[^\n\"]|\"[^\"]*\")*?) FROM stdin;(?=\n)"
    rb"|INSERT INTO |-- (?:Data for )?Name: |-- PostgreSQL database dump complete)"
)
_IDENTIFIER = rb'("(?:[^"]|"")*"|[^".\s(]+)'
_TABLE = re.compile(_IDENTIFIER + rb"\." + _IDENTIFIER)
_LONGEST = 1 << 20  # bytes of a heading and the COPY with its up to 1600 columns; nothing longer is one
_KEY = re.compile(rb"^\\restrict (\w+)\r?$", re.MULTILINE)
_KEY_AGAIN = re.compile(rb"^\\unrestrict (\w+)\r?$", re.MULTILINE)
_COMPLETE = re.compile(
    rb"\n--\r?\n-- PostgreSQL database (?:cluster )?dump complete\r?\n--\s*(?:\\unrestrict \w+\s*)?\Z"
)


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a script: statements, rows of `table` (each with its line end before it), or a BEGIN or COMMIT.

    The latter are those that pg_dump puts around large objects.
    """

    kind: Kind
    data: bytes
    table: str = ""


def pieces(chunks: Iterable[bytes]) -> Iterator[Piece]:
    """The script in pieces, which together are the same bytes.

    Rows are found by the heading that pg_dump writes above them and the COPY below it, as rows can hold
    anything but the line that ends them.
    """
    reader = _Reader()
    with closing_iterator(chunks) as iterator:
        for chunk in iterator:
            yield from reader.read(chunk)
    if reader.held:
        yield Piece(reader.kind, reader.held, reader.table)


def counted(chunks: Iterable[bytes], rows: dict[str, int]) -> Iterator[bytes]:
    """The same bytes; when they have ended, `rows` holds the number of rows of each table in them."""
    for piece in pieces(chunks):
        if piece.kind == "rows":
            rows[piece.table] = rows.get(piece.table, 0) + piece.data.count(b"\n")
        yield piece.data


def is_whole(head: bytes, tail: bytes) -> bool:
    """Whether a script with this beginning and end has the line that pg_dump or pg_dumpall write last of all."""
    if not _COMPLETE.search(tail):
        return False
    # Newer ones name a key at the beginning, and again at the end.
    key, again = _KEY.search(head), _KEY_AGAIN.findall(tail)
    return (key and key[1]) == (again[-1] if again else None)


class _Reader:
    def __init__(self) -> None:
        self.held = b""  # what may be the beginning of something
        self.kind: Kind = "script"
        self.table = ""
        self._step: Callable[[bytes, int], tuple[int, bool]] = self._find_entry

    def read(self, chunk: bytes) -> Iterator[Piece]:
        """Each step says how far it is sure of what came, all of the kind that it was until then, and whether
        it can go on without more.
        """
        data = self.held + chunk if self.held else chunk
        at: int = 0
        while True:
            kind, table = self.kind, self.table
            end, further = self._step(data, at)
            if end > at or (kind == "rows" and self.kind != "rows"):  # a table without rows is one too
                yield Piece(kind, data[at:end], table)
            at = end
            if not further:
                break
        self.held = data[at:]

    def _find_entry(self, data: bytes, at: int) -> tuple[int, bool]:
        start = data.find(_ENTRY, at)
        if start < 0:
            return max(at, len(data) - len(_ENTRY) + 1), False
        end = data.find(b"\n", start + 1)
        if end < 0:
            return (len(data) if len(data) - start > _LONGEST else start), False
        line = data[start:end]
        if b"; Type: TABLE DATA; " in line:
            self._step = self._find_copy
        elif b"; Type: BLOBS; " in line:
            self._step = self._find_objects
        return end, True

    def _find_copy(self, data: bytes, at: int) -> tuple[int, bool]:
        found = _COPY.search(data, at)
        if found is None and len(data) - at <= _LONGEST:
            return at, False
        self._step = self._find_entry
        if found is None or found["table"] is None:
            return (at if found is None else found.start()), True
        if name := _TABLE.match(found["table"]):
            self.table = printed(_identifier(name[1]), _identifier(name[2]))
            self.kind, self._step = "rows", self._find_rows_end
        return found.end(), True

    def _find_rows_end(self, data: bytes, at: int) -> tuple[int, bool]:
        end = data.find(_ROWS_END, at)
        if end < 0:
            return max(at, len(data) - len(_ROWS_END) + 1), False
        self.kind, self.table, self._step = "script", "", self._find_entry
        return end, True

    def _find_objects(self, data: bytes, at: int) -> tuple[int, bool]:
        if len(data) - at < len(_OBJECTS):
            return at, False
        if not data.startswith(_OBJECTS, at):
            self._step = self._find_entry
            return at, True
        self.kind, self._step = "transaction", self._pass_begin
        return at + _OBJECTS.index(_BEGIN), True

    def _pass_begin(self, data: bytes, at: int) -> tuple[int, bool]:
        self.kind, self._step = "script", self._find_objects_end
        return at + len(_BEGIN), True

    def _find_objects_end(self, data: bytes, at: int) -> tuple[int, bool]:
        end = data.find(_OBJECTS_END, at)
        if end < 0:
            return max(at, len(data) - len(_OBJECTS_END) + 1), False
        self.kind, self._step = "transaction", self._pass_commit
        return end + 2, True

    def _pass_commit(self, data: bytes, at: int) -> tuple[int, bool]:
        self.kind, self._step = "script", self._find_entry
        return at + len(_COMMIT), True


def _identifier(written: bytes) -> str:
    text = written.decode("utf-8", "replace")
    return text[1:-1].replace('""', '"') if text.startswith('"') else text
