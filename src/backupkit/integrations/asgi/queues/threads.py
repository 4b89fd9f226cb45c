"""`ThreadQueue`: work on threads of this process, seen and cancelled from every process of this machine."""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from backupkit._operation import Cancel, utc_now
from backupkit.errors import ConfigurationError
from backupkit.events import Event, ProblemFound, Waiting
from backupkit.integrations.actions import Action, Place, act, sentence
from backupkit.integrations.asgi.queues.files import WorkFiles
from backupkit.integrations.progress import Numbers
from backupkit.integrations.work import Progress, Work, id_after
from backupkit.pipeline import BackupPipeline
from backupkit.state_folder import state_folder

_OFTEN = 0.5  # seconds between two times that progress is written down
_HEARD_WITHIN = 0.2  # seconds until another process's wish to cancel is heard
_SHOWN = 20  # problems while it is under way
# The earlier one of both: afterwards no operation could use threads any more, not even to end cleanly.
_at_exit: Callable[[Callable[[], None]], object] = getattr(threading, "_register_atexit", atexit.register)
_log = logging.getLogger("backupkit")


class ThreadQueue:
    """Does work on threads: at most `at_once` under way in this process, and one after another of each pipeline.

    Pins wait for nobody but each other. How everything stands is kept in `folder`, by default in the folder where
    the processes of this user leave each other things: all that serve a page of the same pipelines share it, and
    after a restart it tells what was lost. Threads are started when there is work, by the process that is asked.
    ConfigurationError where there is no such folder.
    """

    _mine: dict[str, _Mine]
    _listener: threading.Thread | None

    def __init__(
        self,
        pipelines: Mapping[str, BackupPipeline],
        *,
        places: Mapping[str, Place] | None = None,
        scratch: str | os.PathLike[str] | None = None,
        folder: str | os.PathLike[str] | None = None,
        at_once: int = 2,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        if at_once < 1:
            raise ConfigurationError(f"at_once={at_once!r} is not possible: use 1 or more.")
        self._pipelines, self._places, self._scratch = pipelines, places, scratch
        self._at_once, self._clock = at_once, clock
        self._files = WorkFiles(
            os.path.join(state_folder(), "operations") if folder is None else os.fspath(folder), pipelines
        )
        self._closed = False
        self._begin_in_this_process()
        # Neither may keep a queue that nobody else has.
        mine = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _if_there(mine, ThreadQueue._leave_to_parent))
        _at_exit(lambda: _if_there(mine, ThreadQueue.close))

    def submit(self, pipeline: str, action: Action, who: str, *, after: str | None = None) -> str:
        if pipeline not in self._pipelines:
            raise ConfigurationError(f"There is no pipeline {pipeline!r} here.")
        asked = Work(
            id=secrets.token_urlsafe(18) if after is None else id_after(after),
            pipeline=pipeline,
            action=action,
            who=who,
            asked=self._clock(),
            stage="waiting",
        )
        with self._lock:
            if self._closed:
                raise ConfigurationError("This page is being shut down: ask again when it is there again.")
            if not self._files.begin(asked):
                return asked.id
            self._mine[asked.id] = _Mine(asked)
            self._start_what_is_next()
            if self._listener is None:
                self._listener = threading.Thread(target=self._listen, name="backupkit-cancel", daemon=True)
                self._listener.start()
        return asked.id

    def get(self, id: str) -> Work | None:
        return self._files.get(id)

    def recent(self) -> Sequence[Work]:
        return self._files.all()

    def ends(self, pipeline: str) -> object:
        return self._files.ends(pipeline)

    def cancel(self, id: str, who: str | None = None) -> None:
        because = f"{who or 'somebody'} asked for that on the management page"
        self._cancelled(id, because)
        work = self._files.get(id)
        if work is not None and not work.is_over:  # whoever does it hears of it, and all see it
            self._files.ask_to_cancel(id, because)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            mine = [*self._mine]
            threads = [one.thread for one in self._mine.values() if one.thread is not None]
        for id in mine:
            self._cancelled(id, "the page was shut down")
        for thread in threads:
            thread.join()

    def _begin_in_this_process(self) -> None:
        self._lock = threading.RLock()
        self._mine = {}
        self._listener = None

    def _leave_to_parent(self) -> None:
        self._files.leave()
        self._begin_in_this_process()

    def _start_what_is_next(self) -> None:
        under_way = [one for one in self._mine.values() if one.thread is not None]
        busy = {one.lane for one in under_way}
        free = self._at_once - sum(not one.is_quick for one in under_way)
        for one in self._mine.values():
            if one.thread is None and one.lane not in busy and (one.is_quick or free > 0):
                busy.add(one.lane)
                free -= not one.is_quick
                name = f"backupkit-{one.work.action.verb}-{one.work.pipeline}"
                one.thread = threading.Thread(target=self._do, args=(one,), name=name, daemon=True)
                one.thread.start()

    def _do(self, mine: _Mine) -> None:
        mine.work = replace(mine.work, stage="working", began=self._clock())
        follow = _Following(mine, self._files)
        follow.write()
        try:
            pipeline = copy(self._pipelines[mine.work.pipeline])
            pipeline.observers = (*pipeline.observers, Numbers(follow.numbers, every=_OFTEN), follow)
            done = act(
                pipeline,
                mine.work.action,
                places=self._places,
                scratch=self._scratch,
                cancel=mine.cancel,
            )
            ended = replace(mine.work, report=done.report, folder=done.folder)
        except Exception as error:
            ended = replace(mine.work, report=getattr(error, "report", None), error=sentence(error))
        self._end(ended, patiently=True)

    def _end(self, work: Work, *, patiently: bool = False) -> None:
        """Write down how it ended; `patiently`, until there is room for that, or this queue is closed."""
        ended = replace(work, stage="ended", ended=self._clock(), note=None, problems=())
        told = False
        while True:
            try:
                self._files.end(ended, changed=not work.action.dry_run)
                break
            except OSError as error:
                if not told:
                    told = True
                    what = work.action.verb, work.pipeline
                    _log.error("How %s of %s ended cannot be written down: %s", *what, error)
                if self._closed or not patiently:
                    self._files.let_go(work.id)  # it counts as lost for whoever looks
                    break
            time.sleep(_HEARD_WITHIN)
        with self._lock:
            self._mine.pop(work.id, None)
            if not self._closed:
                self._start_what_is_next()

    def _listen(self) -> None:
        """Hear what other processes wish, as long as there is work here."""
        while True:
            time.sleep(_HEARD_WITHIN)
            with self._lock:
                if not self._mine:
                    self._listener = None
                    return
                mine = [*self._mine]
            for id in mine:
                because = self._files.asked_to_cancel(id)
                if because is not None:
                    self._cancelled(id, because)

    def _cancelled(self, id: str, because: str) -> None:
        """Cancel it, if it is to be done here."""
        with self._lock:
            mine = self._mine.get(id)
            if mine is None:
                return
            if mine.thread is None:
                del self._mine[id]
                error = f"It was cancelled before it began, because {because}."
                self._end(replace(mine.work, error=error))
            elif not mine.cancel.is_set():
                mine.cancel.because = because
                mine.cancel.set()


@dataclass(slots=True)
class _Mine:
    """Work of this process; it has a thread when its turn has come."""

    work: Work
    cancel: Cancel = field(default_factory=Cancel)
    thread: threading.Thread | None = None

    @property
    def is_quick(self) -> bool:
        return self.work.action.verb in ("pin", "unpin")

    @property
    def lane(self) -> object:
        return self.work.pipeline, self.is_quick


class _Following:
    """An observer that writes down what is going on."""

    def __init__(self, mine: _Mine, files: WorkFiles) -> None:
        self._mine, self._files = mine, files

    def numbers(self, numbers: Mapping[str, Any]) -> None:
        self.write(progress=Progress(**numbers), note=None)

    def __call__(self, event: Event) -> None:
        match event:
            case Waiting(seconds, reason):
                self.write(note=f"It is tried again in {seconds:.0f} s: {reason}")
            case ProblemFound(problem) if len(self._mine.work.problems) < _SHOWN:
                self.write(problems=(*self._mine.work.problems, problem))

    def write(self, **changed: Any) -> None:
        self._mine.work = replace(self._mine.work, **changed)
        with suppress(OSError):  # a backup is worth more than to see how far it is
            self._files.write(self._mine.work)


def _if_there(queue: weakref.ref[ThreadQueue], do: Callable[[ThreadQueue], None]) -> None:
    found = queue()
    if found is not None:
        do(found)
