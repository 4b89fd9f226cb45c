"""What was asked for of this page's pipelines: one of it, and what is under way or has ended lately."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.exceptions import HTTPException

from backupkit.errors import BackupKitError, told
from backupkit.integrations.asgi.visit import Visit
from backupkit.integrations.work import Work


@dataclass(frozen=True, slots=True)
class Lately:
    """The newest first; `silent` is why the queue could not be asked, and then nothing is known."""

    works: Sequence[Work]
    silent: str | None = None


def lately(visit: Visit, pipeline: str | None = None) -> Lately:
    """What is known of all pipelines, or of this one: for pages that show other things all the same."""
    try:
        return Lately(known(visit, pipeline))
    except BackupKitError as error:
        return Lately((), told(error))


def known(visit: Visit, pipeline: str | None = None) -> Sequence[Work]:
    """The same; BackupKitError if the queue cannot be asked. Several pages may share one."""
    works = visit.page.queue.recent()
    return [one for one in works if one.pipeline in visit.page.pipelines and pipeline in (None, one.pipeline)]


def work_of(visit: Visit) -> Work:
    """The work in the address; 404 if nobody knows of it, or it is another page's."""
    work = visit.page.queue.get(str(visit.request.path_params["operation"]))
    if work is None or work.pipeline not in visit.page.pipelines:
        raise HTTPException(404, "There is no such operation; what is over is forgotten here after a day.")
    # What asks and what notes find the pipeline in the address, which here has the operation only.
    visit.request.path_params["pipeline"] = work.pipeline
    return work
