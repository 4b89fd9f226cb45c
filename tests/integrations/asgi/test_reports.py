"""The history and single reports on the page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from backupkit import BackupPipeline, DatabaseHistory, Directory, Problem, Report
from backupkit.integrations.asgi import BackupManager
from backupkit.integrations.asgi.standing.records import Found, Ledger, part_of
from backupkit.testing.notices import backup, cleaned, notice, problem, report
from tests.integrations.asgi.visitor import Browser, as_said
from tests.notifiers.notices import cleaned as cleaned_many


def history_of(pipeline: BackupPipeline) -> DatabaseHistory:
    assert isinstance(pipeline.history, DatabaseHistory)
    return pipeline.history


def pipeline(name: str, folder: Path, history: object = None) -> BackupPipeline:
    return BackupPipeline(
        name,
        Directory(folder),
        folder / name,
        encryptor=None,
        history=history,  # type: ignore[arg-type]
    )


@pytest.fixture
def several(tmp_path: Path) -> Iterator[Browser]:
    """Two pipelines that share a database with another application, one with its own, one without."""
    shared = f"sqlite:///{tmp_path}/shared.sqlite3"
    made = BackupManager(
        {
            "shop": pipeline("shop", tmp_path, DatabaseHistory(shared)),
            "board": pipeline("forum", tmp_path, DatabaseHistory(shared)),
            "wiki": pipeline("wiki", tmp_path, DatabaseHistory(f"sqlite:///{tmp_path}/wiki.sqlite3")),
            "blog": pipeline("blog", tmp_path),
        },
        authorize=as_said,
        secret="not to be guessed",
    )
    yield Browser(made)
    made.close()


def recorded(browser: Browser, name: str, *reports: Report) -> list[str]:
    """Their addresses, the newest first."""
    history = browser.manager.page.history_of(name)
    assert history is not None
    for one in reports:
        history.record(one)
    return [f"/history/{one.id}" for one in history.recorded(reports[0].name)]


def test_an_operation_is_told_with_its_outcome_and_leads_to_its_report(browser: Browser) -> None:
    (ended,) = browser.manager.page.pipelines["shop"].run().destinations
    assert ended.backup is not None
    listed = browser.get("/history")
    assert listed.status_code == 200
    assert '<span class="badge good">succeeded</span>' in listed.text
    (run,) = history_of(browser.manager.page.pipelines["shop"]).recorded()
    assert f'href="/history/{run.id}"' in listed.text
    shown = browser.get(f"/history/{run.id}")
    assert f'href="/pipelines/shop/backups/{ended.backup.id}?at=' in shown.text
    assert "files and databases" in shown.text


def test_operations_of_all_databases_stand_in_one_list_newest_first(several: Browser) -> None:
    began = report().started
    for hours, (page_name, own) in enumerate(
        [("wiki", "wiki"), ("shop", "shop"), ("wiki", "wiki"), ("board", "forum")]
    ):
        recorded(several, page_name, replace(report(), name=own, started=began + timedelta(hours=hours)))
    text = several.get("/history").text
    places = [
        text.index(f'aria-label="run of {name}, 2026-11-23 0{hour}')
        for name, hour in [("board", 6), ("wiki", 5), ("shop", 4), ("wiki", 3)]
    ]
    assert places == sorted(places)


def test_operations_of_another_application_in_the_same_database_are_none_of_this_page(
    several: Browser,
) -> None:
    recorded(several, "shop", report())
    (other,) = recorded(several, "shop", replace(report(), name="theirs"))
    assert "theirs" not in several.get("/history").text
    answer = several.get(other)
    assert answer.status_code == 404
    assert "There is no such report" in answer.text


def test_a_list_is_of_one_pipeline_operation_and_outcome(several: Browser) -> None:
    recorded(several, "shop", report(), report("verify", "failed"), report("drill"))
    recorded(several, "wiki", replace(report("verify", "failed"), name="wiki"))
    text = several.get("/history?pipeline=shop&operation=verify&outcome=failed").text
    assert text.count('aria-label="verify of shop') == 1
    assert "run of shop" not in text
    assert "of wiki" not in text
    assert "Nothing fits that" in several.get("/history?pipeline=board").text


def test_pages_have_fifty_operations(several: Browser) -> None:
    began = report().started
    reports = [replace(report(), started=began + timedelta(minutes=number)) for number in range(120)]
    recorded(several, "shop", *reports)
    recorded(several, "wiki", *(replace(one, name="wiki") for one in reports[:10]))
    first, last = (
        several.get("/history?operation=run").text,
        several.get("/history?operation=run&page=3").text,
    )
    assert (first.count('aria-label="run of '), last.count('aria-label="run of ')) == (50, 30)
    assert "1 to 50 of 130" in first
    assert 'href="/history?page=2&amp;operation=run"' in first
    assert last.count("run of wiki") == 10, "these are the oldest, and in a database of their own"
    assert several.get("/history?operation=run&page=9").text.count('aria-label="run of ') == 0


def test_a_list_goes_back_ten_thousand_rows_and_asks_for_none_beyond(tmp_path: Path) -> None:
    ledger = Ledger(0, DatabaseHistory(f"sqlite:///{tmp_path}/never.sqlite3"), {})

    def part(skip: int) -> Found[int]:
        return part_of(
            [ledger],
            rows=lambda _, limit, skip: range(20_000)[skip : skip + limit],
            count=lambda _: 20_000,
            order=lambda number: -number,
            limit=50,
            skip=skip,
        )

    assert [*part(9_980).rows] == [*range(9_980, 10_000)]
    assert (part(9_980).count, [*part(10_500).rows]) == (10_000, [])


def test_a_pipeline_without_a_history_is_named_with_how_to_get_one(several: Browser) -> None:
    text = several.get("/history").text
    assert "Of blog, no history is kept." in text
    assert "history=DatabaseHistory(url)" in text


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("pipeline=nowhere", 404),
        ("operation=fly", 400),
        ("outcome=%00", 400),
        ("page=-1", 400),
        ("page=x", 400),
        ("page=0", 200),
        ("page=999999999", 200),
        ("page=9999999999", 400),
    ],
)
def test_what_a_list_is_asked_for_is_looked_up_first(browser: Browser, query: str, status: int) -> None:
    assert browser.get(f"/history?{query}").status_code == status


@pytest.mark.parametrize("id_", ["x", "0" * 64, "%00", "..%2f..", "é" * 64, "'" * 64])
def test_there_is_no_report_of_an_unknown_id(browser: Browser, id_: str) -> None:
    assert browser.get(f"/history/{id_}").status_code == 404


def test_a_database_that_fails_is_told_beside_what_the_others_have(several: Browser, tmp_path: Path) -> None:
    (there,) = recorded(several, "wiki", replace(report(), name="wiki"))
    (tmp_path / "shared.sqlite3").write_bytes(b"no database" * 100)
    answer = several.get("/history")
    assert answer.status_code == 200
    assert "shared.sqlite3 could not be used" in answer.text
    assert "run of wiki" in answer.text
    assert several.get(there).status_code == 200
    unknown = several.get(f"/history/{'0' * 64}")
    assert (unknown.status_code, "could not be used" in unknown.text) == (502, True)


def test_each_problem_stands_once_and_errors_stand_first(several: Browser) -> None:
    warning, error = problem("It grew.", severity="warning"), problem("It is lost.", path="app/caf\udce9")
    (place,) = recorded(several, "shop", report("run", "incomplete", problems=(warning, error, warning)))
    text = several.get(place).text
    assert "2 problems" in text
    assert (text.count("It grew."), text.count("It is lost.")) == (1, 1)
    assert text.index("It is lost.") < text.index("It grew.")
    assert "(app/caf?)" in text


def test_what_a_report_says_is_escaped(several: Browser) -> None:
    (place,) = recorded(
        several, "shop", report("run", "failed", problems=(Problem(message="<script>alert(1)"),))
    )
    assert "<script>alert" not in several.get(place).text


def test_a_drill_tells_how_long_everything_took(several: Browser) -> None:
    drill = notice("drill passed").report
    assert drill is not None
    (place,) = recorded(several, "shop", drill)
    text = several.get(place).text
    assert "The restore took</dt><dd>1 minute" in text
    assert "db-dumps/mysql-shop.sql" in text
    assert "12 seconds" in text


def test_a_clean_tells_what_was_to_go_and_why(several: Browser) -> None:
    (place,) = recorded(several, "shop", cleaned(refused=True))
    text = several.get(place).text
    assert "<dt>Kept</dt><dd>1</dd>" in text
    assert text.count("too old") == 2
    assert "access denied" in text


def test_what_a_clean_of_a_thousand_backups_kept_is_counted_and_not_listed(several: Browser) -> None:
    (place,) = recorded(several, "shop", cleaned_many(1_000))
    text = several.get(place).text
    assert "<dt>Kept</dt><dd>1,000</dd>" in text
    assert len(text) < 10_000


def test_a_backup_that_was_deleted_is_no_link(several: Browser) -> None:
    (place,) = recorded(several, "shop", report("delete"))
    text = several.get(place).text
    assert backup().id in text
    assert "/pipelines/shop/backups/" not in text
