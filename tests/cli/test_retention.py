"""`backupkit retention`, as a real process: what it would keep, in which sizes, and the picture."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from tests.cli.shop import Shop

APP = ("--app", "shop_backups:pipeline")
ID = r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{6}Z"


def test_retention_shows_what_would_be_kept_with_reasons_and_sizes_like_the_real_ones_and_changes_nothing(
    unchanged: Shop,
) -> None:
    before = unchanged.stored()
    done = unchanged.backupkit("retention", *APP, "--days", "9")
    assert (done.returncode, done.stderr) == (0, "")
    assert unchanged.stored() == before
    head, full, databases, *lanes = done.stdout.splitlines()
    assert head.startswith("Of 9 days, cleaned at 04:00 UTC, shop would keep 2 of 42 backups: ")
    _, listing = unchanged.document("list", "backups")
    (real,) = listing["backups"]
    assert re.fullmatch(
        rf"  run  full +03:00  every 1 day +[\d.]+ k?B +the size of {re.escape(real['id'])}", full
    )
    assert re.fullmatch(
        r"  run  databases +00:00  every 6 hours +500 MB +assumed, for want of a real one", databases
    )
    assert re.fullmatch(r"databases\+files: 1 kept, [\d.]+ k?B", lanes[0])
    assert re.fullmatch(rf"  keep  {ID}  [\d.]+ k?B  the newest good", lanes[1])
    assert lanes[2] == "databases: 1 kept, 500 MB"
    assert re.fullmatch(rf"  keep  {ID}-databases  500 MB  the newest good", lanes[3])


def test_retention_draws_a_picture_and_replaces_an_earlier_one(unchanged: Shop) -> None:
    for _ in range(2):
        done = unchanged.backupkit("retention", *APP, "--days", "3", "--plot", "kept.svg")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.endswith("\nThe picture is in kept.svg.\n")
        root = ET.parse(unchanged.folder / "kept.svg").getroot()  # noqa: S314 – it is ours
        assert root.tag == "{http://www.w3.org/2000/svg}svg"


def test_retention_never_draws_over_what_is_no_picture(unchanged: Shop) -> None:
    before = (unchanged.folder / "shop_backups.py").read_bytes()
    done = unchanged.backupkit("retention", *APP, "--plot", "shop_backups.py")
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr
        == "Error: --plot shop_backups.py would replace something that is no SVG picture: name another file.\n"
    )
    assert (unchanged.folder / "shop_backups.py").read_bytes() == before


def test_retention_as_json_is_the_simulation_and_its_schedule(unchanged: Shop) -> None:
    code, document = unchanged.document(
        *("retention", *APP, "--days", "5", "--clean-at", "12:00", "--time-zone", "Asia/Seoul"),
        *("--run", "full 03:30 every 2d 2GB", "--run", "databases 00:00 every 12 hours 10 MB"),
    )
    assert code == 0
    assert document["name"] == "shop"
    assert document["schedule"] == [
        {"at": "03:30", "every": 2 * 86_400.0, "only": None, "size": 2 * 10**9},
        {"at": "00:00", "every": 43_200.0, "only": "databases", "size": 10**7},
    ]
    kept = [one["backup"]["contents"] for one in document["backups"] if one["removed"] is None]
    assert kept == [["databases", "files"], ["databases"]]
    assert document["days"][-1]["time"].endswith("T12:00:00+09:00")
    assert (document["days"][-1]["count"], document["days"][-1]["stored"]) == (2, 2 * 10**9 + 10**7)


def test_retention_of_a_pipeline_without_databases_plans_its_files_alone(unchanged: Shop) -> None:
    done = unchanged.backupkit("retention", "--app", "shop_backups:nowhere", "--days", "3")
    assert (done.returncode, done.stderr) == (0, "")
    _, run, lane, _ = done.stdout.splitlines()
    assert run == "  run  full  03:00  every 1 day  500 MB  assumed, for want of a real one"
    assert lane == "files: 1 kept, 500 MB"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--run", "weekly"), "--run 'weekly' is no schedule: write what, when, how often and how large"),
        (("--run", "files 25:00"), "'25:00', which is no time of day"),
        (
            ("--app", "shop_backups:files_only", "--run", "databases 00:00"),
            "--run 'databases 00:00' has no sources: the pipeline backs up no databases.",
        ),
    ],
)
def test_retention_says_what_a_schedule_looks_like(
    unchanged: Shop, arguments: tuple[str, ...], message: str
) -> None:
    done = unchanged.backupkit("retention", *APP, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
