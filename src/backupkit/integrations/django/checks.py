"""What `manage.py check` says of backups: settings that do not load, what nobody backs up, what is unsafe.

No destination is asked anything, and nothing is read but settings, and where folders of this machine lie.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured

from backupkit.errors import BackupKitError, ConfigurationError, SettingsError
from backupkit.integrations.django.configured import SETTING, aliases, configured
from backupkit.integrations.django.dumps import dump_of, parts_of
from backupkit.integrations.django.media import bucket_url, folder_of, media_aliases
from backupkit.passphrase import Passphrase
from backupkit.pipeline import BackupPipeline
from backupkit.protocols import Source
from backupkit.sources.files import Directory
from backupkit.sources.frameworks import django_url
from backupkit.sources.remote import FsspecSource
from backupkit.sources.sqlite import SQLite

_UNUSABLE = (BackupKitError, ImproperlyConfigured, ImportError)


def everywhere() -> list[CheckMessage]:
    """What is wrong on any machine."""
    try:
        pipelines = configured().pipelines.values()
        return [*_not_dumped(pipelines), *_media(pipelines), *_served(pipelines)]
    except _UNUSABLE as error:
        problems = error.problems if isinstance(error, SettingsError) else [str(error)]
        hint = f"Correct it in settings.{SETTING}, or in what that refers to."
        return [Error(problem, hint=hint, id="backupkit.E001") for problem in problems]


def before_deployment() -> list[CheckMessage]:
    """What is wrong where the application is used."""
    try:
        pipelines = configured().pipelines.values()
    except _UNUSABLE:
        return []  # said by the others
    return [message for one in pipelines for message in _of_deployed(one)]


def _not_dumped(pipelines: Iterable[BackupPipeline]) -> Iterator[CheckMessage]:
    sources = _sources(pipelines)
    for alias in aliases():
        try:
            url = django_url(alias, settings.DATABASES[alias])
        except ConfigurationError:
            continue  # of an engine that is not known here: whether some source dumps it cannot be told
        if dump_of(url, sources) is None:
            yield Warning(
                f"No pipeline backs up the database {alias!r} ({url}).",
                hint='Leave "databases" out, or name it there; or silence this if it can be made anew.',
                id="backupkit.W001",
            )
        if url.engine == "sqlite" and not os.path.isabs(url.database):
            yield Warning(
                f"The path of the SQLite database {alias!r} is relative: {url.database}.",
                hint="Begin it with BASE_DIR: started in another folder, as by cron, it would be another database.",
                id="backupkit.W003",
            )


def _media(pipelines: Iterable[BackupPipeline]) -> Iterator[CheckMessage]:
    sources = _sources(pipelines)
    for alias in media_aliases():
        folder = folder_of(alias)
        if not _is_kept(alias, folder, sources):
            yield Warning(
                f"No pipeline backs up the storage {alias!r}"
                + (f" ({folder})." if folder else ", or none that is known to."),
                hint='Leave "media" out, or name it there; or silence this if it holds nothing of value.',
                id="backupkit.W002",
            )
        elif folder and not os.path.isdir(folder):
            yield Warning(
                f"The folder of the storage {alias!r} does not exist: {folder}.",
                hint="Make it: a run does not take a missing folder for an empty one.",
                id="backupkit.W004",
            )


def _served(pipelines: Iterable[BackupPipeline]) -> Iterator[CheckMessage]:
    for pipeline in pipelines:
        for place in _local_places(pipeline):
            for setting in ("MEDIA_ROOT", "STATIC_ROOT"):
                root = getattr(settings, setting, None)
                if root and _lies_in(place, Path(root)):
                    yield Error(
                        f"The destination {place} of the pipeline {pipeline.name!r} lies in {setting}, which the "
                        "web server gives to everybody.",
                        hint="Choose a folder outside.",
                        id="backupkit.E002",
                    )


def _of_deployed(pipeline: BackupPipeline) -> Iterator[CheckMessage]:
    called = f"The pipeline {pipeline.name!r}"
    encryptor = pipeline.encryptor
    if encryptor is None and not settings.DEBUG:
        yield Warning(
            f"{called} does not encrypt its backups.",
            hint='Say "encryptor": "${BACKUP_ARCHIVE_PASSWORD}", and put a passphrase into that variable.',
            id="backupkit.W005",
        )
    if isinstance(encryptor, Passphrase) and encryptor.origin.startswith("environment variable "):
        try:
            encryptor.reveal()
        except ConfigurationError as error:
            yield Warning(
                str(error),
                hint="Set it where the application and cron are started, and keep a copy elsewhere.",
                id="backupkit.W006",
            )
    if not pipeline.notifiers:
        yield Warning(
            f"{called} tells nobody when a backup fails.",
            hint='Say "notifiers": "environment", and set BACKUP_NOTIFICATION_EMAIL or the like.',
            id="backupkit.W007",
        )
    places = _local_places(pipeline)
    disks = {_disk_of(path) for path in _local_data(pipeline.sources)}
    if len(places) == len(pipeline.destinations) and {_disk_of(place) for place in places} <= disks:
        yield Warning(
            f"{called} keeps its backups on the disk that the data is on, and nowhere else.",
            hint="Add a destination elsewhere: what ends the disk ends both.",
            id="backupkit.W008",
        )


def _sources(pipelines: Iterable[BackupPipeline]) -> Sequence[Source]:
    return [*parts_of(source for pipeline in pipelines for source in pipeline.sources)]


def _is_kept(alias: str, folder: str | None, sources: Sequence[Source]) -> bool:
    if folder is not None:
        return any(isinstance(one, Directory) and _lies_in(Path(folder), one.path) for one in sources)
    try:
        url = bucket_url(alias)
    except ConfigurationError:
        return False
    kept = (one.location.partition("?")[0] for one in sources if isinstance(one, FsspecSource))
    return any(f"{url}/".startswith(f"{location.rstrip('/')}/") for location in kept)


def _local_places(pipeline: BackupPipeline) -> list[Path]:
    """The folders of this machine among the destinations, wrapped or not: their locations are file URLs."""
    urls = [urlsplit(one.location) for one in pipeline.destinations]
    return [Path(unquote(url.path, errors="surrogateescape")) for url in urls if url.scheme == "file"]


def _local_data(sources: Iterable[Source]) -> Iterator[Path]:
    for source in parts_of(sources):
        if isinstance(source, Directory | SQLite):
            yield Path(source.path)


def _lies_in(place: Path, folder: Path) -> bool:
    return Path(os.path.realpath(place)).is_relative_to(os.path.realpath(folder))


def _disk_of(path: Path) -> int:
    """The file system that a path is on, or will be."""
    path = path.absolute()
    return next(one for one in (path, *path.parents) if os.path.exists(one)).stat().st_dev
