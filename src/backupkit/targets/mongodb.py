"""Loading an archive of mongodump into one database, by mongorestore."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from backupkit.databases.clients import DatabaseClient
from backupkit.databases.mongodb import MongoDBClient
from backupkit.databases.mongodb_archive import Contents, read_contents, whole_archive
from backupkit.databases.programs import ClientError, output_of
from backupkit.targets.database import Loading


def load_mongodb(client: DatabaseClient, chunks: Iterator[bytes], loading: Loading) -> None:
    """Feed the archive to mongorestore, which puts the database that it is of into the one that is meant."""
    assert isinstance(client, MongoDBClient)  # noqa: S101 - the loader is chosen by the client's engine
    contents, read = read_contents(chunks)
    wanted = client.url.database
    found = _database_in(contents, wanted)
    argv = [
        client.program("mongorestore"),
        *("--archive", "--drop", "--stopOnError", f"--nsInclude={_pattern(found)}"),
        *((f"--nsFrom={_pattern(found)}", f"--nsTo={_pattern(wanted)}") if found != wanted else ()),
    ]
    # Named in the connection string, the database would be the only one to be looked for in the archive.
    with client.access(database="") as access:
        whole = whole_archive(chain(read, chunks), Contents())
        for _ in output_of(argv, access, explain=client.explain, limits=loading.limits, feed=whole):
            pass  # it writes to standard error


def _database_in(contents: Contents, wanted: str) -> str:
    """Which of the databases in the archive goes into the one that is wanted: that of its name, or the only one."""
    names = contents.databases
    if wanted in names:
        return wanted
    others = [name for name in names if name not in ("admin", "config")]
    if len(others) == 1:
        return others[0]
    if not others:
        raise ClientError("the archive holds no collection.")
    raise ClientError(
        f"the archive holds several databases ({', '.join(others[:10])}), and none is called {wanted!r}: restore "
        "one of them by its name, or all of them with mongorestore --archive."
    )


def _pattern(database: str) -> str:
    """All collections of it; * and $ would mean others."""
    escaped = "".join(f"\\{c}" if c in "*$\\" else c for c in database)
    return f"{escaped}.*"
