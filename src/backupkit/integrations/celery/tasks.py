"""The tasks: each does one job with one pipeline, once, whatever happens to its worker and its message."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NoReturn
from urllib.parse import urlsplit

from celery import Task
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from celery.states import READY_STATES
from celery.utils.log import get_task_logger

from backupkit.errors import BackupKitError, ConfigurationError, OperationCancelledError, told
from backupkit.integrations.actions import Action, Done, act, action_from
from backupkit.integrations.celery.fleet import Fleet
from backupkit.integrations.celery.outcomes import result_of, sendable
from backupkit.integrations.celery.stopping import Stop, stoppable
from backupkit.integrations.celery.turns import NotNowError, Refusing, turn
from backupkit.integrations.progress import Numbers
from backupkit.model import Contents, Report, Summary
from backupkit.scheduling import Job, Verb, perform

_SINCE = "backupkit_since"  # the header that tells since when a run is put off
_ATTEMPTS = 3  # of a task whose worker dies each time
_log = get_task_logger(__name__)


def job_of(verb: Verb, *, only: Contents | None = None, to: str | None = None, notify: bool = True) -> Job:
    """The job that the arguments mean; ConfigurationError if they are not possible, or hold a password."""
    refuse_password("to", to)
    return Job(verb, only=only, to=to, notify=notify)


def refuse_password(option: str, location: object) -> None:
    """ConfigurationError for the location of a destination that holds one."""
    if isinstance(location, str) and "@" in location and urlsplit(location).password is not None:
        raise ConfigurationError(
            f"{option}= holds a password, which everybody could read in the queue: name the destination without "
            "it, as reports do."
        )


class BackupTask(Task):  # type: ignore[misc]  # celery has no types
    """What the tasks have in common; `fleet` is set on each."""

    abstract = True
    fleet: Fleet

    # Whatever the application says of its other tasks.
    acks_late = True
    acks_on_failure_or_timeout = acks_on_failure = acks_on_timeout = True
    reject_on_worker_lost = True
    retry_on_worker_lost = False
    max_retries = None
    serializer = "json"
    track_started = True
    store_errors_even_if_ignored = False

    def apply_async(self, args: Any = None, kwargs: Any = None, *rest: Any, **options: Any) -> Any:
        """Refuse at once what would only fail in the worker, or would outlive what the broker waits for."""
        self.check_arguments(*(args or ()), **(kwargs or {}))
        for option in ("soft_time_limit", "time_limit"):
            if (options.get(option) or 0) > getattr(self, option):
                raise ConfigurationError(
                    f"{option}={options[option]} is more than that of all backups, {getattr(self, option)}: give "
                    "register() a longer time_limit=."
                )
        if options.keys().isdisjoint(("queue", "exchange", "routing_key")):
            options["queue"] = self.fleet.queue
        return super().apply_async(args, kwargs, *rest, **options)

    def check_arguments(self, *arguments: Any, **options: Any) -> Job | Action:
        """What the arguments of the task mean; ConfigurationError if they are not possible."""
        raise NotImplementedError

    def do(self, pipeline: str | None, *arguments: Any) -> Any:
        """Do what they mean, unless a message of this task did it before; return the report as plain data."""
        number = self._known(lambda task: self.fleet.deliveries(self.app).begin(task), 1)
        # Its worker may have died between the result and the note of it.
        if number == 0 or (number > 1 and self._known(self.backend.get_state, "") in READY_STATES):
            raise Ignore("It has ended already: its message was delivered again.")
        with stoppable() as stop:
            try:
                ended = self._perform(stop, number, pipeline, self.check_arguments(pipeline, *arguments))
            except Exception as error:
                self._failed(error)
                if stop.reason == "told" or isinstance(error, NotNowError):
                    self._put_off()
                if isinstance(error, NotNowError) and stop.reason != "told":
                    self._again(error)
                if stop.reason == "time" and isinstance(error, OperationCancelledError):
                    raise SoftTimeLimitExceeded(
                        f"{self.name} took longer than it may, {self._soft_limit} seconds, and was stopped; "
                        "nothing was left behind."
                    ) from None
                # Its own frames are worth keeping, and those of its causes may show secrets.
                raise sendable(error).with_traceback(error.__traceback__) from None
            result = result_of(ended)
            if stop.reason == "told":  # too late for stopping it
                self.backend.mark_as_done(
                    self.request.id, result, self.request, store_result=not self.request.ignore_result
                )
                self._end(self.request.id)
        return result

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        self._end(task_id)

    def on_failure(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        self._end(task_id)

    def _begins(self) -> None:
        """Its turn has come."""

    def _failed(self, error: Exception) -> None:
        """Before it is told by its text alone."""

    def _perform(
        self, stop: Stop, number: int, name: str | None, wanted: Job | Action
    ) -> Report | Summary | Done:
        fleet = self.fleet
        pipeline = fleet.pipelines.named(name)
        waited = time.time() - self._since()
        last = not self._is_queued or waited >= fleet.give_up_after.total_seconds()
        lock, limits = fleet.lock(self.app), fleet.limits(self.app)
        job = wanted if isinstance(wanted, Job) else _run_of(wanted)
        with turn(pipeline, job, lock=lock, limits=limits, last=last) as mine:
            self._begins()
            if number > _ATTEMPTS:
                died = BackupKitError(
                    f"{job or wanted.verb} of {pipeline.name} was begun {_ATTEMPTS} times, and its worker died "
                    "each time: see the log of the worker and of its machine, which may lack memory."
                )
                if wanted.verb != "run":
                    raise died
                mine.lock = Refusing(died)  # so that people are told
            if self._is_queued and not self.request.ignore_result:
                mine.observers = (*mine.observers, Numbers(self._progress(stop)))
            if isinstance(wanted, Job):
                return perform(mine, wanted, cancel=stop.cancel)
            return act(mine, wanted, places=fleet.places, scratch=fleet.scratch, cancel=stop.cancel)

    def _progress(self, stop: Stop) -> Callable[[dict[str, Any]], None]:
        task = self.request.id

        def hand_on(numbers: dict[str, Any]) -> None:
            if stop.reason is None:  # what stopped it may have set the state already
                self.update_state(task_id=task, state="PROGRESS", meta=numbers)

        return hand_on

    def _again(self, error: NotNowError) -> NoReturn:
        """Send it again, to be delivered later: the same task, whose state says what it waits for."""
        headers = {**(self.request.headers or {}), _SINCE: self._since()}
        reason = sendable(error.reason)
        try:
            # What has begun to wait does so until it gives up, however stale its message is then.
            raise self.retry(
                exc=reason, countdown=self.fleet.pause(), headers=headers, expires=None, throw=False
            ) from None
        except Reject:  # it could not be sent
            raise Reject(str(reason), requeue=True) from None

    def _since(self) -> int:
        return int(self.request.get(_SINCE) or time.time())

    @property
    def _soft_limit(self) -> int:
        """That of the message, if it has one."""
        _, soft = self.request.timelimit or (None, None)
        return int(soft or self.soft_time_limit)

    @property
    def _is_queued(self) -> bool:
        return not (self.request.called_directly or self.request.is_eager)

    def _put_off(self) -> None:
        self._known(lambda task: self.fleet.deliveries(self.app).put_off(task), None)

    def _end(self, task: str) -> None:
        """Note that it has ended, when its result is where everybody can find it."""
        if not self.request.is_eager:
            self._noted(lambda: self.fleet.deliveries(self.app).end(task), None)

    def _known(self, ask: Callable[[str], Any], otherwise: Any) -> Any:
        """What is known of this task; if it cannot be asked, a backup too many is better than none."""
        return self._noted(lambda: ask(self.request.id), otherwise) if self._is_queued else otherwise

    def _noted(self, ask: Callable[[], Any], otherwise: Any) -> Any:
        try:
            return ask()
        except Exception as error:
            _log.warning("It is not known whether this task ended before (%s).", told(error))
            return otherwise


class JobTask(BackupTask):
    """Does one job: `verb` is set on each task."""

    abstract = True
    verb: Verb

    def check_arguments(
        self,
        pipeline: str | None = None,
        only: Contents | None = None,
        to: str | None = None,
        notify: bool = True,
    ) -> Job:
        return job_of(self.verb, only=only, to=to, notify=notify)


class ActionTask(BackupTask):
    """Does what a person has asked for; see `Action`."""

    abstract = True

    def check_arguments(self, pipeline: str, action: Any) -> Action:
        wanted = action_from(action)
        refuse_password("at", wanted.at)
        return wanted

    def _begins(self) -> None:
        self._note(began=datetime.now(UTC).isoformat())

    def _failed(self, error: Exception) -> None:
        """Keep the report: errors do not bring it through JSON."""
        report = getattr(error, "report", None)
        if isinstance(report, Report):
            self._note(report=json.dumps(result_of(report)))

    def _note(self, **said: str) -> None:
        if self._is_queued:
            self._noted(lambda: self.fleet.asked(self.app).note(self.request.id, **said), None)


def _run_of(action: Action) -> Job | None:
    return Job("run", only=action.only, to=action.at) if action.verb == "run" else None
