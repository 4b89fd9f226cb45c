"""What is looked at in a script for MySQL or MariaDB before and while it is loaded.

A script that is loaded must be of one database, whole, and make something: nothing gives way to any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from backupkit._chunks import closing_iterator
from backupkit.databases.mysql_scripts import BODIES, BODIES_END
from backupkit.databases.programs import ClientError, with_tail

_ELSEWHERE = re.compile(rb"\n(?:USE|use)\s+(`(?:[^`\n]|``)+`|[\w$]+)\s*;")
_LONGEST = 512  # bytes of a line that names a database: 64 characters, of 4 bytes, all of them backticks
_HEAD = 4096  # bytes that hold the heading of every tool's dumps
# The tools of 5.0 and newer, whose dumps end with a line that says so unless comments were off.
_HEADING = re.compile(rb"^-- (?:MySQL|MariaDB) dump 1\d\.", re.MULTILINE)
_COMPLETE = re.compile(rb"^-- Dump completed\b", re.MULTILINE)
_POSTGRESQL = re.compile(rb"^-- PostgreSQL database (?:cluster )?dump\b", re.MULTILINE)
# How a line begins that says what a script does. INSERT in a body is none of its rows.
_LINE = re.compile(
    rb"""\n[ \t]*(?:/\*M?!\d*[ ]*)?(?i:
        (?P<bodies_end>DELIMITER[ ]+;[ \r]*(?=\n))
        |(?P<bodies>DELIMITER)\b
        |(?P<table>CREATE[ ]+(?:OR[ ]+REPLACE[ ]+)?(?:TEMPORARY[ ]+)?(?:TABLE|SEQUENCE))\b
        |(?P<create>CREATE)\b
        |(?P<rows>INSERT|REPLACE)\b
    )""",
    re.VERBOSE,
)


def whole_script(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same chunks; ClientError as soon as they cannot be a dump of one database, and after them if cut off.

    What a cut leaves in the middle of a statement is for the server to find.
    """
    tail = bytearray()
    looked = _Looked()
    with closing_iterator(with_tail(in_one_database(chunks), tail)) as iterator:
        for chunk in iterator:
            looked.at(chunk)
            yield chunk
    looked.at_end(bytes(tail))


def in_one_database(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same chunks up to a line that changes the database, which raises ClientError. In data there is none."""
    held, begun = b"\n", False  # a line break that is not theirs, so that the first line is looked at too
    in_bodies = False  # in which any text may stand, at the beginning of a line too
    for chunk in chunks:
        text, start = held + chunk, 0
        while True:
            mark = BODIES_END if in_bodies else BODIES
            end = text.find(mark, start)
            if not in_bodies and (found := _changes_database(text, start, end if end >= 0 else len(text))):
                raise ClientError(
                    f"it changes to the database {found} that it names itself, as dumps with --databases and "
                    "--all-databases do, and would be restored there: restore its file with the server's client, "
                    "or cut out the part that is wanted."
                )
            if end < 0:
                break
            start = end + len(mark) - 1  # the line break may begin what is looked for next
            in_bodies = not in_bodies
        if in_bodies:
            stop = max(start, len(text) - len(BODIES_END))
        else:
            line = text.rfind(b"\n", start)
            stop = line if line >= 0 and len(text) - line < _LONGEST else len(text)
        held = text[stop:]
        yield text[0 if begun else 1 : stop]
        begun = begun or stop > 0
    yield held if begun else held[1:]


def _changes_database(text: bytes, start: int, end: int) -> str | None:
    # The regular expression alone takes six times as long.
    if text.find(b"\nUSE", start, end) < 0 and text.find(b"\nuse", start, end) < 0:
        return None
    found = _ELSEWHERE.search(text, start, end)
    return found[1].decode("utf-8", "replace") if found else None


class _Looked:
    """What was seen so far of a script."""

    def __init__(self) -> None:
        self._head = b""
        self._head_is_read = False
        self._heading = False
        self._held = b"\n"
        self._creates = self._creates_tables = self._rows = self._in_bodies = False

    def at(self, chunk: bytes) -> None:
        if not self._head_is_read:
            self._head += chunk
            if len(self._head) >= _HEAD:
                self._read_head()
        if self._creates_tables:
            return
        text = self._held + chunk
        for found in _LINE.finditer(text):
            match found.lastgroup:
                case "bodies" | "bodies_end":
                    self._in_bodies = found.lastgroup == "bodies"
                case "rows":
                    self._rows = self._rows or not self._in_bodies
                case "create" | "table":
                    self._creates = True
                    self._creates_tables = self._creates_tables or (
                        found.lastgroup == "table" and not self._in_bodies
                    )
        line = text.rfind(b"\n")
        self._held = text[line:] if line >= 0 and len(text) - line < _LONGEST else b""

    def at_end(self, tail: bytes) -> None:
        self._read_head()
        completed = [found.end() for found in _COMPLETE.finditer(tail)]
        if self._heading and (not completed or _HEADING.search(tail, completed[-1])):
            raise ClientError("the dump was cut off, its last line is missing: use another one.")
        if self._rows and not self._creates_tables:
            raise ClientError(
                'it holds rows and creates no tables for them, as dumps with content="data" do: load its file with '
                "the server's client into a database that has the tables."
            )
        if not self._creates and not self._heading:
            raise ClientError("it creates nothing: this is no dump of a MySQL or MariaDB database.")

    def _read_head(self) -> None:
        if self._head_is_read:
            return
        self._head_is_read = True
        head, self._head = self._head[:_HEAD], b""
        if not head.strip():
            raise ClientError("the dump is empty: use another one.")
        if _POSTGRESQL.search(head) or head.startswith(b"PGDMP"):
            raise ClientError("this is a dump of PostgreSQL: restore it to a database of that.")
        if b"\0" in head:
            raise ClientError("this is no script, and so no dump of a MySQL or MariaDB database.")
        self._heading = _HEADING.search(head) is not None
