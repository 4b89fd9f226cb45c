"""The picture of how large backups were."""

from __future__ import annotations

import re
from datetime import UTC, timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as st

from backupkit.health import SizeAnomaly
from backupkit.integrations.asgi.pictures.figure import Picture, figure
from backupkit.integrations.asgi.pictures.sizes import sizes
from backupkit.model import Backup, RepositoryState
from tests.integrations.asgi.drawings import (
    DATABASES,
    FULL,
    GB,
    NOW,
    any_text,
    backup,
    backups,
    days,
    heard,
    table,
    taken_apart,
    tips,
)


def drawn(some: list[Backup], at: str = "/mnt/backup") -> Picture:
    return sizes(some, at=at, now=NOW, zone=UTC)


def test_what_is_seen_is_told_and_stands_in_a_table() -> None:
    root = taken_apart(
        drawn(
            [
                *days([GB] * 7 + [3 * GB]),
                backup(timedelta(hours=1), GB // 2, complete=False),
                backup(timedelta(hours=2), GB, damaged=True, contents=DATABASES),
            ]
        )
    )
    assert root.findtext("figcaption/h3") == "Size of the backups at /mnt/backup"
    assert root.findtext("figcaption/p") == (
        "10 backups since 16 Nov 2026: 1 unusually large, 1 damaged, 1 incomplete."
    )
    assert heard(root) == (
        "Size of the backups at /mnt/backup | Files and databases: 9 backups, 500 MB to 3 GB; the newest, "
        "of 23 Nov 2026 12:00, has 3 GB. Databases: 1 backup, all of 1 GB; the newest, of 23 Nov 2026 10:00, "
        "has 1 GB."
    )
    assert table(root)[:3] == [
        ["files and databases", "23 Nov 2026 12:00", "1", "3 GB", "unusually large: 1 GB is usual"],
        ["files and databases", "23 Nov 2026 11:00", "1", "500 MB", "incomplete"],
        ["files and databases", "22 Nov 2026 12:00", "1", "1 GB", ""],
    ]
    assert table(root)[-1] == ["databases", "23 Nov 2026 10:00", "1", "1 GB", "damaged"]


def test_each_sort_has_a_shape_of_its_own_and_the_legend_names_it() -> None:
    root = taken_apart(
        drawn(
            [
                *days([GB] * 7 + [3 * GB, GB // 3]),
                backup(timedelta(hours=1), complete=False),
                backup(timedelta(hours=2), complete=None),
                backup(timedelta(hours=3), damaged=True),
            ]
        )
    )
    legend = [item.find("*/*") for item in root.iterfind("ul/li")]
    shapes = {item[0].get("d", "circle") for item in legend if item is not None}
    words = ["".join(item.itertext()) for item in root.iterfind("ul/li")]
    assert words == [
        "unusually large (1)",
        "unusually small (1)",
        "damaged (1)",
        "incomplete (1)",
        "not known whether complete (1)",
    ]
    assert len(shapes) == len(words)


def test_without_backups_there_is_a_sentence_and_no_drawing() -> None:
    assert drawn([]) == Picture(
        title="Size of the backups at /mnt/backup", told="There are no backups here yet."
    )


def test_backups_from_the_future_are_left_out() -> None:
    assert "1 backup since" in drawn([backup(timedelta(0)), backup(timedelta(days=-9))]).told


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([90, 100, 110, 300, 30]), st.booleans(), st.integers(0, 5).map(bool)),
        max_size=22,
    )
)
@example([(100, True, True)] * 6 + [(300, True, True)])
@example([(100, True, True)] * 7 + [(300, True, True), (30, True, True), (100, True, False)])
def test_anomalies_are_marked_exactly_where_the_health_check_spoke(
    drawn_: list[tuple[int, bool, bool]],
) -> None:
    count = len(drawn_)
    history = [
        backup(timedelta(days=count - place), size, complete=complete or size > 100, contents=contents)
        for place, (size, complete, full) in enumerate(drawn_)
        for contents in [FULL if full else DATABASES]
    ]
    spoke = set()
    for newest in range(1, count + 1):
        state = RepositoryState(
            location="/mnt/backup",
            backups=tuple(reversed(history[:newest])),
            contents=FULL,
            now=history[newest - 1].time,
        )
        one = history[newest - 1]
        check = SizeAnomaly(contents=None if one.contents == FULL else "databases")
        if one.good and [*check.problems(state)]:
            spoke.add(f"{one.time:%-d %b %Y %H:%M}")
    picture = drawn(history)
    marked = {row[1] for row in picture.rows if "unusually" in row[4]}
    assert marked == spoke
    if history:
        pointed = [tip.split("\n")[0] for tip in tips(taken_apart(picture), "mark") if "unusually" in tip]
        assert set(pointed) == spoke


def test_a_rule_of_the_pipelines_own_is_followed() -> None:
    some = days([100] * 3 + [160])
    assert (
        sizes(some, at="x", now=NOW, zone=UTC, rule=lambda contents: SizeAnomaly(least=3))
        .rows[0][4]
        .startswith("unusually large")
    )
    assert drawn(some).rows[0][4] == ""


def test_no_peak_is_lost_among_ten_thousand_and_the_picture_is_small() -> None:
    sizes_ = [GB + place % 7 for place in range(10_000)]
    sizes_[5_001], sizes_[7_003] = 4 * GB, 0
    many = [
        backup(timedelta(minutes=30 * place), size, complete=place % 9 != 0)
        for place, size in enumerate(sizes_)
    ]
    picture = drawn([*many, *(backup(timedelta(hours=place), GB, contents=DATABASES) for place in range(99))])
    assert len(figure(picture, "one")) < 60_000
    curve = re.search(r'<path d="M([^"]*)" class="curve"', picture.drawing)
    assert curve is not None
    heights = [float(point.split()[1]) for point in curve[1].split("L")]
    assert (min(heights), max(heights)) == (0, 76)
    assert "4 GB" in "".join(row[3] for row in picture.rows)


@settings(max_examples=50, deadline=None)
@given(backups, any_text)
def test_any_backups_can_be_drawn(some: list[Backup], at: str) -> None:
    root = taken_apart(drawn(some, at))
    told = sum(int(row[2].replace(",", "")) for row in table(root))
    assert told == sum(one.time <= NOW + timedelta(minutes=10) for one in some)
