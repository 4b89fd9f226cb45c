"""Entries with content, for tests of targets and repositories."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from backupkit.model import Entry


def with_content(entry: Entry, *chunks: bytes, error: BaseException | None = None) -> Entry:
    """The entry with these chunks as its content and their length as its size; then `error`, if any."""

    def content() -> Iterator[bytes]:
        yield from chunks
        if error is not None:
            raise error

    return replace(entry, size=sum(map(len, chunks)), chunks=content, reusing=None, within=None)
