"""The pictures of what is stored where, and of what the next clean would do."""

from __future__ import annotations

from datetime import UTC, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from backupkit.integrations.asgi.pictures.figure import Picture, figure
from backupkit.integrations.asgi.pictures.retention import retention
from backupkit.integrations.asgi.pictures.storage import storage
from backupkit.integrations.asgi.standing.looks import Look
from backupkit.model import (
    Backup,
    DestinationOverview,
    DestinationSummary,
    Kept,
    Problem,
    Removed,
    RetentionPlan,
    SeriesSummary,
)
from tests.integrations.asgi.drawings import (
    DATABASES,
    FULL,
    GB,
    NOW,
    any_text,
    backup,
    backups,
    heard,
    table,
    taken_apart,
    tips,
)

DAY = timedelta(days=1)


def look(location: str, *series: SeriesSummary, problems: tuple[Problem, ...] = ()) -> Look:
    summary = DestinationSummary(location=location, healthy=True, series=series, problems=problems)
    return Look(
        location,
        DestinationOverview(location=location, time=NOW, backups=(), summary=summary, plan=RetentionPlan()),
    )


def series(contents: frozenset, count: int, stored: int) -> SeriesSummary:  # type: ignore[type-arg]
    return SeriesSummary(
        contents=contents, count=count, stored=stored, newest=None, oldest=backup(DAY), growth=None
    )


def test_storage_is_told_by_destination_and_contents() -> None:
    root = taken_apart(
        storage(
            [
                look("/mnt/backup", series(FULL, 2, 3 * GB), series(DATABASES, 30, GB)),
                look("s3://bucket", series(FULL, 1, 2 * GB)),
                Look("sftp://host/", None, "It does not answer."),
            ]
        )
    )
    assert root.findtext("figcaption/p") == "6 GB at 2 destinations. Not known yet: 1 destination."
    assert heard(root) == (
        "Storage by destination | /mnt/backup: files and databases 3 GB in 2 backups; databases 1 GB in 30 "
        "backups. s3://bucket: files and databases 2 GB in 1 backup."
    )
    assert table(root) == [
        ["/mnt/backup", "files and databases", "2", "3 GB"],
        ["/mnt/backup", "databases", "30", "1 GB"],
        ["/mnt/backup", "all", "32", "4 GB"],
        ["s3://bucket", "files and databases", "1", "2 GB"],
        ["sftp://host/", "has not answered", "", ""],
    ]
    assert tips(root, "k1")[1] == "databases: 1 GB\n30 backups"


def test_the_longest_bar_is_that_of_what_takes_most() -> None:
    root = taken_apart(storage([look("a", series(FULL, 1, 4 * GB)), look("b", series(FULL, 1, GB))]))
    assert [one.get("width") for one in root.iter() if one.get("class") == "k1"] == ["100%", "25%"]


def test_where_nothing_is_known_or_stored_there_is_a_sentence() -> None:
    assert storage([look("a")]).told == "Nothing is stored yet."
    silent = look("a", problems=(Problem(message="It is down.", check="Reachable"),))
    assert storage([silent]) == Picture(
        title="Storage by destination", told="Not known yet: 1 destination.", shape="half"
    )


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(any_text, st.integers(0, 10**18), st.integers(0, 10**9)), max_size=15))
def test_any_storage_can_be_drawn(places: list[tuple[str, int, int]]) -> None:
    taken_apart(storage([look(place, series(FULL, count, stored)) for place, stored, count in places]))


def drawn(plan: RetentionPlan, at: str = "/mnt/backup") -> Picture:
    return retention(plan, at=at, now=NOW, zone=UTC)


def test_what_the_next_clean_would_do_is_told_with_its_reasons() -> None:
    plan = RetentionPlan(
        keep=(
            Kept(backup(DAY), ("newest of 2026-11-22", "pinned: an audit")),
            Kept(backup(DAY * 2), ("newest of 2026-11-21",)),
            Kept(backup(DAY * 3), ("newest of 2026-11-20",)),
        ),
        remove=(Removed(backup(DAY * 90, 2 * GB), "older than all tiers"),),
    )
    root = taken_apart(drawn(plan))
    told = "3 of 4 backups stay: 3 GB. The next clean would remove 1, of 2 GB; the oldest is of 25 Aug 2026."
    assert root.findtext("figcaption/p") == told
    assert heard(root) == f"What stays, and why, at /mnt/backup | {told} newest of a day: 2. pinned: 1."
    assert table(root) == [
        ["files and databases", "keeps", "newest of a day", "2", "2 GB", "20 Nov 2026 to 21 Nov 2026"],
        ["files and databases", "keeps", "pinned", "1", "1 GB", "22 Nov 2026"],
        ["files and databases", "removes", "older than all tiers", "1", "2 GB", "25 Aug 2026"],
    ]
    assert tips(root, "leaves") == ["25 Aug 2026 12:00, 2 GB\nwould be removed: older than all tiers"]
    assert tips(root, "k8") == ["22 Nov 2026 12:00, 1 GB\nstays: newest of 2026-11-22; pinned: an audit"]


def test_without_backups_there_is_nothing_to_remove() -> None:
    assert drawn(RetentionPlan()).told == "There is nothing yet that could be removed."


def test_ten_thousand_that_stay_or_go_are_a_small_picture_that_counts_all() -> None:
    some = [backup(timedelta(hours=place)) for place in range(10_000)]
    stay = RetentionPlan(keep=tuple(Kept(one, ("kept by KeepAll, which keeps everything",)) for one in some))
    half = RetentionPlan(keep=stay.keep[::2], remove=tuple(Removed(one, "too old") for one in some[1::2]))
    for plan in (stay, half):
        picture = drawn(plan)
        assert len(figure(picture, "one")) < 60_000
        assert sum(int(row[3].replace(",", "")) for row in picture.rows) == 10_000


def test_marks_that_lie_together_are_one_that_counts_them() -> None:
    some = [backup(timedelta(days=1000, minutes=place)) for place in range(300)]
    root = taken_apart(drawn(RetentionPlan(remove=tuple(Removed(one, "too old") for one in some))))
    assert tips(root, "leaves") == ["300 would be removed, made 27 Feb 2024 to 27 Feb 2024\n300 × too old"]


@settings(max_examples=40, deadline=None)
@given(backups, backups, any_text)
def test_any_plan_can_be_drawn(keep: list[Backup], remove: list[Backup], text: str) -> None:
    plan = RetentionPlan(
        keep=tuple(Kept(one, (text, f"pinned: {text}")[: number % 3]) for number, one in enumerate(keep)),
        remove=tuple(Removed(one, text) for one in remove),
    )
    root = taken_apart(drawn(plan, text))
    assert sum(int(row[3]) for row in table(root)) == len(keep) + len(remove)
