"""Reports and listings as what JSON can hold, and reports back from that."""

from __future__ import annotations

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
        raise IntegrityError(
            f"A report of the history cannot be read ({type(error).__name__}: {error}).", where="history"
        ) from error


def _value(data: Any, kind: Any) -> object:
    """What `plain` made this of, if it was of that kind."""
    origin, of = typing.get_origin(kind), typing.get_args(kind)
    if origin in (UnionType, typing.Union):
        return None if data is None else _value(data, next(one for one in of if one is not type(None)))
    if origin is tuple:
        return tuple(_value(one, of[0]) for one in data)
    if origin is frozenset:
        return frozenset(_value(one, of[0]) for one in data)
    if origin is Literal:
        if data not in of:
            raise ValueError(f"{data!r} is none of {of}")
        return data
    if kind is datetime:
        return datetime.fromisoformat(data)
    if kind is timedelta:
        return timedelta(seconds=data)
    if isinstance(kind, type) and is_dataclass(kind):
        types = _types(kind)
        return kind(**{name: _value(data[name], types[name]) for name in types if name in data})
    if not isinstance(data, kind):
        raise TypeError(f"{data!r} is not {kind.__name__}")
    return data


@cache
def _types(kind: type) -> Mapping[str, Any]:
    return typing.get_type_hints(kind, vars(model))
