"""What would keep mysqldump from dumping a database, or from seeing all of it, asked before."""

from __future__ import annotations

from collections.abc import Iterator

from backupkit.databases.mysql import MySQLClient
from backupkit.databases.mysql_programs import Purpose, Tool
from backupkit.databases.programs import QUESTION, ClientError
from backupkit.model import Finding
from backupkit.sources._examining import tried
from backupkit.sources._mysql_plan import Facts, Wanted, facts_of, not_in_snapshot, not_seen

_VIEWS = "SELECT COUNT(*) FROM information_schema.views WHERE table_schema = DATABASE()"


def examined(client: MySQLClient, wanted: Wanted) -> Iterator[Finding]:
    """The programs, the server, the database, and the rights that the dump needs."""
    dump = yield from tried("program", lambda: client.tool("dump"), lambda one: _of(one, "dump"))
    asks = yield from tried("client", lambda: client.tool("client"), lambda one: _of(one, "client"))
    if dump is None or asks is None:
        return
    answer = yield from tried(
        "server",
        lambda: client.query("SELECT VERSION(), CURRENT_USER()", in_database=False, limits=QUESTION),
        lambda rows: f"{client.url} answers as {rows[0][0]} to the user {rows[0][1]}.",
        of=client.url,
    )
    if answer is None:
        return
    if not client.url.database:
        yield Finding(
            step="database", verdict="not ok", message=f"{client.url} names no database: write its name."
        )
        return
    facts = yield from tried(
        "database",
        lambda: facts_of(client, QUESTION),
        lambda one: f"There are {len(one.engines)} tables with rows that the user sees ({one.charset}).",
        of=client.url,
    )
    if facts is not None:
        yield from _rights(client, wanted, facts)


def _of(tool: Tool, purpose: Purpose) -> str:
    does = "makes the dump" if purpose == "dump" else "asks the server, and restores"
    return f"{tool.path} {does} ({' '.join(tool.version.split())})."


def _rights(client: MySQLClient, wanted: Wanted, facts: Facts) -> Iterator[Finding]:
    any_finding = False
    for right, why in _refused(client, wanted, facts):
        any_finding = True
        yield Finding(
            step="rights",
            verdict="not ok",
            message=f"{client.url}: the user lacks {right}, without which the dump fails {why}.",
            advice=f"Grant {right} on the database, or say what is not wanted.",
        )
    for message in not_seen(wanted, facts.rights):
        any_finding = True
        yield Finding(step="rights", verdict="warning", message=f"{client.url}: {message}")
    if not any_finding:
        yield Finding(step="rights", verdict="ok", message="The user may do all that the dump needs.")
    if (loose := not_in_snapshot(wanted, facts)) is not None:
        yield Finding(step="one moment", verdict="warning", message=f"{client.url}: {loose}")


def _refused(client: MySQLClient, wanted: Wanted, facts: Facts) -> Iterator[tuple[str, str]]:
    """Yield the rights that are missing, each with what for."""
    rights = facts.rights
    tables = wanted.tables or ("",)

    def lacks(right: str) -> bool:
        return not rights.on_all(right) and not all(rights.on_table(name, right) for name in tables)

    if wanted.events and wanted.whole_database and not rights.on_all("EVENT"):
        yield "EVENT", "(events=False leaves events out)"
    if wanted.consistency == "lock" and lacks("LOCK TABLES"):
        yield "LOCK TABLES", 'with consistency="lock"'
    if wanted.content != "data" and lacks("SHOW VIEW") and _any_view(client):
        yield "SHOW VIEW", "at the first view"


def _any_view(client: MySQLClient) -> bool:
    try:
        return client.query(_VIEWS, limits=QUESTION) != [["0"]]
    except ClientError:  # then the dump will say it
        return False
