"""What SHOW GRANTS says of a user's rights on one database: the server hides what a user has no rights to.

Names of databases in grants are patterns with `_` and `%`, unless a table is named too. Rights of the roles that
are active have lines of their own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

_NAME = r"(?:`(?:[^`]|``)*`|\"(?:[^\"]|\"\")*\"|[\w$]+|\*)"
_GRANT = re.compile(rf"(GRANT|REVOKE) (.*?) ON (?:TABLE )?({_NAME})\.({_NAME}) (?:TO|FROM) ", re.DOTALL)
_ALL = "ALL PRIVILEGES"
# Who has one of these on a routine sees that it is there; a body that is hidden then fails the dump.
_OF_ROUTINES = ("EXECUTE", "ALTER ROUTINE", "CREATE ROUTINE", "SHOW CREATE ROUTINE")


@dataclass(frozen=True, slots=True)
class Rights:
    """The rights on the whole database and on tables of it; None for `whole`: nothing is known, so all."""

    whole: frozenset[str] | None
    tables: Mapping[str, frozenset[str]]
    sees_routines: bool

    def on_all(self, right: str) -> bool:
        return self.whole is None or _has(self.whole, right)

    def on_table(self, table: str, right: str) -> bool:
        return self.on_all(right) or _has(self.tables.get(table, ()), right)


def rights_of(grants: Iterable[str], database: str, version: str) -> Rights:
    """What these lines of SHOW GRANTS allow on the database; with none of them, on a server without grants, all."""
    everywhere: set[str] = set()
    here: set[str] = set()
    taken: set[str] = set()
    tables: dict[str, frozenset[str]] = {}
    reads_mysql = False
    any_line = False
    for grant in grants:
        any_line = True
        found = _GRANT.match(grant)
        if found is None:
            continue  # of a role, whose rights have lines of their own, or of a proxy
        rights = _rights_in(found[2])
        pattern, table = found[3], _unquoted(found[4])
        if found[1] == "REVOKE":  # MySQL's partial revokes
            if _unquoted(pattern) == database:
                taken |= rights
        elif table != "*":
            if _unquoted(pattern) == database:
                tables[table] = tables.get(table, frozenset()) | rights
            reads_mysql |= (_unquoted(pattern), table) == ("mysql", "proc") and _has(rights, "SELECT")
        elif pattern == "*":
            everywhere |= rights
        else:
            if _matches(_unquoted(pattern), database):
                here |= rights
            reads_mysql |= _matches(_unquoted(pattern), "mysql") and _has(rights, "SELECT")
    if not any_line:
        return Rights(None, {}, True)
    whole = frozenset((everywhere - taken) | here)
    has_proc = version.partition(".")[0] not in ("8", "9")  # newer than 9 is MariaDB
    sees_routines = (
        _has(everywhere, "SELECT")
        or _has(everywhere, "SHOW_ROUTINE")
        or (has_proc and reads_mysql)
        or any(_has(whole, right) for right in _OF_ROUTINES)
    )
    return Rights(whole, tables, sees_routines)


def _rights_in(text: str) -> frozenset[str]:
    """The rights on all columns: those on some are followed by a list of them."""
    without_columns = re.sub(rf"[A-Z ]+\((?:{_NAME}(?:, ?)?)+\)", "", text)
    return frozenset(filter(None, (right.strip().upper() for right in without_columns.split(","))))


def _has(rights: Collection[str], right: str) -> bool:
    return right in rights or _ALL in rights


def _unquoted(name: str) -> str:
    quote = name[:1]
    return name[1:-1].replace(quote * 2, quote) if quote in ("`", '"') else name


def _matches(pattern: str, database: str) -> bool:
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    wild = {"_": ".", "%": ".*"}
    return (
        re.fullmatch("".join(wild.get(part) or re.escape(part[-1]) for part in parts), database, re.DOTALL)
        is not None
    )
