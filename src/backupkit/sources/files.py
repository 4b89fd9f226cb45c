"""`Directory`: a folder, or a single file, with everything in it that is worth keeping."""

from __future__ import annotations

import copy
import errno
import grp
import os
import pwd
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from backupkit.errors import ConfigurationError, SourceError
from backupkit.model import Contents, Entry, Kind, Owner, Problem, no_chunks
from backupkit.patterns import matcher
from backupkit.sources._content import (
    GONE,
    NO_XATTRS,
    WORTH_ANOTHER_TRY,
    could_not_be_read,
    find_holes,
    problem,
    read_file,
    read_xattrs,
    warning,
)
from backupkit.sources._names import check_folder_name, check_patterns

_SPECIAL = {
    stat.S_IFSOCK: "a socket",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class Directory:
    """A folder, or a single file, as entries called `name` and `name/…`; `name` defaults to its own.

    `exclude` and `include` are patterns in gitignore syntax, relative to the folder; one that begins with
    the folder's own absolute path means that path. What `exclude` matches is left out, and a folder it
    matches is not even looked into, so nothing below it can be brought back by "!". If `include` is given,
    only what it matches is taken, with the folders that lead there. A single file is matched by its name.

    A symbolic link is an entry of its own: excluding it never excludes what it points to.
    `follow_symlinks=True` stores what links lead to instead; a link that is broken, or that leads back
    to a folder it lies in, stays a link. The folder itself may always be given by a link.

    Sockets, pipes and devices are skipped with a warning. Whatever changes while it is read is told:
    see `Entry.chunks`. The constructor reads nothing; a folder that is not there is a SourceError of
    `entries()`.
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

    def entries(self) -> Iterator[Entry | Problem]:
        yield from _Walk(self).entries()

    def __repr__(self) -> str:
        return f"Directory({str(self.path)!r}, name={self.name!r})"


@dataclass(slots=True)
class _Level:
    """A folder on the way down. Itself it is `held` back until something in it turns out to be wanted."""

    names: Iterator[str]
    folder: str  # on disk, with its slash
    relative: str  # below the root, with its slash
    identity: tuple[int, int]
    held: list[Entry | Problem] = field(default_factory=list)


class _Walk:
    """One pass over a source, depth first; holds one sorted list of names per level and no descriptor."""

    def __init__(self, source: Directory) -> None:
        self.source = source
        # However the folder is written, and wherever links lead.
        roots = (str(source.path), os.path.normpath(source.path), os.path.realpath(source.path))
        self.excluded = matcher(source.exclude, *roots)
        self.included = matcher(source.include, *roots) if source.include else _everything
        self.left_out = _LeftOut(source._left_out)
        self.first_names: dict[tuple[int, int], str] = {}
        self.owners: dict[tuple[int, int], Owner] = {}

    def entries(self) -> Iterator[Entry | Problem]:
        # Resolved once: a link to the current release may be turned while the walk goes on.
        root, name = os.path.realpath(self.source.path), self.source.name
        try:
            status = os.stat(root)
            names = sorted(os.listdir(root)) if stat.S_ISDIR(status.st_mode) else []
        except OSError as error:
            raise SourceError(
                f"The source {root!r} could not be read ({error.strerror or error}): "
                "mount it, create it, or correct its path.",
                path=name,
                retryable=error.errno in WORTH_ANOTHER_TRY,
            ) from error
        if not stat.S_ISDIR(status.st_mode):
            yield from self._single_file(root, status)
            return
        yield from self._describe(root, name, status)
        levels = [_Level(iter(names), f"{root.rstrip('/')}/", "", _identity(status))]
        while levels:
            below = next(levels[-1].names, None)
            if below is None:
                levels.pop()
            else:
                yield from self._visit(below, levels)
        if not _is_still(root, status):
            # Else all that an unmounted disk held would pass for deleted.
            raise SourceError(
                f"The source {root!r} was unmounted, replaced or deleted while the backup ran.", path=name
            )

    def _single_file(self, root: str, status: os.stat_result) -> Iterator[Entry | Problem]:
        name, base = self.source.name, self.source.path.name
        if not stat.S_ISREG(status.st_mode):
            raise SourceError(
                f"The source {root!r} is neither a folder nor a file: correct its path.", path=name
            )
        if self.excluded(base) or not self.included(base):
            yield warning(
                name, f"{root!r} is left out by the patterns of its own source, which holds no more."
            )
            return
        yield from self._describe(root, name, status)

    def _visit(self, name: str, levels: list[_Level]) -> Iterator[Entry | Problem]:
        """Yield what one name stands for; if it is a folder, what is in it comes next."""
        full, relative = levels[-1].folder + name, levels[-1].relative + name
        path = f"{self.source.name}/{relative}"
        try:
            status = self._status(full, levels)
        except OSError as error:
            if not self.excluded(f"{relative}/"):
                yield problem(full, path, error)
            return
        is_folder = stat.S_ISDIR(status.st_mode)
        subject = f"{relative}/" if is_folder else relative
        if self.excluded(subject) or (is_folder and self.left_out(full, status)):
            return
        wanted = self.included(subject)
        if not wanted and not is_folder:
            return
        described = list(self._describe(full, path, status))
        if wanted:
            for level in levels:
                yield from level.held
                level.held.clear()
            yield from described
            described.clear()
        if is_folder:
            try:
                names = sorted(os.listdir(full))
            except OSError as error:
                yield problem(full, path, error)
                return
            levels.append(_Level(iter(names), f"{full}/", f"{relative}/", _identity(status), held=described))

    def _status(self, full: str, levels: list[_Level]) -> os.stat_result:
        """Look at a name; where links are followed, at what it leads to, if that can be followed."""
        status = os.lstat(full)
        if not (self.source.follow_symlinks and stat.S_ISLNK(status.st_mode)):
            return status
        try:
            followed = os.stat(full)
        except OSError as error:
            if error.errno in (*GONE, errno.ELOOP):
                return status
            raise
        if stat.S_ISDIR(followed.st_mode) and any(level.identity == _identity(followed) for level in levels):
            return status
        return followed

    def _describe(self, full: str, path: str, status: os.stat_result) -> Iterator[Entry | Problem]:
        kind: Kind = "directory"
        size: int | None = None
        target: str | None = None
        holes: tuple[tuple[int, int], ...] = ()
        chunks: Callable[[], Iterator[bytes]] = no_chunks
        warnings: list[Problem] = []
        problems: list[Problem] = []
        follow = self.source.follow_symlinks
        if stat.S_ISREG(status.st_mode):
            kind, size, holes = "file", status.st_size, find_holes(full, status, follow)
            chunks = partial(read_file, full, path, status, bool(holes), follow, warnings)
            if status.st_nlink > 1:
                first = self.first_names.setdefault(_identity(status), path)
                if first != path:
                    kind, target = "hardlink", first
        elif stat.S_ISLNK(status.st_mode):
            try:
                kind, target = "symlink", os.readlink(full)
            except OSError as error:
                yield problem(full, path, error)
                return
            if follow and os.path.isdir(full):
                problems.append(warning(path, f"{full!r} leads back to a folder it lies in: kept as a link."))
        elif not stat.S_ISDIR(status.st_mode):
            yield warning(
                path, f"{full!r} is {_SPECIAL.get(stat.S_IFMT(status.st_mode), 'no file')}: skipped."
            )
            return
        try:
            xattrs = read_xattrs(full, follow=follow and kind != "symlink")
        except OSError as error:
            xattrs = NO_XATTRS
            problems.append(warning(path, f"The extended attributes of {could_not_be_read(full, error)}"))
        yield Entry(
            path=path,
            kind=kind,
            size=size,
            modified_ns=status.st_mtime_ns,
            mode=stat.S_IMODE(status.st_mode),
            owner=self._owner(status.st_uid, status.st_gid),
            target=target,
            xattrs=xattrs,
            holes=holes,
            chunks=chunks,
            warnings=warnings,
        )
        yield from problems

    def _owner(self, uid: int, gid: int) -> Owner:
        owner = self.owners.get((uid, gid))
        if owner is None:
            try:
                user = pwd.getpwuid(uid).pw_name
            except KeyError:
                user = None
            try:
                group = grp.getgrgid(gid).gr_name
            except KeyError:
                group = None
            owner = self.owners[uid, gid] = Owner(uid=uid, gid=gid, user=user, group=group)
        return owner


class _LeftOut:
    """Recognises the folders that `excluding` named."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.identities: set[tuple[int, int]] = set()
        self.paths = {os.path.realpath(path) for path in paths}
        for path in paths:
            try:
                self.identities.add(_identity(os.stat(path)))
            except OSError:
                continue  # not there yet: its path will tell

    def __call__(self, full: str, status: os.stat_result) -> bool:
        return _identity(status) in self.identities or full in self.paths


def _everything(path: str) -> bool:
    return True


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _is_still(root: str, status: os.stat_result) -> bool:
    try:
        return _identity(os.stat(root)) == _identity(status)
    except OSError:
        return False
