"""`Action`: what a person asks of a pipeline from afar, in plain values, and how it is done.

A page or another program makes one, a queue carries it as JSON, and whoever has the pipelines does it.
"""

from __future__ import annotations

import os
import secrets
import tempfile
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, Literal, TypeAlias, cast, get_args

from backupkit.databases.urls import DatabaseURL, is_database_url
from backupkit.errors import BackupKitError, ConfigurationError, one_text, told
from backupkit.model import Contents, Problem, Report
from backupkit.pipeline import BackupPipeline
from backupkit.protocols import Target
from backupkit.scheduling import Job, perform
from backupkit.targets import DirectoryTarget

Asked: TypeAlias = Literal["run", "verify", "drill", "monitor", "clean", "restore", "delete", "pin", "unpin"]
"""What can be asked for."""

Place: TypeAlias = Target | str | os.PathLike[str] | Mapping[str, Target | DatabaseURL | str]
"""Where a restore may go: a folder or another target, or for each dump, by its short name, a database."""

SCRATCH = "scratch"
"""The name of the place that is always there: a new folder, which only its owner can enter."""

REPLACED = "replaced"
"""What `Problem.check` says of a warning in the dry run of a restore that replaces: this would give way."""

_TAKES: Mapping[Asked, frozenset[str]] = {
    "run": frozenset({"at", "only"}),
    "verify": frozenset({"backup", "at", "only"}),
    "drill": frozenset({"backup", "at", "only"}),
    "monitor": frozenset({"at"}),
    "clean": frozenset({"at", "dry_run"}),
    "restore": frozenset({"backup", "at", "only", "include", "place", "overwrite", "dry_run"}),
    "delete": frozenset({"backup", "at", "force"}),
    "pin": frozenset({"backup", "reason", "until"}),
    "unpin": frozenset({"backup"}),
}
_NEED_BACKUP: tuple[Asked, ...] = ("delete", "pin", "unpin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A verb with its arguments, which mean what they mean to the pipeline's own methods.

    `at` is the one destination concerned, by its location; `place` is the name of where a restore goes, SCRATCH
    unless another is said; `include` are whole paths or patterns. ConfigurationError for what does not go together.
    """

    verb: Asked
    backup: str | None = None
    at: str | None = None
    only: Contents | None = None
    include: tuple[str, ...] = ()
    place: str = SCRATCH
    overwrite: bool = False
    force: bool = False
    dry_run: bool = False
    reason: str | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        if self.verb not in get_args(Asked):
            raise ConfigurationError(f"{self.verb!r} is nothing that can be asked for: {', '.join(_TAKES)}.")
        takes = _TAKES[self.verb]
        for one in fields(self):
            if one.name != "verb" and one.name not in takes and getattr(self, one.name) != one.default:
                raise ConfigurationError(f"{self.verb} takes no {one.name}: leave it out.")
        if self.only not in (None, "files", "databases"):
            raise ConfigurationError(f"only={self.only!r} is not possible: files or databases.")
        if self.verb in _NEED_BACKUP and not self.backup:
            raise ConfigurationError(f"{self.verb} needs the id of a backup.")
        if isinstance(self.include, str):
            raise one_text("include", self.include)
        for name in ("backup", "at", "place"):
            if getattr(self, name) == "":
                raise ConfigurationError(f"{name} is empty: leave it out, or say which.")
        for text in (self.backup, self.at, self.place, self.reason, *self.include):
            if text is not None and not _is_plain(text):
                raise ConfigurationError(f"{text!r} has characters that no name or path has.")
        if self.until is not None and self.until.tzinfo is None:
            raise ConfigurationError(f"until={self.until.isoformat()} is not clear: give its time zone, too.")
        if self.overwrite and self.place == SCRATCH:
            raise ConfigurationError(
                "A new folder holds nothing that could be replaced: leave out overwrite."
            )


def _is_plain(text: str) -> bool:
    """Whether it can stand in a path, of which bytes that are no UTF-8 are surrogates."""
    try:
        return "\0" not in text and os.fsencode(text) is not None
    except UnicodeEncodeError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of an action: the report, if it has one, and the folder that something was restored to.

    Of the dry run of a restore, `folder` is where it would go: the place, or that in which a new one would be made.
    """

    report: Report | None = None
    folder: str | None = None


def plain_action(action: Action) -> dict[str, Any]:
    """The action as what JSON can hold: only what was said."""
    said = {one.name: getattr(action, one.name) for one in fields(action)}
    said = {name: value for name, value in said.items() if name == "verb" or value not in (None, (), False)}
    if action.place == SCRATCH:
        del said["place"]
    if action.include:
        said["include"] = list(action.include)
    if action.until is not None:
        said["until"] = action.until.isoformat()
    return said


def action_from(data: object) -> Action:
    """The action that `plain_action` made this of; ConfigurationError if it is none."""
    known = {one.name for one in fields(Action)}
    if not isinstance(data, Mapping) or not data.keys() <= known:
        raise ConfigurationError("This is no action: give a verb and its arguments.")
    said = dict(data)
    for name in ("overwrite", "force", "dry_run"):
        if not isinstance(said.get(name, False), bool):
            raise ConfigurationError(f"{name} is not true or false.")
    for name in ("verb", "backup", "at", "only", "place", "reason", "until"):
        if not isinstance(said.get(name, ""), str):
            raise ConfigurationError(f"{name} is not a text.")
    include = said.pop("include", [])
    if not isinstance(include, list) or not all(isinstance(one, str) for one in include):
        raise ConfigurationError("include is not a list of texts.")
    try:
        until = datetime.fromisoformat(said.pop("until")) if "until" in said else None
    except ValueError:
        raise ConfigurationError("until is not a time such as 2030-01-31T00:00:00+00:00.") from None
    try:
        return Action(**said, include=tuple(include), until=until)
    except TypeError as error:  # without a verb
        raise ConfigurationError("This is no action: give a verb and its arguments.") from error


def act(
    pipeline: BackupPipeline,
    action: Action,
    *,
    places: Mapping[str, Place] | None = None,
    scratch: str | os.PathLike[str] | None = None,
    cancel: threading.Event | None = None,
) -> Done:
    """Do it; raises what the pipeline's own method raises.

    `places` are where restores may go, by name; what nobody has named stays out of reach of whoever asks.
    """
    backup = action.backup or "latest"
    match action.verb:
        case "run":
            job = Job("run", only=action.only, to=action.at)
            return Done(report=cast("Report", perform(pipeline, job, cancel=cancel)))
        case "verify":
            return Done(report=pipeline.verify(backup, at=action.at, only=action.only, cancel=cancel))
        case "drill":
            return Done(report=pipeline.drill(backup, at=action.at, only=action.only, cancel=cancel))
        case "monitor":
            return Done(report=pipeline.monitor(at=action.at, cancel=cancel))
        case "clean":
            return Done(report=pipeline.clean(at=action.at, dry_run=action.dry_run, cancel=cancel))
        case "restore":
            return _restore(pipeline, action, places or {}, scratch, cancel)
        case "delete":
            return Done(report=pipeline.delete(backup, at=action.at, force=action.force, cancel=cancel))
        case "pin":
            pipeline.pin(backup, reason=action.reason or "", until=action.until)
            return Done()
        case "unpin":
            pipeline.unpin(backup)
            return Done()


def sentence(error: BaseException) -> str:
    """What went wrong, as everybody may read it: of several errors, all."""
    if isinstance(error, BaseExceptionGroup):
        return f"{error.message}: {' '.join(sentence(one) for one in error.exceptions)}"
    return told(error)


def _restore(
    pipeline: BackupPipeline,
    action: Action,
    places: Mapping[str, Place],
    scratch: str | os.PathLike[str] | None,
    cancel: threading.Event | None,
) -> Done:
    name, place = action.place, places.get(action.place)
    if place is None and name != SCRATCH:
        known = ", ".join([SCRATCH, *places])
        raise ConfigurationError(f"There is no place called {name!r} to restore to: one of {known}.")
    databases = place if isinstance(place, Mapping) else None
    if databases is not None and action.only == "files":
        raise ConfigurationError(f"The place {name!r} takes databases only: choose another one for files.")
    several: Collection[object] = [place] if databases is None else databases.values()
    if action.overwrite and not all(map(_heeds_overwrite, several)):
        raise ConfigurationError(
            f"What is in the place {name!r} is replaced or not as it says itself: leave out overwrite."
        )

    def restored(to: Target | str | os.PathLike[str] | None, *, overwrite: bool = action.overwrite) -> Report:
        return pipeline.restore(
            action.backup or "latest",
            to=to,
            databases=databases,
            at=action.at,
            only=action.only,
            include=action.include,
            overwrite=overwrite,
            dry_run=action.dry_run,
            cancel=cancel,
        )

    if place is None:
        above = os.fspath(scratch) if scratch is not None else tempfile.gettempdir()
        prefix = f"backupkit-{pipeline.name}-"
        if action.dry_run:
            return Done(report=restored(os.path.join(above, prefix + secrets.token_hex(4))), folder=above)
        with _new_folder(above, prefix) as folder:
            return Done(report=restored(folder), folder=folder)
    to = None if isinstance(place, Mapping) else place
    report = restored(to)
    if action.dry_run and action.overwrite:
        report = _saying_what_is_replaced(report, restored(to, overwrite=False))
    there = place.folder if isinstance(place, DirectoryTarget) else place
    if isinstance(there, os.PathLike) or (isinstance(there, str) and not is_database_url(there)):
        return Done(report=report, folder=os.fspath(there))
    return Done(report=report)


def _saying_what_is_replaced(report: Report, otherwise: Report) -> Report:
    """The report of a dry run, with a warning for each thing that is in the way only if nothing is replaced."""
    known = {problem.path for problem in report.problems}
    replaced = [
        Problem(
            message=f"{problem.path} is not empty, or there already: it would be replaced.",
            severity="warning",
            check=REPLACED,
            path=problem.path,
        )
        for problem in otherwise.problems
        if problem.severity == "error" and problem.path not in known
    ]
    return replace(report, problems=(*report.problems, *replaced))


def _heeds_overwrite(place: object) -> bool:
    """Whether what is there is replaced if that is asked for, and not as somebody has said who made a target."""
    return place is None or isinstance(place, str | os.PathLike | DatabaseURL)


@contextmanager
def _new_folder(above: str, prefix: str) -> Iterator[str]:
    """A folder that only its owner can enter.

    If there is an error before anything was put into it, it is gone again; otherwise the error says where it is.
    """
    try:
        os.makedirs(above, mode=0o700, exist_ok=True)
        folder = tempfile.mkdtemp(prefix=prefix, dir=above)
    except OSError as error:
        raise ConfigurationError(
            f"No new folder can be made in {above!r} ({error.strerror}): give scratch= one that can be written."
        ) from error
    try:
        yield folder
    except BaseException as error:
        if not _removed(folder) and isinstance(error, BackupKitError):
            said = f"{str(error).rstrip('.')}. What was restored until then is in {folder}."
            error.args = (said, *error.args[1:])
        raise


def _removed(folder: str) -> bool:
    """Whether it was empty, and now is gone."""
    try:
        os.rmdir(folder)
    except OSError:
        return False
    return True
