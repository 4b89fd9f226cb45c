"""The names of a repository's objects (restic design document, "Repository Layout")."""

from __future__ import annotations

import hashlib
import re
from typing import Literal, TypeAlias

ObjectKind: TypeAlias = Literal["keys", "locks", "snapshots", "index", "data"]

CONFIG = "config"
KINDS: tuple[ObjectKind, ...] = ("keys", "locks", "snapshots", "index", "data")
_ID = re.compile(r"[0-9a-f]{64}")


def storage_id(content: bytes) -> str:
    """What an object is called: the SHA-256 of its content as it is stored, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def object_name(kind: ObjectKind, id: str) -> str:
    """Where an object is: packs below a folder of their first two digits."""
    return f"data/{id[:2]}/{id}" if kind == "data" else f"{kind}/{id}"


def id_in(name: str) -> str | None:
    """The id of the object of this name; None if it is no repository's, such as somebody's temporary file."""
    id = name.rpartition("/")[2]
    return id if _ID.fullmatch(id) else None


def is_id(text: object) -> bool:
    """Whether this is a whole id, as it stands in documents."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None
