"""Celery: backups as tasks of an application's own queue, on one machine or a fleet. Import it where it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

try:
    import celery as _celery  # noqa: F401
    import redis as _redis  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"backupkit.integrations.celery needs {error.name}: pip install 'backupkit[celery]'", name=error.name
    ) from error

from backupkit.integrations.celery.registering import register

if TYPE_CHECKING:
    from backupkit.integrations.celery.queue import CeleryQueue

__all__ = ["CeleryQueue", "register"]


def __getattr__(name: str) -> Any:
    """`CeleryQueue` belongs to the management page, which workers do not need, nor what that needs."""
    if name == "CeleryQueue":
        from backupkit.integrations.celery.queue import CeleryQueue

        return CeleryQueue
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
