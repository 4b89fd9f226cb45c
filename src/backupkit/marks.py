"""What is learnt about a backup after its run, or decided, kept beside it as small immutable objects.

Names alone carry it: `backupkit/<name>/<backup id>/2026-11-23T03-00-00.123456Z-verified`. So they say too that a
backup is pinned, and until when: `…-pinned-until-2027-01-01T00-00-00.000000Z`. Only the reason for it stands in the
object itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias

from backupkit.errors import ConfigurationError, ObjectNotFoundError
from backupkit.model import Backup, Pin
from backupkit.protocols import Destination

Mark: TypeAlias = Literal["verified", "damaged", "proven", "refuted"]

_STAMP = r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{6}Z"
_MARK = re.compile(rf"backupkit/([^/]+)/([^/]+)/({_STAMP})-([a-z]+)(?:-until-({_STAMP}))?", re.ASCII)
_FORMAT = "%Y-%m-%dT%H-%M-%S.%fZ"
_INSTANT = timedelta(microseconds=1)
_LAST = datetime.max.replace(tzinfo=UTC)
_LONGEST_REASON = 500  # characters
_LARGEST_BODY = 64 << 10  # bytes
_UNKNOWN = "its reason could not be read"


@dataclass(slots=True)
class Known:
    """What the marks of one backup say: when each kind was last made, and the pin that is in force."""

    times: dict[str, datetime] = field(default_factory=dict)
    pin: Pin | None = None
    pinned_by: str | None = None


Marks: TypeAlias = Mapping[tuple[str, str], Known]
"""By name and id of the backup."""


def _folder(name: str, id_: str) -> str:
    return f"backupkit/{name}/{id_}/"


def write_mark(destination: Destination, backup: Backup, kind: Mark, time: datetime) -> None:
    """Record at the destination what was found out about the backup at this time."""
    _write(destination, backup, f"{_stamp(time)}-{kind}", b"{}\n")


def pin_for(reason: str, until: datetime | None, *, now: datetime) -> Pin:
    """The pin, if it can be one; ConfigurationError otherwise."""
    if not isinstance(reason, str) or not _is_reason(reason.strip()):
        raise ConfigurationError(
            f"reason={reason!r} does not say why the backup is pinned: use one line of text, "
            f"at most {_LONGEST_REASON} characters."
        )
    if until is not None:
        if not isinstance(until, datetime) or until.tzinfo is None:
            raise ConfigurationError(f"until={until!r} is not clear: use a datetime with a time zone.")
        try:
            until = until.astimezone(UTC)
        except OverflowError as error:
            raise ConfigurationError(f"until={until!r} is too far away: leave it out.") from error
        if until <= now:
            raise ConfigurationError(
                f"until={until.isoformat()} has passed: use a time to come, or leave it out."
            )
    return Pin(reason=reason.strip(), until=until)


def write_pin(destination: Destination, backup: Backup, pin: Pin | None, time: datetime) -> None:
    """Record that the backup is pinned, or with None that it no longer is.

    It counts over what the destination holds already, also where that was written by a clock that is ahead.
    """
    found = read_marks(destination, backup.name, backup.id).get((backup.name, backup.id), Known())
    if pin is None and found.pin is None:
        return
    times = [found.times[kind] for kind in ("pinned", "unpinned") if kind in found.times]
    time = max([time, *(min(one, _LAST - _INSTANT) + _INSTANT for one in times)])
    if pin is None:
        _write(destination, backup, f"{_stamp(time)}-unpinned", b"{}\n")
    else:
        until = "" if pin.until is None else f"-until-{_stamp(pin.until)}"
        body = json.dumps({"reason": pin.reason}).encode() + b"\n"
        _write(destination, backup, f"{_stamp(time)}-pinned{until}", body)


def read_marks(destination: Destination, name: str | None, id_: str | None = None) -> Marks:
    """Read the marks of one backup, of one pipeline or of all, from one listing; other objects are ignored.

    Nothing is read but the reasons of pins that are in force. One that cannot be read does not unpin.
    """
    prefix = "backupkit/" if name is None else f"backupkit/{name}/" if id_ is None else _folder(name, id_)
    marks: dict[tuple[str, str], Known] = {}
    for stored in destination.list(prefix):
        mark = _parsed(stored.name)
        if mark is None or (mark.until is not None and mark.kind != "pinned"):
            continue
        known = marks.setdefault(mark.of, Known())
        # A listing is in name order, so the newest mark of a kind comes last.
        known.times[mark.kind] = mark.time
        if mark.kind == "pinned":
            known.pin, known.pinned_by = Pin(reason=_UNKNOWN, until=mark.until), stored.name
    for known in marks.values():
        # Of both at one time the pin counts, which removes nothing.
        if (
            known.pin is not None
            and known.times.get("unpinned", known.times["pinned"]) > known.times["pinned"]
        ):
            known.pin = None
        if known.pin is not None and known.pinned_by is not None:
            known.pin = replace(known.pin, reason=_reason(destination, known.pinned_by))
    return marks


def damaged_last(marks: Marks) -> tuple[str, str] | None:
    """The name and the id of the backup that was found damaged last, unless any was found whole since."""
    damaged = {of: known.times["damaged"] for of, known in marks.items() if "damaged" in known.times}
    verified = [known.times["verified"] for known in marks.values() if "verified" in known.times]
    last = max(damaged, key=damaged.__getitem__, default=None)
    return None if last is None or any(time > damaged[last] for time in verified) else last


def apply(marks: Marks, backup: Backup) -> Backup:
    """The backup with what its marks say; of two that contradict each other the newest, or the worse one, wins.

    A drill that succeeded does not unsay damage, which it may not have come to; and a damaged backup is no
    longer proven.
    """
    known = marks.get((backup.name, backup.id))
    if known is None:
        return backup
    times = known.times
    verified, damaged = _standing(times.get("verified"), times.get("damaged"))
    proven, refuted = _standing(times.get("proven"), times.get("refuted"))
    return replace(
        backup,
        verified=verified,
        damaged=damaged,
        proven=None if damaged else proven,
        refuted=refuted,
        pin=known.pin,
    )


def with_marks(backup: Backup, made: Iterable[tuple[Mark, datetime]]) -> Backup:
    """The backup as it will be read again, with marks that were made after all that it knows of."""
    for kind, time in made:
        match kind:
            case "proven":
                backup = replace(backup, proven=None if backup.damaged else time, refuted=False)
            case "refuted":
                backup = replace(backup, proven=None, refuted=True)
            case "damaged":
                backup = replace(backup, verified=None, damaged=True, proven=None)
            case "verified":
                backup = replace(backup, verified=time, damaged=False)
    return backup


def _standing(good: datetime | None, bad: datetime | None) -> tuple[datetime | None, bool]:
    """When the good was found out, if nothing bad was since; and whether the bad stands."""
    stands = bad is not None and (good is None or bad >= good)
    return (None if stands else good), stands


def remove_marks(destination: Destination, name: str, id_: str) -> None:
    """Delete the marks of a backup that is gone; those of kinds that a later version knows too."""
    for stored in list(destination.list(_folder(name, id_))):
        if _parsed(stored.name) is not None:
            try:
                destination.delete(stored.name)
            except ObjectNotFoundError:
                continue  # someone else was faster


@dataclass(frozen=True, slots=True)
class _Parsed:
    """What the name of a mark says."""

    of: tuple[str, str]
    time: datetime
    kind: str
    until: datetime | None


def _parsed(name: str) -> _Parsed | None:
    found = _MARK.fullmatch(name)
    if found is None:
        return None
    owner, id_, stamp, kind, until = found.groups()
    try:
        return _Parsed((owner, id_), _time(stamp), kind, None if until is None else _time(until))
    except ValueError:
        return None


def _write(destination: Destination, backup: Backup, mark: str, body: bytes) -> None:
    destination.write(f"{_folder(backup.name, backup.id)}{mark}", [body], overwrite=True)


def _stamp(time: datetime) -> str:
    return time.astimezone(UTC).strftime(_FORMAT)


def _time(stamp: str) -> datetime:
    day, _, clock = stamp[:-1].partition("T")
    return datetime.fromisoformat(f"{day}T{clock.replace('-', ':')}+00:00")


def _reason(destination: Destination, name: str) -> str:
    try:
        body = b"".join(destination.read(name, length=_LARGEST_BODY))
        reason = json.loads(body)["reason"]
    except Exception:  # of a destination that breaks its contract, too: what matters is that it is pinned
        return _UNKNOWN
    return reason if isinstance(reason, str) and _is_reason(reason) else _UNKNOWN


def _is_reason(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_REASON and text.isprintable() and not text.isspace()
