"""What a file is called until it is whole, in stores that rename it then."""

from __future__ import annotations

import os
import re

_PARTIAL = re.compile(r"(.*/|)\.([^/]+)\.([0-9a-f]{16})\.partial", re.DOTALL)


def new_partial(path: str) -> str:
    """A name beside the path that nobody else has, and that no object can have."""
    return partial_of(path, os.urandom(8).hex())


def partial_of(path: str, token: str) -> str:
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}.{name}.{token}.partial"


def becoming(path: str) -> tuple[str, str] | None:
    """What this file was to become, and what tells it from others of that name; None if it is no partial one."""
    match = _PARTIAL.fullmatch(path)
    return (match[1] + match[2], match[3]) if match else None
