"""What the page signs its forms with: one secret for all processes that serve it."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress

from backupkit.errors import ConfigurationError
from backupkit.state_folder import state_folder

_NAME = "page.key"
_BYTES = 32


def page_secret(given: str | bytes | None) -> bytes:
    """The secret that is given, or one that the processes of this machine share by a file for their user alone."""
    if given is not None:
        secret = given.encode("utf-8", "surrogateescape") if isinstance(given, str) else given
        if len(secret) < 16:
            raise ConfigurationError("secret= is too short to be one: give 16 characters or more, at random.")
        return secret
    folder = state_folder()
    path = os.path.join(folder, _NAME)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        if not os.path.exists(path):
            _make(folder, path)
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW)) as file:
            secret = file.read(_BYTES)
    except OSError as error:
        raise ConfigurationError(
            f"The page cannot keep its secret in {folder!r} ({error}): give BackupManager(…, secret=…)."
        ) from error
    if len(secret) < _BYTES:
        raise ConfigurationError(f"{path!r} holds no secret of the page: delete it, and a new one is made.")
    return secret


def _make(folder: str, path: str) -> None:
    """Whole or not at all; of several processes that make it at once, the first one's counts."""
    temporary = os.path.join(folder, f".{_NAME}.{secrets.token_hex(8)}")
    with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(secrets.token_bytes(_BYTES))
    try:
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        os.unlink(temporary)
