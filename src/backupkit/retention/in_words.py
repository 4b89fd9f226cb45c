"""What a policy keeps, in words: "all for 7 days, then one a day for 16 days"."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from backupkit.protocols import RetentionPolicy
from backupkit.retention.combining import Combined
from backupkit.retention.counted import CountedRetention
from backupkit.retention.guarding import minimum_of
from backupkit.retention.keeping import KeepAll, KeepLast, KeepWithin
from backupkit.retention.tiered import TieredRetention
from backupkit.sizes import format_size, parse_size


def in_words(policy: RetentionPolicy) -> str | None:
    """What it keeps of each contents, as a clause; None of a policy that is not of this library, or made of one."""
    said: str | None = None
    # A class that somebody has derived may keep anything.
    match policy:
        case KeepAll() if type(policy) is KeepAll:
            return "every backup"
        case KeepLast() if type(policy) is KeepLast:
            newer = "it" if policy.count == 1 else "the oldest of them"
            return f"{_newest(policy.count)}, and what is newer than {newer}"
        case KeepWithin() if type(policy) is KeepWithin:
            said = f"what was made within {_span(policy)} before the newest good one"
        case TieredRetention() if type(policy) is TieredRetention:
            said = ", then ".join(_tiers(policy)) or "the newest one"
            if policy.max_size is not None:
                said += f"; at most {format_size(parse_size(policy.max_size))} of all together"
        case CountedRetention() if type(policy) is CountedRetention:
            said = _counted(policy)
        case Combined() if type(policy) is Combined:
            return _combined(policy)
    least = minimum_of(policy)
    return said if said is None or least == 1 else f"{said}; always {_newest(least)}"


def _newest(count: int) -> str:
    return "the newest good one" if count == 1 else f"the newest {count} good ones"


def _many(count: float, unit: str) -> str:
    return f"{count:g} {unit}{'' if count == 1 else 's'}"


def _and(parts: Iterable[str]) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def _span(policy: KeepWithin) -> str:
    parts = ((policy.weeks, "week"), (policy.days, "day"), (policy.hours, "hour"))
    return _and(_many(count, unit) for count, unit in parts if count)


def _tiers(policy: TieredRetention) -> Iterator[str]:
    if policy.keep_all_days:
        yield f"all for {_many(policy.keep_all_days, 'day')}"
    for count, unit in (
        (policy.keep_daily_days, "day"),
        (policy.keep_weekly_weeks, "week"),
        (policy.keep_monthly_months, "month"),
        (policy.keep_yearly_years, "year"),
    ):
        if count:
            yield f"one a {unit} for {_many(count, unit)}"


def _counted(policy: CountedRetention) -> str:
    rules = (
        (policy.hourly, "hour"),
        (policy.daily, "day"),
        (policy.weekly, "week"),
        (policy.monthly, "month"),
        (policy.yearly, "year"),
    )
    periods = [_many(count, unit) for count, unit in rules if count]
    said = [_newest(policy.last)] if policy.last else []
    if periods:
        said.append(f"one for each of the last {_and(periods)} that have any")
    return ", and ".join(said) + ("; each is counted once" if policy.once else "")


def _combined(policy: Combined) -> str | None:
    clauses = [in_words(one) for one in policy.policies]
    if None in clauses:
        return None
    if len(clauses) == 1:
        return clauses[0]
    clauses = [
        f"[{clause}]" if isinstance(one, Combined) else clause
        for one, clause in zip(policy.policies, clauses, strict=True)
    ]
    what = "only what each of these keeps" if policy.every else "what any of these keeps"
    return f"{what}: " + "; ".join(f"({number}) {clause}" for number, clause in enumerate(clauses, 1))
