"""One of our archives in, its entries out: random access, nothing downloaded that is not asked for."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from backupkit._chunks import closing_iterator
from backupkit.compression import Deflate, Store, Zstd
from backupkit.errors import IntegrityError, WrongPassphraseError
from backupkit.formats.zip import manifest
from backupkit.formats.zip.aes import OVERHEAD
from backupkit.formats.zip.headers import FOLDER, MANIFEST, attributes
from backupkit.formats.zip.limits import is_reachable
from backupkit.formats.zip.records import (
    ALGORITHMS,
    END_SIZES,
    Record,
    find_directory,
    pack_descriptor,
    pack_local,
    unpack_directory,
    whole_seconds,
)
from backupkit.formats.zip.spool import Spool
from backupkit.model import Entry, is_entry_path
from backupkit.protocols import Compressor, Destination, Encryptor

_DECOMPRESSORS: dict[str, Compressor] = {one.algorithm: one for one in (Store(), Deflate(), Zstd())}
_TAIL = 8 << 20


class Ranges(Protocol):
    """The bytes of an archive, by position."""

    @property
    def total(self) -> int: ...

    def read(self, start: int, length: int) -> Iterator[bytes]: ...


class DirectRanges:
    """The ranges of an object as the destination gives them."""

    def __init__(self, destination: Destination, name: str, total: int) -> None:
        self.total = total
        self._read = partial(destination.read, name)

    def read(self, start: int, length: int) -> Iterator[bytes]:
        return self._read(start=start, length=length)


class SequentialRanges:
    """The ranges of a stream that can only be read from its beginning, such as a decrypted archive.

    Costs one pass to learn the length; going forward continues a pass, going back begins another. The last
    8 MiB are kept, so that the directory and manifest of most archives need no pass of their own. Nothing
    is written to disk.
    """

    def __init__(self, open_stream: Callable[[], Iterator[bytes]]) -> None:
        self._open = open_stream
        self._tail = bytearray()
        self.total = 0
        for chunk in open_stream():
            self.total += len(chunk)
            self._tail += chunk
            if len(self._tail) > 2 * _TAIL:
                del self._tail[:-_TAIL]
        self._stream: Iterator[bytes] = iter(())
        self._position = self.total
        self._rest = b""

    def read(self, start: int, length: int) -> Iterator[bytes]:
        end = start + length
        tail_start = self.total - len(self._tail)
        if start >= tail_start:
            yield bytes(self._tail[start - tail_start : end - tail_start])
            return
        while start < end:
            # Asked before each chunk, because another range may have been read since the last one.
            if start < self._position:
                self._stream, self._position, self._rest = filter(None, self._open()), 0, b""
            chunk = self._rest or next(self._stream, b"")
            if not chunk:
                return
            skip = min(start - self._position, len(chunk))
            wanted = chunk[skip : skip + end - start]
            used = skip + len(wanted)
            self._position += used
            self._rest = chunk[used:]
            start += len(wanted)
            if wanted:
                yield wanted


class ArchiveReader:
    """One archive. Reads its directory and its manifest when it is made; contents when they are pulled.

    `encryptors` are tried on the manifest in order; the first that opens it is the archive's.
    """

    def __init__(self, ranges: Ranges, *, encryptors: Sequence[Encryptor]) -> None:
        self._ranges = ranges
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

    def entries(self) -> Iterator[Entry]:
        """Yield the entries; each is compared with its record in the directory before it is given out."""
        records = unpack_directory(self._central, self._directory)
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
                yield replace(item.entry, chunks=partial(self._content, item, record))
            elif isinstance(item, manifest.Footer) and item.entries != count:
                raise IntegrityError("The manifest does not hold all entries it counts.", where=manifest.PATH)
        if [record.name for record in records] != [manifest.PATH.encode()]:
            raise IntegrityError(
                "The archive's directory holds entries that its manifest does not know.", where=manifest.PATH
            )

    def headers_differ(self) -> Iterator[str]:
        """Yield the name of each directory, the entries without content, whose local header was changed."""
        for record in unpack_directory(self._central, self._directory):
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
        for record in unpack_directory(self._central, self._directory):
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

    def _content(self, line: manifest.Line, record: Record) -> Iterator[bytes]:
        entry = line.entry
        digest = hashlib.sha256()
        try:
            for chunk in self._plain(record, self._encryptor):
                digest.update(chunk)
                if entry.kind != "symlink":  # its target is in the manifest
                    yield chunk
            if line.sha256 is not None and digest.hexdigest() != line.sha256:
                raise IntegrityError("its SHA-256 is not the one recorded", where=entry.path)
        except (IntegrityError, WrongPassphraseError) as error:
            # The manifest has opened, so the passphrase is right: an entry that does not open is damaged.
            raise IntegrityError(
                f"{entry.path} is damaged in the archive: {error}", where=entry.path
            ) from error

    def _plain(self, record: Record, encryptor: Encryptor | None) -> Iterator[bytes]:
        """The content of an entry; all that stands around it is compared with what it must be."""
        head, foot = pack_local(record), pack_descriptor(record)
        name = record.name.decode(errors="replace")
        crc = size = 0
        with closing_iterator(self._range(record.offset, len(head) + record.stored + len(foot))) as stream:
            parts = _Parts(stream)
            if b"".join(parts.take(len(head))) != head:
                raise IntegrityError("its local header was changed", where=name)
            body = parts.take(record.stored)
            if record.encrypted and encryptor is not None:
                body = encryptor.decrypt(body)
            for chunk in _DECOMPRESSORS[_algorithm(record)].decompress(body):
                size += len(chunk)
                if not record.encrypted:
                    crc = zlib.crc32(chunk, crc)
                yield chunk
            if size != record.size or crc != record.crc:
                raise IntegrityError("its size or checksum is not the one recorded", where=name)
            if b"".join(parts.take(len(foot))) != foot:
                raise IntegrityError("its data descriptor was changed", where=name)

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


class _Parts:
    """A stream handed out in parts of given lengths; a part that the stream cannot fill is an error."""

    def __init__(self, stream: Iterator[bytes]) -> None:
        self._stream = filter(None, stream)
        self._rest = b""

    def take(self, count: int) -> Iterator[bytes]:
        while count:
            chunk = self._rest or next(self._stream, b"")
            if not chunk:
                raise IntegrityError("it ends too early", where="zip entry")
            self._rest = chunk[count:]
            chunk = chunk[:count]
            count -= len(chunk)
            yield chunk


def _checked_end(record: Record, previous: int, limit: int) -> int:
    """Where the entry ends. IntegrityError for a directory that was made to give out more than is stored.

    Entries are written one after the other, so none may begin before the previous one has ended.
    """
    end = record.offset + len(pack_local(record)) + record.stored + len(pack_descriptor(record))
    plain = record.stored - (OVERHEAD if record.encrypted else 0)
    name = record.name.decode(errors="replace")
    if record.offset < previous or end > limit:
        raise IntegrityError(f"The place of {name} in the archive overlaps with another's.", where=name)
    if record.size and not is_reachable(record.method, plain, record.size):
        raise IntegrityError(
            f"The archive says that {name} has {record.size} bytes, which {record.stored} cannot hold.",
            where=name,
        )
    return end


def _algorithm(record: Record) -> str:
    if record.method not in ALGORITHMS:
        name = record.name.decode(errors="replace")
        raise IntegrityError(f"its method, {record.method}, is unknown", where=name)
    return ALGORITHMS[record.method]


def _agree(line: manifest.Line, record: Record) -> bool:
    entry = line.entry
    return (
        is_entry_path(entry.path)
        and record.name == line.name.encode(errors="surrogatepass")
        and record.modified == whole_seconds(entry.modified_ns)
        and record.attributes == attributes(entry)
        and (line.sha256 is None or record.size == entry.size)
    )
