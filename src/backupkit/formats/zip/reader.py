"""One of our archives in, its entries out: random access, nothing downloaded that is not asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from backupkit.errors import IntegrityError, WrongPassphraseError
from backupkit.formats.zip import manifest
from backupkit.formats.zip.aes import OVERHEAD
from backupkit.formats.zip.decoding import decoded
from backupkit.formats.zip.headers import FOLDER, MANIFEST, attributes
from backupkit.formats.zip.limits import is_reachable
from backupkit.formats.zip.ranges import Ranges
from backupkit.formats.zip.records import (
    END_SIZES,
    Record,
    extent,
    find_directory,
    pack_local,
    unpack_directory,
    whole_seconds,
)
from backupkit.formats.zip.spool import Spool
from backupkit.formats.zip.together import Member, Together
from backupkit.model import DUMPS, Entry, Manifest, Problem, is_entry_path
from backupkit.protocols import Encryptor, ExpectsUnits

if TYPE_CHECKING:
    from concurrent.futures import Executor


class ArchiveReader:
    """One archive. Reads its directory and its manifest when it is made; contents when they are pulled.

    `encryptors` are tried on the manifest in order; the first that opens it is the archive's.
    """

    def __init__(
        self, ranges: Ranges, *, encryptors: Sequence[Encryptor], executor: Executor | None = None
    ) -> None:
        self._ranges = ranges
        self._executor = executor
        total = ranges.total
        tail_size = min(END_SIZES, total)
        self._directory = find_directory(self._bytes(total - tail_size, tail_size), total)
        self._central = self._bytes(self._directory.offset, self._directory.size)
        last: Record | None = None
        end = 0
        for record in unpack_directory(self._central, self._directory):
            end = _checked_end(record, end, self._directory.offset)
            last = record
        if last is None or last.name != manifest.PATH.encode() or last.attributes != attributes(MANIFEST):
            raise IntegrityError(
                f"The archive has no manifest ({manifest.PATH}) as its last entry: backupkit did not write "
                "it, or it was changed. 7-Zip may still open it.",
                where=manifest.PATH,
            )
        self._manifest = Spool()
        self._encryptor = self._open_manifest(last, encryptors)

    def header(self) -> manifest.Header:
        """What the run was."""
        for item in manifest.parse(self._manifest.read()):
            if isinstance(item, manifest.Header):
                return item
        raise IntegrityError("The manifest has no header.", where=manifest.PATH)

    def footer(self) -> manifest.Footer:
        """How the run ended."""
        footer = None
        for item in manifest.parse(self._manifest.read()):
            if isinstance(item, manifest.Footer):
                footer = item
        if footer is None:
            raise IntegrityError("The manifest has no end.", where=manifest.PATH)
        return footer

    def summary(self) -> Manifest:
        """What the manifest says besides the entries, with those of databases."""
        tops: dict[str, None] = {}
        dumps: list[Entry] = []
        problems: tuple[Problem, ...] | None = None
        for item in manifest.parse(self._manifest.read()):
            if isinstance(item, manifest.Line):
                top, _, below = item.entry.path.partition("/")
                if top != DUMPS:
                    tops[top] = None
                elif below and item.entry.kind == "file":
                    dumps.append(item.entry)
            elif isinstance(item, manifest.Footer):
                problems = item.problems
        return Manifest(sources=tuple(tops), problems=problems, dumps=tuple(dumps))

    def entries(self) -> Iterator[Entry]:
        """Yield the entries; each is compared with its record in the directory before it is given out.

        Whoever pulls the contents of small entries one after the other gets them from groups that are fetched
        and decoded together, on the executor and ahead of being asked for; unless that would mean to go back in
        an archive that can only be read from its beginning.
        """
        if not self._ranges.in_any_order:
            return (
                replace(member.line.entry, chunks=partial(self._streamed, member))
                for member in self._members()
            )
        together = Together(
            fetch=self._fetched, decode=self._decoded, stream=self._streamed, executor=self._executor
        )
        return together.entries(self._members())

    def _members(self) -> Iterator[Member]:
        records = unpack_directory(self._central, self._directory, checked=True)
        count = 0
        for item in manifest.parse(self._manifest.read()):
            if isinstance(item, manifest.Line):
                record = next(records, None)
                if count == 0 and record == FOLDER and item.name.encode(errors="replace") != FOLDER.name:
                    record = next(records, None)
                if record is None or not _agree(item, record):
                    raise IntegrityError(
                        f"The archive's directory and its manifest differ at {item.entry.path}.",
                        where=item.entry.path,
                    )
                count += 1
                yield Member(item, record, extent(record))
            elif isinstance(item, manifest.Footer) and item.entries != count:
                raise IntegrityError("The manifest does not hold all entries it counts.", where=manifest.PATH)
        if [record.name for record in records] != [manifest.PATH.encode()]:
            raise IntegrityError(
                "The archive's directory holds entries that its manifest does not know.", where=manifest.PATH
            )

    def headers_differ(self) -> Iterator[str]:
        """Yield the name of each directory, the entries without content, whose local header was changed."""
        for record in unpack_directory(self._central, self._directory, checked=True):
            if record.name.endswith(b"/"):
                expected = pack_local(record)
                if self._bytes(record.offset, len(expected)) != expected:
                    yield record.name.decode(errors="replace")

    def _open_manifest(self, record: Record, encryptors: Sequence[Encryptor]) -> Encryptor | None:
        if not record.encrypted:
            self._keep_manifest(record, None)
            return None
        damage: IntegrityError | None = None
        for encryptor in encryptors:
            try:
                self._keep_manifest(record, encryptor)
            except WrongPassphraseError:
                continue
            except IntegrityError as error:
                # Or the key is wrong: two bytes tell, and one wrong key in 65,536 gets past them.
                if self._opens_another(encryptor) is not False:
                    damage = error
                continue
            return encryptor
        if damage is not None:
            raise damage
        if any(self._opens_another(encryptor) for encryptor in encryptors):
            raise IntegrityError("The manifest is damaged: it does not open.", where=manifest.PATH)
        raise WrongPassphraseError(
            "The archive is encrypted and none of the passphrases given opens it: "
            "give the one it was made with."
            if encryptors
            else "The archive is encrypted: give the passphrase it was made with."
        )

    def _keep_manifest(self, record: Record, encryptor: Encryptor | None) -> None:
        spool = Spool()
        try:
            for chunk in self._plain(record, encryptor):
                spool.add(chunk)
        except IntegrityError as error:
            raise IntegrityError(f"The manifest is damaged: {error}", where=manifest.PATH) from error
        self._manifest = spool

    def _opens_another(self, encryptor: Encryptor) -> bool | None:
        """Whether the key opens an entry: then it is right, and it is the manifest that is damaged.

        None if that cannot be told.
        """
        for record in unpack_directory(self._central, self._directory, checked=True):
            if record.encrypted and record.name != manifest.PATH.encode():
                try:
                    for _ in self._plain(record, encryptor):
                        pass
                except WrongPassphraseError:
                    return False
                except IntegrityError:
                    return None
                return True
        return None

    def _fetched(self, start: int, length: int) -> bytes | None:
        """The bytes of a group; None if they are not all there, which reading its entries singly will tell."""
        try:
            return self._bytes(start, length)
        except IntegrityError:
            return None

    def _decoded(self, members: Sequence[tuple[Member, bytes]]) -> list[bytes | IntegrityError]:
        """The contents of small entries, or what is wrong with them. Called on any thread."""
        if isinstance(self._encryptor, ExpectsUnits):
            bodies = ((one.record, unit) for one, unit in members if one.record.encrypted)
            self._encryptor.expect([unit[len(pack_local(record)) :] for record, unit in bodies])
        contents: list[bytes | IntegrityError] = []
        for member, unit in members:
            try:
                contents.append(b"".join(self._content(member, iter((unit,)))))
            except IntegrityError as error:
                contents.append(error)
        return contents

    def _streamed(self, member: Member) -> Iterator[bytes]:
        """The content of one entry, as it comes."""
        return self._content(member, self._range(member.record.offset, member.extent))

    def _content(self, member: Member, stream: Iterator[bytes]) -> Iterator[bytes]:
        entry, recorded = member.line.entry, member.line.sha256
        digest = hashlib.sha256()
        try:
            for chunk in self._plain(member.record, self._encryptor, stream):
                digest.update(chunk)
                if entry.kind != "symlink":  # its target is in the manifest
                    yield chunk
            if recorded is not None and digest.hexdigest() != recorded:
                raise IntegrityError("its SHA-256 is not the one recorded", where=entry.path)
        except (IntegrityError, WrongPassphraseError) as error:
            # The manifest has opened, so the passphrase is right: an entry that does not open is damaged.
            raise IntegrityError(
                f"{entry.path} is damaged in the archive: {error}", where=entry.path
            ) from error

    def _plain(
        self, record: Record, encryptor: Encryptor | None, stream: Iterator[bytes] | None = None
    ) -> Iterator[bytes]:
        stream = stream or self._range(record.offset, extent(record))
        return decoded(record, encryptor, stream, threads=self._executor is not None)

    def _range(self, start: int, length: int) -> Iterator[bytes]:
        if start + length > self._ranges.total:  # before a destination is asked for bytes 2 to the 64
            raise IntegrityError(
                "The directory names a place beyond the archive's end.", where="zip directory"
            )
        return self._ranges.read(start, length)

    def _bytes(self, start: int, length: int) -> bytes:
        data = b"".join(self._range(start, length))
        if len(data) != length:
            raise IntegrityError("The archive ends too early.", where="zip directory")
        return data


def _checked_end(record: Record, previous: int, limit: int) -> int:
    """Where the entry ends. IntegrityError for a directory that was made to give out more than is stored.

    Entries are written one after the other, so none may begin before the previous one has ended.
    """
    end = record.offset + extent(record)
    plain = record.stored - (OVERHEAD if record.encrypted else 0)
    if record.offset < previous or end > limit:
        name = record.name.decode(errors="replace")
        raise IntegrityError(f"The place of {name} in the archive overlaps with another's.", where=name)
    if record.size and not is_reachable(record.method, plain, record.size):
        name = record.name.decode(errors="replace")
        raise IntegrityError(
            f"The archive says that {name} has {record.size} bytes, which {record.stored} cannot hold.",
            where=name,
        )
    return end


def _agree(line: manifest.Line, record: Record) -> bool:
    entry = line.entry
    return (
        is_entry_path(entry.path)
        and record.name == line.name.encode(errors="surrogatepass")
        and record.modified == whole_seconds(entry.modified_ns)
        and record.attributes == attributes(entry)
        and (line.sha256 is None or record.size == entry.size)
    )
