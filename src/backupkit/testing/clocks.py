"""`FrozenClock`: time that passes only when a test says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from backupkit.errors import ConfigurationError


class FrozenClock:
    """A clock: calling it tells the time, always the same until it is moved.

    `sleep` moves it instead of waiting, so that `Retry(sleep=clock.sleep)` takes no time; `slept` lists the
    seconds asked for.
    """

    def __init__(self, now: datetime = datetime(2026, 1, 31, 12, tzinfo=UTC)) -> None:
        if now.tzinfo is None:
            raise ConfigurationError(f"FrozenClock({now!r}) has no time zone: give it one, such as UTC.")
        self.now = now
        self.slept: list[float] = []

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta) -> None:
        self.now += by

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(timedelta(seconds=seconds))
