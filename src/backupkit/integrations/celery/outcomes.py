"""What a task ends with, as JSON can carry it and everybody may read it."""

from __future__ import annotations

from typing import Any

from backupkit.errors import BackupKitError
from backupkit.integrations.actions import Done, sentence
from backupkit.model import Report, Summary
from backupkit.plain_data import plain, storable


def result_of(ended: Report | Summary | Done) -> Any:
    """The report or summary as plain data, of which databases can hold every text."""
    return storable(plain(ended))


def sendable(error: Exception) -> Exception:
    """An error of the same kind and text that is the same again after its way through JSON.

    That carries a kind and the arguments of its constructor, so one that takes more becomes a plain one of ours.
    Causes stay behind: they are of other libraries, and their texts may hold secrets.
    """
    text = str(storable(sentence(error)))
    for kind in (type(error), BackupKitError):
        if issubclass(kind, BackupKitError):
            try:
                return kind(text)
            except TypeError:
                continue
    return BackupKitError(text)
