"""`RemoteDestination`: objects as files of any file system that fsspec knows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from backupkit.destinations.names import check_name, is_name
from backupkit.destinations.remote_errors import cannot_tell, overtaken, translated
from backupkit.destinations.streams import Sent, closed_on_failure
from backupkit.errors import (
    BackupKitError,
    ConfigurationError,
    not_kept_whole,
)
from backupkit.filesystems.addresses import join
from backupkit.filesystems.failures import failure_of
from backupkit.filesystems.letting_go import let_go
from backupkit.filesystems.roots import Root, UPathLike
from backupkit.filesystems.stores import FileStore, Found, LeavesUploads, Upload
from backupkit.model import StoredObject
from backupkit.protocols import Chunks

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


class RemoteDestination:
    """Objects below a URL such as `s3://bucket/folder`; made by `open_destination`.

    Holds settings only, and connects inside its calls, in each process anew. An object is visible when all of it
    was sent and the store has been told so; then its size, and its checksum where the store has one, are compared
    with what was sent. Options are those of `Root`.
    """

    def __init__(
        self, url: str | UPathLike | Root, *, fs: AbstractFileSystem | None = None, **options: Any
    ) -> None:
        self._root = url if isinstance(url, Root) else Root(url, fs=fs, **options)

    def __repr__(self) -> str:
        return f"open_destination({self.location!r})"

    @property
    def location(self) -> str:
        return self._root.location

    @property
    def part_size(self) -> int:
        """How many bytes one request sends."""
        return self._root.transfer.part_size

    @property
    def encrypted(self) -> bool | None:
        """Whether nobody on the way can read what is sent; None if that is the file system's matter."""
        if self._root.plaintext:
            return False
        return True if self._root.kind.encrypts else None

    @property
    def stall_limit(self) -> float:
        return self._root.transfer.stall_limit

    def within(self) -> tuple[RemoteDestination, str] | None:
        """The destination one folder above, and this folder's name; None for a bucket or share itself."""
        above = self._root.within()
        return above and (RemoteDestination(above[0]), above[1])

    def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
        with closed_on_failure(chunks) as stream:
            check_name(name)
            sent = Sent(stream)
            with self._errors("written", name, sent):
                store, path = self._at(name)
                before = store.look(path)
                if before is not None and not overwrite:
                    raise FileExistsError(name)
                upload = store.upload(path, overwrite=overwrite)
                try:
                    upload.send(sent)
                    found = self._committed(store, upload, name, path, sent.size, before)
                except BaseException:
                    with suppress(Exception):  # what killed processes leave is swept later, and so is this
                        upload.abort()
                    raise
                return _stored(name, found)

    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        check_name(name)
        with self._errors("read", name):
            store, path = self._at(name)
            pieces = store.pieces(path, start, length)
        with closed_on_failure(pieces) as stream:
            while True:
                with self._errors("read", name):
                    piece = next(stream, None)
                if piece is None:
                    return
                if piece.content:
                    yield piece.content

    def stat(self, name: str) -> StoredObject:
        check_name(name)
        with self._errors("looked up", name):
            store, path = self._at(name)
            found = store.look(path)
            if found is None:
                raise FileNotFoundError(name)
            return _stored(name, found)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        with self._errors("listed"):
            store, folder = self._root.store()
            names = {_name_in(folder, one): one for one in store.find(join(folder, prefix)) if one.regular}
        for name in sorted(names):
            if is_name(name) and name.startswith(prefix):
                yield _stored(name, names[name])

    def delete(self, name: str) -> None:
        self.stat(name)  # many stores delete what is not there, and say so
        with self._errors("deleted", name):
            store, path = self._at(name)
            store.remove(path)

    def leftovers(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield unfinished uploads of objects whose names begin with `prefix`, where the store lists such."""
        with self._errors("listed"):
            store, folder = self._root.store()
            if not isinstance(store, LeavesUploads):
                return
            found = [*store.abandoned(join(folder, prefix))]
        for one in found:
            name = _name_in(folder, one)
            if is_name(name.rpartition("#")[0]) and name.startswith(prefix):
                yield _stored(name, one)

    def discard(self, leftover: StoredObject) -> None:
        """End an unfinished upload; one that is gone already is no error."""
        if not is_name(leftover.name.rpartition("#")[0]):
            raise ConfigurationError(f"{leftover.name!r} is not an unfinished object: delete it by its name.")
        with self._errors("deleted", leftover.name):
            store, folder = self._root.store()
            if isinstance(store, LeavesUploads):
                store.abandon(join(folder, leftover.name))

    def _at(self, name: str) -> tuple[FileStore, str]:
        store, folder = self._root.store()
        return store, join(folder, name)

    def _committed(
        self,
        store: FileStore,
        upload: Upload,
        name: str,
        path: str,
        size: int,
        before: Found | None,
    ) -> Found:
        """Make the object visible, and hold what is there then against what was sent."""
        failure: Exception | None = None
        try:
            upload.commit()
        except Exception as error:
            failure = error
        try:
            found = store.look(path)
        except ConfigurationError:  # it did answer: another has just taken the name, spelled in another way
            raise
        except Exception as error:
            raise cannot_tell(name, self.location) from failure or error
        whole = found is not None and found.size == size and _agree(found.checksum, upload.checksum)
        if failure is not None:
            if found is None or not whole or _same(found, before):
                raise failure
            if failure_of(failure).meaning == "exists" and not (found.checksum and upload.checksum):
                raise failure  # it may be another's, of the same size
            return found
        if found is not None and not whole and not upload.made(found):
            raise overtaken(name, self.location)
        if found is None or not whole:
            if found is not None and before is None:
                with suppress(Exception):  # nothing that is not whole is to be visible
                    store.remove(path)
            raise not_kept_whole(self.location, name, stored=found.size if found else 0, given=size)
        return found

    @contextmanager
    def _errors(self, what: str, name: str | None = None, sent: Sent | None = None) -> Iterator[None]:
        """Turn what a library says into a DestinationError that says what to do; what was sent fails by itself."""
        try:
            yield
        except BackupKitError:
            raise
        except Exception as error:
            let_go(error)
            if sent is not None:
                sent.raise_failure()
            raise translated(error, what, name, self.location) from error


def _name_in(folder: str, found: Found) -> str:
    path, above = found.path.lstrip("/"), folder.lstrip("/")
    return path.removeprefix(f"{above}/") if above else path


def _agree(one: str | None, other: str | None) -> bool:
    """Whether two checksums are of the same content, as far as both are known."""
    return one is None or other is None or one == other


def _same(found: Found, before: Found | None) -> bool:
    return before is not None and (found.tag, found.modified, found.size) == (
        before.tag,
        before.modified,
        before.size,
    )


def _stored(name: str, found: Found) -> StoredObject:
    # Many stores say it to the second in one answer and more exactly in another.
    return StoredObject(name=name, size=found.size, modified=found.modified.replace(microsecond=0))
