"""Which entries of a PostgreSQL archive make up the tables that are wanted of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
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
_HEADING = re.compile(
    r"^-- TOC entry (\d+) \(class \d+ OID \d+\)\n(?:-- Dependencies: .*\n)?"
    r"-- Name: (.*); Type: (?:[A-Z ]+); Schema: (.*?); Owner: (.*)$",
    re.MULTILINE,
)
_NAMED = 10  # tables that a message names


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, view or sequence of an archive; `type` is what DROP calls it."""

    type: str
    schema: str
    name: str


@dataclass(frozen=True, slots=True)
class Selection:
    """Lines of the table of contents for `pg_restore --use-list`, and the relations that they make."""

    lines: str
    relations: tuple[Relation, ...]


@dataclass(slots=True)
class _Item:
    """A line of the table of contents: `215; 1259 16385 TABLE public orders admin`."""

    number: str
    line: str
    type: str
    rest: str
    needs: list[str]


def selected(listing: str, headings: str, tables: Sequence[TableName], schemas: Collection[str]) -> Selection:
    """The lines of `pg_restore --list --verbose` for these tables and what belongs to them, in their order.

    That is their rows, defaults and sequences, indexes, constraints, triggers, rules, policies, statistics,
    comments and grants, and the schemas that they are in unless those are among `schemas`, which are there
    already. What also needs another table, as a foreign key does, comes only together with that. Partitions
    come with the table that they are part of, or it would be restored without a row.

    Names are not quoted in those lines, where `my orders admin` may be a table `my` too: what is what is read
    from the headings that `pg_restore --schema-only --verbose` writes, and both have to agree.
    ClientError if one of the names means no table, view or sequence.
    """
    items = {item.number: item for item in _items(listing)}
    names = _names(headings, items)
    relations = {
        number: Relation(item.type, *names[number])
        for number, item in items.items()
        if item.type in _RELATIONS and number in names
    }
    unclear = [item.rest for item in items.values() if item.type in _RELATIONS and item.number not in names]
    if unclear:
        raise ClientError(
            f"it cannot be told which part of {unclear[0]!r} in the dump's table of contents is the name of a "
            "table: restore the whole dump to another database, and copy the tables from there."
        )
    chosen: set[str] = set()
    for name in tables:
        found = {number for number, one in relations.items() if name.matches(one.schema, one.name)}
        if not found:
            there = [f"{one.schema}.{one.name}" for one in relations.values() if one.type == "TABLE"]
            some = ", ".join(there[:_NAMED]) + (", …" if there[_NAMED:] else "")
            raise ClientError(
                f"there is no table {name.text!r} in the dump, which has {some or 'none'}: correct the name."
            )
        chosen |= found
    while more := {child for parent, child in _partitions(items) if parent in chosen} - chosen:
        chosen |= more
    missing = {relations[number].schema for number in chosen} - set(schemas)
    chosen |= {
        number
        for number, item in items.items()
        if item.type == "SCHEMA" and number in names and names[number][1] in missing
    }
    while more := {item.number for item in items.values() if _belongs(item, items, chosen)} - chosen:
        chosen |= more
    return Selection(
        "".join(f"{item.line}\n" for item in items.values() if item.number in chosen),
        tuple(one for number, one in relations.items() if number in chosen),
    )


def _names(headings: str, items: Mapping[str, _Item]) -> dict[str, tuple[str, str]]:
    """Schema and name of each item that has one heading, and only one, that says the same as its line.

    A second one can stand in the text of a function, in a dump that is meant to deceive.
    """
    found: dict[str, set[tuple[str, str]]] = {}
    for number, name, schema, owner in _HEADING.findall(headings):
        # The tablespace follows the owner; a line leaves out what is "-" here.
        owners = {owner, owner.rpartition("; Tablespace: ")[0], owner.removeprefix("-")}
        item = items.get(number)
        if item is not None and item.rest in {f"{schema} {name} {one}" for one in owners}:
            found.setdefault(number, set()).add((schema, name))
    return {number: names.pop() for number, names in found.items() if len(names) == 1}


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


def _partitions(items: Mapping[str, _Item]) -> Iterator[tuple[str, str]]:
    """Each partitioned table, and one of its partitions."""
    for item in items.values():
        if item.type == "TABLE ATTACH":
            pair = [need for need in item.needs if need in items]
            yield from ((need, child) for child in pair for need in items[child].needs if need in pair)


def _belongs(item: _Item, items: dict[str, _Item], chosen: set[str]) -> bool:
    needed = [items[need].type for need in item.needs if need in chosen]
    if item.type not in _BELONGING or not needed or (item.type == "SEQUENCE" and set(needed) == {"SCHEMA"}):
        return False
    # A default comes in any case: without it, a table would be another one, and nothing would tell. A partition's
    # indexes need those of the whole table only to become part of them.
    needed_types = _RELATIONS if item.type in ("INDEX", "CONSTRAINT") else _NEEDED
    return item.type == "DEFAULT" or all(
        need in chosen for need in item.needs if need in items and items[need].type in needed_types
    )
