"""`Page`: what all handlers of one `BackupManager` share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

import jinja2

from backupkit.history import DatabaseHistory
from backupkit.integrations.actions import Place
from backupkit.integrations.asgi.pages.shelves import Shelves
from backupkit.integrations.asgi.standing.looks import Looks
from backupkit.integrations.asgi.standing.unread import Unread
from backupkit.integrations.work import Queue
from backupkit.pipeline import BackupPipeline
from backupkit.scheduling import Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """`schedules` has only those pipelines that have one. `audit` is where it is kept who did what."""

    title: str
    pipelines: Mapping[str, BackupPipeline]
    schedules: Mapping[str, Schedule]
    looks: Looks
    shelves: Shelves
    queue: Queue
    places: Mapping[str, Place] = field(repr=False)  # URLs in it may hold passwords
    audit: DatabaseHistory
    unread: Unread
    zone: tzinfo
    clock: Callable[[], datetime]
    templates: jinja2.Environment

    def history_of(self, name: str) -> DatabaseHistory | None:
        """The history of this pipeline, if it is one that can be read."""
        history = self.pipelines[name].history
        return history if isinstance(history, DatabaseHistory) else None
