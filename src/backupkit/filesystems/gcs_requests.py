"""Single requests to Google Cloud Storage, over the connection and with the credentials of a gcsfs file system.

gcsfs' own calls try everything six times and turn statuses into errors that do not say them; these do neither.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Collection, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import aiohttp

from backupkit.filesystems.parts import slices

if TYPE_CHECKING:
    from gcsfs.core import GCSFileSystem

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
        found: dict[str, Any] = json.loads(self.content)
        return found


class Requests:
    """One request each, without retries."""

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
        session = await self._fs._set_session()
        given = await self._signed({"Accept-Encoding": "identity", **(headers or {})})
        if content:
            given["Content-Length"] = str(len(content))
        async with session.request(
            method,
            url,
            params=self._fs._get_params(params or {}) or None,
            headers=given,
            data=slices(content) if content else None,
            timeout=_NO_LIMIT,
            allow_redirects=False,
            auto_decompress=False,
        ) as response:
            body = await response.read()
            if not (200 <= response.status < 300 or response.status in also):
                raise StatusError(response.status, *_said(body))
            return Answer(response.status, response.headers, body)

    async def _signed(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers with the credentials, which may have to be renewed first."""
        if self._fs.credentials.credentials is None:
            signed: dict[str, str] = self._fs._get_headers(headers)
            return signed
        # Renewing asks another server, and waits: not on the loop, which keeps everybody's time limits, and not on
        # a thread that the interpreter waits for when it exits.
        answer: Future[dict[str, str]] = Future()
        answer.set_running_or_notify_cancel()  # and cannot be cancelled, but left behind

        def ask() -> None:
            try:
                answer.set_result(self._fs._get_headers(headers))
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
