"""Which pipeline, or which backups, the command line means, and what opens them."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from backupkit._placing import Assertion
from backupkit.backups import Backups
from backupkit.cli.options import (
    App,
    LegacyTimeZone,
    PassphraseCommand,
    PassphraseEnv,
    PassphraseFile,
)
from backupkit.cli.passphrases import VARIABLE, asked_passphrase, from_environment, given_passphrase
from backupkit.cli.stopping import cancelled_by_signals
from backupkit.errors import ConfigurationError, WrongPassphraseError
from backupkit.observers import ProgressObserver
from backupkit.opening import open_repository
from backupkit.passphrase import Passphrase
from backupkit.pipeline import BackupPipeline
from backupkit.protocols import Observer

APP_VARIABLE = "BACKUPKIT_APP"

T = TypeVar("T")


def chosen_pipeline(app: str | None, observers: tuple[Observer, ...]) -> BackupPipeline:
    """The pipeline that `--app`, or else the environment, names; it tells the observers too."""
    app = app or os.environ.get(APP_VARIABLE)
    if not app:
        raise ConfigurationError(
            f"No pipeline is named: give --app package.module:pipeline, or set {APP_VARIABLE}."
        )
    pipeline = _loaded(app)
    has_bar = any(isinstance(observer, ProgressObserver) for observer in pipeline.observers)
    if not (has_bar and sys.stderr.isatty()):
        pipeline.observers = (*pipeline.observers, *observers)
    return pipeline


def _loaded(app: str) -> BackupPipeline:
    found = _named(app, option="--app", what="pipeline")
    pipeline = found if isinstance(found, BackupPipeline) or not callable(found) else found()
    if not isinstance(pipeline, BackupPipeline):
        raise ConfigurationError(
            f"{app} is of type {type(pipeline).__name__}, not a BackupPipeline: name one, "
            "or a function without arguments that returns one."
        )
    return pipeline


def chosen_assertions(names: Sequence[str]) -> list[Assertion]:
    """The functions that `--assert` names."""
    assertions: list[Assertion] = []
    for name in names:
        found = _named(name, option="--assert", what="function")
        if not callable(found):
            raise ConfigurationError(
                f"{name} is of type {type(found).__name__}, not a function: name one that takes what was restored."
            )
        assertions.append(found)
    return assertions


def _named(path: str, *, option: str, what: str) -> object:
    """What `package.module:name` names, looked for in this folder too."""
    module_name, _, attribute = path.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), attribute]):
        raise ConfigurationError(f"{path!r} does not name a {what}: write it as package.module:{what}.")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the application's own module misses another one
        raise ConfigurationError(
            f"There is no module {error.name!r}, which {option} {path} names: run this in the folder that holds it."
        ) from error
    try:
        return getattr(module, attribute)
    except AttributeError as error:
        raise ConfigurationError(
            f"The module {module_name!r} has no {attribute!r}: name its {what}."
        ) from error


@dataclass(frozen=True, slots=True)
class Place:
    """Where backups are said to be: at a URL, opened by a passphrase, or where a pipeline keeps them."""

    url: str | None
    app: str | None
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
            if not self.app and not os.environ.get(APP_VARIABLE):
                raise ConfigurationError(
                    "Nothing says where the backups are: give their URL or path, or --app package.module:pipeline."
                )
            if self.passphrase is not None:
                raise ConfigurationError(
                    "The passphrase options go with a URL; a pipeline brings its own: leave them out."
                )
            if self.legacy_time_zone is not None:
                raise ConfigurationError(
                    "--legacy-time-zone goes with a URL; a pipeline says it as format=Zip(legacy_time_zone=…)."
                )
            return _do(operation, chosen_pipeline(self.app, observers))
        if self.app is not None:
            raise ConfigurationError("--app and a URL both say where the backups are: give one of them.")
        passphrase = self.passphrase or from_environment()
        try:
            return _do(operation, self._opened(passphrase, observers))
        except WrongPassphraseError as error:
            if passphrase is not None:
                raise
            if not sys.stdin.isatty():
                error.add_note(
                    f"Give --passphrase-file, --passphrase-env or --passphrase-command, or set {VARIABLE}."
                )
                raise
        return _do(operation, self._opened(asked_passphrase(), observers))

    def _opened(self, passphrase: Passphrase | None, observers: tuple[Observer, ...]) -> Backups:
        return open_repository(
            self.url or "", passphrase, legacy_time_zone=self.legacy_time_zone, observers=observers
        )


@dataclass(frozen=True, kw_only=True)
class Opening:
    """The options that say which pipeline's backups are meant, or what opens those at a URL."""

    app: App = None
    passphrase_file: PassphraseFile = None
    passphrase_env: PassphraseEnv = None
    passphrase_command: PassphraseCommand = None

    def at(self, url: str | None) -> Place:
        given = given_passphrase(self.passphrase_file, self.passphrase_env, self.passphrase_command)
        return Place(url, self.app, given)


@dataclass(frozen=True, kw_only=True)
class OpeningAny(Opening):
    """The same, where they may be those of laravel-backup."""

    legacy_time_zone: LegacyTimeZone = None

    def at(self, url: str | None) -> Place:
        return replace(super().at(url), legacy_time_zone=self.legacy_time_zone)


def _do(operation: Callable[[Backups, threading.Event], T], backups: Backups) -> T:
    with cancelled_by_signals() as cancel:
        return operation(backups, cancel)
