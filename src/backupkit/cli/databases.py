"""Databases on a command line, where everybody on the machine can read what is written."""

from __future__ import annotations

import os
from collections.abc import Sequence

from backupkit.cli.hosting import host
from backupkit.databases.urls import DatabaseURL, is_database_url, parse_database_url
from backupkit.errors import ConfigurationError

_FROM_VARIABLE = "env:"
_OF_HOST = "alias:"


def database_url(text: str, option: str) -> DatabaseURL | None:
    """The URL that an option gives, or that the environment variable or the application's alias it names has.

    None if it is no database's.

    ConfigurationError, which never repeats it, for a URL with a password that stands on the command line itself.
    """
    if text.startswith(_FROM_VARIABLE):
        variable = text.removeprefix(_FROM_VARIABLE)
        value = os.environ.get(variable, "")
        if not is_database_url(value):
            state = "holds no URL of a database" if value else "is not set"
            raise ConfigurationError(
                f"{option} names the variable {variable!r}, which {state}: set it to one, such as postgresql://…"
            )
        return parse_database_url(value)
    application = host()
    if application is not None and text.startswith(_OF_HOST):
        return application.database(text.removeprefix(_OF_HOST)).url
    if not is_database_url(text):
        return None
    url = parse_database_url(text)
    if url.password is not None:
        raise ConfigurationError(
            f"{option} has a password, which every user of this machine could read: put the URL into a variable, "
            "and write env:VARIABLE in its place."
        )
    return url


def named_databases(given: Sequence[str] | None) -> dict[str, DatabaseURL]:
    """What `--database NAME=URL` said, each time; also by aliases, where an application knows its databases."""
    databases: dict[str, DatabaseURL] = {}
    application = host()
    for text in given or ():
        name, equals, value = text.partition("=")
        if application is not None and not equals and not is_database_url(text):
            name, equals, value = application.database(text).dump, "=", f"{_OF_HOST}{text}"
        if not equals or not name or is_database_url(name):
            raise ConfigurationError(
                "--database is written as NAME=URL or NAME=env:VARIABLE, with a dump's name."
            )
        if name in databases:
            raise ConfigurationError(f"--database names {name!r} twice: name it once.")
        url = database_url(value, f"--database {name}")
        if url is None:
            raise ConfigurationError(
                f"--database {name} is not given the URL of a database: write postgresql://… or env:VARIABLE."
            )
        databases[name] = url
    return databases
