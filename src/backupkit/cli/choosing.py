"""Which pipeline the command line means: one that an application has made, or one of a settings file."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields

from backupkit.cli.hosting import host, pipelines_of
from backupkit.cli.importing import named_object
from backupkit.cli.options import App, Config, EnvFile, PipelineName
from backupkit.cli.variables import APP, CONFIG
from backupkit.config import Settings, find, load
from backupkit.errors import ConfigurationError
from backupkit.observers import ProgressObserver
from backupkit.pipeline import BackupPipeline
from backupkit.protocols import Observer
from backupkit.scheduling import Schedule


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The options that say which pipeline is meant.

    What they do not say, the application knows that the command line is a part of. Where there is none, the
    environment may say it, and then the settings file of this folder or one above.
    """

    app: App = None
    config: Config = None
    pipeline: PipelineName = None
    env_file: EnvFile = None

    @property
    def said(self) -> bool:
        """Whether any of them was given."""
        return any(getattr(self, one.name) is not None for one in fields(Choice))

    def one(
        self, observers: Sequence[Observer] = (), *, missing: str = "No pipeline is named: give"
    ) -> BackupPipeline:
        """The pipeline that is meant, which tells the observers too; ConfigurationError begins with `missing`."""
        found = self._found(missing)
        return _watched(found.pipelines[self._name(found)], observers)

    def every(self, observers: Sequence[Observer] = ()) -> Sequence[BackupPipeline]:
        """All pipelines that are there, in the order in which they are written."""
        if self.pipeline is not None:
            raise ConfigurationError("--pipeline and --all-pipelines exclude each other: give one of them.")
        pipelines = self._found("No pipelines are named: give").pipelines
        return [_watched(one, observers) for one in pipelines.values()]

    def scheduled(self, observers: Sequence[Observer] = ()) -> Sequence[Chosen]:
        """All pipelines, or the one that is named, each with its schedule and the options that name it anywhere."""
        found = self._found("No pipelines are named: give")
        names = list(found.pipelines) if self.pipeline is None else [self._name(found)]
        several = len(found.pipelines) > 1
        called = [str(one.name) for one in found.pipelines.values()]
        if len({*called}) < len(called):
            raise ConfigurationError(
                f"Two pipelines in {found.where} have the same name, so that their jobs would be taken for each "
                "other's: give each a name of its own."
            )
        return [
            Chosen(
                _watched(found.pipelines[name], observers),
                found.schedules.get(name),
                [*found.options, *(["--pipeline", name] if several else [])],
                found.folder,
            )
            for name in names
        ]

    def _name(self, found: _Found) -> str:
        names = ", ".join(found.pipelines)
        if self.pipeline is None and len(found.pipelines) > 1:
            raise ConfigurationError(
                f"There are several pipelines in {found.where}: give --pipeline, one of {names}."
            )
        name = self.pipeline or next(iter(found.pipelines))
        if name not in found.pipelines:
            raise ConfigurationError(f"There is no pipeline {name!r} in {found.where}: name one of {names}.")
        return name

    def _found(self, missing: str) -> _Found:
        """Where pipelines are, and these by their names; never none."""
        app, config = self.app, self.config
        if app and config:
            raise ConfigurationError("--app and --config both say where pipelines are: give one of them.")
        if not app and not config:
            if (application := host()) is not None:
                self._refuse_env_file()
                pipelines = pipelines_of(application)
                return _Found(application.program, pipelines, application.schedules(), [], os.getcwd())
            app, config = os.environ.get(APP), os.environ.get(CONFIG)
            if app and config:
                raise ConfigurationError(
                    f"{APP} and {CONFIG} both say where pipelines are: unset one, or give --app or --config."
                )
        if app:
            self._refuse_env_file()
            return _of_application(app)
        path = config or find()
        if path is None:
            raise ConfigurationError(
                f"{missing} --app package.module:pipeline or --config FILE, or call this in a folder with a "
                "backupkit.toml, or below one."
            )
        settings, whole = load(path, dotenv=self.env_file), os.path.abspath(path)
        options = ["--config", whole]
        if self.env_file is not None:
            options += ["--env-file", os.path.abspath(self.env_file)]
        return _Found(str(path), settings.pipelines, settings.schedules, options, os.path.dirname(whole))

    def _refuse_env_file(self) -> None:
        if self.env_file is not None:
            raise ConfigurationError(
                "--env-file goes with a settings file; an application reads its own: leave it out."
            )


@dataclass(frozen=True, slots=True)
class Chosen:
    """A pipeline, its schedule if it has one, and the options that name it when given in this folder."""

    pipeline: BackupPipeline
    schedule: Schedule | None
    options: Sequence[str]
    folder: str


@dataclass(frozen=True, slots=True)
class _Found:
    where: str
    pipelines: Mapping[str, BackupPipeline]
    schedules: Mapping[str, Schedule]
    options: Sequence[str]
    folder: str


def _of_application(app: str) -> _Found:
    found = named_object(app, option="--app", what="pipeline")
    if callable(found) and not isinstance(found, BackupPipeline):
        found = found()
    options = ["--app", app]
    schedules: Mapping[str, Schedule] = {}
    if isinstance(found, Settings):
        schedules, found = found.schedules, found.pipelines
    several = found.values() if isinstance(found, Mapping) else found
    if isinstance(found, BackupPipeline):
        several = [found]
    if not (
        isinstance(several, Collection)
        and several
        and all(isinstance(one, BackupPipeline) for one in several)
    ):
        raise ConfigurationError(
            f"{app} is of type {type(found).__name__}, not a BackupPipeline: name one, a list or a mapping of "
            "several, or a function without arguments that returns any of these."
        )
    if isinstance(found, Mapping):
        return _Found(app, found, schedules, options, os.getcwd())
    names = [str(one.name) for one in several]
    if len({*names}) < len(names):
        raise ConfigurationError(
            f"Two pipelines of {app} have the same name: put them into a mapping, under names that differ."
        )
    return _Found(app, dict(zip(names, several, strict=True)), schedules, options, os.getcwd())


def _watched(pipeline: BackupPipeline, observers: Sequence[Observer]) -> BackupPipeline:
    has_bar = any(isinstance(observer, ProgressObserver) for observer in pipeline.observers)
    if not (has_bar and sys.stderr.isatty()):
        pipeline.observers = (*pipeline.observers, *observers)
    return pipeline
