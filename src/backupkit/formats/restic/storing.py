"""Reading the content of entries, once for all repositories that need it, and storing it in those."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from itertools import chain
from typing import Generic, NamedTuple, Protocol, TypeVar

from backupkit.errors import (
    BackupKitError,
    ConfigurationError,
    HookError,
    OperationCancelledError,
    SourceError,
    told,
)
from backupkit.formats.restic.chunking import MIN, Chunker
from backupkit.model import Entry, Problem
from backupkit.protocols import nothing
from backupkit.retrying import Retry, is_retryable

# Entries that are tried again; where more fail, the disk does, and waiting for each would take days.
_PATIENCE = 20


class Content(NamedTuple):
    """What a file's node says of its content: the ids of its blobs, and its size."""

    ids: Sequence[bytes]
    size: int


class Receiver(Protocol):
    """One of the repositories into which something is being written. What it raises is its own failure."""

    @property
    def polynomial(self) -> int: ...

    def add(self, id: bytes, plain: bytes, *, tree: bool = False) -> None:
        """Store a blob if it is new."""

    def close(self) -> None:
        """Wait for what is under way; nothing more will be given."""


R = TypeVar("R", bound=Receiver)


class NobodyLeft(Exception):  # noqa: N818  # what it ends with is raised by who has all errors
    """Every repository has failed."""


class Living(Generic[R]):
    """The repositories that have not failed, by their number, and with what the others have."""

    def __init__(self, receivers: Mapping[int, R]) -> None:
        self.receivers: MutableMapping[int, R] = dict(receivers)
        self.failures: dict[int, BackupKitError] = {}

    def each(self, call: Callable[[int, R], None]) -> None:
        """Do it with every one; NobodyLeft if all have failed."""
        for number, receiver in [*self.receivers.items()]:
            try:
                call(number, receiver)
            except BackupKitError as error:
                self.fail(number, error)

    def fail(self, number: int, error: BackupKitError) -> None:
        """Drop one; what is wrong with all of them, or ends the run, is raised again."""
        if isinstance(error, OperationCancelledError | ConfigurationError):
            raise error
        if (receiver := self.receivers.pop(number, None)) is not None:
            self.failures[number] = error
            receiver.close()
        if not self.receivers:
            raise NobodyLeft from error


class _NotOfTheFileError(Exception):
    """What went wrong while a file was read, and is not to be taken for a failure of the file."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class ContentReader:
    """Reads files for the repositories of `living`. One thread at a time.

    `meanwhile` is called now and then while a large one is read; what it raises is raised, and not taken for a
    failure of the file.
    """

    def __init__(self, living: Living[R], retry: Retry) -> None:
        self.read = 0  # bytes
        self.meanwhile: Callable[[], None] = nothing
        self._living: Living[R] = living
        self._retry = retry
        self._given_up = 0
        self._chunkers: dict[int, Chunker] = {}

    def stored(
        self, entry: Entry, numbers: Sequence[int], problems: list[Problem]
    ) -> Mapping[int, Content] | None:
        """Store the content in these repositories; None if it could not be read, which is a problem."""
        try:
            return self._stored_once(entry, numbers, problems)
        except _NotOfTheFileError as error:
            raise error.error from None
        except (OperationCancelledError, HookError, NobodyLeft, ConfigurationError):
            raise
        except Exception as error:
            if is_retryable(error) and self._given_up < _PATIENCE and self._retry.tries > 1:
                return self._stored_again(entry, numbers, problems, error)
            self._given_up += is_retryable(error)
            problems.append(_lost(entry, error))
            return None

    def _stored_again(
        self, entry: Entry, numbers: Sequence[int], problems: list[Problem], failure: Exception
    ) -> Mapping[int, Content] | None:
        first: Exception | None = failure
        contents: Mapping[int, Content] | None = None
        try:
            for attempt in self._retry.attempts():
                with attempt:
                    if first is not None:  # which was the first attempt
                        error, first = first, None
                        raise error
                    contents = self._stored_once(entry, numbers, problems)
        except _NotOfTheFileError as error:
            raise error.error from None
        except (OperationCancelledError, HookError, NobodyLeft, ConfigurationError):
            raise
        except Exception as error:
            self._given_up += is_retryable(error)
            problems.append(_lost(entry, error))
            return None
        return contents

    def _stored_once(
        self, entry: Entry, numbers: Sequence[int], problems: list[Problem]
    ) -> Mapping[int, Content]:
        if entry.warnings:
            entry.warnings.clear()
        if entry.rows:
            entry.rows.clear()
        chunks = iter(entry.chunks())
        try:
            first, second = next(chunks, b""), next(chunks, None)
            if second is None and len(first) <= MIN:  # most files: no chunker is needed
                self.read += len(first)
                contents = self._stored_whole(first, numbers)
            else:
                begun = (first,) if second is None else (first, second)
                contents = self._stored_in_pieces(chain(begun, chunks), numbers)
        finally:
            if (close := getattr(chunks, "close", None)) is not None:
                close()
        if entry.warnings:
            problems += entry.warnings
        return contents

    def _stored_whole(self, plain: bytes, numbers: Sequence[int]) -> Mapping[int, Content]:
        if not plain:
            return dict.fromkeys(numbers, Content((), 0))
        id = hashlib.sha256(plain).digest()
        self._store(id, plain, numbers)
        return dict.fromkeys(numbers, Content((id,), len(plain)))

    def _stored_in_pieces(self, chunks: Iterable[bytes], numbers: Sequence[int]) -> Mapping[int, Content]:
        groups: dict[int, list[int]] = {}
        for number in numbers:
            if number in self._living.receivers:
                groups.setdefault(self._living.receivers[number].polynomial, []).append(number)
        ids: dict[int, list[bytes]] = {polynomial: [] for polynomial in groups}
        size = 0
        for polynomial in groups:
            if polynomial not in self._chunkers:
                self._chunkers[polynomial] = Chunker(polynomial)
            self._chunkers[polynomial].begin()

        def store(polynomial: int, blobs: Iterator[bytes]) -> None:
            for blob in blobs:
                id = hashlib.sha256(blob).digest()
                ids[polynomial].append(id)
                self._store(id, blob, groups[polynomial])

        for chunk in chunks:
            size += len(chunk)
            self.read += len(chunk)
            try:
                self.meanwhile()
            except BaseException as error:
                raise _NotOfTheFileError(error) from error
            for polynomial in groups:
                store(polynomial, self._chunkers[polynomial].add(chunk))
        for polynomial in groups:
            store(polynomial, self._chunkers[polynomial].rest())
        return {
            number: Content(ids[polynomial], size) for polynomial, own in groups.items() for number in own
        }

    def _store(self, id: bytes, plain: bytes, numbers: Iterable[int]) -> None:
        receivers = self._living.receivers
        for number in numbers:
            if number in receivers:
                try:
                    receivers[number].add(id, plain)
                except BackupKitError as error:
                    self._living.fail(number, error)
                except Exception as error:
                    # Blobs of files that were read before are lost with it, such as one that memory was short for.
                    raise _NotOfTheFileError(error) from error


def odd_names(entry: Entry) -> Iterator[Problem]:
    """Names of extended attributes are texts in a tree, so that others would come back as something else."""
    for name in entry.xattrs:
        try:
            name.encode()
        except UnicodeEncodeError:
            yield Problem(
                message=f"The extended attribute {name!r} of {entry.path!r} cannot be kept under its name, which "
                "is not UTF-8.",
                severity="warning",
                path=entry.path,
            )


def _lost(entry: Entry, error: Exception) -> Problem:
    if isinstance(error, SourceError):
        return Problem(message=str(error), severity=error.severity, path=entry.path)
    return Problem(message=f"{entry.path} could not be read: {told(error)}", path=entry.path)
