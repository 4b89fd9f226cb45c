"""One pipeline and everybody who is told of it, real ones: mail, chats, a webhook, a ping, two databases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from standardwebhooks import Webhook

from backupkit import (
    EVERYTHING,
    AppriseNotifier,
    BackupPipeline,
    DatabaseHistory,
    DatabaseNotifier,
    DeadManPing,
    Delivery,
    MaximumAge,
    SourceError,
    WebhookNotifier,
)
from backupkit.testing.destinations import MemoryDestination
from tests.notifiers.receiving import (
    DISCORD,
    HERE,
    SLACK,
    Mailbox,
    Receiver,
    http_server,
    mail_server,
    redirect,
)
from tests.pipeline.shop import Clock, Make, Scripted

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass
class World:
    """Where they are told, and the pipeline that tells them."""

    mailbox: Mailbox
    chats: Receiver
    hook: Receiver
    watch: Receiver
    refusing: Receiver
    hanging: Receiver
    table: DatabaseNotifier
    history: DatabaseHistory
    pipeline: BackupPipeline = field(init=False)

    def heard(self) -> dict[str, list[str]]:
        """What each was told, by subject or by occasion."""
        slack = [one for one in self.chats.payloads if "attachments" in one]
        discord = [one for one in self.chats.payloads if "embeds" in one]
        verified = [Webhook(SECRET).verify(one.body, dict(one.headers)) for one in self.hook.requests]
        return {
            "mail": [str(mail["Subject"]) for mail in self.mailbox.mails],
            "slack": [one["attachments"][0]["fallback"] for one in slack],
            "discord": [one["embeds"][0]["title"].replace("\\", "") for one in discord],
            "webhook": [one["occasion"] for one in verified],
            "database": [one.occasion for one in reversed(self.table.list())],
        }


@pytest.fixture
def app() -> Scripted:
    return Scripted("app", {"app/a": b"aaa"})


@pytest.fixture
def world(
    make: Make, app: Scripted, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    with (
        mail_server() as mailbox,
        http_server() as chats,
        http_server() as hook,
        http_server() as watch,
        http_server() as refusing,
        http_server() as hanging,
    ):
        redirect(monkeypatch, chats.url)
        refusing.answer(403)
        hanging.answer("hang")
        database = f"sqlite:///{tmp_path}/records.sqlite3"
        world = World(
            *(mailbox, chats, hook, watch, refusing, hanging),
            DatabaseNotifier(database),
            DatabaseHistory(database),
        )
        mailto = f"mailto://{HERE}:{mailbox.port}/?from=backup@shop.example&to=ops@shop.example"
        world.pipeline = make(
            app,
            MemoryDestination(),  # of a short name, which a subject shows in full
            notifiers=[
                *(AppriseNotifier(url, on=EVERYTHING) for url in (mailto, SLACK, DISCORD)),
                WebhookNotifier(hook.url, SECRET),
                DeadManPing(watch.url),
                world.table,
                WebhookNotifier(refusing.url, SECRET, on=["run succeeded"]),
                WebhookNotifier(hanging.url, SECRET, on=["run succeeded"], timeout=0.3),
            ],
            history=world.history,
            delivery=Delivery(tries=2, wait=0, limit=60),
            checks=[MaximumAge(days=1)],
            clock=clock,
        )
        yield world


def test_all_are_told_of_a_run_that_is_made_once_though_one_refuses_and_one_hangs(
    world: World, app: Scripted
) -> None:
    report = world.pipeline.run()
    assert (report.outcome, app.walks, app.reads) == ("succeeded", 1, ["app/a"])
    assert len(world.pipeline.list().backups) == 1
    assert [(one.severity, one.message) for one in report.problems] == [
        ("warning", "Notifier 7 (WebhookNotifier) failed: The webhook at 127.0.0.1 refused with status 403."),
        (
            "warning",
            "Notifier 8 (WebhookNotifier) failed: The webhook at 127.0.0.1 did not answer within 0.3 seconds.",
        ),
    ]
    assert (len(world.refusing.requests), len(world.hanging.requests)) == (1, 2), "the latter may pass"
    subject, occasion = "Backup of shop succeeded", "run succeeded"
    assert world.heard() == {
        "mail": [subject],
        "slack": [subject],
        "discord": [subject],
        "webhook": [occasion],
        "database": [occasion],
    }
    assert [*world.history.reports()] == [report]


def test_all_are_told_of_everything_that_happens_to_the_backups_of_a_week(
    world: World, app: Scripted, clock: Clock
) -> None:
    pipeline = world.pipeline
    pipeline.notifiers = pipeline.notifiers[:6]  # without those that are not told
    pipeline.run()
    clock.forward(hours=1)
    pipeline.sources = (Scripted("app", {"app/a": b"aaa", "app/b": OSError("gone")}),)
    pipeline.run()
    clock.forward(hours=1)
    pipeline.sources = (Scripted("app", {}),)
    with pytest.raises(SourceError):
        pipeline.run()
    clock.forward(days=2)
    pipeline.monitor()
    clock.forward(hours=1)
    pipeline.monitor()
    clock.forward(hours=23)
    pipeline.monitor()
    pipeline.sources = (app,)
    pipeline.run(notify=False)
    for _ in range(2):
        clock.forward(hours=1)
        pipeline.monitor()
    pipeline.clean()
    pipeline.verify()
    pipeline.drill()
    pipeline.send_summary()
    where = pipeline.destinations[0].location
    subjects = [
        "Backup of shop succeeded",
        "Backup of shop is incomplete",
        "Backup of shop failed",
        f"Backups of shop are unhealthy at {where}",
        f"Reminder: backups of shop are still unhealthy at {where}",
        f"Backups of shop are healthy again at {where}",
        "Old backups of shop were cleaned up",
        "A backup of shop was verified",
        "Restore drill of shop passed",
        "Backups of shop: summary",
    ]
    occasions = [
        *("run succeeded", "run incomplete", "run failed", "unhealthy", "unhealthy", "healthy"),
        *("clean succeeded", "verify succeeded", "drill passed", "summary"),
    ]
    heard = world.heard()
    assert heard == dict.fromkeys(("mail", "slack", "discord"), subjects) | dict.fromkeys(
        ("webhook", "database"), occasions
    )
    assert [urlsplit(one).path for one in world.watch.paths] == ["/start", "/"] + ["/start", "/fail"] * 2
    assert [(one.operation, one.outcome) for one in world.history.reports()] == [
        *(("drill", "succeeded"), ("verify", "succeeded"), ("clean", "succeeded")),
        *(("monitor", "succeeded"),) * 2,
        *(("run", "succeeded"),),
        *(("monitor", "failed"),) * 3,
        *(("run", "failed"), ("run", "incomplete"), ("run", "succeeded")),
    ]
    assert all(one.check != "notification" for report in world.history.reports() for one in report.problems)
