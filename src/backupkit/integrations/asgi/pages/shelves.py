"""`Shelves`: what is in backups, as far as pages have looked into them lately."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeAlias, TypeVar

from backupkit.browsing.shelf import Shelf
from backupkit.errors import BackupKitError, DestinationError
from backupkit.model import Backup, Manifest
from backupkit.pipeline import BackupPipeline

_T = TypeVar("_T")
_SHELVES = 4  # each holds what is known of eight backups, of which an archive may be large
_UNUSED = 600.0  # seconds
_DETAILS = 2000
_MANIFESTS = 20
_HANGING = 8  # threads that may wait for one destination, or be left behind by it

_Key: TypeAlias = tuple[str, str, str, str]


class NoAnswerError(DestinationError):
    """Nobody has said anything in time. It may come yet."""


@dataclass(frozen=True, slots=True)
class Facts:
    """A backup with its details and what it says of itself, or what kept that from being read."""

    backup: Backup
    manifest: Manifest | None
    problem: str | None = None


class Shelves:
    """Looks into backups on threads of its own, each waited for no longer than `patience` (seconds).

    The directory of an archive is read once, and then kept for a while. Which backups there are, this never asks.
    """

    def __init__(self, pipelines: Mapping[str, BackupPipeline], *, patience: timedelta) -> None:
        self.patience = patience.total_seconds()
        self._pipelines = pipelines
        self._lock = threading.Lock()
        self._room: dict[str, threading.Semaphore] = {}
        self._shelves: OrderedDict[tuple[str, str], tuple[Shelf, float]] = OrderedDict()
        self._details: OrderedDict[_Key, Backup] = OrderedDict()
        self._manifests: OrderedDict[_Key, Manifest] = OrderedDict()
        self._noted: OrderedDict[tuple[str, ...], float] = OrderedDict()

    def within(self, location: str, ask: Callable[[], _T]) -> _T:
        """What comes of asking this destination something; NoAnswerError if that takes too long."""
        with self._lock:
            room = self._room.setdefault(location, threading.BoundedSemaphore(_HANGING))
        end = time.monotonic() + self.patience
        answers: list[_T] = []
        errors: list[BaseException] = []
        done = threading.Event()

        def run() -> None:
            try:
                answers.append(ask())
            except BaseException as error:
                errors.append(error)
            finally:
                room.release()
                done.set()

        if room.acquire(timeout=self.patience):
            threading.Thread(target=run, name=f"backupkit-page-{location}", daemon=True).start()
            done.wait(max(0.0, end - time.monotonic()))
        if errors:
            raise errors[0]
        if not answers:
            raise NoAnswerError(
                f"{location} has not answered within {self.patience:g} seconds. It may be slow, or away: try again "
                "in a moment.",
                location=location,
                retryable=True,
            )
        return answers[0]

    def shelf(self, name: str, location: str) -> Shelf:
        """That of this destination of a pipeline; those that nobody has used for a while are forgotten."""
        now, key = time.monotonic(), (name, location)
        with self._lock:
            shelf, _ = self._shelves.pop(key, (None, now))
            while self._shelves and next(iter(self._shelves.values()))[1] < now - _UNUSED:
                self._shelves.popitem(last=False)
            if shelf is None:
                pipeline = self._pipelines[name]
                shelf = Shelf(lambda: pipeline, at=location, expiry=0.0)
            self._shelves[key] = shelf, now
            while len(self._shelves) > _SHELVES:
                self._shelves.popitem(last=False)
            return shelf

    def known(self, name: str, backup: Backup) -> Backup:
        """The backup, with those details that were read lately, if it has none yet; asks nobody."""
        found = self._details.get(_key(name, backup))
        if backup.entries is not None or found is None:
            return backup
        return replace(backup, entries=found.entries, size=found.size, host=found.host, tags=found.tags)

    def facts(self, name: str, backup: Backup) -> Facts:
        """All that can be found out of a backup without reading its contents, as far as that succeeds in time."""
        key, pipeline = _key(name, backup), self._pipelines[name]
        problems: list[str] = []

        def read() -> None:
            try:
                if key not in self._details and backup.entries is None:
                    self._keep(self._details, key, pipeline.details(backup), _DETAILS)
                if key not in self._manifests:
                    self._keep(self._manifests, key, pipeline.manifest(backup), _MANIFESTS)
            except BackupKitError as error:
                problems.append(str(error))

        try:
            self.within(backup.location, read)
        except NoAnswerError as error:
            problems.append(str(error))
        problem = problems[0] if problems else None
        return Facts(self.known(name, backup), self._manifests.get(key), problem)

    def is_first(self, *what: str) -> bool:
        """Whether nobody has said this here in the last ten minutes, so that what comes in pieces is noted once."""
        now = time.monotonic()
        with self._lock:
            while self._noted and next(iter(self._noted.values())) < now - _UNUSED:
                self._noted.popitem(last=False)
            first = what not in self._noted
            self._noted[what] = self._noted.pop(what, now)
            return first

    def _keep(self, those: OrderedDict[_Key, _T], key: _Key, value: _T, most: int) -> None:
        with self._lock:
            those[key] = value
            while len(those) > most:
                those.popitem(last=False)


def _key(name: str, backup: Backup) -> _Key:
    return name, backup.location, backup.name, backup.id
