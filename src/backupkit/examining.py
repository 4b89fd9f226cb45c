"""`examine`: the contract of a destination, tried on the user's own account in a minute."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import cast

from backupkit._trials import BrokenError, NotKnownError, Trials, shown
from backupkit.destinations.opening import URLLike, open_destination
from backupkit.destinations.remote import RemoteDestination
from backupkit.errors import AccessDeniedError, ObjectNotFoundError, OperationCancelledError, told
from backupkit.model import Examination, Finding, Rights, Verdict
from backupkit.protocols import Destination, HasLeftovers

# Of a URL. Every store takes such parts, and eight of them pass 10 Mbit/s within the minute; whoever looks on need
# not wait as long as a run at night to hear that a place is not reached, or that a part is stuck: there are three,
# and each may take as long as all that are under way.
_OPTIONS = {"part_size": 8 << 20, "concurrency": 3, "time_limit": 20.0, "patience": 30.0}
_SILENT = (
    2  # calls in a row that nobody answers: then the place has gone, and each further one would be waited for
)


def examine(
    destination: Destination | URLLike,
    *,
    tell: Callable[[str], object] = lambda step: None,
    cancel: threading.Event | None = None,
) -> Examination:
    """Try at a destination, or URL, whether it keeps its contract, and what these credentials allow.

    All is written below `backupkit/doctor-<random>/`, which no pipeline looks at, and is deleted again; nothing
    else is touched. Some 50 megabytes are sent and 17 read, or more where a destination sends larger parts.
    What the destination does wrong is a finding. `tell` is called with the name of each step before it is taken.
    Raises OperationCancelledError after `cancel` was set, and what `open_destination` does for a URL that is none.
    """
    at = _opened(destination)
    trials = Trials(at, cancel or threading.Event())
    began, begin = datetime.now(UTC), time.monotonic()
    findings: list[Finding] = []
    left: Sequence[str] = ()
    try:
        for step, take, right in _steps(trials):
            trials.check_cancelled()
            tell(step)
            findings.append(_found(trials, step, take, right))
            if findings[-1].verdict != "ok" and step == "reached":
                break
            if not trials.written and step == "listed at once":  # there is nothing to try the rest with
                break
            if trials.silent >= _SILENT:
                break
    finally:
        left = _tidied(at, trials)
    if trials.written:
        findings.append(_tidiness(trials, left))
    return Examination(
        location=at.location,
        time=began,
        took=timedelta(seconds=time.monotonic() - begin),
        findings=tuple(findings),
        rights=Rights(**trials.may),
        recommendation=_recommendation(trials.may),
        round_trip=trials.round_trip,
        upload=trials.upload,
        download=trials.download,
        clock_difference=trials.ahead,
        left=tuple(left),
    )


def _steps(trials: Trials) -> Sequence[tuple[str, Callable[[], str], str | None]]:
    """What each step is called, what it does, and which right it shows."""
    return (
        ("reached", trials.reach, None),
        ("encrypted on the way", trials.encryption, None),
        ("written", trials.write, "write"),
        ("listed at once", trials.list, "list"),
        ("read", trials.read, "read"),
        ("written in parts", trials.write_parts, None),
        ("read in full", trials.read_in_full, None),
        ("unseen until whole", trials.unfinished, None),
        ("broken off", trials.broken_off, None),
        ("swept", trials.leftovers, None),
        ("read in part", trials.ranges, None),
        ("not replaced", trials.create_only, None),
        ("replaced", trials.overwrite, "overwrite"),
        ("names", trials.names, None),
        ("deleted", trials.delete, "delete"),
        ("clock", trials.clock, None),
    )


def _found(trials: Trials, step: str, take: Callable[[], str], right: str | None) -> Finding:
    """Take one step, and say what was found."""
    verdict: Verdict = "not ok"
    advice: str | None = None
    allowed: bool | None = None
    try:
        message = take()
        verdict, allowed = "ok", True
    except OperationCancelledError:
        raise
    except NotKnownError as error:
        verdict, message = "not known", str(error)
    except BrokenError as error:
        message, advice, allowed = str(error), error.advice, True
    except AccessDeniedError as error:
        message, allowed = str(error), False
        if right in ("overwrite", "delete"):  # no run needs that
            verdict = "not known"
    except Exception as error:
        message = told(error)
        trials.heard(error)
    else:
        trials.heard(None)
    if right is not None and allowed is not None:
        trials.may[right] = allowed
    return Finding(step=step, verdict=verdict, message=message, advice=advice)


def _tidied(at: Destination, trials: Trials) -> Sequence[str]:
    """Delete all that was written, and name what is still there."""
    if not trials.written:
        return ()
    there = set(trials.written)
    trials.silent = 0
    try:
        there |= {one.name for one in at.list(trials.folder)}
    except Exception as error:
        trials.heard(error)
    left = [name for name in sorted(there) if not _deleted(at, name, trials)]
    if trials.silent >= _SILENT:
        return left
    with suppress(Exception):
        for leftover in trials.left_over():
            left.append(leftover.name)
            if isinstance(at, HasLeftovers):
                at.discard(leftover)
                left.pop()
    with suppress(Exception):
        left += [one.name for one in at.list(trials.folder) if one.name not in left]
    return left


def _deleted(at: Destination, name: str, trials: Trials) -> bool:
    """Whether it is gone, as far as anybody can tell."""
    for ask in (at.delete, at.stat):
        if trials.silent >= _SILENT:
            return False
        try:
            ask(name)
        except ObjectNotFoundError:
            return True
        except Exception as error:  # then the other one may tell
            trials.heard(error)
        else:
            trials.heard(None)
    return False


def _tidiness(trials: Trials, left: Sequence[str]) -> Finding:
    if not left:
        return Finding(
            step="tidied up", verdict="ok", message="All that was written for this was deleted again."
        )
    refused = trials.may.get("delete") is False
    return Finding(
        step="tidied up",
        verdict="not known" if refused else "not ok",
        message=f"What was written for this could not all be deleted: {shown(left)}.",
        advice="Delete it with credentials that may." if refused else "Delete it yourself, once it answers.",
    )


def _opened(destination: Destination | URLLike) -> Destination:
    if isinstance(destination, str | os.PathLike) or hasattr(destination, "storage_options"):
        url = cast("URLLike", destination)
        opened = open_destination(url)
        return open_destination(url, **_OPTIONS) if isinstance(opened, RemoteDestination) else opened
    return destination


def _recommendation(may: Mapping[str, bool]) -> str:
    if "write" not in may:
        return "Whether backups can be made with these credentials is not known."
    if not may["write"]:
        return "Backups cannot be made with these credentials."
    if may.get("delete") is False and may.get("overwrite") is False:
        return (
            "These credentials may neither delete nor replace: whoever breaks into this host cannot destroy the "
            "backups. Run `backupkit clean` from another one."
        )
    if may.get("delete") is False:
        return (
            "These credentials may not delete, but replace, which destroys as well: keep old versions of objects "
            "(versioning, object lock), and run `backupkit clean` from another host."
        )
    if may.get("delete"):
        return (
            "These credentials may delete: so may whoever breaks into this host. It is safer to give this host "
            "some that may list, read and write only, and to run `backupkit clean` from another one."
        )
    return "Whether these credentials may delete is not known."
