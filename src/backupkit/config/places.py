"""What settings call differently than Python does: places by their URLs, passphrases, a log by its name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from backupkit.config.values import Surroundings
from backupkit.databases.urls import is_database_url, parse_database_url
from backupkit.destinations.opening import open_destination
from backupkit.errors import ConfigurationError
from backupkit.model import Occasion
from backupkit.observers.log import LoggingObserver
from backupkit.passphrase import Passphrase
from backupkit.protocols import Destination, Notifier

PASSPHRASE_VARIABLE = "BACKUP_ARCHIVE_PASSWORD"  # noqa: S105 - the name of a variable

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")


def is_local(place: str) -> bool:
    """Whether a path or URL means a folder of this machine."""
    scheme = _SCHEME.match(place)
    return scheme is None or scheme[1].lower() in ("file", "local")


def source_type(place: str) -> str:
    """The type of source that a path or URL means."""
    if is_database_url(place):
        return "database"
    return "directory" if is_local(place) else "fsspec"


def is_redis(url: str) -> bool:
    """Whether a URL means a server of Redis."""
    return is_database_url(url) and engine_of(url)[0] == "redis"


def engine_of(url: str) -> tuple[str, str | None]:
    """The type of source for the database that a URL means; and for one that is a file, its path."""
    parsed = parse_database_url(url)
    return parsed.engine, parsed.database if parsed.engine == "sqlite" else None


def local(url: str | os.PathLike[str], *, mode: int = 0o600, create: bool = False) -> Destination:
    """A folder of this machine; `create` makes it if it is missing."""
    return open_destination(url, mode=mode, create=create)


def remote(
    url: str,
    *,
    allow_plaintext: bool = False,
    storage_options: Mapping[str, Any] | None = None,
    part_size: int = 8 << 20,
    concurrency: int = 10,
    time_limit: float = 60.0,
    slowest: int = 256 << 10,
    patience: float = 120.0,
    **options: Any,
) -> Destination:
    """A folder of any other file system; further options are that file system's own."""
    return open_destination(url, **_given(locals()))


def _given(names: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in names.items() if name not in ("url", "options")}
    return {**given, **names["options"]}


def none() -> None:
    """Nothing: written down, so that nobody leaves it out by mistake."""


def from_environment(surroundings: Surroundings) -> Passphrase:
    """The passphrase that BACKUP_ARCHIVE_PASSWORD holds."""
    return surroundings.passphrase(f"${{{PASSPHRASE_VARIABLE}}}")


def passphrase(
    *,
    passphrase: Passphrase | None = None,
    command: Sequence[str] | None = None,
    previous: Sequence[Passphrase] = (),
) -> Passphrase:
    """A passphrase, or the program whose first line it is; and those that earlier backups were made with."""
    if (passphrase is None) == (command is None):
        raise ConfigurationError(
            'The passphrase must be said in one way: passphrase = "${NAME}", passphrase = "file:/path", or '
            'command = ["program", "argument"].'
        )
    if passphrase is None:
        return Passphrase.from_command(command or (), previous=previous)
    if not previous:
        return passphrase
    newest = passphrase
    return Passphrase.from_callable(
        lambda: newest.reveal().decode("utf-8", "surrogateescape"), name=newest.origin, previous=previous
    )


def notifiers_from_environment(
    surroundings: Surroundings,
    *,
    on: Iterable[Occasion] = (),
    language: str = "en",
    time_zone: str = "UTC",
    templates: str | os.PathLike[str] | None = None,
) -> Sequence[Notifier]:
    """Mail, Slack and Discord, as far as variables of the environment name them; see `notifiers_from_env`."""
    from backupkit.notifiers.environment import notifiers_from_env
    from backupkit.notifiers.occasions import DEFAULT

    return notifiers_from_env(
        surroundings.environ, on=on or DEFAULT, language=language, time_zone=time_zone, templates=templates
    )


def log(*, logger: str | None = None) -> LoggingObserver:
    """The standard log, or the logger of this name."""
    if logger is None:
        return LoggingObserver()
    import logging

    return LoggingObserver(logging.getLogger(logger))
