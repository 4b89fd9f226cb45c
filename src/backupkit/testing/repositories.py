"""What every repository format must hold to.

    class TestMyFormat(RepositoryTests):
        def make_format(self) -> Format:
            return MyFormat()

        def make_encryptor(self) -> Encryptor | Passphrase | None:
            return Passphrase("…")

        def make_wrong_encryptor(self) -> Encryptor | Passphrase | None:
            return Passphrase("another")

Needs `backupkit[testing]`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from random import Random

import pytest

from backupkit.errors import (
    BackupNotFoundError,
    DestinationError,
    IntegrityError,
    SourceError,
    WrongPassphraseError,
)
from backupkit.model import Backup, Contents, Entry, Owner, Problem, Written
from backupkit.passphrase import Passphrase
from backupkit.protocols import Browses, Compressor, Destination, Encryptor, Format, Repository
from backupkit.retrying import Retry
from backupkit.testing.clocks import FrozenClock
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination
from backupkit.testing.entries import with_content
from backupkit.testing.executors import SerialExecutor

NOON = datetime(2026, 1, 31, 12, 0, 0, 250_000, tzinfo=UTC)
BOTH: frozenset[Contents] = frozenset({"files", "databases"})
MiB = 1 << 20

_RANDOM = Random(7).randbytes(3 * MiB + 1)
_LARGE = [_RANDOM[at : at + 100_000] for at in range(0, len(_RANDOM), 100_000)]
_NS = 1_767_225_600_123_456_789  # a time to the nanosecond
_OWNER = Owner(uid=1000, gid=100, user="shop", group="users")


def _sample() -> list[Entry]:
    """One of everything that an entry can be or have, in the order of a source."""
    return [
        Entry(path="app", kind="directory", mode=0o750, modified_ns=_NS, owner=_OWNER),
        with_content(Entry(path="app/empty", mode=0o600, modified_ns=_NS)),
        with_content(Entry(path="app/large", mode=0o644, modified_ns=_NS), *_LARGE),
        with_content(Entry(path="app/lines\nin a name", mode=0, owner=Owner(uid=0, gid=0)), b"content"),
        Entry(path="app/link", kind="symlink", target="../elsewhere/\udcfe", mode=0o777, modified_ns=_NS),
        with_content(Entry(path="app/many\\odd:names*?", modified_ns=-1_500_000_000), b"before 1970"),
        with_content(Entry(path="app/ninety", modified_ns=10**17), b"before 1980" * 1000),
        with_content(
            Entry(path="app/small", xattrs={"user.a": b"\0\xff", "user.ü": b""}, mode=0o4755), b"x", b"y"
        ),
        with_content(Entry(path="app/small link", kind="hardlink", target="app/small"), b"x", b"y"),
        with_content(
            Entry(path="app/sparse", holes=((0, MiB), (2 * MiB, 3)), modified_ns=10**19 + 7),
            *(bytes(MiB), b"data" * (MiB // 4), bytes(3)),
        ),
        with_content(Entry(path="app/zeros", modified_ns=0), bytes(2 * MiB)),
        with_content(Entry(path="app/ä and \udcff", modified_ns=None), b"not UTF-8"),
        with_content(Entry(path="app/語" + "/long" * 60), b"deep"),
        replace(with_content(Entry(path="db-dumps/shop.sql"), b"select 1;"), size=None),
    ]


def _small() -> list[Entry]:
    """As few bytes as possible that still hold everything that could be damaged."""
    return [
        Entry(path="d", kind="directory", mode=0o750, modified_ns=_NS),
        with_content(
            Entry(path="f", mode=0o640, modified_ns=_NS, owner=_OWNER, xattrs={"user.a": b"b"}),
            b"content\n" * 3,
        ),
        Entry(path="l", kind="symlink", target="f", mode=0o777),
    ]


class RepositoryTests:
    """Subclass, and return the format from `make_format`.

    The other methods may be overridden too: the destination (an empty one, each time), the codecs, and an
    encryptor of the same kind that cannot open what the first one sealed; without it that rule is skipped.

    Two kinds of formats are known: those whose backups stand each by itself, as an archive does, and those whose
    backups have bytes in common (`Format.shares_bytes`). Of the latter, what a run that failed has stored may stay
    unlisted, for the next one to use; `SharingRepositoryTests` holds them to storing nothing twice.
    """

    seals_the_list = False
    """Whether even the list of backups is sealed: listing and copying then need the key, and read objects."""

    def kept(self, entries: Sequence[Entry], backup: Backup) -> Sequence[Entry]:
        """What the format gives back of these entries of this backup, where it cannot be the very same.

        Such as a time for what had none, the folders that were left out above an entry, or a hard link as a file.
        """
        return entries

    def make_format(self) -> Format:
        raise NotImplementedError("return a format from make_format")

    def make_destination(self) -> Destination:
        return MemoryDestination()

    def make_compressor(self) -> Compressor | None:
        return None

    def make_encryptor(self) -> Encryptor | Passphrase | None:
        return None

    def make_wrong_encryptor(self) -> Encryptor | Passphrase | None:
        return None

    @property
    def shares_bytes(self) -> bool:
        return self.make_format().shares_bytes

    def opened(
        self, destination: Destination, *, name: str | None = "shop", executor: Executor | None = None
    ) -> AbstractContextManager[Repository]:
        """The repository of this name, as a new process would open it."""
        return self.make_format().open(
            destination,
            name=name,
            compressor=self.make_compressor(),
            encryptor=self.make_encryptor(),
            executor=executor,
        )

    def write(
        self,
        destination: Destination,
        entries: Iterable[Entry | Problem],
        *,
        name: str = "shop",
        time: datetime = NOON,
        contents: frozenset[Contents] = BOTH,
        tags: Sequence[str] = (),
        retry: Retry | None = None,
        executor: Executor | None = None,
    ) -> Written:
        with self.opened(destination, name=name, executor=executor) as repository:
            return repository.write(
                entries, time=time, contents=contents, tags=tags, retry=retry or Retry(tries=1)
            )

    def listed(self, destination: Destination, *, name: str | None = "shop") -> list[Backup]:
        with self.opened(destination, name=name) as repository:
            return sorted(repository.list(), key=lambda backup: backup.id)

    def read(self, destination: Destination, backup: Backup) -> list[tuple[Entry, bytes]]:
        with self.opened(destination) as repository:
            return [(entry, b"".join(entry.chunks())) for entry in repository.read(backup)]

    def expected(self, entries: Iterable[Entry], backup: Backup) -> list[tuple[Entry, bytes]]:
        """What is read of them, with the sizes that are known once they have been read."""
        pairs = [(entry, b"".join(entry.chunks())) for entry in self.kept([*entries], backup)]
        return [
            (replace(entry, size=len(content)) if entry.kind in ("file", "hardlink") else entry, content)
            for entry, content in pairs
        ]

    def problems(self, destination: Destination, backup: Backup) -> list[Problem]:
        with self.opened(destination) as repository:
            return [*repository.check(backup)]

    # What is written comes back.

    @pytest.mark.parametrize(
        "make_executor",
        [nullcontext, SerialExecutor, lambda: ThreadPoolExecutor(1), lambda: ThreadPoolExecutor(4)],
        ids=["none", "serial", "one-thread", "four-threads"],
    )
    def test_entries_come_back_as_they_were(
        self, make_executor: Callable[[], AbstractContextManager[Executor | None]]
    ) -> None:
        destination = self.make_destination()
        with make_executor() as executor:
            written = self.write(destination, _sample(), executor=executor)
        assert written.problems == ()
        assert written.backup.complete is True
        assert self.read(destination, written.backup) == self.expected(_sample(), written.backup)
        assert self.problems(destination, written.backup) == []

    def test_what_the_format_has_no_place_for_is_told(self) -> None:
        destination = self.make_destination()
        entry = with_content(Entry(path="f", xattrs={"user.\udcfc": b"1"}), b"content")
        written = self.write(destination, [entry])
        ((read, content),) = self.read(destination, written.backup)
        assert content == b"content"
        if read.xattrs != entry.xattrs:
            assert [(one.path, one.severity) for one in written.problems] == [("f", "warning")]

    def test_content_may_be_pulled_late_twice_in_part_and_in_turns(self) -> None:
        destination = self.make_destination()
        written = self.write(destination, _sample())
        with self.opened(destination) as repository:
            entries = [*repository.read(written.backup)]
            next(entries[2].chunks())
            streams = [entry.chunks() for entry in reversed(entries)]
            firsts = [next(stream, b"") for stream in streams]
            contents = [first + b"".join(rest) for first, rest in zip(firsts, streams, strict=True)]
            again = [b"".join(entry.chunks()) for entry in entries]
        assert again == contents[::-1] == [content for _, content in self.expected(_sample(), written.backup)]

    def test_pieces_of_any_size_from_the_destination_make_the_same_content(self) -> None:
        inner = self.make_destination()
        written = self.write(inner, _small())
        for piece in range(1, 40):
            destination = FaultyDestination(inner, piece=piece)
            assert self.read(destination, written.backup) == self.expected(_small(), written.backup), piece
            assert self.problems(destination, written.backup) == [], piece

    def test_a_part_of_an_entry_is_what_the_whole_has_there(self) -> None:
        """For entries that can be read in the middle; see `Entry.within`."""
        destination = self.make_destination()
        backup = self.write(destination, _sample()).backup
        with self.opened(destination) as repository:
            for entry in repository.read(backup):
                if entry.within is None:
                    continue
                content = b"".join(entry.chunks())
                size = len(content)
                for start, stop in (
                    (0, 1),
                    (1, 7),
                    (size // 2, size // 2 + 5),
                    (size - 1, size),
                    (0, size + 1),
                ):
                    part = b"".join(entry.within(max(0, start), stop))
                    assert part == content[max(0, start) : stop], entry.path

    def test_a_folder_has_what_reading_everything_finds_in_it(self) -> None:
        """For repositories of which single folders can be looked at; see `Browses`."""
        destination = self.make_destination()
        backup = self.write(destination, _sample()).backup
        with self.opened(destination) as repository:
            if not isinstance(repository, Browses):
                return
            browser = repository.browser(backup)
            found: list[Entry] = []
            left = [""]
            while left:
                children = browser.children(left.pop())
                found += children
                left += [entry.path for entry in children if entry.kind == "directory"]
            linked = {entry.path: entry for entry in repository.read(backup)}
            assert sorted(entry.path for entry in found) == sorted(linked)
            for entry in found:
                assert b"".join(entry.chunks()) == b"".join(linked[entry.path].chunks())
            for path in ("not there", "..", f"{found[0].path}/not there"):
                with pytest.raises((FileNotFoundError, NotADirectoryError)):
                    browser.children(path)

    def test_what_is_listed_is_what_write_returned(self) -> None:
        destination = self.make_destination()
        written = self.write(destination, _small(), tags=["before-upgrade", "ü"])
        (listed,) = self.listed(destination)
        assert (listed.id, listed.name, listed.time) == (written.backup.id, "shop", NOON)
        assert (listed.complete, listed.contents) == (True, BOTH)
        assert listed.location == destination.location
        with self.opened(destination) as repository:
            details = repository.details(listed)
        assert details == written.backup
        assert (details.entries, details.tags) == (3, ("before-upgrade", "ü"))
        assert details.size == 24

    def test_a_list_reads_no_object_or_where_it_is_sealed_one_for_each_backup(self) -> None:
        inner = self.make_destination()
        asked = []
        for hours in range(3):
            self.write(inner, _small(), time=NOON + timedelta(hours=hours))
            destination = FaultyDestination(inner)
            assert len(self.listed(destination)) == hours + 1
            asked.append(destination.calls["read"] + destination.calls["stat"])
        if self.seals_the_list:
            assert asked[2] - asked[1] == asked[1] - asked[0] <= 1
        else:
            assert asked == [0, 0, 0]

    @pytest.mark.parametrize("contents", [BOTH, frozenset({"files"}), frozenset({"databases"})], ids=sorted)
    def test_the_contents_are_listed(self, contents: frozenset[Contents]) -> None:
        destination = self.make_destination()
        self.write(destination, _small(), contents=contents)
        assert [backup.contents for backup in self.listed(destination)] == [contents]

    def test_a_time_is_the_same_moment_in_any_zone(self) -> None:
        destination = self.make_destination()
        time = NOON.astimezone(timezone(timedelta(hours=-9, minutes=-30)))
        written = self.write(destination, _small(), time=time)
        assert [backup.time for backup in self.listed(destination)] == [NOON]
        assert written.backup.time == NOON

    def test_only_the_backups_of_the_name_are_listed(self) -> None:
        destination = self.make_destination()
        for name in ("shop", "shop-2", "sho", "SHOP"):
            self.write(destination, _small(), name=name)
        assert [backup.name for backup in self.listed(destination)] == ["shop"]
        everything = self.listed(destination, name=None)
        assert {backup.name for backup in everything} == {"shop", "shop-2", "sho", "SHOP"}

    def test_backups_of_the_same_moment_have_ids_of_their_own(self) -> None:
        destination = self.make_destination()
        backups = [self.write(destination, _small()).backup for _ in range(3)]
        assert len({backup.id for backup in backups}) == 3
        assert {backup.id for backup in self.listed(destination)} == {backup.id for backup in backups}

    def test_backups_of_the_same_moment_and_other_contents_are_kept_apart(self) -> None:
        destination = self.make_destination()
        kinds: list[frozenset[Contents]] = [BOTH, frozenset({"files"}), frozenset({"databases"})]
        backups = [
            self.write(destination, [with_content(Entry(path="f"), bytes(size))], contents=contents).backup
            for size, contents in enumerate(kinds)
        ]
        for number, backup in enumerate(backups):
            with self.opened(destination) as repository:
                assert repository.details(backup).size == number
                repository.remove(backup)
                repository.prune()
            left = backups[number + 1 :]
            assert {listed.id for listed in self.listed(destination)} == {listed.id for listed in left}
            for other in left:
                assert self.problems(destination, other) == []
                assert self.read(destination, other)[0][0].size == other.size

    def test_two_writers_at_the_same_moment_do_each_other_no_harm(self) -> None:
        destination = self.make_destination()
        backups: list[Backup] = []

        def meanwhile() -> Iterator[Entry]:
            yield from _small()
            backups.append(self.write(destination, _sample()).backup)

        try:
            backups.append(self.write(destination, meanwhile()).backup)
        except DestinationError:
            assert len(backups) == 1  # too late to take another id, but nothing was replaced
        assert len({backup.id for backup in backups}) == len(backups)
        assert len(self.listed(destination)) == len(backups)
        assert self.read(destination, backups[0]) == self.expected(_sample(), backups[0])
        assert self.problems(destination, backups[0]) == []

    def test_several_backups_may_be_written_at_once(self) -> None:
        destination = self.make_destination()
        times = [NOON + timedelta(hours=hours) for hours in range(4)]
        with ThreadPoolExecutor(4) as executor:
            done = [*executor.map(lambda time: self.write(destination, _sample(), time=time), times)]
        assert [written.backup.time for written in done] == times
        for written in done:
            assert self.read(destination, written.backup) == self.expected(_sample(), written.backup)

    # What goes wrong while it is written.

    def test_a_backup_is_unlisted_until_it_is_complete(self) -> None:
        destination = self.make_destination()
        seen: list[Backup] = []

        def watched() -> Iterator[Entry]:
            for entry in _sample():
                yield entry
                seen.extend(self.listed(destination))

        self.write(destination, watched())
        assert seen == []
        assert len(self.listed(destination)) == 1

    @pytest.mark.parametrize("after", [0, 1, 4])
    @pytest.mark.parametrize(
        "error",
        [SourceError("gone", path="app"), ValueError("a bug"), KeyboardInterrupt()],
        ids=lambda error: type(error).__name__,
    )
    def test_a_source_that_fails_leaves_no_backup_and_at_most_bytes_for_the_next_one(
        self, error: BaseException, after: int
    ) -> None:
        destination = self.make_destination()

        def failing() -> Iterator[Entry]:
            yield from _sample()[:after]
            raise error

        with pytest.raises(type(error)) as caught:
            self.write(destination, failing())
        assert caught.value is error
        assert self.listed(destination) == []
        if not self.shares_bytes:
            assert [*destination.list()] == []
        written = self.write(destination, _sample())
        assert self.read(destination, written.backup) == self.expected(_sample(), written.backup)
        assert self.problems(destination, written.backup) == []

    def test_a_destination_that_fails_leaves_no_good_backup(self) -> None:
        inner = self.make_destination()
        whole = self.write(inner, _sample(), time=NOON - timedelta(days=1)).backup
        error = DestinationError("full", location="memory:")
        counted = FaultyDestination(inner)
        self.write(counted, _sample(), time=NOON + timedelta(days=1))
        for call in range(1, counted.calls["write"] + 1):
            for after in (0, 1, MiB):
                fault = Fault(method="write", call=call, after=after, does=error)
                time = NOON + timedelta(minutes=call, seconds=after)
                with pytest.raises(DestinationError):
                    self.write(FaultyDestination(inner, [fault]), _sample(), time=time)
        good = [backup for backup in self.listed(inner) if backup.good]
        assert [backup.id for backup in good][:1] == [whole.id]
        assert len(good) == 2
        for backup in self.listed(inner):
            assert self.read(inner, backup) == self.expected(_sample(), backup)

    @pytest.mark.parametrize("entries", [0, 1], ids=["no-entries", "only-a-problem"])
    def test_a_backup_of_nothing_is_none(self, entries: int) -> None:
        destination = self.make_destination()
        problem = Problem(message="app could not be opened", path="app")
        with pytest.raises(SourceError):
            self.write(destination, [problem] * entries)
        assert self.listed(destination, name=None) == []
        if not self.shares_bytes:
            assert [*destination.list()] == []

    @pytest.mark.parametrize("content", [[], [b"some"], _LARGE], ids=["at-once", "early", "late"])
    @pytest.mark.parametrize(
        "error",
        [SourceError("unreadable", path="bad"), OSError(5, "I/O error"), RuntimeError("a bug")],
        ids=lambda error: type(error).__name__,
    )
    def test_an_entry_that_fails_is_left_out_and_told(self, error: Exception, content: list[bytes]) -> None:
        destination = self.make_destination()
        before, *after = _small()
        bad = with_content(Entry(path="bad"), *content, error=error)
        written = self.write(destination, [before, bad, *after])
        assert [(problem.path, problem.severity) for problem in written.problems] == [("bad", "error")]
        assert written.backup.complete is False
        assert [backup.complete for backup in self.listed(destination)] == [False]
        assert self.read(destination, written.backup) == self.expected(_small(), written.backup)
        assert self.problems(destination, written.backup) == []

    def test_an_entry_that_has_vanished_is_only_a_warning(self) -> None:
        destination = self.make_destination()
        error = SourceError("deleted meanwhile", path="gone", severity="warning")
        gone = with_content(Entry(path="gone"), error=error)
        written = self.write(destination, [*_small(), gone])
        assert [problem.severity for problem in written.problems] == ["warning"]
        assert written.backup.complete is True
        assert self.read(destination, written.backup) == self.expected(_small(), written.backup)

    @pytest.mark.parametrize("content", [[], [b"some"], _LARGE], ids=["at-once", "early", "late"])
    @pytest.mark.parametrize("failures", [1, 2, 3])
    def test_what_may_succeed_later_is_tried_again(self, failures: int, content: list[bytes]) -> None:
        destination = self.make_destination()
        clock = FrozenClock()
        entry = _failing_at_first(Entry(path="busy"), failures, content)
        written = self.write(destination, [entry, *_small()], retry=Retry(wait=5, sleep=clock.sleep))
        if failures < 3:
            whole = with_content(Entry(path="busy"), *content, b"to the end")
            assert written.problems == ()
            assert self.read(destination, written.backup) == self.expected([whole, *_small()], written.backup)
        else:
            assert [problem.path for problem in written.problems] == ["busy"]
            assert written.backup.complete is False
            assert self.read(destination, written.backup) == self.expected(_small(), written.backup)
        assert self.problems(destination, written.backup) == []
        assert [seconds for seconds in clock.slept if seconds] == [5] * min(failures, 2)

    def test_what_an_entry_warns_of_is_told(self) -> None:
        destination = self.make_destination()
        warning = Problem(message="grew", severity="warning", path="grown")
        entry = Entry(path="grown")

        def content() -> Iterator[bytes]:
            yield b"content"
            entry.warnings.append(warning)

        written = self.write(destination, [replace(entry, chunks=content, warnings=entry.warnings)])
        assert written.problems == (warning,)
        assert written.backup.complete is True

    @pytest.mark.parametrize(("severity", "complete"), [("warning", True), ("error", False)])
    def test_problems_of_the_source_are_told_in_their_place(self, severity: str, complete: bool) -> None:
        destination = self.make_destination()
        first = Problem(message="skipped", severity="warning", path="socket")
        second = Problem(message="unreadable", severity=severity, path="app/x")  # type: ignore[arg-type] # a parameter
        one, *rest = _small()
        written = self.write(destination, [one, first, *rest, second])
        assert written.problems == (first, second)
        assert written.backup.complete is complete
        assert [backup.complete for backup in self.listed(destination)] == [complete]
        assert self.read(destination, written.backup) == self.expected(_small(), written.backup)

    @pytest.mark.parametrize("complete", [True, False], ids=["complete", "incomplete"])
    def test_what_only_lacks_confirmation_can_be_confirmed(self, complete: bool) -> None:
        bad = with_content(Entry(path="bad"), error=SourceError("unreadable", path="bad"))
        entries = _small() if complete else [*_small(), bad]
        counted = FaultyDestination(self.make_destination())
        whole = self.write(counted, entries).backup
        for call in range(1, counted.calls["write"] + 1):
            for answer_lost in (False, True):
                destination = self.make_destination()
                error = DestinationError("lost", location="memory:")
                fault = Fault(method="write", call=call, answer_lost=answer_lost, does=error)
                with pytest.raises(DestinationError):
                    self.write(FaultyDestination(destination, [fault]), entries)
                for backup in self.listed(destination):
                    assert backup.complete in (None, complete)
                    assert {problem.severity for problem in self.problems(destination, backup)} <= {"warning"}
                    with self.opened(destination) as repository:
                        confirmed = repository.confirm(backup)
                    assert confirmed.complete is complete
                    with self.opened(destination) as repository:
                        (listed,) = repository.list()
                        details = repository.details(listed)
                    assert (details.complete, details.size) == (complete, whole.size)
                    assert self.problems(destination, confirmed) == []
                    assert self.read(destination, confirmed) == self.expected(_small(), confirmed)

    # What is copied.

    def test_a_copy_is_the_same_backup_and_needs_no_key_but_to_list(self) -> None:
        destination, other = self.make_destination(), MemoryDestination("other")
        bad = with_content(Entry(path="bad"), error=SourceError("unreadable", path="bad"))
        passed: list[bytes] = []

        def each(chunks: Iterable[bytes]) -> Iterator[bytes]:
            for chunk in chunks:
                passed.append(chunk)
                yield chunk

        for entries in ([*_sample()], [*_small(), bad]):
            backup = self.write(destination, entries).backup
            passed.clear()
            with (
                self.opened(destination)
                if self.seals_the_list
                else self.make_format().open(destination, name="shop")
            ) as repository:
                copy = repository.copy(backup, other, each=each)
            assert copy == replace(backup, location=other.location)
            assert sum(map(len, passed)) >= min(backup.stored, backup.size or 0)
            assert self.read(other, copy) == self.read(destination, backup)
            assert self.problems(other, copy) == []
        listed = [replace(backup, location=other.location) for backup in self.listed(destination)]
        assert self.listed(other) == listed

    def test_a_copy_that_was_interrupted_can_be_finished(self) -> None:
        destination = self.make_destination()
        backup = self.write(destination, _sample()).backup
        counted = FaultyDestination(MemoryDestination())
        with self.opened(destination) as repository:
            repository.copy(backup, counted)
        error = DestinationError("lost", location="memory:")
        for call in range(1, counted.calls["write"] + 1):
            for after, answer_lost in ((0, False), (100, False), (0, True)):
                other = MemoryDestination()
                fault = Fault(method="write", call=call, after=after, answer_lost=answer_lost, does=error)
                with self.opened(destination) as repository:
                    with pytest.raises(DestinationError):
                        repository.copy(backup, FaultyDestination(other, [fault]))
                    for listed in self.listed(other):
                        assert self.read(other, listed) == self.expected(_sample(), listed)
                    for _ in range(2):  # to be there already is no error
                        copy = repository.copy(backup, other)
                assert [listed.complete for listed in self.listed(other)] == [True]
                assert self.read(other, copy) == self.expected(_sample(), copy)
                assert self.problems(other, copy) == []

    def test_a_copy_of_what_could_not_be_read_in_full_is_none(self) -> None:
        inner = self.make_destination()
        backup = self.write(inner, _sample()).backup
        other = MemoryDestination()
        for does in (None, DestinationError("lost", location="memory:")):
            fault = Fault(method="read", call=None, after=100, does=does)
            with (
                self.opened(FaultyDestination(inner, [fault])) as repository,
                pytest.raises((IntegrityError, DestinationError)),
            ):
                repository.copy(backup, other)
            assert self.listed(other) == []
            if not self.shares_bytes:
                assert other.objects == {}

    def test_a_backup_that_is_gone_is_not_copied(self) -> None:
        destination, other = self.make_destination(), MemoryDestination()
        backup = self.write(destination, _small()).backup
        with self.opened(destination) as repository:
            repository.remove(backup)
            with pytest.raises(BackupNotFoundError):
                repository.copy(backup, other)
        assert other.objects == {}

    # What is removed.

    def test_a_removed_backup_is_gone_and_the_others_stay(self) -> None:
        destination = self.make_destination()
        one = self.write(destination, _small()).backup
        other = self.write(destination, _sample(), time=NOON + timedelta(hours=1)).backup
        with self.opened(destination) as repository:
            repository.remove(one)
            repository.remove(one)  # gone already is no error
            repository.prune()
        assert [backup.id for backup in self.listed(destination)] == [other.id]
        assert self.read(destination, other) == self.expected(_sample(), other)
        with pytest.raises(BackupNotFoundError):
            self.read(destination, one)

    def test_the_last_backup_leaves_nothing_that_is_read_as_one(self) -> None:
        destination = self.make_destination()
        backup = self.write(destination, _small()).backup
        with self.opened(destination) as repository:
            repository.remove(backup)
            repository.prune()
            assert repository.prune().freed == 0
        assert self.listed(destination, name=None) == []

    def test_prune_takes_nothing_that_a_backup_needs(self) -> None:
        destination = self.make_destination()
        backups = [
            self.write(destination, _sample(), name=name, time=NOON + timedelta(hours=hours)).backup
            for name in ("shop", "other")
            for hours in range(2)
        ]
        before = [*destination.list()]
        for name in ("shop", None):
            with self.opened(destination, name=name) as repository:
                assert repository.prune().freed == 0
        assert [*destination.list()] == before
        assert self.read(destination, backups[0]) == self.expected(_sample(), backups[0])

    def test_a_dry_run_of_pruning_changes_nothing(self) -> None:
        destination = self.make_destination()
        backup = self.write(destination, _sample()).backup
        before = [*destination.list()]
        with self.opened(destination) as repository:
            repository.prune(dry_run=True)
            repository.prune(without=[backup], dry_run=True)
        assert [*destination.list()] == before

    def test_an_interrupted_removal_is_finished_by_prune(self) -> None:
        for call in range(1, 20):
            destination = self.make_destination()
            kept = self.write(destination, _small(), time=NOON - timedelta(hours=1)).backup
            size = _stored(destination)
            backup = self.write(destination, _sample()).backup
            fault = Fault(method="delete", call=call, does=DestinationError("refused", location="memory:"))
            faulty = FaultyDestination(destination, [fault])
            try:
                with self.opened(faulty) as repository:
                    repository.remove(backup)
            except DestinationError:
                pass
            else:
                assert call > 1, "removing deletes nothing"
                return
            for listed in self.listed(destination):
                self.read(destination, listed)
            between = _stored(destination)
            with self.opened(destination) as repository:
                freed = repository.prune().freed
            assert freed == between - _stored(destination)
            with self.opened(destination) as repository:
                repository.remove(backup)
                repository.prune()
            assert [listed.id for listed in self.listed(destination)] == [kept.id]
            assert self.read(destination, kept) == self.expected(_small(), kept)
            if not self.shares_bytes:  # else more than was freed may not be worth the way
                assert _stored(destination) == size
        pytest.fail("removing one backup takes more than 20 deletions")

    # What was damaged, and what cannot be opened.

    def test_every_flipped_byte_is_noticed(self) -> None:
        """Where nothing is encrypted, one that changes nothing may pass: compressed data has unused bits."""
        destination = self.make_destination()
        backup = self.write(destination, _small()).backup
        unnoticed = []
        for name, content in _objects(destination):
            for at in range(len(content)):
                flipped = content[:at] + bytes((content[at] ^ 1 << at % 8,)) + content[at + 1 :]
                destination.write(name, [flipped], overwrite=True)
                if not self._shows_damage(destination, backup) and (
                    self.make_encryptor() is not None
                    or self.read(destination, backup) != self.expected(_small(), backup)
                ):
                    unnoticed.append(f"{name}:{at}")
            destination.write(name, [content], overwrite=True)
        assert unnoticed == []
        assert self.problems(destination, backup) == []  # each of them was undone

    def test_an_object_that_is_cut_short_is_noticed(self) -> None:
        destination = self.make_destination()
        backup = self.write(destination, _small()).backup
        unnoticed = []
        for name, content in _objects(destination):
            for end in range(len(content)):
                destination.write(name, [content[:end]], overwrite=True)
                if not self._shows_damage(destination, backup):
                    unnoticed.append(f"{name}:{end}")
            destination.write(name, [content], overwrite=True)
        assert unnoticed == []

    def test_an_object_that_is_missing_is_noticed(self) -> None:
        destination = self.make_destination()
        backup = self.write(destination, _small()).backup
        for name, content in _objects(destination):
            destination.delete(name)
            assert self._lists_no_good(destination) or self._shows_damage(destination, backup), name
            destination.write(name, [content])

    def test_a_wrong_key_does_not_read_nor_list_what_is_sealed(self) -> None:
        if self.make_encryptor() is None:
            pytest.skip("make_encryptor gives none")
        wrong = self.make_wrong_encryptor()
        destination = self.make_destination()
        backup = self.write(destination, _small()).backup
        if self.seals_the_list:
            with self.make_format().open(destination, name="shop", encryptor=wrong) as repository:
                for ask in (
                    repository.list,
                    lambda: repository.read(backup),
                    lambda: repository.check(backup),
                ):
                    with pytest.raises(WrongPassphraseError):
                        list(ask())
            return
        for encryptor in (wrong, None) if wrong is not None else (None,):
            with self.make_format().open(destination, name="shop", encryptor=encryptor) as repository:
                (listed,) = repository.list()
                assert repository.details(listed) == backup
                with pytest.raises(WrongPassphraseError):
                    list(repository.read(backup))
                with pytest.raises(WrongPassphraseError):
                    list(repository.check(backup))

    def _lists_no_good(self, destination: Destination) -> bool:
        try:
            return not any(listed.good for listed in self.listed(destination))
        except (IntegrityError, WrongPassphraseError):
            return True

    def _shows_damage(self, destination: Destination, backup: Backup) -> bool:
        """Whether checking and reading everything back tell; whatever they raise must be an error of ours."""
        try:
            return bool(self.problems(destination, backup)) or not self.read(destination, backup)
        except (IntegrityError, WrongPassphraseError, BackupNotFoundError):
            return True


class SharingRepositoryTests(RepositoryTests):
    """The same, and what a format must hold to whose backups have bytes in common."""

    def test_what_was_stored_before_is_not_stored_again(self) -> None:
        destination = self.make_destination()
        self.write(destination, _sample())
        first = _stored(destination)
        moved = [replace(entry, path=f"moved/{entry.path}") for entry in _sample() if entry.kind == "file"]
        for hours, entries in ((1, _sample()), (2, moved), (3, _sample())):
            before = _stored(destination)
            written = self.write(destination, entries, time=NOON + timedelta(hours=hours))
            assert _stored(destination) - before < first / 50
            assert self.read(destination, written.backup) == self.expected(entries, written.backup)

    def test_what_comes_twice_in_one_backup_is_stored_once(self) -> None:
        destination, twice = self.make_destination(), self.make_destination()
        one = with_content(Entry(path="a", modified_ns=_NS), *_LARGE)
        self.write(destination, [one])
        self.write(twice, [one, replace(one, path="b")])
        assert _stored(twice) < _stored(destination) * 1.02

    def test_pruning_frees_what_only_a_removed_backup_needed_and_a_dry_run_says_so(self) -> None:
        destination = self.make_destination()
        kept = self.write(destination, _small()).backup
        size = _stored(destination)
        removed = self.write(destination, _sample(), time=NOON + timedelta(hours=1)).backup
        added = _stored(destination) - size
        with self.opened(destination) as repository:
            would = repository.prune(without=[removed], dry_run=True).freed
            repository.remove(removed)
        before = _stored(destination)
        with self.opened(destination) as repository:
            freed = repository.prune().freed
        assert before - _stored(destination) == freed
        assert added * 0.95 < freed <= added
        assert added * 0.95 < would <= added * 1.05
        assert self.read(destination, kept) == self.expected(_small(), kept)

    def test_what_another_pipeline_has_stored_is_shared_and_not_removed_with_it(self) -> None:
        destination = self.make_destination()
        theirs = self.write(destination, _sample(), name="other").backup
        before = _stored(destination)
        ours = self.write(destination, _sample()).backup
        assert _stored(destination) - before < before / 50
        with self.opened(destination, name="other") as repository:
            repository.remove(theirs)
            repository.prune()
        assert self.listed(destination, name="other") == []
        assert self.read(destination, ours) == self.expected(_sample(), ours)
        assert self.problems(destination, ours) == []


def _failing_at_first(entry: Entry, failures: int, content: Sequence[bytes]) -> Entry:
    """An entry whose content fails so many times before it comes to its end."""
    left = [SourceError("busy", path=entry.path, retryable=True) for _ in range(failures)]

    def chunks() -> Iterator[bytes]:
        yield from content
        if left:
            raise left.pop()
        yield b"to the end"

    return replace(entry, chunks=chunks)


def _objects(destination: Destination) -> list[tuple[str, bytes]]:
    return [(stored.name, b"".join(destination.read(stored.name))) for stored in destination.list()]


def _stored(destination: Destination) -> int:
    return sum(stored.size for stored in destination.list())
