"""Which blobs snapshots refer to: all their trees, each read once, and all that those name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor

from backupkit.errors import IntegrityError
from backupkit.formats.restic.loading import Trees
from backupkit.formats.restic.nodes import references_of
from backupkit.formats.restic.opened import OpenedRepository
from backupkit.protocols import nothing


class UsedBlobs:
    """Marks blobs of a repository's index, with a byte of memory for each; used by one thread."""

    def __init__(self, repository: OpenedRepository, executor: Executor | None) -> None:
        repository.need_index()
        self._repository = repository
        self._trees = Trees(repository, executor)
        index = repository.index
        self._marks = (bytearray(index.count(tree=False)), bytearray(index.count(tree=True)))

    def mark(self, tree: str, *, between: Callable[[], None] = nothing) -> None:
        """Mark the tree with this id, all that are in it, and the blobs of all files.

        IntegrityError if one cannot be read, or refers to what is in no index: then nobody knows what is used.
        """
        data, trees = self._marks
        number = self._number
        folders = [bytes.fromhex(tree)]

        def unmarked() -> Iterator[bytes]:
            for one in reversed(folders):
                if (at := number(one, tree=True)) is not None and not trees[at]:
                    yield one

        while folders:
            id = folders.pop()
            at = number(id, tree=True)
            if at is None:
                raise self._lost(id, "folder")
            if trees[at]:
                continue
            between()
            content = self._trees.load(id, unmarked())
            where = f"tree {id.hex()} at {self._repository.location}"
            blobs, subtrees = references_of(content, where=where)
            for blob in blobs:
                place = number(blob)
                if place is None:
                    raise self._lost(blob, "file")
                data[place] = 1
            trees[at] = 1
            folders += reversed(subtrees)

    def has(self, number: int, *, tree: bool) -> bool:
        """Whether the blob of this number in the index is marked."""
        marks = self._marks[tree]
        return number < len(marks) and marks[number] != 0

    def _number(self, id: bytes, *, tree: bool = False) -> int | None:
        number = self._repository.index.number(id, tree=tree)
        if number is not None and number >= len(self._marks[tree]):  # the index has grown meanwhile
            self._marks[tree].extend(bytes(number + 1 - len(self._marks[tree])))
        return number

    def _lost(self, id: bytes, of: str) -> IntegrityError:
        where = f"blob {id.hex()} at {self._repository.location}"
        return IntegrityError(
            f"The {where}, of a {of} in a snapshot, is in no index: it is lost.", where=where
        )
