"""Into a backup: its folders, one file of it, and the archive as it is stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from starlette.exceptions import HTTPException
from starlette.responses import Response

from backupkit.browsing.shelf import Shelf
from backupkit.errors import BackupNotFoundError, IntegrityError, ObjectNotFoundError
from backupkit.integrations.asgi.access import auditing
from backupkit.integrations.asgi.pages.backup import PATH
from backupkit.integrations.asgi.pages.downloads import download
from backupkit.integrations.asgi.pages.equivalents import folder_equivalent
from backupkit.integrations.asgi.pages.filters import page_number
from backupkit.integrations.asgi.pages.shelves import NoAnswerError
from backupkit.integrations.asgi.routes import Route
from backupkit.integrations.asgi.visit import Visit
from backupkit.model import Backup, Entry

_T = TypeVar("_T")

_ROWS = 1000  # of a folder at once
_KINDS = {
    "file": "file",
    "hardlink": "file",
    "directory": "folder",
    "symlink": "link",
    "fifo": "pipe",
    "chardev": "device",
    "blockdev": "device",
}


@dataclass(frozen=True, slots=True)
class Folder:
    """So many entries of a folder, of `count`; `page` counts from 1."""

    path: str
    entries: Sequence[Entry]
    count: int
    page: int
    pages: int


def tree(visit: Visit) -> Response:
    """A folder of the backup, or for htmx only what is in it."""
    backup, path = visit.backup(), visit.query.get("path", "")
    try:
        found = _looked_into(visit, backup, lambda shelf: shelf.children(backup, path))
    except NoAnswerError as error:
        # The directory of an archive of a million files takes a while; it is read once, and is there then.
        waiting = visit.html("tree_waiting.html", 503, name=visit.name, backup=backup, said=str(error))
        waiting.headers["Refresh"] = waiting.headers["Retry-After"] = "3"
        return waiting
    # Folders first; otherwise they stay in the order of their names.
    entries = sorted(found.values(), key=lambda one: one.kind != "directory")
    pages = max(1, -(-len(entries) // _ROWS))
    page = min(page_number(visit), pages)

    def link(what: str, path: str, **more: object) -> str:
        return visit.path(
            "pipelines", visit.name, "backups", backup.id, what, at=backup.location, path=path, **more
        )

    return visit.html(
        "tree_part.html" if visit.asks_for_part else "tree.html",
        name=visit.name,
        backup=backup,
        folder=Folder(path, entries[(page - 1) * _ROWS : page * _ROWS], len(entries), page, pages),
        above=_above(path),
        link=link,
        kinds=_KINDS,
        changed=_changed,
        lines=folder_equivalent(visit.name, backup.id, path, backup.location),
    )


def file(visit: Visit) -> Response:
    """The content of one file."""
    backup, path = visit.backup(), visit.query.get("path", "")
    shelf = visit.page.shelves.shelf(visit.name, backup.location)
    entry = _looked_into(visit, backup, lambda shelf: shelf.entry(backup, path))
    if entry.kind not in ("file", "hardlink"):
        raise HTTPException(404, "This is no file: only files can be downloaded one by one.")
    _note(visit, backup, path)
    return _looked_into(visit, backup, lambda _: download(visit, backup, entry, keep=shelf), on_thread=False)


def archive(visit: Visit) -> Response:
    """The archive as it is stored, encrypted if it is."""
    backup = visit.backup()
    pipeline = visit.pipeline
    entry = _looked_into(visit, backup, lambda _: pipeline.file(backup))
    _note(visit, backup, None)
    return _looked_into(visit, backup, lambda _: download(visit, backup, entry), on_thread=False)


def _note(visit: Visit, backup: Backup, path: str | None) -> None:
    """Keep it who has downloaded what; of what comes in pieces, once."""
    if visit.request.method == "HEAD":
        return
    client = visit.request.client.host if visit.request.client else ""
    what = (visit.visitor.who, client, visit.name, backup.location, backup.id, path or "")
    if visit.page.shelves.is_first(*what):
        auditing.note(visit, "download", backup=backup.id, at=backup.location, path=path)


def _looked_into(
    visit: Visit,
    backup: Backup,
    ask: Callable[[Shelf], _T],
    *,
    on_thread: bool = True,
) -> _T:
    """What is there, or a sentence that says why not: what is damaged or missing may only have been removed."""
    shelf = visit.page.shelves.shelf(visit.name, backup.location)

    def asked() -> _T:
        try:
            return ask(shelf)
        except (IntegrityError, ObjectNotFoundError, BackupNotFoundError) as error:
            if isinstance(error, BackupNotFoundError) or shelf.is_gone(backup):
                visit.page.looks.forget(visit.name)
                raise BackupNotFoundError(f"The backup {backup.id} was removed meanwhile.") from error
            raise
        except NotADirectoryError:
            raise HTTPException(404, "This is no folder, or leads through something that is none.") from None
        except FileNotFoundError:
            raise HTTPException(404, "There is nothing at this path in the backup.") from None

    return visit.page.shelves.within(backup.location, asked) if on_thread else asked()


def _above(path: str) -> Sequence[tuple[str, str]]:
    """The names on the way to a folder, each with its path."""
    names = path.split("/") if path else []
    return [(name, "/".join(names[: number + 1])) for number, name in enumerate(names)]


def _changed(entry: Entry) -> datetime | None:
    """When its content was changed last, if that is in the calendar."""
    if entry.modified_ns is None:
        return None
    try:
        time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=entry.modified_ns // 1000)
    except OverflowError:
        return None
    return time if 1 < time.year < 9999 else None


ROUTES: tuple[Route, ...] = (
    Route("GET", f"{PATH}/tree", "view", tree),
    Route("GET", f"{PATH}/file", "download", file),
    Route("GET", f"{PATH}/archive", "download", archive),
)
