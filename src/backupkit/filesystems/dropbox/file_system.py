"""`DropboxFileSystem`: Dropbox for every user of fsspec."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import fsspec
from dropbox import Dropbox
from dropbox.exceptions import ApiError
from dropbox.files import FileMetadata
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem, make_instance
from fsspec.utils import stringify_path

from backupkit.errors import ConfigurationError
from backupkit.filesystems.dropbox.account import Account, Entry
from backupkit.filesystems.dropbox.client import Access, connected
from backupkit.filesystems.dropbox.sessions import ContentHash, Session, commit_info, part_size
from backupkit.filesystems.failures import failure_of
from backupkit.filesystems.meanings import Meaning
from backupkit.filesystems.transfer import Transfer

T = TypeVar("T")

_OF_FSSPEC = frozenset({"use_listings_cache", "listings_expiry_time", "max_paths", "asynchronous", "loop"})
_SECRETS = frozenset({"token", "oauth2_access_token", "oauth2_refresh_token", "app_secret", "proxies"})
_ERRORS: dict[Meaning, tuple[type[OSError], int]] = {
    "missing": (FileNotFoundError, errno.ENOENT),
    "no place": (FileNotFoundError, errno.ENOENT),
    "exists": (FileExistsError, errno.EEXIST),
    "credentials": (PermissionError, errno.EACCES),
    "denied": (PermissionError, errno.EACCES),
    "full": (OSError, errno.ENOSPC),
    "unreachable": (ConnectionError, errno.ECONNRESET),
    "timeout": (TimeoutError, errno.ETIMEDOUT),
    "busy": (OSError, errno.EBUSY),
    "changed": (OSError, errno.EBUSY),
}


class DropboxFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Files of a Dropbox account, or of the folder of an app.

        fsspec.open("dropbox:///folder/file", oauth2_refresh_token=…, app_key=…)

    Credentials are a refresh token and the key of the app it was given to (and `app_secret`, unless PKCE was used),
    or an access token, which lasts four hours; `token` is another name for it. `ca_certs`, `namespace_id` (a team's
    root, or a team folder), `team_member_id` and `proxies` are those of `Access`. A request that moves nothing for
    `timeout` seconds fails; calls that may be repeated are, for `patience` seconds.

    A file becomes visible when it is closed; if the body of `with fs.open(path, "wb")` raises, it does not. What
    wraps it (text mode, `fsspec.open`, compression) closes it without telling why, and so makes it visible.

    Neither a pickle nor `to_json` has the secrets. Where they are read, FSSPEC_DROPBOX_… must give them again.
    """

    protocol = "dropbox"
    root_marker = ""

    def __init__(
        self,
        *,
        token: str | None = None,
        oauth2_access_token: str | None = None,
        oauth2_refresh_token: str | None = None,
        app_key: str | None = None,
        app_secret: str | None = None,
        ca_certs: str | None = None,
        namespace_id: str | None = None,
        team_member_id: str | None = None,
        proxies: Mapping[str, str] | None = None,
        timeout: float = 60.0,
        patience: float = 120.0,
        **storage_options: Any,
    ) -> None:
        if unknown := sorted(storage_options.keys() - _OF_FSSPEC):
            raise ConfigurationError(
                f"DropboxFileSystem has no options called {', '.join(unknown)}: look at its documentation."
            )
        super().__init__(**storage_options)
        self._access = Access(
            oauth2_access_token=oauth2_access_token or token,
            oauth2_refresh_token=oauth2_refresh_token,
            app_key=app_key,
            app_secret=app_secret,
            ca_certs=ca_certs,
            namespace_id=namespace_id,
            team_member_id=team_member_id,
            proxies=proxies,
        )
        self._transfer = Transfer(time_limit=timeout, patience=patience)
        self._accounts: dict[tuple[int, Transfer], Account] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return make_instance, (type(self), (), self._without_secrets())

    def to_dict(self, *, include_password: bool = True) -> dict[str, Any]:
        """As fsspec describes it, never with secrets."""
        described: dict[str, Any] = super().to_dict(include_password=include_password)
        return {name: value for name, value in described.items() if name not in _SECRETS}

    def account(self, transfer: Transfer | None = None) -> Account:
        """The connected account, anew in a process that was forked, as connections cannot be shared."""
        key = os.getpid(), transfer or self._transfer
        if key not in self._accounts:
            self._accounts[key] = Account(connected(self._access, key[1]), key[1])
        return self._accounts[key]

    @property
    def client(self) -> Dropbox:
        """The SDK's client, for what fsspec has no words for."""
        return self.account().client

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        text = str(stringify_path(path))
        for prefix in ("dropbox://", "dropbox::"):
            text = text.removeprefix(prefix)
        text = text.strip("/")
        return f"/{text}" if text else ""

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        if not path:
            return {"name": "", "size": 0, "type": "directory"}
        with _as_os_errors(path):
            entry = self.account().entry(path)
        if entry is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return _info(f"{self._parent(path)}/{entry.name}", entry)

    def exists(self, path: str, **_: Any) -> bool:
        """Whether it does; an error if Dropbox does not say."""
        try:
            self.info(path)
        except FileNotFoundError:
            return False
        return True

    def ls(self, path: str, detail: bool = True, **_: Any) -> Any:
        found = self.info(path)
        entries = [found] if found["type"] == "file" else self._entries(found["name"], recursive=False)
        return entries if detail else sorted(entry["name"] for entry in entries)

    def find(
        self, path: str, maxdepth: int | None = None, withdirs: bool = False, detail: bool = False, **_: Any
    ) -> Any:
        path = self._strip_protocol(path)
        try:
            found = self.info(path)
        except FileNotFoundError:
            return {} if detail else []
        entries = [found] if found["type"] == "file" else self._entries(found["name"], recursive=True)
        depth = path.count("/") + (maxdepth or 0)
        named = {
            entry["name"]: entry
            for entry in entries
            if (withdirs or entry["type"] == "file") and (not maxdepth or entry["name"].count("/") <= depth)
        }
        if withdirs and found["type"] == "directory":
            named[found["name"]] = found
        return dict(sorted(named.items())) if detail else sorted(named)

    def modified(self, path: str) -> datetime:
        modified: datetime = self.info(path)["modified"]
        return modified

    def mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        """Make a folder, and those above it whether or not they are asked for, as Dropbox does."""
        path = self._strip_protocol(path)
        with _as_os_errors(path):
            self.client.files_create_folder_v2(path)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        try:
            self.mkdir(path)
        except FileExistsError:
            if not exist_ok or not self.isdir(path):
                raise

    def rmdir(self, path: str) -> None:
        path = self._strip_protocol(path)
        if self.ls(path, detail=False):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), path)
        self._delete(path)

    def rm_file(self, path: str) -> None:
        found = self.info(path)
        if found["type"] != "file":
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        self._delete(found["name"])

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        for one in path if isinstance(path, list) else [path]:
            if "*" in str(one):
                super().rm(one, recursive=recursive, maxdepth=maxdepth)
            elif recursive and maxdepth is None:
                self._delete(self.info(one)["name"])  # one call, whatever is in it
            else:
                self.rm_file(one)

    def mv(self, path1: str, path2: str, **_: Any) -> None:
        self._relocate(self.client.files_move_v2, path1, path2)

    def cp_file(self, path1: str, path2: str, **_: Any) -> None:
        self._relocate(self.client.files_copy_v2, path1, path2)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        found = self.info(path)
        if found["type"] != "file":
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        first, last, _step = slice(start, end).indices(found["size"])
        return self._content(found["name"], found["rev"], first, last)

    def _content(self, path: str, revision: str, start: int, end: int) -> bytes:
        account = self.account()
        with _as_os_errors(path):
            return account.ask(account.content, revision, start, end) if start < end else b""

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> DropboxFile:
        return DropboxFile(
            self,
            path,
            mode,
            block_size=block_size or Transfer().part_size,
            autocommit=autocommit,
            cache_options=cache_options,
            **options,
        )

    def _entries(self, folder: str, *, recursive: bool) -> list[dict[str, Any]]:
        with _as_os_errors(folder):
            return [_info(path, entry) for path, entry in self.account().entries(folder, recursive=recursive)]

    def _delete(self, path: str) -> None:
        account = self.account()
        with _as_os_errors(path):
            account.ask(account.client.files_delete_v2, path)

    def _relocate(self, call: Callable[[str, str], object], path1: str, path2: str) -> None:
        # Not tried again: it may have happened, and the second attempt would say that there is nothing to move.
        path1, path2 = self._strip_protocol(path1), self._strip_protocol(path2)
        with _as_os_errors(path1):
            call(path1, path2)

    def _without_secrets(self) -> dict[str, Any]:
        return {name: value for name, value in self.storage_options.items() if name not in _SECRETS}


class DropboxFile(AbstractBufferedFile):  # type: ignore[misc]  # fsspec has no types
    """A file that is read at one of its revisions, or one that is not there before it is closed."""

    fs: DropboxFileSystem
    buffer: io.BytesIO

    def __init__(
        self, fs: DropboxFileSystem, path: str, mode: str = "rb", block_size: int = 0, **options: Any
    ) -> None:
        self._session: Session | None = None
        self._hash = ContentHash()
        super().__init__(
            fs,
            path,
            mode,
            block_size=block_size if mode == "rb" else part_size(block_size, concurrent=False),
            **options,
        )
        if mode == "ab":
            raise NotImplementedError("A file in Dropbox cannot be appended to: write it anew.")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.discard()
        self.close()

    def __del__(self) -> None:
        if not self.closed:  # whoever forgot it may not have written all of it
            self.discard()

    def commit(self) -> None:
        """Make the file visible; called by `close`, unless autocommit=False was asked for."""
        account = self.fs.account()
        info = commit_info(self.path, overwrite=self.mode == "wb", strict=self.mode == "xb")
        with _as_os_errors(self.path):
            try:
                made = account.ask(self._started.finish, self.offset, info)
            except ApiError:
                # A session that is gone may have been finished by an attempt whose answer was lost.
                made = account.entry(self.path)
                if not self._is(made):
                    raise
        if not self._is(made):
            raise OSError(errno.EIO, "Dropbox has kept other bytes than were sent", self.path)

    def _is(self, entry: Entry | None) -> bool:
        return isinstance(entry, FileMetadata) and entry.content_hash == self._hash.hexdigest()

    def discard(self) -> None:
        """Leave nothing of it: a session that is not finished goes by itself."""
        self.closed = True

    @property
    def _started(self) -> Session:
        if self._session is None:
            raise ValueError("The file has not been written to, or was not closed.")
        return self._session

    def _fetch_range(self, start: int, end: int) -> bytes:
        return self.fs._content(self.path, self.details["rev"], start, min(end, self.size))

    def _initiate_upload(self) -> None:
        with _as_os_errors(self.path):
            self._session = Session(self.fs.account(), concurrent=False)

    def _upload_chunk(self, final: bool = False) -> bool:
        content = self.buffer.getvalue()
        whole = len(content) if final else len(content) - len(content) % self.blocksize
        try:
            for start in range(0, whole, self.blocksize):
                self._append(content[start : min(start + self.blocksize, whole)])
        except BaseException:
            self.discard()  # what went wrong may be caught, and the file closed
            raise
        self.buffer = io.BytesIO()
        self.buffer.write(content[whole:])
        if final and self.autocommit:
            self.commit()
        return False

    def _append(self, part: bytes) -> None:
        with _as_os_errors(self.path):
            self.fs.account().ask(self._started.append, self.offset, part, last=False)
        self._hash.update(part)
        self.offset += len(part)


def _info(path: str, entry: Entry) -> dict[str, Any]:
    if not isinstance(entry, FileMetadata):
        return {"name": path, "size": 0, "type": "directory", "id": entry.id}
    return {
        "name": path,
        "size": entry.size,
        "type": "file",
        "id": entry.id,
        "rev": entry.rev,
        "content_hash": entry.content_hash,
        "modified": entry.server_modified.replace(tzinfo=UTC),
    }


@contextmanager
def _as_os_errors(path: str) -> Iterator[None]:
    """Raise what fsspec's users expect for what the SDK and requests say."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            raise
        raise _os_error(error, path) from error
    except Exception as error:
        raise _os_error(error, path) from error


def _os_error(error: Exception, path: str) -> OSError:
    failure = failure_of(error)
    kind, number = _ERRORS.get(failure.meaning, (OSError, errno.EIO))
    return kind(number, f"Dropbox: {failure.reason}", path)


# Importing it is meaning it: fsspec's own registry names a package that cannot write files of more than 4 MiB.
fsspec.register_implementation("dropbox", DropboxFileSystem, clobber=True)
