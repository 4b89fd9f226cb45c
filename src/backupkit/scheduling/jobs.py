"""`Job`, a verb with its arguments, and `perform`, the one way in which every scheduler and queue does it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias, get_args

from backupkit.errors import ConfigurationError
from backupkit.model import Contents, Report, Summary
from backupkit.pipeline import BackupPipeline

Verb: TypeAlias = Literal["run", "clean", "monitor", "verify", "drill", "summary"]
"""What can be scheduled. A summary is sent to the notifiers that want to hear it."""

_TAKE_ONLY: tuple[Verb, ...] = ("run", "verify", "drill")


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done with a pipeline: plain values, so that a queue can carry it as JSON.

    `only` is the half that is backed up, or whose latest backup is verified or drilled. `to` is the one destination
    that is meant, instead of all. With `notify=False` no notifier hears of it. ConfigurationError for what does not
    go together.
    """

    verb: Verb
    only: Contents | None = None
    to: str | None = None
    notify: bool = True

    def __post_init__(self) -> None:
        if self.verb not in get_args(Verb):
            raise ConfigurationError(
                f"There is no job called {self.verb!r}: use one of {', '.join(get_args(Verb))}."
            )
        if self.only not in (None, *get_args(Contents)):
            raise ConfigurationError(
                f'{self.verb}: only={self.only!r} is not possible: use "databases", "files", or nothing for both.'
            )
        if self.to is not None and (not isinstance(self.to, str) or not self.to):
            raise ConfigurationError(
                f"{self.verb}: to= is not a text: name one destination, or nothing for all."
            )
        if not isinstance(self.notify, bool):
            raise ConfigurationError(f"{self.verb}: notify= is neither true nor false: use one of these.")
        if self.only is not None and self.verb not in _TAKE_ONLY:
            raise ConfigurationError(
                f"{self.verb} deals with all contents: leave only= out, or use {', '.join(_TAKE_ONLY)}."
            )
        if self.verb == "summary" and (self.to is not None or not self.notify):
            raise ConfigurationError(
                "A summary is of all destinations and is sent to the notifiers: leave to= and notify= out."
            )

    def __str__(self) -> str:
        """As it would stand on the command line, without the pipeline."""
        words: list[str] = [self.verb]
        if self.verb == "summary":
            words.append("--send")
        if self.only is not None:
            words += ["--only", self.only]
        if self.to is not None:
            words += ["--to" if self.verb == "run" else "--at", self.to]
        if not self.notify:
            words.append("--no-notify")
        return " ".join(words)


def perform(
    pipeline: BackupPipeline,
    job: Job,
    *,
    wait: timedelta = timedelta(0),
    cancel: threading.Event | None = None,
) -> Report | Summary:
    """Do the job, and return what the pipeline's own method returns, or raise what that raises.

    `wait` is how long a run waits for another one of the same pipeline to end. Setting `cancel` ends the job at the
    next chunk; a summary is short and is not cancelled.
    """
    match job.verb:
        case "run":
            return pipeline.run(only=job.only, to=job.to, notify=job.notify, wait=wait, cancel=cancel)
        case "clean":
            return pipeline.clean(at=job.to, notify=job.notify, cancel=cancel)
        case "monitor":
            return pipeline.monitor(at=job.to, notify=job.notify, cancel=cancel)
        case "verify":
            return pipeline.verify(at=job.to, only=job.only, notify=job.notify, cancel=cancel)
        case "drill":
            return pipeline.drill(at=job.to, only=job.only, notify=job.notify, cancel=cancel)
        case "summary":
            return pipeline.send_summary()
