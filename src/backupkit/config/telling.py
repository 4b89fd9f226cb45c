"""What is said of settings that cannot be used, for pydantic to collect: it never repeats what may be a secret.

Import this module where it is needed only: it needs pydantic.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

_KIND = "settings"
_SAID = {"list_type": "is no list: write […]", "dict_type": "is no table: write { key = value }"}
_MOST_NAMES = 40


def wrong(message: str) -> PydanticCustomError:
    """This is said of a value."""
    return PydanticCustomError(_KIND, "{message}", {"message": message})


def wrong_at(*found: tuple[tuple[str | int, ...], str]) -> ValidationError:
    """These things are said, each of what stands at a path of keys."""
    details = [InitErrorDetails(type=wrong(message), loc=path, input=None) for path, message in found]
    return ValidationError.from_exception_data(_KIND, details)


def said(error: ValidationError) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What was said, and of what."""
    for one in error.errors(include_url=False, include_input=False):
        yield one["loc"], one["msg"]


@contextmanager
def told_together(error: ValidationError) -> Iterator[None]:
    """What is wrong with the same thing in the body is told together with what was found before."""
    try:
        yield
    except ValidationError as other:
        raise wrong_at(*said(error), *said(other)) from None


def retold(error: ValidationError, known: Collection[str], missing: Mapping[str, str]) -> ValidationError:
    """The same in our words. `known` are the keys of the table; `missing` says more of some of them."""
    return wrong_at(*((one["loc"], _message(one, known, missing)) for one in error.errors(include_url=False)))


def unknown(name: object, known: Collection[str], what: str = "key") -> str:
    """What is said of a name that is not among those there are."""
    close = difflib.get_close_matches(str(name), known, n=1)
    names = sorted(known)
    shown = ", ".join(names[:_MOST_NAMES]) + (", …" if len(names) > _MOST_NAMES else "")
    hint = f': did you mean "{close[0]}"?' if close else "."
    return f"is no {what} that is known here{hint} Known are {shown or 'none'}."


def _message(one: Any, known: Collection[str], missing: Mapping[str, str]) -> str:
    path: Sequence[str | int] = one["loc"]
    match one["type"]:
        case "settings":
            return str(one["msg"])
        case "extra_forbidden":
            return unknown(path[-1], known)
        case "missing":
            return missing.get(str(path[-1]), "is missing")
        case "invalid_key":
            return "is no key: keys are texts"
        case kind:
            return _SAID.get(kind, "is not possible here")
