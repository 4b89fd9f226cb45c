"""A schedule as lines of a crontab."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, tzinfo
from itertools import groupby

from backupkit.errors import ConfigurationError
from backupkit.scheduling.calling import Calling
from backupkit.scheduling.cron import classic_fields, runs
from backupkit.scheduling.schedule import Schedule, Scheduled
from backupkit.zones import same_clock, zone_named

_AFTER_BOOT = 60  # seconds until networks and databases are there


def crontab_lines(
    called: Iterable[tuple[Calling, Schedule]],
    *,
    machine: tzinfo,
    now: datetime,
    cron_tz: bool = False,
    user: str | None = None,
) -> Iterator[str]:
    """Yield the lines of a crontab for the schedules of pipelines.

    cron goes by the clock of the `machine`, and Debian's by no other. So a schedule in a zone whose clock will not
    show the same from `now` on is a ConfigurationError, unless `cron_tz` is true: then `CRON_TZ=` says the zone,
    which cronie understands. With `user`, each line names it, as in files of /etc/cron.d. What was missed while the
    machine was off is caught up after it has started. A jitter is a sleep at the beginning.
    """
    if user is not None and not re.fullmatch(r"[^\s#%]+", user):
        raise ConfigurationError(
            f"{user!r} cannot stand in a crontab: give the name of a user of this machine."
        )
    who = [user] if user is not None else []
    for zone, members in groupby(called, key=lambda one: one[1].time_zone):
        if cron_tz:
            yield f"CRON_TZ={zone}"
        elif not same_clock(zone_named(zone), machine, since=now):
            raise ConfigurationError(
                f"cron goes by the clock of this machine, which does not show the time of {zone}: give the "
                "schedule the machine's time_zone, set the machine's to that one (timedatectl set-timezone), use "
                "--cron-tz if this cron is cronie, or use `backupkit schedule systemd`."
            )
        for calling, schedule in members:
            yield f"# The backups of {calling.name}, {zone}"
            for one in schedule.jobs:
                seconds = int(schedule.delay(calling.name, one).total_seconds())
                command = _command(calling.folder, calling.words(one.job), seconds)
                yield " ".join([*_fields(one), *who, command])
            yield " ".join(["@reboot", *who, _command(calling.folder, calling.catching_up(), _AFTER_BOOT)])


def _command(folder: str, words: Sequence[str], seconds: int) -> str:
    parts = [["cd", folder], *([["sleep", str(seconds)]] if seconds else []), list(words)]
    command = " && ".join(map(shlex.join, parts))
    # For cron, a percent sign ends the command unless a backslash stands before it, and that not another one: what
    # has one of its own is in single quotes, which are closed and opened in between.
    return command.replace(r"\%", r"\''%").replace("%", r"\%")


def _fields(scheduled: Scheduled) -> list[str]:
    """The five fields as every cron reads them: names and steps without an end are numbers."""
    fields = classic_fields(scheduled.when, program="cron")
    numbers = (fields.minutes, fields.hours, fields.days, fields.months, fields.weekdays)
    return [_field(text, some) for text, some in zip(scheduled.when.split(), numbers, strict=True)]


def _field(text: str, numbers: Iterable[int]) -> str:
    listed = ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs(numbers))
    if not text.startswith("*"):
        return listed
    # A star at the beginning says how days and weekdays go together, and what comes of an hour that is skipped.
    star, *more = text.split(",", maxsplit=1)
    return f"{star},{listed}" if more else star
