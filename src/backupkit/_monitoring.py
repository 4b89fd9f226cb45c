"""How a pipeline's backups stand at one destination: in numbers, and by what the health checks say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from backupkit._cleaning import all_leftovers
from backupkit.errors import told
from backupkit.model import Backup, Contents, DestinationSummary, Problem, RepositoryState
from backupkit.protocols import Destination, HealthCheck
from backupkit.summaries import summarised


def standing(
    destination: Destination,
    backups: Callable[[], Iterable[Backup]],
    *,
    checks: Sequence[HealthCheck],
    contents: frozenset[Contents],
    places: Sequence[str],
    now: datetime,
) -> DestinationSummary:
    """What the checks find there, all of it; and before that, whether the destination answers at all.

    `backups` lists the pipeline's own, and `places` are where its runs may have left something.
    """
    location = destination.location
    try:
        listed = tuple(backups())
        leftovers = all_leftovers(destination, places)
    except Exception as error:  # whatever it is, the other destinations are asked
        problem = Problem(message=told(error), check="Reachable", destination=location)
        return summarised(location, (), now=now, problems=(problem,))
    state = RepositoryState(
        location=location, backups=listed, contents=contents, now=now, leftovers=leftovers
    )
    return summarised(location, listed, now=now, problems=tuple(_problems(checks, state)))


def _problems(checks: Sequence[HealthCheck], state: RepositoryState) -> Iterator[Problem]:
    for check in checks:
        try:
            yield from check.problems(state)
        except Exception as error:
            name = type(check).__name__
            yield Problem(
                message=f"The health check {name} itself failed: {told(error)}",
                check=name,
                destination=state.location,
            )
