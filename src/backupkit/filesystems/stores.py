"""`FileStore`: what is needed of a file system, however it does it. One module of this room for each kind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A file of a file system. `path` is the file system's own name for it.

    `tag` changes whenever the content does, if the store has such a thing (an ETag, a revision). `checksum` is the
    store's own of the content, in the spelling of `Upload.checksum`; None if it has none. `regular` is False for a
    link, and for what is no file at all.
    """

    path: str
    size: int
    modified: datetime
    tag: str | None = None
    checksum: str | None = None
    regular: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Bytes of a file, and what the store said of the whole file with them."""

    content: bytes
    size: int
    tag: str | None = None


class Upload(Protocol):
    """An object on its way. Nothing is visible before `commit`.

    `checksum` is the one that the store should have of the object, known once all is sent; None if there is none.
    """

    @property
    def checksum(self) -> str | None: ...

    def send(self, chunks: Iterator[bytes]) -> None:
        """Send all of it, in bounded memory; what the chunks raise passes through unchanged."""
        ...

    def commit(self) -> None:
        """Make the object visible, whole.

        When this fails, whether it has happened may be unknown; who calls asks the store itself then.
        """
        ...

    def made(self, found: Found) -> bool:
        """After a commit that succeeded: whether this is what it made, and no other writer's of the same name.

        False also where a commit makes the object whole or not at all, so that what is not whole is another's.
        """
        ...

    def abort(self) -> None:
        """Leave nothing behind; called at most once, after a failure of any kind, or a failed commit.

        It may fail. It must not undo a commit that has happened.
        """
        ...


class FileStore(Protocol):
    """One connected file system. Paths are its own.

    Errors are those of the library below; `failures.failure_of` says what they mean. Calls that can be repeated are
    repeated in here, after failures that may pass, and within `Transfer.patience`.
    """

    def upload(self, path: str, *, overwrite: bool) -> Upload:
        """Begin an object; no I/O yet. Without `overwrite` the commit fails for one that exists, where it can."""
        ...

    def pieces(self, path: str, start: int, length: int | None) -> Iterator[Piece]:
        """Yield the bytes from `start`, in order and of one state of the file, some pieces ahead.

        The first piece comes even if it is empty, as beyond the end. A file that is replaced meanwhile is an error.
        """
        ...

    def look(self, path: str) -> Found | None:
        """What is there now, never what was there before; None if there is no file."""
        ...

    def find(self, prefix: str) -> Iterator[Found]:
        """Yield the files whose paths begin with `prefix`, in any order, as they are now; one call per page."""
        ...

    def remove(self, path: str) -> None:
        """Delete a file; one that is gone already may or may not be an error."""
        ...


class PlaceMissingError(FileNotFoundError):
    """The bucket or folder itself is not there, in which something was looked for."""


class CutShortError(OSError):
    """Less was kept than was sent, or more, of what nobody sees yet."""

    def __init__(self, *, kept: int, sent: int) -> None:
        super().__init__(f"{kept} bytes were kept of the {sent} that were sent")
        self.kept = kept
        self.sent = sent


class StrangeAnswerError(OSError):
    """What came is no answer of a store of this kind."""


class ReplacedError(OSError):
    """A file was replaced while it was read."""


@runtime_checkable
class LeavesUploads(FileStore, Protocol):
    """A store in which a killed upload leaves something, which is not among its files."""

    def abandoned(self, prefix: str) -> Iterator[Found]:
        """Yield unfinished uploads of files whose paths begin with `prefix`.

        Their `path` is that of the file to be, a "#", and what tells the upload from others.
        """
        ...

    def abandon(self, path: str) -> None:
        """End one of them; one that is gone already is no error."""
        ...


@runtime_checkable
class HasAddress(FileStore, Protocol):
    """A store of which the environment, too, has a say in where its requests go."""

    @property
    def address(self) -> str:
        """Where they go, as a URL; nothing has been sent there yet."""
        ...
