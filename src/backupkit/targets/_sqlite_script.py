"""SQL text run by SQLite statement by statement, as it streams in, and kept from reaching anything else."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from backupkit.databases.programs import ClientError

if TYPE_CHECKING:
    from sqlite3 import Connection

# What can begin in a statement that a semicolon may stand in, and how that ends (sqlite.org/lang.html). A doubled
# quote ends one text and begins the next, which comes to the same.
_OPENINGS = re.compile(r"[;'\"`\[]|--|/\*")
_CLOSINGS = {"'": "'", '"': '"', "`": "`", "[": "]", "--": "\n", "/*": "*/"}
_QUOTED = 200  # characters of a statement that stand in a message

# Settings that a dump has reason to make; any other one is passed over.
_PRAGMAS = frozenset(
    {
        *("application_id", "user_version", "foreign_keys", "defer_foreign_keys", "writable_schema"),
        *("encoding", "page_size", "auto_vacuum", "legacy_alter_table", "recursive_triggers"),
    }
)


# What may stand after the COMMIT, because nothing is missing where it is.
_AFTERWARDS = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/|;)*(?:PRAGMA|VACUUM|ANALYZE)\b", re.DOTALL | re.IGNORECASE
)


def run_script(connection: Connection, chunks: Iterable[bytes]) -> None:
    """Run all statements of the script; ClientError at the first that fails, or if it ends too early.

    A dump is one transaction, and whole if that is committed in it and no more follows: cut off anywhere else
    it would be as good a script as before. Files other than the connection's own are out of reach for it,
    whoever wrote it.
    """
    import sqlite3

    longest = connection.getlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH)
    rolled_back = False

    def allow(
        action: int, first: str | None, second: str | None, _name: str | None, _inner: str | None
    ) -> int:
        nonlocal rolled_back
        if action == sqlite3.SQLITE_PRAGMA and (first or "").lower() not in _PRAGMAS:
            return sqlite3.SQLITE_IGNORE
        if action == sqlite3.SQLITE_TRANSACTION and first == "ROLLBACK":
            rolled_back = True
            return sqlite3.SQLITE_DENY
        # An empty name is a temporary database, which VACUUM makes for itself, and calls vacuum_db.
        if action == sqlite3.SQLITE_ATTACH and first != "":
            return sqlite3.SQLITE_DENY
        if action == sqlite3.SQLITE_DETACH and first != "vacuum_db":
            return sqlite3.SQLITE_DENY
        if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in (
            "load_extension",
            "fts3_tokenizer",
        ):
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK

    connection.set_authorizer(allow)
    ran = 0
    committed = False
    for statement in statements(_text(chunks), longest=longest):
        if committed and not _AFTERWARDS.match(statement):
            raise ClientError(
                f"there is more in the dump after its COMMIT ({_beginning(statement)}), and nobody could tell "
                "whether all of that is there: restore it to a folder, and load it with sqlite3 itself."
            )
        inside = connection.in_transaction
        try:
            for _ in connection.execute(statement):
                pass
        except (sqlite3.Error, sqlite3.Warning) as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
                raise
            if rolled_back:
                raise ClientError(
                    "the dump ends in ROLLBACK, which sqlite3 writes where it could not read the database: restore "
                    "another backup."
                ) from error
            raise ClientError(
                f"SQLite refused a statement of the dump: {error} ({_beginning(statement)})."
            ) from error
        ran += 1
        committed = committed or (inside and not connection.in_transaction)
    connection.set_authorizer(None)
    if connection.in_transaction:
        raise ClientError("the dump ends before its COMMIT: it is not whole, restore another backup.")
    if not ran:
        raise ClientError("there is not one statement of SQL in the dump: it is not one of SQLite.")
    if not committed:
        raise ClientError(
            "there is no COMMIT in the dump, with which every dump of SQLite ends: it is not whole, restore "
            "another backup, or, if it was made without, restore it to a folder and load it with sqlite3 itself."
        )


def statements(pieces: Iterable[str], *, longest: int) -> Iterator[str]:
    """Cut SQL text where its statements end; ClientError if the last one does not, or one is too long.

    Each character is looked at once, but for the bodies of triggers, however the text is cut into pieces.
    """
    text = ""  # from the beginning of the statement on
    position = 0  # up to here it has been looked at
    closing = ""  # what ends the quotation or comment that this is in
    for piece in pieces:
        text += piece
        start = 0
        while True:
            if closing:
                end = text.find(closing, position)
                if end < 0:
                    position = max(position, len(text) - len(closing) + 1)
                    break
                position, closing = end + len(closing), ""
            opening = _OPENINGS.search(text, position)
            if opening is None:
                position = max(position, len(text) - 1)  # a - or / may be half of what begins a comment
                break
            position = opening.end()
            if opening[0] != ";":
                closing = _CLOSINGS[opening[0]]
            elif _is_complete(statement := text[start:position]):
                start = position
                if statement.strip() != ";":
                    yield statement
        text, position = text[start:], position - start
        if len(text) > longest:
            raise ClientError(f"a statement of the dump is longer than SQLite takes ({_beginning(text)}).")
    if closing not in ("", "\n") or not _only_comments(text):
        raise ClientError(
            f"the dump ends in the middle of a statement ({_beginning(text)}): it is not whole, restore another "
            "backup."
        )


def _is_complete(statement: str) -> bool:
    import sqlite3

    try:
        return sqlite3.complete_statement(statement)
    except ValueError as error:
        raise ClientError(f"a statement of the dump holds a NUL ({_beginning(statement)}).") from error


def _text(chunks: Iterable[bytes]) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        for chunk in chunks:
            yield decoder.decode(chunk)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise ClientError(
            "the dump is neither the pages of an SQLite database nor SQL in UTF-8: restore another backup, or "
            "restore this one to a folder and load it with sqlite3 itself."
        ) from error


def _only_comments(text: str) -> bool:
    return not re.sub(r"--[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL).strip()


def _beginning(statement: str) -> str:
    text = " ".join("".join(c if c.isprintable() else " " for c in statement[: 4 * _QUOTED]).split())
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…"
