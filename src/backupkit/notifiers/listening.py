"""What Apprise and urllib3 log while we send to anybody, taken away from the log and read.

Nobody else is told why something failed; and at DEBUG both write the addresses, which are secrets.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGERS = ("apprise", "urllib3.connectionpool", "urllib3.util.retry")


@contextmanager
def listening() -> Iterator[list[str]]:
    """The warnings and errors that this thread logs meanwhile; nothing that it logs there goes any further."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_listener)  # once, however often it is added
    with _listener.listening() as heard:
        yield heard


class _Listener(logging.Filter):
    """Takes what is logged by a thread that sends, and passes on what others log."""

    def __init__(self) -> None:
        super().__init__()
        self._heard = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        heard: list[str] | None = getattr(self._heard, "texts", None)
        if heard is None:
            return True
        if record.levelno >= logging.WARNING:
            heard.append(record.getMessage())
        return False

    @contextmanager
    def listening(self) -> Iterator[list[str]]:
        before = getattr(self._heard, "texts", None)
        heard: list[str] = []
        self._heard.texts = heard
        try:
            yield heard
        finally:
            self._heard.texts = before


_listener = _Listener()
