"""The templates of the page, and the filters that say sizes and times in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta, tzinfo
from functools import partial
from urllib.parse import quote

import jinja2

from backupkit.integrations.actions import Action
from backupkit.integrations.asgi.pages.cleaning import clean_plan
from backupkit.integrations.asgi.pages.equivalents import Equivalent, equivalent
from backupkit.integrations.asgi.pages.restoring import restore_preview
from backupkit.integrations.asgi.pictures import Drawn
from backupkit.integrations.asgi.words import ago, duration, moment
from backupkit.model import Problem, named
from backupkit.printable import printable
from backupkit.sizes import format_size


def environment(zone: tzinfo, clock: Callable[[], datetime]) -> jinja2.Environment:
    """Everything that is put into a template is escaped; a name that is missing in one is an error."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("backupkit.integrations.asgi", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )

    def when(time: datetime) -> str:
        return moment(time, now=clock(), zone=zone)

    def since(time: datetime) -> str:
        return ago(clock() - time)

    def lasting(length: timedelta | float) -> str:
        return duration(length if isinstance(length, timedelta) else timedelta(seconds=length))

    def exactly(time: datetime) -> str:
        return time.astimezone(zone).isoformat(sep=" ", timespec="seconds")

    made.filters.update(
        size=format_size,
        when=when,
        ago=since,
        duration=lasting,
        exactly=exactly,
        contents=named,
        errors_first=_errors_first,
        printable=printable,
        quoted=partial(quote, safe="", errors="surrogateescape"),
    )
    made.globals.update(
        equivalent=_equivalent,
        restore_preview=restore_preview,
        clean_plan=clean_plan,
        Action=Action,
        pictures=Drawn(),
    )
    return made


@jinja2.pass_context
def _equivalent(context: jinja2.runtime.Context, name: str, action: Action) -> Equivalent:
    """The lines, which depend on what the places are that the page knows by name."""
    page = context.get("page")  # which macros that were imported without their context do not have
    return equivalent(name, action, page.places if page is not None else None)


def _errors_first(problems: Iterable[Problem]) -> Sequence[Problem]:
    """Each once, as they came, but errors before warnings."""
    return sorted(dict.fromkeys(problems), key=lambda one: one.severity != "error")
