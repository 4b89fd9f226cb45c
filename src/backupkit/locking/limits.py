"""`Limits`: how many runs, of the whole fleet, use one destination or one database server at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import timedelta
from fnmatch import fnmatchcase

from backupkit.errors import BackupAlreadyRunningError, ConfigurationError
from backupkit.protocols import AsksServers, Destination, Lock, Source

_AT_ONCE = timedelta(0)


class Limits:
    """At most so many runs at once that use what a pattern matches.

        limits = Limits({"s3://backups": 4, "sftp://*": 2, "db1.internal": 2}, lock=RedisLock(url))
        with limits.hold(pipeline.destinations, pipeline.sources):
            pipeline.run()

    A pattern, with `*`, `?` and `[…]`, is that of a destination's location, without what follows its question mark,
    or of a folder that this is in; or of a host that a source reads a database from. `lock` says who shares the
    limits, and all of them must say the same ones. A run that is killed counts until its leases have ended.
    """

    def __init__(self, limits: Mapping[str, int], *, lock: Lock) -> None:
        for pattern, most in limits.items():
            if not isinstance(pattern, str) or not pattern:
                raise ConfigurationError(f"The limit {pattern!r} names nothing: write a location or a host.")
            if not isinstance(most, int) or isinstance(most, bool) or most < 1:
                raise ConfigurationError(
                    f"The limit {pattern!r} of {most!r} runs is not possible: use 1 or more."
                )
        self._limits = dict(limits)
        self._lock = lock

    def __repr__(self) -> str:
        return f"Limits({self._limits!r}, lock={self._lock!r})"

    @contextmanager
    def hold(self, destinations: Sequence[Destination], sources: Sequence[Source]) -> Iterator[None]:
        """Count as one run that uses these; BackupAlreadyRunningError, at once, names a limit that is reached.

        Nothing is waited for, as whoever waits while holding something keeps others from ending: try again later.
        A lease that is lost on the way does not end the run, which would only have to be made again.
        """
        with ExitStack() as held:
            # In the same order everywhere: of two that want the last of the same, one gets on.
            for pattern in sorted(self.matching(destinations, sources)):
                held.enter_context(self._one_of(pattern))
            yield

    def matching(self, destinations: Sequence[Destination], sources: Sequence[Source]) -> Mapping[str, int]:
        """The limits that a run counts against that uses these."""
        places = [one.location.partition("?")[0] for one in destinations]
        hosts = [host for one in sources if isinstance(one, AsksServers) for host in one.hosts]
        return {
            pattern: most
            for pattern, most in self._limits.items()
            if _covers(pattern, places) or any(fnmatchcase(host, pattern.lower()) for host in hosts)
        }

    def _one_of(self, pattern: str) -> AbstractContextManager[object]:
        """One of so many leases, held until the context that is returned ends."""
        most = self._limits[pattern]
        full: BackupAlreadyRunningError | None = None
        for number in range(1, most + 1):
            with ExitStack() as held:
                try:
                    held.enter_context(self._lock.hold(f"limit {pattern} {number}", wait=_AT_ONCE))
                except BackupAlreadyRunningError as error:
                    full = error
                    continue
                return held.pop_all()
        raise BackupAlreadyRunningError(
            f"No more runs than {most} may use {pattern} at once, and as many are under way: try again later."
        ) from full


def _covers(pattern: str, places: Iterable[str]) -> bool:
    below = f"{pattern.rstrip('/')}/*"
    return any(fnmatchcase(place, pattern) or fnmatchcase(place, below) for place in places)
