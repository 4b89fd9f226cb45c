"""`MachineLock`: one run of a pipeline at a time on this machine, whoever starts it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from backupkit.errors import BackupAlreadyRunningError, ConfigurationError
from backupkit.locking.leases import has_ended
from backupkit.locking.names import short_name
from backupkit.protocols import Lease

if TYPE_CHECKING:
    import filelock

# The same for every user and service: TMPDIR, which may differ between them, is not asked.
_SHARED = ("/run/lock", "/var/lock", "/tmp")  # noqa: S108 – the folder below it is checked
_EVERYBODY = 0o777
_POLL = 0.1


@dataclass(frozen=True, slots=True)
class MachineLock:
    """An advisory lock (flock) on a file in `folder`, one file for each name.

    The default folder, `backupkit` in the first of /run/lock, /var/lock and /tmp that everybody may write
    to, serves cron as root and the web server's user alike; so any user of the machine can keep a run
    waiting. Services that see another /tmp or /run (containers, systemd's PrivateTmp) need a `folder` they
    share, not a sticky one like /tmp itself; it is made if it is missing.

    Runs exclude each other in threads of one process too. The lock ends with the process, however that
    ends, and is not inherited by programs that the run has started.
    """

    folder: str | os.PathLike[str] | None = None

    @contextmanager
    def hold(self, name: str, *, wait: timedelta) -> Iterator[Lease]:
        """Hold the lock of this name; BackupAlreadyRunningError if another does for longer than `wait`.

        ConfigurationError where there can be no lock.
        """
        import filelock

        path = os.path.join(
            _shared_folder() if self.folder is None else self.folder, f"{short_name(name)}.lock"
        )
        # Not per thread: the lock may be released by another thread than the one that took it.
        lock = filelock.FileLock(path, mode=0o666, thread_local=False)
        try:
            lock.acquire(timeout=max(0.0, wait.total_seconds()), poll_interval=_POLL)
        except filelock.Timeout:
            raise BackupAlreadyRunningError(
                f"Another run of {name!r} is under way on this machine: wait for it to end, or see "
                f"with `fuser {path}` which process it is."
            ) from None
        except OSError as error:
            raise ConfigurationError(
                f"The lock file {path!r} cannot be used ({error.strerror or error}): "
                "remove it while no backup runs, or name another folder with MachineLock(folder)."
            ) from error
        try:
            with suppress(OSError):
                os.utime(path, follow_symlinks=False)  # what cleans up /tmp removes old files, held or not
            yield _Held(lock, name)
        finally:
            lock.release()


class _Held:
    """A lock of the kernel's: nobody can take it away while the process lives, however long that was paused."""

    def __init__(self, lock: filelock.BaseFileLock, name: str) -> None:
        self._lock = lock
        self._name = name

    def check(self) -> None:
        if not self._lock.is_locked:
            raise has_ended(self._name)


def _shared_folder() -> str:
    """The folder that all users of this machine share, made if it is missing.

    A folder of our own, because in a sticky one (/tmp) neither Linux (fs.protected_regular) nor filelock
    lets one user use another's lock file.
    """
    for parent in _SHARED:
        if os.path.isdir(parent) and os.stat(parent).st_mode & stat.S_IWOTH:
            break
    else:
        raise ConfigurationError(
            f"None of {', '.join(_SHARED)} is there and open to everybody: "
            "name a folder for locks with MachineLock(folder)."
        )
    folder = os.path.join(parent, "backupkit")
    try:
        _open_to_everybody(folder)
    except OSError as error:
        raise ConfigurationError(
            f"The folder for locks {folder!r} cannot be used ({error.strerror or error}): remove it "
            "while no backup runs, or name another with MachineLock(folder)."
        ) from error
    return folder


def _open_to_everybody(folder: str) -> None:
    with suppress(FileExistsError):
        os.mkdir(folder)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        made = os.fstat(fd)
        if os.geteuid() == 0 and made.st_uid != 0:
            # In a sticky parent its owner could still put a symlink in its place, and root would follow.
            os.fchown(fd, 0, -1)
        if stat.S_IMODE(made.st_mode) != _EVERYBODY and os.geteuid() in (0, made.st_uid):
            os.fchmod(fd, _EVERYBODY)
        if not os.path.samestat(made, os.lstat(folder)):
            raise OSError(errno.ENOTDIR, "it was replaced while it was looked at")
    finally:
        os.close(fd)
