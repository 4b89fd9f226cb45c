"""What a PostgreSQL server says of itself, and which tables its user cannot dump."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from backupkit.databases.postgresql import PostgreSQLClient
from backupkit.databases.programs import QUESTION

Hindrance: TypeAlias = Literal["no right", "row security"]

_SERVER = (
    "SELECT current_setting('server_version_num'), current_setting('server_version'), current_user, "
    "(SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)"
)
# pg_dump locks tables, which takes SELECT, and USAGE of their schemas; of policies it wants none to hide rows.
_HINDERED = """SELECT n.nspname, c.relname, c.relkind,
        CASE WHEN has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
             THEN 'row security' ELSE 'no right' END
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'S')
      AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
      AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
                      WHERE d.objid = c.oid AND d.deptype = 'e' AND d.classid = 'pg_catalog.pg_class'::regclass)
      AND (NOT has_schema_privilege(n.oid, 'USAGE') OR NOT has_table_privilege(c.oid, 'SELECT')
           OR (c.relrowsecurity AND row_security_active(c.oid)))
    ORDER BY 1, 2"""


@dataclass(frozen=True, slots=True)
class PostgreSQLServer:
    """`number` is as the server counts: 150004 is 15.4."""

    number: int
    version: str
    user: str
    superuser: bool


@dataclass(frozen=True, slots=True)
class Hindered:
    """A table, or a sequence, that the user cannot dump, and why."""

    schema: str
    name: str
    sequence: bool
    why: Hindrance


def server_of(client: PostgreSQLClient, *, database: str | None = None) -> PostgreSQLServer:
    ((number, version, user, superuser),) = client.query(_SERVER, database=database, limits=QUESTION)
    return PostgreSQLServer(int(number), version, user, superuser == "t")


def hindered(client: PostgreSQLClient) -> list[Hindered]:
    """What there is in the database beside extensions, and pg_dump would fail on as this user."""
    rows = client.query(_HINDERED, limits=QUESTION)
    return [Hindered(schema, name, kind == "S", cast("Hindrance", why)) for schema, name, kind, why in rows]


def is_too_old(tool: str, server: PostgreSQLServer) -> bool:
    """Whether a program that says this of its version refuses the server, which it does for its newer releases."""
    found = re.search(r"\(PostgreSQL\) (\d+)(?:\.(\d+))?", tool)
    if found is None:
        return False
    major = int(found[1])
    ours = (major, 0) if major >= 10 else (major, int(found[2] or 0))
    theirs = (server.number // 10000, 0 if server.number >= 100000 else server.number // 100 % 100)
    return ours < theirs
