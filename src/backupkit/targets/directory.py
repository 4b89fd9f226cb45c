"""`DirectoryTarget`: restored entries go below a folder, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field

from backupkit.errors import ConfigurationError, RestoreError
from backupkit.model import Entry, Problem
from backupkit.sizes import format_size, parse_size
from backupkit.targets.folders import Folders, lstat_in
from backupkit.targets.limits import Tally
from backupkit.targets.metadata import Metadata
from backupkit.targets.resuming import Finished
from backupkit.targets.writing import Writer, check_gives_way, problem_of, reason_of, split


@dataclass(frozen=True, slots=True)
class DirectoryTarget:
    """Restores below `folder`, which is made if it is missing.

    No path leaves the folder and no symlink below it is followed, even while somebody else changes it; a
    symlink that points elsewhere is restored as it is, but nothing is written through it. A file is
    written as `.<name>.<random>.partial` beside its place, readable by its owner only, and takes its name
    when it is whole; one that fails leaves nothing. What exists already stays as it is and is a problem,
    unless `overwrite`: then files and links are replaced. A folder never gives way to a file, nor a file
    to a folder. Folders are merged; those that existed keep their mode and times unless `overwrite`.

    With `overwrite`, an entry that can (`Entry.reusing`) takes what the file in its place holds already from
    there. The new file is written beside it all the same, so that the old one is good until the new one is.

    `resume` goes on where a restore was interrupted: what is in place as this restore would leave it
    counts as finished, is not read from the backup, and is told to `skipped`. That is a file with the size,
    mode, owner and time (to the nanosecond) of its entry, a symlink with its target, a hard link to the
    same file. A file of an entry without a time or a size, such as a dump, is compared with the backup's
    content; with `overwrite` it is simply restored again. Anything else is in the way as it would be
    without. Unfinished files that the interrupted restore left beside these entries are removed, so it
    must not be running still. Folders that exist get their modes and times.

    No entry may hold more than its declared size. `max_size` (bytes of content, holes included, or a text
    such as "50GB") and `max_entries` (files, links and folders) bound all of them together, finished ones
    included; without, the backup is trusted to be as large as it is.

    Named pipes and device nodes are made anew, and never opened. Devices need root, and Linux; one that cannot
    be made is a problem of its entry. `sparse` leaves out blocks of zeros, so that files take no space for
    them, whether they were holes or not; without, the holes that a backup knows come back.

    Set-user-id and set-group-id bits of files, and extended attributes that can grant rights
    (`security.*`, `trusted.*`), come back only with `setuid`. Owners come back when this runs as root, by
    name where this machine knows the name, else by number. A file without a recorded mode gets 0600.

    Nothing is forced to the disk (an fsync per file would dominate): after a power failure, restore again.
    """

    folder: str | os.PathLike[str]
    overwrite: bool = field(default=False, kw_only=True)
    setuid: bool = field(default=False, kw_only=True)
    resume: bool = field(default=False, kw_only=True)
    sparse: bool = field(default=False, kw_only=True)
    max_size: int | str | None = field(default=None, kw_only=True)
    max_entries: int | None = field(default=None, kw_only=True)
    skipped: Callable[[Entry], None] | None = field(default=None, kw_only=True, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not os.fspath(self.folder):
            raise ConfigurationError("The folder to restore to is empty: name one, or '.' for this folder.")
        most: object = self.max_entries
        if most is not None and (not isinstance(most, int) or isinstance(most, bool) or most < 0):
            raise ConfigurationError(f"max_entries is {most!r}: use a whole number, or None for no limit.")
        if self.max_size is not None:
            parse_size(self.max_size)

    def check(self, entries: Iterable[Entry]) -> Iterator[Problem]:
        """Yield what would keep `write` from succeeding; touches nothing and keeps no entry.

        The space that must be free is that of the whole content of all that would be written, without
        holes: what `overwrite` replaces gives up its space only afterwards. What `resume` finds finished
        needs none, and is told to `skipped`. Entries whose size is not known are a warning, and so is too
        little space where `sparse` may need less.
        """
        folder = os.path.abspath(self.folder)
        base = folder
        while base != "/" and not os.path.lexists(base):
            base = os.path.dirname(base)
        if not os.path.isdir(base):
            yield Problem(message=f"{base!r} is not a folder: restore to another place.", path=folder)
            return
        if not os.access(base, os.R_OK | os.W_OK | os.X_OK):
            yield Problem(message=f"{base!r} cannot be written: change its mode or its owner.", path=folder)
            return
        try:
            disk = os.statvfs(base)
            opened = Folders(folder) if base == folder else nullcontext()
        except OSError as error:
            message = f"{base!r} cannot be looked into ({reason_of(error)}): restore to another place."
            yield Problem(message=message, path=folder)
            return
        needed = names = unknown = 0
        tally = self._tally(folder)
        metadata = Metadata(setuid=self.setuid, warn=lambda _: None)
        finished = Finished(metadata, comparing=not self.overwrite) if self.resume else None
        with opened as folders:
            for entry in entries:
                names += tally.add(entry)
                content = tally.brings_content(entry)
                tally.size += max(0, entry.size or 0) if content else 0
                try:
                    above, name = split(entry)
                    there, parent = None, -1
                    if folders is not None:
                        with suppress(FileNotFoundError):  # nothing is in the way where there is no folder
                            parent = folders.open(above)
                            there = lstat_in(name, parent)
                    standing = finished.standing(entry, there, name, parent) if finished else "other"
                    if standing == "same" and self.skipped is not None:
                        self.skipped(entry)
                    if standing != "other":
                        continue
                    check_gives_way(entry, there, overwrite=self.overwrite)
                except (RestoreError, OSError) as error:
                    yield problem_of(entry, error)
                names += entry.kind != "directory"
                if content and entry.size is None:
                    unknown += 1
                elif content and entry.size is not None:
                    needed += max(0, entry.size - sum(length for _, length in entry.holes))
        if unknown:
            yield Problem(
                message=f"The backup does not say how large {unknown} of its entries are, so whether they fit "
                f"into {base!r} is not known beforehand.",
                severity="warning",
                path=folder,
            )
        yield from tally.problems()
        yield from _space_problems(disk, base, needed, names, path=folder, sparse=self.sparse)

    def write(self, entries: Iterable[Entry]) -> Iterator[Problem]:
        """Put the entries in place, in order, yielding a problem for each that could not be.

        RestoreError when the folder cannot be used, its disk is full or a limit is reached; what was
        finished before stays. Folders get their modes and times at the end, when all that is in them is
        there.
        """
        folder = os.fspath(self.folder)
        try:
            os.makedirs(folder, exist_ok=True)
            folders = Folders(folder)
        except OSError as error:
            raise RestoreError(
                f"Nothing can be restored to {folder!r} ({reason_of(error)}): "
                "name a folder that can be written, or one that can be made.",
                path=folder,
            ) from error
        with folders:
            writer = Writer(
                folders,
                self._tally(folder),
                overwrite=self.overwrite,
                setuid=self.setuid,
                resume=self.resume,
                sparse=self.sparse,
                skipped=self.skipped,
            )
            for entry in entries:
                writer.put(entry)
                yield from writer.problems()
            for entry in writer.unfinished_folders():
                writer.finish_folder(entry)
                yield from writer.problems()

    def _tally(self, folder: str) -> Tally:
        max_size = None if self.max_size is None else parse_size(self.max_size)
        return Tally(folder, max_size=max_size, max_entries=self.max_entries)


def _space_problems(
    disk: os.statvfs_result, base: str, needed: int, names: int, *, path: str, sparse: bool
) -> Iterator[Problem]:
    """Yield what the file system that `base` is on has too little of."""
    root = os.geteuid() == 0
    free = disk.f_frsize * (disk.f_bfree if root else disk.f_bavail)
    if needed > free:
        yield Problem(
            message=f"{format_size(needed)} would be restored to {base!r}, "
            f"where {format_size(free)} are free: make room, or restore to another place.",
            severity="warning" if sparse else "error",
            path=path,
        )
    places = disk.f_ffree if root else disk.f_favail
    if disk.f_files and names > places:  # some file systems have no fixed number, and say 0
        yield Problem(
            message=f"{names} files, links and folders would be restored to {base!r}, "
            f"where {places} more can be made: remove some, or restore to another place.",
            path=path,
        )
