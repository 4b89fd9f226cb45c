"""`BackupFileSystem`: backups as fsspec sees file systems, for reading."""

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NoReturn

from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.spec import AbstractFileSystem

from backupkit._at_destinations import AtDestinations
from backupkit.browsing.files import BackupFile, content_within, size_of
from backupkit.browsing.shelf import Shelf
from backupkit.errors import (
    BackupKitError,
    BackupNotFoundError,
    ConfigurationError,
    IntegrityError,
    ObjectNotFoundError,
)
from backupkit.model import Backup, Entry, Kind

_TYPES: dict[Kind, str] = {"file": "file", "hardlink": "file", "directory": "directory", "symlink": "link"}
_OF_FSSPEC = {"use_listings_cache", "listings_expiry_time", "max_paths", "asynchronous", "loop"}
_EXPIRY = 60.0  # seconds
# A second before the last one, lest a fraction is rounded up to the year 10000.
_FIRST = int(datetime(1, 1, 1, tzinfo=UTC).timestamp())
_LAST = int(datetime(9999, 12, 31, 23, 59, 58, tzinfo=UTC).timestamp())
_NOT_SENT = (
    "a file system of backups that were opened already is not pickled, nor written as JSON: make one of their "
    "place, fsspec.filesystem('backupkit', repository=…, passphrase='env:…')"
)


class BackupFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Backups, for reading: `<id of a backup>/<path of an entry>`, and `latest/…`. Safe to use on several threads.

    Of a snapshot, a range costs the blobs that it is in. An archive's entries are read from their beginnings, and
    reading on goes on. Damage is an IntegrityError, which is not an OSError. Nothing is locked: a prune never waits
    for this, and what it has moved is found again; a backup that was removed is a FileNotFoundError.

    Which backups there are is asked again after `listings_expiry_time` seconds (60; None for never), or after
    `invalidate_cache()`. Only an id always means the same backup: `latest` is another one after the next run.

    This one is not pickled; see `RepositoryFileSystem`.
    """

    protocol = "backups"  # of no URL: what was opened already cannot be written down
    root_marker = ""
    cachable = False

    def __init__(
        self, backups: AtDestinations | None, *, at: str | None = None, **storage_options: Any
    ) -> None:
        if unknown := sorted(storage_options.keys() - _OF_FSSPEC):
            raise ConfigurationError(
                f"The file system of backups has no options called {', '.join(unknown)}: look at its documentation."
            )
        super().__init__(**storage_options)
        self._of = backups
        self._at = at
        expiry = storage_options.get("listings_expiry_time", _EXPIRY)
        self._expiry = expiry if storage_options.get("use_listings_cache", True) else 0.0
        self._shelves: dict[int, Shelf] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(_NOT_SENT)

    def to_dict(self, *, include_password: bool = True) -> dict[str, Any]:
        raise TypeError(_NOT_SENT)

    def _backups(self) -> AtDestinations:
        """Asked once in each process, when something is wanted of it."""
        assert self._of is not None  # noqa: S101  # who is made without has another answer
        return self._of

    @property
    def _shelf(self) -> Shelf:
        """What is known of the backups; anew in a process that was forked, as locks cannot be shared."""
        process = os.getpid()
        if process not in self._shelves:
            self._shelves.setdefault(process, Shelf(self._backups, at=self._at, expiry=self._expiry))
        return self._shelves[process]

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        text = os.fspath(path)
        for prefix in ("backupkit://", "backupkit::"):
            text = text.removeprefix(prefix)
        return text.strip("/")

    def invalidate_cache(self, path: str | None = None) -> None:
        """Ask again which backups there are, and which is the latest; what is in each does not change."""
        self._shelf.forget()
        super().invalidate_cache(path)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """What is known of it: `name`, `size`, `type` ("file", "directory", "link" or "other") and, where recorded,
        `mode` (permissions), `mtime`, `uid`, `gid`; `backup` is the id. A link has `islink` and a `destination`.
        """
        path = self._strip_protocol(path)
        with self._told(path):
            if not path:
                return {"name": "", "size": 0, "type": "directory"}
            backup, entry = self._found(path)
        return _info(path, backup, entry)

    def ls(self, path: str, detail: bool = True, *, refresh: bool = False, **_: Any) -> Any:
        path = self._strip_protocol(path)
        if refresh:
            self.invalidate_cache()
        with self._told(path):
            if not path:
                found = [_info(id, backup, None) for id, backup in self._shelf.all().items()]
            else:
                backup, entry = self._found(path)
                if entry is not None and entry.kind != "directory":
                    found = [_info(path, backup, entry)]
                else:
                    folder = path.partition("/")[2]
                    children = self._shelf.children(backup, folder)
                    found = [_info(f"{path}/{name}", backup, one) for name, one in children.items()]
        return found if detail else [one["name"] for one in found]

    def exists(self, path: str, **_: Any) -> bool:
        """Whether it does; an error if that cannot be found out."""
        try:
            self.info(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def isdir(self, path: str) -> bool:
        return self._type_of(path) == "directory"

    def isfile(self, path: str) -> bool:
        return self._type_of(path) == "file"

    def islink(self, path: str) -> bool:
        return self._type_of(path) == "link"

    def find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        **options: Any,
    ) -> Any:
        """All files below a path; with `withdirs` all entries, links and what is neither of them too."""
        found = super().find(path, maxdepth=maxdepth, withdirs=withdirs, detail=True, **options)
        if not withdirs:
            found = {name: one for name, one in found.items() if not one or one["type"] == "file"}
        return found if detail else sorted(found)

    def created(self, path: str) -> datetime:
        """When the backup was made that it is in."""
        with self._told(path):
            return self._found(self._strip_protocol(path))[0].time

    def modified(self, path: str) -> datetime:
        """When the file was changed last, before it was backed up; of what does not say, when that was."""
        with self._told(path):
            backup, entry = self._found(self._strip_protocol(path))
        if entry is None or entry.modified_ns is None:
            return backup.time
        return datetime.fromtimestamp(_seconds(entry.modified_ns), UTC)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        path = self._strip_protocol(path)
        backup, entry = self._file(path)
        with self._told(path, backup):
            if start is None and end is None:
                return b"".join(entry.chunks())
            first, last, _step = slice(start, end).indices(size_of(entry))
            return b"".join(content_within(entry, first, last))

    def get_file(self, rpath: str, lpath: Any, callback: Any = DEFAULT_CALLBACK, **options: Any) -> None:
        """Copy one file; of what is neither file nor folder, a warning says that it was not copied."""
        kind = self.info(rpath)["type"]
        if kind in ("file", "directory"):
            super().get_file(rpath, lpath, callback=callback, **options)
        else:
            what = "a symbolic link" if kind == "link" else "neither a file nor a folder"
            warnings.warn(
                f"{self._strip_protocol(rpath)!r} is {what} and was not copied: restore keeps everything.",
                stacklevel=2,
            )

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        cache_options: Any = None,
        **options: Any,
    ) -> BackupFile:
        if mode != "rb":
            self._refuse(path)
        backup, entry = self._file(path)
        # By the id: `latest` may be another one when the file is opened again, as from a pickle.
        path = f"{backup.id}/{entry.path}"
        return BackupFile(
            self, path, backup, entry, block_size=block_size, cache_options=cache_options, **options
        )

    def _refuse(self, path: Any = "", *_: Any, **__: Any) -> NoReturn:
        """What everything does that would write."""
        raise OSError(errno.EROFS, "Backups are read-only", str(path))

    mkdir = makedirs = rmdir = rm = rm_file = _rm = cp_file = copy = mv = _refuse
    touch = pipe = pipe_file = put_file = put = _refuse

    def _type_of(self, path: str) -> str | None:
        try:
            return str(self.info(path)["type"])
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _file(self, path: str) -> tuple[Backup, Entry]:
        """What is to be read; IsADirectoryError and the like if it has no content."""
        with self._told(path):
            backup, entry = self._found(path) if path else (None, None)
        if backup is None or entry is None or entry.kind == "directory":
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if entry.kind == "symlink":
            raise OSError(errno.ELOOP, f"It is a symbolic link to {entry.target!r}: read that", path)
        if entry.kind not in ("file", "hardlink"):
            raise OSError(errno.EINVAL, "It is a pipe or a device and has no content", path)
        return backup, entry

    def _found(self, path: str) -> tuple[Backup, Entry | None]:
        id, _, inner = path.partition("/")
        backup = self._shelf.backup(id)
        with self._gone(backup):
            return backup, self._shelf.entry(backup, inner) if inner else None

    @contextmanager
    def _told(self, path: str, backup: Backup | None = None) -> Iterator[None]:
        """Raise what fsspec's users expect where there is nothing at a path, with the whole path."""
        try:
            with self._gone(backup):
                yield
        except BackupNotFoundError as error:
            raise FileNotFoundError(errno.ENOENT, str(error), path) from error
        except (FileNotFoundError, NotADirectoryError) as error:
            if isinstance(error, BackupKitError):
                raise
            raise type(error)(error.errno, error.strerror, path) from None

    @contextmanager
    def _gone(self, backup: Backup | None) -> Iterator[None]:
        """What is damaged or missing may only have been removed meanwhile, by somebody who was not kept from it."""
        try:
            yield
        except (IntegrityError, ObjectNotFoundError) as error:
            if backup is not None and self._shelf.is_gone(backup):
                raise BackupNotFoundError(f"The backup {backup.id} was removed meanwhile") from error
            raise


def _seconds(ns: int) -> float:
    """Since 1970; what is in no calendar is in the first or the last year."""
    return max(_FIRST, min(ns // 1_000_000_000, _LAST)) + ns % 1_000_000_000 / 1e9


def _info(path: str, backup: Backup, entry: Entry | None) -> dict[str, Any]:
    made = backup.time.timestamp()
    if entry is None:
        return {
            "name": path,
            "size": 0,
            "type": "directory",
            "created": made,
            "mtime": made,
            "islink": False,
            "backup": backup.id,
        }
    kind = _TYPES.get(entry.kind, "other")
    info = {
        "name": path,
        "size": entry.size if kind == "file" else 0,
        "type": kind,
        "created": made,
        "mtime": made if entry.modified_ns is None else _seconds(entry.modified_ns),
        "islink": kind == "link",
        "backup": backup.id,
    }
    if entry.mode is not None:
        info["mode"] = entry.mode
    if entry.owner is not None:
        info |= {"uid": entry.owner.uid, "gid": entry.owner.gid}
    if kind == "link":
        info["destination"] = entry.target
    return info
