"""Which entries of a backup are meant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from backupkit.errors import ConfigurationError
from backupkit.model import DUMPS, Contents, Entry
from backupkit.patterns import folders_within, is_on_the_way, matcher


class Selection:
    """Entries that match one of `include` (all, if there are none) and none of `exclude`, of `only` one kind.

    Databases are what stands under `db-dumps/`; files are the rest; `wanted` says which have a place at all.
    A pattern is in gitignore syntax, or the whole path of an entry, which stands for itself whatever characters
    it has. `count` and `size` are those of the entries that `learn` or `learning` saw. With `include`, `learn`
    must see all of them once; then the folders that lead to a selected entry come too, so that they get their
    own modes and times.
    """

    def __init__(
        self,
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        only: Contents | None = None,
        wanted: Callable[[Entry], bool] | None = None,
    ) -> None:
        self.include = include
        self.exclude = exclude
        self.only = only
        self._wanted = wanted
        self._included = _matcher(include) if include else None
        self._excluded = _matcher(exclude)
        self._within = folders_within(include) if include else None
        # A later pattern may bring back what is in a folder that an earlier one leaves out.
        self._leaves_out_folders = not any(pattern.startswith("!") for pattern in exclude)
        self._excluded_below = matcher(exclude)
        self._parents: set[str] = set()
        self.count = 0
        self.size = 0

    def learn(self, entries: Iterable[Entry]) -> None:
        for _ in self.learning(entries):
            pass

    def learning(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Learn, and yield at once those that are meant for themselves: without `include` all that are."""
        for entry in entries:
            if self._matches(entry):
                self.count += 1
                if entry.kind == "file":
                    self.size += entry.size or 0
                if self._included is not None:
                    parts = entry.path.split("/")
                    self._parents.update("/".join(parts[:end]) for end in range(1, len(parts)))
                yield entry

    def of(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Yield those that are meant, in their order."""
        return filter(self.means, entries)

    def means(self, entry: Entry) -> bool:
        """Whether this entry is meant, or leads to one that is."""
        return self._matches(entry) or (entry.kind == "directory" and entry.path in self._parents)

    def enters(self, folder: str) -> bool:
        """Whether an entry in this folder could be meant; True where that cannot easily be told."""
        if self.only is not None and (self.only == "databases") != (folder.partition("/")[0] == DUMPS):
            return False
        if self._within is not None and not any(is_on_the_way(folder, path) for path in self._within):
            return False
        return not (self._leaves_out_folders and self._excluded_below(f"{folder}/"))

    def _matches(self, entry: Entry) -> bool:
        if self._wanted is not None and not self._wanted(entry):
            return False
        if self.only not in (None, "databases" if entry.path.startswith(f"{DUMPS}/") else "files"):
            return False
        path = f"{entry.path}/" if entry.kind == "directory" else entry.path
        return (self._included is None or self._included(path)) and not self._excluded(path)


def _matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    if isinstance(patterns, str):
        raise ConfigurationError(f"{patterns!r} is one text: give a list of patterns, [{patterns!r}].")
    if not patterns:
        return lambda _: False
    spelled_out = frozenset(patterns)
    matches = matcher(patterns)
    return lambda path: matches(path) or path.removesuffix("/") in spelled_out
