"""`.backupkit/manifest.json`: the last entry of an archive, with all that ZIP itself cannot record.

One JSON document in which each entry has a line of its own, so that a million of them can be written and
read in bounded memory. Lines stand in the order of the archive's directory.
"""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from backupkit.errors import IntegrityError
from backupkit.model import Contents, Entry, Kind, Owner, Problem

PATH = ".backupkit/manifest.json"
_VERSION = 1
_LONGEST = 256 << 20  # bytes of a line: an entry with ten million holes, or all problems of a run


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What the run was."""

    id: str
    name: str
    time: datetime
    contents: frozenset[Contents]
    host: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """An entry, the name it has in the archive, and the SHA-256 of its content (hex; None if it has none)."""

    entry: Entry
    name: str
    sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Footer:
    """How the run ended."""

    problems: tuple[Problem, ...]
    complete: bool
    entries: int
    size: int


def header_text(header: Header) -> bytes:
    fields = {
        "backupkit": _VERSION,
        "id": header.id,
        "name": header.name,
        "time": header.time.isoformat(),
        "contents": sorted(header.contents),
        "host": header.host,
        "tags": list(header.tags),
    }
    return json.dumps(fields)[:-1].encode() + b', "entries": ['


def line_text(line: Line, *, first: bool) -> bytes:
    entry, text = line.entry, json.dumps
    # Numbers and a hash need no encoder, and this is written for every entry.
    parts = [f'{{"path": {text(entry.path)}, "kind": "{entry.kind}"']
    if line.name != entry.path:
        parts.append(f'"name": {text(line.name)}')
    if entry.size is not None:
        parts.append(f'"size": {entry.size}')
    if entry.modified_ns is not None:
        parts.append(f'"modified_ns": {entry.modified_ns}')
    if entry.mode is not None:
        parts.append(f'"mode": {entry.mode}')
    if (owner := entry.owner) is not None:
        parts.append(f'"owner": {_owner_text(owner)}')
    if entry.target is not None:
        parts.append(f'"target": {text(entry.target)}')
    if entry.xattrs:
        xattrs = {key: base64.b64encode(value).decode() for key, value in entry.xattrs.items()}
        parts.append(f'"xattrs": {text(xattrs)}')
    if entry.holes:
        parts.append(f'"holes": {text(entry.holes)}')
    if entry.rows:
        parts.append(f'"rows": {text(entry.rows)}')
    if line.sha256 is not None:
        parts.append(f'"sha256": "{line.sha256}"')
    return f"{'' if first else ','}\n{', '.join(parts)}}}".encode()


@functools.lru_cache(maxsize=256)
def _owner_text(owner: Owner) -> str:
    return json.dumps([owner.uid, owner.gid, owner.user, owner.group])


def footer_text(footer: Footer) -> bytes:
    problems = [
        {"message": p.message, "severity": p.severity, "check": p.check, "path": p.path}
        for p in footer.problems
    ]
    fields = {
        "problems": problems,
        "complete": footer.complete,
        "count": footer.entries,
        "size": footer.size,
    }
    return b"\n],\n" + json.dumps(fields)[1:].encode() + b"\n"


def parse(chunks: Iterable[bytes]) -> Iterator[Header | Line | Footer]:
    """Yield the header, each line and the footer. IntegrityError for anything but a whole manifest."""
    lines = _lines(chunks)
    try:
        yield _header(json.loads(next(lines, b"") + b"]}"))
        for text in lines:
            if text == b"],":
                break
            yield _line(json.loads(text.removesuffix(b",")))
        yield _footer(json.loads(b"{" + next(lines, b"")))
        if any(lines):
            raise ValueError("text after the end")
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise IntegrityError(f"The manifest cannot be read: {error}.", where=PATH) from error


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    parts: list[bytes] = []
    held = 0
    for chunk in chunks:
        for number, part in enumerate(chunk.split(b"\n")):
            if number:
                yield b"".join(parts)
                parts.clear()
                held = 0
            parts.append(part)
            held += len(part)
        if held > _LONGEST:
            raise IntegrityError(
                f"A line of the manifest is longer than {_LONGEST >> 20} MiB, as in archives that are made to fill "
                "the memory.",
                where=PATH,
            )
    if held:
        yield b"".join(parts)


def _header(fields: dict[str, Any]) -> Header:
    if fields["backupkit"] != _VERSION:
        raise ValueError(f"its version is {fields['backupkit']!r}, and {_VERSION} is what is understood here")
    return Header(
        id=_text(fields["id"]),
        name=_text(fields["name"]),
        time=datetime.fromisoformat(fields["time"]),
        contents=frozenset(cast("list[Contents]", fields["contents"])),
        host=_text(fields["host"]),
        tags=tuple(_text(tag) for tag in fields["tags"]),
    )


def _line(fields: dict[str, Any]) -> Line:
    kind = fields["kind"]
    if kind not in ("file", "directory", "symlink", "hardlink"):
        raise ValueError(f"an entry is of an unknown kind, {kind!r}")
    owner = fields.get("owner")
    path = _text(fields["path"])
    sha256 = _text_or_none(fields.get("sha256"))
    entry = Entry(
        path=path,
        kind=cast("Kind", kind),
        size=_number(fields.get("size")),
        modified_ns=_number(fields.get("modified_ns")),
        mode=_number(fields.get("mode")),
        owner=None
        if owner is None
        else Owner(
            uid=int(owner[0]), gid=int(owner[1]), user=_text_or_none(owner[2]), group=_text_or_none(owner[3])
        ),
        target=_text_or_none(fields.get("target")),
        xattrs={
            key: base64.b64decode(value, validate=True) for key, value in fields.get("xattrs", {}).items()
        },
        holes=tuple((int(start), int(length)) for start, length in fields.get("holes", ())),
        rows={table: int(count) for table, count in fields.get("rows", {}).items()},
        digest=None if sha256 is None or kind not in ("file", "hardlink") else f"sha256:{sha256}",
    )
    return Line(entry, _text(fields.get("name", path)), sha256)


def _footer(fields: dict[str, Any]) -> Footer:
    return Footer(
        problems=tuple(
            Problem(message=_text(p["message"]), severity=p["severity"], check=p["check"], path=p["path"])
            for p in fields["problems"]
        ),
        complete=fields["complete"] is True,
        entries=int(fields["count"]),
        size=int(fields["size"]),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} stands where a text should")
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _number(value: object) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise TypeError(f"{value!r} stands where a number should")
    return value
