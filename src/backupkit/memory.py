"""`FileMemory`: small texts that one process leaves for the next, such as what people have been told."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from backupkit.errors import NotificationError
from backupkit.state_folder import state_folder


@dataclass(frozen=True, slots=True)
class FileMemory:
    """A JSON file in `folder`, which is made, for its owner alone, if it is missing.

    The default is /var/lib/backupkit for root, and for others `backupkit` in XDG_STATE_HOME, or else in
    ~/.local/state. Containers that start anew each time need a folder that lasts, or a history.
    """

    folder: str | os.PathLike[str] | None = None

    def recall(self, key: str) -> str | None:
        """What is remembered under the key; NotificationError if the file cannot be read."""
        return self._read().get(key)

    def remember(self, key: str, value: str | None) -> None:
        """Replace what is remembered under the key; NotificationError if that cannot be written."""
        import filelock

        folder = self._folder()
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            with filelock.FileLock(os.path.join(folder, "memory.lock"), timeout=5, mode=0o600):
                known = {**self._read(), key: value}
                text = json.dumps({name: told for name, told in known.items() if told is not None}, indent=1)
                self._replace(folder, text)
        except (OSError, filelock.Timeout) as error:
            raise NotificationError(
                f"What has been told cannot be remembered in {folder!r} ({error}), so it may be told again: "
                "give the pipeline memory=FileMemory(folder) with one that it may write to."
            ) from error

    def _folder(self) -> str:
        return state_folder() if self.folder is None else os.fspath(self.folder)

    def _path(self) -> str:
        return os.path.join(self._folder(), "memory.json")

    def _read(self) -> dict[str, str]:
        try:
            with open(self._path(), encoding="utf-8") as file:
                known = json.load(file)
        except FileNotFoundError:
            return {}
        except ValueError:
            return {}  # rather told twice than never
        except OSError as error:
            raise NotificationError(
                f"What has been told cannot be read from {self._path()!r}: {error}."
            ) from error
        return {str(key): str(value) for key, value in known.items()} if isinstance(known, dict) else {}

    def _replace(self, folder: str, text: str) -> None:
        import tempfile

        fd, temporary = tempfile.mkstemp(dir=folder)
        try:
            with open(fd, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(temporary, self._path())
        except BaseException:
            os.unlink(temporary)
            raise
