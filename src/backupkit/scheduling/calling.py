"""How schedulers of the machine call the command line: with which pipeline, from which folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from backupkit.errors import ConfigurationError
from backupkit.scheduling.jobs import Job

RUN_WAITS = 3600
"""Seconds that a run waits for another one of the pipeline to end."""


def this_program() -> tuple[str, ...]:
    """The command line of the Python that runs this, by its full path, as nothing else is found by cron."""
    script = os.path.join(os.path.dirname(sys.executable), "backupkit")
    return (script,) if os.access(script, os.X_OK) else (sys.executable, "-m", "backupkit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calling:
    """The command line for the jobs of the pipeline of this `name`.

    `choice` are the options that say which pipeline it is, such as `--app shop.backups:pipeline`, and `scheduling`
    those that say which schedule it has, if not the usual one. `folder` is the one to call it in.
    """

    name: str
    choice: Sequence[str]
    folder: str
    scheduling: Sequence[str] = ()
    program: Sequence[str] = field(default_factory=this_program)

    def __post_init__(self) -> None:
        _check_printable([*self.choice, *self.scheduling, *self.program, self.folder])
        for path in (self.folder, self.program[0]):
            if not os.path.isabs(path):
                raise ConfigurationError(f"{path!r} is not found from everywhere: give the whole path.")

    def words(self, job: Job) -> list[str]:
        """The program and its arguments for one job; it prints nothing unless something is wrong."""
        waits = ["--wait", str(RUN_WAITS)] if job.verb == "run" else []
        _check_printable(job.words())
        return [*self.program, *job.words(), *self.choice, *waits, "--quiet"]

    def catching_up(self) -> list[str]:
        """The same for what was missed."""
        return [*self.program, "schedule", "catch-up", *self.choice, *self.scheduling, "--quiet"]


def _check_printable(texts: Iterable[str]) -> None:
    for text in texts:
        if not text.isprintable():
            raise ConfigurationError(
                f"{text!r} cannot stand in one line of a crontab or a unit: use a name of printable letters."
            )
