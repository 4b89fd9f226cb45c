"""Loading a dump into PostgreSQL: one transaction, by psql."""

from __future__ import annotations

from collections.abc import Iterator

from backupkit.databases.clients import DatabaseClient
from backupkit.databases.postgresql import PostgreSQLClient
from backupkit.databases.programs import output_of
from backupkit.targets.database import Loading


def load_postgresql(client: DatabaseClient, chunks: Iterator[bytes], loading: Loading) -> None:
    """Feed the script to psql between BEGIN and COMMIT, of which the latter comes only after its whole end."""
    assert isinstance(client, PostgreSQLClient)  # noqa: S101 - the loader is chosen by the client's engine
    argv = [client.program("psql"), "--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1"]
    with client.access() as access:
        for _ in output_of(
            argv, access, explain=client.explain, limits=loading.limits, feed=_in_transaction(chunks)
        ):
            pass  # what a script prints is of no use to anyone


def _in_transaction(chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield b"BEGIN;\n"
    yield from chunks
    yield b"\nCOMMIT;\n"
