"""A schedule as units of systemd: a service and a timer for each job."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

from backupkit.errors import ConfigurationError
from backupkit.scheduling.calling import Calling
from backupkit.scheduling.cron import Fields, classic_fields, runs
from backupkit.scheduling.jobs import Job
from backupkit.scheduling.missed import in_order
from backupkit.scheduling.schedule import Schedule

_WEEKDAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_ANY_DAY, _ANY_MONTH = tuple(range(1, 32)), tuple(range(1, 13))
_SERVERS = (
    "postgresql.service mariadb.service mysql.service mongod.service redis-server.service docker.service"
)


def systemd_units(
    calling: Calling, schedule: Schedule, *, user: str | None = None, environment_file: str | None = None
) -> Mapping[str, str]:
    """The units of a pipeline, by the names of their files: `backupkit-<pipeline>-<job>.service` and `.timer`.

    What was missed while the machine was off is done once after it has started, one job after the other. systemd
    delays each timer within the jitter, always by the same time on the same machine. `environment_file` is one with
    secrets, and must be there.
    """
    for text in (calling.folder, user, environment_file):
        # systemd takes away the spaces at both ends, and joins a line that ends with a backslash with the next one.
        if text is not None and (
            not text or not text.isprintable() or text.strip() != text or text[-1] == "\\"
        ):
            raise ConfigurationError(f"{text!r} cannot stand in a unit: use a name of printable letters.")
    if environment_file is not None and not os.path.isabs(environment_file):
        raise ConfigurationError(f"systemd ignores the file {environment_file!r}: give the whole path.")
    jobs = in_order(one.job for one in schedule.jobs)
    names = [_name(calling.name, job) for job in jobs]
    units: dict[str, str] = {}
    for place, (name, job) in enumerate(zip(names, jobs, strict=True)):
        title = f"Backups of {calling.name}: {job}"
        units[f"{name}.service"] = _text(_service(calling, job, title, names[:place], user, environment_file))
        when = [one.when for one in schedule.jobs if one.job == job]
        units[f"{name}.timer"] = _text(_timer(title, when, schedule))
    return units


def calendar_lines(when: str, time_zone: str) -> Iterator[str]:
    """Yield what `OnCalendar=` says for a cron expression; two if a day need fit only one of its two fields."""
    fields = classic_fields(when, program="systemd")
    time = f"{_listed(fields.hours)}:{_listed(fields.minutes)}:00 {time_zone}"
    days, weekdays = fields.days, fields.weekdays
    month = "*" if fields.months == _ANY_MONTH else _listed(fields.months)
    for date_days, date_weekdays in _dates(fields):
        weekday = "" if date_weekdays is None else f"{_named(weekdays)} "
        day = "*" if date_days is None else _listed(days)
        yield f"{weekday}*-{month}-{day} {time}"


def _dates(fields: Fields) -> Iterator[tuple[Sequence[int] | None, Sequence[int] | None]]:
    """Yield which days and weekdays have to fit together; None for any."""
    days = None if fields.days == _ANY_DAY else fields.days
    weekdays = None if len(fields.weekdays) == len(_WEEKDAYS) else fields.weekdays
    if fields.both:
        yield days, weekdays
    elif days is None or weekdays is None:
        yield None, None
    else:
        yield days, None
        yield None, weekdays


def _listed(numbers: Iterable[int]) -> str:
    return ",".join(
        f"{first:02}" if first == last else f"{first:02}..{last:02}" for first, last in runs(numbers)
    )


def _named(weekdays: Iterable[int]) -> str:
    return ",".join(_WEEKDAYS[one] for one in weekdays)


def _name(name: str, job: Job) -> str:
    words: list[str] = [job.verb, *([job.only] if job.only is not None else [])]
    if job.to is not None or not job.notify:
        words.append(hashlib.sha256(str(job).encode("utf-8", "surrogatepass")).hexdigest()[:8])
    return "-".join(["backupkit", name, *words])


def _service(
    calling: Calling,
    job: Job,
    title: str,
    before: Sequence[str],
    user: str | None,
    environment_file: str | None,
) -> Iterator[str]:
    yield "[Unit]"
    yield f"Description={_plain(title)}"
    yield "Wants=network-online.target"
    yield "# Also, so that none of these stops before the backup does. Those that are not there do not matter."
    yield f"After=network-online.target time-sync.target {_SERVERS}"
    if before:
        yield "# Missed ones begin together at boot; then they wait for each other."
        yield "After=" + " ".join(f"{one}.service" for one in before)
    yield ""
    yield "[Service]"
    yield "Type=oneshot"
    if user is not None:
        yield f"User={_plain(user)}"
    yield f"WorkingDirectory={_plain(calling.folder)}"
    if environment_file is not None:
        yield f"EnvironmentFile={_plain(environment_file)}"
    yield f"ExecStart={' '.join(map(_quoted, calling.words(job)))}"
    yield "# 11: another run is under way, and will tell its own end. 3, incomplete, is a failure."
    yield "SuccessExitStatus=11"
    yield "# The program ends what it has started."
    yield "KillMode=mixed"
    yield "Nice=10"
    yield "IOSchedulingClass=idle"
    yield "UMask=0077"
    yield "# More would break one backup or another: some read homes, temporary files and devices, or use sudo."
    yield "ProtectSystem=true"
    yield "ProtectControlGroups=true"


def _timer(title: str, when: Iterable[str], schedule: Schedule) -> Iterator[str]:
    yield "[Unit]"
    yield f"Description={_plain(title)}"
    yield ""
    yield "[Timer]"
    for expression in when:
        yield f"# {expression}"
        for line in calendar_lines(expression, schedule.time_zone):
            yield f"OnCalendar={line}"
    yield "Persistent=true"
    yield "AccuracySec=1s"
    if schedule.jitter:
        yield f"RandomizedDelaySec={int(schedule.jitter.total_seconds())}"
        yield "FixedRandomDelay=true"
    yield ""
    yield "[Install]"
    yield "WantedBy=timers.target"


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _plain(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$").replace("%", "%%")
    return escaped if word and not set(word) & set(" ;'\"\\") else f'"{escaped}"'
