"""An archive that somebody else's program wrote in, its entries out.

The same promises as for our own, as far as ZIP allows: bounded memory, no path and no link that leads out,
and content that is compared with its checksum or authentication code before it ends. What is refused stays
visible, as an entry that cannot be read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import tzinfo
from functools import partial
from itertools import islice

from backupkit.errors import IntegrityError, WrongPassphraseError
from backupkit.formats.zip import manifest
from backupkit.formats.zip.foreign_content import content, head_of
from backupkit.formats.zip.foreign_entries import (
    MOST_TARGET,
    check_content,
    check_target,
    kind_of,
    mode_of,
    modified_ns,
    path_of,
    refusal,
    stand_in,
)
from backupkit.formats.zip.foreign_keys import Key, head_size, key_for
from backupkit.formats.zip.foreign_records import LOCAL_SIZE, ForeignRecord, read_records
from backupkit.formats.zip.headers import MANIFEST, attributes
from backupkit.formats.zip.ranges import Ranges
from backupkit.model import DUMPS, Contents, Entry
from backupkit.passphrase import Passphrase

# Entries that a passphrase is tried on: one of 256 wrong ones fits one under ZipCrypto, none fits nine.
_SAMPLES = 9


class ForeignArchive:
    """Reads the directory when it is made, which needs no passphrase; contents when they are pulled.

    `zone` is where the DOS times of entries that have no other are local, UTC without one.
    """

    def __init__(self, ranges: Ranges, *, passphrases: Sequence[Passphrase] = (), zone: tzinfo | None = None):
        self._ranges = ranges
        self._passphrases = passphrases
        self._zone = zone
        self._records = read_records(ranges)
        paths = Counter(filter(None, map(_path, self._records)))
        self._twice = {path for path, count in paths.items() if count > 1}
        # A passphrase is tried on some entries before it is called wrong.
        encrypted = (record for record in self._records if record.encrypted and _can_be_tried(record))
        self._samples = tuple(islice(encrypted, _SAMPLES))
        self._fits: dict[tuple[int, int], bool | None] = {}

    @property
    def ours(self) -> bool:
        """Whether it ends with our manifest, whatever it is called."""
        last = self._records[-1] if self._records else None
        return (
            last is not None
            and last.raw == manifest.PATH.encode()
            and last.attributes == attributes(MANIFEST)
        )

    @property
    def count(self) -> int:
        return sum(_path(record) != "" for record in self._records)

    @property
    def size(self) -> int:
        """The bytes of all contents, as the directory says."""
        return sum(record.size for record in self._records)

    @property
    def contents(self) -> frozenset[Contents]:
        """Databases if something stands in the folder for dumps, files if something stands elsewhere."""
        found: set[Contents] = set()
        for path in map(_path, self._records):
            top, _, below = (path or "").partition("/")
            if top == DUMPS and below:
                found.add("databases")
            elif top not in ("", DUMPS, manifest.PATH.split("/")[0]):
                found.add("files")
        return frozenset(found)

    def entries(self) -> Iterator[Entry]:
        """Yield the entries in the order of the directory; WrongPassphraseError before the first.

        One that is refused is a file that cannot be read, under its own path if that is harmless.
        """
        self._try_passphrases()
        for record in self._records:
            try:
                path = path_of(record)
            except IntegrityError as error:
                yield _unreadable(stand_in(record), error)
                continue
            if not path:
                continue
            try:
                yield self._entry(path, record)
            except IntegrityError as error:
                yield _unreadable(path, error)

    def _entry(self, path: str, record: ForeignRecord) -> Entry:
        if path in self._twice:
            raise refusal(record, "the archive holds its path more than once")
        kind = kind_of(record)
        check_content(record)
        target = None
        if kind == "symlink":
            if record.size > MOST_TARGET:
                raise refusal(record, "it is a link to a path that is too long")
            target = b"".join(self._content(path, record)).decode("utf-8", "surrogateescape")
            check_target(path, target, record)
        return Entry(
            path=path,
            kind=kind,
            size=record.size if kind == "file" else None,
            modified_ns=modified_ns(record, self._zone),
            mode=mode_of(record),
            target=target,
            chunks=partial(self._content if kind == "file" else self._no_content, path, record),
        )

    def _content(self, path: str, record: ForeignRecord) -> Iterator[bytes]:
        used: list[int] = []
        try:
            yield from content(self._ranges, record, partial(self._unlock, record, used))
        except IntegrityError as error:
            doubt = ""
            if used:
                fits = self._fits_others(used[0], record)
                if fits is False:
                    raise self._locked() from error
                doubt = " (or the passphrase is wrong)" if fits is None else ""
            raise IntegrityError(f"{path} is damaged in the archive: {error}{doubt}", where=path) from error

    def _no_content(self, path: str, record: ForeignRecord) -> Iterator[bytes]:
        """Read, because a folder or link may be damaged too, but nothing of it is content."""
        for _ in self._content(path, record):
            pass
        yield from ()

    def _unlock(self, record: ForeignRecord, used: list[int], head: bytes) -> Key:
        """The key of the entry, which begins with `head`; `used` gets the number of its passphrase."""
        keys = [
            (number, key)
            for number, passphrase in enumerate(self._passphrases)
            if (key := key_for(record, passphrase.reveal(), head)) is not None
        ]
        if len(keys) > 1:  # all but one pass by chance, and only the whole content can tell
            keys = [pair for pair in keys if self._opens(record, pair[1])] or keys
        if not keys:
            if any(self._fits_others(number, record) for number in range(len(self._passphrases))):
                raise IntegrityError(
                    "the passphrase that opens the others does not open it", where="zip entry"
                )
            raise self._locked()
        number, key = keys[0]
        used.append(number)
        return key

    def _opens(self, record: ForeignRecord, key: Key) -> bool:
        try:
            for _ in content(self._ranges, record, lambda _: key):
                pass
        except IntegrityError:
            return False
        return True

    def _try_passphrases(self) -> None:
        """WrongPassphraseError if none fits any of the samples."""
        tried = not self._passphrases
        for sample in range(len(self._samples)):
            for number in range(len(self._passphrases)):
                fits = self._fits_sample(number, sample)
                if fits:
                    return
                tried = tried or fits is False
        if self._samples and tried:  # where all samples are damaged, each entry tells so itself
            raise self._locked()

    def _fits_others(self, number: int, record: ForeignRecord) -> bool | None:
        """Whether the passphrase fits the samples, apart from this entry; None if there are none."""
        fits = [
            fit
            for sample, other in enumerate(self._samples)
            if other is not record and (fit := self._fits_sample(number, sample)) is not None
        ]
        return all(fits) if fits else None

    def _fits_sample(self, number: int, sample: int) -> bool | None:
        """What the beginning of the sample says of the passphrase; None if it is damaged. Asked once."""
        if (number, sample) not in self._fits:
            record = self._samples[sample]
            fit = None
            with suppress(IntegrityError):
                head = head_of(self._ranges, record)
                fit = key_for(record, self._passphrases[number].reveal(), head) is not None
            self._fits[number, sample] = fit
        return self._fits[number, sample]

    def _locked(self) -> WrongPassphraseError:
        return WrongPassphraseError(
            "The archive is encrypted and none of the passphrases given opens it: "
            "give the one it was made with."
            if self._passphrases
            else "The archive is encrypted: give the passphrase it was made with."
        )


def _can_be_tried(record: ForeignRecord) -> bool:
    try:
        check_content(record)
    except IntegrityError:
        return False
    return record.end - record.offset >= LOCAL_SIZE + head_size(record)


def _path(record: ForeignRecord) -> str | None:
    try:
        return path_of(record)
    except IntegrityError:
        return None


def _unreadable(path: str, error: IntegrityError) -> Entry:
    def chunks() -> Iterator[bytes]:
        raise error
        yield b""

    return Entry(path=path, chunks=chunks)
