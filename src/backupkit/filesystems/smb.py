"""SMB: fsspec's file system, which can replace a file in one step where it is asked to."""

from __future__ import annotations

from typing import Any

import smbclient
from fsspec.implementations.smb import SMBFileSystem


class ReplacingSMBFileSystem(SMBFileSystem):  # type: ignore[misc]
    """With a `mv` that replaces, as it does on most file systems; fsspec's own refuses when there is a file."""

    renames_in_one_step = True

    def mv(self, path1: str, path2: str, recursive: bool | None = None, **options: Any) -> None:
        source, target = (f"\\\\{self.host}{path}".replace("/", "\\") for path in (path1, path2))
        smbclient.replace(source, target, port=self._port)
