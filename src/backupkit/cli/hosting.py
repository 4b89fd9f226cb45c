"""The command line as a part of an application's own, such as `manage.py backup` and `flask backup`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass

from backupkit.databases.urls import DatabaseURL
from backupkit.errors import ConfigurationError
from backupkit.pipeline import BackupPipeline
from backupkit.scheduling import Schedule


@dataclass(frozen=True, slots=True)
class HostDatabase:
    """A database that the application knows by a name of its own: where it is, and what its dumps are called."""

    url: DatabaseURL
    dump: str


def _no_database(alias: str) -> HostDatabase:
    raise ConfigurationError(f"There is no alias {alias!r}: this program has no names for its databases.")


@dataclass(frozen=True, slots=True)
class Host:
    """The application: how the command line is called there, and what it need not be told, because that is known.

    `pipelines` and those of their `schedules` that are not the usual one are asked for when they are needed, by the
    pipelines' names; `database` is that of an alias. `called` is how cron and systemd start `program`, where
    that is known.
    """

    program: str
    pipelines: Callable[[], Mapping[str, BackupPipeline]]
    schedules: Callable[[], Mapping[str, Schedule]] = dict
    called: Sequence[str] = ()
    database: Callable[[str], HostDatabase] = _no_database


_HOST: ContextVar[Host | None] = ContextVar("backupkit host", default=None)


def host() -> Host | None:
    """The application that the command line is now a part of, if it is one."""
    return _HOST.get()


def pipelines_of(application: Host) -> Mapping[str, BackupPipeline]:
    """Its pipelines, as copies: who is told of what the command line does is no matter of the application's."""
    return {name: copy.copy(one) for name, one in application.pipelines().items()}


def run_in(application: Host, arguments: Sequence[str]) -> int:
    """Run the command line with these arguments as a part of this application, and return its exit code."""
    try:
        from backupkit.cli.app import main
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        raise ModuleNotFoundError(
            f"The command line needs {error.name}, which is missing: pip install 'backupkit[cli]'",
            name=error.name,
        ) from error

    before = _HOST.set(application)
    try:
        main(arguments, program=application.program)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    finally:
        _HOST.reset(before)
    return 0
