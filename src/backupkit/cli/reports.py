"""Reports for people: how it ended, what was written where, and every problem."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from backupkit.cli.texts import columns, contents, counted, duration, minutes, state
from backupkit.model import DestinationResult, Operation, Outcome, Problem, Pruned, Report, RetentionPlan
from backupkit.printable import printable
from backupkit.sizes import format_size

_NOUN: Mapping[Operation, str] = {
    "run": "run",
    "restore": "restore",
    "verify": "verification",
    "drill": "drill",
    "clean": "cleaning",
    "monitor": "health check",
    "prune": "pruning",
    "repair": "repair",
    "copy": "copying",
    "rekey": "change of keys",
    "unlock": "removal of locks",
    "delete": "deletion",
    "download": "download",
}
_ENDED: Mapping[Outcome, str] = {
    "succeeded": "succeeded in",
    "incomplete": "is incomplete after",
    "failed": "failed after",
}


def report_lines(report: Report) -> Iterator[str]:
    """Yield how an operation ended, and what has to be known about it."""
    if report.operation == "monitor" and report.destinations:
        yield from _health_lines(report)
        return
    yield _headline(report)
    if report.operation == "clean":
        yield from _plan_lines(report)
    elif report.operation == "rekey":
        yield from _indented(columns([row for result in report.destinations for row in _key_rows(result)]))
    else:
        yield from _indented(columns([_result(result) for result in report.destinations]))
    if report.operation == "drill":
        yield from _drill_lines(report)
    yield from problem_lines(report.problems)


def restore_lines(report: Report, *, to: Iterable[str], dry_run: bool) -> Iterator[str]:
    """Yield the same of a restore, with what was restored and where to."""
    if dry_run:
        would = counted(report.entries, "entry", "entries")
        failed = report.outcome == "failed"
        finished = f", {counted(report.skipped, 'is', 'are')} finished" if report.skipped else ""
        would = "this would fail" if failed else f"{would} would be restored{finished}"
        yield f"Nothing was written (dry run): {would}."
    else:
        yield _headline(report)
    for result in report.destinations:
        if result.backup is not None:
            yield printable(f"  from {result.backup.id} at {result.location}")
    for place in to:
        yield f"  to {printable(place)}"
    yield from problem_lines(report.problems)


def _drill_lines(report: Report) -> Iterator[str]:
    """Yield how long what took, for whoever has to say how soon everything would be back."""
    if report.restore_took is not None:
        yield f"  restored in {duration(report.restore_took)}"
    rows = [[duration(dump.took), dump.path, f"to {dump.database}"] for dump in report.dumps]
    yield from _indented(_indented(columns(rows) if rows else []))


def dry_clean_lines(report: Report) -> Iterator[str]:
    """Yield what a cleaning would do."""
    plans = [result.plan for result in report.destinations if result.plan is not None]
    yield (
        f"Nothing was deleted (dry run): {sum(len(plan.keep) for plan in plans)} would be kept, "
        f"{sum(len(plan.remove) for plan in plans)} removed, "
        f"{format_size(sum(result.freed for result in report.destinations))} freed."
    )
    yield from _plan_lines(report)
    yield from problem_lines(report.problems)


def dry_prune_lines(report: Report) -> Iterator[str]:
    """Yield what pruning would do."""
    for result in report.destinations:
        if result.pruned is not None:
            yield f"{result.location}: {format_size(result.freed)} would be freed (dry run){_anew(result.pruned)}."
    yield from problem_lines(report.problems)


def _anew(pruned: Pruned) -> str:
    anew = f", {format_size(pruned.repacked)} stored anew for it" if pruned.repacked else ""
    return anew + (f", {format_size(pruned.unused)} of no use left" if pruned.unused else "")


def repair_lines(report: Report) -> Iterator[str]:
    """Yield what was repaired, or would be."""
    if report.dry_run:
        yield f"Nothing was changed (dry run): {_found_wrong(report)}."
        yield from problem_lines(report.problems)
    else:
        yield from report_lines(report)


def _found_wrong(report: Report) -> str:
    return (
        counted(len(report.problems), "thing is wrong", "things are wrong")
        if report.problems
        else "all is well"
    )


def problem_lines(problems: Iterable[Problem]) -> Iterator[str]:
    """Yield each problem; what a program wrote to its standard error may take several lines."""
    for problem in problems:
        first, *more = problem.message.split("\n")
        yield f"  {problem.severity}: {printable(first)}{_place(problem)}"
        for line in more:
            yield f"    {printable(line)}"


def _place(problem: Problem) -> str:
    """The path and the destination, unless the message says them."""
    unsaid = [
        place
        for place in (problem.path, problem.destination)
        if place and place not in problem.message and repr(place)[1:-1] not in problem.message
    ]
    return printable(f" ({', '.join(unsaid)})") if unsaid else ""


def _headline(report: Report) -> str:
    line = f"The {_NOUN[report.operation]} of {printable(report.name)} {_ENDED[report.outcome]} "
    line += duration(report.took)
    facts = [] if report.outcome == "failed" else _facts(report)
    return f"{line}: {', '.join(facts)}." if facts else f"{line}."


def _facts(report: Report) -> list[str]:
    entries = counted(report.entries, "entry", "entries")
    match report.operation:
        case "restore":
            finished = (
                [f"{counted(report.skipped, 'was', 'were')} finished already"] if report.skipped else []
            )
            return [entries, f"{format_size(report.written)} written", *finished]
        case "verify":
            return [entries, f"{format_size(report.read)} read and compared"]
        case "download":
            return [f"{format_size(report.written)} written"]
        case "drill":
            return [entries, f"{format_size(report.written)} restored to scratch places"]
        case "run":
            return [entries, f"{format_size(report.read)} read", f"{format_size(report.written)} stored"]
        case "copy":
            copies = sum(1 for result in report.destinations if result.outcome in ("succeeded", "incomplete"))
            there = [f"{counted(report.skipped, 'was', 'were')} there already"] if report.skipped else []
            copied = f"{counted(copies, 'backup', 'backups')} copied"
            return [
                copied,
                f"{format_size(report.read)} read",
                f"{format_size(report.written)} stored",
                *there,
            ]
        case "clean" | "prune":
            return [f"{format_size(sum(result.freed for result in report.destinations))} freed"]
        case "delete":
            backups = [result.backup for result in report.destinations if result.backup is not None]
            if any(backup.shared for backup in backups):
                return ["`backupkit prune` frees what nothing else needs"]
            return [f"{format_size(sum(result.freed for result in report.destinations))} freed"]
        case "repair":
            return [f"{format_size(report.read)} read", _found_wrong(report)]
        case "monitor" | "rekey" | "unlock":
            return []


def _result(result: DestinationResult) -> list[str]:
    if result.pruned is not None:
        return [result.outcome, f"{format_size(result.freed)} freed{_anew(result.pruned)}", result.location]
    if (unlocked := result.unlocked) is not None:
        removed = f"{counted(unlocked.removed, 'lock', 'locks')} removed"
        left = f", {unlocked.left} left (held, or not to be read)" if unlocked.left else ""
        return [result.outcome, removed + left, result.location]
    if result.backup is None:
        return [result.outcome, "", "", result.location]
    backup = result.backup
    return [result.outcome, backup.id, format_size(backup.stored), result.location]


def _key_rows(result: DestinationResult) -> Iterator[list[str]]:
    changed = result.keys
    if changed is None or not (changed.added or changed.removed):
        yield [result.outcome if changed is None else "unchanged", "", result.location]
        return
    for verb, keys in (("added", changed.added), ("removed", changed.removed)):
        for key in keys:
            yield [verb, f"key {key.id[:8]}", result.location]


def _health_lines(report: Report) -> Iterator[str]:
    for result in report.destinations:
        healthy = "healthy" if result.outcome == "succeeded" else "unhealthy"
        yield printable(f"{healthy:9}  {report.name} at {result.location}")
        yield from problem_lines(result.problems)
    told = {problem for result in report.destinations for problem in result.problems}
    yield from problem_lines(problem for problem in report.problems if problem not in told)


def _plan_lines(report: Report) -> Iterator[str]:
    for result in report.destinations:
        yield f"{printable(result.location)} ({result.outcome})"
        if result.plan is None:
            continue
        rows = [*_plan_rows(result.plan)]
        rows += [
            ["delete", one.name, "", format_size(one.size), "", f"left unfinished, {minutes(one.modified)}"]
            for one in result.swept
        ]
        yield from _indented(columns(rows) if rows else ["there is nothing yet"])


def _plan_rows(plan: RetentionPlan) -> Iterator[list[str]]:
    verdicts = [("keep", one.backup, "; ".join(one.reasons)) for one in plan.keep]
    verdicts += [("remove", one.backup, one.reason) for one in plan.remove]
    for verdict, backup, why in sorted(verdicts, key=lambda row: row[1].time, reverse=True):
        yield [verdict, backup.id, contents(backup), format_size(backup.stored), state(backup), why]


def _indented(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield f"  {line}"
