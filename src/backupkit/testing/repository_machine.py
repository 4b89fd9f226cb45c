"""Any history of a repository, crashes included, held against a dictionary of what should be in it.

    class MyMachine(RepositoryMachine):
        def make_format(self) -> Format:
            return MyFormat()

    TestMyMachine = MyMachine.TestCase
    TestMyMachine.settings = settings(max_examples=15, stateful_step_count=10, deadline=None)

Needs `backupkit[testing]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import timedelta
from random import Random
from typing import ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from backupkit.errors import DestinationError, SourceError
from backupkit.model import Backup, Entry, Problem
from backupkit.passphrase import Passphrase
from backupkit.protocols import Destination, Format, Repository
from backupkit.retrying import Retry
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination, Method
from backupkit.testing.entries import with_content
from backupkit.testing.repositories import BOTH, NOON

MiB = 1 << 20
ONCE = Retry(tries=1)
_METHODS: Sequence[Method] = ("write", "read", "stat", "list", "delete")
_CHUNKS = {
    "nothing": b"",
    "x": b"x",
    "text": b"text " * 50,
    "zeros": bytes(2 * MiB),
    "noise": Random(1).randbytes(MiB),
}
_contents = st.lists(st.sampled_from([*_CHUNKS]), max_size=3)
_wanted = st.dictionaries(st.sampled_from("abcd"), _contents, min_size=1, max_size=4)
_moments = st.integers(0, 3000) | st.integers(0, 2 * MiB)
_calls = st.integers(1, 3) | st.integers(1, 12)


class RepositoryMachine(RuleBasedStateMachine):
    """Whatever happened before, what is listed is what was written, and can be read.

    Subclass, and return the format from `make_format`. `passphrases` are those that histories are tried with.
    """

    passphrases: ClassVar[Sequence[str | None]] = (None,)

    def __init__(self) -> None:
        super().__init__()
        self.destination = MemoryDestination()
        self.model: dict[str, tuple[bool | None, dict[str, bytes]]] = {}
        self.clock = NOON
        self.key: Passphrase | None = None

    def make_format(self) -> Format:
        raise NotImplementedError("return a format from make_format")

    def after_crash(self, method: Method, call: int, lost: bool, new: Sequence[Backup]) -> None:
        """Assert more of what a crash leaves: `new` are the backups of the run that crashed, none or one."""

    def after_death(self) -> None:
        """Bring about what time would after a process has died, such as that its locks expire."""

    def after_prune(self) -> None:
        """Assert more of what is left when everything that nobody needs was deleted."""

    @initialize(number=st.integers(0, 9))
    def choose(self, number: int) -> None:
        chosen = self.passphrases[number % len(self.passphrases)]
        self.key = None if chosen is None else Passphrase(chosen)

    def repository(self, destination: Destination | None = None) -> AbstractContextManager[Repository]:
        """Opened anew each time, as by another process."""
        return self.make_format().open(destination or self.destination, name="shop", encryptor=self.key)

    def entries(self, wanted: dict[str, list[str]]) -> list[Entry]:
        return [
            with_content(Entry(path=path), *(_CHUNKS[name] for name in names))
            for path, names in wanted.items()
        ]

    def expected(self, wanted: dict[str, list[str]]) -> dict[str, bytes]:
        return {path: b"".join(_CHUNKS[name] for name in names) for path, names in wanted.items()}

    def backups(self) -> list[Backup]:
        with self.repository() as repository:
            return sorted(repository.list(), key=lambda backup: backup.id)

    def chosen(self, number: int) -> Backup | None:
        backups = self.backups()
        return backups[number % len(backups)] if backups else None

    @rule(minutes=st.integers(0, 2))
    def time_passes(self, minutes: int) -> None:
        self.clock += timedelta(minutes=minutes)

    @rule(wanted=_wanted, lost=st.booleans())
    def write(self, wanted: dict[str, list[str]], lost: bool) -> None:
        entries: list[Entry | Problem] = [*self.entries(wanted)]
        if lost:
            entries.append(
                with_content(Entry(path="lost"), b"x", error=SourceError("unreadable", path="lost"))
            )
        with self.repository() as repository:
            written = repository.write(entries, time=self.clock, contents=BOTH, retry=ONCE)
        assert written.backup.id not in self.model
        self.model[written.backup.id] = (not lost, self.expected(wanted))

    @rule(wanted=_wanted, after=st.integers(0, 4))
    def write_from_a_source_that_fails(self, wanted: dict[str, list[str]], after: int) -> None:
        def failing() -> Iterator[Entry]:
            yield from self.entries(wanted)[:after]
            raise ValueError("a bug in a source")

        with self.repository() as repository, pytest.raises(ValueError, match="a bug"):
            repository.write(failing(), time=self.clock, contents=BOTH, retry=ONCE)

    @rule(
        wanted=_wanted,
        method=st.sampled_from(["write", "write", "write", "list", "read", "delete"]),
        call=_calls,
        after=_moments,
        lost=st.booleans(),
        dies=st.booleans(),
    )
    def crash_while_writing(
        self, wanted: dict[str, list[str]], method: Method, call: int, after: int, lost: bool, dies: bool
    ) -> None:
        before = {backup.id for backup in self.backups()}
        destination = self._crashing(method, call, after=after, lost=lost, dies=dies)
        crashed = False
        try:
            with self.repository(destination) as repository:
                repository.write(self.entries(wanted), time=self.clock, contents=BOTH, retry=ONCE)
        except DestinationError:
            crashed = True
        self.after_death()
        new = [backup for backup in self.backups() if backup.id not in before]
        # The backup may have become whole before the crash; then it is there, and at most unconfirmed.
        assert len(new) <= 1 if crashed else len(new) == 1
        if crashed:
            self.after_crash(method, call, lost, new)
        for backup in new:
            assert backup.complete in (None, True)
            assert crashed or backup.complete
            self.model[backup.id] = (backup.complete, self.expected(wanted))

    @rule(number=st.integers(0, 20))
    def remove(self, number: int) -> None:
        if backup := self.chosen(number):
            with self.repository() as repository:
                repository.remove(backup)
            del self.model[backup.id]

    @rule(number=st.integers(0, 20), call=st.integers(1, 2), lost=st.booleans(), dies=st.booleans())
    def crash_while_removing(self, number: int, call: int, lost: bool, dies: bool) -> None:
        if backup := self.chosen(number):
            destination = self._crashing("delete", call, lost=lost, dies=dies)
            gone = True
            try:
                with self.repository(destination) as repository:
                    repository.remove(backup)
            except DestinationError:
                gone = backup.id not in {listed.id for listed in self.backups()}
            self.after_death()
            if gone:
                del self.model[backup.id]

    @rule(number=st.integers(0, 20))
    def confirm(self, number: int) -> None:
        if (backup := self.chosen(number)) and backup.complete is not False:
            with self.repository() as repository:
                repository.confirm(backup)
            self.model[backup.id] = (True, self.model[backup.id][1])

    @rule()
    def prune(self) -> None:
        before = sum(map(len, self.destination.objects.values()))
        with self.repository() as repository:
            freed = repository.prune().freed
        assert before - freed == sum(map(len, self.destination.objects.values()))
        self.after_prune()

    @rule(method=st.sampled_from(_METHODS), call=_calls, lost=st.booleans(), dies=st.booleans())
    def crash_while_pruning(self, method: Method, call: int, lost: bool, dies: bool) -> None:
        destination = self._crashing(method, call, lost=lost, dies=dies)
        with suppress(DestinationError), self.repository(destination) as repository:
            repository.prune()
        self.after_death()

    @invariant()
    def what_is_listed_is_what_was_written(self) -> None:
        backups = self.backups()
        assert {backup.id: backup.complete for backup in backups} == {
            identity: complete for identity, (complete, _) in self.model.items()
        }

    @invariant()
    def everything_can_be_read(self) -> None:
        for backup in self.backups():
            with self.repository() as repository:
                contents = {entry.path: b"".join(entry.chunks()) for entry in repository.read(backup)}
                problems = [*repository.check(backup)]
            complete, expected = self.model[backup.id]
            assert contents == expected
            assert [problem for problem in problems if problem.severity == "error"] == []
            assert complete is None or problems == []

    def _crashing(
        self, method: Method, call: int, *, after: int = 0, lost: bool, dies: bool
    ) -> FaultyDestination:
        """Fails at this call; if it `dies`, at every later one of any method as well, as after a SIGKILL."""
        dead = False

        def die() -> None:
            nonlocal dead
            dead = dies
            raise DestinationError("crashed", location="memory:")

        def stay_dead() -> None:
            if dead:
                raise DestinationError("dead", location="memory:")

        later = [Fault(method=one, call=None, does=stay_dead, goes_on=True) for one in _METHODS]
        fault = Fault(method=method, call=call, after=after, answer_lost=lost, does=die)
        return FaultyDestination(self.destination, [fault, *later])
