from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from backupkit.destinations.local import LocalDestination
from backupkit.marks import apply, read_marks, remove_marks, write_mark
from backupkit.model import Backup, StoredObject

MONDAY = datetime(2026, 11, 23, 3, 0, 0, 123456, tzinfo=UTC)
TUESDAY = MONDAY + timedelta(days=1)

BACKUP = Backup(
    id="2026-11-22T03-00-00.000000Z",
    name="shop",
    time=datetime(2026, 11, 22, 3, tzinfo=UTC),
    contents=frozenset({"files", "databases"}),
    location="/mnt/backup",
    complete=True,
    stored=1,
)
OTHER = replace(BACKUP, id="2026-11-22T03-00-00.000000Z-databases", contents=frozenset({"databases"}))
ELSEWHERE = replace(BACKUP, name="blog")


@pytest.fixture
def destination(tmp_path: Path) -> LocalDestination:
    return LocalDestination(tmp_path)


def names(destination: LocalDestination) -> list[str]:
    return [stored.name for stored in destination.list()]


def seen(destination: LocalDestination, backup: Backup = BACKUP) -> Backup:
    return apply(read_marks(destination, None), backup)


def test_the_name_of_the_object_carries_the_mark(destination: LocalDestination) -> None:
    write_mark(destination, BACKUP, "verified", MONDAY)
    name = "backupkit/shop/2026-11-22T03-00-00.000000Z/2026-11-23T03-00-00.123456Z-verified"
    assert names(destination) == [name]
    assert b"".join(destination.read(name)) == b"{}\n"


def test_a_mark_is_written_in_utc(destination: LocalDestination) -> None:
    write_mark(destination, BACKUP, "verified", MONDAY.astimezone(timezone(timedelta(hours=9))))
    assert seen(destination).verified == MONDAY
    assert names(destination)[0].endswith("/2026-11-23T03-00-00.123456Z-verified")


def test_the_same_mark_can_be_written_again(destination: LocalDestination) -> None:
    write_mark(destination, BACKUP, "verified", MONDAY)
    write_mark(destination, BACKUP, "verified", MONDAY)
    assert len(names(destination)) == 1


def test_a_backup_without_marks_is_as_it_was(destination: LocalDestination) -> None:
    write_mark(destination, BACKUP, "damaged", MONDAY)
    assert seen(destination, OTHER) is OTHER
    assert seen(destination, ELSEWHERE) is ELSEWHERE


def test_the_newest_verification_is_when_the_backup_was_verified(destination: LocalDestination) -> None:
    write_mark(destination, BACKUP, "verified", TUESDAY)
    write_mark(destination, BACKUP, "verified", MONDAY)
    assert seen(destination) == replace(BACKUP, verified=TUESDAY, damaged=False)


def test_damage_found_after_a_verification_counts(destination: LocalDestination) -> None:
    write_mark(destination, BACKUP, "verified", MONDAY)
    write_mark(destination, BACKUP, "damaged", TUESDAY)
    assert seen(destination) == replace(BACKUP, verified=None, damaged=True)
    assert not seen(destination).good


def test_a_verification_after_damage_counts(destination: LocalDestination) -> None:
    write_mark(destination, BACKUP, "damaged", MONDAY)
    write_mark(destination, BACKUP, "verified", TUESDAY)
    assert seen(destination) == replace(BACKUP, verified=TUESDAY, damaged=False)


def test_damage_counts_if_both_marks_are_of_the_same_time(destination: LocalDestination) -> None:
    write_mark(destination, BACKUP, "verified", MONDAY)
    write_mark(destination, BACKUP, "damaged", MONDAY)
    assert seen(destination).damaged


def test_marks_of_one_name_are_read_by_themselves(destination: LocalDestination) -> None:
    write_mark(destination, BACKUP, "verified", MONDAY)
    write_mark(destination, ELSEWHERE, "verified", MONDAY)
    write_mark(destination, replace(BACKUP, name="shop-2"), "verified", MONDAY)
    assert set(read_marks(destination, "shop")) == {("shop", BACKUP.id)}
    assert {name for name, _ in read_marks(destination, None)} == {"blog", "shop", "shop-2"}


@pytest.mark.parametrize(
    "foreign",
    [
        "backupkit/shop/2026-11-22T03-00-00.000000Z.zip",
        "backupkit/shop/2026-11-22T03-00-00.000000Z/notes.txt",
        "backupkit/shop/2026-11-22T03-00-00.000000Z/2026-13-23T03-00-00.123456Z-damaged",
        "backupkit/shop/2026-11-22T03-00-00.000000Z/2026-11-23T03-00-00Z-damaged",
        "backupkit/shop/2026-11-22T03-00-00.000000Z/2026-11-23T03-00-00.123456Z-damaged.old",
        "backupkit/shop/2026-11-22T03-00-00.000000Z/2026-11-23T03-00-00.123456Z-vouched",
        "backupkit/shop/2026-11-22T03-00-00.000000Z/deeper/2026-11-23T03-00-00.123456Z-damaged",
    ],
)
def test_an_object_that_is_not_a_known_mark_changes_nothing(
    destination: LocalDestination, foreign: str
) -> None:
    destination.write(foreign, [b"?"])
    assert seen(destination) == BACKUP


def test_removing_the_marks_of_a_backup_leaves_all_other_objects(destination: LocalDestination) -> None:
    notes = f"backupkit/shop/{BACKUP.id}/notes.txt"
    destination.write(notes, [b"?"])
    write_mark(destination, OTHER, "damaged", MONDAY)
    others = names(destination)
    write_mark(destination, BACKUP, "verified", MONDAY)
    write_mark(destination, BACKUP, "damaged", TUESDAY)
    destination.write(f"backupkit/shop/{BACKUP.id}/2026-11-23T03-00-00.123456Z-vouched", [b"{}\n"])
    remove_marks(destination, BACKUP.name, BACKUP.id)
    assert names(destination) == others


class Contended(LocalDestination):
    """Someone else deletes whatever is listed here before the caller can."""

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        for stored in [*super().list(prefix)]:
            self.delete(stored.name)
            yield stored


def test_removing_marks_that_someone_else_removes_too_is_no_error(tmp_path: Path) -> None:
    for time in (MONDAY, TUESDAY):
        write_mark(LocalDestination(tmp_path), BACKUP, "verified", time)
    remove_marks(Contended(tmp_path), BACKUP.name, BACKUP.id)
    assert names(LocalDestination(tmp_path)) == []


def test_removing_marks_that_are_not_there_is_no_error(destination: LocalDestination) -> None:
    remove_marks(destination, BACKUP.name, BACKUP.id)
