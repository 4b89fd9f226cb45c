"""What a text means where a part belongs, and which type of part is meant where none is said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backupkit.config import parts
from backupkit.config.parts import Kind, types_of
from backupkit.config.places import engine_of, is_local, is_redis, source_type
from backupkit.config.values import Surroundings, refers
from backupkit.errors import ConfigurationError


def of_text(kind: Kind, written: str, surroundings: Surroundings) -> tuple[str | None, dict[str, Any]]:
    """The type and the keys that a text means; no type if it means nothing here."""
    if kind is parts.ENCRYPTORS and refers(written):
        return "passphrase", {"passphrase": written}
    text = surroundings.text(written, secret=kind.secret)
    literally = text.replace("$", "$$")
    if kind is parts.DESTINATIONS:
        return ("local" if is_local(text) else "remote"), {"url": literally}
    if kind is parts.SOURCES:
        found = source_type(text)
        return found, {"path" if found == "directory" else "url": literally}
    if text in types_of(kind):
        return text, {}
    if "://" in text:
        match kind:
            case parts.NOTIFIERS:
                return "apprise", {"urls": literally}
            case parts.HISTORIES | parts.MEMORIES:
                return "database", {"url": literally}
            case parts.LOCKS:
                return (
                    ("redis", {"server": literally}) if is_redis(text) else ("database", {"url": literally})
                )
    return None, {}


def type_of(kind: Kind, data: Mapping[str, Any], surroundings: Surroundings) -> str | None:
    """The type of a table that says none; None if that cannot be told."""
    if kind is parts.ENCRYPTORS:
        return "passphrase"
    url = data.get("url")
    if kind is parts.SOURCES and "path" in data:
        return "directory"
    if not isinstance(url, str) or kind not in (parts.SOURCES, parts.DESTINATIONS):
        return "remote" if kind is parts.DESTINATIONS and "url" in data else None
    text = surroundings.text(url, secret=True)
    if kind is parts.DESTINATIONS:
        return "local" if is_local(text) else "remote"
    return source_type(text)


def by_engine(data: dict[str, Any], surroundings: Surroundings) -> tuple[str, dict[str, Any]]:
    """The type of the database that a URL means, and the keys for that: an SQLite database is known by its path."""
    url = data.get("url")
    if not isinstance(url, str):
        raise ConfigurationError('must be the URL of a database, such as "${DATABASE_URL}"')
    engine, path = engine_of(surroundings.text(url, secret=True))
    if path is None:
        return engine, data
    others = {key: value for key, value in data.items() if key != "url"}
    return engine, {**others, "path": path.replace("$", "$$")}
