"""The command line as a command of an application's own, where that is made with click: `flask backup`."""

from __future__ import annotations

from collections.abc import Mapping

try:
    import click
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "backupkit.integrations.click needs click, which is missing: pip install click", name=error.name
    ) from error

from backupkit.errors import ConfigurationError
from backupkit.pipeline import BackupPipeline


def backup_command(*pipelines: BackupPipeline, name: str = "backup") -> click.Command:
    """A command with all verbs and options of `backupkit`, for these pipelines.

    app.cli.add_command(backup_command(pipeline))  # Flask: `flask backup run`
    """
    if not pipelines:
        raise ConfigurationError("backup_command() was given no pipeline: give at least one.")
    by_name: Mapping[str, BackupPipeline] = {str(one.name): one for one in pipelines}

    @click.command(
        name,
        help="Make, list, verify and restore backups.",
        add_help_option=False,  # of each verb there is one, by the command line itself
        context_settings={"ignore_unknown_options": True},
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    @click.pass_context
    def command(context: click.Context, arguments: tuple[str, ...]) -> None:
        from backupkit.cli.hosting import Host, run_in

        context.exit(run_in(Host(context.command_path, lambda: by_name), arguments))

    return command
