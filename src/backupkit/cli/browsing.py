"""The verbs `ls` and `cat`."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backupkit.backups import Backups
from backupkit.cli.opening import OpeningAny
from backupkit.cli.options import At, Json, Url, Which, grouped
from backupkit.cli.output import Output
from backupkit.cli.texts import minutes
from backupkit.errors import BackupKitError, BackupNotFoundError, ConfigurationError
from backupkit.model import Backup
from backupkit.plain_data import plain
from backupkit.printable import printable

if TYPE_CHECKING:
    from backupkit.browsing import BackupFileSystem

_PIECE = 1 << 20
_TYPES = {"file": stat.S_IFREG, "directory": stat.S_IFDIR, "link": stat.S_IFLNK}
_STOPPED_READING = 141  # what a shell says of a program that such a pipe ended

Path = Annotated[
    str | None,
    typer.Argument(metavar="PATH", help="Path within the backup, as `ls` shows it.", show_default=False),
]


@grouped
def ls(
    url: Url = None,
    path: Path = None,
    *,
    backup: Which = "latest",
    at: At = None,
    long: Annotated[
        bool, typer.Option("--long", "-l", help="Also permissions, owner, size in bytes, and time in UTC.")
    ] = False,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Also what is in the folders in it.")
    ] = False,
    opening: OpeningAny,
    json: Json = False,
) -> None:
    """Show what is in a backup, or in a folder of it.

    Of a snapshot, only that folder is read. With --app or --config, the one argument is the path.

    \b
    Examples:
      backupkit ls /mnt/backup
      backupkit ls /mnt/backup shop/uploads --backup 2026-03-01T02 --long
      backupkit ls --app shop.backups:pipeline shop/uploads --recursive
    """
    output = Output(json=json)
    with output.ending():
        if opening.said and path is None:
            url, path = None, url
        place = opening.at(url)

        def operation(backups: Backups, _: object) -> None:
            fs, found, start = _looked_into(backups, backup, at, path)
            with _told(found, path):
                entries = _entries(fs, start, recursive=recursive)
                if json:
                    described = [_described(one) for one in entries]
                    output.told({"backup": plain(found), "entries": described}, ())
                else:
                    output.told(None, (_line(one, long=long) for one in entries))

        place.use(operation)


@grouped
def cat(
    url: Url = None,
    path: Path = None,
    *,
    backup: Which = "latest",
    at: At = None,
    opening: OpeningAny,
) -> None:
    """Write the content of one file to standard output, as it is.

    With --app or --config, the one argument is the path. If the exit code is not 0, not all of it was written.

    \b
    Examples:
      backupkit cat /mnt/backup shop/orders.csv | head
      backupkit cat --app shop.backups:pipeline db-dumps/postgresql-shop.sql --backup 2026-03-01T02 > shop.sql
    """
    output = Output()
    with output.ending():
        if path is None:
            url, path = None, url
        if path is None:
            raise ConfigurationError("Nothing says which file is meant: give its path within the backup.")
        place = opening.at(url)

        def operation(backups: Backups, _: object) -> None:
            fs, found, start = _looked_into(backups, backup, at, path)
            with _told(found, path):
                file = fs.open(start)
            with _told(found, path), file:
                _write_out(iter(lambda: file.read(_PIECE), b""))

        place.use(operation)


def _looked_into(
    backups: Backups, backup: str, at: str | None, path: str | None
) -> tuple[BackupFileSystem, Backup, str]:
    found = backups.get(backup, at=at)
    # The root of a snapshot is that of the machine: the path of a file there is one here.
    return backups.file_system(at=found.location), found, f"{found.id}/{(path or '').strip('/')}".rstrip("/")


def _entries(fs: BackupFileSystem, path: str, *, recursive: bool) -> Iterator[dict[str, Any]]:
    left = [iter(fs.ls(path))]
    while left:
        entry = next(left[-1], None)
        if entry is None:
            left.pop()
            continue
        yield entry
        if recursive and entry["type"] == "directory":
            left.append(iter(fs.ls(entry["name"])))


@contextmanager
def _told(backup: Backup, path: str | None) -> Iterator[None]:
    """Say in our words what a file system says in those of an operating system."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        if isinstance(error, BackupKitError):
            raise
        if isinstance(error, IsADirectoryError):
            raise ConfigurationError(f"{path!r} is a folder: name a file in it.") from error
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            raise BackupNotFoundError(
                f"The backup {backup.id} holds no {path!r}: look at what `backupkit ls` shows."
            ) from error
        if error.errno not in (
            errno.ELOOP,
            errno.EINVAL,
        ):  # not of the backup: standard output is on a full disk
            raise BackupKitError(f"Not all could be written: {error.strerror}.") from error
        raise ConfigurationError(f"{path!r} has no content. {error.strerror}.") from error


def _write_out(pieces: Iterator[bytes]) -> None:
    try:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # as `head` does when it has seen enough
        # What is still buffered goes nowhere, or Python would complain of it when it ends.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        raise typer.Exit(_STOPPED_READING) from None


def _path_of(entry: dict[str, Any]) -> str:
    return str(entry["name"]).partition("/")[2]


def _line(entry: dict[str, Any], *, long: bool) -> str:
    name = printable(_path_of(entry)) + ("/" if entry["type"] == "directory" else "")
    if not long:
        return name
    mode = stat.filemode(_TYPES.get(entry["type"], 0) | entry.get("mode", 0))
    if "mode" not in entry:
        mode = mode[0] + "?" * 9
    owner = f"{entry['uid']}:{entry['gid']}" if "uid" in entry else "?"
    target = f" -> {printable(entry['destination'])}" if entry["islink"] else ""
    size = "?" if entry["size"] is None else entry["size"]
    return f"{mode} {owner:>11} {size:>13} {minutes(_time_of(entry))} {name}{target}"


def _described(entry: dict[str, Any]) -> dict[str, object]:
    return {
        "path": _path_of(entry),
        "type": entry["type"],
        "size": entry["size"],
        "modified": plain(_time_of(entry)),
        "mode": entry.get("mode"),
        "uid": entry.get("uid"),
        "gid": entry.get("gid"),
        "target": entry.get("destination"),
    }


def _time_of(entry: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(entry["mtime"], UTC)
