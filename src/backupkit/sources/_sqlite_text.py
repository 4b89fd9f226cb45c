"""An SQLite database as SQL text that makes an equal one.

The standard library's `iterdump` does this too, but (in Python 3.11) cuts a text at its first NUL, writes
infinities as a word that SQL does not know, does not quote names in sqlite_sequence, fails on a text that
is not UTF-8, and leaves it to SQLite to read back decimals that it rounds wrongly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from sqlite3 import Connection

_Value: TypeAlias = int | float | bytes | None


class _Text(bytes):
    """The bytes of a TEXT value, told apart from those of a BLOB."""


def dump(connection: Connection) -> Iterator[bytes]:
    """Yield statements, each ending in a newline, that make an equal database out of an empty one.

    The connection must be inside a read transaction, and have a UTF-8 database. Rows stand in the order
    of their table. Rowids without a column of their own are numbered anew, as VACUUM does. Raises
    UnicodeDecodeError for a name in the schema that is not UTF-8, and OverflowError for a row that is too
    long for a statement.
    """
    import sqlite3

    connection.text_factory = _Text
    numbers = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    try:
        yield b"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n"
        for pragma in ("application_id", "user_version"):
            (value,) = connection.execute(f"PRAGMA main.{pragma}").fetchone()
            yield b"PRAGMA %s=%d;\n" % (pragma.encode(), value)
        yield from _tables(connection, numbers)
        yield from _sequences(connection, numbers)
        for (sql,) in connection.execute(
            "SELECT sql FROM main.sqlite_master WHERE sql NOT NULL AND type<>'table' ORDER BY rowid"
        ):
            yield _statement(sql)
        yield b"COMMIT;\n"
    finally:
        numbers.close()


def _tables(connection: Connection, numbers: Connection) -> Iterator[bytes]:
    virtual = False
    for name, sql, root in connection.execute(
        "SELECT name, sql, rootpage FROM main.sqlite_master WHERE type='table' ORDER BY rowid"
    ).fetchall():
        if name == b"sqlite_stat1":
            yield b"ANALYZE main.sqlite_master;\n"  # the only statement that creates this table
        elif name.startswith(b"sqlite_"):
            continue
        elif not root:
            # What a virtual table holds is in ordinary tables of its module, and those are dumped
            # themselves: creating it by its own statement would create them twice.
            if not virtual:
                yield b"PRAGMA writable_schema=ON;\n"
                virtual = True
            quoted = _literal(name, numbers)
            yield b"INSERT INTO sqlite_master VALUES('table',%s,%s,0,%s);\n" % (
                quoted,
                quoted,
                _literal(sql, numbers),
            )
            continue
        else:
            yield _statement(sql)
        yield from _rows(connection, numbers, name.decode())
    if virtual:
        yield b"PRAGMA writable_schema=RESET;\n"


def _rows(connection: Connection, numbers: Connection, table: str) -> Iterator[bytes]:
    import sqlite3

    longest = connection.getlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH)
    # Generated columns are not among those that table_info shows, nor among those that INSERT fills.
    columns = [row[1].decode() for row in connection.execute(f"PRAGMA main.table_info({_name(table)})")]
    names = ",".join(map(_name, columns))
    # NOT INDEXED, because an index that covers all columns would give its own order.
    query = f"SELECT {names} FROM main.{_name(table)} NOT INDEXED"  # noqa: S608 - names are quoted
    prefix = f"INSERT INTO {_name(table)} VALUES(".encode()
    for row in connection.execute(query):
        statement = b"%s%s);\n" % (prefix, b",".join([_literal(value, numbers) for value in row]))
        if len(statement) > longest:
            raise OverflowError(f"a row of the table {table} makes a statement of {len(statement)} bytes")
        yield statement


def _sequences(connection: Connection, numbers: Connection) -> Iterator[bytes]:
    """What AUTOINCREMENT remembers, which the inserted rows alone do not say."""
    if not connection.execute("SELECT 1 FROM main.sqlite_master WHERE name='sqlite_sequence'").fetchone():
        return
    rows = connection.execute(
        "SELECT name, seq FROM main.sqlite_sequence WHERE name IN (SELECT name FROM main.sqlite_master)"
    ).fetchall()
    # Without such a row there may be no such table either, once the last of its tables was dropped.
    if rows:
        yield b"DELETE FROM sqlite_sequence;\n"
    for name, sequence in rows:
        yield b"INSERT INTO sqlite_sequence VALUES(%s,%s);\n" % (
            _literal(name, numbers),
            _literal(sequence, numbers),
        )


def _statement(sql: bytes) -> bytes:
    """End a statement of the schema, even one whose text ends inside a comment."""
    import sqlite3

    text = sql.decode()
    ends = (end for end in (";\n", "\n;\n", "*/;\n") if sqlite3.complete_statement(text + end))
    return sql + next(ends, ";\n").encode()


def _name(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def _quoted(text: bytes) -> bytes:
    return b"'" + text.replace(b"'", b"''") + b"'"


def _literal(value: _Value, numbers: Connection) -> bytes:
    """The value as SQL; its kind of storage is that of the literal."""
    if isinstance(value, _Text):
        return _quoted(value) if _plain(value) else b"CAST(X'%s' AS TEXT)" % value.hex().encode()
    if isinstance(value, bytes):
        return b"X'%s'" % value.hex().encode()
    if value is None:
        return b"NULL"
    return (_real(value, numbers) if isinstance(value, float) else str(value)).encode()


def _plain(text: bytes) -> bool:
    """Whether every SQLite client reads the text back whole and unchanged from between quotes."""
    if b"\0" in text:
        return False
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _real(value: float, numbers: Connection) -> str:
    if math.isinf(value):
        return "9e999" if value > 0 else "-9e999"
    text = repr(value)
    (read,) = numbers.execute("SELECT CAST(? AS REAL)", (text,)).fetchone()
    if repr(read) == text:
        return text
    # SQLite 3.40 misreads the shortest decimal of one number in 200 over the full range of exponents.
    # An integer and powers of two are exact in every version, and so are their products.
    fraction, exponent = math.frexp(value)
    exact = f"{int(fraction * 2**53)}.0"
    exponent -= 53
    while exponent:
        step = min(50, abs(exponent))
        exact += f"{'*' if exponent > 0 else '/'}{2**step}.0"
        exponent += step if exponent < 0 else -step
    return exact
