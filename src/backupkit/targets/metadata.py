"""Owners, modes, times and extended attributes, put back as far as that is possible and safe."""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Callable
from contextlib import suppress

from backupkit.model import Entry, Owner, Problem

_SET_ID = stat.S_ISUID | stat.S_ISGID
_RIGHTS = ("security.", "trusted.")  # extended attributes that can grant rights
_TRUST = "it can grant rights, restore to DirectoryTarget(…, setuid=True) if you trust the backup"


class Metadata:
    """Applies metadata; what cannot be applied is told to `warn`, once for each kind.

    Once, because a file system without owners or attributes would otherwise bury every other problem.
    """

    def __init__(self, *, setuid: bool, warn: Callable[[Problem], None]) -> None:
        self._setuid = setuid
        self._tell = warn
        self._told: set[str] = set()
        self._root = os.geteuid() == 0
        self._numbers = functools.cache(_numbers)

    def apply(self, entry: Entry, at: int | str) -> None:
        """To an open file or folder, after its content is complete, or to a path that means one thing only."""
        # The owner first, because changing it clears set-id bits and capabilities; the time last.
        owned = True
        if self._root:
            owned = entry.owner is not None and self._attempt(
                "owner", entry, os.chown, at, *self._numbers(entry.owner)
            )
        for name, value in entry.xattrs.items():
            kind = _kind(name)
            if name.startswith(_RIGHTS) and not self._setuid:
                self._warn(kind, entry, _TRUST)
            elif hasattr(os, "setxattr"):
                self._attempt(kind, entry, os.setxattr, at, name, value)
            else:
                self._warn(kind, entry, "this system cannot set it")
        if (mode := entry.mode) is not None:
            if mode & _SET_ID and entry.kind != "directory" and not (self._setuid and owned):
                # Without its owner, such a file would lend out the rights of somebody else.
                why = "its owner is not known" if self._setuid else _TRUST
                self._warn("set-id bit", entry, why)
                mode &= ~_SET_ID
            self._attempt("mode", entry, os.chmod, at, mode & 0o7777)
        if (time := entry.modified_ns) is not None:
            self._attempt("time", entry, os.utime, at, ns=(time, time))

    def owner_of(self, entry: Entry) -> int:
        """The number of the user whom `apply` would make the owner."""
        return self._numbers(entry.owner)[0] if self._root and entry.owner is not None else os.geteuid()

    def is_applied(self, entry: Entry, there: os.stat_result) -> bool:
        """Whether a file has the owner, the mode and the time that `apply` would give it."""
        mode = 0o600 if entry.mode is None else entry.mode & 0o7777
        if not (self._setuid and (entry.owner is not None or not self._root)):
            mode &= ~_SET_ID
        return (
            stat.S_IMODE(there.st_mode) == mode
            and there.st_uid == self.owner_of(entry)
            and entry.modified_ns in (None, there.st_mtime_ns)
        )

    def apply_to_symlink(self, entry: Entry, name: str, folder: int) -> None:
        """To the symlink of this name in an open folder, never to what it points to."""
        if self._root and entry.owner is not None:
            uid, gid = self._numbers(entry.owner)
            self._attempt("owner", entry, os.chown, name, uid, gid, dir_fd=folder, follow_symlinks=False)
        for xattr in entry.xattrs:
            self._warn(_kind(xattr), entry, "symlinks come back without")
        if (at := entry.modified_ns) is not None:
            self._attempt("time", entry, os.utime, name, ns=(at, at), dir_fd=folder, follow_symlinks=False)

    def _attempt(
        self, what: str, entry: Entry, call: Callable[..., object], *args: object, **kwargs: object
    ) -> bool:
        try:
            call(*args, **kwargs)
        except (OSError, ValueError, OverflowError) as error:
            self._warn(what, entry, getattr(error, "strerror", None) or str(error))
            return False
        return True

    def _warn(self, what: str, entry: Entry, why: str) -> None:
        if what not in self._told:
            self._told.add(what)
            message = f"The {what} of {entry.path!r}, and maybe of others, was not restored: {why}."
            self._tell(Problem(message=message, severity="warning", path=entry.path))


def _kind(xattr: str) -> str:
    return f"extended attribute {xattr.partition('.')[0]}.*"


def _numbers(owner: Owner) -> tuple[int, int]:
    """The user and the group on this machine: by name where it is known here, else as recorded."""
    import grp
    import pwd

    uid, gid = owner.uid, owner.gid
    if owner.user is not None:
        with suppress(KeyError, ValueError):
            uid = pwd.getpwnam(owner.user).pw_uid
    if owner.group is not None:
        with suppress(KeyError, ValueError):
            gid = grp.getgrnam(owner.group).gr_gid
    return uid, gid
