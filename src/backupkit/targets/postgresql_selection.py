"""Which entries of a PostgreSQL archive make up the tables that are wanted of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from backupkit.databases.postgresql_names import TableName
from backupkit.databases.programs import ClientError

_RELATIONS = ("TABLE", "FOREIGN TABLE", "VIEW", "MATERIALIZED VIEW", "SEQUENCE")
# What comes with them. Functions, types and schemas do not: others use them too.
_BELONGING = frozenset(
    (
        *("TABLE DATA", "MATERIALIZED VIEW DATA", "SEQUENCE", "SEQUENCE OWNED BY", "SEQUENCE SET", "DEFAULT"),
        *("TABLE ATTACH", "INDEX", "INDEX ATTACH", "CONSTRAINT", "CHECK CONSTRAINT", "FK CONSTRAINT"),
        *("TRIGGER", "RULE", "POLICY", "ROW SECURITY", "STATISTICS", "STATISTICS DATA"),
        *("COMMENT", "ACL", "SECURITY LABEL"),
    )
)
_NEEDED = frozenset((*_RELATIONS, "INDEX", "CONSTRAINT"))
_TYPES = sorted(_BELONGING | {*_RELATIONS, "SCHEMA"}, key=len, reverse=True)
_LINE = re.compile(r"(\d+); \d+ \d+ (.*)")
_DEPENDS = re.compile(r";\s+depends on: ([\d ]+)")
_NAMED = 10  # tables that a message names


@dataclass(slots=True)
class _Item:
    """A line of the table of contents: `215; 1259 16385 TABLE public orders admin`."""

    number: str
    line: str
    type: str
    rest: str
    needs: list[str]


def selected(listing: str, tables: Sequence[TableName], schemas: Collection[str]) -> str:
    """The lines of `pg_restore --list --verbose` for these tables and what belongs to them, in their order.

    That is their rows, defaults and sequences, indexes, constraints, triggers, rules, policies, statistics,
    comments and grants, and the schemas that they are in unless those are among `schemas`, which are there
    already. What also needs another table, as a foreign key does, comes only together with that.
    ClientError if one of the names means no table, view or sequence.
    """
    items = {item.number: item for item in _items(listing)}
    relations = [item for item in items.values() if item.type in _RELATIONS]
    chosen: set[str] = set()
    for name in tables:
        # Names are not quoted there; what follows the table's is the owner's.
        found = [item for item in relations if _means(name, item.rest, words=1)]
        found = found or [item for item in relations if _means(name, item.rest, words=2)]
        if not found:
            there = [".".join(item.rest.split(" ")[:2]) for item in relations if item.type == "TABLE"]
            some = ", ".join(there[:_NAMED]) + (", …" if there[_NAMED:] else "")
            raise ClientError(
                f"there is no table {name.text!r} in the dump, which has {some or 'none'}: correct the name."
            )
        chosen |= {item.number for item in found}
    missing = {items[number].rest.partition(" ")[0] for number in chosen} - set(schemas)
    chosen |= {
        item.number
        for item in items.values()
        if item.type == "SCHEMA" and any(item.rest.startswith(f"- {schema} ") for schema in missing)
    }
    while more := {item.number for item in items.values() if _belongs(item, items, chosen)} - chosen:
        chosen |= more
    return "".join(f"{item.line}\n" for item in items.values() if item.number in chosen)


def _items(listing: str) -> Iterator[_Item]:
    item: _Item | None = None
    for line in listing.splitlines():
        if match := _LINE.match(line):
            if item is not None:
                yield item
            kind = next((one for one in _TYPES if match[2].startswith(f"{one} ")), "")
            item = _Item(match[1], line, kind, match[2][len(kind) + 1 :], [])
        elif item is not None and (match := _DEPENDS.match(line)):
            item.needs += match[1].split()
    if item is not None:
        yield item


def _means(name: TableName, rest: str, *, words: int) -> bool:
    """Whether it is the name of `schema table owner`, the owner's name having so many words."""
    schema, _, table = rest.partition(" ")
    parts = table.split(" ")
    return len(parts) > words and name.matches(schema, " ".join(parts[:-words]))


def _belongs(item: _Item, items: dict[str, _Item], chosen: set[str]) -> bool:
    needed = [items[need].type for need in item.needs if need in chosen]
    if item.type not in _BELONGING or not needed or (item.type == "SEQUENCE" and set(needed) == {"SCHEMA"}):
        return False
    # A default comes in any case: without it, a table would be another one, and nothing would tell.
    return item.type == "DEFAULT" or all(
        need in chosen for need in item.needs if need in items and items[need].type in _NEEDED
    )
