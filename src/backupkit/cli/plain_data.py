"""Reports and listings as what JSON can hold."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from typing import Any


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
