"""`Directory`: a folder, or a single file, with everything in it that is worth keeping."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from backupkit.errors import ConfigurationError
from backupkit.model import Contents, Entry, Finding, Part, Problem
from backupkit.sources._looking import look
from backupkit.sources._names import check_folder_name, check_patterns
from backupkit.sources._walk import LeftOut, Walk, with_links


class Directory:
    """A folder, or a single file, as entries called `name` and `name/…`; `name` defaults to its own.

    `exclude` and `include` are patterns in gitignore syntax, relative to the folder; one that begins with
    the folder's own absolute path means that path. What `exclude` matches is left out, and a folder it
    matches is not even looked into, so nothing below it can be brought back by "!". If `include` is given,
    only what it matches is taken, with the folders that lead there. A single file is matched by its name.

    A symbolic link is an entry of its own: excluding it never excludes what it points to.
    `follow_symlinks=True` stores what links lead to instead; a link that is broken, or that leads back
    to a folder it lies in, stays a link. The folder itself may always be given by a link.

    Pipes and devices are entries without content, never opened; sockets are skipped with a warning, as a program
    makes them anew. Whatever changes while it is read is told: see `Entry.chunks`. The constructor reads
    nothing; a folder that is not there is a SourceError of `entries()`.
    """

    contents: Contents = "files"

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        follow_symlinks: bool = False,
    ) -> None:
        if not os.fspath(path) or "\0" in os.fspath(path):
            raise ConfigurationError(f"{path!r} is no path: give the folder or file to back up.")
        self.path = Path(path).absolute()
        self.name = check_folder_name(self.path.name if name is None else name, of=str(self.path))
        self.include = check_patterns("include", include, str(self.path))
        self.exclude = check_patterns("exclude", exclude, str(self.path))
        self.follow_symlinks = follow_symlinks
        self._left_out: tuple[Path, ...] = ()

    def excluding(self, paths: Sequence[Path]) -> Directory:
        """Return a source that leaves out these absolute folders and all that is in them.

        They are recognised by device and inode when the walk begins, so through links and bind mounts
        too; one that is not there yet, by its path. The source's own folder is never left out.
        """
        other = copy.copy(self)
        other._left_out = (*self._left_out, *paths)
        return other

    def examine(self) -> Iterator[Finding]:
        """Whether it is there, and what of its first entries cannot be read or is left out."""
        yield from look(self.entries(), str(self.path))
        root = Path(os.path.realpath(self.path))
        inside = {Path(os.path.realpath(one)) for one in self._left_out if one.exists()}
        for folder in sorted(one for one in inside if root in one.parents):
            if not inside & {*folder.parents} - {root}:
                message = f"Backups go to {str(folder)!r}, which lies in it and is left out."
                yield Finding(step="destination", verdict="ok", message=message)

    def entries(self) -> Iterator[Entry | Problem]:
        yield from with_links(self.parts())

    def parts(self) -> Iterator[Entry | Problem | Part]:
        """The folder itself, unread; a single file as it is. See `ReadsInParts`."""
        yield from Walk(
            os.urandom(8),
            os.path.realpath(self.path),  # once: a link to the current release may be turned meanwhile
            str(self.path),
            self.name,
            self.include,
            self.exclude,
            self.follow_symlinks,
            LeftOut.at(self._left_out),
        ).parts()

    def __repr__(self) -> str:
        return f"Directory({str(self.path)!r}, name={self.name!r})"
