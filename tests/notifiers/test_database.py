"""Notifications are kept once each, unread until somebody says so, on every database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from backupkit import DatabaseHistory, DatabaseNotifier, Notice, NotificationError
from backupkit.notifiers.occasions import EVERYTHING
from backupkit.testing.notices import notice, problem, summary
from backupkit.testing.notifiers import NotifierTests
from tests.notifiers.notices import LOST, START, UNHEALTHY, cleaned
from tests.recording import KINDS, database_url, emptied, wire_to


@pytest.fixture(scope="module", params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with database_url(str(request.param), request, tmp_path_factory.mktemp("records")) as url:
        yield url


@pytest.fixture
def url(database: str) -> str:
    return emptied(database)


@pytest.fixture
def notifier(tmp_path: Path) -> DatabaseNotifier:
    return DatabaseNotifier(f"sqlite:///{tmp_path}/records.sqlite3")


def later(hours: int, name: str = "shop") -> Notice:
    return replace(LOST, time=START + timedelta(hours=hours), name=name)


def test_a_notification_says_what_happened_where_and_why(url: str) -> None:
    DatabaseNotifier(url).notify(UNHEALTHY)
    (found,) = DatabaseNotifier(url).unread()
    assert (found.time, found.name, found.occasion, found.read_at) == (START, "shop", "unhealthy", None)
    assert found.destination == "/mnt/caf\\udce9"
    assert found.message == "The newest backup is two days old."
    assert found.notice["reminder"] is True
    assert found.notice["since"] == "2026-11-22T03:00:00+00:00"


def test_a_summary_says_what_is_wrong_too(notifier: DatabaseNotifier) -> None:
    notifier.notify(notice("summary", summary=summary(problems=(problem("It is gone."),))))
    (found,) = notifier.unread()
    assert (found.occasion, found.message) == ("summary", "It is gone.")


def test_errors_stand_before_warnings(notifier: DatabaseNotifier) -> None:
    notifier.notify(LOST)
    assert notifier.list()[0].message == "It could not be read.\nIt grew."


def test_what_is_read_is_no_longer_unread(url: str) -> None:
    notifier = DatabaseNotifier(url)
    for hours in (1, 3, 2):
        notifier.notify(later(hours))
    newest, middle, oldest = notifier.unread()
    assert [(one.time - START) / timedelta(hours=1) for one in (newest, middle, oldest)] == [3, 2, 1]
    assert notifier.mark_read([middle.id, 999_999]) == 1
    assert notifier.mark_read([middle.id]) == 0
    assert notifier.mark_read([]) == 0
    assert [one.id for one in notifier.unread()] == [newest.id, oldest.id]
    assert (notifier.count(), notifier.count(unread=True)) == (3, 2)
    assert notifier.mark_all_read() == 2
    assert notifier.unread() == ()
    assert [one.id for one in notifier.list()] == [newest.id, middle.id, oldest.id]
    assert all(one.read_at is not None for one in notifier.list())


def test_unread_ones_may_come_first(url: str) -> None:
    notifier = DatabaseNotifier(url)
    for hours in range(4):
        notifier.notify(later(hours))
    newest, *_, oldest = notifier.list()
    notifier.mark_read([newest.id])
    found = notifier.list(unread_first=True)
    assert [(one.time - START) / timedelta(hours=1) for one in found] == [2, 1, 0, 3]
    assert notifier.list(unread_first=True, limit=1, skip=2) == (oldest,)


def test_reading_it_keeps_when_it_was_read_first(notifier: DatabaseNotifier) -> None:
    notifier.notify(LOST)
    notifier.mark_all_read()
    first = notifier.list()[0].read_at
    notifier.mark_all_read()
    assert notifier.list()[0].read_at == first


def test_a_list_is_of_one_pipeline_before_a_time_and_no_longer_than_asked(notifier: DatabaseNotifier) -> None:
    for hours in range(4):
        notifier.notify(later(hours))
        notifier.notify(later(hours, "other"))
    found = notifier.list(name="shop", before=START + timedelta(hours=3), limit=2)
    assert [(one.name, one.time) for one in found] == [
        ("shop", START + timedelta(hours=2)),
        ("shop", START + timedelta(hours=1)),
    ]
    assert len(notifier.list(limit=None)) == 8
    assert len(notifier.unread(limit=3)) == 3


def test_those_of_some_pipelines_are_told_apart_from_all_others(url: str) -> None:
    notifier = DatabaseNotifier(url)
    for hours, name in enumerate(["shop", "forum", "other", "shop"]):
        notifier.notify(later(hours, name))
    names = ["shop", "forum"]
    assert [one.name for one in notifier.list(name=names)] == ["shop", "forum", "shop"]
    assert [one.name for one in notifier.list(name=names, limit=1, skip=1)] == ["forum"]
    assert [one.name for one in notifier.unread(name="shop", skip=1)] == ["shop"]
    assert (notifier.count(name=names), notifier.count(name="other", unread=True)) == (3, 1)
    assert notifier.mark_read([one.id for one in notifier.list()][:2], name=names) == 1, "not the other's"
    assert notifier.mark_all_read(name=names, until=START) == 1, "not what came later"
    assert [(one.name, one.time - START) for one in notifier.unread()] == [
        ("other", timedelta(hours=2)),
        ("forum", timedelta(hours=1)),
    ]


def test_a_notice_that_is_told_again_is_kept_once(url: str) -> None:
    notifier = DatabaseNotifier(url)
    notifier.notify(LOST)
    notifier.mark_all_read()
    notifier.notify(LOST)
    assert (notifier.count(), notifier.count(unread=True)) == (1, 0)


def test_a_notice_of_many_backups_is_kept_shortened(notifier: DatabaseNotifier) -> None:
    notifier.notify(Notice(occasion="clean succeeded", name="shop", time=START, report=cleaned(200)))
    (found,) = notifier.list()
    assert len(found.notice["report"]["destinations"][0]["plan"]["keep"]) == 100
    assert found.notice["shortened"] is True


def test_notifications_and_reports_share_a_database(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/host.sqlite3")
    assert LOST.report is not None
    DatabaseNotifier(engine).notify(LOST)
    DatabaseHistory(engine).record(LOST.report)
    assert (DatabaseNotifier(engine).count(), DatabaseHistory(engine).count()) == (1, 1)
    assert set(sa.inspect(engine).get_table_names()) == {
        *("backupkit_notifications", "backupkit_reports", "backupkit_audit", "backupkit_memory")
    }
    engine.dispose()


def test_a_row_that_is_damaged_hides_no_other(notifier: DatabaseNotifier) -> None:
    notifier.notify(later(1))
    with notifier._records.begin() as connection:
        connection.execute(sa.text("UPDATE backupkit_notifications SET body = '{'"))
    notifier.notify(later(2))
    whole, damaged = notifier.list()
    assert whole.notice["name"] == "shop"
    assert (damaged.notice, damaged.message.splitlines()[-1]) == (
        {},
        "The rest of this notification is damaged.",
    )


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
def test_a_server_that_goes_away_in_the_middle_has_kept_nothing(url: str) -> None:
    with wire_to(url) as (wire, over_wire):
        wire.cut_at = b"INSERT INTO backupkit_notifications"
        with pytest.raises(NotificationError) as caught:
            DatabaseNotifier(over_wire).notify(LOST)
        assert caught.value.retryable
        assert DatabaseNotifier(url).count() == 0


def test_it_hears_everything_unless_told_otherwise_and_shows_no_password() -> None:
    notifier = DatabaseNotifier("postgresql://us3r:s3cret@host/db?password=s3cret")
    assert notifier.on == set(EVERYTHING)
    assert repr(notifier) == "DatabaseNotifier('postgresql://host/db')"
    assert DatabaseNotifier("sqlite:////tmp/x", on=["run failed"]).on == {"run failed"}


class TestConformance(NotifierTests):
    secrets = ("s3cret",)

    @pytest.fixture
    def notifier(self, url: str) -> DatabaseNotifier:
        return DatabaseNotifier(url)

    @pytest.fixture
    def refusing_notifier(self) -> DatabaseNotifier:
        return DatabaseNotifier("postgresql://shop:s3cret@127.0.0.1:1/shop")  # where nobody listens
