"""What would keep PostgreSQL's programs from dumping, asked before."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial

from backupkit.databases.postgresql import Partition, PostgreSQLClient
from backupkit.databases.postgresql_names import TableName, printed
from backupkit.databases.postgresql_rights import Hindered, PostgreSQLServer, hindered, is_too_old, server_of
from backupkit.databases.programs import ClientError
from backupkit.model import Finding, Verdict
from backupkit.sources._examining import installed, some, tried


def examined_server(
    client: PostgreSQLClient, program: str, *others: tuple[str, str]
) -> Generator[Finding, None, PostgreSQLServer | None]:
    """The program that dumps, those beside it (each with what it does), the server, and whether it is too new."""
    version = yield from installed("program", partial(client.program, program), "makes the dump")
    here = version is not None
    for other, does in others:
        found = yield from installed(other, partial(client.program, other), does)
        here = here and found is not None
    if not here or version is None:
        return None
    server = yield from tried(
        "server",
        lambda: server_of(client),
        lambda one: f"{client.url} answers as PostgreSQL {one.version} to the user {one.user}.",
        of=client.url,
    )
    if server is None:
        return None
    if is_too_old(version, server):
        yield Finding(
            step="version",
            verdict="not ok",
            message=f"{program} is older than the server ({version}, not {server.version}), and refuses it.",
            advice="Install client programs of at least the server's version, and give their folder as tools=.",
        )
        return None
    yield Finding(step="version", verdict="ok", message=f"{program} is not older than the server.")
    return server


def examined_rights(
    client: PostgreSQLClient,
    wants: Callable[[Hindered, Sequence[Partition]], bool],
    *,
    named: bool,
    otherwise: Verdict,
) -> Iterator[Finding]:
    """Whether all that is wanted can be dumped; partitions are only asked for where tables are `named`."""

    def ask() -> list[Hindered]:
        found = hindered(client)
        partitions = client.partitions() if named and found else []
        return [one for one in found if wants(one, partitions)]

    try:
        found = ask()
    except ClientError as error:
        yield Finding(step="rights", verdict="not known", message=f"{client.url}: {error}")
        return
    refused = [printed(one.schema, one.name) for one in found if one.why == "no right"]
    hidden = [printed(one.schema, one.name) for one in found if one.why == "row security"]
    if refused:
        yield Finding(
            step="rights",
            verdict=otherwise,
            message=f"The user may not read all of {client.url}: {some(refused)}.",
            advice="Grant it the role pg_read_all_data, or USAGE on the schemas and SELECT on all tables and "
            "sequences; or leave them out by exclude_tables=.",
        )
    if hidden:
        yield Finding(
            step="rights",
            verdict=otherwise,
            message=f"Policies hide rows of {client.url} from the user, which pg_dump refuses: {some(hidden)}.",
            advice="Give the user BYPASSRLS, or leave the tables out by exclude_tables=.",
        )
    if not found:
        yield Finding(
            step="rights", verdict="ok", message=f"The user may read all that is wanted of {client.url}."
        )


def names_any(names: Sequence[TableName], schema: str, table: str, partitions: Sequence[Partition]) -> bool:
    """Whether one of the names means this table, or a partitioned one that it is a part of."""
    wholes = [
        (one.whole_schema, one.whole) for one in partitions if (one.schema, one.name) == (schema, table)
    ]
    return any(name.matches(*each) for name in names for each in [(schema, table), *wholes])
