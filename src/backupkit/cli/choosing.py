"""Which pipeline the command line means: one that an application has made, or one of a settings file."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields

from backupkit.cli.importing import named_object
from backupkit.cli.options import App, Config, EnvFile, PipelineName
from backupkit.cli.variables import APP, CONFIG
from backupkit.config import Settings, find, load
from backupkit.errors import ConfigurationError
from backupkit.observers import ProgressObserver
from backupkit.pipeline import BackupPipeline
from backupkit.protocols import Observer


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The options that say which pipeline is meant.

    What they do not say, the environment may, and then the settings file of this folder or one above.
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
        where, pipelines = self._found(missing)
        names = ", ".join(pipelines)
        if self.pipeline is None and len(pipelines) > 1:
            raise ConfigurationError(
                f"There are several pipelines in {where}: give --pipeline, one of {names}."
            )
        name = self.pipeline or next(iter(pipelines))
        if name not in pipelines:
            raise ConfigurationError(f"There is no pipeline {name!r} in {where}: name one of {names}.")
        return _watched(pipelines[name], observers)

    def every(self, observers: Sequence[Observer] = ()) -> Sequence[BackupPipeline]:
        """All pipelines that are there, in the order in which they are written."""
        if self.pipeline is not None:
            raise ConfigurationError("--pipeline and --all-pipelines exclude each other: give one of them.")
        _, pipelines = self._found("No pipelines are named: give")
        return [_watched(one, observers) for one in pipelines.values()]

    def _found(self, missing: str) -> tuple[str, Mapping[str, BackupPipeline]]:
        """Where pipelines are, and these by their names; never none."""
        app, config = self.app, self.config
        if app and config:
            raise ConfigurationError("--app and --config both say where pipelines are: give one of them.")
        if not app and not config:
            app, config = os.environ.get(APP), os.environ.get(CONFIG)
            if app and config:
                raise ConfigurationError(
                    f"{APP} and {CONFIG} both say where pipelines are: unset one, or give --app or --config."
                )
        if app:
            if self.env_file is not None:
                raise ConfigurationError(
                    "--env-file goes with a settings file; an application reads its own: leave it out."
                )
            return app, _of_application(app)
        path = config or find()
        if path is None:
            raise ConfigurationError(
                f"{missing} --app package.module:pipeline or --config FILE, or call this in a folder with a "
                "backupkit.toml, or below one."
            )
        return str(path), load(path, dotenv=self.env_file).pipelines


def _of_application(app: str) -> Mapping[str, BackupPipeline]:
    found = named_object(app, option="--app", what="pipeline")
    if callable(found) and not isinstance(found, BackupPipeline):
        found = found()
    if isinstance(found, Settings):
        found = found.pipelines
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
        return found
    names = [str(one.name) for one in several]
    if len({*names}) < len(names):
        raise ConfigurationError(
            f"Two pipelines of {app} have the same name: put them into a mapping, under names that differ."
        )
    return dict(zip(names, several, strict=True))


def _watched(pipeline: BackupPipeline, observers: Sequence[Observer]) -> BackupPipeline:
    has_bar = any(isinstance(observer, ProgressObserver) for observer in pipeline.observers)
    if not (has_bar and sys.stderr.isatty()):
        pipeline.observers = (*pipeline.observers, *observers)
    return pipeline
