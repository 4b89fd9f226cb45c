"""`WorkFiles`: the work of all processes of this machine, as files that each of them sees."""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

from backupkit.errors import BackupKitError, ConfigurationError
from backupkit.integrations.actions import action_from, plain_action
from backupkit.integrations.work import Progress, Work, in_short, to_end
from backupkit.locking.names import short_name
from backupkit.model import Problem
from backupkit.pipeline import BackupPipeline
from backupkit.plain_data import plain, report_from

_KEPT = 200  # that are over, the newest
_KEPT_FOR = 24 * 3600.0  # seconds
_ID = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)
_OURS = re.compile(r"[A-Za-z0-9_-]{16,64}\.(json|report|lock|cancel)|\.[0-9a-f]{16}", re.ASCII)
_LOST = (
    "The process that was to do this has ended before it could say how this ended. See what there is now, and ask "
    "for it again if it was not done."
)


class WorkFiles:
    """In this folder, which only its owner can enter, of each work, by its id:

    - `.json` is how it stands, replaced as a whole, with its report in short;
    - `.report` is that in full, as it may be large;
    - `.lock` is locked by the process that does it, or will. The kernel frees that when the process ends, in
      whatever way; what is not over then is lost;
    - `.cancel` says why it is to end.

    Of each pipeline, `.ended` is new whenever something of it has ended. What is over is removed after a day. Pages
    of other pipelines may use the same folder: each sees the work of its own, by their names and destinations.
    """

    def __init__(self, folder: str, pipelines: Mapping[str, BackupPipeline]) -> None:
        self._folder = folder
        self._identities = {
            name: short_name("\n".join([name, *(at.location for at in pipeline.destinations)]))
            for name, pipeline in pipelines.items()
        }
        self._held: dict[str, int] = {}  # descriptors of locks
        self._over: dict[str, Work] = {}  # which changes no more, in short

    def begin(self, work: Work) -> bool:
        """This process is to do it; False if it was begun before, by this or another one."""
        try:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            self._remove_old()
            return self._taken(work)
        except OSError as error:
            raise self._no_folder(error) from error

    def _no_folder(self, error: OSError) -> ConfigurationError:
        return ConfigurationError(
            f"What is asked of the page cannot be kept in {self._folder!r} ({error.strerror or error}): make that "
            "a folder that this user can write to, and that has room."
        )

    def _taken(self, work: Work) -> bool:
        """Whether nobody has begun it; then its lock is held, and it is written down."""
        descriptor = os.open(self._path(work.id, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        try:
            if not os.path.exists(self._path(work.id, "json")):
                self.write(work)
                self._held[work.id] = descriptor
                return True
            return False
        finally:
            if work.id not in self._held:
                self._remove(work.id, "lock")
                os.close(descriptor)

    def write(self, work: Work) -> None:
        if (report := work.report) is not None and in_short(work).report != report:
            self._replace(self._path(work.id, "report"), json.dumps(plain(report)))
        self._replace(self._path(work.id, "json"), json.dumps(self._plain(in_short(work))))

    def end(self, work: Work, *, changed: bool) -> None:
        """It is over; `changed` says that backups may be others now, or known better.

        If there is an OSError, it is not over for anybody yet.
        """
        if changed:
            self._replace(self._path(self._identities[work.pipeline], "ended"), "")
        self.write(work)
        self.let_go(work.id)

    def let_go(self, id: str) -> None:
        """This process does not do it any more: if it is not over, it is lost."""
        self._remove(id, "lock", "cancel")
        os.close(self._held.pop(id))

    def leave(self) -> None:
        """In a process that was forked: what its parent does is not its work."""
        for descriptor in self._held.values():
            os.close(descriptor)
        self._held.clear()

    def get(self, id: str) -> Work | None:
        work = self._known(id)
        if work is None or work.report is None:
            return work
        try:
            with open(self._path(id, "report"), "rb") as file:
                return replace(work, report=report_from(json.loads(file.read())))
        except (OSError, BackupKitError, ValueError):  # there is no more of it
            return work

    def _known(self, id: str) -> Work | None:
        """With its report in short, and if it is to end, with that as what is going on."""
        if _ID.fullmatch(id) is None:
            return None
        if id in self._over and os.path.exists(self._path(id, "json")):
            return self._over[id]
        work = self._read(id)
        if work is not None and not work.is_over and not self._is_held(id):
            work = self._read(id)  # it may just have ended
            if work is not None and not work.is_over:
                work = self._lost(work)
        if work is not None and work.is_over:
            self._over[id] = work
        elif work is not None and (because := self.asked_to_cancel(id)) is not None:
            work = replace(work, note=to_end(because))
        return work

    def all(self) -> Sequence[Work]:
        """The newest first, with their reports in short."""
        ids = {*self._ids()}
        for id in [*self._over]:
            if id not in ids:
                self._over.pop(id, None)
        found = [one for one in map(self._known, ids) if one is not None]
        return sorted(found, key=lambda one: (one.asked, one.id), reverse=True)

    def ends(self, pipeline: str) -> object:
        try:
            status = os.stat(self._path(self._identities[pipeline], "ended"))
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino

    def ask_to_cancel(self, id: str, because: str) -> None:
        """Whoever does it looks for this; `id` is one that `get` knows."""
        try:
            self._replace(self._path(id, "cancel"), because)
        except OSError as error:
            raise self._no_folder(error) from error

    def asked_to_cancel(self, id: str) -> str | None:
        """Why it is to end, if somebody wants that."""
        try:
            with open(self._path(id, "cancel"), encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return None

    def _is_held(self, id: str) -> bool:
        if id in self._held:
            return True
        try:
            descriptor = os.open(self._path(id, "lock"), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _lost(self, work: Work) -> Work:
        lost = replace(work, stage="lost", error=_LOST, note=None)
        with suppress(OSError):
            self._replace(
                self._path(self._identities[work.pipeline], "ended"), ""
            )  # it may have left something before
            self.write(lost)
            self._remove(work.id, "lock", "cancel")
        return lost

    def _read(self, id: str) -> Work | None:
        """None for what is gone, or of another page, and for what no page has written."""
        try:
            with open(self._path(id, "json"), "rb") as file:
                data = json.loads(file.read())
            if data["identity"] != self._identities.get(data["pipeline"]):
                return None
            return _work_from(id, data)
        except (OSError, BackupKitError, TypeError, ValueError, KeyError, AttributeError):
            return None

    def _plain(self, work: Work) -> Mapping[str, Any]:
        return {
            **{one.name: plain(getattr(work, one.name)) for one in fields(work)},
            "action": plain_action(work.action),
            "identity": self._identities[work.pipeline],
        }

    def _ids(self) -> Iterator[str]:
        try:
            names = os.listdir(self._folder)
        except OSError:
            return
        for name in names:
            id, _, kind = name.rpartition(".")
            if kind == "json" and _ID.fullmatch(id):
                yield id

    def _remove_old(self) -> None:
        """What has been over for long, or is too much, and what processes that were killed have left."""
        oldest = time.time() - _KEPT_FOR
        over = [one.id for one in self.all() if one.is_over]
        too_many = {*over[_KEPT:]}
        ended = {*over}  # some of which may be held for a moment yet
        for name in os.listdir(self._folder):
            path = os.path.join(self._folder, name)
            id, _, kind = name.rpartition(".")
            with suppress(FileNotFoundError):
                is_old = id in too_many or os.stat(path).st_mtime < oldest
                is_free = id in ended or not self._is_held(id)
                if is_old and kind != "ended" and is_free and _is_ours(path):
                    os.unlink(path)

    def _remove(self, id: str, *kinds: str) -> None:
        for kind in kinds:
            with suppress(OSError):
                os.unlink(self._path(id, kind))

    def _path(self, id: str, kind: str) -> str:
        return os.path.join(self._folder, f"{id}.{kind}")

    def _replace(self, path: str, text: str) -> None:
        temporary = os.path.join(self._folder, f".{secrets.token_hex(8)}")
        try:
            with open(
                temporary, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)
            ) as file:
                file.write(text)
            os.replace(temporary, path)
        except OSError:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            raise


def _is_ours(path: str) -> bool:
    """Whether a page has written it: a folder that somebody has named can hold other things."""
    if not _OURS.fullmatch(os.path.basename(path)):
        return False
    if not path.endswith(".json"):
        return True
    with open(path, "rb") as file:
        return b'"identity"' in file.read()


def _work_from(id: str, data: Mapping[str, Any]) -> Work:
    return Work(
        id=id,
        pipeline=str(data["pipeline"]),
        action=action_from(data["action"]),
        who=str(data["who"]),
        asked=datetime.fromisoformat(data["asked"]),
        stage=data["stage"],
        progress=Progress(**data["progress"]),
        began=_time(data["began"]),
        ended=_time(data["ended"]),
        report=None if data["report"] is None else report_from(data["report"]),
        error=data["error"],
        folder=data["folder"],
        note=data["note"],
        problems=tuple(Problem(**one) for one in data["problems"]),
    )


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
