"""One resumable upload to Google Cloud Storage, of a length that nobody knows before its end.

https://cloud.google.com/storage/docs/performing-resumable-uploads: chunks follow each other, and after any failure
the session is asked how much it has.
"""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Mapping

from backupkit.filesystems.gcs_requests import Answer, Requests, StatusError

_INCOMPLETE = 308
_CANCELLED = 499  # Google's answer when a session is ended that it was asked to end
_GONE = {404, 410}
_HAS = re.compile(r"bytes=0-(\d+)")


class SessionLostError(Exception):
    """The session is gone, or has lost some of what it had: all can only be sent again from the first byte."""


class Session:
    """Each call may be repeated: after a failure it goes on where the session says it is."""

    def __init__(self, requests: Requests, bucket: str, name: str, condition: Mapping[str, str]) -> None:
        self._requests = requests
        self._bucket = bucket
        self._name = name
        self._condition = condition
        self._url = ""
        self._has = 0  # how many bytes the session is known to have
        self._doubtful = False  # whether it may have more

    @property
    def begun(self) -> bool:
        return bool(self._url)

    async def send(self, number: int, chunk: bytes) -> None:
        """Send a chunk, which is not the last, and of the same size as all before."""
        made = await self._deliver((number - 1) * len(chunk), chunk, "*", {})
        if made is not None:
            # Some emulators take the question where a session stands for its end. Half an object must not be seen.
            params = {"generation": made.json()["generation"]}
            url = self._requests.object_url(self._bucket, self._name)
            await self._requests.send("DELETE", url, params=params, also=_GONE)
            raise SessionLostError

    async def finish(self, start: int, chunk: bytes, checksum: str) -> str | None:
        """Send the last chunk, from there. The object, of that generation, is made if this is its CRC-32C."""
        made = await self._deliver(
            start, chunk, str(start + len(chunk)), {"X-Goog-Hash": f"crc32c={checksum}"}
        )
        return None if made is None else str(made.json()["generation"])

    async def end(self) -> None:
        """Give it up."""
        await self._requests.send("DELETE", self._url, also={_CANCELLED, *_GONE})

    async def _deliver(
        self, start: int, chunk: bytes, whole: str, headers: Mapping[str, str]
    ) -> Answer | None:
        """Send what is missing of the chunk. The answer is the last one, if with it the object was made."""
        if not self._url:
            self._url = await self._begin()
        end = start + len(chunk)
        made = await self._put("*/*", b"", {}) if self._doubtful else None
        while made is None and (whole != "*" or self._has < end):
            before = self._has
            if not start <= before <= end:
                raise SessionLostError
            span = f"{before}-{end - 1}" if before < end else "*"
            made = await self._put(f"{span}/{whole}", memoryview(chunk)[before - start :], headers)
            if made is None and self._has == before:
                raise OSError(errno.EIO, "an upload session took nothing of what it was sent")
        if self._has > end:
            raise SessionLostError
        self._doubtful = False
        return made

    async def _begin(self) -> str:
        answer = await self._requests.send(
            "POST",
            self._requests.upload_url(self._bucket),
            params={"uploadType": "resumable", **self._condition},
            headers={"Content-Type": "application/json", "X-Upload-Content-Type": "application/octet-stream"},
            content=json.dumps({"name": self._name}).encode(),
        )
        return answer.headers["Location"]

    async def _put(self, span: str, content: bytes | memoryview, headers: Mapping[str, str]) -> Answer | None:
        """Send some bytes, or none to ask how many the session has; the answer, if the object was made."""
        self._doubtful = True
        try:
            answer = await self._requests.send(
                "PUT",
                self._url,
                headers={"Content-Range": f"bytes {span}", **headers},
                content=content,
                also={_INCOMPLETE},
            )
        except StatusError as error:
            if error.status in _GONE:
                raise SessionLostError from error
            raise
        if answer.status != _INCOMPLETE:
            return answer
        has = _HAS.fullmatch(answer.headers.get("Range", ""))
        self._has = int(has[1]) + 1 if has else 0
        return None
