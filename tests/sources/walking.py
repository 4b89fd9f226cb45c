"""Short ways to say what a walk yields."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from backupkit.model import Entry, Problem
from backupkit.protocols import Source

_NOBODY = 65534


def entries(source: Source) -> list[Entry]:
    """All entries of a source that has no problem."""
    found = list(source.entries())
    assert [one for one in found if isinstance(one, Problem)] == []
    return [one for one in found if isinstance(one, Entry)]


def paths(source: Source) -> list[str]:
    """The paths of a source that has no problem, without the name in front, folders with a slash."""
    return [
        entry.path.partition("/")[2] + ("/" if entry.kind == "directory" else "")
        for entry in entries(source)
        if "/" in entry.path
    ]


def entry(source: Source, path: str) -> Entry:
    (found,) = [one for one in source.entries() if isinstance(one, Entry) and one.path == path]
    return found


def problems(source: Source) -> list[Problem]:
    return [one for one in source.entries() if isinstance(one, Problem)]


def content(entry: Entry) -> bytes:
    return b"".join(entry.chunks())


@contextmanager
def without_privileges() -> Iterator[None]:
    """Permissions do not bite root: be nobody for a while."""
    if os.geteuid() != 0:
        yield
        return
    if not hasattr(os, "seteuid"):
        pytest.skip("this system cannot drop root's rights for a while")
    os.setegid(_NOBODY)
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
