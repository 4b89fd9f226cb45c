"""Loading a dump into PostgreSQL: one transaction, by psql, which runs nothing but SQL.

What is written to psql, in this order: BEGIN; what drops all that is there, if it is to be replaced; a row that
keeps the transaction from being committed; the script, in which psql heeds none of its own commands; and, only
when the whole dump has been read without an exception, the removal of that row, and COMMIT.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from itertools import chain

from backupkit._chunks import begun, closing_iterator, hold_back
from backupkit.databases.clients import DatabaseClient
from backupkit.databases.postgresql import PostgreSQLClient
from backupkit.databases.postgresql_names import table_names
from backupkit.databases.postgresql_scripts import HEAD, is_whole, pieces
from backupkit.databases.private_files import private_file
from backupkit.databases.programs import Access, ClientError, environment, meaning_among, output_of, with_tail
from backupkit.targets.database import Loading
from backupkit.targets.postgresql_clearing import CLEAR, SUBSCRIPTIONS
from backupkit.targets.postgresql_replacing import check_partitions, dropping
from backupkit.targets.postgresql_selection import Selection, selected

_TAIL = 4096
_KEY = re.compile(rb"\A--\r?\n-- PostgreSQL database dump\r?\n--\s+\\restrict (\w+)\r?\n")
_HEADING = re.compile(rb"\A--\r?\n-- PostgreSQL database (cluster )?dump\r?\n")
_TIMEOUT = re.compile(rb"^SET (\w+_timeout) = 0;\r?\n", re.MULTILINE)
_SETTINGS = b"\nSELECT pg_catalog.set_config("  # follows the timeouts
# A row that refers to one that is not there, which the server looks for when the transaction is committed.
_HOLD = b"""CREATE TEMPORARY TABLE backupkit_unfinished (
    id integer PRIMARY KEY, of integer REFERENCES backupkit_unfinished DEFERRABLE INITIALLY DEFERRED
) ON COMMIT DROP;
INSERT INTO pg_temp.backupkit_unfinished VALUES (1, 2);
"""
_RELEASE = b"RESET SESSION AUTHORIZATION;\nDELETE FROM pg_temp.backupkit_unfinished;\nCOMMIT;\n"
_TIMEOUTS = "SELECT name FROM pg_settings WHERE name LIKE '%timeout'"
# For what is dropped; the script sets its own, which is none, when all that is there already is locked.
_LOCK_TIMEOUT = b"SET LOCAL lock_timeout = '60s';\n"

_MEANINGS = (
    (
        r"invalid command \\restrict",
        "This psql cannot be kept from running programs that a dump names: install one of version 13.22, 14.19, "
        "15.14, 16.10, 17.6, 18 or newer, which works with older servers too, and give its folder as tools=.",
    ),
    (
        r"backslash commands are restricted|\\unrestrict: wrong key",
        "The dump has commands to psql itself, which are not followed: they could run programs. Make it by pg_dump "
        "without --create, or restore it to a folder, read it, and run psql yourself.",
    ),
    (
        r"backupkit_unfinished_of_fkey",  # and not where psql quotes the statement that names the table
        "The dump ends the transaction that it is restored in, so a failure could leave half of it: restore it to "
        "a folder, and run psql yourself.",
    ),
    (
        r'(schema|type|function|relation) "[^"]*"(\([^)]*\))? does not exist|function .* does not exist',
        "The dump refers to something that is neither in it nor in the database: restore all of it, or a dump of "
        "the whole database.",
    ),
    (
        r"could not read from input file|unexpected end of file|could not find block ID|corrupt",
        "The archive was cut off or is damaged, so nothing of it was kept: use another one.",
    ),
    (
        r"cannot drop .* because other objects depend on (it|them)",
        "Other objects of the database depend on a table that is to be replaced: name those too, or restore to "
        "another database, and copy the rows from there.",
    ),
)


def load_postgresql(client: DatabaseClient, chunks: Iterator[bytes], loading: Loading) -> None:
    """Feed the script, or what pg_restore makes of the archive, to psql in one transaction."""
    assert isinstance(client, PostgreSQLClient)  # noqa: S101 - the loader is chosen by the client's engine
    head, chunks = begun(chunks, HEAD)
    archive = head.startswith(b"PGDMP")
    _check(head, client, loading, archive=archive)
    explain = _explain_with(client.explain)
    key, end = secrets.token_hex(32), secrets.token_hex(32)
    known = {name.encode() for (name,) in client.query(_TIMEOUTS)}

    if loading.tables:
        chosen, chunks = _selected(client, chunks, loading)
        clear = dropping(chosen.relations)
        if loading.replace:
            check_partitions(client, chosen.relations)
    else:
        chosen, clear = None, CLEAR

    def written(script: Iterator[bytes]) -> Iterator[bytes]:
        yield b"BEGIN;\n" + _LOCK_TIMEOUT
        if loading.replace:
            yield clear.encode()
        yield _HOLD + f"\\restrict {key}\n".encode()
        yield from _statements(script, known)
        yield f"\n\\unrestrict {key}\n".encode() + _RELEASE
        yield f"SELECT '{end}';\n".encode()

    argv = [
        client.program("psql"),
        *("--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--no-password", "--set=ON_ERROR_STOP=1"),
    ]
    said = bytearray()
    with (
        # Closed here: pg_restore must not outlive a psql that failed.
        closing_iterator(
            _script_of(client, chunks, loading, chosen) if archive else _whole(chunks, head)
        ) as script,
        client.access() as access,
    ):
        feed = written(script)
        for _ in with_tail(output_of(argv, access, explain=explain, limits=loading.limits, feed=feed), said):
            pass
    # Within rows or a text that never end, nothing of ours would have been a command.
    if not said.endswith(f"{end}\n".encode()):
        raise ClientError(
            "the dump ends in the middle of a statement, so nothing of it was kept: use another one."
        )


def _check(head: bytes, client: PostgreSQLClient, loading: Loading, *, archive: bool) -> None:
    """Refuse what cannot be restored as it is asked, before anything is begun."""
    heading = _HEADING.match(head)
    if not head.strip():
        raise ClientError("the dump is empty: use another one.")
    if heading and heading[1]:
        raise ClientError(
            "this is no dump of a database, but of a server's roles: restore it to a folder, read it, and run "
            "psql --file=… postgres yourself."
        )
    if loading.tables and not archive:
        raise ClientError(
            'single tables can be had only from dumps that PostgreSQL(…, form="custom") made, and this is a plain '
            "script: restore all of it to another database, and copy the tables from there."
        )
    if not archive and b"\0" in head:
        raise ClientError("this is neither a script nor an archive in the custom form that pg_dump writes.")
    if loading.replace and not loading.tables and (names := client.query(SUBSCRIPTIONS)):
        raise ClientError(
            f"it has subscriptions ({', '.join(name for (name,) in names)}), which cannot be dropped in the same "
            "step: drop them first."
        )


def _selected(
    client: PostgreSQLClient, archive: Iterator[bytes], loading: Loading
) -> tuple[Selection, Iterator[bytes]]:
    """What of the archive is wanted, and all of it."""
    taken: list[bytes] = []  # the table of contents, and what the pipes hold beyond

    def about(*options: str) -> str:
        """What pg_restore says of the archive, of which it reads no more than the beginning."""
        already = list(taken)

        def taking() -> Iterator[bytes]:
            yield from already
            for chunk in archive:
                taken.append(chunk)
                yield chunk

        said = output_of(
            [client.program("pg_restore"), "--verbose", *options],
            Access(env=environment()),
            explain=_explain_with(client.explain),
            limits=loading.limits,
            feed=taking(),
            may_leave=True,
        )
        return b"".join(said).decode("utf-8", "replace")

    listing, headings = about("--list"), about("--schema-only", "--file=-")
    names = table_names(loading.tables, option="tables")
    schemas = {name for (name,) in client.query("SELECT nspname FROM pg_namespace")}
    return selected(listing, headings, names, schemas), chain(taken, archive)


def _script_of(
    client: PostgreSQLClient, archive: Iterator[bytes], loading: Loading, chosen: Selection | None
) -> Iterator[bytes]:
    """What pg_restore makes of an archive, which is read to its end."""
    explain = _explain_with(client.explain)
    argv = [client.program("pg_restore"), "--file=-"]
    if chosen is None:
        reading = Access(env=environment())
        yield from output_of(argv, reading, explain=explain, limits=loading.limits, feed=archive)
        return
    with private_file(chosen.lines.encode()) as lines:
        yield from output_of(
            [*argv, f"--use-list={lines.path}"],
            Access(env=environment(), descriptors=lines.descriptors),
            explain=explain,
            limits=loading.limits,
            feed=archive,
            may_leave=True,
        )
    for _ in archive:
        pass  # pg_restore ends with the last table that it wants, but damage further on counts too


def _whole(script: Iterator[bytes], head: bytes) -> Iterator[bytes]:
    """The script; ClientError at its end if pg_dump began it but did not end it."""
    tail = bytearray()
    yield from with_tail(script, tail)
    if _HEADING.match(head) and not is_whole(head, bytes(tail)):
        raise ClientError(
            "the dump was cut off, its last line is missing, so nothing of it was kept: use another one."
        )


def _statements(script: Iterator[bytes], known: set[bytes]) -> Iterator[bytes]:
    """The script without what has no meaning here.

    That is its own pair of \\restrict and \\unrestrict, as ours is around it; timeouts that this server does not
    know, of which newer programs switch off each; and the transaction around large objects.
    """
    head, chunks = begun(script, HEAD)
    key = _KEY.match(head)

    def without_key() -> Iterator[bytes]:
        first = next(chunks)
        if key:
            first = first[: key.start(1) - len(b"\\restrict ")] + first[key.end() :]
        settings = first[: max(0, first[:HEAD].find(_SETTINGS))]
        yield _TIMEOUT.sub(lambda found: found[0] if found[1] in known else b"", settings)
        yield first[len(settings) :]
        yield from chunks

    tail = bytearray()
    kept = (piece.data for piece in pieces(without_key()) if piece.kind != "transaction")
    yield from hold_back(kept, _TAIL, tail)
    end = re.sub(rb"(?m)^\\unrestrict %s\r?\n?\s*\Z" % key[1], b"", tail) if key else bytes(tail)
    yield end


def _explain_with(explain: Callable[[str], str | None]) -> Callable[[str], str | None]:
    def both(said: str) -> str | None:
        return meaning_among(_MEANINGS, said) or explain(said)

    return both
