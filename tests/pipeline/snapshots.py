"""What the tests of pipelines with `format=Restic()` share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from backupkit import Backups, DestinationError, Directory, Passphrase, Restic
from backupkit.destinations.wrapping import Wrapping
from backupkit.model import StoredObject
from backupkit.protocols import Chunks, Destination
from backupkit.testing.destinations import MemoryDestination
from backupkit.testing.trees import tree
from tests.impatience import be_impatient
from tests.pipeline.shop import Make
from tests.restics import PASSWORD

PASSPHRASE = Passphrase(PASSWORD)
FORMAT = Restic(cache=False, lock_wait=timedelta(0))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    be_impatient(monkeypatch)


@pytest.fixture
def places(impatient: None, make: Make, tmp_path: Path) -> tuple[MemoryDestination, MemoryDestination]:
    """Two, each with a repository and a snapshot."""
    places = MemoryDestination("first"), MemoryDestination("second")
    app = tree(tmp_path / "app", {"a": b"a"})
    make(Directory(app), places, encryptor=PASSPHRASE, format=FORMAT).run()
    return places


def at(*destinations: Destination, by: Passphrase = PASSPHRASE) -> Backups:
    """Whatever backups are there."""
    return Backups(None, destinations, encryptor=by, format=FORMAT)


class Failing(Wrapping):
    """A destination that fails when an object below `prefix` is written, the first `times`.

    Or it does something instead: before that, or `afterwards`.
    """

    def __init__(
        self,
        inner: Destination,
        prefix: str = "",
        *,
        times: int = 1 << 30,
        retryable: bool = False,
        does: Callable[[], object] | None = None,
        afterwards: bool = False,
    ) -> None:
        super().__init__(inner)
        self._prefix = prefix
        self._left = times
        self._retryable = retryable
        self._does = does
        self._afterwards = afterwards

    def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
        if name.startswith(self._prefix) and self._left:
            self._left -= 1
            if self._does is None:
                raise DestinationError(
                    "The cable was cut.", location=self.location, retryable=self._retryable
                )
            if self._afterwards:
                stored = super().write(name, chunks, overwrite=overwrite)
                self._does()
                return stored
            self._does()
        return super().write(name, chunks, overwrite=overwrite)


class Hanging(Wrapping):
    """A destination of which every read of a name below `prefix` hangs until `go_on` is set."""

    def __init__(self, inner: Destination, prefix: str, go_on: threading.Event) -> None:
        super().__init__(inner)
        self._prefix = prefix
        self._go_on = go_on

    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        if name.startswith(self._prefix):
            self._go_on.wait()
        yield from super().read(name, start=start, length=length)


class Silent(Wrapping):
    """A destination that nobody answers for."""

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        raise DestinationError("Nobody answers.", location=self.location)
        yield

    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        raise DestinationError("Nobody answers.", location=self.location)
        yield

    def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
        raise DestinationError("Nobody answers.", location=self.location)
