"""Celery: backups as tasks of an application's own queue, on one machine or a fleet. Import it where it is used."""

from __future__ import annotations

try:
    import celery as _celery  # noqa: F401
    import redis as _redis  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"backupkit.integrations.celery needs {error.name}: pip install 'backupkit[celery]'", name=error.name
    ) from error

from backupkit.integrations.celery.registering import register

__all__ = ["register"]
