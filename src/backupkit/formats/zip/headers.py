"""How an entry looks to tools that know ZIP only: its name and its attributes."""

from __future__ import annotations

import stat

from backupkit.formats.zip import manifest
from backupkit.formats.zip.records import METHODS, Record
from backupkit.model import Entry

MANIFEST = Entry(path=manifest.PATH, mode=0o600)
FOLDER_PATH = manifest.PATH.split("/")[0]


def archive_name(entry: Entry) -> str:
    """The name that stock tools see: bytes that are not UTF-8 as %XX, and a slash behind a directory."""
    name = entry.path
    if not name.isascii():
        name = "".join(
            f"%{ord(char) - 0xDC00:02X}" if 0xDC80 <= ord(char) <= 0xDCFF else char for char in name
        )
    return name + "/" if entry.kind == "directory" else name


def attributes(entry: Entry) -> int:
    """APPNOTE 4.4.15 as Unix tools use it: the mode in the upper half, the DOS folder bit in the lower."""
    kind = {"directory": stat.S_IFDIR, "symlink": stat.S_IFLNK}.get(entry.kind, stat.S_IFREG)
    usual = {"directory": 0o755, "symlink": 0o777}.get(entry.kind, 0o644)
    mode = usual if entry.mode is None else entry.mode & 0o7777
    return (kind | mode) << 16 | (0x10 if entry.kind == "directory" else 0)


# The folder of the manifest, at the beginning of an archive whose first entry is streamed.
FOLDER = Record(
    name=f"{FOLDER_PATH}/".encode(),
    method=METHODS["store"],
    encrypted=False,
    streamed=False,
    modified=None,
    attributes=attributes(Entry(path=FOLDER_PATH, kind="directory", mode=0o700)),
    offset=0,
)
