"""`ThreadQueue`: work on threads of this process."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from backupkit.errors import told
from backupkit.integrations.actions import Action, Place, act
from backupkit.integrations.asgi.work import Work
from backupkit.pipeline import BackupPipeline


class ThreadQueue:
    """For now: known to this process only."""

    def __init__(
        self,
        pipelines: Mapping[str, BackupPipeline],
        *,
        places: Mapping[str, Place],
        scratch: str | None,
        changed: Callable[[str], None],
        clock: Callable[[], datetime],
    ) -> None:
        self._pipelines, self._places, self._scratch = pipelines, places, scratch
        self._changed, self._clock = changed, clock
        self._works: dict[str, Work] = {}
        self._cancels: dict[str, threading.Event] = {}
        self._threads: list[threading.Thread] = []

    def submit(self, pipeline: str, action: Action, who: str) -> str:
        id_ = secrets.token_urlsafe(12)
        self._works[id_] = Work(
            id=id_, pipeline=pipeline, action=action, who=who, asked=self._clock(), stage="waiting"
        )
        self._cancels[id_] = threading.Event()
        thread = threading.Thread(target=self._do, args=(id_,), daemon=True)
        self._threads.append(thread)
        thread.start()
        return id_

    def _do(self, id_: str) -> None:
        work = self._works[id_] = replace(self._works[id_], stage="working", began=self._clock())
        try:
            done = act(
                self._pipelines[work.pipeline],
                work.action,
                places=self._places,
                scratch=self._scratch,
                cancel=self._cancels[id_],
            )
            work = replace(work, report=done.report, folder=done.folder)
        except Exception as error:
            work = replace(work, report=getattr(error, "report", None), error=told(error))
        self._changed(work.pipeline)
        self._works[id_] = replace(work, stage="ended", ended=self._clock())

    def get(self, id: str) -> Work | None:
        return self._works.get(id)

    def recent(self) -> Sequence[Work]:
        return sorted(self._works.values(), key=lambda one: one.asked, reverse=True)

    def cancel(self, id: str) -> None:
        if id in self._cancels:
            self._cancels[id].set()

    def close(self) -> None:
        for one in self._cancels.values():
            one.set()
        for thread in self._threads:
            thread.join()
