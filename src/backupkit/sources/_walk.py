"""How `Directory` reads: one folder at a time, each of which another thread or process may read instead."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from backupkit._flattening import flattened
from backupkit.errors import SourceError
from backupkit.model import Entry, Kind, Origin, Owner, Part, Problem, no_chunks
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

_KINDS: dict[int, Kind] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFCHR: "chardev",
    stat.S_IFBLK: "blockdev",
}


class Walk:
    """One pass over a source: what its folders have in common. Read by another process, it is the same there."""

    def __init__(
        self,
        token: bytes,  # what this pass has and no other
        root: str,
        path: str,
        name: str,
        include: tuple[str, ...],
        exclude: tuple[str, ...],
        follow: bool,
        left_out: LeftOut,
    ) -> None:
        self._settings = (token, root, path, name, include, exclude, follow, left_out)
        self._root = root
        self._path = path
        self._name = name
        self._follow = follow
        self._left_out = left_out
        # However the folder is written, and wherever links lead.
        roots = (path, os.path.normpath(path), root)
        self._excluded = matcher(exclude, *roots) if exclude else None
        self._included = matcher(include, *roots) if include else None
        self._owners: dict[tuple[int, int], Owner] = {}
        self._places = (f"{root.rstrip('/')}/", f"{_shown(path).rstrip('/')}/", f"{name}/")

    def __reduce__(self) -> tuple[Callable[..., Walk], tuple[object, ...]]:
        return _the_walk, self._settings

    def parts(self) -> Iterator[Entry | Problem | Part]:
        root, name = self._root, self._name
        try:
            status = os.stat(root)
            if is_folder := stat.S_ISDIR(status.st_mode):
                with os.scandir(root) as found:
                    next(found, None)
        except OSError as error:
            raise SourceError(
                f"The source {root!r} could not be read ({error.strerror or error}): "
                "mount it, create it, or correct its path.",
                path=name,
                retryable=error.errno in WORTH_ANOTHER_TRY,
            ) from error
        if not is_folder:
            yield from self._single_file(status)
            return
        entry, problems = self._described(root, name, _shown(self._path), status)
        if entry is not None:
            yield self._part(entry, "", (), status, problems)
        if not _is_still(root, status):
            # Else all that an unmounted disk held would pass for deleted.
            raise SourceError(
                f"The source {root!r} was unmounted, replaced or deleted while the backup ran.", path=name
            )

    def _single_file(self, status: os.stat_result) -> Iterator[Entry | Problem]:
        root, name, base = self._root, self._name, os.path.basename(self._path)
        if not stat.S_ISREG(status.st_mode):
            raise SourceError(
                f"The source {root!r} is neither a folder nor a file: correct its path.", path=name
            )
        if (self._excluded and self._excluded(base)) or (self._included and not self._included(base)):
            yield warning(
                name, f"{root!r} is left out by the patterns of its own source, which holds no more."
            )
            return
        entry, problems = self._described(root, name, _shown(self._path), status)
        if entry is not None:
            yield entry
        yield from problems

    def _part(
        self,
        entry: Entry,
        relative: str,
        above: tuple[tuple[int, int], ...],
        status: os.stat_result,
        problems: list[Problem],
        wanted: bool = True,
    ) -> Part:
        above = (*above, _identity(status)) if self._follow else ()
        return Part(
            entry=entry, read=partial(self._children, relative, above, tuple(problems)), wanted=wanted
        )

    def _children(
        self, relative: str, above: tuple[tuple[int, int], ...], problems: Sequence[Problem]
    ) -> Iterator[Entry | Problem | Part]:
        """Read one folder: `relative` is its path below the root, with its slash; `above` what it lies in."""
        yield from problems  # those of the folder itself
        folder, shown, prefix = (place + relative for place in self._places)
        try:
            names = _in_order(os.listdir(folder))
        except OSError as error:
            yield problem(folder.rstrip("/") or "/", prefix.rstrip("/"), error)
            return
        excluded, included, follow = self._excluded, self._included, self._follow
        for name in names:
            full, path = folder + name, prefix + name
            try:
                status = self._followed(full, above) if follow else os.lstat(full)
            except OSError as error:
                if not (excluded and excluded(f"{relative}{name}/")):
                    yield problem(full, path, error)
                continue
            is_folder = stat.S_ISDIR(status.st_mode)
            below = f"{relative}{name}/" if is_folder else relative + name
            if (excluded and excluded(below)) or (is_folder and self._left_out(full, status)):
                continue
            wanted = included is None or included(below)
            if not wanted and not is_folder:
                continue
            entry, problems = self._described(full, path, shown + name, status)
            if is_folder and entry is not None:
                yield self._part(entry, below, above, status, problems, wanted)
            else:
                if entry is not None:
                    yield entry
                yield from problems

    def _followed(self, full: str, above: tuple[tuple[int, int], ...]) -> os.stat_result:
        """Look at what a name leads to, or at a link itself if that cannot be followed."""
        status = os.lstat(full)
        if not stat.S_ISLNK(status.st_mode):
            return status
        try:
            followed = os.stat(full)
        except OSError as error:
            if error.errno in (*GONE, errno.ELOOP):
                return status
            raise
        if stat.S_ISDIR(followed.st_mode) and _identity(followed) in above:
            return status
        return followed

    def _described(
        self, full: str, path: str, shown: str, status: os.stat_result
    ) -> tuple[Entry | None, list[Problem]]:
        """The entry, if it can be one, and what there is to tell of it."""
        mode = status.st_mode
        kind = _KINDS.get(stat.S_IFMT(mode))
        size: int | None = None
        target: str | None = None
        device: tuple[int, int] | None = None
        holes: tuple[tuple[int, int], ...] = ()
        chunks: Callable[[], Iterator[bytes]] = no_chunks
        warnings: list[Problem] = []
        problems: list[Problem] = []
        follow = self._follow
        if kind == "file":
            size = status.st_size
            holes = find_holes(full, status, follow) if status.st_blocks * 512 < size else ()
            chunks = partial(read_file, full, path, status, bool(holes), follow, warnings)
        elif kind == "symlink":
            try:
                target = os.readlink(full)
            except OSError as error:
                return None, [problem(full, path, error)]
            if follow and os.path.isdir(full):
                problems.append(warning(path, f"{full!r} leads back to a folder it lies in: kept as a link."))
            follow = False
        elif kind in ("chardev", "blockdev"):
            device = os.major(status.st_rdev), os.minor(status.st_rdev)
        elif kind is None:
            what = "a socket" if stat.S_ISSOCK(mode) else "no file"
            return None, [warning(path, f"{full!r} is {what}: skipped.")]
        try:
            xattrs = read_xattrs(full, follow=follow)
        except OSError as error:
            xattrs = NO_XATTRS
            problems.append(warning(path, f"The extended attributes of {could_not_be_read(full, error)}"))
        entry = Entry(
            path=path,
            kind=kind,
            size=size,
            modified_ns=status.st_mtime_ns,
            mode=mode & 0o7777,
            owner=self._owner(status.st_uid, status.st_gid),
            target=target,
            xattrs=xattrs,
            holes=holes,
            device=device,
            chunks=chunks,
            warnings=warnings,
            origin=Origin(
                shown,
                status.st_ino,
                status.st_dev,
                status.st_nlink,
                status.st_ctime_ns,
            ),
        )
        return entry, problems

    def _owner(self, uid: int, gid: int) -> Owner:
        owner = self._owners.get((uid, gid))
        if owner is None:
            try:
                user = pwd.getpwuid(uid).pw_name
            except KeyError:
                user = None
            try:
                group = grp.getgrgid(gid).gr_name
            except KeyError:
                group = None
            owner = self._owners[uid, gid] = Owner(uid=uid, gid=gid, user=user, group=group)
        return owner


@lru_cache(
    maxsize=4
)  # patterns are compiled, and owners looked up, once for all parts that a process is given
def _the_walk(*settings: Any) -> Walk:
    return Walk(*settings)


def with_links(items: Iterator[Entry | Problem | Part]) -> Iterator[Entry | Problem]:
    """Read all parts, each in its place; links to one file become hard links to the first of its names."""
    first_names: dict[tuple[int, int], str] = {}
    for one in flattened(items):
        yield one if isinstance(one, Problem) else _as_link(one, first_names)


def _as_link(entry: Entry, first_names: dict[tuple[int, int], str]) -> Entry:
    origin = entry.origin
    if entry.kind != "file" or origin is None or origin.links < 2:
        return entry
    first = first_names.setdefault((origin.device, origin.inode), entry.path)
    return entry if first == entry.path else replace(entry, kind="hardlink", target=first)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Recognises the folders that `excluding` named."""

    identities: frozenset[tuple[int, int]]
    paths: frozenset[str]

    @classmethod
    def at(cls, paths: Sequence[Path]) -> LeftOut:
        identities = set()
        for path in paths:
            try:
                identities.add(_identity(os.stat(path)))
            except OSError:
                continue  # not there yet: its path will tell
        return cls(frozenset(identities), frozenset(os.path.realpath(path) for path in paths))

    def __call__(self, full: str, status: os.stat_result) -> bool:
        return _identity(status) in self.identities or full in self.paths


def _in_order(names: list[str]) -> list[str]:
    """By their bytes. That is the order of their characters too, but for bytes that are not UTF-8."""
    names.sort()
    if not "".join(names).isascii():
        names.sort(key=os.fsencode)
    return names


def _shown(path: str) -> str:
    """The path as a person would write it. Two slashes in front mean one to us, and are kept by normpath."""
    return f"/{os.path.normpath(path).lstrip('/')}"


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _is_still(root: str, status: os.stat_result) -> bool:
    try:
        return _identity(os.stat(root)) == _identity(status)
    except OSError:
        return False
