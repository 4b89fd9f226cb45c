"""Databases as frameworks know them: Django's settings, SQLAlchemy's engines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from backupkit.databases.urls import DatabaseURL, Engine, parse_database_url
from backupkit.errors import ConfigurationError
from backupkit.protocols import Source
from backupkit.sources.databases import database

_DJANGO: Mapping[str, Engine] = {
    "postgresql": "postgresql",
    "postgresql_psycopg2": "postgresql",
    "postgis": "postgresql",
    "mysql": "mysql",
    "sqlite3": "sqlite",
    "spatialite": "sqlite",
}


def from_sqlalchemy(engine: object, **options: Any) -> Source:
    """The source for the database of an SQLAlchemy engine, or of its URL; the options are those of the source.

    Options of the URL that are the driver's own business are passed over; those on TLS must be known here.
    """
    url: Any = getattr(engine, "url", engine)
    if not hasattr(url, "render_as_string"):
        raise ConfigurationError(
            f"{type(engine).__name__} is no SQLAlchemy engine or URL: give what create_engine() returned."
        )
    if url.drivername.partition("+")[0] == "sqlite" and url.database:
        # SQLAlchemy takes a path as it stands in the URL, percent signs included.
        return database(DatabaseURL(engine="sqlite", scheme="sqlite", database=url.database), **options)
    return database(url.render_as_string(hide_password=False), **options)


def from_django(
    databases: Mapping[str, Mapping[str, Any]], *, aliases: Sequence[str] | None = None, **options: Any
) -> list[Source]:
    """The sources for Django's `settings.DATABASES`: those of `aliases`, or of all that are no mirror of another.

    A dump is named by its database; where two would have the same name, by their aliases. The options are those
    of the sources. ConfigurationError for an engine that is not known here.
    """
    if isinstance(aliases, str):
        aliases = [aliases]
    for alias in aliases or ():
        if alias not in databases:
            raise ConfigurationError(f"DATABASES has no {alias!r}: it has {', '.join(map(repr, databases))}.")
    chosen = [
        (alias, django_url(alias, settings))
        for alias, settings in databases.items()
        if (alias in aliases if aliases is not None else not _is_mirror(settings))
    ]
    if not chosen:
        raise ConfigurationError("DATABASES names no database to back up.")
    names = [(url.engine, _label(url)) for _, url in chosen]
    return [
        database(url, **({"name": alias} if names.count((url.engine, _label(url))) > 1 else {}), **options)
        for alias, url in chosen
    ]


def django_url(alias: str, settings: Mapping[str, Any]) -> DatabaseURL:
    """One entry of Django's DATABASES as a URL."""
    backend = str(settings.get("ENGINE", ""))
    engine = _DJANGO.get(backend.rpartition(".")[2])
    if engine is None:
        raise ConfigurationError(
            f"DATABASES[{alias!r}] has the ENGINE {backend!r}, which is not known here: make the source yourself."
        )
    name = str(settings.get("NAME") or "")
    if engine == "sqlite":
        return DatabaseURL(engine=engine, scheme="sqlite", database=name)
    host, port = str(settings.get("HOST") or ""), settings.get("PORT")
    options = {**settings.get("OPTIONS", {})}
    socket = host if host.startswith("/") else ""
    password = settings.get("PASSWORD") or None
    user = str(settings.get("USER") or "")
    if engine == "mysql":
        socket = str(options.pop("unix_socket", socket))
        options.update(_mysql_tls(alias, options.pop("ssl", None)))
        if "read_default_file" in options:
            raise ConfigurationError(
                f"DATABASES[{alias!r}] has its user and password in a read_default_file, which is not read here: "
                "make the source yourself, with a URL that has them."
            )
        password = options.pop("password", options.pop("passwd", password))
        user, name = str(options.pop("user", user)), str(options.pop("database", options.pop("db", name)))
    text = {key: str(value) for key, value in options.items() if isinstance(value, str | int)}
    # A URL is taken apart again, so that what no URL may hold is refused here too.
    return parse_database_url(
        DatabaseURL(
            engine=engine,
            scheme=engine,
            driver="django",
            user=user,
            password=password,
            hosts=((("" if socket else host), int(port) if port else None),) if host or port else (),
            socket=socket,
            database=name,
            options=MappingProxyType(text),
        ).full()
    )


def _is_mirror(settings: Mapping[str, Any]) -> bool:
    """Whether Django's tests are told that it is a replica of another: one backup of the two is enough."""
    return bool(settings.get("TEST", {}).get("MIRROR"))


def _label(url: DatabaseURL) -> str:
    from pathlib import Path

    return Path(url.database).stem if url.engine == "sqlite" else url.database


def _mysql_tls(alias: str, ssl: object) -> dict[str, str]:
    """mysqlclient's `ssl`, a mapping of files or a yes or no, as the options of a URL."""
    match ssl:
        case None:
            return {}
        case bool():
            return {"ssl": "true"} if ssl else {"ssl_disabled": "true"}
        case Mapping():
            return {f"ssl_{key}": str(value) for key, value in ssl.items()}
    raise ConfigurationError(
        f"DATABASES[{alias!r}] has an ssl that is neither a mapping nor True or False: correct it."
    )
