"""What is wrong with a pipeline's backups, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from backupkit.integrations.asgi.standing.facts import (
    Facts,
    Known,
    Sentence,
    Tone,
    ended,
    meant_by,
    newest_usable,
    reason,
)
from backupkit.integrations.asgi.standing.looks import Look
from backupkit.integrations.asgi.standing.telling import had_a_drill, was_verified
from backupkit.integrations.asgi.words import duration
from backupkit.model import Backup, Contents
from backupkit.scheduling import Verb

_DEEDS: Mapping[Verb, str] = {
    "clean": "Cleaning",
    "verify": "A verification",
    "drill": "A drill",
    "monitor": "Monitoring",
}


def silent(facts: Facts) -> Iterator[Sentence]:
    """Which destinations do not answer, and whether the history does."""
    for look in facts.looks:
        since = (
            "" if look.overview is None else f" What is shown of it is of {facts.when(look.overview.time)}."
        )
        if look.silent is not None:
            yield Sentence("bad", f"{look.location} has not answered for {duration(look.silent)}.{since}")
        elif look.error is not None:
            yield Sentence("bad", f"{look.location} cannot be looked at: {ended(look.error)}{since}")
        elif look.overview is None:
            yield Sentence("calm", f"{look.location} is being asked.")
    if facts.past_error is not None:
        yield Sentence("warn", f"The history does not answer: {ended(facts.past_error)}")


def failed(facts: Facts, known: Known) -> Iterator[Sentence]:
    """The newest run that failed or lost something, unless all has been backed up since."""
    backed_up: set[Contents] = set()
    for number, run in enumerate(facts.past.runs if facts.past is not None else ()):
        meant = meant_by(run)
        if run.outcome == "succeeded":
            backed_up |= meant
        elif not meant or not meant <= backed_up:
            when = facts.when(run.started)
            if number:
                how = "failed" if run.outcome == "failed" else "was incomplete"
                text = f"A run {how} {when}, and not everything was backed up since{reason(run)}"
                yield Sentence("warn", text)
            elif run.outcome == "failed":
                yield Sentence("bad", f"The last run failed {when}{reason(run)}")
            else:
                yield Sentence("warn", f"The last run, {when}, was incomplete{reason(run)}")
            return
        if backed_up.issuperset(known.contents):
            return


def unfinished(facts: Facts, known: Known) -> Iterator[Sentence]:
    """Which of the newest backups are not known to be whole, where there is no report that says so."""
    runs = facts.past.runs if facts.past is not None else ()
    reported = {one.backup.id for run in runs for one in run.destinations if one.backup is not None}
    for contents, usable in known.usable.items():
        newest = next((one for one in known.all if contents in one.contents), None)
        if usable is None or newest is None or newest.complete or newest.id in reported:
            continue
        what = "incomplete" if newest.complete is False else "not known to be complete"
        at = f" at {newest.location}" if len(facts.looks) > 1 else ""
        yield Sentence("warn", f"The newest backup{at}, of {facts.when(newest.time)}, is {what}.")


def behind(facts: Facts, known: Known) -> Iterator[Sentence]:
    """What a destination lacks of what others have; that is as it should be if some runs are for one alone."""
    meant = any(due.job.verb == "run" and due.job.to is not None for due in facts.dues)
    tone: Tone = "calm" if meant else "warn"
    for look in facts.looks if len(facts.looks) > 1 else ():
        if not look.answers or (_is_too_old(look) and not _is_age_said(facts, known)):
            continue
        lacking: dict[Contents, Backup | None] = {}
        for contents, newest in known.usable.items():
            here = newest_usable(look.telling, [contents])
            if newest is not None and (here is None or here.time < newest.time):
                lacking[contents] = here
        for here in {id(one): one for one in lacking.values()}.values():
            these = [contents for contents, one in lacking.items() if one is here]
            what = "" if len(these) == len(known.usable) else f" of the {' and '.join(these)}"
            if here is None:
                yield Sentence(tone, f"At {look.location} there is no good backup{what}.")
            else:
                when = facts.when(here.time)
                yield Sentence(tone, f"At {look.location} the newest good backup{what} is of {when}.")


def late(facts: Facts, known: Known) -> Iterator[Sentence]:
    """What was due, and has not been done."""
    jobs = {due.job: due.since for due in facts.dues if due.since is not None}
    full = any(job.verb == "run" and job.only is None for job in jobs)
    for job, since in jobs.items():
        when = facts.when(since)
        if job.verb != "run":
            deed = _DEEDS.get(job.verb, job.verb)
            yield Sentence("warn", f"{deed} was due {when}, and nothing says that it was done.")
        elif job.only is None or not full:
            what = "" if job.only is None else f" of the {job.only}"
            at = "" if job.to is None else f" at {job.to}"
            there = (one for one in known.there if job.to in (None, one.location))
            newest = newest_usable(there, [job.only] if job.only else known.contents)
            if newest is None:
                yield Sentence("bad", f"A backup{what}{at} was due {when}, and was not made.")
            else:
                age = duration(facts.now - newest.time)
                yield Sentence("bad", f"The newest good backup{what}{at} is {age} old; one was due {when}.")


def faults(facts: Facts, known: Known) -> Iterator[Sentence]:
    """What the last drill, and verifications, have found: until a later one has found nothing."""
    drills = facts.past.drills if facts.past is not None else ()
    told: set[str] = set()
    if drills and drills[0].outcome == "failed":
        told |= {one.backup.id for one in drills[0].destinations if one.backup is not None}
        yield Sentence("bad", f"The last drill failed {facts.when(drills[0].started)}{reason(drills[0])}")
    for contents in known.usable:
        holding = [one for one in known.all if contents in one.contents]
        verified = next(filter(was_verified, holding), None)
        drilled = next(filter(had_a_drill, holding), None)
        found = []
        if verified is not None and verified.damaged:
            found.append((verified, "is damaged"))
        if drilled is not None and drilled.refuted:
            found.append((drilled, "did not pass its drill"))
        for one, what in found:
            if one.id not in told:
                told.add(one.id)
                yield Sentence("bad", f"The backup of {facts.when(one.time)} at {one.location} {what}.")


def unhealthy(facts: Facts, known: Known) -> Iterator[Sentence]:
    """What the health checks say, but for the age of backups where that is said already."""
    age_is_said = _is_age_said(facts, known)
    several = len(facts.looks) > 1
    for look in facts.looks:
        for problem in look.overview.summary.problems if look.overview is not None and look.answers else ():
            if not (age_is_said and problem.check == "MaximumAge"):
                where = f"{look.location}: " if several else ""
                tone: Tone = "bad" if problem.severity == "error" else "warn"
                yield Sentence(tone, f"{where}{ended(problem.message)}")


def _is_age_said(facts: Facts, known: Known) -> bool:
    """Whether it is said already that there is no backup that is new enough."""
    full = any(due.since and due.job.verb == "run" and due.job.only is None for due in facts.dues)
    return full or not all(known.usable.values())


def _is_too_old(look: Look) -> bool:
    problems = look.overview.summary.problems if look.overview is not None else ()
    return any(one.check == "MaximumAge" for one in problems)
