"""An account, or the folder of an app: what is asked of Dropbox, each time within the patience for one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, TypeAlias, TypeVar

from dropbox import Dropbox
from dropbox.exceptions import ApiError
from dropbox.files import DeletedMetadata, FileMetadata, FolderMetadata, Metadata

from backupkit.filesystems.asking import ask
from backupkit.filesystems.failures import failure_of
from backupkit.filesystems.transfer import Transfer

T = TypeVar("T")
Entry: TypeAlias = FileMetadata | FolderMetadata


class Account:
    """Paths are absolute, as "/folder/file"; the root is ""."""

    def __init__(self, client: Dropbox, transfer: Transfer) -> None:
        self.client = client
        self.transfer = transfer

    def ask(self, function: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Call it, again after failures that may pass."""
        return ask(self.transfer, function, *arguments, **options)

    def entry(self, path: str) -> Entry | None:
        """What is there, under this name or one that differs in case only, or None."""
        try:
            found: Metadata = self.ask(self.client.files_get_metadata, path)
        except ApiError as error:
            if failure_of(error).meaning == "missing":
                return None
            raise
        return None if isinstance(found, DeletedMetadata) else found

    def entries(self, folder: str, *, recursive: bool) -> Iterator[tuple[str, Entry]]:
        """Yield what is in a folder, with paths that begin with the folder's as it was given.

        One call for each page. Names are spelled as in Dropbox; of `path_display`, only the last part surely is.
        """
        spelled = {folder.lower(): folder}
        page = self.ask(self.client.files_list_folder, folder, recursive=recursive)
        while True:
            for found in page.entries:
                if found.path_lower == folder.lower() or isinstance(found, DeletedMetadata):
                    continue
                above = spelled.get(found.path_lower.rpartition("/")[0]) or _shown_above(found, folder)
                path = f"{above}/{found.name}"
                if isinstance(found, FolderMetadata):
                    spelled[found.path_lower] = path
                yield path, found
            if not page.has_more:
                return
            page = self.ask(self.client.files_list_folder_continue, page.cursor)

    def content(self, revision: str, start: int, end: int) -> bytes:
        """The bytes from start to before end of one revision of a file; one attempt."""
        _, answer = self.client.files_download(
            f"rev:{revision}", extra_headers={"Range": f"bytes={start}-{end - 1}"}
        )
        with closing(answer):
            content = b"".join(answer.iter_content(1 << 18))  # by itself it would take 10 KiB at once
        if len(content) != end - start:
            raise ConnectionError(f"{len(content)} bytes came where {end - start} were asked for")
        return content


def _shown_above(found: Entry, folder: str) -> str:
    """The path of the folder that it is in, below `folder`, as it is displayed."""
    shown = found.path_display.split("/")[1:-1]
    return "/".join([folder, *shown[folder.count("/") :]])
