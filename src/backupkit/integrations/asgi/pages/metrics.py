"""What Prometheus scrapes: how backups stand, and how the last operations ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import Response

from backupkit.errors import NotificationError
from backupkit.integrations.asgi.page import Page
from backupkit.integrations.asgi.routes import Route
from backupkit.integrations.asgi.standing.looks import Look
from backupkit.integrations.asgi.visit import Visit
from backupkit.model import DestinationSummary, Problem
from backupkit.observers.metric_values import MetricValues

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric


def show(visit: Visit) -> Response:
    """The gauges that a `PrometheusObserver` has; what it counts, only it can tell."""
    try:
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
    except ModuleNotFoundError as error:
        raise HTTPException(
            501, "Metrics need prometheus_client: pip install 'backupkit[metrics]'"
        ) from error
    registry = CollectorRegistry()
    registry.register(_Gauges(_values(visit.page)))
    return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


class _Gauges:
    def __init__(self, values: MetricValues) -> None:
        self._values = values

    def collect(self) -> Iterator[Metric]:
        return (one for one in self._values.collect() if one.type == "gauge")


def _values(page: Page) -> MetricValues:
    values = MetricValues()
    looks, pasts = page.looks.every(), page.looks.pasts()
    for name, pipeline in page.pipelines.items():
        past, history = pasts[name].value, page.history_of(name)
        if past is not None and history is not None:
            with suppress(NotificationError):  # what the destinations say is worth more than nothing
                for one in past.newest.values():
                    if (report := page.looks.report(history, one.id)) is not None:
                        values.learn(report)
        for look in looks[name]:
            if (summary := _summary(look)) is not None:
                values.look(str(pipeline.name), pipeline.contents, summary)
    return values


def _summary(look: Look) -> DestinationSummary | None:
    """How it stands there; None as long as nobody knows."""
    if look.answers or (look.error is None and look.silent is None):
        return None if look.overview is None else look.overview.summary
    problem = Problem(message=look.error or "no answer", check="Reachable", destination=look.location)
    return DestinationSummary(location=look.location, healthy=False, problems=(problem,))


ROUTES: tuple[Route, ...] = (Route("GET", "/metrics", "view", show),)
