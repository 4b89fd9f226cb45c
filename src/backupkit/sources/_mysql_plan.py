"""Which options mysqldump is given for what is wanted of a dump, and what of it no option can give."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, TypeAlias

from backupkit.databases.mysql import WITH_ROWS, MySQLClient
from backupkit.databases.mysql_programs import Tool
from backupkit.databases.programs import ClientError, Limits, check_extra_options
from backupkit.errors import ConfigurationError
from backupkit.sources._mysql_rights import Rights, rights_of

Consistency: TypeAlias = Literal["transaction", "lock", "none"]
Content: TypeAlias = Literal["all", "schema", "data"]
GTIDs: TypeAlias = Literal["OFF", "AUTO", "ON", "COMMENTED"]

_CONSISTENCY: dict[Consistency, tuple[str, ...]] = {
    "transaction": ("--single-transaction", "--quick", "--skip-lock-tables"),
    "lock": ("--lock-tables", "--quick"),
    "none": ("--skip-lock-tables", "--quick"),
}
_REFUSED = {
    "all-databases": "the dump would name its databases itself, and could be restored to no other",
    "databases": "the dump would name its database itself, and could be restored to no other",
    "system": "it would dump the server and not the database",
    "skip-comments": "the line that shows that a dump is whole would be missing",
    "disable-comments": "the line that shows that a dump is whole would be missing",
    "compact": "the line that shows that a dump is whole would be missing",
    "xml": "no client could restore it",
    "tab": "it would go to files of its own",
    "result-file": "it would go to a file of its own",
    "force": "a dump that failed in part would go on",
    "default-character-set": "charset says it",
    "defaults-file": "the files of options are chosen by the URL",
    "defaults-extra-file": "the files of options are chosen by the URL",
    "no-defaults": "the files of options are chosen by the URL",
    "host": "the URL says it",
    "port": "the URL says it",
    "socket": "the URL says it",
    "user": "the URL says it",
    "password": "every user of the machine would see it; the URL says it",
}
_SHORT = {
    "A": "all-databases",
    "B": "databases",
    "X": "xml",
    "T": "tab",
    "r": "result-file",
    "f": "force",
    "h": "host",
    "P": "port",
    "S": "socket",
    "u": "user",
}
_SHORT_WITH_VALUES = "w#"
_FACTS = f"""SELECT 'database', @@character_set_database, @@collation_database, VERSION(), DATABASE();
SELECT 'table', t.table_name, t.engine, e.transactions
    FROM information_schema.tables t JOIN information_schema.engines e ON e.engine = t.engine
    WHERE {WITH_ROWS} ORDER BY t.table_name"""  # noqa: S608 - of constants


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a dump is to hold and how it is to be read."""

    consistency: Consistency
    content: Content
    tables: tuple[str, ...]
    exclude_tables: tuple[str, ...]
    exclude_data: tuple[str, ...]
    routines: bool
    triggers: bool
    events: bool
    charset: str
    hex_blob: bool
    gtid_purged: GTIDs | None
    extra_options: tuple[str, ...]

    @property
    def whole_database(self) -> bool:
        """Whether it is the database that is dumped, and not some tables or rows of it."""
        return not self.tables and self.content != "data"

    def has(self, table: str) -> bool:
        return table in self.tables if self.tables else table not in self.exclude_tables

    def has_rows_of(self, table: str) -> bool:
        return self.has(table) and table not in self.exclude_data and self.content != "schema"


@dataclass(frozen=True, slots=True)
class Facts:
    """What has to be known of a database before it is dumped. `engines` are those of tables with rows."""

    charset: str
    collation: str
    engines: dict[str, str]
    transactional: frozenset[str]
    rights: Rights


def facts_of(client: MySQLClient, limits: Limits) -> Facts:
    rows = client.query(_FACTS, limits=limits)
    charset, collation, version, database = rows[0][1:]
    tables = rows[1:]
    grants: list[list[str]] = []
    with suppress(ClientError):  # a server that was started without grants has none to show
        grants = client.query("SHOW GRANTS", limits=limits)
    return Facts(
        charset,
        collation,
        {name: engine for _, name, engine, _ in tables},
        frozenset(name for _, name, _, transactions in tables if transactions == "YES"),
        rights_of([grant for (grant,) in grants], database, version),
    )


def dumps_for(wanted: Wanted, tool: Tool, database: str, facts: Facts) -> Iterator[list[str]]:
    """Yield the arguments of each run of the tool that makes a part of the dump, in their order."""
    if wanted.gtid_purged not in (None, "OFF") and not tool.if_known("--set-gtid-purged"):
        raise ClientError(
            f"gtid_purged={wanted.gtid_purged!r} is for MySQL's mysqldump of 5.6 or newer, and {tool.path} is none "
            f"({tool.version}): leave it out, or give tools= the folder of MySQL's own programs."
        )
    ignored = list(wanted.exclude_tables)
    tables = list(wanted.tables)
    here = [name for name in wanted.exclude_data if name in facts.engines and name not in ignored]
    if tables:
        here = [name for name in here if name in tables]
    without_data: list[str] = []
    if here and wanted.content == "data":
        ignored += here
    elif here and tool.if_known("--ignore-table-data"):
        without_data = [f"--ignore-table-data={database}.{name}" for name in here]
    elif here:
        # MySQL's tool cannot leave out the rows alone. The tables' structure comes first, because views need it.
        yield [*_arguments(wanted, tool, "OFF", structure=True), "--", database, *here]
        ignored += here
    remaining = [name for name in tables if name not in ignored]
    if tables and not remaining:
        return
    yield [
        *_arguments(wanted, tool, wanted.gtid_purged or "OFF", structure=False),
        *(f"--ignore-table={database}.{name}" for name in ignored),
        *without_data,
        *("--", database, *remaining),
    ]


def not_in_snapshot(wanted: Wanted, facts: Facts) -> str | None:
    """What to tell of tables that other connections may change while they are dumped."""
    if wanted.consistency != "transaction":
        return None
    loose = [
        f"{name} ({engine})"
        for name, engine in facts.engines.items()
        if name not in facts.transactional and wanted.has_rows_of(name)
    ]
    if not loose:
        return None
    more = f" and {len(loose) - 5} more" if len(loose) > 5 else ""
    return (
        f"Tables that know no transactions may not match the rest of the dump: {', '.join(loose[:5])}{more}. "
        'Convert them to InnoDB, or dump with consistency="lock", which keeps others from writing meanwhile.'
    )


def not_seen(wanted: Wanted, rights: Rights) -> Iterator[str]:
    """What to tell of all that the server hides from a user who has no right to it, as if it were not there."""
    if not wanted.tables and not rights.on_all("SELECT"):
        yield (
            "The user of the dump may not read the whole database, so that tables which it has no rights on are "
            "not in it: grant SELECT on all of it, or name in tables= what is wanted."
        )
    if (
        wanted.triggers
        and wanted.content != "data"
        and not rights.on_all("TRIGGER")
        and not all(rights.on_table(name, "TRIGGER") for name in wanted.tables or ("",))
    ):
        yield (
            "The user of the dump may not see all triggers, so that those are not in it: grant TRIGGER, or say "
            "triggers=False if there are none."
        )
    if wanted.routines and wanted.whole_database and not rights.sees_routines:
        yield (
            "The user of the dump may not see routines of others, so that those are not in it: grant SELECT on "
            "mysql.proc (MariaDB, and MySQL before 8) or SHOW_ROUTINE on *.* (MySQL), or say routines=False if "
            "there are none."
        )


def check_options(options: Sequence[str]) -> tuple[str, ...]:
    """The options if none takes away what makes a dump whole, private and restorable; ConfigurationError."""
    for option in check_extra_options(options):
        if not option.startswith("-") or option in ("-", "--"):
            raise ConfigurationError(
                f"The extra option {option!r} does not begin with a dash: write an option and its value as one "
                "text, such as '--where=id > 9'; tables have options of their own."
            )
        for name in _names_of(option, _REFUSED, _SHORT):
            raise ConfigurationError(f"{option} cannot be an extra option of a dump: {_REFUSED[name]}.")
    return tuple(options)


def leaves_rows_out(options: Sequence[str]) -> bool:
    """Whether one of them asks for the structure alone."""
    return any(any(_names_of(option, ("no-data",), {"d": "no-data"})) for option in options)


def _names_of(option: str, names: Collection[str], short: Mapping[str, str]) -> Iterator[str]:
    """Which of these options this one means; the tools take names that are cut short too."""
    if not option.startswith("--"):
        for letter in option[1:]:
            if letter in short:
                yield short[letter]
            if letter in _SHORT_WITH_VALUES:
                return
        return
    given, _, value = option[2:].partition("=")
    given = given.replace("_", "-").removeprefix("loose-")
    if given == "comments" and value.lower() in ("0", "off", "false"):
        given = "skip-comments"
    for name in names:
        if len(given) > 1 and name.startswith(given):
            yield name


def _arguments(wanted: Wanted, tool: Tool, gtids: GTIDs, *, structure: bool) -> list[str]:
    data_only = wanted.content == "data"
    arguments = [
        *("--skip-dump-date", "--no-tablespaces", "--max-allowed-packet=1G"),
        f"--default-character-set={wanted.charset}",
        *_CONSISTENCY[wanted.consistency],
        *tool.if_known("--column-statistics=0", f"--set-gtid-purged={gtids}"),
    ]
    if wanted.hex_blob:
        arguments.append("--hex-blob")
    if structure or wanted.content == "schema":
        arguments.append("--no-data")
    if data_only:
        arguments.append("--no-create-info")
    of_database = wanted.whole_database and not structure
    arguments += [
        "--routines" if wanted.routines and of_database else "--skip-routines",
        "--triggers" if wanted.triggers and not data_only else "--skip-triggers",
        "--events" if wanted.events and of_database else "--skip-events",
        *wanted.extra_options,
    ]
    return arguments
