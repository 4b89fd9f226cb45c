"""What a worker has to be to make backups: checked and set when it starts."""

from __future__ import annotations

from typing import Any

from celery.bootsteps import Step
from celery.concurrency.prefork import TaskPool
from celery.utils.log import get_logger

from backupkit.errors import ConfigurationError
from backupkit.integrations.celery.broker import see_to_redelivery
from backupkit.integrations.celery.fleet import Fleet

_JSON = {"json", "application/json"}
_log = get_logger(__name__)


def step_for(fleet: Fleet) -> type[Any]:
    """The step of a worker's start that prepares it; what it raises keeps the worker from starting."""

    class BackupWorker(Step):  # type: ignore[misc]  # celery has no types
        def __init__(self, worker: Any, **options: Any) -> None:
            prepare(worker, fleet)
            super().__init__(worker, **options)

    return BackupWorker


def prepare(worker: Any, fleet: Fleet) -> None:
    """Check and set what backups need, or raise a ConfigurationError."""
    app = worker.app
    # Every worker of the broker delivers again what another one did not acknowledge, also one without backups.
    see_to_redelivery(app, fleet.longest)
    if fleet.queue not in app.amqp.queues.consume_from:
        return
    fleet.lock(app)
    _require_json(app)
    if not issubclass(worker.pool_cls, TaskPool):
        _log.warning(
            "This worker has no prefork pool: backups have no time limit in it and no limit of memory, and are not "
            "stopped by revoking them. Use --pool=prefork."
        )
    if worker.max_memory_per_child is None:
        worker.max_memory_per_child = fleet.memory_limit // 1024
    # Whoever has a backup under way must not keep the next one from a worker that is idle.
    worker.prefetch_multiplier = 1


def _require_json(app: Any) -> None:
    accepted = sorted(set(app.conf.accept_content) - _JSON)
    if accepted:
        raise ConfigurationError(
            f"accept_content allows {', '.join(accepted)}, by which whoever reaches the broker could run code "
            'where the passphrases are: set it to ["json"], or give backups a Celery application of their own.'
        )
    if app.conf.result_serializer != "json":
        raise ConfigurationError(
            f'result_serializer is {app.conf.result_serializer!r}: set it to "json", or give backups an '
            "application of their own."
        )
