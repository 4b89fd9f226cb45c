"""Names of PostgreSQL's tables: as users write them, as pg_dump takes them, as rows are recorded under them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from backupkit.errors import ConfigurationError, one_text

_WILD = {"*": ".*", "?": "."}


@dataclass(frozen=True, slots=True)
class TableName:
    """A name as it was given; each part is a row of pieces, which are texts or, as (wildcard,), `*` or `?`."""

    text: str
    schema: tuple[str | tuple[str], ...]
    table: tuple[str | tuple[str], ...]

    @property
    def pattern(self) -> str:
        """The pattern that makes pg_dump take exactly this: whatever is in quotes there means itself."""
        return ".".join(_pattern(part) for part in (self.schema, self.table) if part)

    def matches(self, schema: str, table: str) -> bool:
        return _matches(self.table, table) and (not self.schema or _matches(self.schema, schema))


def table_names(names: Sequence[str], *, option: str) -> tuple[TableName, ...]:
    """Names as users give them: `orders`, `shop.orders`, `audit_*`, `"odd.name"`.

    Capitals mean themselves, unlike in SQL. `*` is any text and `?` any character. A schema stands before the
    first dot, and what is in double quotes means itself.
    """
    if isinstance(names, str):
        raise one_text(option, names)
    return tuple(_parsed(name, option) for name in names)


def printed(schema: str, table: str) -> str:
    """`schema.table`, each quoted unless it is plain: the same name on servers with other reserved words."""
    return f"{_printed(schema)}.{_printed(table)}"


def quoted(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL that any server reads alike, whatever its standard_conforming_strings."""
    return " E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _parsed(name: str, option: str) -> TableName:
    parts: list[list[str | tuple[str]]] = [[]]
    inside = False
    characters = iter(name if isinstance(name, str) and "\0" not in name else "")
    following: str | None = next(characters, None)
    while following is not None:
        character, following = following, next(characters, None)
        if character == '"' and inside and following == '"':
            following = next(characters, None)
        elif character == '"':
            inside = not inside
            continue
        elif not inside and character == ".":
            parts.append([])
            continue
        elif not inside and character in _WILD:
            parts[-1].append((character,))
            continue
        if parts[-1] and isinstance(parts[-1][-1], str):
            parts[-1][-1] += character
        else:
            parts[-1].append(character)
    if inside or len(parts) > 2 or not all(parts):
        raise ConfigurationError(
            f"{option} has {name!r}, which is no name of a table: write table or schema.table, and in double "
            'quotes what has dots, as in public."odd.name".'
        )
    schema = tuple(parts[0]) if len(parts) == 2 else ()
    return TableName(name, schema, tuple(parts[-1]))


def _pattern(part: tuple[str | tuple[str], ...]) -> str:
    return "".join(quoted(piece) if isinstance(piece, str) else piece[0] for piece in part)


def _matches(part: tuple[str | tuple[str], ...], name: str) -> bool:
    expression = "".join(re.escape(piece) if isinstance(piece, str) else _WILD[piece[0]] for piece in part)
    return re.fullmatch(expression, name, re.DOTALL) is not None


def _printed(identifier: str) -> str:
    return identifier if re.fullmatch("[a-z_][a-z0-9_]*", identifier) else quoted(identifier)
