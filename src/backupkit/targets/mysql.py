"""Loading a dump into MySQL or MariaDB, by the server's own client, which is let do nothing but that."""

from __future__ import annotations

import re
from collections.abc import Iterator

from backupkit._chunks import closing_iterator
from backupkit.databases.clients import DatabaseClient
from backupkit.databases.mysql import MySQLClient
from backupkit.databases.programs import ClientError, output_of
from backupkit.targets._mysql_events import without_running_events
from backupkit.targets.database import Loading

_SANDBOX = re.compile(rb"/\*M?!999999\\- enable the sandbox mode \*/ *\n")
_ELSEWHERE = re.compile(rb"\n(?:USE|use)\s+(`(?:[^`\n]|``)+`|[\w$]+)\s*;")
_RUNNING_EVENTS = """SELECT event_name FROM information_schema.events
    WHERE event_schema = DATABASE() AND status = 'ENABLED' ORDER BY event_name"""
_LONGEST = 512  # bytes of a line that names a database: 64 characters, of 4 bytes, all of them backticks


def load_mysql(client: DatabaseClient, chunks: Iterator[bytes], loading: Loading) -> None:
    """Feed the script to the client, which ends at the first error.

    It obeys no commands but DELIMITER, so that a dump cannot run programs or read and write files here
    (`\\!`, `system`, `source`, `tee`, LOAD DATA LOCAL). A dump that changes to a database that it names itself
    is refused before that reaches the server: it would be restored over its original. In a scratch database
    events are switched off before they are there.
    """
    assert isinstance(client, MySQLClient)  # noqa: S101 - the loader is chosen by the client's engine
    script = _plain(chunks)
    if loading.scratch:
        script = without_running_events(script)
    tool = client.tool("client")
    argv = [
        tool.path,
        # Binary mode: commands are off, and NUL and \r\n in texts stay what they are.
        *("--batch", "--binary-mode", "--local-infile=0", "--max-allowed-packet=1G"),
        # Or the client would take them out of the bodies of routines and triggers.
        "--comments",
        # What is set at the top of a dump would be gone after a reconnection.
        "--skip-reconnect",
        "--default-character-set=utf8mb4",
        # What fails is told without the rows that it holds.
        *tool.if_known("--skip-print-query-on-error", "--sandbox", "--skip-system-command"),
        f"--database={client.url.database}",
    ]
    with client.access(tool) as access:
        for _ in output_of(
            argv, access, explain=client.explain, limits=loading.limits, feed=in_one_database(script)
        ):
            pass  # what a script prints is of no use to anyone
    if loading.scratch and (running := [name for (name,) in client.query(_RUNNING_EVENTS)]):
        raise ClientError(
            f"its events ({', '.join(running[:5])}) are created in a way that is not known here, and were not "
            "switched off: rehearse it on a server whose event_scheduler is off.",
            outside=True,
        )


def _plain(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Without MariaDB's first line, which other clients take for an error: all clients are locked in here."""
    with closing_iterator(chunks) as iterator:
        head = b""
        for chunk in iterator:
            head += chunk
            if b"\n" in head:
                break
        line = _SANDBOX.match(head)
        yield head[line.end() :] if line else head
        yield from iterator


def in_one_database(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same chunks up to a line that changes the database, which raises ClientError. In data there is none."""
    held, begun = b"\n", False  # a line break that is not theirs, so that the first line is looked at too
    for chunk in chunks:
        text = held + chunk
        if found := _changes_database(text):
            raise ClientError(
                f"it changes to the database {found} that it names itself, as dumps with --databases and "
                "--all-databases do, and would be restored there: restore its file with the server's client, or "
                "cut out the part that is wanted."
            )
        line = text.rfind(b"\n")
        stop = line if line >= 0 and len(text) - line < _LONGEST else len(text)
        held = text[stop:]
        yield text[0 if begun else 1 : stop]
        begun = begun or stop > 0
    yield held if begun else held[1:]


def _changes_database(text: bytes) -> str | None:
    if b"\nUSE" not in text and b"\nuse" not in text:  # the regular expression alone takes six times as long
        return None
    found = _ELSEWHERE.search(text)
    return found[1].decode("utf-8", "replace") if found else None
