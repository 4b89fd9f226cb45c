"""Whether, up to when and how fast a pipeline's backups can be restored, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

from backupkit.integrations.asgi.standing.facts import Facts, Known, Sentence, newest_usable
from backupkit.integrations.asgi.standing.past import Past
from backupkit.integrations.asgi.words import duration
from backupkit.model import Backup, Contents

_WHOLE = 0.8  # of its bytes: whoever restores so much of a backup restores nearly all of it


def recoverable(facts: Facts, known: Known) -> Iterator[Sentence]:
    """To which time; of contents that can be restored to different ones, each is said."""
    times = {one: facts.when(backup.time) for one, backup in known.usable.items() if backup is not None}
    if len(times) == len(known.usable) and len({*times.values()}) == 1:
        yield Sentence("good", f"Recoverable to {next(iter(times.values()))}.")
    elif times:
        yield Sentence("good", _each(times, "are recoverable", "to "))


def lacking(facts: Facts, known: Known) -> Iterator[Sentence]:
    """What cannot be restored."""
    missing = [one for one, backup in known.usable.items() if backup is None]
    if known.usable and not missing:
        return
    if not any(look.overview is not None for look in facts.looks):
        if any(look.error is not None or look.silent is not None for look in facts.looks):
            yield Sentence("bad", "Whether anything can be restored is not known.")
        return
    for one in [*missing]:
        elsewhere = newest_usable(known.all, [one])
        if elsewhere is not None:
            missing.remove(one)
            when = facts.when(elsewhere.time)
            yield Sentence(
                "bad", f"The {one} of {when} can be restored only when {elsewhere.location} answers."
            )
    whole = len(missing) == len(known.usable)
    if not all(look.answers for look in facts.looks):
        if missing or whole:
            what = "" if whole else f" of the {' and '.join(missing)}"
            yield Sentence("bad", f"No good backup{what} is known, and not every destination has answered.")
    elif whole:
        yield Sentence("bad", _nothing_good(facts, known))
    else:
        for one in missing:
            yield Sentence("bad", f"The {one} cannot be restored: {_why_not(known, one)} of them.")


def proven(facts: Facts, known: Known) -> Iterator[Sentence]:
    """When drills last showed it, by what is known of backups that are there, and by the history."""
    if facts.past is None or not any(known.usable.values()):
        return
    proofs = [(one.proven, one.contents) for one in known.all]
    for drill in facts.past.drills:
        proofs += [(one.backup.proven, one.backup.contents) for one in drill.destinations if one.backup]
    last = {
        contents: max((time for time, held in proofs if time and contents in held), default=None)
        for contents, usable in known.usable.items()
        if usable is not None
    }
    days = {one: facts.on_day(time) for one, time in last.items() if time is not None}
    never = [one for one in last if one not in days]
    if not days:
        ever = "Never proven" if facts.past.kept else "No backup that is there was proven"
        yield Sentence("warn", f"{ever} by a drill.")
    elif never:
        yield Sentence("warn", f"The {' and '.join(never)} were never proven by a drill.")
    if len({*days.values()}) == 1 and len(days) == len(known.usable):
        yield Sentence("good", f"Last proven by a drill {next(iter(days.values()))}.")
    elif days:
        yield Sentence("good", _each(days, "were last proven by a drill", ""))


def lasting(facts: Facts, known: Known) -> Iterator[Sentence]:
    """How long a restore takes, where that is known."""
    newest = newest_usable(known.there, known.contents)
    takes = None if newest is None or facts.past is None else restore_takes(newest, facts.past)
    if takes is not None:
        about = "about " if takes >= timedelta(seconds=1) else ""
        yield Sentence("good", f"A restore takes {about}{duration(takes)}.")


def restore_takes(backup: Backup, past: Past) -> timedelta | None:
    """How long it takes to restore all of this backup, by what the last drill or restore of a whole one took."""
    read = {
        one.backup.id: run.read
        for run in past.runs
        for one in run.destinations
        if one.backup is not None and not one.backup.shared
    }
    for report in sorted((*past.drills, *past.restores), key=lambda one: one.started, reverse=True):
        of = next((one.backup for one in report.destinations if one.backup is not None), None)
        if of is None or report.outcome != "succeeded" or not of.contents >= backup.contents:
            continue
        if report.operation == "drill":
            whole = of.proven is not None and of.proven >= report.started
        else:
            size = of.size or read.get(of.id)
            whole = size is not None and report.read >= _WHOLE * size
        if whole:
            # What a snapshot of unknown size occupies says nothing about how much it holds.
            comparable = of.extent > 0 and not (of.shared and None in (of.size, backup.size))
            return (report.restore_took or report.took) * (backup.extent / of.extent if comparable else 1)
    return None


def _nothing_good(facts: Facts, known: Known) -> str:
    """What there is instead: whoever has lost everything else may still get much of it back."""
    if not known.there:
        return "Nothing can be restored: there is no good backup."
    newest = known.there[0]
    if newest.good:
        return "Nothing is known to be restorable: a drill has found something wrong with each good backup."
    if newest.damaged:
        state = "damaged"
    else:
        state = "incomplete" if newest.complete is False else "not known to be complete"
    when = facts.when(newest.time)
    return f"There is no good backup. The newest, of {when}, is {state}: restored, it may lack something."


def _why_not(known: Known, contents: Contents) -> str:
    refuted = any(one.good and contents in one.contents for one in known.there)
    return "a drill has found something wrong with each good backup" if refuted else "there is no good backup"


def _each(said: Mapping[Contents, str], verb: str, before: str) -> str:
    """ "The files are recoverable to today 03:00, the databases to today 09:00." """
    (one, what), *others = said.items()
    rest = "".join(f", the {other} {before}{how}" for other, how in others)
    return f"The {one} {verb} {before}{what}{rest}."
