"""The same in Python and at the command line, for each thing that the page can be asked."""

from __future__ import annotations

from dataclasses import dataclass

from backupkit.integrations.actions import Action


@dataclass(frozen=True, slots=True)
class Equivalent:
    """Lines that do the same as a button."""

    python: str
    shell: str


def equivalent(name: str, action: Action) -> Equivalent:
    """The lines for this action with the pipeline that the page knows by this name."""
    return Equivalent(f"pipeline.{action.verb}()", f"backupkit {action.verb} --pipeline {name}")
