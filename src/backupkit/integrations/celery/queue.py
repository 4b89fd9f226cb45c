"""`CeleryQueue`: the work of the management page on the workers of an application."""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from celery import states
from celery.backends.base import DisabledBackend

from backupkit.errors import BackupKitError, ConfigurationError, told
from backupkit.integrations.actions import Action, action_from, plain_action, sentence
from backupkit.integrations.celery.asked import ACT, Asked, Said, asked_beside
from backupkit.integrations.celery.broker import fleet_lock
from backupkit.integrations.celery.deliveries import deliveries_beside
from backupkit.integrations.celery.fleet import Fleet
from backupkit.integrations.celery.tasks import refuse_password
from backupkit.integrations.work import Progress, Work, id_after, in_short, to_end
from backupkit.locking.database import DatabaseLock
from backupkit.locking.redis import RedisLock
from backupkit.plain_data import report_from

if TYPE_CHECKING:
    from celery import Celery

_ID = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)
_FRESH = 0.5  # seconds for which a page does not ask again for all of it
_PATIENCE = 3  # times as long as it took to fail, it is not asked again


class CeleryQueue:
    """Has workers do what is asked of a page; every process that serves it sees all of it.

        BackupManager(pipelines, authorize=…, queue=CeleryQueue(app))

    The application's workers have had `register`, with the same pipelines by the same names, and the same names of
    places. Its result backend tells how far a task is; what was asked, by whom, is kept for a day beside the lock
    of the fleet. `lock` and `queue` are those of `register`, which is asked if it was called in this process too.

    No server is asked here. ConfigurationError without a result backend that other processes can read.
    """

    def __init__(
        self, app: Celery, *, lock: RedisLock | DatabaseLock | None = None, queue: str | None = None
    ) -> None:
        if isinstance(app.backend, DisabledBackend) or str(app.conf.result_backend).startswith("rpc"):
            raise ConfigurationError(
                "This application has no result backend that every process can read, and nobody could follow what "
                'the workers do: set result_backend, for example to "redis://…".'
            )
        self._app = app
        self._given_lock, self._given_queue = lock, queue
        self._over: dict[str, Work] = {}  # which changes no more, in short
        self._asking = threading.Lock()
        self._lately = _Lately()

    def submit(self, pipeline: str, action: Action, who: str, *, after: str | None = None) -> str:
        refuse_password("at", action.at)
        id = str(uuid.uuid4()) if after is None else id_after(after)
        said = {
            "pipeline": pipeline,
            "action": plain_action(action),
            "who": who,
            "asked": datetime.now(UTC).isoformat(),
        }
        with self._reached():
            if not self._asked.ask(id, json.dumps(said)):
                return id
            try:
                self._app.send_task(
                    ACT,
                    task_id=id,
                    kwargs={"pipeline": pipeline, "action": said["action"]},
                    queue=self._queue,
                    serializer="json",
                    ignore_result=False,
                )
            except Exception:
                self._asked.forget(id)
                raise
        self._look_again()
        return id

    def get(self, id: str) -> Work | None:
        if _ID.fullmatch(id) is None:
            return None
        with self._reached():
            said = self._asked.get(id)
            return None if said is None else self._work(id, said)

    def recent(self) -> Sequence[Work]:
        with self._asking:
            if time.monotonic() >= self._lately.until:
                self._lately = self._asked_anew()
            lately = self._lately
        if lately.error is not None:
            raise BackupKitError(lately.error)
        return lately.works

    def ends(self, pipeline: str) -> object:
        try:
            works = self.recent()
        except BackupKitError:  # backups are shown all the same
            works = self._lately.works
        return max(
            (
                one.ended
                for one in works
                if one.ended is not None and one.pipeline == pipeline and not one.action.dry_run
            ),
            default=None,
        )

    def cancel(self, id: str, who: str | None = None) -> None:
        work = self.get(id)
        if work is None or work.is_over:
            return
        with self._reached():
            self._asked.note(id, cancelled=f"{who or 'somebody'} asked for that on the management page")
            if work.stage == "waiting":
                # A worker that starts later would not know of its being revoked.
                deliveries_beside(self._lock).end(id)
            self._app.control.revoke(id, terminate=True)
        self._look_again()

    def close(self) -> None:
        """What the workers do goes on."""

    @cached_property
    def _fleet(self) -> Fleet | None:
        return getattr(self._app.tasks.get(ACT), "fleet", None)

    @cached_property
    def _lock(self) -> RedisLock | DatabaseLock:
        if self._given_lock is None and self._fleet is not None:
            return self._fleet.lock(self._app)
        return fleet_lock(self._app, self._given_lock)

    @property
    def _queue(self) -> str:
        return self._given_queue or (self._fleet.queue if self._fleet is not None else "backups")

    @cached_property
    def _asked(self) -> Asked:
        return asked_beside(self._lock, self._queue)

    def _asked_anew(self) -> _Lately:
        began = time.monotonic()
        try:
            with self._reached():
                known = self._asked.all()
                works = [work for id, said in known.items() if (work := self._shortly(id, said)) is not None]
        except BackupKitError as error:
            # A server that hangs must not hold up each page for each of its pipelines.
            now = time.monotonic()
            return _Lately(now + max(_FRESH, _PATIENCE * (now - began)), self._lately.works, str(error))
        for id in [*self._over]:
            if id not in known:
                self._over.pop(id, None)
        return _Lately(began + _FRESH, works)

    def _look_again(self) -> None:
        self._lately = _Lately(works=self._lately.works)

    def _shortly(self, id: str, said: Said) -> Work | None:
        """The same with its report in short, which is kept when it is over."""
        if id in self._over:
            return self._over[id]
        work = self._work(id, said)
        return None if work is None else in_short(work)

    def _work(self, id: str, said: Said) -> Work | None:
        """How it stands; None for what no page has asked for."""
        try:
            asked = json.loads(said["asked"])
            work = Work(
                id=id,
                pipeline=asked["pipeline"],
                action=action_from(asked["action"]),
                who=asked["who"],
                asked=datetime.fromisoformat(asked["asked"]),
                stage="waiting",
            )
        except (BackupKitError, ValueError, KeyError, TypeError):
            return None
        meta = self._app.backend.get_task_meta(id)
        work = _as_it_stands(work, said, meta)
        # A task is revoked at once, and its report comes when it has ended.
        if work.is_over and (meta["status"] != states.REVOKED or work.report is not None):
            if id not in self._over:
                self._look_again()
            self._over[id] = in_short(work)
        return work

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except BackupKitError:
            raise
        except Exception as error:
            raise BackupKitError(f"The queue of backups could not be asked: {told(error)}.") from error


@dataclass(frozen=True, slots=True)
class _Lately:
    """What was told when all of it was asked for, or why nothing was; good enough `until` then."""

    until: float = float("-inf")
    works: Sequence[Work] = ()
    error: str | None = None


def _as_it_stands(work: Work, said: Said, meta: Mapping[str, Any]) -> Work:
    """The work with what the result backend says of its task."""
    state, result, cancelled = meta["status"], cast("Any", meta.get("result")), said.get("cancelled")
    began = datetime.fromisoformat(said["began"]) if "began" in said else None
    if state in (states.PENDING, states.RECEIVED, states.RETRY):
        if cancelled is not None:
            error = f"It was cancelled before it began, because {cancelled}."
            return replace(work, stage="ended", ended=_ended(meta, work), error=error)
        return replace(work, note=sentence(result) if state == states.RETRY else None)
    work = replace(work, began=began)
    if state not in states.READY_STATES:
        numbers = result if state == "PROGRESS" and isinstance(result, dict) else {}
        note = None if cancelled is None else to_end(cancelled)
        return replace(work, stage="working", progress=Progress(**numbers), note=note)
    ended = replace(work, stage="ended", ended=_ended(meta, work))
    try:
        if state == states.SUCCESS:
            report, folder = result["report"], result["folder"]
            return _reported(replace(ended, folder=folder), report)
        failed = json.loads(said["report"]) if "report" in said else None
        if state == states.REVOKED:
            why = cancelled or "its task was revoked, or its message was too old"
            return replace(_reported(ended, failed), error=f"It was cancelled, because {why}.")
        return replace(_reported(ended, failed), error=sentence(result))
    except (BackupKitError, TypeError, KeyError, ValueError, AttributeError):
        return replace(ended, error="How it ended cannot be read: the worker may be of another version.")


def _reported(work: Work, plain: Any) -> Work:
    return work if plain is None else replace(work, report=report_from(plain))


def _ended(meta: Mapping[str, Any], work: Work) -> datetime:
    done = meta.get("date_done")
    try:
        time = datetime.fromisoformat(done) if isinstance(done, str) else done
    except ValueError:
        time = None
    if not isinstance(time, datetime):
        return work.asked
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)
