"""Snapshots to read: written by our own writer, without a source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from backupkit.formats.restic.format import Restic
from backupkit.formats.restic.reading import nodes_of
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


def spoil_tree(destination: Destination, backup: Backup, path: str) -> None:
    """Turn a bit over in what says what is in this folder of a backup."""
    with Restic().open(destination, name=None, encryptor=SECRET) as repository:
        opened, tree = repository._open(), repository._snapshot_of(backup).tree
        for name in path.split("/"):
            nodes = {node["name"]: node for node in nodes_of(opened, tree)}
            tree = nodes[name]["subtree"]
        (place,) = opened.places(bytes.fromhex(tree), tree=True)
    name = f"data/{place.pack[:2]}/{place.pack}"
    content = bytearray(b"".join(destination.read(name)))
    content[place.offset + 20] ^= 1
    destination.delete(name)
    destination.write(name, [bytes(content)])
