"""Azure Blob Storage: blocks staged several at once, and a list of them committed, which makes the blob.

https://learn.microsoft.com/rest/api/storageservices/put-block-list; the client is the one that adlfs has made.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from functools import partial
from hashlib import md5
from typing import TYPE_CHECKING, Any

from adlfs import AzureBlobFileSystem
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobBlock, ContentSettings

from backupkit.errors import ConfigurationError
from backupkit.filesystems.asking import Asking
from backupkit.filesystems.failures import failure_of
from backupkit.filesystems.parts import cut, growing, send_parts, slices
from backupkit.filesystems.ranges import read_ranges
from backupkit.filesystems.stores import Found, Piece, ReplacedError
from backupkit.filesystems.transfer import MiB, Transfer

if TYPE_CHECKING:
    from azure.storage.blob import BlobProperties
    from azure.storage.blob.aio import BlobClient, BlobServiceClient

# A blob has 50,000 blocks at most. These hold 4.3 TiB if the first are of 8 MiB, and 2.4 TiB if of 4 MiB.
_BLOCKS, _LARGEST = 8000, 256 * MiB
_PAGE = 5000  # blobs; more are never given at once
_FOLDER = "hdi_isfolder"  # what accounts with real folders say of those


class NamedAzureFileSystem(AzureBlobFileSystem):  # type: ignore[misc]  # adlfs has no types
    """adlfs, which says what is missing when nobody said whose account is meant."""

    def __init__(self, *args: Any, **options: Any) -> None:
        try:
            super().__init__(*args, **options)
        except ValueError:
            problem = ConfigurationError(
                "Which storage account is meant is not said, or not as Azure says it: give account_name= (it may "
                "stand in the URL) or connection_string=, or set AZURE_STORAGE_ACCOUNT_NAME or "
                "AZURE_STORAGE_CONNECTION_STRING."
            )
        else:
            return
        raise problem  # outside, for the client's own error may quote what it was given


class AzureStore:
    """Containers of Azure Blob Storage, or of a Data Lake Storage account, which takes the same requests."""

    def __init__(self, file_system: AzureBlobFileSystem, transfer: Transfer) -> None:
        self._service: BlobServiceClient = file_system.service_client
        self._transfer = transfer
        self._asking = Asking(transfer, file_system.loop)
        self._options = _once(transfer, 0)

    @property
    def address(self) -> str:
        return f"{self._service.scheme}://{self._service.primary_hostname}"

    def upload(self, path: str, *, overwrite: bool) -> _Upload:
        return _Upload(self._blob(path), self._asking, overwrite)

    def pieces(self, path: str, start: int, length: int | None) -> Iterator[Piece]:
        return read_ranges(self._asking, partial(self._range, path), lambda: self.look(path), start, length)

    def look(self, path: str) -> Found | None:
        try:
            properties = self._asking.ask(self._blob(path).get_blob_properties, **self._options)
        except HttpResponseError as error:
            if failure_of(error).meaning == "missing":
                return None
            raise
        return None if _is_folder(properties) else _found(path.partition("/")[0], properties)

    def find(self, prefix: str) -> Iterator[Found]:
        container, _, start = prefix.partition("/")
        token: str | None = ""
        while token is not None:
            page, token = self._asking.ask(self._page, container, start, token)
            yield from (_found(container, one) for one in page if not _is_folder(one))

    def remove(self, path: str) -> None:
        try:
            self._asking.ask(self._blob(path).delete_blob, **self._options)
        except HttpResponseError as error:
            if failure_of(error).meaning != "missing":  # as after an answer that was lost
                raise

    def _blob(self, path: str) -> BlobClient:
        container, _, name = path.partition("/")
        return self._service.get_blob_client(container, name)

    async def _page(self, container: str, prefix: str, token: str) -> tuple[list[BlobProperties], str | None]:
        """One page of a listing, and how to ask for the next."""
        found = self._service.get_container_client(container).list_blobs(
            name_starts_with=prefix, include=["metadata"], results_per_page=_PAGE, **self._options
        )
        pages = found.by_page(continuation_token=token or None)
        page = [one async for one in await anext(pages)]
        return page, getattr(pages, "continuation_token", None) or None

    async def _range(self, path: str, start: int, length: int, tag: str | None) -> Piece | None:
        """These bytes, of this state of the blob; None if it ends before them."""
        unchanged: dict[str, Any] = (
            {"etag": tag, "match_condition": MatchConditions.IfNotModified} if tag else {}
        )
        try:
            found = await self._blob(path).download_blob(
                offset=start, length=length, max_concurrency=1, **unchanged, **_once(self._transfer, length)
            )
            content = await found.readall()
        except HttpResponseError as error:
            if tag and error.status_code in (404, 412):
                raise ReplacedError(errno.ESTALE, "replaced while it was read") from error
            if error.status_code == 416:
                return None
            raise
        whole = (found.properties.content_range or "").rpartition("/")[2]  # "bytes 0-99/1234"
        return Piece(content=content, size=int(whole or len(content)), tag=found.properties.etag)


class _Upload:
    """Blocks are nothing until the list of them is committed; what never is, Azure drops after a week."""

    def __init__(self, blob: BlobClient, asking: Asking, overwrite: bool) -> None:
        self._blob = blob
        self._asking = asking
        self._overwrite = overwrite
        self._md5 = _md5()
        self._digests: list[bytes] = []  # of blocks, with which Azure compares what arrives
        self._token = os.urandom(8).hex()  # those of another upload of the same blob have others
        self._blocks: list[str] = []
        self._made: str | None = None

    @property
    def checksum(self) -> str:
        return self._md5.hexdigest()

    def send(self, chunks: Iterator[bytes]) -> None:
        transfer = self._asking.transfer
        parts = cut(self._summed(chunks), growing(transfer.part_size, step=_BLOCKS, largest=_LARGEST))
        room = transfer.part_size * transfer.concurrency
        self._blocks = send_parts(self._asking, self._stage, self._digested(parts), room=room)

    def commit(self) -> None:
        # A small object too: to a request with all of it, blocks of an earlier upload that failed are a blob that
        # is there already.
        missing: dict[str, Any] = {"match_condition": MatchConditions.IfMissing}
        size = 100 * len(self._blocks)  # of the list, about
        answer = self._asking.moving(size).ask(
            self._blob.commit_block_list,
            [BlobBlock(one) for one in self._blocks],
            content_settings=ContentSettings(
                content_type="application/octet-stream", content_md5=bytearray(self._md5.digest())
            ),
            **({} if self._overwrite else missing),
            **_once(self._asking.transfer, size),
        )
        self._made = str(answer["etag"])

    def made(self, found: Found) -> bool:
        return found.tag == self._made

    def abort(self) -> None:
        """Nothing can be done: only a commit, or a week, ends blocks."""

    def _summed(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._md5.update(chunk)
            yield chunk

    def _digested(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        for block in blocks:
            self._digests.append(_md5(block).digest())
            yield block

    async def _stage(self, number: int, block: bytes) -> str:
        name = f"{self._token}{number:08}"
        # Of a block in one piece, the client keeps copies, which took 190 MiB for four blocks of 16 MiB.
        await self._blob.stage_block(
            name,
            slices(block),  # type: ignore[arg-type]  # what has no length of its own is sent as it comes
            length=len(block),
            transactional_content_md5=bytearray(self._digests[number - 1]),
            **_once(self._asking.transfer, len(block)),
        )
        return name


_md5 = partial(md5, usedforsecurity=False)


def _once(transfer: Transfer, size: int) -> dict[str, Any]:
    """For a request that moves so many bytes: without the client's own four tries, and with time for it."""
    return {
        "retry_total": 0,
        "connection_timeout": transfer.time_limit,
        "read_timeout": transfer.seconds_for(size),
    }


def _is_folder(one: BlobProperties) -> bool:
    metadata: Mapping[str, str] = one.metadata or {}
    return metadata.get(_FOLDER) == "true" or one.name.endswith("/")


def _found(container: str, one: BlobProperties) -> Found:
    md5 = one.content_settings.content_md5
    return Found(
        path=f"{container}/{one.name}",
        size=one.size,
        modified=one.last_modified,
        tag=one.etag,
        checksum=md5.hex() if md5 else None,
    )
