"""Small entries that lie side by side in an archive are fetched and decoded together, ahead of being asked for.

By themselves they would each cost a request to the destination, a derivation of a key and a switch of threads.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from backupkit.errors import DestinationError, IntegrityError
from backupkit.formats.zip.manifest import Line
from backupkit.formats.zip.records import Record
from backupkit.model import Entry

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

_SMALL = 1 << 20  # bytes, stored as well as plain
_TOGETHER = 32
_AHEAD = 4  # groups
_SKIPPED = 8  # so many entries may be passed over, and it still counts as reading in order


class Member(NamedTuple):
    """An entry as the manifest and as the directory has it, and how many bytes it occupies in the archive."""

    line: Line
    record: Record
    extent: int


Content: TypeAlias = bytes | IntegrityError
Fetch: TypeAlias = Callable[[int, int], bytes | None]
Decode: TypeAlias = Callable[[Sequence[tuple[Member, bytes]]], list[Content]]
Stream: TypeAlias = Callable[[Member], Iterator[bytes]]


class _Group:
    """Neighbours, and what has become of them: nothing, a task, or contents that are given out once."""

    def __init__(self, member: Member, first: int) -> None:
        self.members = [member]
        self.first = first  # its number among all entries
        self.start = member.record.offset
        self.end = self.start + member.extent
        self.size = member.record.size
        self.task: Future[list[Content]] | None = None
        self.contents: list[Content | None] | None = None

    def add(self, member: Member) -> bool:
        """Take the member in, if it is small, near and there is room."""
        end = member.record.offset + member.extent
        size = self.size + member.record.size
        fits = len(self.members) < _TOGETHER and self.start <= end <= self.start + _SMALL and size <= _SMALL
        if fits:
            self.members.append(member)
            self.end, self.size = max(self.end, end), size
        return fits

    @property
    def is_small(self) -> bool:
        return self.end - self.start <= _SMALL and self.size <= _SMALL

    def units(self, data: bytes) -> list[tuple[Member, bytes]]:
        places = ((one, one.record.offset - self.start) for one in self.members)
        return [(one, data[at : at + one.extent]) for one, at in places]


class Together:
    """The entries of one pass through an archive.

    `fetch` returns a range of the archive, or None if it is not all there; `decode` is called on the executor;
    `stream` yields the content of an entry that is large, or not read in order.
    """

    def __init__(self, *, fetch: Fetch, decode: Decode, stream: Stream, executor: Executor | None) -> None:
        self._fetch = fetch
        self._decode = decode
        self._stream = stream
        self._executor = executor
        self._last = -1  # the number of the entry that was read last
        self._ahead: deque[_Group] = deque()  # what comes after the entries that were given out
        self._ready: deque[_Group] = deque()
        self._lock = threading.Lock()

    def entries(self, members: Iterable[Member]) -> Iterator[Entry]:
        for group in self._groups(members):
            for at, member in enumerate(group.members):
                entry = member.line.entry
                # Without its group, which whoever keeps folders until the end would keep in memory.
                apart = entry.kind in ("directory", "symlink")
                chunks = partial(self._stream, member) if apart else partial(self._content, group, at)
                yield replace(entry, chunks=chunks)

    def _groups(self, members: Iterable[Member]) -> Iterator[_Group]:
        """Put neighbours into groups; some are made before the first is given out."""
        ahead = self._ahead
        for number, member in enumerate(members):
            if not ahead or not ahead[-1].add(member):
                ahead.append(_Group(member, number))
                if len(ahead) > _AHEAD + 1:
                    yield ahead.popleft()
        while ahead:
            yield ahead.popleft()

    def _content(self, group: _Group, at: int) -> Iterator[bytes]:
        content = self._prepared(group, at) if group.is_small else None
        if content is None:
            yield from self._stream(group.members[at])
        elif isinstance(content, IntegrityError):
            raise content
        elif content:
            yield content

    def _prepared(self, group: _Group, at: int) -> Content | None:
        """The content, if it is read in order and has not been given out; then its group's followers come too."""
        number = group.first + at
        with self._lock:
            in_order = self._last < number <= self._last + _SKIPPED
            self._last = number
            if in_order:
                self._prepare(group)
                # Only then is it known what comes next: whoever collects entries may be anywhere.
                is_current = self._ahead and self._ahead[0].first == group.first + len(group.members)
                for following in [*self._ahead][: _AHEAD if self._executor and is_current else 0]:
                    if following.is_small:
                        try:
                            self._prepare(following)
                        except DestinationError:
                            break  # it will be asked again when its turn comes
            if group.task is not None:
                group.contents, group.task = [*group.task.result()], None
            if group.contents is None:
                return None
            content, group.contents[at] = group.contents[at], None
            return content

    def _prepare(self, group: _Group) -> None:
        if group.task is not None or group.contents is not None:
            return
        data = self._fetch(group.start, group.end - group.start)
        if data is None:
            return
        units = group.units(data)
        if self._executor is None:
            group.contents = [*self._decode(units)]
        else:
            group.task = self._executor.submit(self._decode, units)
        self._ready.append(group)
        while len(self._ready) > _AHEAD + 2:  # entries that were passed over must not fill the memory
            passed = self._ready.popleft()
            passed.task, passed.contents = None, [None] * len(passed.members)
