"""Which pipelines there are: given at once, or found out by the first task that needs one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from backupkit.errors import ConfigurationError
from backupkit.pipeline import BackupPipeline

Given: TypeAlias = BackupPipeline | Iterable[BackupPipeline] | Mapping[str, BackupPipeline]

_SHOWN = 20  # names in a message


class Pipelines:
    """The pipelines by their names. A callable is asked once in each process, when they are needed."""

    def __init__(self, given: Given | Callable[[], Given]) -> None:
        self._given = given
        self._known = None if callable(given) else _by_name(given)

    def all(self) -> Mapping[str, BackupPipeline]:
        if self._known is None and callable(self._given):
            self._known = _by_name(self._given())
        return self._known or {}

    def named(self, name: str | None) -> BackupPipeline:
        """The one of this name, or the only one; ConfigurationError tells which there are."""
        known = self.all()
        if name is None and len(known) == 1:
            return next(iter(known.values()))
        if isinstance(name, str) and name in known:
            return known[name]
        names = sorted(known)
        there = ", ".join(names[:_SHOWN]) + (
            f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        )
        if name is None:
            raise ConfigurationError(f"There are several pipelines: say which is meant, one of {there}.")
        raise ConfigurationError(f"There is no pipeline {name!r} here: use one of {there}.")


def _by_name(given: Given) -> Mapping[str, BackupPipeline]:
    if isinstance(given, BackupPipeline):
        given = [given]
    several = [*given.items()] if isinstance(given, Mapping) else [(_name_of(one), one) for one in given]
    known: dict[str, BackupPipeline] = {}
    for name, pipeline in several:
        if not isinstance(pipeline, BackupPipeline):
            raise ConfigurationError(
                f"{pipeline!r} is no BackupPipeline: give pipelines, or what returns them."
            )
        if name in known:
            raise ConfigurationError(f"There are two pipelines called {name}: give each a name of its own.")
        known[name] = pipeline
    if not known:
        raise ConfigurationError("There is no pipeline: give one at least.")
    return known


def _name_of(one: object) -> str:
    return str(getattr(one, "name", ""))
