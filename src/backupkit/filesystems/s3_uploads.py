"""An object on its way to S3: one request, or an upload in parts that becomes visible by one more."""

from __future__ import annotations

import asyncio
import re
from base64 import b64encode
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from hashlib import md5
from io import BytesIO
from itertools import islice, repeat
from typing import Any

from backupkit.errors import ConfigurationError
from backupkit.filesystems.asking import Asking
from backupkit.filesystems.meanings.s3 import s3_code
from backupkit.filesystems.parts import cut, growing, send_parts
from backupkit.filesystems.stores import Found
from backupkit.filesystems.transfer import MiB

# Limits of S3 (User Guide, "Amazon S3 multipart upload limits"): no part but the last may be smaller, or larger.
_SMALLEST, _LARGEST, _MOST = 5 * MiB, 5 << 30, 10_000
_ENDING = 3.0  # seconds in which an upload that failed should be given up; then that goes on by itself


class S3Upload:
    """Small objects go by one PUT, when they are committed; `place` is the bucket and the key.

    Parts are of `Transfer.part_size`, and of more the more there are, or all `equal`.
    """

    def __init__(
        self,
        call: Callable[..., Coroutine[Any, Any, Any]],
        asking: Asking,
        place: dict[str, str],
        *,
        overwrite: bool,
        equal: bool,
    ) -> None:
        self.checksum: str | None = None
        self._made: str | None = None
        self._call = call
        self._asking = asking
        self._place = place
        self._condition = {} if overwrite else {"IfNoneMatch": "*"}
        first = min(max(asking.transfer.part_size, _SMALLEST), _LARGEST)
        self._sizes = repeat(first) if equal else growing(first, step=800, largest=1 << 30)
        self._part_size = first
        self._body = b""
        self._upload: str | None = None
        self._parts: list[dict[str, Any]] = []

    def send(self, chunks: Iterator[bytes]) -> None:
        parts = cut(chunks, self._sizes)
        first = [*islice(parts, 2)]
        if len(first) < 2:
            self._body = b"".join(first)
            self.checksum = _md5(self._body).hex()
            return
        answer = self._asking.ask(self._call, "create_multipart_upload", **self._place)
        self._upload = answer["UploadId"]
        room = self._asking.transfer.concurrency * self._part_size
        answers = send_parts(self._asking, self._send_part, self._numbered(first, parts), room=room)
        self._parts = [part for part, _ in answers]
        self.checksum = f"{_md5(b''.join(digest for _, digest in answers)).hex()}-{len(self._parts)}"

    def commit(self) -> None:
        if self._upload is None:
            digest = b64encode(bytes.fromhex(self.checksum or "")).decode()
            asking = self._asking.moving(len(self._body))
            self._made = asking.ask(self._publish, "put_object", ContentMD5=digest).get("ETag")
            return
        if self._condition and self._is_there():
            # Ceph 16 completes an upload whatever the condition says, and this one may have taken hours.
            raise FileExistsError(self._place["Key"])
        # Amazon may take minutes for thousands of parts: a tenth of a second for each.
        asking = self._asking.moving(len(self._parts) * 26_215)
        answer = asking.ask(
            self._publish,
            "complete_multipart_upload",
            UploadId=self._upload,
            MultipartUpload={"Parts": self._parts},
        )
        self._made = answer.get("ETag")
        etag = (self._made or "").strip('"')
        if etag and not re.fullmatch(rf"[0-9a-f]{{32}}-{len(self._parts)}", etag):
            self.checksum = None  # a store of another habit

    def made(self, found: Found) -> bool:
        return self._made is not None and found.tag == self._made.strip('"')

    def abort(self) -> None:
        if self._upload is None:
            return
        future = self._asking.submit(
            self._call, "abort_multipart_upload", UploadId=self._upload, **self._place
        )
        with suppress(TimeoutError):
            future.result(min(_ENDING, self._asking.transfer.patience))

    def _is_there(self) -> bool:
        try:
            self._asking.ask(self._call, "head_object", **self._place)
        except Exception as error:
            if s3_code(error) not in ("404", "NoSuchKey"):
                raise
            return False
        return True

    def _numbered(self, first: list[bytes], rest: Iterator[bytes]) -> Iterator[bytes]:
        """The parts, as many as there may be; none is held on to."""
        for number, part in enumerate(_all(first, rest)):
            if number == _MOST:
                raise ConfigurationError(
                    f"S3 takes {_MOST} parts of an object, and this one is larger than that many: "
                    f"give a larger part_size than {self._part_size}."
                )
            yield part

    async def _send_part(self, number: int, part: bytes) -> tuple[dict[str, Any], bytes]:
        """What completes the upload with this part, and its digest."""
        # In another thread than the one that makes parts: it is half of all processor time, 1.2 s for a GiB.
        digest = await asyncio.to_thread(_md5, part)
        answer = await self._call(
            "upload_part",
            UploadId=self._upload,
            PartNumber=number,
            Body=_Body(part),
            ContentMD5=b64encode(digest).decode(),
            **self._place,
        )
        return {"PartNumber": number, "ETag": answer["ETag"]}, digest

    async def _publish(self, method: str, **arguments: Any) -> Any:
        async def call(condition: dict[str, str]) -> Any:
            body = {} if self._upload else {"Body": _Body(self._body)}
            return await self._call(method, **body, **arguments, **self._place, **condition)

        try:
            return await call(self._condition)
        except Exception as error:
            if not self._condition or s3_code(error) not in ("501", "NotImplemented"):
                raise
        # A store that knows no conditions: that nothing was there has been looked at before.
        return await call({})


class _Body(BytesIO):
    """The bytes of a part. aiohttp asks for a buffer to learn how many they are, for which BytesIO copies them."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._content = content

    def getbuffer(self) -> memoryview:
        return memoryview(self._content)


def _all(first: list[bytes], rest: Iterator[bytes]) -> Iterator[bytes]:
    while first:
        yield first.pop(0)
    yield from rest


def _md5(content: bytes) -> bytes:
    return md5(content, usedforsecurity=False).digest()
