"""`Restic()` keeps what every format promises."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from backupkit.formats.restic import locks
from backupkit.formats.restic.format import Restic
from backupkit.formats.restic.objects import Objects
from backupkit.formats.restic.opened import create
from backupkit.formats.restic.times import ns_of
from backupkit.formats.restic.tree_building import owner_of
from backupkit.model import Backup, Entry
from backupkit.passphrase import Passphrase
from backupkit.protocols import Destination, Format
from backupkit.testing.destinations import MemoryDestination
from backupkit.testing.repositories import SharingRepositoryTests

_MODES = {"directory": 0o755, "symlink": 0o777}


def kept(entries: Sequence[Entry], backup: Backup) -> Sequence[Entry]:
    """A tree says of every node whose it is, and when it was changed, and has the folders above it."""
    return [*_kept(entries, backup)]


def _kept(entries: Sequence[Entry], backup: Backup) -> Iterator[Entry]:
    folders = {""} | {entry.path for entry in entries if entry.kind == "directory"}
    for entry in entries:
        names = entry.path.split("/")
        for depth in range(1, len(names)):
            if (above := "/".join(names[:depth])) not in folders:
                folders.add(above)
                yield _filled(Entry(path=above, kind="directory"), backup)
        yield _filled(entry, backup)


def _filled(entry: Entry, backup: Backup) -> Entry:
    linked = entry.kind == "hardlink"  # which files are the same one is said by their inode
    if (
        entry.kind == "directory"
        and entry.mode is None
        and entry.modified_ns is None
        and entry.origin is None
    ):
        return replace(entry, owner=None)  # nobody described it
    return replace(
        entry,
        kind="file" if linked else entry.kind,
        target=None if linked else entry.target,
        holes=(),
        mode=_MODES.get(entry.kind, 0o600) if entry.mode is None else entry.mode,
        modified_ns=ns_of(backup.time) if entry.modified_ns is None else entry.modified_ns,
        owner=entry.owner or owner_of(os.geteuid(), os.getegid()),
    )


@pytest.fixture(autouse=True)
def _locks_are_seen_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_SETTLING", 0)


class TestRestic(SharingRepositoryTests):
    seals_the_list = True

    def make_format(self) -> Format:
        return Restic(cache=False)

    def make_destination(self) -> Destination:
        """A repository that is there already: of making a new one, the report of its first run warns."""
        destination = MemoryDestination()
        create(Objects(destination), self.make_encryptor())
        return destination

    def make_encryptor(self) -> Passphrase:
        return Passphrase("five words are long enough")

    def make_wrong_encryptor(self) -> Passphrase:
        return Passphrase("but these are not they")

    def kept(self, entries: Sequence[Entry], backup: Backup) -> Sequence[Entry]:
        return kept(entries, backup)
