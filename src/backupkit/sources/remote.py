"""`FsspecSource`: a bucket, or a folder of any file system that fsspec knows."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from backupkit._chunks import closing_iterator
from backupkit.errors import ConfigurationError, SourceError
from backupkit.filesystems.addresses import join, place_within
from backupkit.filesystems.failures import REASONS, failure_of
from backupkit.filesystems.roots import Root, UPathLike
from backupkit.filesystems.stores import FileStore, Found, ReplacedError
from backupkit.model import Contents, Entry, Finding, Problem
from backupkit.patterns import matcher
from backupkit.sources._examining import tried
from backupkit.sources._names import check_folder_name, check_patterns
from backupkit.sources._object_tree import Node, Unkept, tree
from backupkit.sources._objects_ahead import GivenOut, Held, ReadAhead

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

TAG = "user.backupkit.etag"
"""The extended attribute of an entry that has what the store's ETag (or the like) was."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TRIES = 3  # to read an object that is replaced again and again
_IN_A_ROW = 5  # objects that fail because nobody answers: then the store is gone
_GONE = {"unreachable", "timeout", "busy", "credentials", "no place", "unsafe", "skewed"}


class FsspecSource:
    """A bucket, or a folder of a remote file system, as entries called `name` and `name/…`.

    `url`, `fs`, `storage_options` and all further options are those of `open_destination`; `name` defaults to the
    URL's last part. `exclude` and `include` are patterns in gitignore syntax, as `Directory` has them.

    Up to `at_once` objects of one part (`part_size`) or less are read at once, ahead of being asked for, as long as
    they are not more than half of `concurrency` parts together; larger ones by their parts.

    An object that is replaced is stored as it is when it is read; one that is replaced meanwhile is not. One that
    was deleted since it was listed is a warning. An object whose name can be no path, or is a folder of others, is
    an error of its own. There is no folder without an object in it: nothing at all is a SourceError, unless
    `allow_empty`, as no store can tell an empty folder from one that never was.
    """

    contents: Contents = "files"

    def __init__(
        self,
        url: str | UPathLike,
        *,
        name: str | None = None,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        allow_empty: bool = False,
        at_once: int = 16,
        fs: AbstractFileSystem | None = None,
        storage_options: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self._root = Root(url, fs=fs, storage_options=storage_options, **options)
        if self._root.is_local:
            raise ConfigurationError(
                "A folder of this machine is no remote file system: use Directory(path), which keeps modes, owners "
                "and links as well."
            )
        self.name = check_folder_name(self._root.name if name is None else name, of=self.location)
        self.include = check_patterns("include", include)
        self.exclude = check_patterns("exclude", exclude)
        self.allow_empty = allow_empty
        if not isinstance(at_once, int) or isinstance(at_once, bool) or at_once < 1:
            raise ConfigurationError(f"at_once={at_once!r} is not possible: use a whole number, 1 or more.")
        self.at_once = at_once
        self._left_out: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"FsspecSource({self.location!r}, name={self.name!r})"

    @property
    def location(self) -> str:
        """The URL, without secrets."""
        return self._root.location

    def without(self, locations: Sequence[str]) -> FsspecSource:
        """Return a source that leaves out what lies at these locations; its own folder is never left out.

        ConfigurationError if nobody can tell whether one of them lies within it.
        """
        other = copy.copy(self)
        places = (place_within(self.location, location) for location in locations)
        other._left_out = (*self._left_out, *(f"{place}/" for place in places if place))
        return other

    def examine(self) -> Iterator[Finding]:
        """Whether the store answers, and these credentials may list it; it is not read through."""
        found = yield from tried(
            "listed", _Reading(self).anything, lambda _: f"{self.location} can be listed."
        )
        if found is False and not self.allow_empty:
            yield Finding(
                step="objects",
                verdict="not ok",
                message=f"There is nothing at {self.location}.",
                advice="Correct the URL, or say allow_empty=True if that can be.",
            )

    def entries(self) -> Iterator[Entry | Problem]:
        yield from _Reading(self).entries()


class _Reading:
    """One pass over a source."""

    _store: FileStore

    def __init__(self, source: FsspecSource) -> None:
        self._source = source
        self._whole = source._root.transfer.part_size
        self._given_out = GivenOut(self._whole)

    def entries(self) -> Iterator[Entry | Problem]:
        source = self._source
        excluded = matcher(source.exclude)
        included = matcher(source.include) if source.include else _everything
        ahead = ReadAhead(
            self._read,
            self._size,
            at_once=source.at_once,
            # The other half is for the pieces of a large object that are ahead at the same time.
            room=max(self._whole, self._whole * source._root.transfer.concurrency // 2),
        )
        in_a_row = 0
        results = ahead.results(tree(self._listed(), excluded=excluded, included=included))
        with closing_iterator(results) as items:
            for item, (found, held) in items:
                if isinstance(item, Unkept):
                    yield self._unkept(item)
                    continue
                in_a_row = self._failures(in_a_row, item, held)
                self._given_out.add(held)
                yield self._entry(item, found, held)

    def anything(self) -> bool:
        """Whether anything is listed."""
        try:
            store, folder = self._source._root.store()
            with closing_iterator(store.find(join(folder, ""))) as listing:
                return next(listing, None) is not None
        except Exception as error:
            raise self._lost("listed", error) from error

    def _listed(self) -> Iterator[tuple[str, Found]]:
        """All objects of one listing, with their paths below the source's root; nothing less, or an error."""
        source = self._source
        try:
            self._store, folder = source._root.store()
            listing = [*self._store.find(join(folder, ""))]
        except Exception as error:
            raise self._lost("listed", error) from error
        if not listing and not source.allow_empty:
            raise SourceError(
                f"There is nothing at {source.location}: correct the URL, or say allow_empty=True if that can be.",
                path=source.name,
            )
        above = join(folder, "").lstrip("/")
        for found in listing:
            path = found.path.lstrip("/").removeprefix(above)
            if path and not path.startswith(source._left_out):
                yield path, found

    def _size(self, item: Node | Unkept) -> int:
        if isinstance(item, Unkept) or item.found is None or item.found.size > self._whole:
            return 0
        return item.found.size

    def _read(self, item: Node | Unkept) -> tuple[Found | None, Held]:
        """The object as it is now and, if it is small, its content; called by several threads."""
        if isinstance(item, Unkept) or item.found is None or item.is_folder:
            return None, Held(None)
        found: Found | None = item.found
        try:
            for _ in range(_TRIES):
                if found is None:
                    raise FileNotFoundError(item.path)
                if found.size > self._whole:
                    return self._store.look(found.path) or found, Held(None)
                try:
                    return found, Held([*_content(self._store, found)])
                except Exception as error:
                    if failure_of(error).meaning != "changed":
                        raise
                    failure = error
                found = self._store.look(found.path)
            raise failure
        except Exception as error:
            return found or item.found, Held(error)

    def _failures(self, in_a_row: int, item: Node, held: Held) -> int:
        """How many objects in a row could not be read because nobody answers; SourceError for too many."""
        if held.error is None or failure_of(held.error).meaning not in _GONE:
            return in_a_row if item.is_folder else 0
        if in_a_row + 1 >= _IN_A_ROW:
            raise self._lost("read to its end", held.error) from held.error
        return in_a_row + 1

    def _lost(self, what: str, error: Exception) -> SourceError:
        failure = failure_of(error)
        reason = failure.reason
        if failure.meaning == "missing":
            reason = REASONS["no place"]
        return SourceError(
            f"The source {self._source.location} could not be {what}: {_why(error, reason)}.",
            path=self._source.name,
            retryable=failure.passing,
        )

    def _unkept(self, item: Unkept) -> Problem:
        return Problem(
            message=f"The object {item.path!r} of {self._source.location} is not in the backup, for {item.why}: "
            "rename it, or exclude it.",
            path=f"{self._source.name}/{item.path}",
        )

    def _entry(self, node: Node, found: Found | None, held: Held) -> Entry:
        path = f"{self._source.name}/{node.path}" if node.path else self._source.name
        if found is None:
            return Entry(path=path, kind="directory", modified_ns=_time_of(node.found))
        return Entry(
            path=path,
            size=found.size,
            modified_ns=_time_of(found),
            xattrs={TAG: found.tag.encode()} if found.tag else {},
            chunks=partial(self._chunks, path, node.path, found, held),
        )

    def _chunks(self, path: str, name: str, found: Found, held: Held) -> Iterator[bytes]:
        try:
            content = held.take()
            if isinstance(content, Exception):
                raise content
            yield from _content(self._store, found) if content is None else content
        except Exception as error:
            failure = failure_of(error)
            subject = f"The object {name!r} of {self._source.location}"
            if failure.meaning == "missing" and not self._is_listed(found):
                message = f"{subject} was deleted before it could be read."
                raise SourceError(message, path=path, severity="warning") from error
            if failure.meaning == "changed":
                message = f"{subject} was replaced while it was read: the next run will have it."
                raise SourceError(message, path=path) from error
            reason = _why(error, failure.reason)
            if failure.meaning == "missing":
                reason = "it is listed there, and not found by its name: rename it, or exclude it"
            # Not to be tried again: the store has been patient already.
            raise SourceError(f"{subject} could not be read: {reason}.", path=path) from error

    def _is_listed(self, found: Found) -> bool:
        """Whether what could not be found is there, by a name that a library or server mangles; or nobody knows."""
        try:
            return any(one.path == found.path for one in self._store.find(found.path))
        except Exception:
            return True


def _content(store: FileStore, found: Found) -> Iterator[bytes]:
    """The content of the object as it was found; ReplacedError if it is another one meanwhile."""
    length, tag = 0, None
    with closing_iterator(store.pieces(found.path, 0, None)) as pieces:
        for piece in pieces:
            tag = piece.tag
            if piece.size != found.size or (tag and found.tag and tag != found.tag):
                raise ReplacedError("it was replaced")
            length += len(piece.content)
            if piece.content:
                yield piece.content
    if length != found.size:
        raise ReplacedError("it has another size")
    if not (tag and found.tag):
        now = store.look(found.path)
        if now is None:
            raise FileNotFoundError(found.path)
        if not _same(now, found):
            raise ReplacedError("it was replaced")


def _same(now: Found, before: Found) -> bool:
    """Whether it is still that file, of a store that may say its time to the second in one of its answers."""
    times = [now.modified, before.modified]
    if not all(time.microsecond for time in times):
        times = [time.replace(microsecond=0) for time in times]
    return now.size == before.size and now.tag == before.tag and times[0] == times[1]


def _time_of(found: Found | None) -> int | None:
    """Nanoseconds since the epoch, at which those are that have no time."""
    if found is None or found.modified == _EPOCH:
        return None
    return (found.modified - _EPOCH) // timedelta(microseconds=1) * 1000


def _why(error: BaseException, reason: str) -> str:
    if failure_of(error).meaning == "other":
        return f"{type(error).__name__}, which is not expected here: look at its cause"
    return reason


def _everything(path: str) -> bool:
    return True
