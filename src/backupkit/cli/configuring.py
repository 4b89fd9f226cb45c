"""The verb `config` and its own verbs: a file of settings is begun, checked and shown."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from backupkit.cli.options import Config, EnvFile, Json, PipelineName
from backupkit.cli.output import Output
from backupkit.cli.variables import CONFIG
from backupkit.config import loaded_with_parts
from backupkit.config.reading import FILE
from backupkit.config.starter import (
    DATABASE_VARIABLE,
    PASSPHRASE_VARIABLE,
    Wanted,
    holds_password,
    name_from,
    starter,
    write_starter,
)
from backupkit.errors import ConfigurationError
from backupkit.passphrase import Passphrase
from backupkit.pipeline import BackupPipeline

settings = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@settings.callback()
def config_() -> None:
    """Begin, check or show the settings of pipelines in a file."""


@settings.command()
def check(config: Config = None, env_file: EnvFile = None, json: Json = False) -> None:
    """Tell whether the settings are right, or all that is wrong with them; nothing else is touched.

    Ends with exit code 0 or 2. Passphrases are not looked for: they may be missing here.

    \b
    Examples:
      backupkit config check
      backupkit config check --config /etc/shop/backupkit.toml --env-file /srv/shop/.env
    """
    output = Output(json=json)
    with output.ending():
        loaded = loaded_with_parts(config or os.environ.get(CONFIG), dotenv=env_file)
        path, pipelines = str(loaded.settings.path), loaded.settings.pipelines
        lines = [f"{path} is right: {_count(len(pipelines), 'pipeline')}."]
        lines += [_about(pipeline, loaded.surroundings.environ) for pipeline in pipelines.values()]
        output.told({"path": path, "pipelines": [*pipelines]}, lines)


@settings.command()
def show(
    config: Config = None,
    env_file: EnvFile = None,
    pipeline: PipelineName = None,
    json: Json = False,
) -> None:
    """Show what the settings come to: variables filled in, defaults of all pipelines and of parts, secrets hidden.

    What is not shown is as it is in Python when nothing is said.

    \b
    Examples:
      backupkit config show
      backupkit config show --pipeline shop --json
    """
    from backupkit.config.showing import effective, toml_of

    output = Output(json=json)
    with output.ending():
        loaded = loaded_with_parts(config or os.environ.get(CONFIG), dotenv=env_file)
        if pipeline is not None:
            loaded.settings.pipeline(pipeline)  # which says what there is
        found = {name: effective(made) for name, made in loaded.made.items() if pipeline in (None, name)}
        lines = [line for name, one in found.items() for line in (*toml_of(name, one), "")]
        output.told({"path": str(loaded.settings.path), "pipelines": found}, lines[:-1])


@settings.command()
def schema() -> None:
    """Print the JSON Schema of the settings, for editors; with the parts that installed packages bring.

    \b
    Example:
      backupkit config schema > backupkit.schema.json
    """
    import json

    output = Output()
    with output.ending():
        from backupkit.config.schema import settings_schema

        print(json.dumps(settings_schema(), indent=2))


@settings.command()
def init(
    file: Annotated[str, typer.Option("--config", metavar="FILE", help="Where to write it.")] = FILE,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the pipeline.", show_default=False)
    ] = None,
    folder: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="What is backed up. Default: this folder.", show_default=False),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Of the database, without a password; or the variable that holds it, as '${DATABASE_URL}'.",
            show_default=False,
        ),
    ] = None,
    destination: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="Folder or URL for the backups. Repeatable.", show_default=False),
    ] = None,
    encrypt: Annotated[
        bool | None,
        typer.Option(
            "--encrypt/--no-encrypt",
            help="With the passphrase in BACKUP_ARCHIVE_PASSWORD.",
            show_default=False,
        ),
    ] = None,
    notify: Annotated[
        bool | None,
        typer.Option(
            "--notify/--no-notify", help="Whom variables of the environment name.", show_default=False
        ),
    ] = None,
) -> None:
    """Write a commented backupkit.toml to begin with, and no secret into it.

    At a terminal, what no option says is asked for; otherwise it has its default. A file that is there is never
    replaced.

    \b
    Examples:
      backupkit config init
      backupkit config init --name shop --folder /srv/shop --database '${DATABASE_URL}' --destination /mnt/backup
    """
    output = Output()
    with output.ending():
        path = Path(file)
        if path.exists():
            raise ConfigurationError(
                f"{path} is there already, and nothing was written: change it, or name another file."
            )
        asks = _Asking(sys.stdin.isatty())
        where = os.path.abspath(folder or asks.text("Folder to back up", os.getcwd()))
        wanted = Wanted(
            name=name or asks.text("Name of the pipeline", name_from(Path(where))),
            folder=where,
            database=asks.url("URL of the database, empty for none", DATABASE_VARIABLE)
            if database is None
            else database,
            destinations=destination or asks.destinations(),
            encrypted=asks.yes("Encrypt the backups") if encrypt is None else encrypt,
            notifications=asks.yes("Tell people by mail, Slack or Discord") if notify is None else notify,
        )
        write_starter(path, starter(wanted))
        output.told(file, _next_steps(wanted, file, asks.variables))


class _Asking:
    """Questions at a terminal; elsewhere everything has its default."""

    def __init__(self, asks: bool) -> None:
        self._asks = asks
        self.variables: list[str] = []  # that are to be set, in place of what must not stand in a file

    def text(self, question: str, default: str) -> str:
        if not self._asks:
            return default
        return str(typer.prompt(question, default=default, show_default=bool(default))).strip()

    def yes(self, question: str) -> bool:
        return bool(typer.confirm(question, default=True)) if self._asks else True

    def url(self, question: str, variable: str) -> str:
        """A URL, or the variable that is to hold it if it has a password."""
        found = self.text(question, "")
        if not holds_password(found):
            return found
        self.variables.append(variable)
        return f"${{{variable}}}"

    def destinations(self) -> list[str]:
        if not self._asks:
            raise ConfigurationError(
                "Nothing says where the backups go: give --destination, once or several times."
            )
        found: list[str] = []
        while one := self.url(
            "One more destination, empty for none" if found else "Folder or URL for the backups",
            f"BACKUP_DESTINATION_{len(found) + 1}",
        ):
            found.append(one)
        return found


def _next_steps(wanted: Wanted, file: str, variables: list[str]) -> Iterator[str]:
    yield f"{file} is written. What is next:"
    needed = [*variables, *([PASSPHRASE_VARIABLE] if wanted.encrypted else [])]
    if needed:
        yield f"  set {', '.join(needed)} in the environment, or in a .env file that --env-file names"
    yield f"  backupkit config check --config {file}"
    yield f"  backupkit run --config {file}"


def _about(pipeline: BackupPipeline, environ: Mapping[str, str]) -> str:
    where = ", ".join(destination.location for destination in pipeline.destinations)
    encrypted = _encryption(pipeline.encryptor, environ)
    return f"  {pipeline.name}: {_count(len(pipeline.sources), 'source')} → {where}; {encrypted}"


def _encryption(encryptor: Any, environ: Mapping[str, str]) -> str:
    if encryptor is None:
        return "not encrypted"
    if not isinstance(encryptor, Passphrase):
        return f"encrypted by {encryptor.scheme}"
    kind, _, variable = encryptor.origin.rpartition(" ")
    missing = kind == "environment variable" and not environ.get(variable)
    return f"passphrase from {encryptor.origin}{', which is not set here' if missing else ''}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
