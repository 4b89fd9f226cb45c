"""Repairing a repository: its index, what is still right in damaged packs, and snapshots without what is lost.

In an order in which nothing is lost by what ends it: packs, the index of them, and only then are the index objects
that it replaces deleted; new trees, the snapshots that need them, and only then, if that was asked for, are those
deleted that were damaged.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from backupkit.errors import IntegrityError, ObjectNotFoundError
from backupkit.events import Expected
from backupkit.formats.restic.index_repairing import IndexSurvey, surveyed
from backupkit.formats.restic.index_rewriting import rewrite_indexes
from backupkit.formats.restic.keys import KeyFile
from backupkit.formats.restic.layout import ObjectKind, object_name
from backupkit.formats.restic.opened import OpenedRepository
from backupkit.formats.restic.pack_repairing import DamagedPack, damaged_packs, stored_anew
from backupkit.formats.restic.snapshot_repairing import Lost, SnapshotRepairer, Totals, repaired_fields
from backupkit.formats.restic.snapshots import Snapshot, named, unreadable
from backupkit.formats.restic.writing import RepositoryWriter
from backupkit.model import Backup, Passed, Problem, Repaired, Severity
from backupkit.protocols import Compressor, nothing

_SHOWN = 3  # objects that one message names

Found: TypeAlias = Problem | Passed | Expected | Repaired


@dataclass(frozen=True, slots=True, kw_only=True)
class _Damaged:
    """A snapshot of which something is lost, as a backup; what is left of it, and the snapshot that holds that."""

    snapshot: Snapshot
    backup: Backup
    left: tuple[str, Totals] | None
    repaired: Snapshot | None


@dataclass(kw_only=True)
class Repairer:
    """Repairs one repository, once, in one thread. The caller holds it alone, or, for a dry run, shares it.

    `quick` believes the index and the sizes of packs; else every blob is read. `forget` says which of the damaged
    backups may be removed; None that nothing is. Snapshots that `mine` says no to are left as they are.
    """

    repository: OpenedRepository
    compressor: Compressor
    executor: Executor | None
    quick: bool
    dry_run: bool
    forget: Callable[[Backup], bool] | None
    mine: Callable[[Backup], bool]
    between: Callable[[], None] = nothing

    def repair(self) -> Iterator[Found]:
        """Yield what is found and done, as it is."""
        yield from self._keys()
        damaged: dict[str, IntegrityError] = {}
        snapshots = [*self.repository.snapshots(damaged=damaged)]
        survey = surveyed(self.repository, self.executor, between=self.between)
        yield from self._surveyed(survey)
        self.repository.use_index(survey.index, survey.objects)
        packs = []
        for found in self._damaged_packs(survey):
            self.between()
            if isinstance(found, DamagedPack):
                packs.append(found)
            else:
                yield found
        writer = RepositoryWriter(self.repository, self.compressor, self.executor)
        try:
            yield from self._packs_repaired(survey, packs, writer)
            left = yield from self._snapshots_repaired(snapshots, damaged, writer)
        finally:
            writer.close()
        if self.forget is not None and not left:
            yield from self._packs_forgotten([pack.id for pack in packs if not pack.header])

    def _keys(self) -> Iterator[Problem]:
        objects = self.repository.objects
        for id, _ in [*objects.list("keys")]:
            try:
                KeyFile.parse(objects.read("keys", id), where=objects.where("keys", id))
            except ObjectNotFoundError:
                continue
            except IntegrityError as error:
                yield self._problem(
                    f"A passphrase may open nothing any more: {error} It is left alone: put the object back from a "
                    "copy, or remove it and add that passphrase again."
                )

    def _surveyed(self, survey: IndexSurvey) -> Iterator[Problem]:
        for why in survey.unreadable.values():
            yield self._warning(f"{why} It {self._done('replaced')} by what the packs say themselves.")
        yield from self._packs_told(survey.gone, "missing", "left out of the index")
        for pack in sorted(survey.unknown & survey.headless.keys()):
            yield self._warning(
                f"{object_name('data', pack)} is in no index and does not say what it holds: "
                f"{survey.headless[pack]} It is left alone, until pruning deletes it."
            )

    def _damaged_packs(self, survey: IndexSurvey) -> Iterator[DamagedPack | Passed | Expected]:
        only = None
        if self.quick:
            only = survey.resized & survey.headless.keys()
            if not survey.lacks_indexes:
                # Nobody has vouched for these: what a killed run has left, or an earlier repair has left out.
                only |= survey.unknown & survey.headers.keys()
        if only is None or only:
            yield from damaged_packs(self.repository, survey.index, survey.sizes, self.executor, only=only)

    def _packs_repaired(
        self, survey: IndexSurvey, packs: Sequence[DamagedPack], writer: RepositoryWriter
    ) -> Iterator[Problem]:
        """Have the index say what is right, and nothing else."""
        repository = self.repository
        readable = survey.headers.keys() - {pack.id for pack in packs}
        for packs_found, state in (
            (survey.unknown & readable, "in no index"),
            (survey.resized & readable, "of another size than the index says"),
        ):
            headers = "its header" if len(packs_found) == 1 else "their headers"
            yield from self._packs_told(packs_found, state, f"taken in by {headers}")
        if packs:
            repository.use_index(survey.index.without({pack.id for pack in packs}), survey.objects)
        for pack in packs:
            if pack.header:
                repository.index.add(pack.id, pack.intact)
                yield self._warning(f"{pack.why} The index {self._done('corrected')}.")
                continue
            alone = sum(not repository.index.holds(blob.id, tree=blob.tree) for blob in pack.intact)
            if pack.id in survey.unknown and not alone:
                yield self._warning(
                    f"{pack.why} No index has the pack, and what is right in it stands elsewhere too."
                )
                continue
            anew = f"{alone} of these, which stand nowhere else, {self._done('stored anew', alone)}"
            yield self._warning(
                f"{pack.why} Of its {pack.count} blobs, {len(pack.intact)} are right"
                f"{f'; {anew}' if alone else ''}. The pack {self._done('left out of the index')}."
            )
        damaged = [pack for pack in packs if not pack.header]
        if self.dry_run:
            for pack in damaged:
                repository.index.add(pack.id, pack.intact)
            return
        stored_anew(writer, damaged, between=self.between)
        others = {**survey.headers, **{pack.id: pack.intact for pack in packs if pack.header}}
        for pack in damaged:
            others.pop(pack.id, None)
        without = {*survey.gone, *(survey.resized & survey.headers.keys())}
        without.update(pack.id for pack in packs if pack.id not in survey.unknown)
        if without or others or survey.unreadable:
            rewrite_indexes(
                repository,
                without=without,
                others=others.items(),
                unreadable=survey.unreadable,
                between=self.between,
            )

    def _snapshots_repaired(
        self,
        snapshots: Sequence[Snapshot],
        unreadable_ones: Mapping[str, IntegrityError],
        writer: RepositoryWriter,
    ) -> Generator[Found, None, int]:
        """Returns how many damaged ones are left."""
        repairer = SnapshotRepairer(self.repository, self.executor, between=self.between)
        damaged, others = self._looked_through(repairer, snapshots)
        left = len(damaged) + len(unreadable_ones)
        if others:
            yield self._warning(
                f"{self._ids(others)} {_are(len(others))} damaged too, and left alone, being no backups of this "
                "name: repair them by the URL of the repository."
            )
            left += len(others)
        for one in damaged:
            if one.left is None:
                yield self._problem(
                    f"Nothing is left of the backup {one.backup.id}: its root cannot be read."
                )
            elif one.repaired is None:
                lost: list[Lost] = []
                repairer.tree_of(one.snapshot, lost=lost, writer=None if self.dry_run else writer)
                for path, message in lost:
                    yield self._problem(message, path)
        if not self.dry_run:
            writer.flush()
        known = [*snapshots]
        made: dict[tuple[str, int, str], Snapshot] = {}
        for one in damaged:
            self.between()
            by = one.repaired
            if one.left is not None and by is None:
                key = one.left[0], one.snapshot.time_ns, one.snapshot.host
                by = made.get(key)
                if by is None and not self.dry_run:
                    fields = repaired_fields(one.snapshot, *one.left)
                    by = made[key] = Snapshot.parse(
                        fields, self.repository.save_snapshot(fields), where="memory"
                    )
                    known.append(by)
            removed = self.forget is not None and self.forget(one.backup)
            if removed and not self.dry_run:
                self._delete("snapshots", one.snapshot.id)
            left -= removed
            repaired = None if by is None else self._backup(by, known)
            yield self._repaired(one, repaired, removed=removed)
            yield Repaired(damaged=one.backup, by=repaired, removed=removed and not self.dry_run)
        for id, error in unreadable_ones.items():
            removed = self.forget is not None and self.forget(unreadable(id, self.repository.location))
            if removed and not self.dry_run:
                self._delete("snapshots", id)
            left -= removed
            what = (
                self._done("removed") if removed else "is left alone: put it back from a copy, or forget it"
            )
            yield self._problem(f"{error} What it held is not known; it {what}.")
        return left

    def _looked_through(
        self, repairer: SnapshotRepairer, snapshots: Sequence[Snapshot]
    ) -> tuple[Sequence[_Damaged], Sequence[Backup]]:
        """Those that are damaged, oldest first, and the backups that are not mine."""
        intact: list[tuple[Snapshot, Totals]] = []
        damaged: list[tuple[Snapshot, str, tuple[str, Totals] | None]] = []
        for called, snapshot in named(snapshots):
            lost: list[Lost] = []
            left = repairer.tree_of(snapshot, lost=lost)
            if lost or left is None:
                damaged.append((snapshot, called, left))
            else:
                intact.append((snapshot, left[1]))
        found: list[_Damaged] = []
        others: list[Backup] = []
        for snapshot, called, left in sorted(damaged, key=lambda one: one[0].time_ns):
            backup = snapshot.backup(called, self.repository.location)
            if not self.mine(backup):
                others.append(backup)
                continue
            same = (one for one, holds in intact if _is_what_is_left(one, holds, snapshot, left))
            found.append(_Damaged(snapshot=snapshot, backup=backup, left=left, repaired=next(same, None)))
        return found, others

    def _repaired(self, one: _Damaged, by: Backup | None, *, removed: bool) -> Problem:
        if one.repaired is not None and by is not None:
            message = f"The backup {one.backup.id} is damaged; {by.id} holds what is left of it"
        elif by is not None:
            message = f"What is left of the backup {one.backup.id} was stored as {by.id}"
        elif one.left is not None:
            message = f"What is left of the backup {one.backup.id} would be stored as another one"
        else:
            message = f"The backup {one.backup.id} cannot be repaired"
        what = self._done("removed") if removed else "stays"
        return self._warning(f"{message}; the damaged one {what}.")

    def _packs_forgotten(self, packs: Sequence[str]) -> Iterator[Problem]:
        """Delete damaged packs, now that nothing needs what is damaged in them."""
        for pack in packs:
            self.between()
            if not self.dry_run:
                self._delete("data", pack)
        yield from self._packs_told(packs, "damaged and of no more use", "deleted")

    def _delete(self, kind: ObjectKind, id: str) -> None:
        # Each time: after a sleep in between, somebody may have written what relies on the objects that are left.
        self.repository.check_lock()
        with suppress(ObjectNotFoundError):
            self.repository.objects.delete(kind, id)

    def _backup(self, snapshot: Snapshot, known: Iterable[Snapshot]) -> Backup:
        """As it will be listed."""
        called = next(called for called, one in named(known) if one.id == snapshot.id)
        return snapshot.detailed(snapshot.backup(called, self.repository.location))

    def _packs_told(self, packs: Collection[str], state: str, done: str) -> Iterator[Problem]:
        if packs:
            names = ", ".join(object_name("data", pack) for pack in sorted(packs)[:_SHOWN])
            more = f" and {len(packs) - _SHOWN} more" if len(packs) > _SHOWN else ""
            count = len(packs)
            they = "it" if count == 1 else "they"
            yield self._warning(f"{names}{more} {_are(count)} {state}: {they} {self._done(done, count)}.")

    def _ids(self, backups: Sequence[Backup]) -> str:
        more = f" and {len(backups) - _SHOWN} more" if len(backups) > _SHOWN else ""
        return ", ".join(f"{one.id} of {one.name}" for one in backups[:_SHOWN]) + more

    def _done(self, what: str, count: int = 1) -> str:
        return f"{'would be' if self.dry_run else 'was' if count == 1 else 'were'} {what}"

    def _warning(self, message: str) -> Problem:
        return self._problem(message, severity="warning")

    def _problem(self, message: str, path: str | None = None, *, severity: Severity = "error") -> Problem:
        return Problem(
            message=message,
            severity=severity,
            check="structure",
            path=path,
            destination=self.repository.location,
        )


def _is_what_is_left(
    one: Snapshot, holds: Totals, damaged: Snapshot, left: tuple[str, Totals] | None
) -> bool:
    """Whether this snapshot, of which nothing is lost, is the damaged one after a repair: by us, or by restic.

    It is not if it holds less: a run may have stored again since what was lost then.
    """
    if one.repaired and one.original == damaged.id:
        return left is None or all(has >= needs for has, needs in zip(holds, left[1], strict=True))
    same = (one.time_ns, one.host) == (damaged.time_ns, damaged.host)
    return left is not None and same and one.tree == left[0]


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
