"""Whether what a pipeline is made of can be what it is given as: asked of methods, without I/O.

What is refused is named by its type alone: it may be an address with a token.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from backupkit.errors import ConfigurationError

_T = TypeVar("_T")

# What a part must be able to do, and how one is made.
_METHODS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "notifiers": (("notify",), "one of backupkit.notifiers, or an object with `on` and notify(notice)"),
    "checks": (("problems",), "one such as MaximumAge(days=1), or an object with problems(state)"),
    "observers": (("__call__",), "one such as LoggingObserver(), or a function that takes an event"),
    "retention": (("plan",), "one such as TieredRetention(), or an object with plan(backups, now=)"),
    "history": (("record",), "a DatabaseHistory(url), or an object with record(report)"),
    "memory": (
        ("recall", "remember"),
        "a FileMemory(folder), or an object with recall(key) and remember(key, value)",
    ),
    "lock": (("hold",), "a MachineLock(folder), a RedisLock(url), or an object with hold(name, wait=)"),
    "retry": (("attempts",), "a Retry(tries=, wait=)"),
    "delivery": (("deliver",), "a Delivery(tries=, wait=, limit=)"),
}


def all_fitting(option: str, given: Iterable[_T]) -> tuple[_T, ...]:
    """The parts given for this option; ConfigurationError for what is no list of them, and for one that is none."""
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise ConfigurationError(f"{option}= is {_kind(given)}, and not a list: write {option}=[…].")
    parts = tuple(given)
    for number, part in enumerate(parts, start=1):
        _check(option, part, f"{option.removesuffix('s').capitalize()} {number}")
    return parts


def fitting(option: str, part: _T) -> _T:
    """The part given for this option; ConfigurationError if it is none."""
    _check(option, part, f"{option}=")
    return part


def _check(option: str, part: object, which: str) -> None:
    methods, wanted = _METHODS[option]
    for method in methods:
        # A class has the methods too, and none of them can be called.
        if isinstance(part, type) or not callable(getattr(part, method, None)):
            lacks = "" if isinstance(part, type) else f", which has no {method}()"
            raise ConfigurationError(f"{which} is {_kind(part)}{lacks}: give {wanted}.")


def _kind(part: object) -> str:
    return f"the class {part.__name__} itself" if isinstance(part, type) else type(part).__name__
