"""Locks: against other processes of ours, and both ways with stock restic."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backupkit.destinations.local import LocalDestination
from backupkit.destinations.read_only import ReadOnly
from backupkit.destinations.wrapping import Wrapping
from backupkit.errors import (
    AccessDeniedError,
    DestinationError,
    IntegrityError,
    ObjectNotFoundError,
    OperationCancelledError,
    OutcomeUnknownError,
    RepositoryError,
    RepositoryLockedError,
)
from backupkit.formats.restic import locks
from backupkit.formats.restic.locks import Lease, LockFile, held, remove_locks
from backupkit.formats.restic.objects import Objects
from backupkit.model import StoredObject, Unlocked
from backupkit.protocols import Chunks, Destination
from backupkit.retrying import Retry
from backupkit.testing.clocks import FrozenClock
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination
from tests.formats.restic.stock import Opened, Restic, made, made_here, opened

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
AT_ONCE = timedelta(0)
NOBODY = 1 << 22  # more than any process has as its number, so that none can come to have it
ALICE = LockFile(
    time=NOW - MINUTE, exclusive=True, hostname="web7", username="alice", pid=4711, uid=1000, gid=1000
)


@pytest.fixture
def repository() -> Opened:
    return made(MemoryDestination())


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(NOW)


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """No lock is refreshed but by the test."""
    monkeypatch.setattr(locks, "_POLL", 3600.0)


def hold(
    repository: Opened, *, exclusive: bool = False, wait: timedelta = AT_ONCE, **options: Any
) -> AbstractContextManager[Lease]:
    return held(repository.objects, repository.sealer, exclusive=exclusive, wait=wait, **options)


def at(destination: Destination, repository: Opened) -> Opened:
    """The same repository, through another destination."""
    return replace(repository, objects=Objects(destination))


def lock_ids(repository: Opened) -> list[str]:
    return [id for id, _ in repository.objects.list("locks")]


def put(repository: Opened, lock: LockFile) -> str:
    return repository.objects.save("locks", lock.fields(), repository.sealer)


def of_this_host(**changes: Any) -> LockFile:
    return replace(LockFile.made(exclusive=True, now=NOW), **changes)


def test_a_lock_is_there_while_it_is_held_and_says_who_holds_it(
    repository: Opened, clock: FrozenClock
) -> None:
    with hold(repository, exclusive=True, clock=clock):
        (id,) = lock_ids(repository)
        fields = repository.objects.load("locks", id, repository.sealer)
    assert fields["time"] == "2026-01-31T12:00:00Z"
    assert fields["exclusive"] is True
    assert fields["hostname"] == os.uname().nodename
    assert fields["pid"] == os.getpid()
    assert lock_ids(repository) == []


def test_the_owner_is_left_out_where_it_is_root_as_go_leaves_out_what_is_zero() -> None:
    assert list(replace(ALICE, uid=0, gid=0).fields()) == ["time", "exclusive", "hostname", "username", "pid"]
    assert ALICE.fields()["uid"] == 1000


def test_a_lock_of_restic_with_its_local_time_and_nanoseconds_is_understood() -> None:
    fields = {
        "time": "2015-06-27T12:18:51.759239612+02:00", "exclusive": False, "hostname": "kasimir",
        "username": "fd0", "pid": 13607, "uid": 1000, "gid": 100,
    }  # fmt: skip
    lock = LockFile.parse(fields, where="a lock")
    assert lock.time == datetime(2015, 6, 27, 10, 18, 51, 759239, UTC)
    assert lock.holder == "fd0@kasimir (process 13607, non-exclusive)"


@pytest.mark.parametrize(
    "fields", [[], 5, None, {}, {"time": 1, "exclusive": True}, {"time": "yesterday", "exclusive": True}]
)
def test_what_is_no_lock_is_an_integrity_error(fields: Any) -> None:
    with pytest.raises(IntegrityError, match="locks/ab is no lock"):
        LockFile.parse(fields, where="locks/ab")


def test_names_that_would_move_the_cursor_are_shown_written_out() -> None:
    assert "\x1b" not in replace(ALICE, hostname="\x1b[2J").holder


def test_many_may_use_a_repository_beside_each_other(repository: Opened) -> None:
    with hold(repository), hold(repository):
        assert len(lock_ids(repository)) == 2


@pytest.mark.parametrize(("first", "second"), [(True, True), (True, False), (False, True)])
def test_whoever_needs_it_alone_has_it_alone(repository: Opened, first: bool, second: bool) -> None:
    with (
        hold(repository, exclusive=first),
        pytest.raises(RepositoryLockedError),
        hold(repository, exclusive=second),
    ):
        pass
    assert lock_ids(repository) == []


def test_who_is_in_the_way_is_named(repository: Opened, clock: FrozenClock) -> None:
    put(repository, ALICE)
    with pytest.raises(RepositoryLockedError) as caught, hold(repository, clock=clock):
        pass
    assert str(caught.value) == (
        "The repository at memory:memory is in use by alice@web7 (process 4711, exclusive) "
        "since 2026-01-31 11:59:00 UTC: wait for it to end."
    )
    assert caught.value.holder == "alice@web7 (process 4711, exclusive)"
    assert caught.value.since == NOW - MINUTE


def test_waiting_ends_when_the_other_does(repository: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_FIRST_WAIT", 0.01)
    other = hold(repository, exclusive=True)
    other.__enter__()
    looks = []

    def between() -> None:
        looks.append(1)
        if len(looks) == 3:
            other.__exit__(None, None, None)

    with hold(repository, wait=MINUTE, between=between):
        assert len(lock_ids(repository)) == 1


def test_waiting_ends_when_it_is_cancelled(repository: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_STEP", 0.01)
    looks = []

    def between() -> None:
        looks.append(1)
        if len(looks) == 3:
            raise OperationCancelledError("cancelled")

    with hold(repository, exclusive=True):
        with pytest.raises(OperationCancelledError), hold(repository, wait=MINUTE, between=between):
            pass
        assert len(lock_ids(repository)) == 1


def test_waiting_has_a_limit(repository: Opened) -> None:
    put(repository, replace(ALICE, time=datetime.now(UTC)))
    began = time.monotonic()
    with pytest.raises(RepositoryLockedError), hold(repository, wait=timedelta(seconds=0.1)):
        pass
    assert time.monotonic() - began >= 0.1


def test_a_lock_that_appears_while_ours_settles_wins(repository: Opened, clock: FrozenClock) -> None:
    def also_alice() -> None:
        put(repository, ALICE)

    faulty = FaultyDestination(
        repository.objects.destination, [Fault(method="write", does=also_alice, answer_lost=True)]
    )
    with pytest.raises(RepositoryLockedError, match="alice"), hold(at(faulty, repository), clock=clock):
        pass
    assert len(lock_ids(repository)) == 1


def test_who_only_reads_does_not_wait_and_who_would_delete_sees_that(
    repository: Opened, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = ExitStack()

    def read(seconds: float) -> None:
        """What happens while the other one's lock settles: nobody else waits."""
        with pytest.raises(RepositoryLockedError):
            reading.enter_context(hold(repository, or_without=True, clock=clock))

    monkeypatch.setattr(time, "sleep", read)
    with hold(repository, exclusive=True, clock=clock):
        pass
    with hold(repository, or_without=True, clock=clock):
        monkeypatch.setattr(time, "sleep", lambda seconds: None)
        with pytest.raises(RepositoryLockedError), hold(repository, exclusive=True, clock=clock):
            pass


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        OutcomeUnknownError("no answer", location="memory:", name="locks/…"),
        DestinationError("the cable was cut", location="memory:"),
    ],
)
def test_an_interrupted_creation_leaves_nothing_behind(repository: Opened, error: BaseException) -> None:
    faulty = FaultyDestination(
        repository.objects.destination, [Fault(method="write", does=error, answer_lost=True)]
    )
    with pytest.raises(type(error)), hold(at(faulty, repository)):
        pass
    assert lock_ids(repository) == []


def test_a_failure_while_a_lock_settles_leaves_nothing_behind(repository: Opened) -> None:
    faulty = FaultyDestination(
        repository.objects.destination, [Fault(method="list", call=2, does=KeyboardInterrupt())]
    )
    with pytest.raises(KeyboardInterrupt), hold(at(faulty, repository)):
        pass
    assert lock_ids(repository) == []


def test_a_lock_that_somebody_removed_is_no_error_at_the_end(repository: Opened) -> None:
    with hold(repository) as lease:
        repository.objects.delete("locks", lock_ids(repository)[0])
    assert lease.left_behind is None


def test_that_a_lock_could_not_be_removed_is_known_and_fails_nothing(repository: Opened) -> None:
    refused = AccessDeniedError("not here", location="memory:")
    faulty = FaultyDestination(
        repository.objects.destination, [Fault(method="delete", call=None, does=refused)]
    )
    with hold(at(faulty, repository)) as lease:
        pass
    assert lease.left_behind is refused


def test_a_repository_that_may_not_be_written_is_read_without_a_lock(repository: Opened) -> None:
    read_only = at(ReadOnly(repository.objects.destination), repository)
    with hold(read_only, or_without=True) as lease:
        lease.check()
        assert lock_ids(repository) == []
    assert lease.left_behind is None
    with pytest.raises(AccessDeniedError), hold(read_only):
        pass


def test_the_locks_of_others_hold_for_who_may_not_write_too(repository: Opened, clock: FrozenClock) -> None:
    put(repository, ALICE)
    read_only = at(ReadOnly(repository.objects.destination), repository)
    with pytest.raises(RepositoryLockedError), hold(read_only, or_without=True, clock=clock):
        pass
    clock.advance(timedelta(minutes=30))
    with hold(read_only, or_without=True, clock=clock):
        pass
    assert len(lock_ids(repository)) == 1


# --- Locks that nobody holds any more


@pytest.mark.parametrize(
    ("lock", "stale", "abandoned"),
    [
        (ALICE, False, False),
        (replace(ALICE, time=NOW - 30 * MINUTE), False, False),
        (replace(ALICE, time=NOW - 31 * MINUTE), True, True),
        (replace(ALICE, time=NOW + 60 * MINUTE), False, False),
        (of_this_host(), False, False),
        (of_this_host(pid=1), False, False),
        (of_this_host(pid=NOBODY), True, False),
        (of_this_host(pid=NOBODY, time=NOW - 8 * MINUTE), True, True),
        (of_this_host(pid=0), True, False),
        (of_this_host(pid=1 << 80), True, False),
    ],
)
def test_a_lock_is_stale_when_it_is_old_or_its_process_on_this_host_is_gone(
    lock: LockFile, stale: bool, abandoned: bool
) -> None:
    assert lock.stale(NOW) is stale
    assert lock.abandoned(NOW) is abandoned


def test_an_abandoned_lock_is_removed_by_who_takes_over(repository: Opened, clock: FrozenClock) -> None:
    put(repository, replace(ALICE, time=NOW - 31 * MINUTE))
    with hold(repository, clock=clock):
        (id,) = lock_ids(repository)
        fields = repository.objects.load("locks", id, repository.sealer)
        assert fields["pid"] == os.getpid()


def test_the_lock_of_a_process_that_has_just_ended_says_when_it_is_taken_over(
    repository: Opened, clock: FrozenClock
) -> None:
    put(repository, of_this_host(pid=NOBODY))
    message = "the process has ended, and its lock is taken over when it is 8 minutes old, or at once after"
    with pytest.raises(RepositoryLockedError, match=message), hold(repository, clock=clock):
        pass
    clock.advance(timedelta(minutes=8))
    with hold(repository, exclusive=True, clock=clock):
        assert len(lock_ids(repository)) == 1


def test_an_abandoned_lock_that_may_not_be_deleted_is_in_the_way(
    repository: Opened, clock: FrozenClock
) -> None:
    put(repository, replace(ALICE, time=NOW - 31 * MINUTE))
    refused = AccessDeniedError("not here", location="memory:")
    faulty = FaultyDestination(
        repository.objects.destination, [Fault(method="delete", call=None, does=refused)]
    )
    denied = at(faulty, repository)
    with pytest.raises(RepositoryLockedError, match="may not be deleted"), hold(denied, clock=clock):
        pass


def test_stale_locks_are_removed_when_asked_to_and_no_others(repository: Opened, clock: FrozenClock) -> None:
    stays = {
        put(repository, ALICE),
        put(repository, of_this_host()),
        repository.objects.save("locks", {"no": "lock"}, repository.sealer),
    }
    put(repository, replace(ALICE, time=NOW - 31 * MINUTE))
    put(repository, of_this_host(pid=NOBODY))
    assert remove_locks(repository.objects, repository.sealer, clock=clock) == Unlocked(removed=2, left=3)
    assert set(lock_ids(repository)) == stays


def test_by_force_all_locks_are_removed(repository: Opened, clock: FrozenClock) -> None:
    put(repository, ALICE)
    repository.objects.save("locks", {"no": "lock"}, repository.sealer)
    repository.objects.destination.write("locks/" + "0" * 64, [b""])
    assert remove_locks(repository.objects, repository.sealer, clock=clock) == Unlocked(left=3)
    assert remove_locks(repository.objects, repository.sealer, force=True, clock=clock) == Unlocked(removed=3)
    assert lock_ids(repository) == []


def test_a_lock_that_another_removes_meanwhile_is_not_counted(repository: Opened, clock: FrozenClock) -> None:
    put(repository, replace(ALICE, time=NOW - 31 * MINUTE))
    gone = ObjectNotFoundError("It is not there.", location="memory:", name="locks/…")
    raced = at(
        FaultyDestination(repository.objects.destination, [Fault(method="delete", does=gone)]), repository
    )
    assert remove_locks(raced.objects, raced.sealer, clock=clock) == Unlocked()


def test_one_that_cannot_be_removed_keeps_no_other_lock_from_being(
    repository: Opened, clock: FrozenClock
) -> None:
    for pid in (NOBODY, NOBODY + 1, NOBODY + 2):
        put(repository, of_this_host(pid=pid))
    refused = AccessDeniedError("It may not be.", location="memory:")
    fault = Fault(method="delete", call=1, does=refused)
    some = at(FaultyDestination(repository.objects.destination, [fault]), repository)
    with pytest.raises(AccessDeniedError):
        remove_locks(some.objects, some.sealer, clock=clock)
    assert len(lock_ids(repository)) == 1


def test_a_dead_destination_is_not_asked_to_remove_lock_after_lock(
    repository: Opened, clock: FrozenClock
) -> None:
    for pid in (NOBODY, NOBODY + 1, NOBODY + 2):
        put(repository, of_this_host(pid=pid))
    dead = DestinationError("Nobody answers.", location="memory:", retryable=True)
    faulty = FaultyDestination(
        repository.objects.destination, [Fault(method="delete", does=dead, lasting=True)]
    )
    once = replace(repository, objects=Objects(faulty, retry=Retry(tries=1)))
    with pytest.raises(DestinationError):
        remove_locks(once.objects, once.sealer, clock=clock)
    assert faulty.calls["delete"] == 1


# --- Locks that change while they are looked at


def test_a_lock_that_vanishes_while_it_is_looked_at_is_looked_for_again(
    repository: Opened, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its holder has just replaced it: whoever passes over the old one must see the new one.
    monkeypatch.setattr(locks, "_UNREADABLE", (0.0,))
    old = put(repository, replace(ALICE, time=NOW - 5 * MINUTE))

    def refresh() -> None:
        put(repository, ALICE)
        repository.objects.delete("locks", old)

    faulty = FaultyDestination(
        repository.objects.destination, [Fault(method="list", does=refresh, answer_lost=True)]
    )
    with pytest.raises(RepositoryLockedError, match="11:59:00"), hold(at(faulty, repository), clock=clock):
        pass


def test_a_lock_that_nobody_can_read_is_in_the_way(
    repository: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "_UNREADABLE", (0.0, 0.0, 0.0))
    repository.objects.save("locks", {"no": "lock"}, repository.sealer)
    with pytest.raises(IntegrityError, match=r"cannot be read.*unlock --force"), hold(repository):
        pass
    assert len(lock_ids(repository)) == 1


def test_an_empty_lock_is_none(repository: Opened) -> None:
    repository.objects.write(
        "locks", [b""], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )
    with hold(repository, exclusive=True):
        pass


# --- Refreshing


def test_a_lock_is_replaced_by_a_new_one_every_five_minutes(
    repository: Opened, clock: FrozenClock, by_hand: None
) -> None:
    with hold(repository, clock=clock) as lease:
        first = lock_ids(repository)
        clock.advance(4 * MINUTE)
        lease.keep()
        assert lock_ids(repository) == first
        clock.advance(MINUTE)
        lease.keep()
        (second,) = lock_ids(repository)
        assert [second] != first
        assert repository.objects.load("locks", second, repository.sealer)["time"] == "2026-01-31T12:05:00Z"
        lease.check()
    assert lock_ids(repository) == []


def test_a_clock_that_was_set_back_is_a_reason_to_refresh(
    repository: Opened, clock: FrozenClock, by_hand: None
) -> None:
    with hold(repository, clock=clock) as lease:
        first = lock_ids(repository)
        clock.advance(-60 * MINUTE)
        lease.keep()
        assert lock_ids(repository) != first


def test_a_thread_keeps_the_lock_fresh(clock: FrozenClock, monkeypatch: pytest.MonkeyPatch) -> None:
    deleted = threading.Event()

    class Telling(MemoryDestination):
        def delete(self, name: str) -> None:
            super().delete(name)
            deleted.set()

    monkeypatch.setattr(locks, "_POLL", 0.01)
    with hold(made(Telling()), clock=clock) as lease:
        clock.advance(5 * MINUTE)
        assert deleted.wait(30)
        lease.check()


def test_a_lease_whose_lock_somebody_removed_says_so(repository: Opened, by_hand: None) -> None:
    with hold(repository) as lease:
        lease.check()
        repository.objects.delete("locks", lock_ids(repository)[0])
        with pytest.raises(RepositoryError, match="was lost, because somebody removed it"):
            lease.check()


def test_a_lock_that_was_removed_is_not_refreshed(
    repository: Opened, clock: FrozenClock, by_hand: None
) -> None:
    with hold(repository, clock=clock) as lease:
        repository.objects.delete("locks", lock_ids(repository)[0])
        clock.advance(5 * MINUTE)
        lease.keep()
        assert lock_ids(repository) == []
        with pytest.raises(RepositoryError, match="was lost"):
            lease.check()


def test_a_lock_that_is_removed_while_it_is_refreshed_is_lost(
    repository: Opened, clock: FrozenClock, by_hand: None
) -> None:
    class Removing(Wrapping):
        """Takes the old lock away as soon as the new one is there."""

        def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
            old = lock_ids(repository)
            stored = super().write(name, chunks, overwrite=overwrite)
            for id in old:
                repository.objects.delete("locks", id)
            return stored

    with hold(at(Removing(repository.objects.destination), repository), clock=clock) as lease:
        clock.advance(5 * MINUTE)
        lease.keep()
        assert lock_ids(repository) == []
        with pytest.raises(RepositoryError, match="was lost"):
            lease.check()


def test_a_lease_that_could_not_be_refreshed_in_time_says_so(
    repository: Opened, clock: FrozenClock, by_hand: None
) -> None:
    cut = DestinationError("The cable was cut.", location="memory:", retryable=True)
    faulty = FaultyDestination(
        repository.objects.destination, [Fault(method="write", call=2, does=cut, lasting=True)]
    )
    with hold(at(faulty, repository), clock=clock) as lease:
        clock.advance(5 * MINUTE)
        lease.keep()
        lease.check()  # it is not stale yet
        clock.advance(18 * MINUTE)
        lease.keep()
        with pytest.raises(RepositoryError, match="was lost, because it could not be refreshed") as caught:
            lease.check()
        assert caught.value.__cause__ is cut


def test_a_refresh_that_failed_is_tried_again_a_minute_later(
    repository: Opened, clock: FrozenClock, by_hand: None
) -> None:
    cut = DestinationError("The cable was cut.", location="memory:", retryable=True)
    faulty = FaultyDestination(repository.objects.destination, [Fault(method="write", call=2, does=cut)])
    with hold(at(faulty, repository), clock=clock) as lease:
        first = lock_ids(repository)
        clock.advance(5 * MINUTE)
        lease.keep()
        assert lock_ids(repository) == first
        clock.advance(MINUTE)
        lease.keep()
        assert lock_ids(repository) != first


def test_after_a_long_sleep_of_the_machine_a_lock_that_is_still_there_is_brought_up_to_date(
    repository: Opened, clock: FrozenClock, by_hand: None
) -> None:
    with hold(repository, clock=clock) as lease:
        clock.advance(8 * 60 * MINUTE)
        lease.check()
        (id,) = lock_ids(repository)
        assert repository.objects.load("locks", id, repository.sealer)["time"] == "2026-01-31T20:00:00Z"


def test_after_a_long_sleep_of_the_machine_a_lock_that_was_taken_over_is_lost(
    repository: Opened, clock: FrozenClock, by_hand: None
) -> None:
    with hold(repository, clock=clock) as lease:
        clock.advance(8 * 60 * MINUTE)
        with hold(repository, exclusive=True, clock=clock), pytest.raises(RepositoryError, match="was lost"):
            lease.check()


def test_a_refresh_that_hangs_does_not_hold_up_the_end_and_leaves_nothing_behind(
    repository: Opened, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "_POLL", 0.01)
    monkeypatch.setattr(locks, "_PATIENCE", 0.01)
    hangs, goes_on = threading.Event(), threading.Event()

    def hang() -> None:
        hangs.set()
        assert goes_on.wait(30)

    faulty = FaultyDestination(
        repository.objects.destination, [Fault(method="write", call=2, does=hang, goes_on=True)]
    )
    before = set(threading.enumerate())
    with hold(at(faulty, repository), clock=clock):
        (thread,) = set(threading.enumerate()) - before
        clock.advance(5 * MINUTE)
        assert hangs.wait(30)
    assert lock_ids(repository) == []
    goes_on.set()
    thread.join(30)
    assert lock_ids(repository) == []


def test_a_forked_process_does_not_remove_the_lock_of_its_parent(tmp_path: Path) -> None:
    repository = made(LocalDestination(tmp_path / "repository", create=True))
    script = """
import os, sys
from backupkit.destinations.local import LocalDestination
from tests.formats.restic.stock import opened
from tests.formats.restic.test_locks import hold, lock_ids
repository = opened(LocalDestination(sys.argv[1]))
with hold(repository):
    child = os.fork()
    if child:
        assert os.waitpid(child, 0)[1] == 0
        assert len(lock_ids(repository)) == 1
"""
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, tmp_path / "repository"], check=True, env=environment()
    )
    assert lock_ids(repository) == []


# --- Two at once


def test_of_two_threads_that_want_it_alone_at_once_never_both_have_it(repository: Opened) -> None:
    inside = []
    most = []
    barrier = threading.Barrier(2)

    def contend() -> int:
        won = 0
        for _ in range(20):
            barrier.wait(30)
            try:
                with hold(repository, exclusive=True):
                    inside.append(1)
                    most.append(len(inside))
                    won += 1
                    inside.pop()
            except RepositoryLockedError:
                pass
        return won

    with ThreadPoolExecutor(2) as pool:
        for contender in [pool.submit(contend), pool.submit(contend)]:
            contender.result()
    assert max(most, default=1) == 1
    assert lock_ids(repository) == []


def test_two_threads_that_wait_for_each_other_both_have_it_in_the_end(
    repository: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "_FIRST_WAIT", 0.05)
    barrier = threading.Barrier(2)

    def contend() -> None:
        barrier.wait(30)
        with hold(repository, exclusive=True, wait=MINUTE):
            pass

    with ThreadPoolExecutor(2) as pool:
        for contender in [pool.submit(contend), pool.submit(contend)]:
            contender.result()


def test_of_two_processes_that_want_it_alone_at_once_never_both_have_it(tmp_path: Path) -> None:
    made(LocalDestination(tmp_path / "repository", create=True))
    script = """
import os, sys
from backupkit.destinations.local import LocalDestination
from backupkit.errors import RepositoryLockedError
from backupkit.formats.restic import locks
from tests.formats.restic.stock import opened
from tests.formats.restic.test_locks import hold
locks._SETTLING = 0.01
repository = opened(LocalDestination(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for _ in range(10):
    try:
        with hold(repository, exclusive=True):
            os.close(os.open(sys.argv[2], os.O_CREAT | os.O_EXCL))
            os.unlink(sys.argv[2])
    except RepositoryLockedError:
        pass
"""
    command = [sys.executable, "-c", script, str(tmp_path / "repository"), str(tmp_path / "alone")]
    with ExitStack() as stack:
        contenders = [
            stack.enter_context(
                subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
                )
            )
            for _ in range(2)
        ]
        for contender in contenders:
            assert contender.stdout
            assert contender.stdout.readline() == "ready\n"
        for contender in contenders:
            assert contender.stdin
            contender.stdin.write("\n")
            contender.stdin.flush()
        assert [contender.wait(60) for contender in contenders] == [0, 0]


# --- With stock restic


def environment() -> dict[str, str]:
    root = Path(__file__).parents[3]
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)])}


@contextmanager
def restic_holds_a_lock(restic: Restic) -> Iterator[subprocess.Popen[str]]:
    """A `restic backup` that waits for its standard input, with its lock in place."""
    process = subprocess.Popen(
        restic.command("backup", "--stdin"), stdin=subprocess.PIPE, text=True, env=restic.environment
    )
    assert process.stdin
    repository = opened(LocalDestination(restic.folder))
    with process:
        try:
            while not lock_ids(repository):
                assert process.poll() is None
                time.sleep(0.01)
            yield process
        finally:
            process.stdin.close()
            process.kill()


@contextmanager
def process_holds_a_lock(folder: Path, *, exclusive: bool) -> Iterator[subprocess.Popen[str]]:
    """Another process, with a lock of ours."""
    script = """
import sys
from backupkit.destinations.local import LocalDestination
from tests.formats.restic.stock import opened
from tests.formats.restic.test_locks import hold
with hold(opened(LocalDestination(sys.argv[1])), exclusive=sys.argv[2] == "True"):
    print("held", flush=True)
    sys.stdin.read()
print("let go", flush=True)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(folder), str(exclusive)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    assert process.stdin
    assert process.stdout
    with process:
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.stdin.close()
            process.kill()


@pytest.mark.interop
def test_restic_waits_for_who_has_the_repository_alone_and_works_beside_others(tmp_path: Path) -> None:
    repository, restic = made_here(tmp_path / "repository")
    (tmp_path / "file").write_text("content")
    with hold(repository, exclusive=True):
        refused = restic.run("backup", tmp_path / "file")
        assert refused.returncode
        assert f"repository is already locked exclusively by PID {os.getpid()} on {os.uname().nodename}" in (
            refused.stderr
        )
    with hold(repository):
        restic.must("backup", tmp_path / "file")
        assert "repository is already locked by PID" in restic.run("prune").stderr
    restic.must("prune")


@pytest.mark.interop
def test_the_lock_of_restic_is_honoured_and_its_holder_named(tmp_path: Path) -> None:
    repository, restic = made_here(tmp_path / "repository")
    with restic_holds_a_lock(restic) as process:
        holder = rf"@{os.uname().nodename} \(process {process.pid}, non-exclusive\)"
        with pytest.raises(RepositoryLockedError, match=holder), hold(repository, exclusive=True):
            pass
        with hold(repository):
            pass


@pytest.mark.interop
def test_the_lock_of_a_killed_restic_is_stale_for_us(tmp_path: Path) -> None:
    repository, restic = made_here(tmp_path / "repository")
    with restic_holds_a_lock(restic) as process:
        assert remove_locks(repository.objects, repository.sealer).removed == 0
        process.kill()
        process.wait()
        assert remove_locks(repository.objects, repository.sealer).removed == 1


@pytest.mark.interop
def test_the_lock_of_a_killed_process_of_ours_is_stale_for_restic(tmp_path: Path) -> None:
    repository, restic = made_here(tmp_path / "repository")
    with process_holds_a_lock(tmp_path / "repository", exclusive=True) as process:
        restic.must("unlock")
        assert len(lock_ids(repository)) == 1
        process.kill()
        process.wait()
        restic.must("unlock")
        assert lock_ids(repository) == []


@pytest.mark.interop
def test_a_process_that_holds_a_lock_survives_the_signal_by_which_restic_asks_for_it(tmp_path: Path) -> None:
    repository, restic = made_here(tmp_path / "repository")
    with process_holds_a_lock(tmp_path / "repository", exclusive=False) as process:
        restic.must("unlock")
        assert len(lock_ids(repository)) == 1
        output, _ = process.communicate(timeout=30)
    assert output == "let go\n"
    assert process.returncode == 0


def test_the_signal_does_again_what_it_did_when_the_lock_is_let_go(repository: Opened) -> None:
    with hold(repository), hold(repository):
        assert signal.getsignal(signal.SIGHUP) != signal.SIG_DFL
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL


def test_restic_may_ask_after_a_lock_that_could_not_be_removed(repository: Opened) -> None:
    refused = DestinationError("refused", location="memory:")
    faulty = FaultyDestination(
        repository.objects.destination, [Fault(method="delete", does=refused, lasting=True)]
    )
    with hold(at(faulty, repository)):
        pass
    assert len(lock_ids(repository)) == 1
    os.kill(os.getpid(), signal.SIGHUP)  # as `restic unlock` does


def test_restic_may_ask_while_a_lock_is_being_made(repository: Opened) -> None:
    asks = Fault(method="write", does=lambda: os.kill(os.getpid(), signal.SIGHUP), goes_on=True)
    with hold(at(FaultyDestination(repository.objects.destination, [asks]), repository)):
        pass
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL


@pytest.mark.interop
def test_old_locks_are_stale_for_both(tmp_path: Path) -> None:
    repository, restic = made_here(tmp_path / "repository")
    old = replace(ALICE, time=datetime.now(UTC) - 31 * MINUTE)
    for remove in (
        lambda: restic.must("unlock"),
        lambda: remove_locks(repository.objects, repository.sealer),
    ):
        put(repository, old)
        young = put(repository, replace(old, time=datetime.now(UTC) - 29 * MINUTE))
        remove()
        assert lock_ids(repository) == [young]
        repository.objects.delete("locks", young)


@pytest.mark.interop
def test_restic_reads_our_lock_as_it_was_meant(tmp_path: Path) -> None:
    repository, restic = made_here(tmp_path / "repository")
    with hold(repository):
        (id,) = lock_ids(repository)
        assert restic.cat("lock", id) == repository.objects.load("locks", id, repository.sealer)
