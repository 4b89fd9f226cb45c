"""What the errors of aiohttp mean, over which most object stores are reached."""

from __future__ import annotations

from backupkit.filesystems.meanings import Meaning
from backupkit.filesystems.meanings.looking import names_of


def by_aiohttp(error: BaseException) -> Meaning | None:
    names = names_of(error)
    if "aiohttp.ServerTimeoutError" in names:
        return "timeout"
    lost = {"aiohttp.ClientConnectionError", "aiohttp.ClientPayloadError"}
    return "unreachable" if names & lost else None
