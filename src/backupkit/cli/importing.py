"""What the command line takes from the application's own modules."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from backupkit._placing import Assertion
from backupkit.errors import ConfigurationError


def chosen_assertions(names: Sequence[str]) -> list[Assertion]:
    """The functions that `--assert` names."""
    assertions: list[Assertion] = []
    for name in names:
        found = named_object(name, option="--assert", what="function")
        if not callable(found):
            raise ConfigurationError(
                f"{name} is of type {type(found).__name__}, not a function: name one that takes what was restored."
            )
        assertions.append(found)
    return assertions


def named_object(path: str, *, option: str, what: str) -> object:
    """What `package.module:name` names, looked for in this folder too."""
    module_name, _, attribute = path.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), attribute]):
        raise ConfigurationError(f"{path!r} does not name a {what}: write it as package.module:{what}.")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the application's own module misses another one
        raise ConfigurationError(
            f"There is no module {error.name!r}, which {option} {path} names: run this in the folder that holds it."
        ) from error
    try:
        return getattr(module, attribute)
    except AttributeError as error:
        raise ConfigurationError(
            f"The module {module_name!r} has no {attribute!r}: name its {what}."
        ) from error
