"""A download: bytes of a backup on their way to whoever asked, never in memory as a whole and never on disk."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, suppress
from urllib.parse import quote

import anyio
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from backupkit._entry_file import EntryFile
from backupkit.browsing.files import content_within
from backupkit.integrations.asgi.pages.shelves import NoAnswerError
from backupkit.integrations.asgi.visit import Visit
from backupkit.model import Backup, Entry

_PIECE = 1 << 20
_STALL = 300.0  # seconds for one piece, which may stand far behind in what is encrypted as a whole
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9 ._()+,=@-]")


def download(visit: Visit, backup: Backup, entry: Entry, keep: object = None) -> Response:
    """The content of an entry, or the range of it that is asked for; `keep` is what must not go meanwhile.

    What is damaged at its beginning is an error, and behind that an end of the connection before the last byte.
    """
    size, tag = entry.size, _tag(backup, entry)
    headers = {"Content-Disposition": disposition(entry.path.rpartition("/")[2]), "ETag": tag}
    status, start, stop = 200, 0, size
    if size is not None:
        headers["Accept-Ranges"] = "bytes"
        asked = visit.request.headers.get("range", "")
        wanted = range_of(asked, size) if visit.request.headers.get("if-range", tag) == tag else None
        if wanted is not None:
            status, (start, stop) = 206, wanted
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        headers["Content-Length"] = str((size if stop is None else stop) - start)
    pieces = Pieces(lambda: _content(entry, start, stop), keep)
    if visit.request.method != "HEAD" and (start == 0 or entry.within is not None):
        # What goes wrong at once is told in a sentence; who takes longer is waited for on the way.
        with suppress(NoAnswerError):
            visit.page.shelves.within(backup.location, pieces.begin)
    return Download(pieces, status, headers)


def range_of(asked: str, size: int) -> tuple[int, int] | None:
    """From where to where: of one range; None if there is none, or several, or none that can be understood.

    416 if there is nothing of it.
    """
    found = _RANGE.fullmatch(asked.strip())
    if found is None or found[0] == "bytes=-":
        return None
    first, last = found[1], found[2]
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return None
    if start >= stop:
        raise HTTPException(416, "There is nothing in that range.", {"Content-Range": f"bytes */{size}"})
    return start, stop


def disposition(name: str) -> str:
    """The header by which a browser saves what comes under this name, whatever stands in it (RFC 6266)."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    text = "".join("_" if not one.isprintable() or one in "/\\" else one for one in text)
    plain = _NOT_PLAIN.sub("_", text)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(text, safe='')}"


class Download(StreamingResponse):
    """Sends pieces as they come; whatever happens, what they come from is closed in the end."""

    def __init__(self, pieces: Pieces, status: int, headers: dict[str, str]) -> None:
        self._pieces = pieces
        super().__init__(self._pulled(), status, headers, media_type="application/octet-stream")

    async def _pulled(self) -> AsyncIterator[bytes]:
        while True:
            with anyio.fail_after(_STALL):
                piece = await anyio.to_thread.run_sync(self._pieces.pull, abandon_on_cancel=True)
            if piece is None:
                return
            yield piece

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._pieces.leave)


class Pieces:
    """A stream that is pulled on one thread after the other, and may be left while one of them still waits.

    What has failed once fails from then on: it must not look as if it had ended.
    """

    def __init__(self, chunks: Callable[[], Iterator[bytes]], keep: object = None) -> None:
        self._make = chunks
        self._keep = keep
        self._chunks: Iterator[bytes] | None = None
        self._first: bytes | None = None
        self._failed: BaseException | None = None
        self._lock = threading.Lock()
        self._left = False

    def begin(self) -> None:
        """Have the first piece ready, or raise what keeps it from coming."""
        try:
            with self._lock:
                self._first = self._next()
        finally:
            if self._left:
                self.leave()

    def pull(self) -> bytes | None:
        """The next piece; None after the last one."""
        try:
            with self._lock:
                piece, self._first = self._first, None
                return self._next() if piece is None else piece
        finally:
            if self._left:
                self.leave()

    def leave(self) -> None:
        """Close what the pieces come from; if one is being pulled, when that has come."""
        self._left = True
        if self._lock.acquire(blocking=False):
            try:
                close = getattr(self._chunks, "close", None)
                self._chunks, self._keep = iter(()), None
                if close is not None:
                    close()
            finally:
                self._lock.release()

    def _next(self) -> bytes | None:
        if self._failed is not None:
            raise self._failed
        try:
            if self._chunks is None:
                self._chunks = self._make()
            return next(self._chunks, None)
        except BaseException as error:
            self._failed = error
            raise


def _content(entry: Entry, start: int, stop: int | None) -> Iterator[bytes]:
    """The bytes from `start` to `stop`, or to the end; the last ones when all was authenticated."""
    if stop is None or (start, stop) == (0, entry.size):
        with EntryFile(entry.chunks(), ExitStack()) as file:
            while piece := file.read(_PIECE):
                yield piece
    else:
        yield from content_within(entry, start, stop)


def _tag(backup: Backup, entry: Entry) -> str:
    """What is another for any other content: backups never change."""
    said = (backup.location, backup.name, backup.id, entry.path, entry.size, entry.modified_ns, entry.digest)
    return f'"{hashlib.sha256(repr(said).encode()).hexdigest()[:32]}"'
