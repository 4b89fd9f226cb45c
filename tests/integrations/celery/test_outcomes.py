"""Errors of ours are the same again after their way through a result backend of JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from celery import Celery

from backupkit import BackupKitError, DestinationError, IntegrityError, WrongPassphraseError
from backupkit.integrations.celery.outcomes import sendable

DISK = DestinationError("The disk is full.", location="file:///backups")


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (WrongPassphraseError("It is another one."), WrongPassphraseError, "It is another one."),
        (DISK, BackupKitError, "The disk is full."),
        (IntegrityError("a\udcff is damaged", where="a\udcff"), BackupKitError, "a\\udcff is damaged"),
        (
            ExceptionGroup("Nowhere", [DISK, OSError("no")]),
            BackupKitError,
            "Nowhere: The disk is full. OSError: no",
        ),
        (OSError("redis://me:hunter2@host"), BackupKitError, "OSError: redis://***@host"),
    ],
)
def test_an_error_survives_json(error: Exception, kind: type[Exception], text: str) -> None:
    backend = Celery("shop", set_as_current=False).backend
    sent: Any = json.loads(json.dumps(backend.prepare_exception(sendable(error), "json")))
    received = backend.exception_to_python(sent)
    assert (type(received), str(received)) == (kind, text)
