"""`summary`, `--no-notify`, and a cleaning that is refused, as real processes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.shop import Shop

MODULE = """
from backupkit import AccessDeniedError, FileMemory, KeepLast, LocalDestination, NotificationError
from shop_backups import both, made, uploads

class Writes:
    on = (
        *("run succeeded", "clean succeeded", "verify succeeded", "drill passed", "drill failed", "unhealthy"),
        "summary",
    )

    def notify(self, notice):
        with open("told.txt", "a") as file:
            print(notice.occasion, notice.summary.destinations[0].count, file=file)

class Fails(Writes):
    def notify(self, notice):
        raise NotificationError("The mail server refused it.")

class Locked(LocalDestination):
    def delete(self, name):
        raise AccessDeniedError(f"{name} is locked.", location=self.location, name=name)

both.notifiers = (Writes(),)
both.memory = FileMemory("memory")
class Remembers:
    def recall(self, key):
        return "2026-01-01T00:00:00+00:00"

    def remember(self, key, text):
        with open("remembered.txt", "a") as file:
            print(key, file=file)

unheard = made([uploads])
unheard.memory = Remembers()
failing = made([uploads])
failing.notifiers = (Fails(),)
locked = made([uploads], [Locked("backups")])
"""


@pytest.fixture
def telling(saved: Shop) -> Shop:
    (saved.folder / "telling.py").write_text(MODULE)
    return saved


@pytest.fixture(scope="module")
def asked(unchanged: Shop) -> Shop:
    """One shared by tests that change nothing."""
    (unchanged.folder / "telling.py").write_text(MODULE)
    return unchanged


def told(shop: Shop) -> list[str]:
    file = Path(shop.folder / "told.txt")
    return file.read_text().splitlines() if file.exists() else []


def test_the_summary_is_a_line_for_each_contents_at_each_destination_and_all_problems(telling: Shop) -> None:
    telling.backupkit("run", "--app", "shop_backups:pipeline", "--only-db")
    done = telling.backupkit("summary", "--app", "telling:both")
    assert (done.returncode, done.stderr) == (0, ""), "unhealthy is for monitor to say"
    title, head, full, databases, nothing, problem = done.stdout.splitlines()
    assert re.fullmatch(r"The backups of shop at \S+Z:", title)
    assert head.split("  ")[0] == "CONTENTS"
    place = telling.backups.as_uri()
    assert re.fullmatch(rf"databases\+files  1 +[\d.]+ kB  \S+Z +\d minutes?  - +healthy    {place}", full)
    assert re.fullmatch(rf"databases        1 +\S+ k?B +\S+Z +\d minutes?  - +healthy    {place}", databases)
    assert re.fullmatch(
        rf"-                0 +- +- +- +- +unhealthy  {(telling.folder / 'more').as_uri()}", nothing
    )
    assert problem.startswith("  error: There is no good backup of files and databases.")
    assert told(telling) == []


def test_of_a_place_that_does_not_answer_no_number_is_told(asked: Shop) -> None:
    done = asked.backupkit("summary", "--app", "shop_backups:nowhere")
    line = done.stdout.splitlines()[2]
    assert re.split("  +", line)[:2] == ["-", "?"]


def test_the_summary_as_json_is_the_summary(asked: Shop) -> None:
    code, summary = asked.document("summary", "--app", "telling:both")
    assert (code, summary["name"]) == (0, "shop")
    [one, two] = summary["destinations"]
    assert (one["healthy"], two["healthy"]) == (True, False)
    assert one["series"][0]["contents"] == ["databases", "files"]
    assert one["series"][0]["growth"] is None


def test_the_summary_is_sent_to_who_wants_to_hear_it(telling: Shop) -> None:
    done = telling.backupkit("summary", "--app", "telling:both", "--send")
    assert done.returncode == 0
    assert done.stdout.startswith("The backups of shop at ")
    assert told(telling) == ["summary 1"]


def test_a_summary_that_could_not_be_sent_fails(asked: Shop) -> None:
    done = asked.backupkit("summary", "--app", "telling:failing", "--send")
    assert done.returncode == 1
    assert "The mail server refused it." in done.stderr


def test_a_summary_that_nobody_would_hear_is_not_sent(asked: Shop) -> None:
    done = asked.backupkit("summary", "--app", "telling:unheard", "--send")
    assert (done.returncode, done.stdout) == (2, "")
    assert "No notifier of shop wants to hear summaries" in done.stderr
    assert not (asked.folder / "remembered.txt").exists()  # so it still counts as missed


@pytest.mark.parametrize(
    ("verb", "heard"),
    [
        ("run", "run succeeded 3"),
        ("clean", "clean succeeded 1"),
        ("verify", "verify succeeded 1"),
        ("drill", "drill passed 1"),
        ("monitor", "unhealthy 1"),
    ],
)
def test_no_notify_silences_that_one_only(telling: Shop, verb: str, heard: str) -> None:
    silent = telling.backupkit(verb, "--app", "telling:both", "--no-notify")
    assert told(telling) == []
    aloud = telling.backupkit(verb, "--app", "telling:both")
    assert (aloud.returncode, told(telling)) == (silent.returncode, [heard])


@pytest.mark.parametrize("verb", ["clean", "monitor"])
def test_one_destination_can_be_cleaned_or_monitored_by_itself(asked: Shop, verb: str) -> None:
    _, report = asked.document(verb, "--app", "telling:both", "--at", "more")
    assert [one["location"] for one in report["destinations"]] == [(asked.folder / "more").as_uri()]


def test_a_cleaning_that_is_refused_tells_it_once_and_is_3(telling: Shop) -> None:
    telling.backupkit("run", "--app", "telling:locked")
    telling.backupkit("run", "--app", "telling:locked")
    done = telling.backupkit("clean", "--app", "telling:locked")
    assert (done.returncode, done.stdout) == (3, "")
    assert len(re.findall("error: The backup .* is locked", done.stderr)) == 1
