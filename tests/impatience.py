"""Repositories of the restic format that cost tests no time to open and to lock."""

from __future__ import annotations

import pytest

from backupkit.formats.restic import keys, locks


def be_impatient(patch: pytest.MonkeyPatch, *, settling: float = 0.01) -> None:
    """Make keys cheap, and have locks seen after so many seconds, as on a local disk."""
    make_keys_cheap(patch)
    patch.setattr(locks, "_SETTLING", settling)


def make_keys_cheap(patch: pytest.MonkeyPatch) -> None:
    """Scrypt that takes no time; restic opens such keys as well."""
    patch.setattr(keys, "usual_cost", lambda: keys.Cost(2, 8, 1))
