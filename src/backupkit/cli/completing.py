"""What a shell is told when somebody presses the tab key: no place is asked, and no code of an application run."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from backupkit.cli.variables import APP, CONFIG
from backupkit.config import find
from backupkit.config.reading import read
from backupkit.errors import ConfigurationError


def pipeline_names(config: str, app: str) -> Callable[[typer.Context, str], Sequence[str]]:
    """What completes the name of a pipeline of the settings that the option `config` names, or of those found.

    They are only read: no pipeline is made of them.
    """

    def names(context: typer.Context, incomplete: str) -> Sequence[str]:
        path = context.params.get(config)
        if not path:
            if context.params.get(app) or os.environ.get(APP):
                return []
            path = os.environ.get(CONFIG) or find()
        try:
            pipelines = read(Path(path)).data.get("pipelines") if path else None
        except ConfigurationError:
            return []
        return [one for one in pipelines if one.startswith(incomplete)] if isinstance(pipelines, dict) else []

    return names
