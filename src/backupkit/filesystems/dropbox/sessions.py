"""Upload sessions: content is sent in appends, and one call makes a file of it.

Documented in `files_upload_session_start` of the SDK: a request takes 150 MiB at most, a session lasts 7 days, a
file may have 2 TiB. Appends to a concurrent session may be under way at once if they begin and end at multiples of
4 MiB. What is not finished is visible nowhere, and goes by itself.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256

from dropbox.exceptions import ApiError
from dropbox.files import CommitInfo, FileMetadata, UploadSessionCursor, UploadSessionType, WriteMode

from backupkit.filesystems.dropbox.account import Account

UNIT = 4 << 20
_LARGEST = 144 << 20
_OF_LOST = {
    *("not_found", "incorrect_offset", "closed", "not_closed"),
    *("concurrent_session_not_closed", "concurrent_session_missing_data"),
}


def part_size(wanted: int, *, concurrent: bool) -> int:
    """The nearest size of a part that a session takes."""
    return min(max(wanted - wanted % UNIT, UNIT) if concurrent else wanted, _LARGEST)


class ContentHash:
    """https://www.dropbox.com/developers/reference/content-hash, without copies of what it is given.

    The SDK's own copies each block, which took 50 MiB of memory more.
    """

    def __init__(self) -> None:
        self._blocks = sha256()
        self._block = sha256()
        self._missing = UNIT

    def update(self, content: bytes) -> None:
        view = memoryview(content)
        while view:
            self._block.update(view[: self._missing])
            taken = min(len(view), self._missing)
            view = view[taken:]
            self._missing -= taken
            if not self._missing:
                self._blocks.update(self._block.digest())
                self._block, self._missing = sha256(), UNIT

    def hexdigest(self) -> str:
        whole = self._blocks.copy()
        if self._missing < UNIT:
            whole.update(self._block.digest())
        return whole.hexdigest()


def content_hash(content: bytes) -> str:
    """Of the content of one request, with which Dropbox compares what arrives."""
    whole = ContentHash()
    whole.update(content)
    return whole.hexdigest()


def commit_info(path: str, *, overwrite: bool, strict: bool = False) -> CommitInfo:
    """As which file content is to be kept; never under another name, and without notifying the user's devices."""
    return CommitInfo(
        path,
        mode=WriteMode.overwrite if overwrite else WriteMode.add,
        autorename=False,
        strict_conflict=strict,
        mute=True,
    )


class Session:
    """One upload session."""

    def __init__(self, account: Account, *, concurrent: bool) -> None:
        self._account = account
        kind = UploadSessionType.concurrent if concurrent else UploadSessionType.sequential
        # When its answer is lost there is another one: this one is empty.
        started = account.ask(account.client.files_upload_session_start, b"", session_type=kind)
        self._id: str = started.session_id

    def append(self, offset: int, content: bytes, *, last: bool) -> None:
        """Send content that stands at this offset; one attempt. One that had happened already is no error."""
        cursor = UploadSessionCursor(self._id, offset)
        client = self._account.client
        try:
            client.files_upload_session_append_v2(content, cursor, last, content_hash(content))
        except ApiError as error:
            if not _has_happened(error, offset + len(content), last):
                raise

    def finish(self, size: int, commit: CommitInfo) -> FileMetadata:
        """Make a file of it; one attempt."""
        return self._account.client.files_upload_session_finish(
            b"", UploadSessionCursor(self._id, size), commit
        )


@contextmanager
def lost_is_passing() -> Iterator[None]:
    """A session that was lost is no use any more, but all of it may be sent again, by whoever has it all."""
    try:
        yield
    except ApiError as error:
        said = error.error
        if type(said).__name__ == "UploadSessionFinishError" and said.is_lookup_failed():
            said = said.get_lookup_failed()
        if getattr(said, "_tag", None) in _OF_LOST and type(said).__name__.startswith("UploadSession"):
            raise OSError(errno.EIO, "the upload session was lost") from error
        raise


def _has_happened(error: ApiError, end: int, last: bool) -> bool:
    """Whether the store says that it has this content already, since the answer to an earlier attempt was lost."""
    said = error.error
    if said.is_incorrect_offset():
        return bool(said.get_incorrect_offset().correct_offset == end)
    return last and bool(said.is_closed())  # who closes it is the last to send anything
