"""`Unread`: how many notifications nobody has read, which every page says."""

from __future__ import annotations

import time
from collections.abc import Sequence

from backupkit.integrations.asgi.asked import Asked, Turns
from backupkit.notifiers.database import DatabaseNotifier

_PERIOD = 5.0  # seconds
_PATIENCE = 0.5


class Unread:
    """Counted at most once in some seconds. A database that is slow or away holds no page up."""

    def __init__(self, notifiers: Sequence[DatabaseNotifier]) -> None:
        self._asked = Asked(
            "backupkit-unread",
            lambda: sum(one.count(unread=True) for one in notifiers),
            period=_PERIOD,
            patience=_PATIENCE,
            turns=Turns(1, 0.0),
        )

    def count(self) -> int:
        """As many as there were when it was counted last; 0 as long as that is not known."""
        self._asked.begin()
        return self._asked.answer(time.monotonic() + _PATIENCE).value or 0

    def forget(self) -> None:
        """Some were read, or others came: the next page counts anew."""
        self._asked.forget()
