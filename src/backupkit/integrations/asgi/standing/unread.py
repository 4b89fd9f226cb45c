"""`Unread`: how many notifications nobody has read, which every page says."""

from __future__ import annotations

import time
from collections.abc import Mapping

from backupkit.integrations.asgi.standing.asked import Asked, Turns
from backupkit.integrations.asgi.standing.records import notifications
from backupkit.pipeline import BackupPipeline

_PERIOD = 5.0  # seconds
_PATIENCE = 0.5


class Unread:
    """Of these pipelines; counted at most once in some seconds. A slow database holds no page up."""

    def __init__(self, pipelines: Mapping[str, BackupPipeline]) -> None:
        ledgers = notifications(pipelines)
        self._asked = Asked(
            "backupkit-unread",
            lambda: sum(one.database.count(name=[*one.names], unread=True) for one in ledgers),
            period=_PERIOD,
            patience=_PATIENCE,
            turns=Turns(1, _PATIENCE),
        )

    def count(self) -> int:
        """As many as there were when they were counted last; 0 as long as that is not known."""
        self._asked.begin()
        return self._asked.answer(time.monotonic() + _PATIENCE).value or 0

    def forget(self) -> None:
        """Some were read: the next page counts anew."""
        self._asked.forget()
