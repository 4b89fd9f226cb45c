"""Settings as they are in effect, without their secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from backupkit.config.models import Made
from backupkit.config.values import is_secret, refers
from backupkit.databases.urls import is_database_url, parse_database_url
from backupkit.errors import ConfigurationError
from backupkit.filesystems.kinds import kind_of
from backupkit.passphrase import Passphrase
from backupkit.plain_data import plain
from backupkit.printable import printable
from backupkit.scheduling import Schedule

HIDDEN = "***"
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_UNITS = ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def effective(made: Made) -> dict[str, Any]:
    """What a pipeline was made of, and what it has without a word, as plain data: types of parts, and their keys.

    Of a part that a package brings, what was taken from the environment or a file stands as it was written: nobody
    knows here which of it is secret.
    """
    found: dict[str, Any] = {} if made.part is None else {"type": made.part.type}
    for parameter in made.signature.parameters:
        if parameter.name in made.given:
            value = made.given[parameter.name]
            if value is not None:
                found[parameter.name] = _shown(value, parameter.name, made)
        elif isinstance(parameter.default, str | int | float | timedelta):
            found[parameter.name] = plain_default(parameter.default)
    known = {parameter.name for parameter in made.signature.parameters}
    others = {key: value for key, value in made.given.items() if key not in known}
    return {**found, **_options(others, made)}


def toml_of(name: str, settings: Mapping[str, Any]) -> Iterator[str]:
    """Lines to read, in the manner of TOML."""
    yield f"[pipelines.{_key(name)}]"
    for key, value in settings.items():
        if isinstance(value, list) and any(isinstance(one, dict) for one in value):
            yield f"{_key(key)} = ["
            yield from (f"    {_toml(one)}," for one in value)
            yield "]"
        else:
            yield f"{_key(key)} = {_toml(value)}"


def _shown(value: Any, key: str, made: Made) -> Any:
    """The value of a key of a part, or what may be shown of it."""
    if isinstance(value, Made):
        return _jobs(value.value) if isinstance(value.value, Schedule) else effective(value)
    if isinstance(value, Passphrase):
        return f"{HIDDEN} (from {value.origin})"
    if key in ("storage_options", "env"):
        return _options(value, made)
    if isinstance(value, list) and key in ("argv", "command"):  # words after the program may be secrets
        return [*value[:1], *(HIDDEN for _ in value[1:])]
    if isinstance(value, list):
        return [_shown(one, key, made) for one in value]
    if isinstance(value, Mapping):
        return {str(name): _shown(one, str(name), made) for name, one in value.items()}
    if not isinstance(value, str):
        return plain_default(value)
    if is_secret(key):
        return HIDDEN
    if (
        made.part is not None
        and made.part.package is not None
        and _was_written_elsewhere(made.written.get(key))
    ):
        return made.written[key]
    if made.part is not None and made.part.kind.name == "notifiers" and key in ("url", "urls"):
        return f"{value.partition('://')[0]}://{HIDDEN}" if "://" in value else HIDDEN
    return _url(value) if "://" in value else value


def _url(url: str) -> str:
    """The URL without a password, and without what is behind its question mark."""
    if is_database_url(url):
        try:
            return str(parse_database_url(url))
        except ConfigurationError:
            return HIDDEN
    scheme, _, rest = url.partition("?")[0].partition("://")
    who, _, where = rest.rpartition("@")
    user, colon, _ = who.partition(":")
    return f"{scheme}://{user}:{HIDDEN}@{where}" if colon else f"{scheme}://{rest}"


def _options(options: Mapping[str, Any], made: Made) -> dict[str, Any]:
    """What a part passes on: of texts, only those that are known to be no secret."""
    url = made.given.get("url")
    protocol = url.partition("://")[0].lower() if isinstance(url, str) and "://" in url else ""
    harmless = kind_of(protocol).settings if protocol and not is_database_url(str(url)) else ()
    found: dict[str, Any] = {}
    for key, value in options.items():
        if isinstance(value, Mapping):
            found[key] = _options(value, made)
        else:
            shows = value is None or isinstance(value, bool | int | float) or key in harmless
            found[key] = plain_default(value) if shows else HIDDEN
    return found


def _was_written_elsewhere(written: Any) -> bool:
    if isinstance(written, list | tuple):
        return any(map(_was_written_elsewhere, written))
    return isinstance(written, str) and refers(written)


def _jobs(schedule: Schedule) -> dict[str, Any]:
    jobs = [
        {key: value for key, value in plain(one).items() if value is not None and value is not True}
        for one in schedule.jobs
    ]
    return {"time_zone": schedule.time_zone, "jitter": plain_default(schedule.jitter), "jobs": jobs}


def plain_default(value: Any) -> Any:
    """The value as plain data: durations as they are written, anything else by its name."""
    if isinstance(value, timedelta):
        return _duration(value)
    return value if isinstance(value, str | int | float | bool) or value is None else _name(value)


def _duration(value: timedelta) -> str:
    seconds = value.total_seconds()
    for size, unit in _UNITS:
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}{'s' * (seconds != size)}"
    return f"{seconds:g} seconds"


def _name(value: Any) -> str:
    """What a function of the application's, or anything else that is no plain data, is called."""
    kind = type(value)
    module = getattr(value, "__module__", kind.__module__)
    return f"{module}:{getattr(value, '__qualname__', kind.__qualname__)}"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_toml(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str):
        return printable(json.dumps(value, ensure_ascii=False))
    return json.dumps(value)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else printable(json.dumps(key, ensure_ascii=False))
