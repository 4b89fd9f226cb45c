"""All archives of one pipeline at one destination."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from backupkit.errors import (
    BackupNotFoundError,
    ConfigurationError,
    DestinationError,
    IntegrityError,
    ObjectExistsError,
    ObjectNotFoundError,
    WrongPassphraseError,
    not_kept_whole,
)
from backupkit.formats.backup_ids import backup_id
from backupkit.formats.zip import manifest
from backupkit.formats.zip.aes import WinZipAES
from backupkit.formats.zip.foreign import ForeignArchive
from backupkit.formats.zip.naming import ObjectName, parse, summary_name
from backupkit.formats.zip.ranges import DirectRanges, Ranges, SequentialRanges
from backupkit.formats.zip.reader import ArchiveReader
from backupkit.formats.zip.writer import ArchiveWriter
from backupkit.model import Backup, Contents, Entry, Manifest, Problem, Pruned, StoredObject, Written
from backupkit.protocols import Chunks, Compressor, Destination, Encryptor, nothing
from backupkit.prune_limits import PruneLimits
from backupkit.retrying import Retry

if TYPE_CHECKING:
    from concurrent.futures import Executor

_Objects: TypeAlias = list[tuple[StoredObject, ObjectName]]

_INSIDE = "winzip-aes-256"  # the scheme that ZIP records by itself


class ZipRepository:
    """See `protocols.Repository`. `encryptors[0]` writes; all of them are tried for reading.

    A backup is an archive and, written after it, a small summary whose name says whether the run was
    complete. An archive without a summary is listed as unconfirmed; a summary without an archive is what an
    interrupted removal leaves, and `prune` deletes it.

    Archives that others wrote have no summary until they are confirmed; its name then says what they hold,
    too. `legacy_zone` is where times in names, and in the archives, are local.
    """

    def __init__(
        self,
        destination: Destination,
        *,
        name: str | None,
        compressor: Compressor,
        encryptors: Sequence[Encryptor],
        executor: Executor | None,
        legacy_zone: tzinfo | None = None,
    ) -> None:
        self._destination = destination
        self._name = name
        self._compressor = compressor
        self._encryptors = encryptors
        self._executor = executor
        self._legacy_zone = legacy_zone
        self._opened: tuple[tuple[str, str], ArchiveReader | ForeignArchive] | None = None
        self._looked_into: tuple[StoredObject, ForeignArchive] | None = None

    def write(
        self,
        entries: Iterable[Entry | Problem],
        *,
        time: datetime,
        contents: frozenset[Contents],
        tags: Sequence[str] = (),
        host: str | None = None,
        retry: Retry,
    ) -> Written:
        if self._name is None:
            raise ConfigurationError(
                "A backup is written under a pipeline's name: open the repository with one."
            )
        encryptor = self._encryptors[0] if self._encryptors else None
        wrapped = encryptor is not None and encryptor.scheme != _INSIDE
        suffix = f".zip.{encryptor.scheme}" if encryptor is not None and wrapped else ".zip"
        # A removal that was interrupted leaves a summary behind, which must not become this backup's.
        suffixes = (suffix, ".complete.json", ".incomplete.json")
        while any(self._exists(f"{self._name}/{backup_id(time, contents)}{one}") for one in suffixes):
            time += timedelta(microseconds=1)
        header = manifest.Header(
            id=backup_id(time, contents),
            name=self._name,
            time=time,
            contents=contents,
            host=os.uname().nodename if host is None else host,
            tags=tuple(tags),
        )
        writer = ArchiveWriter(
            header,
            compressor=self._compressor,
            encryptor=None if wrapped else encryptor,
            executor=self._executor,
            retry=retry,
        )
        chunks = writer.chunks(entries)
        if encryptor is not None and wrapped:
            chunks = encryptor.encrypt(chunks)
        stem = f"{self._name}/{header.id}"
        stored = self._destination.write(stem + suffix, chunks)
        backup = Backup(
            id=header.id,
            name=header.name,
            time=time,
            contents=contents,
            location=self._destination.location,
            complete=writer.complete,
            stored=stored.size,
            entries=writer.entries,
            size=writer.size,
            host=header.host,
            tags=header.tags,
        )
        self._destination.write(summary_name(backup), [_summary_text(backup, len(writer.problems))])
        return Written(backup=backup, problems=tuple(writer.problems))

    def list(self) -> Iterator[Backup]:
        archives: dict[tuple[str, str], tuple[ObjectName, StoredObject]] = {}
        endings: dict[tuple[str, str], set[tuple[bool, frozenset[Contents]]]] = {}
        for stored, name in self._objects():
            key = (name.name, name.id)
            if name.kind == "archive":
                archives[key] = (name, stored)
            else:
                endings.setdefault(key, set()).add((name.kind == "complete", name.contents))
        for key, (name, stored) in archives.items():
            # Of two summaries the worse one counts, and what both say of the contents.
            ending = endings.get(key, set())
            yield Backup(
                id=name.id,
                name=name.name,
                time=name.at(self._legacy_zone) or stored.modified,
                contents=name.contents or _common(contents for _, contents in ending),
                location=self._destination.location,
                complete=all(complete for complete, _ in ending) if ending else None,
                stored=stored.size,
                made_by=name.made_by,
            )

    def details(self, backup: Backup) -> Backup:
        for stored, name in self._objects_of(backup):
            if name.kind != "archive":
                text = b"".join(self._destination.read(stored.name))
                return replace(backup, **_summary_fields(text, stored.name))
        if backup.made_by == "backupkit":
            return backup
        archive = self._foreign(*self._archive(backup))
        return replace(backup, contents=archive.contents, entries=archive.count, size=archive.size)

    def read(self, backup: Backup) -> Iterator[Entry]:
        yield from self._reader(backup).entries()

    def copy(self, backup: Backup, to: Destination, *, each: Callable[[Chunks], Chunks] = iter) -> Backup:
        objects = self._archive_first(backup)
        if not any(name.kind == "archive" for _, name in objects):
            raise _gone(backup)
        # The archive first, as in a run: only the summary makes it count.
        for stored, _ in objects:
            try:
                to.write(stored.name, each(self._in_full(stored)))
            except ObjectExistsError:
                if to.stat(stored.name).size != stored.size:
                    raise
        return replace(backup, location=to.location)

    def file(self, backup: Backup) -> Entry:
        """See `protocols.KeepsFiles`. Without the summary, which is not part of the archive."""
        stored, _ = self._archive(backup)
        modified = stored.modified - datetime.fromtimestamp(0, UTC)
        return Entry(
            path=stored.name.rpartition("/")[2],
            size=stored.size,
            modified_ns=modified // timedelta(microseconds=1) * 1000,
            mode=0o600,
            chunks=partial(self._in_full, stored),
            within=partial(self._within, stored),
        )

    def manifest(self, backup: Backup) -> Manifest:
        """See `protocols.HasManifests`. An archive that others wrote says nothing."""
        reader = self._reader(backup)
        return Manifest() if isinstance(reader, ForeignArchive) else reader.summary()

    def check(self, backup: Backup) -> Iterator[Problem]:
        def problem(message: str) -> Problem:
            return Problem(message=message, check="structure", destination=backup.location)

        reader = self._reader(backup)
        if isinstance(reader, ForeignArchive):
            if not reader.contents:
                yield problem(f"The archive {backup.id} holds nothing that could be restored.")
                return
        else:
            header = reader.header()
            if header.id != backup.id and backup.made_by == "backupkit":
                yield problem(
                    f"The archive {backup.id} says that it is {header.id}: it was renamed or replaced."
                )
            for path in reader.headers_differ():
                yield problem(f"The header of {path} was changed in the archive {backup.id}.")
        said, expected_text = self._said(backup)
        summaries = [stored for stored, name in self._objects_of(backup) if name.kind != "archive"]
        if not summaries:
            message = f"The archive {backup.id} has no summary: nothing confirms that its run ended."
            yield replace(problem(message), severity="warning")
        for stored in summaries:
            text = b"".join(self._destination.read(stored.name))
            if (stored.name, text) != (summary_name(said), expected_text):
                yield problem(f"The summary {stored.name} does not say what the archive's manifest says.")

    def confirm(self, backup: Backup) -> Backup:
        confirmed, text = self._said(backup)
        name = summary_name(confirmed)
        stored = self._destination.write(name, [text], overwrite=True)
        if stored.size != len(text):
            with suppress(DestinationError):  # without it the backup is unconfirmed again, and not damaged
                self._destination.delete(name)
            raise not_kept_whole(self._destination.location, name, stored=stored.size, given=len(text))
        return replace(backup, complete=confirmed.complete, contents=confirmed.contents)

    def _said(self, backup: Backup) -> tuple[Backup, bytes]:
        """The backup as the archive itself has it, in its manifest, and the text of its summary.

        An archive that others wrote says nothing of its run: it is complete if it is whole.
        """
        reader = self._reader(backup)
        problems = 0
        if isinstance(reader, ForeignArchive):
            said = replace(
                backup, complete=True, contents=reader.contents, entries=reader.count, size=reader.size
            )
        else:
            header, footer = reader.header(), reader.footer()
            problems = len(footer.problems)
            said = replace(
                backup,
                contents=header.contents,
                complete=footer.complete,
                entries=footer.entries,
                size=footer.size,
                host=header.host,
                tags=header.tags,
            )
        return said, _summary_text(said, problems)

    def remove(self, backup: Backup) -> None:
        # The archive first: what remains after an interruption is a summary that lists nothing.
        for stored, _ in self._archive_first(backup):
            with suppress(ObjectNotFoundError):  # somebody else was faster; it is gone, as was asked for
                self._destination.delete(stored.name)

    def prune(
        self,
        *,
        without: Collection[Backup] = (),
        limits: PruneLimits | None = None,
        dry_run: bool = False,
        between: Callable[[], None] = nothing,
    ) -> Pruned:
        found = [*self._objects()]
        archives = {(name.name, name.id) for _, name in found if name.kind == "archive"}
        freed = 0
        refused: DestinationError | None = None
        for stored, name in found:
            between()
            # Asked again one by one: a listing may pass the archive's place just before it comes to be.
            if (name.name, name.id) not in archives and not any(
                other.kind == "archive" for _, other in self._objects_of(name)
            ):
                try:
                    if not dry_run:
                        self._destination.delete(stored.name)
                    freed += stored.size
                except ObjectNotFoundError:
                    pass
                except DestinationError as error:  # one that is locked must not keep all after it
                    refused = refused or error
        if refused is not None:
            raise refused
        return Pruned(freed=freed)

    def _objects(self, prefix: str | None = None) -> Iterator[tuple[StoredObject, ObjectName]]:
        if prefix is None:
            prefix = "" if self._name is None else f"{self._name}/"
        for stored in self._destination.list(prefix):
            if (name := parse(stored.name)) is not None:
                yield stored, name

    def _objects_of(self, backup: Backup | ObjectName) -> _Objects:
        return [pair for pair in self._objects(f"{backup.name}/{backup.id}") if pair[1].id == backup.id]

    def _archive_first(self, backup: Backup) -> _Objects:
        return sorted(self._objects_of(backup), key=lambda pair: pair[1].kind != "archive")

    def _reader(self, backup: Backup) -> ArchiveReader | ForeignArchive:
        """Open the archive, once for as long as the same one is asked for: its directory is in memory then."""
        key = (backup.name, backup.id)
        if self._opened is None or self._opened[0] != key:
            self._opened = key, self._open(backup)
        return self._opened[1]

    def _open(self, backup: Backup) -> ArchiveReader | ForeignArchive:
        stored, name = self._archive(backup)
        if name.made_by != "backupkit":
            archive = self._foreign(stored, name)
            if not archive.ours:
                return archive
        return ArchiveReader(
            self._ranges(stored, name), encryptors=self._inner_encryptors(name), executor=self._executor
        )

    def _foreign(self, stored: StoredObject, name: ObjectName) -> ForeignArchive:
        """The same of an archive that others wrote; for its details, too."""
        if self._looked_into is None or self._looked_into[0] != stored:
            archive = ForeignArchive(
                self._ranges(stored, name),
                passphrases=[one.passphrase for one in self._encryptors if isinstance(one, WinZipAES)],
                zone=self._legacy_zone,
            )
            self._looked_into = stored, archive
        return self._looked_into[1]

    def _archive(self, backup: Backup) -> tuple[StoredObject, ObjectName]:
        for stored, name in self._objects_of(backup):
            if name.kind == "archive":
                return stored, name
        raise _gone(backup)

    def _ranges(self, stored: StoredObject, name: ObjectName) -> Ranges:
        if name.scheme is None:
            return DirectRanges(self._destination, stored.name, stored.size)
        for encryptor in self._encryptors:
            if encryptor.scheme == name.scheme:
                return SequentialRanges(partial(self._decrypted, encryptor, stored.name))
        raise WrongPassphraseError(
            f"The archive {stored.name} is encrypted as a whole with {name.scheme!r}: "
            "give the encryptor that can decrypt it."
        )

    def _in_full(self, stored: StoredObject) -> Iterator[bytes]:
        count = 0
        for chunk in self._destination.read(stored.name):
            count += len(chunk)
            yield chunk
        if count != stored.size:
            raise self._not_whole(stored, count, stored.size)

    def _within(self, stored: StoredObject, start: int, stop: int) -> Iterator[bytes]:
        length = max(0, min(stop, stored.size) - start)
        count = 0
        for chunk in self._destination.read(stored.name, start=start, length=length) if length else ():
            count += len(chunk)
            yield chunk
        if count != length:
            raise self._not_whole(stored, count, length)

    def _not_whole(self, stored: StoredObject, count: int, expected: int) -> IntegrityError:
        return IntegrityError(
            f"Of {stored.name} at {self._destination.location} {count} bytes could be read, and it has "
            f"{expected}: it was not copied.",
            where=stored.name,
        )

    def _decrypted(self, encryptor: Encryptor, name: str) -> Iterator[bytes]:
        return encryptor.decrypt(self._destination.read(name))

    def _inner_encryptors(self, name: ObjectName) -> Sequence[Encryptor]:
        return [one for one in self._encryptors if one.scheme == _INSIDE and name.scheme is None]

    def _exists(self, name: str) -> bool:
        try:
            self._destination.stat(name)
        except ObjectNotFoundError:
            return False
        return True


def _gone(backup: Backup) -> BackupNotFoundError:
    return BackupNotFoundError(
        f"There is no archive {backup.id} of {backup.name} at {backup.location}: "
        "list the backups again, it may have been removed."
    )


def _summary_text(backup: Backup, problems: int) -> bytes:
    """What the archive's manifest says too, readable without a passphrase: no paths, no messages."""
    fields = {
        "id": backup.id,
        "name": backup.name,
        "complete": backup.complete,
        "entries": backup.entries,
        "size": backup.size,
        "stored": backup.stored,
        "host": backup.host,
        "tags": list(backup.tags or ()),
        "problems": problems,
    }
    return json.dumps(fields, indent=1).encode() + b"\n"


def _summary_fields(text: bytes, name: str) -> dict[str, Any]:
    try:
        fields = json.loads(text)
        return {
            "entries": int(fields["entries"]),
            "size": int(fields["size"]),
            "host": None if fields["host"] is None else str(fields["host"]),
            "tags": tuple(str(tag) for tag in fields["tags"]),
        }
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise IntegrityError(f"The summary {name} cannot be read: {error}.", where=name) from error


def _common(contents: Iterable[frozenset[Contents]]) -> frozenset[Contents]:
    first, *others = [*contents] or [frozenset()]
    return first.intersection(*others)
