"""What leases on a server have in common: they are taken for a while, renewed by a thread, and given back."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol

from backupkit.errors import BackupAlreadyRunningError, ConfigurationError, told
from backupkit.printable import printable
from backupkit.protocols import Lease

LIFE = timedelta(seconds=60)
_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(days=1)
_POLL = 0.2  # seconds
_PATIENCE = 10.0  # seconds, in which a server answers whoever wants to commit, or has ended


class NoAnswerError(Exception):
    """The place where a lease lives cannot be used now; which place, and why, in a sentence without secrets."""


class Place(Protocol):
    """Where one lease lives, under one name and with a token of its own. NoAnswerError where it cannot be used."""

    @property
    def location(self) -> str: ...

    def take(self) -> bool:
        """Take the lease, if nobody has it."""
        ...

    def renew(self) -> bool:
        """Begin its life anew, if it is ours and not over: by one step, which nobody can come between."""
        ...

    def release(self) -> None:
        """Give it back, if it is ours."""
        ...

    def holder(self) -> str | None:
        """Who has it, in words."""
        ...


def seconds_of(life: timedelta, of: str) -> float:
    """How many seconds a lease lives; ConfigurationError for a time that is not possible."""
    if not isinstance(life, timedelta) or not _SHORTEST <= life <= _LONGEST:
        raise ConfigurationError(
            f"{of}(life={life!r}) is not possible: give a timedelta of a second or more, a day at most."
        )
    return life.total_seconds()


def this_process() -> str:
    """Who takes a lease now, for whoever finds it taken."""
    return f"{os.uname().nodename} (process {os.getpid()}) since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"


def has_ended(name: str) -> BackupAlreadyRunningError:
    """For whoever is left behind by a run, as the thread is of a destination that hung, and would still commit."""
    return BackupAlreadyRunningError(
        f"The run of {name!r} has given its lock back: nothing more of it is kept."
    )


@contextmanager
def held(place: Place, name: str, *, life: float, wait: timedelta) -> Iterator[Lease]:
    """Hold the lease of this name, as `Lock.hold` says; `life` in seconds is that of the place."""
    try:
        began = _taken(place, name, life, wait)
    except NoAnswerError as error:
        raise ConfigurationError(
            f"The lock of {name!r} cannot be taken. {error} See that it runs and lets you in, or begin again later."
        ) from error
    lease = _Renewed(place, name, life, began)
    lease.begin()
    try:
        yield lease
    finally:
        lease.end()


class _Moment(NamedTuple):
    """By two clocks: one stands still while a machine sleeps, and the other may be set back."""

    monotonic: float
    wall: float


def _now() -> _Moment:
    return _Moment(time.monotonic(), time.time())


def _taken(place: Place, name: str, life: float, wait: timedelta) -> _Moment:
    """When it was asked for the lease that it gave."""
    end = time.monotonic() + wait.total_seconds()
    while True:
        now = _now()
        if place.take():
            return now
        left = end - time.monotonic()
        if left <= 0:
            holder = place.holder()
            raise BackupAlreadyRunningError(
                f"Another run of {name!r} is under way{_by(holder)}: wait for it to end. If it was killed, "
                f"its lock at {place.location} is free after {life:g} seconds at the latest."
            )
        time.sleep(min(left, _POLL))


def _by(holder: str | None) -> str:
    return f", by {printable(holder)[:200]}" if holder else ""


class _Renewed:
    """A lease that a thread renews every third of its life, and at once for whoever checks it.

    Only that thread talks to the place, so that one that hangs keeps nobody waiting for more than `_PATIENCE`.
    """

    def __init__(self, place: Place, name: str, life: float, began: _Moment) -> None:
        self._place = place
        self._name = name
        self._life = life
        self._began = began
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._asked = self._answered = 0
        self._ended = False
        self._lost: str | None = None
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="backupkit-lease", daemon=True)

    def begin(self) -> None:
        try:
            self._thread.start()
        except BaseException:  # no more threads
            self._release()
            raise

    def end(self) -> None:
        if os.getpid() != self._process:  # a forked process has inherited this object, not the lease
            return
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._thread.join(_PATIENCE)

    def check(self) -> None:
        with self._changed:
            self._asked += 1
            mine = self._asked
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._ended or self._lost or self._answered >= mine, _PATIENCE)
            if self._ended:
                raise has_ended(self._name)
            if not self._lost and self._is_over():
                self._lost = f"it could not be renewed within its life of {self._life:g} seconds"
            if self._lost:
                raise BackupAlreadyRunningError(
                    f"The lock of this run of {self._name!r} at {self._place.location} was lost, for {self._lost}. "
                    "What is under way is given up, because another run may have begun: start it again."
                ) from self._failure

    def _is_over(self) -> bool:
        now = _now()
        return max(now.monotonic - self._began.monotonic, now.wall - self._began.wall) > self._life

    def _run(self) -> None:
        pause = self._life / 3
        while not self._lost:
            with self._changed:
                self._changed.wait_for(lambda: self._ended or self._asked > self._answered, pause)
                if self._ended:
                    break
                serving = self._asked
            pause = self._life / 3 if self._renew(serving) else self._life / 10
        self._release()

    def _renew(self, serving: int) -> bool:
        """Whether it was renewed; whoever asked before this began has an answer then."""
        now = _now()
        ours, lost, failure = False, None, None
        try:
            ours = self._place_renews()
            if not ours:
                lost = "its life was over, or somebody removed it"
                with suppress(Exception):
                    holder = self._place.holder()
                    lost = f"it was taken over{_by(holder)}" if holder else lost
        except Exception as error:
            failure = error
        with self._changed:
            self._answered = serving
            self._failure = failure
            self._lost = self._lost or lost
            if ours:
                self._began = now
            self._changed.notify_all()
        return ours

    def _place_renews(self) -> bool:
        try:
            return self._place.renew()
        except NoAnswerError:  # perhaps only of a connection that had broken since the last time
            return self._place.renew()

    def _release(self) -> None:
        with suppress(Exception):  # then it is free when its life is over
            self._place.release()


def reason_of(error: BaseException, secret: str | None) -> str:
    """What a library says, in one line and without the secret."""
    text = " ".join(told(error).split()).rstrip(".")
    return text.replace(secret, "***") if secret else text
