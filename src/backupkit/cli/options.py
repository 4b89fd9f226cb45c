"""The options that several verbs share."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from enum import StrEnum
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer

from backupkit.cli.completing import pipeline_names
from backupkit.errors import ConfigurationError
from backupkit.model import Contents


class Only(StrEnum):
    """The halves of a backup, as an option's values."""

    databases = "databases"
    files = "files"


Url = Annotated[
    str | None,
    typer.Argument(metavar="URL", help="Folder or URL that holds the backups.", show_default=False),
]
App = Annotated[
    str | None,
    typer.Option(
        "--app",
        metavar="MODULE:PIPELINE",
        help="A BackupPipeline, several in a list or mapping, or a function that returns them, such as "
        "shop.backups:pipeline; looked for in this folder too. Default: the environment's BACKUPKIT_APP.",
        show_default=False,
    ),
]
Config = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="A settings file with pipelines. Default: the environment's BACKUPKIT_CONFIG, or else backupkit.toml, "
        "or pyproject.toml, in this folder or one above.",
        show_default=False,
    ),
]
PipelineName = Annotated[
    str | None,
    typer.Option(
        "--pipeline",
        metavar="NAME",
        help="Which one, where there are several.",
        show_default=False,
        autocompletion=pipeline_names("config", "app"),
    ),
]
EnvFile = Annotated[
    str | None,
    typer.Option(
        "--env-file",
        metavar="FILE",
        help="Where variables that the settings name stand, if not in the environment.",
        show_default=False,
    ),
]
EveryPipeline = Annotated[
    bool,
    typer.Option(
        "--all-pipelines",
        help="All that are there, one after the other, whatever becomes of one of them.",
    ),
]
PassphraseFile = Annotated[
    str | None,
    typer.Option("--passphrase-file", metavar="FILE", help="Its first line is the passphrase."),
]
PassphraseEnv = Annotated[
    str | None,
    typer.Option(
        "--passphrase-env",
        metavar="NAME",
        help="The environment variable that holds it. Default: BACKUP_ARCHIVE_PASSWORD, if set.",
        show_default=False,
    ),
]
PassphraseCommand = Annotated[
    str | None,
    typer.Option(
        "--passphrase-command",
        metavar="COMMAND",
        help="The first line it prints is the passphrase. No shell.",
    ),
]
NewPassphraseFile = Annotated[
    str | None,
    typer.Option("--new-passphrase-file", metavar="FILE", help="Its first line is the new passphrase."),
]
NewPassphraseEnv = Annotated[
    str | None,
    typer.Option("--new-passphrase-env", metavar="NAME", help="The environment variable that holds it."),
]
NewPassphraseCommand = Annotated[
    str | None,
    typer.Option(
        "--new-passphrase-command", metavar="COMMAND", help="The first line it prints is it. No shell."
    ),
]
LegacyTimeZone = Annotated[
    str | None,
    typer.Option(
        "--legacy-time-zone",
        metavar="ZONE",
        help="Of the times in the names of laravel-backup's archives, such as Europe/Berlin.",
    ),
]
At = Annotated[
    str | None, typer.Option("--at", metavar="LOCATION", help="Only this one of the destinations.")
]
Which = Annotated[
    str,
    typer.Option(
        "--backup", metavar="ID", help="An id from `list`, or its beginning, or latest: newest good."
    ),
]
WhichOne = Annotated[
    str,
    typer.Option(
        "--backup", metavar="ID", help="An id from `list`, or its beginning, or latest.", show_default=False
    ),
]
Database = Annotated[
    list[str] | None,
    typer.Option(
        "--database",
        metavar="NAME=URL",
        help="Where the dump of this name goes. With a password: NAME=env:VARIABLE, which holds the URL. "
        "Repeatable.",
    ),
]
NoNotify = Annotated[bool, typer.Option("--no-notify", help="Tell no notifier of this.")]
Half = Annotated[Only | None, typer.Option("--only", help="Leave out the other half.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Tell what would be done, and do nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing unless something is wrong.")]


def contents_of(only: Only | None, *, databases: bool = False, files: bool = False) -> Contents | None:
    """The half that is meant, or None for both."""
    databases = databases or only is Only.databases
    files = files or only is Only.files
    if databases and files:
        raise ConfigurationError("Only databases and only files exclude each other: leave both out for both.")
    return "databases" if databases else "files" if files else None


def grouped(verb: Callable[..., None]) -> Callable[..., None]:
    """Let a verb take options in groups: a parameter whose type is a dataclass stands for the fields of that.

    Typer reads options off a signature, so this gives the verb the one that it would have without groups.
    """
    groups: dict[str, Any] = {}
    options: list[inspect.Parameter] = []
    for parameter in inspect.signature(verb, eval_str=True).parameters.values():
        if not is_dataclass(parameter.annotation):
            options.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        groups[parameter.name] = group = parameter.annotation
        types = get_type_hints(group, include_extras=True)
        options += [
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=field.default,
                annotation=types[field.name],
            )
            for field in fields(group)
        ]

    @wraps(verb)
    def called(**given: Any) -> None:
        made = {
            name: group(**{field.name: given.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        verb(**given, **made)

    called.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]  # typer and inspect look for it
    called.__annotations__ = {option.name: option.annotation for option in options}
    return called
