"""The steps of an examination: each tries one part of a destination's contract, and says what was seen."""

from __future__ import annotations

import os
import threading
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from backupkit.destinations.local import LocalDestination
from backupkit.destinations.remote import RemoteDestination
from backupkit.destinations.wrapping import innermost
from backupkit.errors import (
    AccessDeniedError,
    BackupKitError,
    DestinationError,
    ObjectExistsError,
    ObjectNotFoundError,
    OperationCancelledError,
)
from backupkit.model import CLOCK_TOLERANCE, StoredObject
from backupkit.protocols import Destination, HasLeftovers
from backupkit.sizes import format_size

MiB = 1 << 20
_PART = 4 * MiB  # of a destination that does not say in what parts it sends
_MOST = 64 * MiB
_BLINK = timedelta(seconds=5)  # stores say times to the second, and a request takes its time
_LONG = "2026-11-23T03-00-00.123456Z-pinned-until-2027-01-01T00-00-00.000000Z"  # as the longest of ours are
_NO_TRUST = "Do not trust it with backups: look for another one, or for what stands in front of it."
_PAST = {"write": "written", "list": "listed", "read": "read"}


class BrokenError(Exception):
    """It does not hold: what was seen, and what to do."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.advice = advice


class NotKnownError(Exception):
    """It could not be found out, and why."""


class _AbortedError(Exception):
    """What the chunks of an upload raise that is broken off on purpose."""


class Trials:
    """The steps, to be taken in the order in which they stand here.

    `may` is what is known of the rights by then, `written` holds what has been written and not deleted, and the
    measurements are None until they were made; `silent` is how many calls nobody has answered in a row. A step
    returns what holds, or raises: BrokenError, NotKnownError, or whatever the destination fails with.
    """

    def __init__(self, destination: Destination, cancel: threading.Event) -> None:
        self.folder = f"backupkit/doctor-{os.urandom(6).hex()}/"
        self.may: dict[str, bool] = {}
        self.written: set[str] = set()
        self.round_trip: timedelta | None = None
        self.ahead: timedelta | None = None
        self.silent = 0
        self.upload: float | None = None
        self.download: float | None = None
        self._at = destination
        self._cancel = cancel
        self._small, self._large = f"{self.folder}small", f"{self.folder}large"
        self._seen_early: list[str] = []
        inner = innermost(destination)
        part = inner.part_size if isinstance(inner, RemoteDestination) else _PART
        self._size = min(2 * part + 1, _MOST)
        self._content = b""

    def check_cancelled(self) -> None:
        if self._cancel.is_set():
            raise OperationCancelledError(f"The examination of {self._at.location} was cancelled.")

    def heard(self, error: Exception | None) -> None:
        """Note whether a call was answered, by an error or without one."""
        self.silent = self.silent + 1 if isinstance(error, DestinationError) and error.retryable else 0

    def reach(self) -> str:
        times: list[float] = []
        for _ in range(3):
            begin = time.monotonic()
            with suppress(ObjectNotFoundError, AccessDeniedError):  # an answer, too
                self._at.stat(f"{self.folder}missing")
            times.append(time.monotonic() - begin)
        self.round_trip = timedelta(seconds=sorted(times)[1])
        return f"It answers a short question in {_milliseconds(self.round_trip)}."

    def encryption(self) -> str:
        inner = innermost(self._at)
        if isinstance(inner, LocalDestination):
            return "It is a folder of this machine, or mounted on it: nothing is sent by backupkit itself."
        encrypted = inner.encrypted if isinstance(inner, RemoteDestination) else None
        if encrypted is None:
            raise NotKnownError("Whether what is sent is encrypted on its way is not known.")
        if not encrypted:
            raise BrokenError(
                "Anybody on the way can read and change what is sent.",
                "Use an address that begins with https.",
            )
        return (
            "What is sent is encrypted on its way, and who answers is verified, or it stays on this machine."
        )

    def write(self) -> str:
        before = datetime.now(UTC)
        stored = self._put(self._small, [b"backup", b"kit"])
        self.ahead = stored.modified - (before + (datetime.now(UTC) - before) / 2)
        return "A small object was written."

    def list(self) -> str:
        found = {one.name: one.size for one in self._at.list(self.folder)}
        self.may["list"] = True
        self._need("write")
        if found != {self._small: 9}:
            raise BrokenError(
                f"An object that was just written is not listed as it is: {shown(found)}.",
                "Let nothing that caches listings stand in front of the store.",
            )
        return "What was written is listed at once."

    def read(self) -> str:
        self._need("write")
        if self._bytes(self._small) != b"backupkit":
            raise BrokenError("What is read is not what was written.", _NO_TRUST)
        return "What was written is read back."

    def write_parts(self) -> str:
        self._need("write")
        self._content = _content(self._size)
        last = (self._size - 1) // MiB * MiB
        aside = 0.0

        def chunks() -> Iterator[bytes]:
            nonlocal aside
            for start in range(0, self._size, MiB):
                self.check_cancelled()
                yield self._content[start : start + MiB]
                if start in (0, last):
                    begin = time.monotonic()
                    self._look_early(self._large)
                    aside += time.monotonic() - begin

        begin = time.monotonic()
        self._put(self._large, chunks(), size=self._size)
        took = time.monotonic() - begin - aside
        self.upload = self._size / max(took, 1e-6)
        return f"{format_size(self._size)} were sent, {format_size(int(self.upload))} per second."

    def read_in_full(self) -> str:
        self._need("read")
        self._need_object(self._large)
        begin = time.monotonic()
        content = self._bytes(self._large)
        self.download = self._size / max(time.monotonic() - begin, 1e-6)
        if content != self._content:
            raise BrokenError(
                f"Of {self._size} bytes, {len(content)} came back, and not the same.", _NO_TRUST
            )
        return f"They came back, {format_size(int(self.download))} per second."

    def unfinished(self) -> str:
        self._need_object(self._large)
        if self._seen_early:
            raise BrokenError(
                f"An object could be seen before it was whole: {shown(self._seen_early)}.",
                "Do not use it: a run that is killed would leave half a backup that looks like a whole one.",
            )
        return "An object cannot be seen before it is whole."

    def broken_off(self) -> str:
        self._need_object(self._large)
        name = f"{self.folder}broken"
        self._break_off(name, lambda: None)
        there = [*self._there(name), *(one.name for one in self.left_over())]
        if there:
            raise BrokenError(
                f"Something is left of an upload that was broken off: {shown(there)}.",
                "Look after it yourself, and delete what is left there from time to time.",
            )
        return "An upload that is broken off leaves nothing, and its own error passes."

    def leftovers(self) -> str:
        self._need_object(self._large)
        at = self._at
        if not isinstance(at, HasLeftovers):
            raise NotKnownError("It says that nothing can be left of a run that is killed.")
        found: list[str] = []
        refused: list[str] = []
        still: list[str] = []

        def sweep() -> None:
            for leftover in self.left_over():
                found.append(leftover.name)
                try:
                    at.discard(leftover)
                except AccessDeniedError:
                    refused.append(leftover.name)
            still.extend(one.name for one in self.left_over())

        self._break_off(f"{self.folder}killed", sweep)
        if not found:
            raise NotKnownError(
                "An upload under way is not listed as unfinished: the store hides or forgets it."
            )
        if refused:
            raise NotKnownError(
                "What a killed run would leave is found, and these credentials may not delete it: "
                f"{shown(refused)}."
            )
        if still:
            raise BrokenError(
                f"What a killed run leaves is found, and is still there once it was deleted: {shown(still)}.",
                "Delete it yourself from time to time.",
            )
        return "What a killed run leaves is found and swept."

    def ranges(self) -> str:
        self._need("read")
        self._need_object(self._large)
        for start, length in ((0, 1), (1, 1000), (MiB - 1, 2), (self._size - 22, 100), (self._size, None)):
            wanted = self._content[start:] if length is None else self._content[start : start + length]
            if b"".join(self._at.read(self._large, start=start, length=length)) != wanted:
                raise BrokenError(
                    f"Asked for {length or 'all'} bytes from {start} on, it gave others.",
                    "Do not use it: restoring one file would read all, or fail.",
                )
        return "A part of an object can be read by itself."

    def create_only(self) -> str:
        self._need_object(self._small)
        try:
            self._put(self._small, [b"another"], size=None)
        except ObjectExistsError:
            if self.may.get("read") and self._bytes(self._small) != b"backupkit":
                raise BrokenError("It refused to replace an object, and replaced it.", _NO_TRUST) from None
            return "An object that exists is not replaced."
        raise BrokenError(
            "It replaced an object without being told to.",
            "Do not use it: a good backup could be overwritten.",
        )

    def overwrite(self) -> str:
        self._need_object(self._small)
        self._put(self._small, [b"replaced, and longer"], overwrite=True, size=20)
        sizes = {self._at.stat(self._small).size}
        if self.may.get("list"):
            sizes |= {one.size for one in self._at.list(self._small)}
        if sizes != {20} or (self.may.get("read") and self._bytes(self._small) != b"replaced, and longer"):
            raise BrokenError(
                "An object that was replaced is still seen as it was before.",
                "Let nothing that caches answers stand in front of the store.",
            )
        return "An object is replaced when that is asked for, and seen so at once."

    def names(self) -> str:
        self._need("write")
        folder = f"{self.folder}names/"
        names = [f"{folder}{name}" for name in ("a-b", "a.b", "a/b-c", "a/b/c", "a0", "b_", _LONG)]
        for name in names:
            self.check_cancelled()
            self._put(name, [b"name"])
        self._need("list")
        found = [one.name for one in self._at.list(folder)]
        inside = [one.name for one in self._at.list(f"{folder}a/")]
        if found != sorted(names) or inside != [
            one for one in sorted(names) if one.startswith(f"{folder}a/")
        ]:
            raise BrokenError(
                f"Names are not listed as they were given, in order: {shown(found)}.",
                "Do not use it: backups could not be found again.",
            )
        return "Names come back as they were given, in order."

    def delete(self) -> str:
        self._need_object(self._small)
        self._at.delete(self._small)
        if there := self._there(self._small):
            raise BrokenError(
                f"An object that was deleted is still there: {shown(there)}.",
                "Look for a rule of the store that keeps objects, or for a cache in front of it.",
            )
        self.written.discard(self._small)
        try:
            self._at.delete(self._small)
        except ObjectNotFoundError:
            return "An object is gone once it was deleted."
        raise BrokenError("It says to have deleted what is not there.", _NO_TRUST)

    def clock(self) -> str:
        self._need("write")
        if self.ahead is None or abs(self.ahead) <= _BLINK:
            return "Its clock and this machine's agree."
        seconds = round(abs(self.ahead).total_seconds())
        way = "ahead of" if self.ahead > timedelta(0) else "behind"
        message = f"Its clock is {seconds} seconds {way} this machine's."
        if abs(self.ahead) > CLOCK_TOLERANCE:
            raise BrokenError(
                message, "Set the clock that is wrong: leftovers of killed runs are told by their age."
            )
        return message

    # What the steps are made of

    def _need(self, right: str) -> None:
        if not self.may.get(right):
            raise NotKnownError(f"This could not be tried, for nothing can be {_PAST[right]}.")

    def _need_object(self, name: str) -> None:
        if name not in self.written:
            raise NotKnownError("This could not be tried, for its object could not be written.")

    def _put(
        self, name: str, chunks: Iterable[bytes], *, overwrite: bool = False, size: int | None = None
    ) -> StoredObject:
        stored = self._at.write(name, chunks, overwrite=overwrite)
        self.written.add(name)
        if stored.name != name or stored.size != (stored.size if size is None else size):
            raise BrokenError(
                f"It says to have stored {stored.size} bytes as {stored.name}: these were {size} as {name}.",
                _NO_TRUST,
            )
        return stored

    def _bytes(self, name: str) -> bytes:
        chunks: list[bytes] = []
        for chunk in self._at.read(name):
            self.check_cancelled()
            chunks.append(chunk)
        return b"".join(chunks)

    def _there(self, name: str) -> Sequence[str]:
        """Under which of its names an object can be seen."""
        found = [one.name for one in self._at.list(name)] if self.may.get("list") else []
        with suppress(ObjectNotFoundError, AccessDeniedError):
            found.append(self._at.stat(name).name)
        return sorted({*found})

    def _look_early(self, name: str) -> None:
        try:
            self._seen_early += self._there(name)
        except BackupKitError:  # what cannot be asked just now is asked afterwards
            return

    def left_over(self) -> Sequence[StoredObject]:
        return [*self._at.leftovers(self.folder)] if isinstance(self._at, HasLeftovers) else []

    def _break_off(self, name: str, meanwhile: Callable[[], None]) -> None:
        """Begin an upload in parts, do something when they were taken, and end it by an error of its content."""
        error = _AbortedError()

        def chunks() -> Iterator[bytes]:
            for start in range(0, self._size, MiB):
                self.check_cancelled()
                yield self._content[start : start + MiB]
            meanwhile()
            raise error

        self.written.add(name)
        try:
            self._at.write(name, chunks())
        except _AbortedError as raised:
            if raised is error:
                return
        raise BrokenError("An upload whose content failed did not fail with that.", _NO_TRUST)


def _content(size: int) -> bytes:
    # No two places are alike, which shows a range that is off; nor two examinations, lest a store know it already.
    first = int.from_bytes(os.urandom(3), "big")
    return array("I", range(first, first + size // 4 + 1)).tobytes()[:size]


def shown(names: Iterable[str]) -> str:
    """Some names, in a sentence."""
    found = [*names]
    return (", ".join(found[:10]) or "nothing") + (f" and {len(found) - 10} more" if len(found) > 10 else "")


def _milliseconds(took: timedelta) -> str:
    return f"{max(1, round(took.total_seconds() * 1000))} ms"
