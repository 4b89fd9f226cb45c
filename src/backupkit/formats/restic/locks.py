"""Locks: who uses a repository now, beside others or alone (restic design document, "Locks").

As restic's in every respect that another program can see, and careful where restic is not: a lock that was taken
from its holder is noticed by the holder (docs/decisions/0062-locks.md).
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from backupkit.errors import (
    AccessDeniedError,
    DestinationError,
    IntegrityError,
    ObjectNotFoundError,
    RepositoryError,
    RepositoryLockedError,
)
from backupkit.formats.restic.documents import encode
from backupkit.formats.restic.keys import user_name
from backupkit.formats.restic.layout import object_name, storage_id
from backupkit.formats.restic.objects import Objects
from backupkit.formats.restic.sealing import Sealer
from backupkit.formats.restic.times import text_time, time_text, utc_now
from backupkit.model import Unlocked
from backupkit.printable import printable
from backupkit.protocols import nothing

REFRESHED = timedelta(minutes=5)  # how often its holder puts a new lock in the place of the old
STALE = timedelta(minutes=30)
# As restic: by then its holder has looked whether it still has its lock, and clocks may differ by the rest.
_SLACK = REFRESHED * 3 / 2
_ENDANGERED = STALE - _SLACK

_SETTLING = 0.2  # seconds until others see a lock, and we theirs; as restic
_UNREADABLE = (0.5, 5.0, 20.0)  # seconds before locks that cannot be read are looked at again
_FIRST_WAIT, _LONGEST_WAIT, _STEP = 1.0, 30.0, 0.5
_POLL = 1.0  # of the wall clock: others stand still while a machine sleeps
_AGAIN = timedelta(minutes=1)  # after a refresh that failed
_PATIENCE = 5.0  # seconds that the end waits for a refresh that is under way


@dataclass(frozen=True, slots=True, kw_only=True)
class LockFile:
    """What one lock says."""

    time: datetime
    exclusive: bool
    hostname: str
    username: str
    pid: int
    uid: int = 0
    gid: int = 0

    @classmethod
    def made(cls, *, exclusive: bool, now: datetime) -> LockFile:
        """That of this process."""
        return cls(
            time=now,
            exclusive=exclusive,
            hostname=os.uname().nodename,
            username=user_name(),
            pid=os.getpid(),
            uid=os.getuid(),
            gid=os.getgid(),
        )

    @classmethod
    def parse(cls, fields: Mapping[str, Any], *, where: str) -> LockFile:
        try:
            return cls(
                time=text_time(fields["time"]),
                exclusive=bool(fields["exclusive"]),
                hostname=str(fields.get("hostname", "")),
                username=str(fields.get("username", "")),
                pid=int(fields.get("pid", 0)),
                uid=int(fields.get("uid", 0)),
                gid=int(fields.get("gid", 0)),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise IntegrityError(f"{where} is no lock: {error!r}.", where=where) from error

    def fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "time": time_text(self.time),
            "exclusive": self.exclusive,
            "hostname": self.hostname,
            "username": self.username,
            "pid": self.pid,
        }
        owner = {"uid": self.uid, "gid": self.gid}
        return fields | {name: number for name, number in owner.items() if number}

    @property
    def holder(self) -> str:
        """In words, for people."""
        kind = "exclusive" if self.exclusive else "non-exclusive"
        who = f"{self.username or 'somebody'}@{self.hostname or 'somewhere'}"
        return f"{printable(who)} (process {self.pid}, {kind})"

    def stale(self, now: datetime) -> bool:
        """Whether restic would say that nobody holds it any more: it is old, or its process is gone."""
        return now - self.time > STALE or self._process_is_gone()

    def abandoned(self, now: datetime) -> bool:
        """Whether it may be taken over without anybody having said so.

        The process may also seem gone because it runs in a container, with processes of its own but the name of
        this host; while it lives it has a new lock every few minutes.
        """
        age = now - self.time
        return age > STALE or (age > _SLACK and self._process_is_gone())

    def _process_is_gone(self) -> bool:
        if self.hostname != os.uname().nodename:
            return False
        if self.pid < 1:
            return True
        try:
            os.kill(self.pid, 0)  # restic sends SIGHUP, which would end many another program
        except (ProcessLookupError, OverflowError):
            return True
        except PermissionError:
            pass  # somebody else's, and alive
        return False


def idle(seconds: float) -> None:
    """Let so many seconds pass."""
    time.sleep(seconds)


@contextmanager
def held(
    objects: Objects,
    sealer: Sealer,
    *,
    exclusive: bool,
    wait: timedelta,
    clock: Callable[[], datetime] = utc_now,
    between: Callable[[], None] = nothing,
    settle: Callable[[float], None] = idle,
    or_without: bool = False,
) -> Iterator[Lease]:
    """Hold a lock on a repository; RepositoryLockedError if another is in the way for longer than `wait`.

    `between` is called at least twice a second while waiting, and may raise to end it. `settle` is called with the
    seconds that pass until a lock of ours is seen and counts, and returns when they are over, not before.
    Conflicting locks that were abandoned are removed. `or_without` is for whoever only reads: a destination that
    lets nothing be written is used without a lock, unless somebody else's lock forbids it, and nobody waits for a
    lock to be seen. Whatever ends this, the lock is removed; if that fails, it becomes stale by itself, and
    `left_behind` says why.
    """
    lease = Lease(objects, sealer, exclusive=exclusive, clock=clock, or_without=or_without)
    failed = True
    with _deaf_to_hangups(while_there=lease._present):
        try:
            lease._acquire(wait, between, settle)
            yield lease
            failed = False
        finally:
            lease._release(tries=not failed)


def remove_locks(
    objects: Objects,
    sealer: Sealer,
    *,
    force: bool = False,
    clock: Callable[[], datetime] = utc_now,
    between: Callable[[], None] = nothing,
) -> Unlocked:
    """Remove the locks that nobody holds any more, as `restic unlock` does.

    With `force` all of them, as `restic unlock --remove-all`; without it, those that cannot be read stay. One that
    cannot be removed keeps no other from being; then what is wrong with the first is raised.
    """
    removed = left = 0
    refused: DestinationError | None = None
    for id, _ in list(objects.list("locks")):
        between()
        try:
            if force or _is_stale(objects, sealer, id, clock()):
                objects.delete("locks", id)
                removed += 1
            else:
                left += 1
        except ObjectNotFoundError:
            continue  # whoever held it has let it go
        except DestinationError as error:
            if error.retryable:
                raise
            refused = refused or error
    if refused is not None:
        raise refused
    return Unlocked(removed=removed, left=left)


class Lease:
    """A lock for as long as it is held: refreshed by a thread of its own. Made by `held`."""

    def __init__(
        self,
        objects: Objects,
        sealer: Sealer,
        *,
        exclusive: bool,
        clock: Callable[[], datetime],
        or_without: bool,
    ) -> None:
        self.exclusive = exclusive
        self.left_behind: Exception | None = None
        self._objects = objects
        self._sealer = sealer
        self._clock = clock
        self._or_without = or_without
        self._process = os.getpid()
        self._id: str | None = None  # of the lock that is held now; None without one
        self._ours: set[str] = set()  # all that were ever made
        self._present: set[str] = set()  # those of them that may be at the destination
        self._known: dict[str, LockFile] = {}  # of others
        self._since = clock()
        self._tried = self._since
        self._failure: Exception | None = None
        self._lost = False
        self._refreshing = threading.Lock()
        self._stopped = threading.Event()

    def check(self) -> None:
        """RepositoryError if the lock is no longer there: somebody else may have changed the repository.

        Asks the destination. A lock that could not be refreshed, as on a machine that slept, is brought up to date
        if nobody has taken it. Called before what others rely on: an index is written, a snapshot becomes visible.
        """
        if self._id is None:
            return
        if not self._lost and self._endangered():
            with self._refreshing:
                if self._endangered():
                    self._refresh()
        if self._lost or not (self._is_there(self._id) or self._is_there(self._id)):
            self._lost = True  # asked twice, because the thread may replace the one by another meanwhile
            raise RepositoryError(
                f"The lock on the repository at {self._objects.location} was lost, {self._reason()}: what is under "
                "way is given up, because the repository may have been changed meanwhile. Start it again."
            ) from self._failure

    @property
    def is_held(self) -> bool:
        """Whether there is a lock at all; there is none where none could be written."""
        return self._id is not None

    def keep(self) -> None:
        """Refresh the lock if it is time; raises nothing, `check` tells."""
        now = self._clock()
        if self._lost or timedelta(0) <= now - self._tried < self._interval():
            return  # a clock that was set back is a reason to refresh
        with self._refreshing:
            if not self._stopped.is_set():
                self._tried = now
                self._refresh()

    def _interval(self) -> timedelta:
        return REFRESHED if self._failure is None else _AGAIN

    def _endangered(self) -> bool:
        return self._clock() - self._since > _ENDANGERED

    def _reason(self) -> str:
        if self._failure is not None:
            return "because it could not be refreshed"
        return "because somebody removed it"

    def _refresh(self) -> None:
        """Put a new lock in the place of the old one, unless that was taken from us.

        restic looks whether it was only where the lock is about to become stale. Here it is always done: it costs
        two listings every five minutes.
        """
        old = self._id
        if old is None:
            return
        try:
            if not self._is_there(old):
                self._lost = True
                return
            new, since = self._create()
            time.sleep(_SETTLING)
            if self._stopped.is_set() or not self._is_there(old):
                self._lost = not self._stopped.is_set()
                self._discard(new)
                return
        except Exception as error:
            self._failure = error
            self._lost = self._endangered()
            return
        self._id, self._since, self._failure = new, since, None
        self._discard(old)

    def _is_there(self, id: str) -> bool:
        return any(found == id for found, _ in self._objects.list("locks"))

    def _acquire(self, wait: timedelta, between: Callable[[], None], settle: Callable[[float], None]) -> None:
        from random import SystemRandom

        end = time.monotonic() + wait.total_seconds()
        longest = _FIRST_WAIT
        while True:
            between()
            try:
                self._try(between, settle)
                break
            except RepositoryLockedError:
                left = end - time.monotonic()
                if left <= 0:
                    raise
            # By chance, lest two that gave way to each other do so for ever.
            _pause(min(left, SystemRandom().uniform(longest / 2, longest)), between)
            longest = min(2 * longest, _LONGEST_WAIT)
        if self._id is not None:
            threading.Thread(target=self._run, name="backupkit-lock", daemon=True).start()

    def _try(self, between: Callable[[], None], settle: Callable[[float], None]) -> None:
        self._give_way(between)
        try:
            id, since = self._create()
        except AccessDeniedError:
            if self._or_without:
                return
            raise
        try:
            # Whoever reads need not wait: who deletes does, and then sees this lock if his was not seen here.
            if not self._or_without:
                settle(_SETTLING)
            self._give_way(between)
        except BaseException:
            self._discard(id)
            raise
        self._id, self._since, self._tried = id, since, since

    def _create(self) -> tuple[str, datetime]:
        now = self._clock()
        content = encode(LockFile.made(exclusive=self.exclusive, now=now).fields(), self._sealer)
        id = storage_id(content)
        self._ours.add(id)
        self._present.add(id)
        try:
            self._objects.write("locks", [content], id)
        except AccessDeniedError:
            self._present.discard(id)
            raise
        except BaseException:
            self._discard(id)  # it may be there in spite of that
            raise
        return id, now

    def _give_way(self, between: Callable[[], None]) -> None:
        """RepositoryLockedError if another lock is in the way."""
        for pause in (*_UNREADABLE, None):
            try:
                for id, lock in self._others():
                    if self.exclusive or lock.exclusive:
                        self._take_over(id, lock)
                return
            except ObjectNotFoundError:
                # It was removed, or replaced by a newer one that this listing does not have.
                if pause is None:
                    raise
            except IntegrityError as error:
                if pause is None:
                    raise IntegrityError(
                        f"{error.where} cannot be read, so that nobody knows who uses the repository: when nothing "
                        "does, remove it with `backupkit unlock --force`.",
                        where=error.where,
                    ) from error
            _pause(pause, between)

    def _others(self) -> Iterator[tuple[str, LockFile]]:
        for id, size in self._objects.list("locks"):
            if id not in self._ours and size:  # empty: what an interrupted upload leaves at some destinations
                if id not in self._known:
                    self._known[id] = _read(self._objects, self._sealer, id)
                yield id, self._known[id]

    def _take_over(self, id: str, lock: LockFile) -> None:
        """Remove an abandoned lock, so that a holder who wakes up notices; RepositoryLockedError if it is none."""
        refused: AccessDeniedError | None = None
        now = self._clock()
        if lock.abandoned(now):
            try:
                with suppress(ObjectNotFoundError):
                    self._objects.delete("locks", id)
                return
            except AccessDeniedError as error:
                if self._or_without:
                    return
                refused = error
        advice = "wait for it to end"
        if refused is not None:
            advice = "nobody has refreshed it since, but it may not be deleted here"
        elif lock.stale(now):
            minutes = int(_SLACK / timedelta(minutes=1) + 1)
            advice = (
                f"the process has ended, and its lock is taken over when it is {minutes} minutes old, "
                "or at once after `backupkit unlock`"
            )
        since = f"{lock.time:%Y-%m-%d %H:%M:%S} UTC"
        raise RepositoryLockedError(
            f"The repository at {self._objects.location} is in use by {lock.holder} since {since}: {advice}.",
            holder=lock.holder,
            since=lock.time,
        ) from refused

    def _discard(self, id: str) -> None:
        """Remove a lock of ours, by one try; the end has another."""
        with suppress(DestinationError):
            with suppress(ObjectNotFoundError):
                self._objects.destination.delete(object_name("locks", id))
            self._present.discard(id)

    def _run(self) -> None:
        while not self._lost and not self._stopped.wait(_POLL):
            self.keep()

    def _release(self, *, tries: bool) -> None:
        """Remove the lock; with the usual tries where all went well, and where it did not, with one."""
        if os.getpid() != self._process:  # a forked process has inherited this object, not the lock
            return
        self._stopped.set()
        free = self._refreshing.acquire(
            timeout=_PATIENCE
        )  # otherwise the thread hangs, and clears up if it can
        try:
            for id in list(self._present):
                try:
                    if tries:
                        self._objects.delete("locks", id)
                    else:
                        self._objects.destination.delete(object_name("locks", id))
                except ObjectNotFoundError:
                    pass
                except DestinationError as error:
                    self.left_behind = error
                    continue
                self._present.discard(id)
            self._id = None
        finally:
            if free:
                self._refreshing.release()


@contextmanager
def _deaf_to_hangups(*, while_there: Collection[str]) -> Iterator[None]:
    """Survive the signal by which restic asks whether the holder of a lock is alive, where that can be arranged.

    `restic unlock` on this host sends SIGHUP to us, and ignores it itself. Only the main thread can arrange it, and
    a program's own way to handle the signal is left alone. A function, because what is ignored outright is ignored
    by the programs that we start, too. It stays so where a lock could not be removed, `while_there`: restic asks
    for as long as it finds one.
    """
    arranged = False
    in_main_thread = threading.current_thread() is threading.main_thread()
    if in_main_thread and signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        signal.signal(signal.SIGHUP, _ignored)
        arranged = True
    try:
        yield
    finally:
        if arranged and not while_there and signal.getsignal(signal.SIGHUP) is _ignored:
            with suppress(ValueError):  # ended by another thread
                signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _ignored(number: int, frame: object) -> None:
    pass


def _pause(seconds: float, between: Callable[[], None]) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, _STEP))
        between()


def _is_stale(objects: Objects, sealer: Sealer, id: str, now: datetime) -> bool:
    try:
        return _read(objects, sealer, id).stale(now)
    except IntegrityError:
        return False


def _read(objects: Objects, sealer: Sealer, id: str) -> LockFile:
    return LockFile.parse(objects.load("locks", id, sealer), where=objects.where("locks", id))
