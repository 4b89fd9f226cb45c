"""The first page, how all pipelines stand, and the page of each pipeline."""

from __future__ import annotations

from starlette.responses import Response

from backupkit.integrations.asgi.pages.works import lately
from backupkit.integrations.asgi.routes import Route
from backupkit.integrations.asgi.standing.sentences import rank, together
from backupkit.integrations.asgi.standing.standings import stand
from backupkit.integrations.asgi.visit import Visit
from backupkit.scheduling import Job
from backupkit.scheduling.cron import in_words

_MOST_CARDS = 6  # pipelines of which the first page shows each destination
_RECENT = 8


def show(visit: Visit) -> Response:
    """All pipelines: of one, its whole page; of several, first a list."""
    page = visit.page
    if len(page.pipelines) == 1:
        return _pipeline(visit, next(iter(page.pipelines)), here="")
    known = stand(page)
    standings = {name: one.standing for name, one in known.items()}
    return visit.html(
        "overview.html",
        lead=together(standings, now=page.clock(), zone=page.zone),
        stands=sorted(known.values(), key=lambda one: rank(one.standing)),
        looking=any(one.looking for one in known.values()),
        most_cards=_MOST_CARDS,
    )


def show_pipeline(visit: Visit) -> Response:
    """One pipeline, and all that is known of it."""
    _ = visit.pipeline
    return _pipeline(visit, visit.name)


def _pipeline(visit: Visit, name: str, *, here: str = "pipelines") -> Response:
    page, pipeline = visit.page, visit.page.pipelines[name]
    stands = stand(page, [name])[name]
    retention = repr(pipeline.retention)
    return visit.html(
        "pipeline.html",
        name=name,
        stands=stands,
        looks=stands.looks,
        schedule=page.schedules.get(name),
        job_in_words=_job_in_words,
        cron_in_words=in_words,
        # That of an object which says nothing of itself has an address in it.
        retention=type(pipeline.retention).__name__ if retention.startswith("<") else retention,
        lately=lately(visit, name),
        most_recent=_RECENT,
        here=here,
    )


def _job_in_words(job: Job) -> str:
    """ "Run of the databases", "Clean at sftp://…"."""
    only = "" if job.only is None else f" of the {job.only}"
    return f"{job.verb.capitalize()}{only}{'' if job.to is None else f' at {job.to}'}"


ROUTES = (Route("GET", "/", "view", show), Route("GET", "/pipelines/{pipeline}", "view", show_pipeline))
