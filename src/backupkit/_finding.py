"""Which backups are meant: one by its id or the beginning of that, the latest, or all that are to be copied."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from backupkit.errors import BackupNotFoundError, DestinationError
from backupkit.model import Backup, Contents, Problem


def meant(
    said: str,
    found: Sequence[Backup],
    *,
    wanted: frozenset[Contents],
    silent: Sequence[DestinationError],
    where: str,
    name: str | None = None,
) -> Backup:
    """The backup meant, of those found at `where`; the latest is the newest good one that holds all wanted.

    What others made counts only where there is nothing of a pipeline's, or if `name` says so.
    BackupNotFoundError if there is none, or more than one; `silent` are the destinations that did not answer.
    """
    if not said:
        those: list[Backup] = []
    elif said == "latest":
        names = {one.name for one in found if one.made_by != "other"}
        # A folder that holds nothing but somebody's unverified archives is no pipeline's.
        names = names or {one.name for one in found if one.good}
        if name in names:
            names = {name}
        if len(names) > 1:
            raise BackupNotFoundError(
                f"There are backups of several names at {where} ({', '.join(sorted(names))}): give the folder "
                "of one of them (or, from Python, name=), or the id of a backup."
            )
        those = [one for one in found if one.good and one.contents >= wanted and one.name in names]
    else:
        those = [one for one in found if one.id == said] or [one for one in found if one.id.startswith(said)]
        if len({(one.name, one.id) for one in those}) > 1:
            ids = ", ".join([*dict.fromkeys(one.id for one in those)][:5])
            raise BackupNotFoundError(f"{said!r} is the beginning of several backups ({ids}): say more.")
    if not those:
        raise BackupNotFoundError(_not_found(said, found, [str(error) for error in silent], where))
    # Of equals the first: destinations come in order.
    return max(those, key=lambda one: one.time)


def to_be_copied(
    found: Sequence[Backup], *, name: str | None, to: str | None, where: str
) -> Sequence[Backup]:
    """All that is meant by "all", each once: of several copies a good one.

    `name` is the pipeline's whose backups they are, `to` that whose the copies will be. With either, what others
    made is left out: nobody knows whether it belongs to it.
    """
    limit = name or to
    those = [
        one for one in found if limit is None or (one.name in (to or one.name,) and one.made_by != "other")
    ]
    if not those:
        whose = "" if limit is None else f" of {to or name}"
        raise BackupNotFoundError(f"There are no backups{whose} at {where}: list them to see what there is.")
    chosen: dict[tuple[str, str], Backup] = {}
    for one in those:
        known = chosen.setdefault((one.name, one.id), one)
        if one.good and not known.good:
            chosen[one.name, one.id] = one
    return [*chosen.values()]


def unreadable_ones(found: Sequence[Backup], *, name: str | None, to: str | None) -> Iterator[Problem]:
    """What "all" of a pipeline leaves out, though it may well be the pipeline's: nobody can read whose it is."""
    limit = name or to
    for one in found:
        unreadable = one.made_by == "other" and one.damaged and one.complete is None
        if unreadable and limit not in (None, one.name):
            yield Problem(
                message=f"The backup {one.id} was not copied: it cannot be read, and nobody knows whether it is "
                f"one of {limit}. `repair` says what can be done.",
                destination=one.location,
            )


def newest_first(backups: Iterable[Backup]) -> tuple[Backup, ...]:
    return tuple(sorted(backups, key=lambda one: (one.time, one.id, one.location), reverse=True))


def _not_found(wanted: str, found: Sequence[Backup], problems: Sequence[str], where: str) -> str:
    if problems:
        return (
            f"No backup {wanted!r} was found at {where}; not every destination answered: {' '.join(problems)}"
        )
    if wanted == "latest" and found:
        newest = newest_first(found)[0]
        return (
            f"None of the backups at {where} is good and holds everything asked for. The newest is {newest.id}: "
            "name it to use it all the same, verify it if it is unconfirmed, or say only= to want less."
        )
    return f"There is no backup {wanted!r} at {where}: list the backups to see what there is."


def warnings_about(backup: Backup, silent: Sequence[DestinationError]) -> Iterator[Problem]:
    """What whoever restores this backup should know."""
    for error in silent:
        message = f"A newer backup may be at a destination that did not answer: {error}"
        yield Problem(message=message, severity="warning", destination=error.location)
    if not backup.good:
        state = "damaged" if backup.damaged else "unconfirmed" if backup.complete is None else "incomplete"
        yield Problem(
            message=f"The backup {backup.id} is {state}: something may be missing from it.",
            severity="warning",
            destination=backup.location,
        )
