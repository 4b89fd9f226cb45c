"""Snapshot objects: what a backup is in a repository (design document, "Snapshots")."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from backupkit.errors import IntegrityError
from backupkit.formats.backup_ids import BOTH, backup_id
from backupkit.formats.restic.keys import user_name
from backupkit.formats.restic.layout import is_id
from backupkit.formats.restic.times import text_ns, text_time, time_text
from backupkit.model import Backup, Contents, Entry, Manifest

NAME, CONTENTS, INCOMPLETE = "backupkit:name=", "backupkit:contents=", "backupkit:incomplete"
REPAIRED = "repaired"
"""The tag of a snapshot that was made of what is left of another, of restic's `repair snapshots` too."""
_OURS = "backupkit:"
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_COUNTS = (
    "files_new", "files_changed", "files_unmodified", "dirs_new", "dirs_changed", "dirs_unmodified",
)  # fmt: skip
_SHORT = 8  # digits of an id that restic shows


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The statistics that current restic keeps in a snapshot; sizes in bytes."""

    begun: datetime
    ended: datetime
    files_new: int = 0
    files_changed: int = 0
    files_unmodified: int = 0
    dirs_new: int = 0
    dirs_changed: int = 0
    dirs_unmodified: int = 0
    data_blobs: int = 0
    tree_blobs: int = 0
    added: int = 0
    added_packed: int = 0
    size: int = 0

    @property
    def entries(self) -> int:
        dirs = self.dirs_new + self.dirs_changed + self.dirs_unmodified
        return self.files + dirs

    @property
    def files(self) -> int:
        return self.files_new + self.files_changed + self.files_unmodified

    def fields(self) -> dict[str, Any]:
        return {
            "backup_start": time_text(self.begun),
            "backup_end": time_text(self.ended),
            "files_new": self.files_new,
            "files_changed": self.files_changed,
            "files_unmodified": self.files_unmodified,
            "dirs_new": self.dirs_new,
            "dirs_changed": self.dirs_changed,
            "dirs_unmodified": self.dirs_unmodified,
            "data_blobs": self.data_blobs,
            "tree_blobs": self.tree_blobs,
            "data_added": self.added,
            "data_added_packed": self.added_packed,
            "total_files_processed": self.files,
            "total_bytes_processed": self.size,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What a snapshot object says; `entries`, `size` and `added` are None where it has no summary."""

    id: str
    time: datetime
    time_ns: int
    tree: str
    paths: tuple[str, ...]
    host: str
    tags: tuple[str, ...]
    original: str | None = None
    entries: int | None = None
    size: int | None = None
    added: int | None = None
    fields: Mapping[str, Any] = field(repr=False, compare=False)

    @classmethod
    def parse(cls, fields: Any, id: str, *, where: str) -> Snapshot:
        """Read one; IntegrityError, naming `where`, if it is none."""
        try:
            tree, original = fields["tree"], fields.get("original")
            if not is_id(tree) or not (original is None or is_id(original)):
                raise ValueError("the id of its tree is none")
            summary = fields.get("summary") or {}
            entries = size = added = None
            if summary:
                entries = sum(int(summary[count]) for count in _COUNTS)
                size, added = int(summary["total_bytes_processed"]), int(summary["data_added_packed"])
            return cls(
                id=id,
                time=text_time(fields["time"]),
                time_ns=text_ns(fields["time"]),
                tree=tree,
                paths=tuple(str(path) for path in fields.get("paths") or ()),
                host=str(fields.get("hostname", "")),
                tags=tuple(str(tag) for tag in fields.get("tags") or ()),
                original=original,
                entries=entries,
                size=size,
                added=added,
                fields=fields,
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise IntegrityError(f"{where} is no snapshot: {error}.", where=where) from error

    @property
    def name(self) -> str | None:
        """The pipeline's, if one made it."""
        names = [tag.removeprefix(NAME) for tag in self.tags if tag.startswith(NAME)]
        return names[0] if len(names) == 1 else None

    @property
    def short(self) -> str:
        """What restic calls it."""
        return self.id[:_SHORT]

    @property
    def contents(self) -> frozenset[Contents]:
        """What a pipeline said that it holds."""
        said = {
            part
            for tag in self.tags
            if tag.startswith(CONTENTS)
            for part in tag.removeprefix(CONTENTS).split(",")
        }
        return frozenset(one for one in BOTH if one in said)

    @property
    def repaired(self) -> bool:
        """Whether it is what was left of another one, whose id is `original`."""
        return self.original is not None and REPAIRED in self.tags

    def backup(self, id: str, location: str) -> Backup:
        """As a backup, called `id`."""
        name = self.name
        return Backup(
            id=id,
            name=_NOT_IN_NAMES.sub("-", self.host) or "unknown" if name is None else name,
            time=self.time,
            contents=self.contents if name is not None else frozenset(),
            location=location,
            # restic says nothing of files that it could not read; but it says when a backup did not end.
            complete=INCOMPLETE not in self.tags and not self.repaired,
            stored=self.added or 0,
            made_by="other" if name is None else "backupkit",
            shared=True,
        )

    def detailed(self, backup: Backup) -> Backup:
        """The same backup, with what only its own object says."""
        return replace(backup, entries=self.entries, size=self.size, host=self.host, tags=self.user_tags())

    def manifest(self, dumps: Iterable[Entry]) -> Manifest:
        """What its object says of the run, and the entries of databases, which it does not name."""

        def time(name: str) -> datetime | None:
            try:
                return text_time(self.fields["summary"][name])
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
                return None

        def text(name: str) -> str | None:
            return str(self.fields[name]) if self.fields.get(name) else None

        return Manifest(
            written_by=text("program_version"),
            user=text("username"),
            began=time("backup_start"),
            ended=time("backup_end"),
            sources=self.paths,
            dumps=tuple(dumps),
        )

    def user_tags(self) -> tuple[str, ...]:
        return tuple(tag for tag in self.tags if not tag.startswith(_OURS))


def new_fields(
    *,
    name: str,
    time: datetime,
    contents: Iterable[Contents],
    complete: bool,
    tree: str,
    parent: str | None,
    paths: Sequence[str],
    host: str,
    tags: Sequence[str],
    program: str,
    summary: Summary,
) -> dict[str, Any]:
    """The snapshot object of a run, as current restic orders its fields."""
    ours = [NAME + name, CONTENTS + ",".join(sorted(contents, reverse=True))]
    fields: dict[str, Any] = {"time": time_text(time)}
    if parent is not None:
        fields["parent"] = parent
    fields |= {"tree": tree, "paths": [*paths], "hostname": host, "username": user_name()}
    if uid := os.getuid():
        fields["uid"] = uid
    if gid := os.getgid():
        fields["gid"] = gid
    fields["tags"] = [*tags, *ours, *([] if complete else [INCOMPLETE])]
    return fields | {"program_version": program, "summary": summary.fields()}


def free_time(
    run_name: str, time: datetime, contents: frozenset[Contents], known: Iterable[Snapshot]
) -> datetime:
    """The time, or the next microsecond at which the pipeline has no backup of these contents yet.

    One that was repaired is called otherwise (`named`), and takes no time from its original.
    """
    taken = {(one.time, one.contents) for one in known if one.name == run_name and not one.repaired}
    time = time.astimezone(UTC)
    while (time, contents) in taken:
        time += timedelta(microseconds=1)
    return time


def unreadable(id: str, location: str) -> Backup:
    """What stands in the list for a snapshot that cannot be read: not even whose it was is known."""
    return Backup(
        id=id[:_SHORT],
        name="unknown",
        time=datetime.fromtimestamp(0, UTC),
        contents=frozenset(),
        location=location,
        complete=None,
        stored=0,
        damaged=True,
        made_by="other",
    )


def named(snapshots: Iterable[Snapshot]) -> Iterator[tuple[str, Snapshot]]:
    """Each with what it is called as a backup.

    Ours by time and contents. Of several with the same, as copying and changing tags may leave them, the first by
    id has that name and the others theirs with some digits of their ids; so has one that was repaired, whether or
    not its original is still there, whose marks are not of this one. Foreign ones by those digits alone.
    """
    taken: set[tuple[str | None, str]] = set()
    for snapshot in sorted(snapshots, key=lambda one: (one.repaired, one.original is not None, one.id)):
        name = snapshot.name
        plain = "" if name is None else backup_id(snapshot.time, snapshot.contents)
        called, digits = plain or snapshot.id[:_SHORT], _SHORT
        while (name, called) in taken or (called == plain and snapshot.repaired):
            called = f"{plain}-{snapshot.id[:digits]}" if plain else snapshot.id[:digits]
            digits += 1
        taken.add((name, called))
        yield called, snapshot
