"""Settings → pipelines and their schedules, or one error with all that is wrong with them.

Import this module where it is needed only: it needs pydantic.
"""

from __future__ import annotations

import os
from collections import ChainMap
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from backupkit.config.lines import KeyPath
from backupkit.config.models import Made, checked, unwrapped
from backupkit.config.reading import Read
from backupkit.config.settings import Settings
from backupkit.config.signatures import Parameter, Signature, signature_of
from backupkit.config.telling import said, unknown, wrong_at
from backupkit.config.values import Surroundings
from backupkit.destinations.opening import chosen_of
from backupkit.errors import BackupKitError, ConfigurationError, SettingsError
from backupkit.pipeline import BackupPipeline
from backupkit.scheduling import Schedule
from backupkit.scheduling.schedule import schedule_of

_KEYS = ("defaults", "pipelines")


@dataclass(frozen=True, slots=True)
class Built:
    """Settings, of each pipeline what it was made of, and where that was."""

    settings: Settings
    made: Mapping[str, Made]
    surroundings: Surroundings


def surroundings_of(
    folder: Path | None,
    *,
    dotenv: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Surroundings:
    """Where settings stand; the file `dotenv` has what the environment lacks."""
    variables = os.environ if environ is None else environ
    if dotenv is None:
        return Surroundings(variables, folder)
    # The environment itself, not a copy: a passphrase may be put there after the settings were read.
    return Surroundings(ChainMap(cast("MutableMapping[str, str]", variables), _read_dotenv(dotenv)), folder)


def pipeline_signature() -> Signature:
    """What a pipeline can be told in settings: what `BackupPipeline` can, but its name, and its schedule."""
    signature = signature_of(BackupPipeline)
    schedule = Parameter("schedule", Schedule | None, required=False, default=None, many=False)
    return replace(
        signature, parameters=(*(one for one in signature.parameters if one.name != "name"), schedule)
    )


def built(read: Read, surroundings: Surroundings) -> Built:
    """The pipelines; SettingsError with all that is wrong."""
    wrong = [(path, message) for path, message in _flaws(read.data)]
    made: dict[str, Made] = {}
    for name, table in _tables(read.data):
        defaults = {key: value for key, value in read.data.get("defaults", {}).items() if key not in table}
        try:
            made[name] = _pipeline(name, {**defaults, **table}, surroundings)
        except ValidationError as error:
            for path, message in said(error):
                owner = ("defaults",) if path and path[0] in defaults else ("pipelines", name)
                wrong.append(((*owner, *path), message))
        except BackupKitError as error:
            wrong.append((("pipelines", name), f"is not possible: {error}"))
        except RecursionError:
            wrong.append((("pipelines", name), "has tables within tables that are too deep to be read"))
    if wrong:
        in_order = sorted(wrong, key=lambda one: read.line(one[0]) or 0)
        # Each once, as what all pipelines share is read with each of them.
        raise SettingsError(
            tuple(dict.fromkeys(f"{read.place(path)}{message}" for path, message in in_order))
        )
    settings = Settings(
        read.path,
        {name: one.value for name, one in made.items()},
        {name: one.given["schedule"].value for name, one in made.items() if one.given.get("schedule")},
    )
    return Built(settings, made, surroundings)


def _flaws(data: object) -> Iterator[tuple[KeyPath, str]]:
    """What is wrong with the tables as a whole."""
    if not isinstance(data, Mapping):
        yield (), "is no table"
        return
    for key in data:
        if key not in _KEYS:
            yield (str(key),), unknown(key, _KEYS)
    tables = data.get("pipelines")
    if not isinstance(data.get("defaults", {}), Mapping):
        yield ("defaults",), "is no table"
    if tables is None or tables == {}:
        yield ("pipelines",), "is missing: write a table [pipelines.NAME] for each of them"
    elif not isinstance(tables, Mapping):
        yield ("pipelines",), "is no table: write [pipelines.NAME] for each of them"
    else:
        for name, table in tables.items():
            if not _is_table(name, table):
                yield ("pipelines", str(name)), f"is no table: write [pipelines.{name}]"


def _tables(data: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The tables of the pipelines, as far as they are some."""
    tables = data.get("pipelines") if isinstance(data, Mapping) else None
    if isinstance(tables, Mapping) and isinstance(data.get("defaults", {}), Mapping):
        yield from ((name, table) for name, table in tables.items() if _is_table(name, table))


def _is_table(name: object, table: object) -> bool:
    return isinstance(name, str) and isinstance(table, Mapping)


def _pipeline(name: str, table: Mapping[str, Any], surroundings: Surroundings) -> Made:
    signature = pipeline_signature()
    data = {**table, **_schedule(table)}
    given = dict(checked(signature, data, surroundings))
    arguments = {key: value for key, value in unwrapped(given).items() if key != "schedule"}
    pipeline = signature.make(name=name, **arguments)
    if (schedule := given.get("schedule")) is not None:
        given["schedule"] = _fitting(schedule, pipeline)
    return Made(None, signature, given, data, pipeline)


def _schedule(table: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schedule as a table, however it is written."""
    match table.get("schedule"):
        case "usual":
            return {"schedule": {}}
        case "none":
            return {"schedule": None}
        case list() | tuple() as jobs:
            return {"schedule": {"jobs": jobs}}
    return {}


def _fitting(made: Made, pipeline: BackupPipeline) -> Made:
    """The schedule, of which each job can be done with the pipeline; of the usual ones, those that can."""
    schedule: Schedule = made.value
    if "jobs" not in made.given:
        return replace(made, value=schedule_of(pipeline, schedule))
    found: list[tuple[KeyPath, str]] = []
    for number, one in enumerate(schedule.jobs):
        path: KeyPath = ("schedule", "jobs", number)
        if one.only is not None and one.only not in pipeline.contents:
            found.append(((*path, "only"), f"is not possible: the pipeline has no source of {one.only}"))
        try:
            chosen_of(pipeline.destinations, one.to)
        except ConfigurationError as error:
            found.append(((*path, "to"), f"is not possible: {error}"))
    if found:
        raise wrong_at(*found)
    return made


def _read_dotenv(path: str | os.PathLike[str]) -> dict[str, str]:
    try:
        from dotenv import dotenv_values
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Reading a .env file needs python-dotenv, which is missing: pip install 'backupkit[settings]'",
            name=error.name,
        ) from error
    try:
        with open(path, encoding="utf-8") as file:
            found = dotenv_values(stream=file, interpolate=False)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"The file {os.fspath(path)} with variables cannot be read ({type(error).__name__})."
        ) from error
    return {name: value for name, value in found.items() if value is not None}
