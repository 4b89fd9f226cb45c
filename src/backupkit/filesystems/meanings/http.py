"""What the status of an answer means, whichever library has it."""

from __future__ import annotations

from backupkit.filesystems.meanings import Meaning

_BY_STATUS: dict[int, Meaning] = {
    401: "credentials",
    403: "denied",
    404: "missing",
    408: "timeout",
    409: "exists",
    412: "exists",
    423: "busy",
    429: "busy",
    507: "full",
}


def by_http(error: BaseException) -> Meaning | None:
    """Of whatever error says a status, under one of the usual names."""
    for name in ("status", "status_code", "code"):
        status = getattr(error, name, None)
        if isinstance(status, int) and 400 <= status < 600:
            return by_status(status)
    return None


def by_status(status: int) -> Meaning | None:
    """Of the status itself (RFC 9110, 15)."""
    return _BY_STATUS.get(status, "busy" if status >= 500 else None)
