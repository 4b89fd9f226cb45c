"""WebDAV: streamed by one request without a copy on this machine's disk, then moved into its place."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, cast
from urllib.parse import unquote
from xml.etree.ElementTree import ParseError

import httpx
from fsspec.config import conf
from webdav4.client import Client, HTTPError
from webdav4.fsspec import WebdavFileSystem

from backupkit._chunks import rechunk
from backupkit.filesystems.asking import ask
from backupkit.filesystems.renaming import RenamingStore, RenamingUpload
from backupkit.filesystems.stores import Found, Piece, ReplacedError, StrangeAnswerError
from backupkit.filesystems.transfer import Transfer

T = TypeVar("T")

# At a time, because the library copies the rest of a piece each time the system has taken some of it.
_SENT = 256 << 10


def connect(url: str, options: Mapping[str, Any], transfer: Transfer) -> tuple[WebDAVStore, str]:
    """The store of `webdav://user@host/folder`, by HTTPS, or of `webdav+http://…`; nothing is sent yet."""
    scheme, _, rest = url.partition("://")
    address, _, folder = rest.partition("/")
    credentials, _, host = address.rpartition("@")
    user, _, password = credentials.partition(":")
    named = {"username": unquote(user), "password": unquote(password)}
    given = {**conf.get("webdav", {}), **{name: one for name, one in named.items() if one}, **options}
    given.pop("base_url", None)
    base = f"{'http' if scheme.endswith('+http') else 'https'}://{host}"
    if "base_url" in options:  # which makes all of the URL the folder, as fsspec's users know it
        base, folder = options["base_url"], rest
    user, password = given.pop("username", ""), given.pop("password", "")
    if user:
        given.setdefault("auth", (user, password))
    if isinstance(given.get("auth"), list):  # as JSON in the environment has it
        given["auth"] = tuple(given["auth"])
    # Of each step of a request: to connect, to send a piece, to get one. Its own retries would multiply ours.
    client = Client(base, retry=False, **{"timeout": transfer.time_limit, **given})
    file_system = WebdavFileSystem(base_url=base, client=client, skip_instance_cache=True)
    store = WebDAVStore(file_system, transfer)
    weakref.finalize(store, client.http.close)  # not that of a ready file system, which is not ours
    return store, folder.strip("/")


class WebDAVStore(RenamingStore):
    """A file is streamed to `.<name>.<random>.partial` and moved by the server, which need not replace anything."""

    alone = False  # the client may be used by any number of threads

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
                if response.status_code == 206 and not _begins_at(response, position):
                    raise StrangeAnswerError("another range came than was asked for")
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

    def once(self, function: Callable[..., T], *args: Any, **options: Any) -> T:
        try:
            return super().once(function, *args, **options)
        except (ValueError, KeyError, ParseError) as error:  # no answer to PROPFIND, or to another one
            raise StrangeAnswerError("an answer that is not one of WebDAV") from error

    def _listed(self, folder: str, *, found: bool = False) -> list[dict[str, Any]]:
        listed = super()._listed(folder, found=found)
        if not listed:
            self.type_of(folder)  # by which an empty folder is told from XML that has nothing to do with it
        return listed

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
    def _put(self, chunks: Iterator[bytes]) -> None:
        client: httpx.Client = self._store.fs.client.http
        url = self._store.fs.client.join_url(self._partial)
        response = client.put(url, content=rechunk(chunks, _SENT))
        if not response.is_success:
            raise HTTPError(response)

    def made(self, found: Found) -> bool:
        return False  # a move is one step

    def _rename(self) -> None:
        self._store.fs.client.move(self._partial, self._path, overwrite=self._overwrite)


def _size(response: httpx.Response) -> int | None:
    """The size of the whole file, as far as the answer says it (RFC 9110, 14.4)."""
    text = response.headers.get("content-length" if response.status_code == 200 else "content-range", "")
    size = text.rpartition("/")[2]
    return int(size) if size.isdecimal() else None


def _begins_at(response: httpx.Response, position: int) -> bool:
    said: str = response.headers.get("content-range", "").partition("-")[0]
    return said in ("", f"bytes {position}")


def _wanted(response: httpx.Response, start: int, end: int) -> Iterator[bytes]:
    """The bytes between two positions: all that came, unless the server knows no ranges and sent the whole file."""
    skip = start if response.status_code == 200 else 0
    left = end - start
    for content in response.iter_raw():
        wanted = content[skip : skip + left]
        skip = max(0, skip - len(content))
        left -= len(wanted)
        if wanted:
            yield wanted
        if not left:
            return
