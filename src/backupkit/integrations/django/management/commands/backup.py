"""`manage.py backup`: the command line of backupkit, which knows this project's pipelines and databases."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from io import StringIO
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from backupkit.errors import ConfigurationError
from backupkit.integrations.django import pipelines, schedules
from backupkit.integrations.django.dumps import dump_of
from backupkit.sources.frameworks import django_url

if TYPE_CHECKING:
    from backupkit.cli.hosting import HostDatabase

_PROGRAM = "manage.py backup"
_MODULE = os.path.join("django", "__main__.py")


class Command(BaseCommand):
    """All verbs and options are those of `backupkit`, and so are the exit codes.

    `call_command("backup", "run", "--only", "databases")` raises CommandError unless that exit code is 0: its
    `returncode` is the code, and its text what would have stood on standard error.
    """

    help = "Make, list, verify and restore backups."
    requires_system_checks = ()  # a site with something to correct is backed up all the same

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, add_help=False, allow_abbrev=False, **kwargs)
        # Both manage.py and call_command() ask it.
        parser.parse_args = partial(_parsed, parser)  # type: ignore[method-assign, assignment]
        return parser

    def handle(self, *words: str, **options: Any) -> None:
        from backupkit.cli.hosting import Host, run_in

        arguments = [*words, *(["--quiet"] if options["verbosity"] == 0 else [])]
        host = Host(_PROGRAM, pipelines, schedules, _called(), _database)
        if self._called_from_command_line:  # type: ignore[attr-defined]  # not in the stubs
            sys.exit(run_in(host, arguments))
        told = StringIO()
        with redirect_stdout(options.get("stdout") or sys.stdout), redirect_stderr(told):
            code = run_in(host, arguments)
        if code:
            raise CommandError(told.getvalue().strip() or f"It ended with exit code {code}.", returncode=code)
        if told.getvalue():
            self.stderr.write(told.getvalue(), style_func=str)


def _called() -> Sequence[str]:
    """How this is started from anywhere; the variable with the name of the settings may be set here only."""
    named = os.environ.get("DJANGO_SETTINGS_MODULE")
    script = os.path.abspath(sys.argv[0])
    return (
        # `python -m django` finds the site in its folder, and as a script would not.
        *(sys.executable, *(["-m", "django"] if script.endswith(_MODULE) else [script]), "backup"),
        *([f"--settings={named}"] if named else []),
    )


def _parsed(
    parser: CommandParser, args: Sequence[str] | None = None, namespace: Namespace | None = None
) -> Namespace:
    """Django's own options, wherever they stand; the rest, in its order, is for the command line of backupkit."""
    options, rest = parser.parse_known_args(args, namespace)
    options.args = rest
    return options


def _database(alias: str) -> HostDatabase:
    """The database of an alias, and what the pipelines call its dumps."""
    from backupkit.cli.hosting import HostDatabase

    if alias not in settings.DATABASES:
        raise ConfigurationError(
            f"DATABASES has no {alias!r}: it has {', '.join(map(repr, settings.DATABASES)) or 'none'}."
        )
    url = django_url(alias, settings.DATABASES[alias])
    sources = [source for pipeline in pipelines().values() for source in pipeline.sources]
    return HostDatabase(url, dump_of(url, sources) or url.database)
