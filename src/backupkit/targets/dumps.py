"""What the name of a dump says of it: `<engine>-<name>.<extension>`, as every source writes it."""

from __future__ import annotations

from backupkit.databases.urls import ENGINES, DatabaseURL, Engine
from backupkit.model import Problem

_EXTENSIONS = (".sql", ".pgdump", ".archive", ".rdb", ".sqlite3")


ROLES = ".roles.sql"
"""How the names of scripts end that hold a server's roles: no database can be made of one."""


def short_name(dump: str) -> str:
    """What a dump is of: `mysql-shop.sql.gz` → `shop`, `postgresql-main/shop.pgdump` → `main/shop`."""
    name = dump.removesuffix(".gz").removesuffix(".bz2")
    name = next((name.removesuffix(end) for end in _EXTENSIONS if name.endswith(end)), name)
    engine = engine_of(name)
    return name if engine is None else name.removeprefix(f"{engine}-")


def engine_of(dump: str) -> Engine | None:
    """The engine that the name begins with; None for dumps that other programs named."""
    return next((engine for engine in ENGINES if dump.startswith(f"{engine}-")), None)


def of_another_engine(path: str, url: DatabaseURL) -> Problem | None:
    """The problem, if the dump at this path says by its name that it is for another engine."""
    named = engine_of(path.rpartition("/")[2]) or engine_of(path.partition("/")[2])
    if named is None or named == url.engine or {named, url.engine} == {"mysql", "mariadb"}:
        return None
    return Problem(
        message=f"{path} is a dump of {named}, and {url} is a database of {url.engine}: restore it to one of its "
        "own engine.",
        path=path,
    )


def roles_are_no_database(path: str) -> Problem:
    """The problem, if a database is named for a script of a server's roles."""
    return Problem(
        message=f"{path} holds the roles of a server, and no database can be made of it: name none for it, and run "
        "it by psql on a new server.",
        path=path,
    )
