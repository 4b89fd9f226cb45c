"""The backups that there are, by their ids, and what is in the folders of each; in one process."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import TypeAlias

from backupkit._at_destinations import AtDestinations
from backupkit.errors import BackupKitError, BackupNotFoundError
from backupkit.model import Backup, Entry
from backupkit.protocols import Browser, Browses, Repository

LATEST = "latest"
_BROWSERS = 8  # backups that are looked into
_WHOLE = 250_000  # entries of archives among them, all known: some 450 MB, unless one alone has more
_ENTRIES = 100_000  # of folders that were looked at lately: some 100 MB at most, unless one folder has more

_Key: TypeAlias = tuple[str, str, str]  # a location, a name, an id


class Shelf:
    """Safe to use on several threads. Nothing is asked of a destination before something is asked of this.

    What is in a backup never changes. Which backups there are is asked again after `expiry` seconds (None: never),
    when all are wanted, the latest one, or one that was not there. Repositories stay open, and are not locked.
    """

    def __init__(self, opens: Callable[[], AtDestinations], *, at: str | None, expiry: float | None) -> None:
        self._opens = opens
        self._at = at
        self._expiry = expiry
        self._backups: AtDestinations | None = None
        self._listed: float | None = None
        self._by_id: Mapping[str, Sequence[Backup]] = {}
        self._latest: Backup | BackupNotFoundError | None = None
        self._repositories: dict[str, Repository] = {}
        self._open = ExitStack()
        self._browsers: OrderedDict[_Key, Browser] = OrderedDict()
        self._folders: OrderedDict[tuple[_Key, str], Mapping[str, Entry]] = OrderedDict()
        self._entries = 0
        self._lock = threading.RLock()

    def all(self) -> Mapping[str, Backup]:
        """Each backup by its id, and the latest one, if it is clear which that is, as `latest`."""
        with self._lock:
            self._list()
            found = {
                id: those[0] for id, those in self._by_id.items() if len({one.name for one in those}) == 1
            }
            return {LATEST: self._latest, **found} if isinstance(self._latest, Backup) else found

    def backup(self, id: str) -> Backup:
        """The backup of this id; BackupNotFoundError if there is none, or of several names, or no latest one."""
        with self._lock:
            if id == LATEST or id not in self._by_id:
                self._list()
            if id == LATEST:
                if isinstance(self._latest, Backup):
                    return self._latest
                raise BackupNotFoundError(str(self._latest))
            those = self._by_id.get(id, ())
        if not those:
            raise BackupNotFoundError(f"There is no backup {id!r}.")
        if len(names := {one.name for one in those}) > 1:
            raise BackupNotFoundError(
                f"There are backups {id!r} of several names ({', '.join(sorted(names))}): give name=."
            )
        return those[0]

    def is_gone(self, backup: Backup) -> bool:
        """Whether the backup is there no more; False if that cannot be found out."""
        with self._lock:
            self._listed = None
            try:
                self._list()
            except BackupKitError:
                return False
            those = self._by_id.get(backup.id, ())
            return all(_key(one) != _key(backup) for one in those)

    def children(self, backup: Backup, folder: str) -> Mapping[str, Entry]:
        """What is in a folder of a backup, by name; see `Browser.children`."""
        key = _key(backup), folder
        with suppress(KeyError):
            found = self._folders[key]
            self._folders.move_to_end(key)
            return found
        entries = self._browser(backup).children(folder)
        found = {entry.path.rpartition("/")[2]: entry for entry in entries}
        with self._lock:
            if key not in self._folders:
                self._folders[key] = found
                self._entries += len(found)
            while self._entries > _ENTRIES and len(self._folders) > 1:
                self._entries -= len(self._folders.popitem(last=False)[1])
        return found

    def entry(self, backup: Backup, path: str) -> Entry:
        """The entry at a path; FileNotFoundError or NotADirectoryError if there is none."""
        folder, _, name = path.rpartition("/")
        found = self.children(backup, folder).get(name)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return found

    def forget(self) -> None:
        """Ask again which backups there are when somebody wants to know."""
        with self._lock:
            self._listed = None

    def _list(self) -> None:
        now = time.monotonic()
        if self._listed is not None and (self._expiry is None or now - self._listed < self._expiry):
            return
        if self._backups is None:
            self._backups = self._opens()
        found, silent = self._backups._listed(self._at)
        if silent and not found:
            raise silent[0]
        by_id: dict[str, list[Backup]] = {}
        for one in found:  # of equals that of the first destination
            by_id.setdefault(one.id, []).append(one)
        try:
            self._latest = self._backups._meant(LATEST, found, [], at=self._at)
        except BackupNotFoundError as error:
            self._latest = error
        self._by_id = by_id
        self._listed = now

    def _browser(self, backup: Backup) -> Browser:
        key = _key(backup)
        with self._lock:
            browser = self._browsers.get(key)
            if browser is None:
                repository = self._repository_of(backup)
                if isinstance(repository, Browses):
                    browser = repository.browser(backup)
                else:
                    browser = _Whole(repository.read(backup))
                self._browsers[key] = browser
            self._browsers.move_to_end(key)
            while len(self._browsers) > _BROWSERS or (len(self._browsers) > 1 and self._whole() > _WHOLE):
                self._browsers.popitem(last=False)
            return browser

    def _whole(self) -> int:
        return sum(one.count for one in self._browsers.values() if isinstance(one, _Whole))

    def _repository_of(self, backup: Backup) -> Repository:
        if backup.location not in self._repositories:
            if self._backups is None:  # the backup is from elsewhere
                self._backups = self._opens()
            opened = self._open.enter_context(self._backups._repository_of(backup))
            self._repositories[backup.location] = opened
        return self._repositories[backup.location]


class _Whole:
    """A backup of which all entries are read to see any of them, such as an archive with its directory.

    Folders that are no entries themselves, and lead to some, are there too.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._folders: dict[str, dict[str, Entry]] = {"": {}}
        self.count = 0
        for entry in entries:
            self.count += 1
            if entry.kind == "directory":
                self._folders.setdefault(entry.path, {})
            self._add(entry)

    def children(self, folder: str) -> Sequence[Entry]:
        if folder in self._folders:
            return [*self._folders[folder].values()]
        above, _, name = folder.rpartition("/")
        number = errno.ENOTDIR if name in self._folders.get(above, ()) else errno.ENOENT
        raise OSError(number, os.strerror(number), folder)  # which makes it the right kind

    def _add(self, entry: Entry) -> None:
        path = entry.path
        while True:
            folder, _, name = path.rpartition("/")
            known = folder in self._folders
            self._folders.setdefault(folder, {})[name] = entry
            if known:
                return
            entry, path = Entry(path=folder, kind="directory"), folder


def _key(backup: Backup) -> _Key:
    return backup.location, backup.name, backup.id
