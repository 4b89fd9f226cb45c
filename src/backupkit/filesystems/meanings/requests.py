"""What the errors of requests mean, which the Dropbox SDK lets through."""

from __future__ import annotations

from backupkit.filesystems.meanings import Meaning
from backupkit.filesystems.meanings.looking import causes


def by_requests(error: BaseException) -> Meaning | None:
    kinds = {kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "requests.exceptions"}
    if "Timeout" in kinds:
        return "timeout"
    if "SSLError" in kinds and _refused_certificate(error):
        return "unsafe"
    if kinds & {"ConnectionError", "ChunkedEncodingError", "ContentDecodingError"}:
        # One that ends while a body is sent or read is said to be a lost connection.
        late = any(isinstance(one, TimeoutError) for one in causes(error)) or "timed out" in str(error)
        return "timeout" if late else "unreachable"
    return None


def _refused_certificate(error: object) -> bool:
    """Whether that is at the bottom of it; urllib3 puts errors into each other's arguments."""
    import ssl

    if isinstance(error, ssl.SSLCertVerificationError):
        return True
    inner = [*getattr(error, "args", ()), getattr(error, "reason", None)]
    return any(_refused_certificate(one) for one in inner if isinstance(one, BaseException))
