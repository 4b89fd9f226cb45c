"""S3, and what speaks like it: objects come and go in parts, several at once, over the client of s3fs."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from datetime import UTC
from functools import partial
from typing import Any
from weakref import WeakSet

from aiobotocore.httpsession import AIOHTTPSession
from botocore.handlers import add_expect_header
from s3fs import S3FileSystem
from s3fs.utils import FileExpired

from backupkit.filesystems.asking import Asking
from backupkit.filesystems.filling import Filling
from backupkit.filesystems.meanings.s3 import s3_code
from backupkit.filesystems.ranges import read_ranges
from backupkit.filesystems.s3_uploads import S3Upload
from backupkit.filesystems.stores import Found, Piece, StrangeAnswerError
from backupkit.filesystems.transfer import MiB, Transfer

_LARGEST = 6 * MiB  # of the pieces that are read
_A_DAY = 86_400
_MARKERS = ("KeyMarker", "UploadIdMarker")

# What their answers always have. To botocore, any XML and none at all are answers, and a list in them is empty.
_ALWAYS = {
    "head_object": ("ETag", "LastModified", "ContentLength"),
    "get_object": ("ETag", "LastModified", "ContentLength"),
    "list_objects_v2": ("IsTruncated",),
    "list_multipart_uploads": ("IsTruncated",),
    "create_multipart_upload": ("UploadId",),
    "upload_part": ("ETag",),
}

_SETTINGS = {
    # Only where the protocol asks for it: Ceph before 18 refuses the checksums that botocore adds by itself, over
    # TLS each write. A Content-MD5 goes with each part, which all of them verify.
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
    # Or botocore's attempts times ours: an answer that stalled for ever took over a minute where 2 s were given.
    "retries": {"total_max_attempts": 1},
    # Each attempt has its own limit, here, which covers sending as well; s3fs's 15 s would end the commit of a
    # large object, for which Amazon may take minutes.
    "read_timeout": _A_DAY,
    "connect_timeout": 10,
    "max_pool_connections": 100,  # a request that waits for one of ten would come to its limit waiting
}


def _tells_no_secret(record: logging.LogRecord) -> bool:
    return re.search("security-token|customer-?key", record.getMessage(), re.IGNORECASE) is None


for _name in ("botocore.auth", "botocore.endpoint"):  # which write all headers of a request down, at DEBUG
    logging.getLogger(_name).addFilter(_tells_no_secret)


class _Unredirected(AIOHTTPSession):  # type: ignore[misc]  # aiobotocore has no types
    """aiohttp would follow a redirect anywhere, by plain HTTP too, with the content and the keys of one's own.

    Where a bucket is, botocore finds out by itself from such an answer, and signs the request anew.
    """

    async def _get_session(self, proxy_url: Any) -> _Straight:
        return _Straight(await super()._get_session(proxy_url))


class _Straight:
    def __init__(self, session: Any) -> None:
        self._session = session

    def request(self, *args: Any, **options: Any) -> Any:
        return self._session.request(*args, **options, allow_redirects=False)


class QuietS3FileSystem(S3FileSystem):  # type: ignore[misc]  # s3fs has no types
    """s3fs with a client that leaves repeating and time limits to whoever calls it."""

    def __init__(self, *args: Any, config_kwargs: dict[str, Any] | None = None, **options: Any) -> None:
        super().__init__(
            *args,
            config_kwargs={**_SETTINGS, "http_session_cls": _Unredirected, **(config_kwargs or {})},
            **options,
        )


class S3Store:
    """Objects of buckets; a path is `bucket/key`.

    Calls go below s3fs's own five attempts, to its client, with what its user has said of every call
    (`s3_additional_kwargs`, `requester_pays`).
    """

    def __init__(self, file_system: S3FileSystem, transfer: Transfer) -> None:
        self._fs = file_system
        self._asking = Asking(transfer, file_system.loop)
        self._clients: WeakSet[Any] = WeakSet()  # those that were met already

    @property
    def address(self) -> str:
        return str(self._fs.s3.meta.endpoint_url)

    def upload(self, path: str, *, overwrite: bool) -> S3Upload:
        bucket, key = self._split(path)
        equal = bool(getattr(self._fs, "fixed_upload_size", False))
        return S3Upload(
            self._call, self._asking, {"Bucket": bucket, "Key": key}, overwrite=overwrite, equal=equal
        )

    def pieces(self, path: str, start: int, length: int | None) -> Iterator[Piece]:
        bucket, key = self._split(path)
        get = partial(self._get, bucket, key)
        look = partial(self.look, path)
        return read_ranges(self._asking, get, look, start, length, largest=_LARGEST)

    def look(self, path: str) -> Found | None:
        bucket, key = self._split(path)
        try:
            answer = self._asking.ask(self._head, bucket, key)
        except Exception as error:
            if s3_code(error) in ("404", "NoSuchKey"):
                return None
            raise
        etag = _unquoted(answer["ETag"])
        return Found(
            path=path,
            size=answer["ContentLength"],
            modified=answer["LastModified"].astimezone(UTC),
            tag=etag,
            checksum=etag if _is_of_content(etag, bucket, answer) else None,
        )

    def find(self, prefix: str) -> Iterator[Found]:
        bucket, beginning = self._split(prefix)
        asked = {"Bucket": bucket, "Prefix": beginning}
        while True:
            page = self._asking.ask(self._call, "list_objects_v2", **asked)
            for one in page.get("Contents", ()):
                yield Found(
                    path=f"{bucket}/{one['Key']}",
                    size=one["Size"],
                    modified=one["LastModified"].astimezone(UTC),
                    tag=_unquoted(one.get("ETag", "")),
                )
            if not page.get("IsTruncated"):
                return
            asked["ContinuationToken"] = page["NextContinuationToken"]

    def remove(self, path: str) -> None:
        bucket, key = self._split(path)
        self._asking.ask(self._call, "delete_object", Bucket=bucket, Key=key)

    def abandoned(self, prefix: str) -> Iterator[Found]:
        bucket, beginning = self._split(prefix)
        asked = {"Bucket": bucket, "Prefix": beginning}
        while True:
            page = self._asking.ask(self._call, "list_multipart_uploads", **asked)
            for one in page.get("Uploads", ()):
                yield Found(
                    path=f"{bucket}/{one['Key']}#{one['UploadId']}",
                    size=self._sent(bucket, one["Key"], one["UploadId"]),
                    modified=one["Initiated"].astimezone(UTC),
                )
            # SeaweedFS goes on from an upload, and names no key.
            following = {name: page[f"Next{name}"] for name in _MARKERS if page.get(f"Next{name}")}
            if not page.get("IsTruncated") or not following:
                return
            asked |= following

    def abandon(self, path: str) -> None:
        becoming, _, upload = path.rpartition("#")
        bucket, key = self._split(becoming)
        try:
            self._asking.ask(self._call, "abort_multipart_upload", Bucket=bucket, Key=key, UploadId=upload)
        except Exception as error:
            if s3_code(error) not in ("404", "NoSuchUpload"):
                raise

    def _split(self, path: str) -> tuple[str, str]:
        bucket, key, _ = self._fs.split_path(path)  # knows the ARNs of access points
        return bucket, key

    async def _call(self, method: str, **arguments: Any) -> Any:
        await self._fs.set_session()
        client = await self._fs.get_s3(arguments["Bucket"])
        if client not in self._clients:
            # A question before each part, whether it may be sent: it costs a way there and back, and aiohttp waits
            # for its answer for ever, which not every gateway gives.
            client.meta.events.unregister("before-call.s3", add_expect_header)
            self._clients.add(client)
        function = getattr(client, method)
        answer = await function(**self._fs._get_s3_method_kwargs(function, **arguments))
        if lacking := [name for name in _ALWAYS.get(method, ()) if name not in answer]:
            if "Body" in answer:
                answer["Body"].close()
            raise StrangeAnswerError(f"an answer to {method} without {lacking[0]}")
        return answer

    async def _head(self, bucket: str, key: str) -> Any:
        try:
            return await self._call("head_object", Bucket=bucket, Key=key)
        except Exception as error:
            if s3_code(error) not in ("400", "403"):
                raise
        # That answer has no body, which says why: the credentials are wrong, or the clock, or a right is missing.
        answer = await self._call("get_object", Bucket=bucket, Key=key, Range="bytes=0-0")
        answer["Body"].close()
        return {**answer, "ContentLength": _size_of(answer)}

    def _sent(self, bucket: str, key: str, upload: str) -> int:
        """How many bytes an unfinished upload has so far; none if it has just ended."""
        asked = {"Bucket": bucket, "Key": key, "UploadId": upload}
        size = 0
        while True:
            try:
                page = self._asking.ask(self._call, "list_parts", **asked)
            except Exception as error:
                if s3_code(error) in ("404", "NoSuchUpload"):
                    return 0
                raise
            size += sum(part["Size"] for part in page.get("Parts", ()))
            if not page.get("IsTruncated"):
                return int(size)
            asked["PartNumberMarker"] = page["NextPartNumberMarker"]

    async def _get(self, bucket: str, key: str, start: int, length: int, tag: str | None) -> Piece | None:
        """The bytes of this range, as far as there are any, of the object of this tag; None beyond its end."""
        condition = {"IfMatch": f'"{tag}"'} if tag and not self._fs.local_expiry_check else {}
        span = f"bytes={start}-{start + length - 1}"
        try:
            answer = await self._call("get_object", Bucket=bucket, Key=key, Range=span, **condition)
        except Exception as error:
            if s3_code(error) not in ("416", "InvalidRange"):
                raise
            return None
        async with answer["Body"] as body:
            size, found = _size_of(answer), _unquoted(answer["ETag"])
            if tag is not None and found != tag:
                raise FileExpired(key, tag)
            expected = min(start + length, size) - start
            begin = answer.get("ContentRange", f"bytes {start}-").partition("-")[0]
            if answer["ContentLength"] != expected or begin != f"bytes {start}":
                raise StrangeAnswerError(f"{begin} come, not the {expected} from {start} that were asked for")
            # Not in one go, for which aiohttp holds what has come and joins it: a dozen pieces took 50 MiB more.
            filling = Filling(expected)
            while chunk := await body.read(MiB):
                filling.write(chunk)
            content = filling.taken()
        if len(content) != expected:
            raise ConnectionError(f"{len(content)} bytes came where {expected} were asked for")
        return Piece(content=content, size=size, tag=found)


def _size_of(answer: Any) -> int:
    """Of the whole object, from an answer to a GET."""
    asked = answer.get("ContentRange")
    return int(asked.rpartition("/")[2]) if asked else int(answer["ContentLength"])


def _unquoted(etag: str) -> str:
    return etag.strip('"')


def _is_of_content(etag: str, bucket: str, answer: Any) -> bool:
    """Whether an ETag is the MD5 of the content, or of the MD5s of its parts.

    It is not for keys of KMS or of one's own, nor in directory buckets (API reference, "Object").
    """
    encrypted = answer.get("ServerSideEncryption", "").startswith("aws:kms") or answer.get(
        "SSECustomerAlgorithm"
    )
    return bool(
        re.fullmatch(r"[0-9a-f]{32}(-\d+)?", etag) and not encrypted and not bucket.endswith("--x-s3")
    )
