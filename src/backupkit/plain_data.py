"""Reports and listings as what JSON can hold, and reports back from that."""

from __future__ import annotations

import hashlib
import json
import re
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from functools import cache
from types import UnionType
from typing import Any, Literal, cast

from backupkit import model
from backupkit.errors import IntegrityError
from backupkit.model import Report

_UNSTORABLE = re.compile(r"[\0\ud800-\udfff]")
_LONGEST = 200  # characters of an error that may quote what it was given


def plain(value: object) -> Any:
    """The value as dicts, lists, texts and numbers: times in ISO 8601, durations in seconds, sets sorted."""
    match value:
        case datetime():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case frozenset():
            return sorted(plain(one) for one in value)
        case tuple():
            return [plain(one) for one in value]
        case _ if is_dataclass(value):
            return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        case _:
            return value


def plain_error(error: BaseException) -> dict[str, Any]:
    """The report of the operation that raised it, if there is one, and the error itself."""
    report = plain(getattr(error, "report", None)) or {}
    message = error.message if isinstance(error, BaseExceptionGroup) else str(error)
    return {**report, "error": {"type": type(error).__name__, "message": message}}


def report_from(data: object) -> Report:
    """The report that `plain` made this of; IntegrityError if it is none.

    Fields that a later version has added are passed over, and those that an earlier one did not know yet have
    their default.
    """
    try:
        return cast("Report", _value(data, Report))
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise IntegrityError(f"A report cannot be read ({_short(error)}).", where="history") from error


def storable(data: Any) -> Any:
    """The same plain data, with what UTF-8 and databases cannot hold written out: the byte FF as `\\udcff`.

    Names of files that are not UTF-8 stand in paths as surrogate escapes, which many readers of JSON refuse.
    """
    match data:
        case str():
            return _UNSTORABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", data)
        case list():
            return [storable(one) for one in data]
        case dict():
            return {key: storable(one) for key, one in data.items()}
        case _:
            return data


def identity_of(value: object) -> str:
    """A text of 64 characters that is the same for the same value, in every process, and for no other."""
    return hashlib.sha256(json.dumps(plain(value), sort_keys=True).encode()).hexdigest()


def _value(data: Any, kind: Any) -> object:
    """What `plain` made this of, if it was of that kind."""
    origin, of = typing.get_origin(kind), typing.get_args(kind)
    if origin in (UnionType, typing.Union):
        return None if data is None else _value(data, next(one for one in of if one is not type(None)))
    if origin in (tuple, frozenset):
        return origin(_value(one, of[0]) for one in _checked(data, list))
    if origin is Literal:
        if data not in of:
            raise ValueError(f"{data!r} is none of {of}")
        return data
    if kind is datetime:
        return datetime.fromisoformat(data)
    if kind is timedelta:
        return timedelta(seconds=_checked(data, int | float))
    if is_dataclass(kind):
        known = _checked(data, dict)
        types = _types(cast("type", kind))
        return cast("type", kind)(
            **{name: _value(known[name], types[name]) for name in types if name in known}
        )
    return _checked(data, kind)


def _checked(data: Any, kind: Any) -> Any:
    if not isinstance(data, kind) or (isinstance(data, bool) and kind is not bool):
        raise TypeError(f"{data!r} is not {getattr(kind, '__name__', kind)}")
    return data


def _short(error: BaseException) -> str:
    text = f"{type(error).__name__}: {error}"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


@cache
def _types(kind: type) -> Mapping[str, Any]:
    return typing.get_type_hints(kind, vars(model))
