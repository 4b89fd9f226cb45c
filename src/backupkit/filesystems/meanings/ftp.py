"""What the errors of ftplib mean."""

from __future__ import annotations

import re

from backupkit.filesystems.meanings import Meaning

# RFC 959, 4.2.1
_BY_FTP: dict[str, Meaning] = {
    "421": "unreachable",
    "425": "unreachable",
    "426": "unreachable",
    "430": "credentials",
    "450": "busy",
    "451": "busy",
    "452": "full",
    "530": "credentials",
    "532": "credentials",
    "552": "full",
    "553": "denied",
}


def by_ftp(error: BaseException) -> Meaning | None:
    if isinstance(error, EOFError):  # which is how ftplib says that the connection has ended
        return "unreachable"
    if type(error).__module__ != "ftplib":
        return None
    text = str(error)
    if text.startswith("550"):  # for all that may be wrong with a file
        return "denied" if re.search(r"(?i)permission|denied|not (allowed|enough)", text) else "missing"
    return _BY_FTP.get(text[:3])
