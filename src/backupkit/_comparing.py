"""Where two backups differ."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import groupby, islice, pairwise
from typing import TypeAlias

from backupkit._operation import raise_all
from backupkit.errors import BackupNotFoundError, IntegrityError
from backupkit.model import Backup, Change, Difference, Differing, Entry, Problem, Tally
from backupkit.protocols import ComparesBackups, Repository

_MOST_RUNS = (
    16  # pieces in order that an archive may consist of, and it is read once for each; else it is sorted
)

_Key: TypeAlias = tuple[bytes, ...]


class Comparison:
    """The differences between two backups, in the order of paths: a folder before what is in it.

    To be iterated over once; the contents of entries can be pulled meanwhile. `so_far` is what those that were
    yielded come to, and after the last one what all do. IntegrityError, or a group of them, after the last one if
    a folder of either could not be read.
    """

    def __init__(
        self,
        before: Backup,
        after: Backup,
        opened: Callable[[ExitStack], tuple[Repository, Repository]],
        *,
        folders: tuple[str, str],
        metadata: bool,
        between: Callable[[], None],
    ) -> None:
        self.before = before
        self.after = after
        self._opened = opened
        before_folder, after_folder = (folder.strip("/") for folder in folders)
        self._folders = before_folder, after_folder
        self._metadata = metadata
        self._between = between
        self._counts: dict[tuple[Change, str], int] = {}
        self._only: tuple[int, int] | None = None

    def __iter__(self) -> Iterator[Difference]:
        failures: list[Exception] = []
        with ExitStack() as stack:
            for one in self._found(*self._opened(stack)):
                if isinstance(one, Problem):
                    failures.append(IntegrityError(one.message, where=one.path or ""))
                elif isinstance(one, Difference):
                    kind = _kind(one.after or one.before)
                    self._counts[one.change, kind] = self._counts.get((one.change, kind), 0) + 1
                    yield one
                else:
                    self._only = one
        raise_all(f"Not all of {self.before.id} and {self.after.id} could be compared", failures)

    @property
    def so_far(self) -> Differing:
        after, before = self._only or (None, None)
        return Differing(
            added=self._tally("added", after),
            removed=self._tally("removed", before),
            files=self._count("content"),
            metadata=self._count("metadata"),
            types=self._count("type"),
        )

    def _tally(self, change: Change, size: int | None) -> Tally:
        files, folders = (self._counts.get((change, kind), 0) for kind in ("file", "directory"))
        others = self._count(change) - files - folders
        return Tally(files=files, folders=folders, others=others, size=size)

    def _count(self, change: Change) -> int:
        return sum(count for (one, _), count in self._counts.items() if one == change)

    def _found(
        self, repository: Repository, other: Repository
    ) -> Iterator[Difference | Problem | tuple[int, int]]:
        if isinstance(repository, ComparesBackups):
            found = repository.differences(
                self.before,
                other,
                self.after,
                folders=self._folders,
                metadata=self._metadata,
                between=self._between,
            )
            if found is not None:
                return found
        return self._merged(repository, other)

    def _merged(self, repository: Repository, other: Repository) -> Iterator[Difference | tuple[int, int]]:
        """Both read entry by entry, side by side."""
        only_after = only_before = 0
        sides = self._side(0, repository, self.before), self._side(1, other, self.after)
        nothing = True
        for key, those in groupby(heapq.merge(*sides, key=_position), key=_position):
            # Of a path that stands in an archive twice, what is restored last.
            by_side = {number: entry for _, number, entry in those}
            before, after = by_side.get(0), by_side.get(1)
            nothing = False
            change = change_of(before, after)
            if change is None or (change == "metadata" and not self._metadata):
                continue
            if change != "metadata":
                only_after += _size(after)
                only_before += _size(before)
            path = b"/".join(key).decode("utf-8", "surrogateescape")
            if self._folders[0] == self._folders[1] != "":
                path = f"{self._folders[0]}/{path}"
            yield Difference(path=path, change=change, before=before, after=after)
        if nothing and any(self._folders):
            folder = " or ".join(dict.fromkeys(map(repr, self._folders)))
            raise BackupNotFoundError(f"Neither of the two backups has a folder {folder}: look into them.")
        yield only_after, only_before

    def _side(self, number: int, repository: Repository, backup: Backup) -> Iterator[tuple[_Key, int, Entry]]:
        folder = self._folders[number]
        prefix = f"{folder}/" if folder else ""
        for entry in in_order(repository, backup):
            self._between()
            if entry.path.startswith(prefix):
                yield _key(entry.path.removeprefix(prefix)), number, entry


def change_of(before: Entry | None, after: Entry | None) -> Change | None:
    """How the two entries at a path differ; None if they do not, as far as their backups say.

    What one of them does not say, as an archive of others says nothing of owners, is no difference. A folder that
    no source has described is one only by what is in it.
    """
    if before is None or after is None:
        one = before or after
        if one is None or (one.kind == "directory" and one.mode is None):
            return None
        return "added" if before is None else "removed"
    kind = _kind(after)
    if _kind(before) != kind:
        return "type"
    if kind == "file" and not same_content(before, after):
        return "content"
    facts = [(before.mode, after.mode), (before.owner, after.owner)]
    if kind != "directory":
        facts.append((before.modified_ns, after.modified_ns))
    if any(old is not None and new is not None and old != new for old, new in facts):
        return "metadata"
    if kind == "symlink" and before.target != after.target:
        return "metadata"
    same = before.xattrs == after.xattrs and before.device == after.device
    return None if same else "metadata"


def same_content(one: Entry, other: Entry) -> bool:
    """Whether two files hold the same: by their digests, or else by size and time."""
    if one.digest is not None and other.digest is not None:
        scheme, _, digest = one.digest.partition(":")
        other_scheme, _, other_digest = other.digest.partition(":")
        if scheme == other_scheme:
            return digest == other_digest
    return one.size == other.size and one.modified_ns is not None and one.modified_ns == other.modified_ns


def in_order(repository: Repository, backup: Backup) -> Iterator[Entry]:
    """The entries of a backup in the order of their paths."""
    if isinstance(repository, ComparesBackups):
        return repository.read(backup)
    # Archives are in the order of their sources, and each of these is in the right one.
    starts = [0]
    last: _Key = ()
    for number, entry in enumerate(repository.read(backup)):
        key = _key(entry.path)
        if key < last:
            starts.append(number)
            if len(starts) > _MOST_RUNS:
                return iter(sorted(repository.read(backup), key=lambda entry: _key(entry.path)))
        last = key
    runs = (islice(repository.read(backup), start, end) for start, end in pairwise([*starts, None]))
    return heapq.merge(*runs, key=lambda entry: _key(entry.path))


def _key(path: str) -> _Key:
    return tuple(path.encode("utf-8", "surrogateescape").split(b"/"))


def _position(one: tuple[_Key, int, Entry]) -> _Key:
    return one[0]


def _kind(entry: Entry | None) -> str:
    """That of an entry; a link to a file is another name of it, and a file."""
    return "file" if entry is None or entry.kind == "hardlink" else entry.kind


def _size(entry: Entry | None) -> int:
    return (entry.size or 0) if entry is not None and entry.kind == "file" else 0
