"""`FileMemory`: small texts that one process leaves for the next, such as what people have been told."""

from __future__ import annotations

import errno
import json
import os
import stat
from dataclasses import dataclass

from backupkit.errors import NotificationError
from backupkit.state_folder import state_folder

_NAME = "memory.json"
_LARGEST = 1 << 24  # characters; a destination takes a few hundred


@dataclass(frozen=True, slots=True)
class FileMemory:
    """A JSON file, memory.json, in `folder`, which is made, for its owner alone, if it is missing.

    The default is /var/lib/backupkit for root, and for others `backupkit` in XDG_STATE_HOME, or else in
    ~/.local/state. Containers that start anew each time need a folder that lasts, or a history. A file that
    cannot be understood holds nothing, and is replaced when something is to be remembered.
    """

    folder: str | os.PathLike[str] | None = None

    def recall(self, key: str) -> str | None:
        """What is remembered under the key; NotificationError if the file cannot be read."""
        return self._read(self._folder()).get(key)

    def remember(self, key: str, value: str | None) -> None:
        """Replace what is remembered under the key; NotificationError if that cannot be written."""
        import filelock

        folder = self._folder()
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            with filelock.FileLock(os.path.join(folder, "memory.lock"), timeout=5, mode=0o600):
                known = {**self._read(folder), key: value}
                text = json.dumps({name: told for name, told in known.items() if told is not None}, indent=1)
                _replace(os.path.join(folder, _NAME), text)
        except (OSError, NotImplementedError) as error:  # the latter from file systems that have no locks
            raise NotificationError(
                f"What has been told cannot be remembered in {folder!r} ({error}), so it may be told again: "
                "give the pipeline memory=FileMemory(folder) with one that it may write to."
            ) from error

    def _folder(self) -> str:
        return state_folder() if self.folder is None else os.fspath(self.folder)

    def _read(self, folder: str) -> dict[str, str]:
        path = os.path.join(folder, _NAME)
        try:
            with open(path, encoding="utf-8", opener=_without_following) as file:
                regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
                known = json.loads(file.read(_LARGEST)) if regular else None
        except (FileNotFoundError, ValueError, RecursionError):
            return {}  # it is better to tell twice than never
        except OSError as error:
            if error.errno == errno.ELOOP:
                return {}
            raise NotificationError(f"What has been told cannot be read from {path!r}: {error}.") from error
        if not isinstance(known, dict):
            return {}
        return {key: value for key, value in known.items() if isinstance(value, str)}


def _without_following(path: str, flags: int) -> int:
    """Open neither what a link leads to, nor wait for the other end of a pipe that somebody put there."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _replace(path: str, text: str) -> None:
    import tempfile

    fd, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=f".{_NAME}.")
    try:
        with open(fd, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
