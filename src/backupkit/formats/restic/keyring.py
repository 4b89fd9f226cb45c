"""The keys of a repository: listed, added, removed, and exchanged, so that one that opens it is always left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from backupkit.errors import (
    BackupKitError,
    DestinationError,
    IntegrityError,
    ObjectNotFoundError,
    RepositoryError,
)
from backupkit.formats.restic.config import Config
from backupkit.formats.restic.documents import decode
from backupkit.formats.restic.keys import KeyFile
from backupkit.formats.restic.layout import CONFIG, object_name, storage_id
from backupkit.formats.restic.locks import Lease
from backupkit.formats.restic.opened import (
    MOST_KEYS,
    OpenedRepository,
    opened_before,
    unlocked,
)
from backupkit.formats.restic.times import text_time
from backupkit.model import Essentials, Key, KeyChange
from backupkit.passphrase import Passphrase


@dataclass(frozen=True, slots=True)
class _Found:
    """What is in the place of one key: a key file, or nothing that can be read as one."""

    content: bytes = b""
    file: KeyFile | None = None
    flaw: str | None = None
    unread: bool = False  # the destination did not give it, so that it may be anybody's


class Keyring:
    """The keys of an opened repository, each time as they are at the destination then.

    What adds a key wants a lock, and what removes one an exclusive lock, that is held by who calls it.
    """

    def __init__(
        self, repository: OpenedRepository, passphrase: Passphrase, *, lease: Lease | None = None
    ) -> None:
        self._repository = repository
        self._lease = lease
        self._objects = repository.uncached().objects
        self._candidates = passphrase.candidates()

    def list(self) -> Sequence[Key]:
        """See `protocols.HasKeys`."""
        found = self._found()
        used = next(self._in_use(found), None)
        return [self._described(id, one, in_use=id == used) for id, one in found.items()]

    def add(self, new: Passphrase) -> KeyChange:
        """See `protocols.HasKeys`."""
        found = self._found()
        self._using(found)
        added = () if any(self._opened_by(new, found)) else (self._stored(new, count=len(found)),)
        return self._changed(added=added)

    def remove(self, id: str) -> KeyChange:
        """See `protocols.HasKeys`."""
        found = self._found()
        at = f"of the repository at {self._objects.location}"
        if id not in found:
            raise RepositoryError(f"There is no key {id[:8]} {at}: list the keys.")
        if len(found) == 1:
            raise RepositoryError(
                f"The key {id[:8]} is the last one {at}, which nobody could read without: add another one before."
            )
        if self._using(found) == [id]:
            raise RepositoryError(
                f"The key {id[:8]} {at} is the one in use: change the passphrase instead, or remove the key by "
                "another passphrase."
            )
        removed = self._described(id, found[id])
        self._delete([id])
        return self._changed(removed=[removed])

    def change(self, new: Passphrase) -> KeyChange:
        """See `protocols.HasKeys`."""
        at = f"the repository at {self._objects.location}"
        found = self._found()
        for id, one in found.items():
            if one.unread:
                raise RepositoryError(
                    f"The passphrase of {at} was not changed, because its key {id[:8]}, which may be the old "
                    f"one's, could not be read ({one.flaw}). Try again, or remove that key."
                )
        added: Sequence[str] = ()
        try:
            if not any(self._opened_by(new, found)):
                self._using(found)
                added = [self._stored(new, count=len(found))]
        except DestinationError as error:
            raise RepositoryError(
                f"The passphrase of {at} was not changed: the old one still opens it, and perhaps the new one too "
                f"({error}). Change it again."
            ) from error
        old = [
            id
            for one in self._candidates
            if one.reveal() != new.reveal()
            for id in self._opened_by(one, found, all_of_them=True)
        ]
        removed = [self._described(id, found[id]) for id in old]
        try:
            self._delete(old)
        except BackupKitError as error:
            raise RepositoryError(
                f"The new passphrase opens {at}, but the old one does as well, because its key could not be "
                f"removed ({error}). Change it again."
            ) from error
        return Keyring(self._repository, new)._changed(added=added, removed=removed)

    def essentials(self) -> Essentials:
        """See `protocols.HasKeys`."""
        config = self._objects.read_config()
        where = f"{CONFIG} at {self._objects.location}"
        fields = decode(config, self._repository.sealer, where=where)
        Config.parse(fields, location=self._objects.location)
        found = self._found()
        used = next(self._in_use(found), None)
        if used is None:
            raise IntegrityError(
                f"The key that has opened the repository at {self._objects.location} cannot be read any more: "
                "put it back from an earlier sheet, or from a copy of this very repository.",
                where=f"keys/ at {self._objects.location}",
            )
        good = {id: one for id, one in found.items() if one.flaw is None}
        objects = {CONFIG: config} | {object_name("keys", id): one.content for id, one in good.items()}
        keys = tuple(self._described(id, one, in_use=id == used) for id, one in good.items())
        return Essentials(repository=self._repository.config.id, objects=objects, keys=keys)

    def _found(self) -> Mapping[str, _Found]:
        """All that is there, by ids, in their order."""
        found: dict[str, _Found] = {}
        for id in sorted(id for id, _ in self._objects.list("keys")):
            try:
                content = self._objects.read("keys", id)
                file = KeyFile.parse(content, where=self._objects.where("keys", id))
            except ObjectNotFoundError:
                continue  # removed since it was listed
            except (IntegrityError, DestinationError) as error:  # such as a bad sector
                found[id] = _Found(flaw=str(error), unread=isinstance(error, DestinationError))
            else:
                found[id] = _Found(content, file)
        return found

    def _using(self, found: Mapping[str, _Found]) -> Sequence[str]:
        """The keys in use; RepositoryError if somebody has removed them since, who must not be circumvented."""
        using = [*self._in_use(found)]
        if not using:
            raise RepositoryError(
                f"The key that has opened the repository at {self._objects.location} is no longer there, because "
                "somebody has just removed it or changed the passphrase: nothing was done. Open it again."
            )
        return using

    def _in_use(self, found: Mapping[str, _Found]) -> Iterator[str]:
        """Those of the first passphrase that opens any: usually one."""
        for one in self._candidates:
            opened = False
            for id in self._opened_by(one, found):
                opened = True
                yield id
            if opened:
                return

    def _opened_by(
        self, passphrase: Passphrase, found: Mapping[str, _Found], *, all_of_them: bool = False
    ) -> Iterator[str]:
        """The keys that a passphrase opens this very repository by; those first that it has opened before.

        Only of those that are tried when it is opened, unless all are wanted.
        """
        known = opened_before(passphrase)
        ids = [*found] if all_of_them else [*found][:MOST_KEYS]
        for id in sorted(ids, key=lambda id: id not in known):
            file = found[id].file
            if file is None:
                continue
            with suppress(IntegrityError):  # opened, but holds no master key
                key = unlocked(file, id, passphrase, where=self._objects.where("keys", id))
                if key is not None and self._repository.is_of(key):
                    yield id

    def _stored(self, new: Passphrase, *, count: int) -> str:
        """Store a key for the passphrase, read it back and open it; its id."""
        if count >= MOST_KEYS:
            raise RepositoryError(
                f"The repository at {self._objects.location} has {count} keys, and of more than {MOST_KEYS} not "
                "all are tried: remove some that nobody needs."
            )
        self._check_lease()
        text = new.reveal().decode("utf-8", "surrogateescape")
        content = self._repository.key_file_for(text).content()
        id = storage_id(content)
        where = self._objects.where("keys", id)
        self._objects.write("keys", [content], id)
        try:
            key = KeyFile.parse(self._objects.read("keys", id), where=where).open(text, where=where)
            if key is None or not self._repository.is_of(key):
                raise IntegrityError(f"{where} does not open the repository as it should.", where=where)
        except BackupKitError:
            with suppress(DestinationError):
                self._objects.delete("keys", id)
            raise
        return id

    def _delete(self, ids: Sequence[str]) -> None:
        self._check_lease()
        for id in ids:
            with suppress(ObjectNotFoundError):
                self._objects.delete("keys", id)

    def _check_lease(self) -> None:
        if self._lease is not None:
            self._lease.check()

    def _changed(self, *, added: Iterable[str] = (), removed: Iterable[Key] = ()) -> KeyChange:
        now = tuple(self.list())
        ids = {*added}
        return KeyChange(added=tuple(key for key in now if key.id in ids), removed=tuple(removed), now=now)

    def _described(self, id: str, found: _Found, *, in_use: bool = False) -> Key:
        created = None
        if found.file is not None:
            with suppress(ValueError):
                created = text_time(found.file.created)
        return Key(
            id=id,
            location=self._objects.location,
            created=created,
            user=found.file.username if found.file else "",
            host=found.file.hostname if found.file else "",
            in_use=in_use,
            flaw=found.flaw,
        )
