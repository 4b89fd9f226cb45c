"""Where the backups are that the command line means, and what opens them."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from backupkit.backups import Backups
from backupkit.cli.choosing import Choice
from backupkit.cli.options import LegacyTimeZone, PassphraseCommand, PassphraseEnv, PassphraseFile
from backupkit.cli.passphrases import asked_passphrase, from_environment, given_passphrase
from backupkit.cli.stopping import cancelled_by_signals
from backupkit.cli.variables import PASSPHRASE
from backupkit.errors import ConfigurationError, WrongPassphraseError
from backupkit.opening import open_repository
from backupkit.passphrase import Passphrase
from backupkit.protocols import Observer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """Where backups are said to be: at a URL, opened by a passphrase, or where a pipeline keeps them."""

    url: str | None
    choice: Choice
    passphrase: Passphrase | None
    legacy_time_zone: str | None = None

    def use(
        self, operation: Callable[[Backups, threading.Event], T], *, observers: tuple[Observer, ...] = ()
    ) -> T:
        """Do it with the backups and an event that signals set.

        If a passphrase turns out to be needed and none was given, a person at a terminal is asked, and it
        is done again.
        """
        if self.url is None:
            pipeline = self.choice.one(
                observers, missing="Nothing says where the backups are: give their URL or path, or"
            )
            if self.passphrase is not None:
                raise ConfigurationError(
                    "The passphrase options go with a URL; a pipeline brings its own: leave them out."
                )
            if self.legacy_time_zone is not None:
                raise ConfigurationError(
                    "--legacy-time-zone goes with a URL; a pipeline says it as format=Zip(legacy_time_zone=…)."
                )
            return _do(operation, pipeline)
        if self.choice.said:
            raise ConfigurationError(
                "A URL says where the backups are, and so do --app, --config, --pipeline and --env-file: give one "
                "of them."
            )
        passphrase = self.passphrase or from_environment()
        try:
            return _do(operation, self._opened(passphrase, observers))
        except WrongPassphraseError as error:
            if passphrase is not None:
                raise
            if not sys.stdin.isatty():
                error.add_note(
                    f"Give --passphrase-file, --passphrase-env or --passphrase-command, or set {PASSPHRASE}."
                )
                raise
        return _do(operation, self._opened(asked_passphrase(), observers))

    def _opened(self, passphrase: Passphrase | None, observers: tuple[Observer, ...]) -> Backups:
        return open_repository(
            self.url or "", passphrase, legacy_time_zone=self.legacy_time_zone, observers=observers
        )


@dataclass(frozen=True, kw_only=True)
class Opening(Choice):
    """The options that say which pipeline's backups are meant, or what opens those at a URL."""

    passphrase_file: PassphraseFile = None
    passphrase_env: PassphraseEnv = None
    passphrase_command: PassphraseCommand = None

    def at(self, url: str | None) -> Place:
        given = given_passphrase(self.passphrase_file, self.passphrase_env, self.passphrase_command)
        return Place(url, self, given)


@dataclass(frozen=True, kw_only=True)
class OpeningAny(Opening):
    """The same, where they may be those of laravel-backup."""

    legacy_time_zone: LegacyTimeZone = None

    def at(self, url: str | None) -> Place:
        return replace(super().at(url), legacy_time_zone=self.legacy_time_zone)


def _do(operation: Callable[[Backups, threading.Event], T], backups: Backups) -> T:
    with cancelled_by_signals() as cancel:
        return operation(backups, cancel)
