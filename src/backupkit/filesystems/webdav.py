"""WebDAV: streamed by one request without a copy on this machine's disk, then moved into its place."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from typing import Any, cast
from urllib.parse import unquote

import httpx
from fsspec.config import conf
from webdav4.client import HTTPError
from webdav4.fsspec import WebdavFileSystem

from backupkit._chunks import rechunk
from backupkit.filesystems.asking import ask
from backupkit.filesystems.renaming import RenamingStore, RenamingUpload
from backupkit.filesystems.stores import Piece, ReplacedError
from backupkit.filesystems.transfer import Transfer

_SENT = (
    256 << 10
)  # bytes at a time: the library copies the rest of a piece each time the system takes some of it
_READ = 1 << 20


def connect(url: str, options: Mapping[str, Any], transfer: Transfer) -> tuple[WebDAVStore, str]:
    """The store of `webdav://user@host/folder`, by HTTPS, or of `webdav+http://…`; nothing is sent yet.

    With `base_url=` all behind the slashes is the folder, as fsspec's users know it.
    """
    scheme, _, rest = url.partition("://")
    given = {**conf.get("webdav", {}), **options}
    base, folder = given.pop("base_url", None), rest
    if base is None:
        address, _, folder = rest.partition("/")
        credentials, _, host = address.rpartition("@")
        user, _, password = credentials.partition(":")
        given = {"username": unquote(user), "password": unquote(password)} | given
        base = f"{'http' if scheme.endswith('+http') else 'https'}://{host}"
    user, password = given.pop("username", ""), given.pop("password", "")
    if user:
        given.setdefault("auth", (user, password))
    if isinstance(given.get("auth"), list):  # as JSON in the environment has it
        given["auth"] = tuple(given["auth"])
    # Of each step of a request: to connect, to send a piece, to get one. Its own retries would multiply ours.
    settings = {"timeout": transfer.time_limit, "retry": False, "skip_instance_cache": True}
    return WebDAVStore(WebdavFileSystem(base, **{**settings, **given}), transfer), folder


class WebDAVStore(RenamingStore):
    """A file is streamed to `.<name>.<random>.partial` and moved by the server, which need not replace anything."""

    alone = False  # the client may be used by any number of threads

    def __init__(self, file_system: WebdavFileSystem, transfer: Transfer) -> None:
        super().__init__(file_system, transfer)
        weakref.finalize(self, file_system.client.http.close)

    def upload(self, path: str, *, overwrite: bool) -> _Upload:
        return _Upload(self, path, overwrite)

    def pieces(self, path: str, start: int, length: int | None) -> Iterator[Piece]:
        found = self._found(path)
        end = found.size if length is None else min(start + length, found.size)
        if start >= end:
            yield Piece(content=b"", size=found.size)
            return
        position, state = start, None
        while position < end:
            begun = position
            response = ask(self._transfer, self._request, path, position, end)
            try:
                # Not compared with the tag of the listing, which some servers spell differently.
                answered = (_size(response), response.headers.get("etag"))
                if answered[0] not in (None, found.size) or answered != (state := state or answered):
                    raise ReplacedError("replaced while it was read")
                for content in _wanted(response, position, end):
                    position += len(content)
                    yield Piece(content=content, size=found.size)
            except httpx.TransportError:
                if position == begun:
                    raise
            else:
                if position < end:
                    raise ReplacedError("it has become shorter")
            finally:
                response.close()

    def url(self, path: str) -> httpx.URL:
        return cast("httpx.URL", self.fs.client.join_url(path))

    def _request(self, path: str, start: int, end: int) -> httpx.Response:
        client: httpx.Client = self.fs.client.http
        headers = {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
        response = client.send(client.build_request("GET", self.url(path), headers=headers), stream=True)
        if response.status_code not in (200, 206):
            response.close()
            raise HTTPError(response)
        return response


class _Upload(RenamingUpload):
    def send(self, chunks: Iterator[bytes]) -> None:
        self._make_folder()
        client: httpx.Client = self._store.fs.client.http
        url = self._store.fs.client.join_url(self._partial)
        response = client.put(url, content=rechunk(chunks, _SENT))
        if not response.is_success:
            raise HTTPError(response)

    def _rename(self) -> None:
        self._store.fs.client.move(self._partial, self._path, overwrite=self._overwrite)


def _size(response: httpx.Response) -> int | None:
    """The size of the whole file, as far as the answer says it (RFC 9110, 14.4)."""
    text = response.headers.get("content-length" if response.status_code == 200 else "content-range", "")
    size = text.rpartition("/")[2]
    return int(size) if size.isdecimal() else None


def _wanted(response: httpx.Response, start: int, end: int) -> Iterator[bytes]:
    """The bytes between two positions: all that came, unless the server knows no ranges and sent the whole file."""
    skip = start if response.status_code == 200 else 0
    left = end - start
    for content in response.iter_raw(_READ):
        wanted = content[skip : skip + left]
        skip = max(0, skip - len(content))
        left -= len(wanted)
        if wanted:
            yield wanted
        if not left:
            return
