"""The same in Python and at the command line, for each thing that the page can be asked."""

from __future__ import annotations

import os
import posixpath
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backupkit.databases.urls import DatabaseURL, is_database_url
from backupkit.integrations.actions import SCRATCH, Action, Place

FOLDER = "restored"
"""What stands in the lines for the new folder that the page would make."""


@dataclass(frozen=True, slots=True)
class Equivalent:
    """Lines that do the same as a button."""

    python: str
    shell: str


def equivalent(name: str, action: Action, places: Mapping[str, Place] | None = None) -> Equivalent:
    """The lines for this action with the pipeline that the page knows by this name.

    A place stands in them by its name: in Python in a mapping `places`, as `BackupManager` was given it, and in the
    shell as a variable. What it is, only `places` knows; it is never shown.
    """
    said: dict[str, object] = {}
    options: list[str] = []
    if action.backup is not None:
        options += ["--backup", quoted(action.backup)]
    if action.verb == "restore":
        where, how = _place(action.place, (places or {}).get(action.place))
        said |= where
        if how is None:
            shell = f"# Only Python knows what the place {quoted(action.place)} is: it has no line here."
            return Equivalent(_call("pipeline.restore", action.backup, said | _said(action)), shell)
        options += how
    options += _options(action)
    said |= _said(action)
    return Equivalent(
        _call(f"pipeline.{action.verb}", action.backup, said), _line(action.verb, name, options)
    )


def download_equivalent(name: str, backup: str, at: str | None = None) -> Equivalent:
    """To have the file of an archive, in this folder."""
    return Equivalent(
        _call("pipeline.download", backup, {"to": ".", **_there(at)}),
        _line("download", name, ["--backup", quoted(backup), *_at(at), "--to", "."]),
    )


def file_equivalent(name: str, backup: str, path: str, at: str | None = None) -> Equivalent:
    """To have the content of one file of a backup."""
    file = posixpath.basename(path) or "file"
    shell = _line("cat", name, ["--backup", quoted(backup), *_at(at), *_argument(path)])
    python = f"content = {_call('pipeline.open', backup, _there(at), path)}.read()"
    return Equivalent(python, f"{shell} > {quoted(file)}")


def folder_equivalent(name: str, backup: str, path: str = "", at: str | None = None) -> Equivalent:
    """To see what is in a folder of a backup, or in all of it."""
    system = _call("pipeline.file_system", None, _there(at))
    shell = ["--backup", quoted(backup), *_at(at), *(_argument(path) if path else ())]
    return Equivalent(f"{system}.ls({f'{backup}/{path}'.rstrip('/')!r})", _line("ls", name, shell))


def list_equivalent(name: str | None = None) -> Equivalent:
    """To see the backups of one pipeline, or of all."""
    if name is None:
        return Equivalent("[pipeline.list() for pipeline in pipelines]", "backupkit list --all-pipelines")
    return Equivalent("pipeline.list()", _line("list", name, []))


def summary_equivalent(name: str) -> Equivalent:
    """To see how the backups of a pipeline stand."""
    return Equivalent("pipeline.summary()", _line("summary", name, []))


def sheet_equivalent(name: str, at: str | None = None) -> Equivalent:
    """To have the recovery sheet, in a file that only its owner can read."""
    options = [*_at(at), "--output", "recovery-sheet.md"]
    return Equivalent(_call("pipeline.recovery_sheet", None, _there(at)), _line("key sheet", name, options))


def quoted(text: str) -> str:
    """One word of the shell that stands for this text: also for line ends, and bytes that are no UTF-8."""
    if text.isprintable():
        return shlex.quote(text)
    plain = "".join(
        chr(byte) if 32 <= byte < 127 and byte not in b"'\\" else f"\\{byte:03o}"
        for byte in text.encode(errors="surrogateescape")
    )
    return f"$'{plain}'"


def _said(action: Action) -> dict[str, object]:
    """The named arguments of the pipeline's method."""
    said: dict[str, object] = {}
    if action.at is not None:
        said["to" if action.verb == "run" else "at"] = action.at
    if action.only is not None:
        said["only"] = action.only
    if action.include:
        said["include"] = [*action.include]
    if action.verb == "pin":
        said["reason"] = action.reason or ""
    if action.until is not None:
        said["until"] = _Written(f"datetime.fromisoformat({action.until.isoformat()!r})")
    for flag in ("overwrite", "force", "dry_run"):
        if getattr(action, flag):
            said[flag] = True
    return said


def _options(action: Action) -> list[str]:
    options: list[str] = []
    if action.at is not None:
        options += ["--to" if action.verb == "run" else "--at", quoted(action.at)]
    if action.only is not None:
        options += ["--only", action.only]
    for path in action.include:
        options += ["--include", quoted(path)]
    if action.verb == "pin":
        options += ["--reason", quoted(action.reason or "")]
    if action.until is not None:
        options += ["--until", action.until.isoformat()]
    for flag in ("overwrite", "force", "dry_run"):
        if getattr(action, flag):
            options.append(f"--{flag.replace('_', '-')}")
    return options


@dataclass(frozen=True, slots=True)
class _Written:
    """Something that is no literal, as Python writes it."""

    text: str

    def __repr__(self) -> str:
        return self.text


def _place(name: str, place: Place | None) -> tuple[dict[str, object], list[str] | None]:
    """Where a restore goes, for Python and for the shell; None where that cannot say it."""
    if name == SCRATCH:
        return {"to": FOLDER}, ["--to", FOLDER]
    named = _Written(f"places[{name!r}]")
    if isinstance(place, Mapping):
        options: list[str] | None = []
        for dump, database in place.items():
            if not isinstance(database, str | DatabaseURL):
                options = None
            elif options is not None:
                options += ["--database", quoted(f"{dump}=env:{_variable(f'{name}_{dump}')}")]
        return {"databases": named}, options
    if isinstance(place, str) and is_database_url(place):
        return {"to": named}, ["--to", f"env:{_variable(name)}"]
    if place is not None and not isinstance(place, str | os.PathLike):
        return {"to": named}, None
    return {"to": named}, ["--to", f'"${_variable(name)}"']


def _variable(name: str) -> str:
    """What the variable is called that has to hold what is known here by this name."""
    plain = re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_")
    return f"PLACE_{plain}".rstrip("_")


def _call(method: str, backup: str | None, said: Mapping[str, object], *more: object) -> str:
    given = [repr(one) for one in (*([] if backup is None else [backup]), *more)]
    return f"{method}({', '.join([*given, *(f'{name}={value!r}' for name, value in said.items())])})"


def _line(verb: str, name: str, options: Sequence[str]) -> str:
    return " ".join(["backupkit", verb, "--pipeline", quoted(name), *options])


def _there(at: str | None) -> dict[str, object]:
    return {} if at is None else {"at": at}


def _at(at: str | None) -> list[str]:
    return [] if at is None else ["--at", quoted(at)]


def _argument(path: str) -> list[str]:
    """A path that is no option, whatever it begins with."""
    return ["--", quoted(path)] if path.startswith("-") else [quoted(path)]
