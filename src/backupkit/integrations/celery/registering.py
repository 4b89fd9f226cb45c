"""`register`: the tasks of an application's backups."""

from __future__ import annotations

import os
from collections import ChainMap
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from celery.signals import task_revoked

from backupkit.errors import ConfigurationError
from backupkit.integrations.actions import Place
from backupkit.integrations.celery.asked import ACT
from backupkit.integrations.celery.beat import TASKS, Entries, Schedules
from backupkit.integrations.celery.fleet import Fleet
from backupkit.integrations.celery.tasks import ActionTask, JobTask
from backupkit.integrations.celery.worker import step_for
from backupkit.integrations.pipelines import Given, Pipelines
from backupkit.locking.database import DatabaseLock
from backupkit.locking.redis import RedisLock
from backupkit.model import Contents
from backupkit.scheduling import Verb
from backupkit.sizes import parse_size

if TYPE_CHECKING:
    from celery import Celery

_MEMORY_LIMIT = "512MB"
_registered: WeakSet[Any] = WeakSet()


def register(
    app: Celery,
    pipelines: Given | Callable[[], Given],
    *,
    queue: str = "backups",
    schedule: Schedules | Callable[[], Schedules] | None = None,
    lock: RedisLock | DatabaseLock | None = None,
    limits: Mapping[str, int] | None = None,
    time_limit: timedelta = timedelta(hours=1),
    memory_limit: int | str | None = None,
    try_again: timedelta = timedelta(minutes=1),
    give_up_after: timedelta = timedelta(hours=6),
    places: Mapping[str, Place] | None = None,
    scratch: str | os.PathLike[str] | None = None,
) -> None:
    """Give the application the tasks `backupkit.run`, `.clean`, `.monitor`, `.verify`, `.drill` and `.report`.

    Their arguments are `pipeline` (which may be left out if there is one only), `only`, `to` and `notify`, and
    their result is the report as plain data. `pipelines` may be a callable, which is asked in the worker by the
    first task that needs one. `schedule`, one for all pipelines or one for each name, is what `celery beat` sends.

    One run of a pipeline happens at a time in the whole fleet, by `lock`, or else by the Redis that is the broker;
    `limits` says how many may use a destination or a host at once (see `Limits`). A run that is not next is tried
    again after `try_again`, up to twice that, and fails if it was not next for as long as `give_up_after`.

    `backupkit.act` does what a page asks for by `CeleryQueue`. Restores go to a new folder in `scratch` (by default
    the folder for temporary files), or to one of the `places` by its name; what they are never leaves the workers.

    After `time_limit` an operation is cancelled, and its process killed if that takes more than a few minutes. A
    process that needed more than `memory_limit` (by default what the variable BACKUPKIT_MEMORY_LIMIT says, or
    512MB) is replaced after its task. No server is asked here. ConfigurationError for what is not possible.
    """
    if app in _registered:
        raise ConfigurationError("This application has its backups already: register all pipelines at once.")
    if memory_limit is None:
        memory_limit = os.environ.get("BACKUPKIT_MEMORY_LIMIT") or _MEMORY_LIMIT
    fleet = Fleet(
        pipelines=Pipelines(pipelines),
        queue=queue,
        given_lock=lock,
        given_limits=dict(limits or {}),
        time_limit=time_limit,
        memory_limit=parse_size(memory_limit),
        try_again=try_again,
        give_up_after=give_up_after,
        places=dict(places or {}),
        scratch=scratch,
    )
    for verb in TASKS:
        _add_task(app, verb, fleet)
    _add_action_task(app, fleet)
    app.steps["worker"].add(step_for(fleet))
    task_revoked.connect(_never_again(fleet), weak=False)
    if schedule is not None:
        _add_entries(app, Entries(fleet.pipelines, schedule, queue))
    _registered.add(app)


def _add_task(app: Celery, verb: Verb, fleet: Fleet) -> None:
    @app.task(base=JobTask, name=TASKS[verb], verb=verb, **_options(fleet))  # type: ignore[untyped-decorator]
    def task(
        self: JobTask,
        pipeline: str | None = None,
        only: Contents | None = None,
        to: str | None = None,
        notify: bool = True,
    ) -> Any:
        return self.do(pipeline, only, to, notify)


def _add_action_task(app: Celery, fleet: Fleet) -> None:
    # Whatever the application says of other results: a page follows it by its own.
    @app.task(base=ActionTask, name=ACT, ignore_result=False, **_options(fleet))  # type: ignore[untyped-decorator]
    def task(self: ActionTask, pipeline: str, action: Any) -> Any:
        return self.do(pipeline, action)


def _options(fleet: Fleet) -> dict[str, Any]:
    return {
        "bind": True,
        "shared": False,
        "fleet": fleet,
        "soft_time_limit": fleet.soft_limit,
        "time_limit": fleet.hard_limit,
    }


def _never_again(fleet: Fleet) -> Callable[..., None]:
    """What a worker does when it revokes a task of these: workers that begin later would not know of it."""

    def revoked(sender: Any = None, request: Any = None, **more: Any) -> None:
        if getattr(sender, "fleet", None) is fleet:
            fleet.deliveries(sender.app).end(request.id)

    return revoked


def _add_entries(app: Celery, entries: Entries) -> None:
    def add(sender: Celery, **more: Any) -> None:
        sender.conf.beat_schedule = ChainMap(dict(sender.conf.beat_schedule or {}), entries)  # type: ignore[arg-type]

    if app.finalized:
        add(app)
    else:
        # What the application says until then is kept.
        app.on_after_finalize.connect(add, weak=False)
