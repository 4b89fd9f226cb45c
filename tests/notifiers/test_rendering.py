"""What notifications say, and that nothing that others named can harm who reads it."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit import ConfigurationError, DestinationResult, DestinationSummary, NotificationError
from backupkit.model import Occasion
from backupkit.notifiers.languages import LANGUAGES, Words
from backupkit.notifiers.rendering import Message, Renderer
from backupkit.testing.notices import NOW, backup, notice, problem, report, summary

OCCASIONS: tuple[Occasion, ...] = get_args(Occasion)


def said(occasion: Occasion = "run succeeded", *, language: str = "en", **fields: object) -> Message:
    return Renderer(language=language).message(notice(occasion, **fields))


class Cells(HTMLParser):
    """The cells of all tables, in order, and every tag."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.tags: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.cells and self.tags[-1] in ("td", "th"):
            self.cells[-1] += data.strip()


# What each occasion says


@pytest.mark.parametrize(
    ("occasion", "subject", "level"),
    [
        ("run succeeded", "Backup of shop succeeded", "success"),
        ("run incomplete", "Backup of shop is incomplete", "warning"),
        ("run failed", "Backup of shop failed", "failure"),
        ("clean succeeded", "Old backups of shop were cleaned up", "success"),
        ("clean failed", "Cleaning up old backups of shop failed", "failure"),
        ("verify succeeded", "A backup of shop was verified", "success"),
        ("verify failed", "Verifying a backup of shop failed", "failure"),
        ("drill passed", "Restore drill of shop passed", "success"),
        ("drill failed", "Restore drill of shop failed", "failure"),
        ("healthy", "Backups of shop are healthy again at /mnt/backup", "success"),
        ("unhealthy", "Backups of shop are unhealthy at /mnt/backup", "failure"),
        ("summary", "Backups of shop: summary", "info"),
    ],
)
def test_the_subject_says_what_happened_to_which_pipeline(
    occasion: Occasion, subject: str, level: str
) -> None:
    message = said(occasion)
    assert (message.subject, message.level) == (subject, level)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("occasion", OCCASIONS)
def test_every_occasion_can_be_told_in_every_language_with_and_without_a_summary(
    occasion: Occasion, language: str
) -> None:
    subjects = {said(occasion, language=language, summary=known).subject for known in (None, summary())}
    assert len(subjects) == 1
    assert "%" not in said(occasion, language=language).text


def test_a_run_says_what_was_read_and_how_it_ended_at_each_destination() -> None:
    dead = DestinationResult(location="/mnt/usb", outcome="failed")
    done = DestinationResult(location="/mnt/backup", outcome="succeeded", backup=backup())
    gone = DestinationSummary(
        location="/mnt/usb", healthy=False, problems=(problem("It is gone.", check="Reachable"),)
    )
    message = said(report=report(destinations=(done, dead)), summary=summary(gone))
    assert Cells(message.html).cells == [
        *("Time", "2026-11-23 03:04 UTC"),
        *("Backup", "2026-11-23T03-00-00.000000Z", "Contents", "files and databases"),
        *("Entries", "12,345", "Read", "5 GB", "Took", "3 min 20 s"),
        *("Destination", "Outcome", "Size", "Backups", "Newest", "Used storage"),
        *("/mnt/backup", "succeeded", "1.2 GB", "7", "2026-11-23 03:00 UTC", "9 GB"),
        *("/mnt/usb", "failed", "–", "–", "–", "–"),
    ]


def test_a_chat_gets_the_same_as_fields() -> None:
    assert said("run incomplete").fields == (
        ("Problems", "Error: The file 'orders.csv' could not be read."),
        ("Backup", "2026-11-23T03-00-00.000000Z"),
        ("Contents", "files and databases"),
        ("Entries", "12,345"),
        ("Read", "5 GB"),
        ("Took", "3 min 20 s"),
        ("Destination", "/mnt/backup"),
        ("Outcome", "incomplete"),
        ("Size", "1.2 GB"),
        ("Backups", "7"),
        ("Newest", "2026-11-23 03:00 UTC"),
        ("Used storage", "9 GB"),
    )


def test_problems_are_read_first() -> None:
    message = said("run incomplete")
    for text in (message.text, message.html):
        places = [text.index(part) for part in ("but not all of it", "orders.csv", "Took", "Outcome")]
        assert places == sorted(places)


def test_what_is_not_known_of_the_other_backups_is_not_told() -> None:
    labels = [label for label, _ in said(summary=None).fields]
    assert labels == ["Backup", "Contents", "Entries", "Read", "Took", "Destination", "Outcome", "Size"]


def test_several_destinations_are_a_field_each() -> None:
    ends = tuple(DestinationResult(location=f"/mnt/{number}", outcome="succeeded") for number in range(7))
    fields = said(report=report(destinations=ends), summary=None).fields
    assert ("/mnt/0", "Outcome: succeeded\nSize: –") in fields
    assert fields[-1] == ("Destinations", "and 2 more")


def test_cleaning_says_what_went_what_stayed_and_what_was_refused() -> None:
    fields = dict(said("clean failed").fields)
    assert (fields["Freed"], fields["Removed"], fields["Kept"], fields["Refused"]) == (
        "2.5 GB",
        "1",
        "1",
        "1",
    )
    assert "could not be deleted: access denied." in fields["Problems"]


def test_a_backup_that_was_pinned_while_cleaning_was_under_way_counts_as_kept() -> None:
    cleaned = notice("clean succeeded").report
    assert cleaned is not None
    (result,) = cleaned.destinations
    assert result.plan is not None
    pinned = (
        f"The backup {result.plan.remove[0].backup.id} was pinned while cleaning was under way, and stays: x"
    )
    warned = replace(result, problems=(problem(pinned, severity="warning"),))
    fields = dict(said("clean succeeded", report=replace(cleaned, destinations=(warned,))).fields)
    assert (fields["Removed"], fields["Kept"], fields["Refused"]) == ("1", "2", "0")


def test_a_drill_says_how_long_the_restore_took_and_which_databases_went_where() -> None:
    message = said("drill passed")
    assert ("Restored in", "1 min 15 s") in message.fields
    assert "  db-dumps/mysql-shop.sql\n    Database: mysql://db/drill\n    Took: 12.3 s\n" in message.text


def test_unhealthy_says_where_since_when_and_what_failed() -> None:
    message = said("unhealthy", since=NOW - timedelta(hours=5))
    assert message.fields[1:4] == (
        ("Destination", "/mnt/backup"),
        ("Unhealthy since", "2026-11-22 22:04 UTC"),
        ("Unhealthy for", "5 hours"),
    )
    assert "- Error: There is no good backup of the databases alone." in message.text


def test_a_chat_is_told_the_destination_once() -> None:
    (here,) = summary().destinations
    one = replace(summary(), destinations=(replace(here, series=here.series[:1]),))
    labels = [label for label, _ in said("unhealthy", summary=one).fields]
    assert labels[1:5] == ["Destination", "Unhealthy since", "Contents", "Backups"], (
        "nor how long, as it begins"
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_reminder_reads_differently_from_the_beginning(language: str) -> None:
    beginning, reminder = (said("unhealthy", language=language, reminder=one) for one in (False, True))
    assert beginning.subject != reminder.subject
    assert beginning.lead != reminder.lead


def test_healthy_says_that_it_is_over_and_how_long_it_lasted() -> None:
    message = said("healthy")
    assert message.text.startswith("It is over:")
    assert ("Unhealthy for", "2 days 3 hours") in message.fields


def test_a_summary_shows_each_kind_of_backup_at_each_destination() -> None:
    cells = Cells(said("summary", time=NOW).html).cells
    assert cells[cells.index("/mnt/backup (healthy)") :] == [
        *("/mnt/backup (healthy)", "files and databases", "6", "2026-11-23 03:00 UTC", "4 minutes"),
        *("9 GB", "−5 MB"),
        *("/mnt/backup (healthy)", "databases only", "1", "–", "–", "2 kB", "–"),
    ]


def test_a_summary_of_unhealthy_destinations_says_how_many_and_why() -> None:
    gone = DestinationSummary(
        location="/mnt/usb", healthy=False, problems=(problem("It is gone.", check="Reachable"),)
    )
    message = said("summary", summary=summary(gone))
    assert (message.level, message.subject) == ("warning", "Backups of shop: summary, with problems")
    assert message.text.startswith("1 destination is unhealthy: see the problems.\n")
    assert "- Error: It is gone.\n" in message.text


# Languages, zones, numbers


def test_korean_texts_are_korean() -> None:
    message = said("run succeeded", language="ko")
    assert message.subject == "shop 백업 성공"
    assert "소요 시간: 3분 20초\n" in message.text
    assert "최신 백업: 2026년 11월 23일 03:00 (UTC)\n" in message.text
    assert '<html lang="ko">' in message.html


def test_messages_of_problems_stay_as_they_are() -> None:
    assert "- 오류: The file 'orders.csv' could not be read.\n" in said("run incomplete", language="ko").text


def test_times_are_told_in_the_zone_that_was_named() -> None:
    message = Renderer(language="ko", time_zone="Asia/Seoul").message(notice())
    assert "시각: 2026년 11월 23일 12:04 (KST)\n" in message.text


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(ConfigurationError, match='language \'kr\': use one of "en", "ko"'):
        Words.of("kr", "UTC")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (-1, "0.0 s"),
        (59.94, "59.9 s"),
        (59.95, "1 min 0 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 0 min"),
    ],
)
def test_how_long_it_took_is_told_in_the_units_of_its_size(seconds: float, text: str) -> None:
    assert Words.of("en", "UTC").took(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("age", "english", "korean"),
    [
        (timedelta(seconds=59), "less than a minute", "1분 미만"),
        (timedelta(minutes=-5), "less than a minute", "1분 미만"),
        (timedelta(minutes=1), "1 minute", "1분"),
        (timedelta(hours=1, minutes=2), "1 hour 2 minutes", "1시간 2분"),
        (timedelta(days=1, minutes=2), "1 day 2 minutes", "1일 2분"),
        (timedelta(days=2, hours=1, minutes=2), "2 days 1 hour", "2일 1시간"),
    ],
)
def test_an_age_is_told_in_its_two_largest_units(age: timedelta, english: str, korean: str) -> None:
    assert (Words.of("en", "UTC").age(age), Words.of("ko", "UTC").age(age)) == (english, korean)


@pytest.mark.parametrize(("count", "text"), [(5_000_000, "+5 MB"), (-1, "−1 B"), (0, "±0 B"), (None, "–")])
def test_growth_has_a_sign(count: int | None, text: str) -> None:
    assert Words.of("en", "UTC").growth(count) == text


# What others named


def test_names_are_escaped_in_html_and_control_characters_written_out() -> None:
    evil = "<script>alert(1)</script>\x1b[2J\u202e&\udcff"
    trouble = problem(f"It says {evil}", path=evil, destination="<b>")
    ends = (DestinationResult(location=evil, outcome="failed", problems=(trouble,)),)
    message = said("run failed", report=report(outcome="failed", problems=(trouble,), destinations=ends))
    assert {"script", "b"}.isdisjoint(Cells(message.html).tags)
    for text in (message.text, message.html, str(message.fields)):
        text.encode()
        assert "\x1b" not in text
        assert "\u202e" not in text


def test_a_name_with_line_breaks_is_one_line_of_the_subject() -> None:
    message = said(name="shop\r\nBcc: everybody@example.org\u2028x")
    assert message.subject == r"Backup of shop\r\nBcc: everybody@example.org\u2028x succeeded"


@given(st.text(st.characters()))
def test_whatever_a_problem_says_it_is_told_in_lines_of_visible_characters(text: str) -> None:
    trouble = (problem(text, path=text, destination=text),)
    message = said("run incomplete", report=report(outcome="incomplete", problems=trouble))
    for told in (message.text, message.html):
        assert all(line.isprintable() for line in told.split("\n"))
    assert all(part.isprintable() for pair in message.fields for one in pair for part in one.split("\n"))


def test_many_problems_are_cut_and_errors_stand_first() -> None:
    warnings = tuple(problem(f"Warning {number}.", severity="warning") for number in range(30))
    message = said("run incomplete", report=report(problems=(*warnings, problem("The error."))))
    assert message.text.index("- Error: The error.") < message.text.index("- Warning: Warning 0.")
    assert message.text.count("- Warning: ") == 19
    assert "\n- and 11 more\n" in message.text
    assert "<li>and 11 more</li>" in message.html
    assert dict(message.fields)["Problems"].endswith("Warning: Warning 3.\nand 26 more")


def test_long_texts_are_cut() -> None:
    trouble = (problem("x" * 100_000, path="y" * 100_000),)
    message = said("run incomplete", name="n" * 100_000, report=report(problems=trouble))
    assert len(message.subject) <= 200
    assert len(message.text) < 3_000
    assert all(len(value) < 1_000 for _, value in message.fields)


def test_many_destinations_are_cut() -> None:
    ends = tuple(DestinationResult(location=f"/mnt/{number}", outcome="succeeded") for number in range(60))
    message = said(report=report(destinations=ends), summary=None)
    assert "/mnt/49" in message.text
    assert "/mnt/50" not in message.text
    assert message.text.endswith("\nand 10 more\n")


def test_a_problem_that_stands_in_the_report_twice_is_told_once() -> None:
    message = said("run failed", report=report(problems=(problem("Gone."), problem("Gone."))))
    assert message.text.count("Gone.") == 1


def test_what_a_program_wrote_in_several_lines_stays_in_lines() -> None:
    message = said("run incomplete", report=report(problems=(problem("It failed:\nfirst\nsecond"),)))
    assert "- Error: It failed:\n  first\n  second\n" in message.text
    assert "It failed:<br>first<br>second" in message.html


# Templates of one's own


def own(folder: Path, **files: str) -> Renderer:
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text, encoding="utf-8")
    return Renderer(templates=folder)


def test_an_own_template_replaces_one_of_ours(tmp_path: Path) -> None:
    renderer = own(tmp_path, subject_txt="[shop.example] {{ subject }}\n")
    message = renderer.message(notice())
    assert message.subject == "[shop.example] Backup of shop succeeded"
    assert replace(message, subject="") == replace(said(), subject="")


def test_an_own_template_gets_everything_and_is_escaped(tmp_path: Path) -> None:
    template = "{{ notice.report.entries }} {{ level }} {{ facts[0][1] }} {{ _('Took') }} {{ '<b>' }}"
    message = own(tmp_path, message_html=template).message(notice())
    assert message.html == "12345 success 2026-11-23T03-00-00.000000Z Took &lt;b&gt;\n"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ nothing }}", "UndefinedError"),
        ("a\n{% if %}", "TemplateSyntaxError, line 2"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{% include 'gone.txt' %}", "TemplateNotFound"),
        ("{{ facts['x'].y }}", "UndefinedError"),
    ],
)
def test_a_broken_template_is_not_used_and_the_message_says_so(
    tmp_path: Path, template: str, reason: str
) -> None:
    renderer = own(tmp_path, message_txt=template)
    told = f"The template message.txt in {str(tmp_path)!r} is broken ({reason}"
    with pytest.raises(NotificationError, match=re.escape(told)):
        renderer.strictly(notice())
    message = renderer.message(notice())
    assert message.text.startswith(said().text)
    assert told in message.text
    assert dict(message.fields)["Template"].startswith(told)


def test_a_template_that_cannot_be_read_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "message.txt").write_bytes(b"\xff\xfe")
    assert said().text in Renderer(templates=tmp_path).message(notice()).text


def test_ours_are_used_where_the_folder_has_none(tmp_path: Path) -> None:
    assert Renderer(templates=tmp_path).message(notice()) == said()
