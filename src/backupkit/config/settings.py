"""`Settings`: what a settings file says, ready for use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from backupkit.errors import ConfigurationError
from backupkit.pipeline import BackupPipeline

if TYPE_CHECKING:
    from backupkit.scheduling import Schedule


@dataclass(frozen=True, slots=True)
class Settings:
    """The pipelines of an application, by name, and the schedules of those that have one.

    `path` is the file that says so; None if that was no file.
    """

    path: Path | None
    pipelines: Mapping[str, BackupPipeline]
    schedules: Mapping[str, Schedule]

    def pipeline(self, name: str | None = None) -> BackupPipeline:
        """The one of this name, or the only one; ConfigurationError tells which there are."""
        where = "the settings" if self.path is None else str(self.path)
        names = ", ".join(self.pipelines)
        if name is None:
            if len(self.pipelines) > 1:
                raise ConfigurationError(f"There are several pipelines in {where}: name one of {names}.")
            return next(iter(self.pipelines.values()))
        if name not in self.pipelines:
            raise ConfigurationError(f"There is no pipeline {name!r} in {where}: name one of {names}.")
        return self.pipelines[name]
