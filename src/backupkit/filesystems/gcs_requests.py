"""Single requests to Google Cloud Storage, over the connection and with the credentials of a gcsfs file system.

gcsfs' own calls try everything six times and turn statuses into errors that do not say them; these do neither.
"""

from __future__ import annotations

import asyncio
import errno
import json
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import aiohttp
from google.auth.transport.requests import Request
from requests import Session

from backupkit.filesystems.parts import slices

if TYPE_CHECKING:
    from gcsfs.core import GCSFileSystem

T = TypeVar("T")

# What a request may take is decided by who asks; aiohttp would end any after five minutes.
_NO_LIMIT = aiohttp.ClientTimeout(total=None)


class StatusError(Exception):
    """What Google answered instead. `google_reason` is its word for it, such as "rateLimitExceeded", or ""."""

    def __init__(self, status: int, google_reason: str, message: str) -> None:
        super().__init__(f"HTTP status {status} {google_reason}".rstrip())
        self.status = status
        self.google_reason = google_reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is no error."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self.content)
        except ValueError as error:
            raise OSError(errno.EIO, "an answer that is not Google's") from error  # but of somebody between
        return found


class Requests:
    """One request each, without retries, but once after a token was refused, which is then renewed."""

    def __init__(self, file_system: GCSFileSystem) -> None:
        self._fs = file_system

    @property
    def address(self) -> str:
        """Where requests go: Google, or what the options or the environment say."""
        return str(self._fs._location)

    def object_url(self, bucket: str, name: str) -> str:
        return f"{self.objects_url(bucket)}/{quote(name, safe='')}"

    def objects_url(self, bucket: str) -> str:
        return f"{self.address}/storage/v1/b/{quote(bucket, safe='')}/o"

    def upload_url(self, bucket: str) -> str:
        return f"{self.address}/upload/storage/v1/b/{quote(bucket, safe='')}/o"

    async def send(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | memoryview = b"",
        also: Collection[int] = (),
    ) -> Answer:
        """Send it; StatusError for an answer that is neither a success nor one of `also`."""
        given = {"Accept-Encoding": "identity", **(headers or {})}
        if content:
            given["Content-Length"] = str(len(content))
        asked = partial(self._once, method, url, params=self._fs._get_params(params or {}) or None)
        credentials = self._fs.credentials.credentials
        if credentials is None:
            return await asked(headers=self._fs._get_headers(given), content=content, also=also)
        signed = await _elsewhere(partial(self._fs._get_headers, given))
        token = credentials.token
        try:
            return await asked(headers=signed, content=content, also=also)
        except StatusError as error:
            if error.status != 401:
                raise
            # A token that should have lasted was taken back, or this machine's clock is behind.
            await _elsewhere(partial(self._renew, token))
        signed = await _elsewhere(partial(self._fs._get_headers, given))
        return await asked(headers=signed, content=content, also=also)

    async def _once(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str],
        content: bytes | memoryview,
        also: Collection[int],
    ) -> Answer:
        session = await self._fs._set_session()
        async with session.request(
            method,
            url,
            params=params,
            headers=headers,
            data=slices(content) if content else None,
            timeout=_NO_LIMIT,
            allow_redirects=False,
            auto_decompress=False,
        ) as response:
            body = await response.read()
            if not (200 <= response.status < 300 or response.status in also):
                raise StatusError(response.status, *_said(body))
            return Answer(response.status, response.headers, body)

    def _renew(self, refused: str) -> None:
        """Get another token than this one, unless somebody has."""
        with self._fs.credentials.lock, Session() as session:
            credentials = self._fs.credentials.credentials
            if credentials.token == refused:
                credentials.refresh(Request(session))


async def _elsewhere(function: Callable[[], T]) -> T:
    """What may ask another server for a token, and wait: not on the loop, which keeps everybody's time limits, and
    not on a thread that the interpreter waits for when it exits.
    """
    answer: Future[T] = Future()
    answer.set_running_or_notify_cancel()  # and cannot be cancelled, but left behind

    def ask() -> None:
        try:
            answer.set_result(function())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=ask, name="backupkit-google-credentials", daemon=True).start()
    return await asyncio.wrap_future(answer)


def _said(body: bytes) -> tuple[str, str]:
    """Google's reason and message, if the body has them."""
    try:
        error = json.loads(body)["error"]
        reasons = [one.get("reason", "") for one in error.get("errors", [])]
        return (reasons[0] if reasons else ""), str(error.get("message", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", body[:1000].decode(errors="replace")
