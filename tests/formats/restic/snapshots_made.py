"""Snapshots to read: written by our own writer, without a source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from backupkit.formats.restic.format import Restic
from backupkit.model import Backup, Entry
from backupkit.passphrase import Passphrase
from backupkit.protocols import Destination
from backupkit.retrying import Retry

SECRET = Passphrase("correct horse battery staple")
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def file(path: str, content: bytes = b"") -> Entry:
    entry = Entry(path=path, size=len(content), modified_ns=1_750_000_000_000_000_000, mode=0o644)
    return replace(entry, chunks=lambda: iter([content] if content else []))


def written(destination: Destination, entries: Sequence[Entry], *, minutes: int = 0) -> Backup:
    with Restic().open(destination, name="shop", encryptor=SECRET) as repository:
        result = repository.write(
            entries,
            time=NOON + timedelta(minutes=minutes),
            contents=frozenset({"files"}),
            retry=Retry(tries=1),
        )
    assert not [problem for problem in result.problems if problem.severity == "error"]
    return result.backup
