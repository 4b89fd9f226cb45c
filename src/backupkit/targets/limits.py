"""How much a restore may bring: counted beforehand as it was declared, and again as it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from backupkit._chunks import closing_iterator
from backupkit.errors import RestoreError
from backupkit.model import Entry, Problem
from backupkit.sizes import format_size


class Tally:
    """Counts the entries and the content of one restore against its limits; None is no limit.

    Entries are all that takes a name: files, links and folders, those included that are in no entry but
    are made because they lead to one. The content counts in full, holes too.
    """

    def __init__(self, folder: str, *, max_size: int | None, max_entries: int | None) -> None:
        self._folder = folder
        self._max_size = max_size
        self._max_entries = max_entries
        self._folders: dict[tuple[int, str], int] = {}  # by the number of the folder above, and the name
        self._latest = ""
        self._files: set[str] = set()
        self.entries = 0
        self.size = 0

    def add(self, entry: Entry) -> int:
        """Count an entry; return how many folders, itself included, no entry before has led to."""
        if entry.kind == "directory":
            return self._lead_to(entry.path)
        self.entries += 1
        return self._lead_to(entry.path.rpartition("/")[0])

    def _lead_to(self, folder: str) -> int:
        if folder in (self._latest, ""):
            return 0
        before = len(self._folders)
        above = 0
        for name in folder.split("/"):
            above = self._folders.setdefault((above, name), len(self._folders) + 1)
        self._latest = folder
        self.entries += len(self._folders) - before
        return len(self._folders) - before

    def brings_content(self, entry: Entry) -> bool:
        """Whether its content is written: that of a hard link only if no entry before is the same file."""
        if entry.kind == "file":
            self._files.add(entry.path)
            return True
        if entry.kind == "hardlink" and entry.target is not None and entry.target not in self._files:
            self._files.add(entry.target)
            return True
        return False

    @property
    def exceeded(self) -> bool:
        """Whether this is more than was allowed."""
        return any(self._excesses())

    def problems(self) -> Iterator[Problem]:
        for excess in self._excesses():
            yield Problem(message=f"The restore would go beyond its limit: {excess}.", path=self._folder)

    def check(self) -> None:
        """RestoreError if this is more than was allowed."""
        for excess in self._excesses():
            raise RestoreError(f"The restore was stopped at its limit: {excess}.", path=self._folder)

    def bounded(self, entry: Entry, content: Callable[[], Iterator[bytes]]) -> Iterator[bytes]:
        """The entry's content, counted; RestoreError before the first byte that was not declared or allowed."""
        came = 0
        with closing_iterator(content()) as chunks:
            for chunk in chunks:
                came += len(chunk)
                if entry.size is not None and came > entry.size:
                    raise RestoreError(
                        f"{entry.path!r} was not restored: it holds more than the {entry.size} bytes that it "
                        "was said to hold, so the backup is damaged or was made to fill the disk.",
                        path=entry.path,
                    )
                self.size += len(chunk)
                self.check()
                yield chunk

    def _excesses(self) -> Iterator[str]:
        if self._max_size is not None and self.size > self._max_size:
            yield (
                f"{format_size(self.size)} ({self.size} bytes) are more than {format_size(self._max_size)} "
                f"({self._max_size} bytes), raise max_size if you trust the backup"
            )
        if self._max_entries is not None and self.entries > self._max_entries:
            yield (
                f"{self.entries} entries, with the folders that lead to them, are more than "
                f"{self._max_entries}, raise max_entries if you trust the backup"
            )
