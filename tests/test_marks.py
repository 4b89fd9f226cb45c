from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from backupkit.destinations.local import LocalDestination
from backupkit.errors import AccessDeniedError, ConfigurationError
from backupkit.marks import apply, pin_for, read_marks, remove_marks, write_mark, write_pin
from backupkit.model import Backup, Pin, StoredObject
from backupkit.testing.destinations import Fault, FaultyDestination

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


# Pins

FOLDER = f"backupkit/shop/{BACKUP.id}"
AUDIT = Pin(reason="the audit of 2026", until=datetime(2027, 1, 1, tzinfo=UTC))


def test_the_name_of_a_pin_says_that_it_is_one_and_until_when(destination: LocalDestination) -> None:
    write_pin(destination, BACKUP, AUDIT, MONDAY)
    write_pin(destination, OTHER, Pin(reason="for good"), MONDAY)
    one = f"{FOLDER}-databases/2026-11-23T03-00-00.123456Z-pinned"
    two = f"{FOLDER}/2026-11-23T03-00-00.123456Z-pinned-until-2027-01-01T00-00-00.000000Z"
    assert names(destination) == [one, two]
    assert b"".join(destination.read(two)) == b'{"reason": "the audit of 2026"}\n'
    assert seen(destination).pin == AUDIT
    assert seen(destination, OTHER).pin == Pin(reason="for good")


def test_a_pin_is_beside_what_else_is_known_and_does_not_change_it(destination: LocalDestination) -> None:
    write_mark(destination, BACKUP, "damaged", MONDAY)
    write_pin(destination, BACKUP, AUDIT, TUESDAY)
    assert seen(destination) == replace(BACKUP, damaged=True, pin=AUDIT)


def test_the_newest_of_pins_and_unpinnings_counts(destination: LocalDestination) -> None:
    write_pin(destination, BACKUP, AUDIT, MONDAY)
    write_pin(destination, BACKUP, Pin(reason="longer"), TUESDAY)
    assert seen(destination).pin == Pin(reason="longer")
    write_pin(destination, BACKUP, None, TUESDAY + timedelta(days=1))
    assert seen(destination).pin is None
    write_pin(destination, BACKUP, AUDIT, TUESDAY + timedelta(days=2))
    assert seen(destination).pin == AUDIT


def test_what_is_said_last_counts_even_where_another_clock_was_ahead(destination: LocalDestination) -> None:
    write_pin(destination, BACKUP, AUDIT, TUESDAY)
    write_pin(destination, BACKUP, None, MONDAY)
    assert seen(destination).pin is None
    write_pin(destination, BACKUP, AUDIT, MONDAY)
    assert seen(destination).pin == AUDIT


def test_a_clock_at_the_end_of_the_calendar_keeps_nobody_from_pinning(destination: LocalDestination) -> None:
    destination.write(f"{FOLDER}/9999-12-31T23-59-59.999999Z-unpinned", [b"{}"])
    write_pin(destination, BACKUP, AUDIT, MONDAY)
    assert seen(destination).pin == AUDIT


def test_a_pin_counts_over_an_unpinning_of_the_same_time(destination: LocalDestination) -> None:
    for kind in ("pinned", "unpinned"):
        destination.write(f"{FOLDER}/2026-11-23T03-00-00.123456Z-{kind}", [b'{"reason": "?"}'])
    assert seen(destination).pin == Pin(reason="?")


def test_unpinning_what_is_not_pinned_writes_nothing(destination: LocalDestination) -> None:
    write_pin(destination, BACKUP, None, MONDAY)
    assert names(destination) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"reason": 1}',
        b'{"reason": ""}',
        b'{"reason": "a\\u001b[2J"}',
        b'{"reason": "\\ud800"}',
        b'{"reason": "' + b"x" * 501 + b'"}',
        b'{"reason": "' + b"x" * 100_000 + b'"}',
        b'{"reason": "hidden far behind"' + b" " * 100_000 + b"}",
        b"[" * 50_000,
        b"\xff",
    ],
)
def test_a_reason_that_cannot_be_read_does_not_unpin(destination: LocalDestination, body: bytes) -> None:
    destination.write(f"{FOLDER}/2026-11-23T03-00-00.123456Z-pinned", [body])
    assert seen(destination).pin == Pin(reason="its reason could not be read")


@pytest.mark.parametrize(
    "error", [AccessDeniedError("No.", location="here"), ZeroDivisionError("of a destination that is broken")]
)
def test_a_reason_that_may_not_be_read_does_not_unpin(
    destination: LocalDestination, error: Exception
) -> None:
    write_pin(destination, BACKUP, AUDIT, MONDAY)
    faulty = FaultyDestination(destination, [Fault(method="read", does=error, call=None)])
    assert apply(read_marks(faulty, None), BACKUP).pin == replace(
        AUDIT, reason="its reason could not be read"
    )


def test_only_the_reasons_of_pins_in_force_are_read(destination: LocalDestination) -> None:
    write_mark(destination, BACKUP, "verified", MONDAY)
    write_pin(destination, BACKUP, AUDIT, MONDAY)
    write_pin(destination, BACKUP, replace(AUDIT, reason="another"), TUESDAY)
    write_pin(destination, OTHER, AUDIT, MONDAY)
    write_pin(destination, OTHER, None, TUESDAY)
    counting = FaultyDestination(destination)
    read_marks(counting, "shop")
    assert (counting.calls["list"], counting.calls["read"]) == (1, 1)


@pytest.mark.parametrize("until", ["2027-13-01T00-00-00.000000Z", "2027-01-01", "soon"])
def test_a_pin_until_no_time_is_no_known_mark(destination: LocalDestination, until: str) -> None:
    destination.write(f"{FOLDER}/2026-11-23T03-00-00.123456Z-pinned-until-{until}", [b"{}"])
    assert seen(destination) == BACKUP


def test_no_other_mark_ends(destination: LocalDestination) -> None:
    destination.write(
        f"{FOLDER}/2026-11-23T03-00-00.123456Z-damaged-until-{'2027-01-01T00-00-00.000000Z'}", [b""]
    )
    assert seen(destination) == BACKUP


def test_pins_go_with_the_other_marks_of_a_backup(destination: LocalDestination) -> None:
    for pin in (AUDIT, None, Pin(reason="for good")):
        write_pin(destination, BACKUP, pin, MONDAY)
    remove_marks(destination, BACKUP.name, BACKUP.id)
    assert names(destination) == []


def test_a_pin_is_made_of_a_reason_in_one_line_and_a_time_to_come_in_utc() -> None:
    seoul = timezone(timedelta(hours=9))
    pin = pin_for("  감사 2026  ", datetime(2027, 1, 1, 9, tzinfo=seoul), now=MONDAY)
    assert pin == Pin(reason="감사 2026", until=datetime(2027, 1, 1, tzinfo=UTC))
    assert pin.until is not None
    assert pin.until.tzinfo is UTC
    assert pin_for("x" * 500, None, now=MONDAY).until is None


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "\x1b[2J", "x" * 501, "\ud800", None, 1])
def test_a_reason_that_says_nothing_or_would_garble_a_listing_is_refused(reason: str) -> None:
    with pytest.raises(ConfigurationError, match="does not say why the backup is pinned: use one line"):
        pin_for(reason, None, now=MONDAY)


@pytest.mark.parametrize(
    ("until", "flaw"),
    [
        (datetime(2027, 1, 1), "is not clear"),
        (MONDAY, "has passed"),
        (datetime.max.replace(tzinfo=timezone(-timedelta(hours=9))), "is too far away"),
        ("2027-01-01", "is not clear"),
    ],
)
def test_an_end_that_is_not_clear_or_has_passed_is_refused(until: datetime, flaw: str) -> None:
    with pytest.raises(ConfigurationError, match=flaw):
        pin_for("audit", until, now=MONDAY)
