"""An opened repository: its key is known, its blobs can be found and read."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from math import inf
from typing import Any

from backupkit.errors import (
    ConfigurationError,
    DestinationError,
    IntegrityError,
    ObjectExistsError,
    ObjectNotFoundError,
    RepositoryNotFoundError,
    WrongPassphraseError,
)
from backupkit.formats.restic.blobs import unseal_blob
from backupkit.formats.restic.config import Config
from backupkit.formats.restic.documents import decode, encode
from backupkit.formats.restic.index import BlobIndex, Location
from backupkit.formats.restic.keys import KeyFile, made_key_file
from backupkit.formats.restic.layout import CONFIG, ObjectKind, object_name, storage_id
from backupkit.formats.restic.locks import Lease
from backupkit.formats.restic.objects import Objects
from backupkit.formats.restic.sealing import MasterKey, Sealer
from backupkit.formats.restic.snapshots import Snapshot
from backupkit.formats.restic.times import utc_now
from backupkit.passphrase import Passphrase

_STATE = "backupkit/"  # what is known of backups lies beside a repository; restic ignores it
_SETTLED = (
    5  # seconds after which a blob that is in no index is looked for in new ones: thousands may be lost
)
MOST_KEYS = 20  # key files that are tried, as restic does

# Deriving a key takes half a second, and a pipeline opens its repository several times in an operation. A key is
# looked up here only where its file is listed: one that was removed opens nothing.
_unlocked: weakref.WeakKeyDictionary[Passphrase, dict[str, MasterKey]] = weakref.WeakKeyDictionary()
_unlocking = threading.Lock()


class OpenedRepository:
    """Finds and reads what a repository holds. Safe to share by threads, except while somebody writes to it.

    The index is loaded when it is first needed, which must be after the snapshots were listed that will be read
    (design document, "Read and Write Ordering").
    """

    def __init__(self, objects: Objects, config: Config, key: MasterKey) -> None:
        self.objects = objects
        self.config = config
        self.sealer = Sealer(key)
        self._key = key
        self.index = BlobIndex()
        self.lease: Lease | None = None  # of the lock that is held while it is written to
        self.without_lock = False  # read beside programs that may move blobs into other packs
        self._missing: set[str] = (
            set()
        )  # packs that are not there, though an index says so that was just read
        self._snapshots: dict[str, Snapshot] = {}  # of those that were listed last, what was read
        self._loaded: set[str] = set()
        self._looked: float | None = None  # when, by the monotonic clock, index objects were listed last
        self._loading = threading.Lock()

    def __reduce__(self) -> tuple[object, ...]:
        """For another process, which loads the index itself."""
        return OpenedRepository, (self.objects, self.config, self._key)

    def uncached(self) -> OpenedRepository:
        """The same repository, read from where it is and not from what this machine has kept of it."""
        objects = self.objects
        if objects.cache is None:
            return self
        return OpenedRepository(Objects(objects.destination, retry=objects.retry), self.config, self._key)

    def by_itself(self) -> OpenedRepository:
        """The same repository, with an index that nobody else has loaded or changes."""
        return OpenedRepository(self.objects, self.config, self._key)

    @property
    def location(self) -> str:
        return self.objects.location

    def is_of(self, key: MasterKey) -> bool:
        """Whether this key is the repository's."""
        return key == self._key

    def key_file_for(self, passphrase: str) -> KeyFile:
        """A new key file, by which this passphrase opens it too."""
        return made_key_file(passphrase, self._key, now=utc_now())

    def load_index(self) -> None:
        """Take in all index objects that were not yet taken in."""
        with self._loading:
            self._take_new(self.index, self._loaded)
            self._looked = time.monotonic()

    def load_index_for(self, seconds: float) -> None:
        """Take in index objects until this time is over, which is waited for; what was wrong is found later."""
        end = time.monotonic() + seconds
        with self._loading, suppress(DestinationError, IntegrityError):
            self._take_new(self.index, self._loaded, until=end)
        time.sleep(max(0, end - time.monotonic()))

    def load_index_alone(self) -> None:
        """As `load_index`, for whoever holds the repository alone, and may have loaded some of it before.

        If an index object is gone by then, so may be packs that it tells of: all is loaded anew.
        """
        with self._loading:
            if self._loaded.difference(self._take_new(self.index, self._loaded)):
                self._take_anew()
            self._looked = time.monotonic()

    def _load_index_anew(self, old: BlobIndex) -> None:
        """Forget what the index said, in which packs are that are gone; unless another thread has just done so."""
        with self._loading:
            if self.index is not old:
                return
            self._take_anew()
            self._looked = time.monotonic()

    def _take_anew(self) -> None:
        index, loaded = BlobIndex(), set[str]()
        self._take_new(index, loaded)
        self.index, self._loaded = index, loaded

    def _take_new(self, index: BlobIndex, loaded: set[str], *, until: float = inf) -> Collection[str]:
        """The ids of all index objects that are listed; none is begun after this time of the monotonic clock."""
        listed = [id for id, _ in self.objects.list("index")]
        for id in listed:
            if id in loaded:
                continue
            if time.monotonic() >= until:
                break
            try:
                fields = self.objects.load("index", id, self.sealer)
            except ObjectNotFoundError:
                continue  # replaced since it was listed: what it said is in another one
            index.take(fields, where=self.objects.where("index", id))
            loaded.add(id)
        return listed

    @property
    def loaded(self) -> Collection[str]:
        """The ids of the index objects that were taken in."""
        return frozenset(self._loaded)

    def need_index(self) -> None:
        """Take in the index unless that was done already."""
        if self._looked is None:
            self.load_index()

    def forget_index(self) -> None:
        """Know of no blob any more: packs were deleted, or may have been before a lock was held."""
        self.index = BlobIndex()
        self._loaded.clear()
        self._looked = None

    def use_index(self, index: BlobIndex, loaded: Iterable[str]) -> None:
        """Find blobs by this one, which somebody has made of what there is, these index objects among it."""
        with self._loading:
            self.index = index
            self._loaded.update(loaded)
            self._looked = time.monotonic()

    def look_again(self) -> None:
        """Have the index looked through for what is new before it is needed next: snapshots were listed."""
        self._looked = None

    def size_of(self, id: bytes) -> int:
        """Of the plain bytes of a blob that files are made of; 0 if nobody knows it."""
        self.need_index()
        place = self.index.find(id)
        return 0 if place is None else place.size

    def load(self, id: bytes, *, tree: bool = False) -> bytes:
        """The plain bytes of a blob; IntegrityError if they are nowhere, or not what was written."""
        failure: IntegrityError | None = None
        for last in (not self.without_lock, True):
            index, moved = self.index, False
            for place in self.places(id, tree=tree):
                try:
                    return self._load_from(place, id, tree)
                except ObjectNotFoundError as error:
                    moved = moved or place.pack not in self._missing
                    if last:
                        self._missing.add(place.pack)
                    where = self.objects.where("data", place.pack)
                    failure = failure or IntegrityError(
                        f"{where} is missing: blobs are lost with it.", where=where
                    )
                    failure.__cause__ = error
                except IntegrityError as error:
                    failure = failure or error
            if last or not moved:
                break
            self._load_index_anew(index)
            failure = None
        if failure is None:
            where = f"blob {id.hex()} at {self.location}"
            failure = IntegrityError(
                f"The {where} is in no index: it is lost, or the index that has it is.", where=where
            )
        raise failure

    def places(self, id: bytes, *, tree: bool) -> Sequence[Location]:
        """Where a blob stands; nowhere, if new indexes were looked for a moment ago and do not have it either."""
        place = self.index.find(id, tree=tree)
        if place is None and (self._looked is None or time.monotonic() - self._looked > _SETTLED):
            self.load_index()  # the first time, or somebody has written meanwhile
            place = self.index.find(id, tree=tree)
        return [] if place is None else [place, *self.index.elsewhere(id, tree=tree)]

    def _load_from(self, place: Location, id: bytes, tree: bool) -> bytes:
        span = place.pack, place.offset, place.length
        where = self.objects.where("data", place.pack)
        try:
            sealed = self.objects.read_range(*span, keep=tree)
            return unseal_blob(sealed, place.uncompressed, id, self.sealer, where=where)
        except IntegrityError:
            # Once more: a connection, or the cache, may have given wrong bytes of a pack that is right.
            if tree and self.objects.cache is not None:
                self.objects.cache.forget("data", place.pack)
            sealed = self.objects.read_range(*span)
            return unseal_blob(sealed, place.uncompressed, id, self.sealer, where=where)

    def check_lock(self) -> None:
        """RepositoryError if the lock that is held while this is written to was lost; see `Lease.check`."""
        if self.lease is not None:
            self.lease.check()

    def save_snapshot(self, fields: Mapping[str, Any]) -> str:
        """Store a snapshot, all of whose blobs are indexed; its id. RepositoryError if the lock was lost."""
        self.check_lock()
        return self.objects.save("snapshots", fields, self.sealer)

    def snapshots(
        self, *, without: Collection[str] = (), damaged: dict[str, IntegrityError] | None = None
    ) -> Iterator[Snapshot]:
        """All of them, in any order, but those with these ids.

        They are listed each time, and each is read once: another one would have another id. Those that are not what
        was written go into `damaged`, if it is given.
        """
        listed = [id for id, _ in self.objects.list("snapshots")]
        before = self._snapshots
        known = self._snapshots = {id: before[id] for id in listed if id in before}
        for id in listed:
            if id in without:
                continue
            try:
                if id not in known:
                    known[id] = self.snapshot(id)
                yield known[id]
            except ObjectNotFoundError:
                continue  # removed since it was listed
            except IntegrityError as error:
                if damaged is None:
                    raise
                damaged[id] = error

    def snapshot(self, id: str) -> Snapshot:
        """The one with this id, read whatever is known of it; IntegrityError if it is not what was written."""
        fields = self.objects.load("snapshots", id, self.sealer)
        return Snapshot.parse(fields, id, where=self.objects.where("snapshots", id))


def open_existing(objects: Objects, passphrase: Passphrase) -> OpenedRepository:
    """Open the repository there.

    RepositoryNotFoundError if there is none, WrongPassphraseError if no key fits, IntegrityError if what is needed
    to open it was lost.
    """
    sealed = _config_at(objects)
    damaged: IntegrityError | None = None
    for _, key in _fitting_keys(objects, passphrase):
        try:
            fields = decode(sealed, Sealer(key), where=f"{CONFIG} at {objects.location}")
        except IntegrityError as error:  # a key that another process left when both made the repository
            damaged = error
            continue
        return OpenedRepository(objects, Config.parse(fields, location=objects.location), key)
    if damaged is None and not _has(objects, "keys"):
        raise IntegrityError(
            f"No key of the repository at {objects.location} is left, and nothing can be read without: put the "
            "objects of keys/ back from a copy of this very repository.",
            where=f"keys/ at {objects.location}",
        )
    raise damaged or WrongPassphraseError(
        f"No key of the repository at {objects.location} opens with the passphrase from {passphrase.origin}: "
        "give the one that it was made with, or that was added to it."
    )


def create(objects: Objects, passphrase: Passphrase, *, polynomial: int | None = None) -> OpenedRepository:
    """Make a new repository, or open the one that somebody else is just making.

    ConfigurationError if anything else is there.
    """
    others = [*islice(_others_at(objects), 3)]
    if CONFIG in others:  # somebody else has just finished making it
        return open_existing(objects, passphrase)
    if others:
        raise ConfigurationError(
            f"There is something at {objects.location} that is no repository ({', '.join(others)}): give a place "
            "that is empty, or correct the location."
        )
    left = next(iter(_fitting_keys(objects, passphrase, any_left=True)), None)
    made = content = None
    if left is not None:
        _, key = left
    else:
        key = MasterKey.made()
        content = made_key_file(
            passphrase.reveal().decode("utf-8", "surrogateescape"), key, now=utc_now()
        ).content()
        made = storage_id(content)
        objects.write("keys", [content], made)
        _remember(passphrase, made, key)
    config = Config.made(polynomial)
    sealed = encode(config.fields(), Sealer(key), compressed=False)
    try:
        objects.write_config(sealed)
    except ObjectExistsError:  # somebody was faster
        opened = open_existing(objects, passphrase)
        # Unless they have found our key here and taken it.
        if made is not None and not opened.is_of(key):
            _delete_keys(objects, [made])
        return opened
    if objects.read_config() != sealed:  # a place that lets two be the first
        return open_existing(objects, passphrase)
    _delete_keys(objects, [id for id, other in _fitting_keys(objects, passphrase) if other != key])
    if made is not None and content is not None and all(id != made for id, _ in objects.list("keys")):
        objects.write("keys", [content], made)  # deleted by one that was overtaken here
    return OpenedRepository(objects, config, key)


def _config_at(objects: Objects) -> bytes:
    try:
        return objects.read_config()
    except ObjectNotFoundError as error:
        if not _has(objects, "snapshots"):
            raise RepositoryNotFoundError(
                f"There is no repository at {objects.location}: correct the location, or let a run make one there."
            ) from error
    try:
        return objects.read_config()  # somebody has just made it, and snapshots, which come after it
    except ObjectNotFoundError as error:
        raise IntegrityError(
            f"There is no {CONFIG} at {objects.location}, but there are snapshots, which are useless without: put "
            f"the object {CONFIG} back from a copy of this very repository.",
            where=f"{CONFIG} at {objects.location}",
        ) from error


def _has(objects: Objects, kind: ObjectKind) -> bool:
    return next(iter(objects.list(kind)), None) is not None


def _delete_keys(objects: Objects, ids: Iterable[str]) -> None:
    """Delete keys that open no repository, of those who were making this one at the same time and were slower.

    restic takes the first one that a passphrase opens, and gives up if that is not the repository's.
    """
    for id in ids:
        with suppress(ObjectNotFoundError):
            objects.delete("keys", id)


def _others_at(objects: Objects) -> Iterator[str]:
    """Names of objects that keep a repository from being made; the key of an interrupted attempt does not."""
    for stored in objects.destination.list():
        if not stored.name.startswith((_STATE, "keys/")):
            yield stored.name


def _fitting_keys(
    objects: Objects, passphrase: Passphrase, *, any_left: bool = False
) -> Iterator[tuple[str, MasterKey]]:
    """The keys that the passphrase opens, those that it opened before first, by the ids of their files."""
    ids = [id for id, _ in objects.list("keys")][:MOST_KEYS]
    candidates = passphrase.candidates()
    opened = False
    for one in candidates:
        for id in ids:
            if (known := _unlocked.get(one, {}).get(id)) is not None:
                opened = True
                yield id, known
    damaged: IntegrityError | None = None
    for id in ids:
        where = objects.where("keys", id)
        try:
            file = KeyFile.parse(objects.read("keys", id), where=where)
        except ObjectNotFoundError:
            continue
        except IntegrityError as error:  # another one may do
            damaged = error
            continue
        for one in candidates:
            if id in _unlocked.get(one, {}):
                continue
            key = unlocked(file, id, one, where=where)
            if key is not None:
                opened = True
                yield id, key
    if damaged is not None and not opened:
        raise damaged
    if any_left and ids and not opened:
        raise ConfigurationError(
            f"There is a key at {objects.location} ({object_name('keys', ids[0])}) but no config, and the "
            "passphrase does not open it: a repository was damaged here, or is just being made with another one."
        )


def opened_before(passphrase: Passphrase) -> Collection[str]:
    """The ids of the keys that this passphrase has opened in this process."""
    return frozenset(_unlocked.get(passphrase, {}))


def unlocked(file: KeyFile, id: str, passphrase: Passphrase, *, where: str) -> MasterKey | None:
    """What a passphrase gets out of a key file, remembered by the file's id; None if it is another's."""
    known = _unlocked.get(passphrase, {}).get(id)
    if known is not None:
        return known
    key = file.open(passphrase.reveal().decode("utf-8", "surrogateescape"), where=where)
    if key is not None:
        _remember(passphrase, id, key)
    return key


def _remember(passphrase: Passphrase, id: str, key: MasterKey) -> None:
    with _unlocking:
        _unlocked.setdefault(passphrase, {})[id] = key
