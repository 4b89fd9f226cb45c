"""Entries to restore, and what is asked of every restored folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from backupkit.model import Entry, Problem
from backupkit.targets import DirectoryTarget
from backupkit.testing.entries import with_content

ROOT = os.geteuid() == 0
NOBODY = 65534
WHEN = 1_500_000_000_123_456_789
needs_root = pytest.mark.skipif(not ROOT, reason="only root can change owners and mount")


def file(path: str, content: bytes = b"content", mode: int | None = 0o644) -> Entry:
    return with_content(Entry(path=path, mode=mode, modified_ns=WHEN), content)


def folder(path: str, mode: int | None = 0o755) -> Entry:
    return Entry(path=path, kind="directory", mode=mode, modified_ns=WHEN)


def symlink(path: str, target: str) -> Entry:
    return Entry(path=path, kind="symlink", target=target, modified_ns=WHEN)


def hardlink(path: str, target: str, content: bytes = b"content") -> Entry:
    return with_content(
        Entry(path=path, kind="hardlink", target=target, mode=0o644, modified_ns=WHEN), content
    )


def write(place: Path, *entries: Entry, overwrite: bool = False, setuid: bool = False) -> list[Problem]:
    return list(DirectoryTarget(place, overwrite=overwrite, setuid=setuid).write(entries))


def check(place: Path, *entries: Entry, overwrite: bool = False) -> list[Problem]:
    return list(DirectoryTarget(place, overwrite=overwrite).check(entries))


def names(place: Path) -> list[str]:
    """Everything below, partial files included."""
    return sorted(str(path.relative_to(place)) for path in place.rglob("*"))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)
