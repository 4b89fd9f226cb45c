"""Django's settings → pipelines: what `settings.BACKUPKIT` says, and what DATABASES and STORAGES say already."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from backupkit.config import Settings, from_mapping
from backupkit.errors import ConfigurationError
from backupkit.integrations.django.media import media_aliases, media_sources
from backupkit.pipeline import BackupPipeline
from backupkit.protocols import Source
from backupkit.sources.frameworks import from_django

SETTING = "BACKUPKIT"
READ = (SETTING, "DATABASES", "MEDIA_ROOT", "STORAGES")
"""The settings that pipelines are made of."""

_OURS = ("databases", "media")
_NO_DATABASE = "django.db.backends.dummy"


@cache
def configured() -> Settings:
    """What the settings say, read once in each process. ConfigurationError tells all that is wrong with them."""
    said: object = getattr(settings, SETTING, None)
    if isinstance(said, str):
        return _imported(said)
    if not isinstance(said, Mapping):
        raise ConfigurationError(
            f"settings.{SETTING} does not say what is backed up and where to: set it to a dict, such as "
            '{"name": "shop", "destinations": ["/mnt/backup"], "encryptor": "${BACKUP_ARCHIVE_PASSWORD}"}, or to '
            'the place of a pipeline, such as "shop.backups:pipeline".'
        )
    if "pipelines" in said:
        return from_mapping(_with_sources(said), where=SETTING)
    if not isinstance(name := said.get("name"), str):
        raise ConfigurationError(
            f'settings.{SETTING} has no "name": name the pipeline, for its backups bear that name everywhere.'
        )
    table = {key: value for key, value in said.items() if key != "name"}
    return from_mapping(_with_sources({"pipelines": {name: table}}), where=SETTING)


def aliases() -> list[str]:
    """The aliases of the databases that a backup is needed of.

    Of a replica and what it is one of, one backup is enough. An alias without an engine is none: Django gives
    a site without databases such a one, and sites with several leave `default` empty.
    """
    return [
        alias
        for alias, one in settings.DATABASES.items()
        if one.get("ENGINE", _NO_DATABASE) != _NO_DATABASE and not one.get("TEST", {}).get("MIRROR")
    ]


def _imported(place: str) -> Settings:
    try:
        found = import_string(place.replace(":", "."))
    except (ImportError, ValueError) as error:
        raise ConfigurationError(
            f"settings.{SETTING} names {place!r}, which cannot be imported ({error}): write it as "
            "package.module:pipeline."
        ) from error
    if not isinstance(found, BackupPipeline) and callable(found):
        found = found()
    several = [found] if isinstance(found, BackupPipeline) else found
    known = isinstance(several, list | tuple) and all(isinstance(one, BackupPipeline) for one in several)
    if not known or not several:
        raise ConfigurationError(
            f"settings.{SETTING} names {place!r}, which is of type {type(found).__name__}: name a BackupPipeline, "
            "a list of them, or a function without arguments that returns that."
        )
    by_name = {str(one.name): one for one in several}
    if len(by_name) < len(several):
        raise ConfigurationError(
            f"settings.{SETTING}: two of the pipelines at {place!r} have the same name: give each its own."
        )
    return Settings(None, by_name, {})


def _with_sources(said: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same with the sources that Django's other settings name in each pipeline; without our own keys."""
    defaults, tables = said.get("defaults", {}), said["pipelines"]
    if not isinstance(defaults, Mapping) or not isinstance(tables, Mapping):
        return said  # which is told by whoever reads it
    return {
        **said,
        "defaults": {key: value for key, value in defaults.items() if key not in _OURS},
        "pipelines": {
            name: _completed(str(name), defaults, table) if isinstance(table, Mapping) else table
            for name, table in tables.items()
        },
    }


def _completed(name: str, defaults: Mapping[str, Any], table: Mapping[str, Any]) -> Mapping[str, Any]:
    whole = {**defaults, **table}
    others = {key: value for key, value in table.items() if key not in _OURS}
    if "sources" in whole and not any(key in whole for key in _OURS):
        return others
    given = whole.get("sources", ())
    usual = "sources" not in whole
    sources = [
        *(given if isinstance(given, list | tuple) else [given]),
        *_databases(name, whole.get("databases", usual)),
        *_media(name, whole.get("media", usual)),
    ]
    if not sources:
        raise ConfigurationError(
            f"{SETTING}: the pipeline {name!r} has nothing to back up: DATABASES and STORAGES name nothing, or are "
            "left out. Give sources."
        )
    return {**others, "sources": sources}


def _databases(name: str, wanted: object) -> list[Source]:
    chosen = _chosen(name, "databases", wanted, aliases() if wanted is True else [])
    return from_django(settings.DATABASES, aliases=chosen) if chosen else []


def _media(name: str, wanted: object) -> list[Source]:
    return media_sources(_chosen(name, "media", wanted, media_aliases() if wanted is True else []))


def _chosen(name: str, key: str, wanted: object, all_of_them: list[str]) -> list[str]:
    if isinstance(wanted, bool):
        return all_of_them
    if isinstance(wanted, list | tuple) and all(isinstance(one, str) for one in wanted):
        return list(wanted)
    raise ConfigurationError(
        f"{SETTING}: {key} of the pipeline {name!r} is neither true, false nor a list of aliases: correct it."
    )
