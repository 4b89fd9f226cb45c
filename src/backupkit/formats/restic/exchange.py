"""What passes between the process of a run and its workers: tasks, questions and results, never data.

A worker sends one of the messages here at a time; a `Question` is answered before it goes on. What comes is
trusted: it is from a process of ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from backupkit.errors import BackupKitError
from backupkit.formats.restic.folders import Before, Counts, OpenFolder, Share
from backupkit.formats.restic.index import Location
from backupkit.formats.restic.objects import Keeps
from backupkit.formats.restic.packs import PackedBlob
from backupkit.formats.restic.sealing import Sealer
from backupkit.model import Owner, Part, Passed, Problem
from backupkit.protocols import Compressor, Destination


@dataclass(frozen=True, slots=True)
class RepositorySetup:
    """What a worker needs of a repository. Secret."""

    destination: Destination
    cache: Keeps | None
    sealer: Sealer = field(repr=False)
    compressor: Compressor
    polynomial: int
    tries: int  # of a call of the destination, so many seconds apart
    wait: float


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker needs for everything that it is given to do. Secret."""

    repositories: Mapping[int, RepositorySetup]
    owner: Owner
    now_ns: int
    tries: int  # of an entry
    wait: float
    largest: int


@dataclass(frozen=True, slots=True)
class Task:
    """Folders, or shares of some, to save, as far as there are no more than `most` entries in them.

    `places` says, by repository, where the trees stand that they had before.
    """

    folders: Sequence[tuple[Part, Before, Share | None]]
    places: Mapping[int, Mapping[bytes, Location]]
    most: int


@dataclass(frozen=True, slots=True)
class New:
    """A question: which of these blobs, data and trees, are new? The answer has a byte for each.

    Who asks stores those; nobody else is told that they are new.
    """

    repository: int
    data: bytes
    trees: bytes


@dataclass(frozen=True, slots=True)
class Held:
    """A question: which of these blobs are there, and where are these trees? Answered by `HeldAnswer`."""

    repository: int
    data: bytes
    trees: bytes


@dataclass(frozen=True, slots=True)
class HeldAnswer:
    data: bytes
    places: Sequence[Location | None]


@dataclass(frozen=True, slots=True)
class Tree:
    """A question: what is this tree of before, which could not be read? None if nobody can."""

    repository: int
    id: bytes


Question: TypeAlias = New | Held | Tree


@dataclass(frozen=True, slots=True)
class Waiting:
    """An entry is tried again after so many seconds."""

    seconds: float
    why: str


# The nodes that a folder has got in the one above it, what is left to do of it, or None if it was not begun.
Saved: TypeAlias = Mapping[int, dict[str, str]] | list[tuple[OpenFolder, int]] | None


@dataclass(frozen=True, slots=True)
class StoredPack:
    repository: int
    id: str
    blobs: Sequence[
        tuple[bytes, bool, int, int, int]
    ]  # as a PackedBlob, which takes five times as long to send
    size: int

    def packed(self) -> Sequence[PackedBlob]:
        return [*map(PackedBlob._make, self.blobs)]


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a task, folder by folder; or, without any, that all is stored that was given to it."""

    saved: Sequence[Saved]
    packs: Sequence[StoredPack]
    problems: Sequence[Problem]
    counts: Mapping[int, Counts]
    failures: Mapping[int, BackupKitError]
    entries: int
    read: int


@dataclass(frozen=True, slots=True)
class Raised:
    """Something that ends the run, and not only the reading of an entry."""

    error: Exception


class WorkerDiedError(Exception):
    """A worker ended although it was given something to do."""


class Ready:
    """It has begun."""


class Refused:
    """What it was given cannot be made of what it can import: the parts of a source in a script, for one."""


Message: TypeAlias = Ready | Refused | Question | Waiting | Passed | Done | Raised
