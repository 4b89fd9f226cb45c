"""What psql is told so that tables of an archive can take the place of those that are there."""

from __future__ import annotations

from collections.abc import Sequence

from backupkit.databases.postgresql import PostgreSQLClient
from backupkit.databases.postgresql_names import literal, printed, quoted
from backupkit.databases.programs import ClientError
from backupkit.targets.postgresql_selection import Relation

# What depends on others before those; sequences last, which tables use.
_ORDER = ("VIEW", "MATERIALIZED VIEW", "TABLE", "FOREIGN TABLE", "SEQUENCE")
_PARTITIONS = """SELECT pn.nspname, p.relname, cn.nspname, c.relname
    FROM pg_catalog.pg_inherits i
    JOIN pg_catalog.pg_class p ON p.oid = i.inhparent JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
    JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace
    WHERE p.relkind = 'p' AND ((pn.nspname, p.relname) IN ({0}) OR (cn.nspname, c.relname) IN ({0}))
    ORDER BY 1, 2, 3, 4"""


def dropping(relations: Sequence[Relation]) -> str:
    """Drop these if they are there, and nothing that is not among them.

    All tables go in one statement, so that they may refer to each other, and partitions go with their table.
    """
    statements = ["SET LOCAL client_encoding = 'UTF8';\nSET LOCAL client_min_messages = warning;\n"]
    for kind in _ORDER:
        names = [f"{quoted(one.schema)}.{quoted(one.name)}" for one in relations if one.type == kind]
        if names:
            statements.append(f"DROP {kind} IF EXISTS {', '.join(names)};\n")
    return "".join(statements)


def check_partitions(client: PostgreSQLClient, relations: Sequence[Relation]) -> None:
    """ClientError if to replace these would drop partitions that the dump does not have, or detach one."""
    chosen = {(one.schema, one.name) for one in relations}
    pairs = ", ".join(f"({literal(schema)}, {literal(name)})" for schema, name in sorted(chosen))
    for parent_schema, parent, schema, name in client.query(_PARTITIONS.format(pairs)):
        whole, part = printed(parent_schema, parent), printed(schema, name)
        if (parent_schema, parent) not in chosen:
            raise ClientError(
                f"{part} is a partition of {whole} there, and would no longer be one: name {whole} too, or restore "
                "to another database, and copy the rows from there."
            )
        if (schema, name) not in chosen:
            raise ClientError(
                f"{whole} has the partition {part} there, which the dump does not have and would be dropped with "
                "it: detach it first, or restore to another database, and copy the rows from there."
            )
