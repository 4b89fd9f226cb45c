"""Loading a dump into MySQL or MariaDB, by the server's own client, which is let do nothing but that."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

from backupkit.databases.clients import DatabaseClient
from backupkit.databases.mysql import MySQLClient, quoted
from backupkit.databases.mysql_scripts import beginning
from backupkit.databases.programs import ClientError, output_of, with_tail
from backupkit.targets._mysql_events import without_running_events
from backupkit.targets.database import Loading
from backupkit.targets.mysql_scripts import whole_script

_RUNNING_EVENTS = """SELECT event_name FROM information_schema.events
    WHERE event_schema = DATABASE() AND status = 'ENABLED' ORDER BY event_name"""


def load_mysql(client: DatabaseClient, chunks: Iterator[bytes], loading: Loading) -> None:
    """Feed the script to the client, which ends at the first error.

    It obeys no commands but DELIMITER, so that a dump cannot run programs or read and write files here
    (`\\!`, `system`, `source`, `tee`, LOAD DATA LOCAL). A dump that changes to a database that it names itself
    is refused before that reaches the server: it would be restored over its original. One that is cut off fails.
    In a scratch database events are switched off before they are there.
    """
    assert isinstance(client, MySQLClient)  # noqa: S101 - the loader is chosen by the client's engine
    script = beginning(chunks, sandbox=False)  # all clients are locked in here
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
    end = secrets.token_hex(32)
    said = bytearray()

    def written() -> Iterator[bytes]:
        yield from whole_script(script)
        yield f"\nSELECT '{end}';\n".encode()

    with client.access(tool) as access:
        output = output_of(argv, access, explain=client.explain, limits=loading.limits, feed=written())
        for _ in with_tail(output, said):
            pass  # what a script prints is of no use to anyone
    # Within a text or a comment that never ends, nothing of ours would have been a statement.
    if not said.endswith(f"{end}\n".encode()):
        raise ClientError("the dump ends in the middle of a statement: use another one.")
    if loading.scratch and (running := [name for (name,) in client.query(_RUNNING_EVENTS)]):
        raise ClientError(
            f"its events ({', '.join(running[:5])}) are created in a way that is not known here, and were not "
            "switched off: rehearse it on a server whose event_scheduler is off.",
            outside=True,
        )


def emptying_mysql(client: DatabaseClient) -> Callable[[], None]:
    """What makes the database anew, as it is now but for what is in it: its character set, and a comment."""
    assert isinstance(client, MySQLClient)  # noqa: S101 - the loader is chosen by the client's engine
    create = client.query(f"SHOW CREATE DATABASE {quoted(client.url.database)}", in_database=False)[0][1]

    def empty() -> None:
        client.drop()
        client.query(create, in_database=False)

    return empty
