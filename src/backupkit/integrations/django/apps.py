"""What Django is told when it starts: the checks, and that settings which tests override are read anew.

What only backups need is imported when it is needed: every command and every worker of a site starts here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, register
from django.core.signals import setting_changed


class BackupKit(AppConfig):
    """The application "backupkit": it has no models."""

    name = "backupkit.integrations.django"
    label = "backupkit"
    verbose_name = "Backups"

    def ready(self) -> None:
        register(_everywhere, "backupkit")
        register(_before_deployment, "backupkit", deploy=True)
        setting_changed.connect(_read_anew)


def _everywhere(app_configs: object, **_: Any) -> Sequence[CheckMessage]:
    from backupkit.integrations.django.checks import everywhere

    return everywhere()


def _before_deployment(app_configs: object, **_: Any) -> Sequence[CheckMessage]:
    from backupkit.integrations.django.checks import before_deployment

    return before_deployment()


def _read_anew(*, setting: str, **_: Any) -> None:
    from backupkit.integrations.django.configured import READ, configured

    if setting in READ:
        configured.cache_clear()
