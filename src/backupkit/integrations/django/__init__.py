"""Django: the pipelines of `settings.BACKUPKIT`, `manage.py backup`, and system checks.

INSTALLED_APPS = [..., "backupkit.integrations.django"]
BACKUPKIT = {"name": "shop", "destinations": ["s3://shop-backups"], "encryptor": "${BACKUP_ARCHIVE_PASSWORD}"}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backupkit.pipeline import BackupPipeline
    from backupkit.scheduling import Schedule


def get_pipeline(name: str | None = None) -> BackupPipeline:
    """The pipeline of this name, or the only one; ConfigurationError tells which there are, or what is wrong."""
    from backupkit.integrations.django.configured import configured

    return configured().pipeline(name)


def pipelines() -> Mapping[str, BackupPipeline]:
    """All pipelines of `settings.BACKUPKIT`, by name, made when they are first asked for."""
    from backupkit.integrations.django.configured import configured

    return configured().pipelines


def schedules() -> Mapping[str, Schedule]:
    """The schedules of those pipelines that have one, by name."""
    from backupkit.integrations.django.configured import configured

    return configured().schedules
