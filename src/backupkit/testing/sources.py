"""What every source must hold to.

    class TestMySource(SourceTests):
        @pytest.fixture
        def source(self, tmp_path: Path) -> Source:
            return MySource(tmp_path)

Needs `backupkit[testing]`.
"""

from __future__ import annotations

import gc
import os
import pickle
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain, islice, pairwise
from typing import get_args

import pytest

from backupkit.errors import SourceError
from backupkit.model import Entry, Part, Problem, Verdict
from backupkit.protocols import Examines, ReadsInParts, Source

_DESCRIPTORS = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"


class SourceTests:
    """Subclass it and give the fixture `source`: one with content, best with several entries, some nested.

    The fixture `failing_source`, if there can be one, is a source that cannot read all it should.
    """

    @pytest.fixture
    def source(self) -> Source:
        raise NotImplementedError("give a fixture called source")

    @pytest.fixture
    def failing_source(self) -> Source | None:
        return None

    def test_it_has_a_name_and_says_what_it_holds(self, source: Source) -> None:
        assert source.name
        assert source.contents in ("files", "databases")

    def test_there_is_content_and_no_problem(self, source: Source) -> None:
        found = list(source.entries())
        assert [one for one in found if isinstance(one, Problem)] == []
        assert any(any(one.chunks()) for one in found if isinstance(one, Entry))

    def test_each_path_stands_there_once(self, source: Source) -> None:
        paths = [entry.path for entry in _entries(source)]
        assert sorted(paths) == sorted(set(paths))

    def test_paths_are_relative_and_clean(self, source: Source) -> None:
        for entry in _entries(source):
            assert not {"", ".", ".."} & set(entry.path.split("/")), entry.path
            assert "\0" not in entry.path

    def test_a_folder_comes_before_what_is_in_it(self, source: Source) -> None:
        place = {entry.path: number for number, entry in enumerate(_entries(source))}
        for path, number in place.items():
            parent = path.rpartition("/")[0]
            assert place.get(parent, -1) < number, path

    def test_siblings_come_in_name_order(self, source: Source) -> None:
        siblings: dict[str, list[str]] = {}
        for entry in _entries(source):
            folder, _, name = entry.path.rpartition("/")
            siblings.setdefault(folder, []).append(name)
        for names in siblings.values():
            assert all(one < next_one for one, next_one in pairwise(map(os.fsencode, names))), names

    def test_a_walk_can_be_repeated(self, source: Source) -> None:
        assert [(e.path, e.kind) for e in _entries(source)] == [(e.path, e.kind) for e in _entries(source)]

    def test_content_reads_the_same_twice(self, source: Source) -> None:
        for entry in _entries(source):
            assert b"".join(entry.chunks()) == b"".join(entry.chunks()), entry.path

    def test_content_can_be_read_when_the_next_entry_has_been_pulled(self, source: Source) -> None:
        before = {entry.path: b"".join(entry.chunks()) for entry in _entries(source)}
        for entry, _next in pairwise(_entries(source)):
            assert b"".join(entry.chunks()) == before[entry.path], entry.path

    def test_a_size_is_right_if_it_is_given(self, source: Source) -> None:
        for entry in _entries(source):
            if entry.size is not None:
                assert entry.size == sum(map(len, entry.chunks())), entry.path

    def test_links_say_where_they_lead_and_a_hardlink_leads_to_an_earlier_file(self, source: Source) -> None:
        files = set()
        for entry in _entries(source):
            assert (entry.target is not None) == (entry.kind in ("symlink", "hardlink")), entry.path
            if entry.kind == "file":
                files.add(entry.path)
            if entry.kind == "hardlink":
                assert entry.target in files

    def test_only_files_have_content(self, source: Source) -> None:
        for entry in _entries(source):
            if entry.kind not in ("file", "hardlink"):
                assert list(entry.chunks()) == [], entry.path

    def test_an_examination_tells_and_does_not_raise(
        self, source: Source, failing_source: Source | None
    ) -> None:
        if not isinstance(source, Examines):
            pytest.skip("the source cannot be examined")
        for one in filter(None, (source, failing_source)):
            assert isinstance(one, Examines)
            for finding in one.examine():
                assert finding.step
                assert finding.message
                assert finding.verdict in get_args(Verdict)

    def test_the_parts_hold_what_the_entries_are_and_no_hardlink(self, source: Source) -> None:
        if not isinstance(source, ReadsInParts):
            pytest.skip("the source does not read in parts")
        assert list(_read(source.parts())) == [_as_file(entry) for entry in _entries(source)]
        for part in source.parts():
            if isinstance(part, Part):
                assert "hardlink" not in {entry.kind for entry in _read(part.read())}

    def test_a_part_goes_to_another_process_with_all_that_it_needs(self, source: Source) -> None:
        if not isinstance(source, ReadsInParts):
            pytest.skip("the source does not read in parts")

        def sent(part: Part) -> Part:
            received: Part = pickle.loads(pickle.dumps(part))  # noqa: S301 – our own
            return received

        here = [(entry, *entry.chunks()) for entry in _read(source.parts())]
        assert [(entry, *entry.chunks()) for entry in _read(source.parts(), sent)] == here

    def test_nothing_is_opened_before_the_first_pull(self, source: Source) -> None:
        gc.collect()  # or what another test left behind would be closed in between
        before = _open_descriptors()
        entries = source.entries()
        assert _open_descriptors() <= before
        for entry in entries:
            if isinstance(entry, Entry):
                opened = _open_descriptors()
                chunks = entry.chunks()
                assert _open_descriptors() <= opened, entry.path
                _close(chunks)

    def test_all_is_released_when_the_iterators_are_closed(self, source: Source) -> None:
        gc.collect()
        before = _open_descriptors()
        for entry in _entries(source):
            chunks = entry.chunks()
            next(chunks, None)
            _close(chunks)
        assert _open_descriptors() <= before
        with ExitStack() as stack:
            entries = source.entries()
            stack.callback(_close, entries)
            next(entries)
        assert _open_descriptors() <= before

    def test_what_cannot_be_read_is_told(self, failing_source: Source | None) -> None:
        """An error is raised or yielded, in the walk or by the chunks: nothing just ends early."""
        if failing_source is None:
            pytest.skip("no fixture failing_source was given")
        told: list[object] = []
        try:
            for found in failing_source.entries():
                if isinstance(found, Problem):
                    told.append(found)
                    continue
                try:
                    for _ in found.chunks():
                        pass
                except SourceError as error:
                    told.append(error)
        except SourceError as error:
            told.append(error)
        assert told


def _entries(source: Source) -> Iterator[Entry]:
    for found in source.entries():
        if isinstance(found, Entry):
            yield found


def _read(
    items: Iterator[Entry | Problem | Part], each: Callable[[Part], Part] = lambda part: part
) -> Iterator[Entry]:
    """All entries, those of parts too, in their order; what is a hard link of no part, as a file."""
    for one in items:
        if isinstance(one, Entry):
            yield _as_file(one)
        if isinstance(one, Part):
            part = each(one)
            below = _read(part.read(), each)
            first = [] if part.wanted else [*islice(below, 1)]
            if part.wanted or first:
                yield part.entry
            yield from chain(first, below)


def _as_file(entry: Entry) -> Entry:
    return replace(entry, kind="file", target=None) if entry.kind == "hardlink" else entry


def _close(iterator: Iterator[object]) -> None:
    """Close it if it can be: one that holds nothing open need not."""
    close = getattr(iterator, "close", None)
    if close is not None:
        close()


def _open_descriptors() -> set[int]:
    """The files and pipes that this process has open. Connections may be kept for the next call.

    What others have left open may be closed at any moment: only what is new is of the source.
    """
    return {int(number) for number in os.listdir(_DESCRIPTORS) if _is_open_and_no_socket(int(number))}


def _is_open_and_no_socket(descriptor: int) -> bool:
    try:
        return not stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:  # that of the listing itself, which is another one when others have taken its number
        return False
