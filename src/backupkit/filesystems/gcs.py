"""Google Cloud Storage: one stream of chunks into an upload session, and reads of several ranges ahead.

The requests are those of the JSON API, https://cloud.google.com/storage/docs/json_api/v1.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import json
import os
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Any

import google_crc32c
from gcsfs.core import GCSFileSystem
from google.oauth2.credentials import Credentials

from backupkit.errors import ConfigurationError
from backupkit.filesystems.asking import Asking
from backupkit.filesystems.failures import failure_of
from backupkit.filesystems.gcs_requests import Answer, Requests, StatusError
from backupkit.filesystems.gcs_sessions import Session, SessionLostError
from backupkit.filesystems.parts import cut, send_parts
from backupkit.filesystems.ranges import read_ranges
from backupkit.filesystems.stores import Found, Piece, ReplacedError
from backupkit.filesystems.transfer import Transfer

_STEP = 256 << 10  # a chunk that is not the last is a multiple of it
_PAGE = 1000  # objects; more are never given at once
_FIELDS = "name,size,timeCreated,generation,crc32c"
_RANGE = re.compile(r"bytes \d+-\d+/(\d+)")
_WAYS = {
    "anon",
    "browser",
    "cache",
    "cloud",
    "google_default",
}  # of getting a token, by which gcsfs knows them
_PARTING = 5.0  # seconds for saying that an upload is given up, which happens in a week by itself


class PlainGCSFileSystem(GCSFileSystem):  # type: ignore[misc]  # gcsfs has no types
    """gcsfs without its experiments: those first ask a service of Google's by gRPC, which emulators have not, and
    every call then waits for a minute.
    """

    def __init__(self, *args: Any, token: Any = None, **options: Any) -> None:
        if isinstance(token, str) and token not in _WAYS and not os.path.exists(token):
            if "/" in token or token.endswith(".json"):
                raise ConfigurationError(
                    "The file with Google's credentials, token=…, does not exist: correct its path, or leave it "
                    "out to take those of this machine."
                )
            # gcsfs would ask Google how long it lasts, with the token in the URL, which is logged and told.
            kind: Any = Credentials  # google-auth's has no types
            token = kind(token)
        super().__init__(*args, token=token, **options)


class GCSStore:
    """Buckets of Google Cloud Storage. Chunks of an upload go one after the other: the API has no other way."""

    def __init__(self, file_system: GCSFileSystem, transfer: Transfer) -> None:
        self._requests = Requests(file_system)
        self._asking = Asking(transfer, file_system.loop)

    @property
    def address(self) -> str:
        return self._requests.address

    def upload(self, path: str, *, overwrite: bool) -> _Upload:
        return _Upload(self._requests, self._asking, path, overwrite)

    def pieces(self, path: str, start: int, length: int | None) -> Iterator[Piece]:
        return read_ranges(self._asking, partial(self._range, path), lambda: self.look(path), start, length)

    def look(self, path: str) -> Found | None:
        bucket, name = _split(path)
        if not name:
            return None
        try:
            answer = self._asking.ask(
                self._requests.send,
                "GET",
                self._requests.object_url(bucket, name),
                params={"fields": _FIELDS},
            )
        except StatusError as error:
            if failure_of(error).meaning == "missing":
                return None
            raise
        return _found(bucket, answer.json())

    def find(self, prefix: str) -> Iterator[Found]:
        bucket, name = _split(prefix)
        url = self._requests.objects_url(bucket)
        params = {
            "prefix": name,
            "maxResults": str(_PAGE),
            "fields": f"items({_FIELDS}),nextPageToken",
        }
        while True:
            page = self._asking.ask(self._requests.send, "GET", url, params=params).json()
            for item in page.get("items", ()):
                if not item["name"].endswith("/"):  # what consoles make for a folder
                    yield _found(bucket, item)
            if not page.get("nextPageToken"):
                return
            params["pageToken"] = page["nextPageToken"]

    def remove(self, path: str) -> None:
        url = self._requests.object_url(*_split(path))
        try:
            self._asking.ask(self._requests.send, "DELETE", url)
        except StatusError as error:
            if failure_of(error).meaning != "missing":  # as after an answer that was lost
                raise

    async def _range(self, path: str, start: int, length: int, generation: str | None) -> Piece | None:
        """These bytes, of this state of the object; None if it ends before them."""
        try:
            answer = await self._requests.send(
                "GET",
                self._requests.object_url(*_split(path)),
                params={"alt": "media", **({"generation": generation} if generation else {})},
                # Objects that were stored compressed come as they are: ranges of anything else would mean nothing.
                headers={"Range": f"bytes={start}-{start + length - 1}", "Accept-Encoding": "gzip"},
                also={416},
            )
        except StatusError as error:
            if generation and failure_of(error).meaning == "missing":
                raise ReplacedError(errno.ESTALE, "replaced while it was read") from error
            raise
        if answer.status == 416:
            return None
        return Piece(
            content=answer.content,
            size=_size(answer),
            tag=answer.headers.get("X-Goog-Generation", generation),
        )


class _Upload:
    """Chunks go to a session; the last one is kept for the commit. A small object is one request."""

    def __init__(self, requests: Requests, asking: Asking, path: str, overwrite: bool) -> None:
        self._requests = requests
        self._asking = asking
        self._bucket, self._name = _split(path)
        # Of an object that must not be there, the generation is nought.
        self._condition = {} if overwrite else {"ifGenerationMatch": "0"}
        self._session = Session(requests, self._bucket, self._name, self._condition)
        self._sent = 0  # bytes, without the last chunk
        self._last: bytes | None = None
        self._crc = 0
        self._made: str | None = None

    @property
    def checksum(self) -> str:
        return b64encode(self._crc.to_bytes(4, "big")).decode()

    def send(self, chunks: Iterator[bytes]) -> None:
        size = max(self._asking.transfer.part_size // _STEP, 1) * _STEP
        parts = cut(self._summed(chunks), itertools.repeat(size))
        with _lost_is_passing():
            sent = send_parts(self._asking, self._session.send, self._all_but_last(parts), room=size)
        self._sent = len(sent) * size

    def commit(self) -> None:
        last = self._last or b""
        asking = self._asking.moving(len(last))
        with _lost_is_passing():
            if self._session.begun:
                self._made = asking.ask(self._session.finish, self._sent, last, self.checksum)
            else:
                self._made = asking.ask(self._at_once, last)

    def made(self, found: Found) -> bool:
        return found.tag == self._made

    def abort(self) -> None:
        if self._session.begun:
            ended = asyncio.run_coroutine_threadsafe(self._session.end(), self._asking.loop)
            try:
                ended.result(_PARTING)
            finally:
                ended.cancel()

    def _summed(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._crc = google_crc32c.extend(self._crc, chunk)
            yield chunk

    def _all_but_last(self, parts: Iterator[bytes]) -> Iterator[bytes]:
        for part in parts:
            if self._last is not None:
                yield self._last
            self._last = part

    async def _at_once(self, content: bytes) -> str:
        """One request with the content and what is to be known of it, the checksum among that; its generation."""
        boundary = os.urandom(16).hex()
        about = json.dumps({"name": self._name, "crc32c": self.checksum})
        made = await self._requests.send(
            "POST",
            self._requests.upload_url(self._bucket),
            params={"uploadType": "multipart", **self._condition},
            headers={"Content-Type": f'multipart/related; boundary="{boundary}"'},
            content=b"\r\n".join(
                [
                    f"--{boundary}".encode(),
                    b"Content-Type: application/json; charset=UTF-8\r\n",
                    about.encode(),
                    f"--{boundary}".encode(),
                    b"Content-Type: application/octet-stream\r\n",
                    content,
                    f"--{boundary}--\r\n".encode(),
                ]
            ),
        )
        return str(made.json()["generation"])


@contextmanager
def _lost_is_passing() -> Iterator[None]:
    """A session that was lost is no use any more, but all of it may be sent again, by whoever has it all."""
    try:
        yield
    except SessionLostError as error:
        raise OSError(errno.EIO, "the upload session was lost") from error


def _split(path: str) -> tuple[str, str]:
    bucket, _, name = path.partition("/")
    return bucket, name


def _found(bucket: str, item: Mapping[str, str]) -> Found:
    return Found(
        path=f"{bucket}/{item['name']}",
        size=int(item["size"]),
        modified=datetime.fromisoformat(item["timeCreated"]),
        tag=item["generation"],
        checksum=item.get("crc32c"),
    )


def _size(answer: Answer) -> int:
    said = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    return int(said[1]) if said else len(answer.content)
