"""What the errors of webdav4 mean, and those of httpx below it."""

from __future__ import annotations

from backupkit.filesystems.meanings import Meaning

_BY_WEBDAV: dict[str, Meaning] = {
    "ForbiddenOperation": "denied",
    "InsufficientStorage": "full",
    "BadGatewayError": "busy",
    "ResourceLocked": "busy",
    "ResourceAlreadyExists": "exists",
    "ResourceConflict": "missing",  # the folder above is
    "ResourceNotFound": "missing",
}


def by_webdav(error: BaseException) -> Meaning | None:
    kind = type(error)
    package = kind.__module__.partition(".")[0]
    if package == "webdav4":
        if getattr(error, "status_code", None) == 409:
            return "missing"
        return _BY_WEBDAV.get(kind.__name__)
    if package != "httpx":
        return None
    names = {one.__name__ for one in kind.__mro__}
    if "TimeoutException" in names:
        return "timeout"
    return "unreachable" if {"NetworkError", "RemoteProtocolError", "ProxyError"} & names else None
