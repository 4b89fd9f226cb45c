"""Sending through Apprise: real mail, real HTTP calls, and what happens when nobody takes them."""

from __future__ import annotations

import logging
import pickle
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from email.message import EmailMessage
from pathlib import Path
from typing import Literal

import pytest
from apprise.plugins.slack import NotifySlack

from backupkit import (
    BackupPipeline,
    ConfigurationError,
    Delivery,
    DestinationResult,
    DestinationSummary,
    Directory,
    FileMemory,
    MachineLock,
    MaximumAge,
    NotificationError,
    Report,
)
from backupkit._telling import _TOLD
from backupkit.model import Occasion
from backupkit.notifiers.apprise import AppriseNotifier
from backupkit.notifiers.listening import listening
from backupkit.notifiers.occasions import DEFAULT, EVERYTHING, PROBLEMS
from backupkit.notifiers.services import Discord, Mail, Slack, _failure
from backupkit.testing.destinations import MemoryDestination
from backupkit.testing.notices import notice, problem, report, summary
from backupkit.testing.notifiers import NotifierTests
from backupkit.testing.trees import tree
from tests.notifiers.receiving import (
    DISCORD,
    HERE,
    SLACK,
    Mailbox,
    Receiver,
    http_server,
    mail_server,
    redirect,
    silent_server,
)
from tests.servers import free_port

SECRETS = ("SECRET", "123456789012345678", "pa%20ss", "pa ss")


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with mail_server() as box:
        yield box


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """Where Slack and Discord are, as far as Apprise knows."""
    with http_server() as server:
        redirect(monkeypatch, server.url)
        yield server


def mailto(box: Mailbox | int, query: str = "", *, login: str = "") -> str:
    port = box if isinstance(box, int) else box.port
    return f"mailto://{login}{HERE}:{port}/?from=backup@shop.example&to=ops@shop.example{query}"


def content(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    assert part is not None
    text = part.get_content()
    assert isinstance(text, str)
    return text.replace("\r\n", "\n")


# Mail


def test_a_mail_has_a_subject_our_text_and_our_html(mailbox: Mailbox) -> None:
    notifier = AppriseNotifier(mailto(mailbox))
    notifier.notify(notice("run failed"))
    (mail,) = mailbox.mails
    message = notifier.message(notice("run failed"))
    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    assert mail["Subject"] == "Backup of shop failed"
    assert content(mail, "plain") == message.text
    assert content(mail, "html") == message.html
    assert "<th" in message.html
    assert (mail["From"], mail["To"]) == ("backupkit <backup@shop.example>", "ops@shop.example")
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Message-ID"].endswith("@shop.example>")


def test_korean_arrives_as_it_was_written(mailbox: Mailbox) -> None:
    url = mailto(mailbox, "&name=%EB%B0%B1%EC%97%85%20%EC%84%9C%EB%B2%84")
    AppriseNotifier(url, language="ko").notify(notice("summary"))
    (mail,) = mailbox.mails
    assert mail["Subject"] == "shop 백업 현황 요약"
    assert mail["From"] == "백업 서버 <backup@shop.example>"
    assert "최신 정상 백업: 2026년 11월 23일 03:00 (UTC)\n" in content(mail, "plain")
    assert ">최신 정상 백업</th>" in content(mail, "html")


def test_all_recipients_get_one_mail(mailbox: Mailbox) -> None:
    url = mailto(mailbox, ",dev@shop.example&cc=boss@shop.example&bcc=auditor@shop.example")
    AppriseNotifier(url).notify(notice("run failed"))
    (mail,) = mailbox.mails
    assert (mail["To"], mail["Cc"]) == ("ops@shop.example, dev@shop.example", "boss@shop.example")
    assert mailbox.recipients == [
        ["ops@shop.example", "dev@shop.example", "boss@shop.example", "auditor@shop.example"]
    ]
    assert b"auditor" not in mailbox.raw[0]


@pytest.mark.parametrize(
    ("password", "quoted"),
    [("pa ss/w:@?#%", "pa%20ss%2Fw%3A%40%3F%23%25"), ("wörd비밀", "w%C3%B6rd%EB%B9%84%EB%B0%80")],
)
def test_a_server_that_asks_for_a_password_gets_it(password: str, quoted: str) -> None:
    with mail_server(login=("ops", password)) as box:
        AppriseNotifier(mailto(box, login=f"ops:{quoted}@")).notify(notice("run failed"))
    assert box.logged_in == [True]


@pytest.mark.parametrize("wrong", ["SECRET", "SECRET-%EB%B9%84"])
def test_a_wrong_password_is_told_once_and_not_shown(wrong: str) -> None:
    with mail_server(login=("ops", "right")) as box, pytest.raises(NotificationError) as caught:
        AppriseNotifier(mailto(box, login=f"ops:{wrong}@")).notify(notice("run failed"))
    assert str(caught.value) == "The mail server did not take the user name or password (535)."
    assert not caught.value.retryable


@pytest.mark.parametrize("way", ["starttls", "ssl"])
def test_encryption_asks_for_a_certificate_that_is_trusted_unless_told_otherwise(
    way: Literal["starttls", "ssl"],
) -> None:
    with mail_server(encryption=way) as box:
        url = mailto(box, f"&mode={way}").replace("mailto:", "mailtos:")
        with pytest.raises(
            NotificationError, match="The certificate of the mail server is not one"
        ) as caught:
            AppriseNotifier(url).notify(notice("run failed"))
        assert not caught.value.retryable
        assert box.mails == []
        AppriseNotifier(f"{url}&verify=no").notify(notice("run failed"))
    assert len(box.mails) == 1


def test_a_mail_that_should_be_encrypted_is_not_sent_in_the_clear(mailbox: Mailbox) -> None:
    url = mailto(mailbox, "&mode=starttls").replace("mailto:", "mailtos:")
    with pytest.raises(NotificationError, match="The mail server offers no encryption"):
        AppriseNotifier(url).notify(notice("run failed"))
    assert mailbox.mails == []


@pytest.mark.parametrize(("answer", "retryable"), [("550 no such user", False), ("451 later", True)])
def test_a_recipient_that_is_refused_is_told(mailbox: Mailbox, answer: str, retryable: bool) -> None:
    mailbox.answers["ops@shop.example"] = answer
    with pytest.raises(NotificationError, match=f"refused every recipient \\({answer[:3]}\\)") as caught:
        AppriseNotifier(mailto(mailbox)).notify(notice("run failed"))
    assert caught.value.retryable is retryable


def test_one_recipient_that_is_refused_does_not_keep_the_others_from_being_told_once(
    mailbox: Mailbox,
) -> None:
    mailbox.answers["dev@shop.example"] = "451 later"
    with pytest.raises(NotificationError, match=r"refused 1 of 2 recipients \(451\)") as caught:
        AppriseNotifier(mailto(mailbox, ",dev@shop.example")).notify(notice("run failed"))
    assert mailbox.recipients == [["ops@shop.example"]]
    assert not caught.value.retryable
    assert caught.value.partly


def test_a_mail_that_was_taken_is_not_lost_by_how_the_server_says_goodbye(mailbox: Mailbox) -> None:
    mailbox.goodbye = "421 I have crashed"
    AppriseNotifier(mailto(mailbox)).notify(notice("run failed"))
    assert len(mailbox.mails) == 1


def test_nothing_that_is_named_can_add_a_header(mailbox: Mailbox) -> None:
    evil = "shop\r\nBcc: everybody@example.org\r\n\r\nhello"
    AppriseNotifier(mailto(mailbox)).notify(notice("run failed", name=evil))
    (mail,) = mailbox.mails
    assert mail["Bcc"] is None
    assert mail["Subject"] == r"Backup of shop\r\nBcc: everybody@example.org\r\n\r\nhello failed"


@pytest.mark.parametrize(
    "query",
    ["&name=x%0D%0ABcc%3A%20evil%40example.org", "&%2BX-Shop=a%0D%0ABcc%3A%20evil%40example.org"],
)
def test_nothing_in_the_settings_can_add_a_header(mailbox: Mailbox, query: str) -> None:
    with suppress(NotificationError):  # "cannot be used", if anything of it is left
        AppriseNotifier(mailto(mailbox, query)).notify(notice("run failed"))
    assert all(mail["Bcc"] is None for mail in mailbox.mails)
    assert all(rcpt == ["ops@shop.example"] for rcpt in mailbox.recipients)


def test_lines_are_never_longer_than_mail_allows(mailbox: Mailbox) -> None:
    trouble = (problem("x" * 5_000 + " 가" * 500),)
    AppriseNotifier(mailto(mailbox)).notify(notice("run incomplete", report=report(problems=trouble)))
    assert max(map(len, mailbox.raw[0].split(b"\r\n"))) <= 998


# Chat


def test_slack_gets_blocks_with_fields(calls: Receiver) -> None:
    AppriseNotifier(f"{SLACK}?to=%23backups").notify(notice("run incomplete"))
    (payload,) = calls.payloads
    (attachment,) = payload["attachments"]
    header, lead, facts, more = attachment["blocks"][:4]
    assert calls.paths == [SLACK.removeprefix("https://hooks.slack.com")]
    assert payload["channel"] == "#backups"
    assert attachment["fallback"] == header["text"]["text"] == "Backup of shop is incomplete"
    assert lead["text"]["text"].startswith("A backup of shop was made, but")
    assert facts["fields"][0] == {
        "type": "mrkdwn",
        "text": "*Problems*\nError: The file 'orders.csv' could not be read.",
        "verbatim": True,
    }
    assert facts["fields"][1]["text"] == "*Backup*\n2026-11-23T03-00-00.000000Z"
    assert len(facts["fields"]) == 10
    assert more["fields"][-1]["text"] == "*Used storage*\n9 GB"


def test_a_bot_of_slack_tells_the_same(calls: Receiver) -> None:
    notifier = AppriseNotifier("slack://xoxb-1234-1234-SECRET/#backups")
    calls.body = b'{"ok": true, "channel": "C1"}'
    notifier.notify(notice("run incomplete"))
    assert calls.paths == ["/api/chat.postMessage"]
    assert calls.payloads[0]["channel"] == "#backups"
    assert calls.payloads[0]["attachments"][0]["fallback"] == "Backup of shop is incomplete"
    calls.body = b'{"ok": false, "error": "channel_not_found"}'
    with pytest.raises(NotificationError, match="is the token or the channel right") as caught:
        notifier.notify(notice("run incomplete"))
    assert not caught.value.retryable


def test_a_slack_workflow_gets_the_plain_text(calls: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NotifySlack, "workflow_trigger_url", f"{calls.url}/triggers")
    AppriseNotifier("https://hooks.slack.com/triggers/T1SECRET/123/SECRET").notify(notice("run failed"))
    assert calls.payloads[0]["text"].startswith("Backup of shop failed: No backup of shop was made")


def test_a_wide_field_is_a_block_of_slack_by_itself(calls: Receiver) -> None:
    trouble = (problem("x" * 100), problem("<!channel> & *all*"))
    AppriseNotifier(SLACK).notify(notice("run incomplete", report=report(problems=trouble)))
    _, _, first, *_ = calls.payloads[0]["attachments"][0]["blocks"]
    assert first["text"]["text"].endswith("\nError: &lt;!channel&gt; &amp; *all*")


def test_discord_gets_an_embed_with_fields(calls: Receiver) -> None:
    calls.answer(204)
    AppriseNotifier(DISCORD, language="ko").notify(notice("run incomplete"))
    (payload,) = calls.payloads
    (embed,) = payload["embeds"]
    assert calls.paths == [DISCORD.removeprefix("https://discord.com")]
    assert embed["title"] == "shop 백업 불완전"
    assert {"name": "소요 시간", "value": "3분 20초", "inline": True} in embed["fields"]
    assert {"name": "백업 수", "value": "7", "inline": True} in embed["fields"]
    assert payload["allowed_mentions"] == {"parse": []}
    assert isinstance(embed["color"], int)
    assert "content" not in payload


def test_names_are_no_markdown_in_discord(calls: Receiver) -> None:
    trouble = (problem("**bold** [a](http://b) <@1> `c` _d_"),)
    AppriseNotifier(DISCORD).notify(notice("run incomplete", report=report(problems=trouble)))
    value = calls.payloads[0]["embeds"][0]["fields"][0]["value"]
    assert value == r"Error: \*\*bold\*\* \[a\](http://b) \<@1\> \`c\` \_d\_"


def test_what_is_sent_keeps_the_limits_of_the_services(calls: Receiver) -> None:
    trouble = tuple(problem("*" * 5_000, path=f"{number}") for number in range(50))
    ends = tuple(DestinationResult(location=f"{number}{'*' * 999}", outcome="failed") for number in range(9))
    ill = tuple(DestinationSummary(location=end.location, healthy=True) for end in ends)
    told = report(problems=trouble, destinations=ends)
    large = notice("run incomplete", name="*" * 1_000, report=told, summary=summary(*ill))
    AppriseNotifier([SLACK, DISCORD]).notify(large)
    slack, discord = calls.payloads
    blocks = slack["attachments"][0]["blocks"]
    assert len(blocks[0]["text"]["text"]) <= 150
    assert all(
        len(one["text"]) <= 2_000 for block in blocks[2:] for one in block.get("fields", [block.get("text")])
    )
    (embed,) = discord["embeds"]
    assert len(embed["title"]) <= 256
    assert all(len(one["value"]) <= 1_024 and len(one["name"]) <= 256 for one in embed["fields"])
    assert sum(len(one["value"]) + len(one["name"]) for one in embed["fields"]) + len(embed["title"]) < 6_000


def test_nobody_elses_server_hears_that_a_message_is_read(calls: Receiver, mailbox: Mailbox) -> None:
    AppriseNotifier([SLACK, DISCORD, mailto(mailbox)]).notify(notice("run failed"))
    assert "http" not in "".join(calls.texts) + content(mailbox.mails[0], "html")


def test_every_occasion_arrives_everywhere(calls: Receiver) -> None:
    notifier = AppriseNotifier([SLACK, DISCORD], on=EVERYTHING)
    for occasion in sorted(EVERYTHING):
        notifier.notify(notice(occasion))
    assert len(calls.payloads) == 2 * len(EVERYTHING)


def test_other_services_get_the_plain_text(calls: Receiver) -> None:
    notifier = AppriseNotifier(calls.url.replace("http:", "json:"))
    notifier.notify(notice("run failed"))
    (payload,) = calls.payloads
    assert (payload["title"], payload["type"]) == ("Backup of shop failed", "failure")
    assert payload["message"].strip() == notifier.message(notice("run failed")).text.strip()


# Failures


@pytest.mark.parametrize(
    ("status", "retryable"), [(400, False), (403, False), (404, False), (429, True), (500, True), (503, True)]
)
@pytest.mark.parametrize(("url", "service"), [(SLACK, "Slack"), (DISCORD, "Discord")])
def test_a_refusal_is_told_with_its_status(
    calls: Receiver, url: str, service: str, status: int, retryable: bool
) -> None:
    calls.answer(status)
    with pytest.raises(NotificationError, match=f"^{service} did not take .* status {status} \\(") as caught:
        AppriseNotifier(url).notify(notice("run failed"))
    assert caught.value.retryable is retryable


def test_an_answer_that_is_not_slacks_is_no_success(calls: Receiver) -> None:
    calls.body = b"<html>Log in to the guest network"
    with pytest.raises(NotificationError, match="Slack did not take the notification"):
        AppriseNotifier(SLACK).notify(notice("run failed"))


@pytest.mark.parametrize("service", ["mail", "slack", "discord", "json"])
def test_a_service_that_is_not_there_may_be_tried_again(
    monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    port = free_port()
    redirect(monkeypatch, f"http://{HERE}:{port}")
    url = {"mail": mailto(port), "slack": SLACK, "discord": DISCORD, "json": f"json://{HERE}:{port}"}[service]
    with pytest.raises(NotificationError, match="could not be reached, or did not answer in time") as caught:
        AppriseNotifier(url).notify(notice("run failed"))
    assert caught.value.retryable


@pytest.mark.parametrize("service", ["mail", "slack"])
def test_a_service_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch, service: str) -> None:
    with silent_server() as port:
        redirect(monkeypatch, f"http://{HERE}:{port}")
        url = mailto(port, "&cto=0.2") if service == "mail" else f"{SLACK}?rto=0.2"
        with pytest.raises(NotificationError, match="did not answer in time") as caught:
            AppriseNotifier(url).notify(notice("run failed"))
    assert caught.value.retryable


def test_three_attempts_end_before_the_pipeline_gives_up() -> None:
    delivery = Delivery()
    waits = delivery.wait + 2 * delivery.wait
    for kind in (Mail, Slack, Discord):
        longest = max(kind.socket_connect_timeout, kind.socket_read_timeout)
        assert delivery.tries * longest + waits < delivery.limit * _TOLD


def test_who_has_it_does_not_get_it_again(calls: Receiver, mailbox: Mailbox) -> None:
    notifier = AppriseNotifier([mailto(mailbox), SLACK])
    told = notice("run failed")
    calls.answer(500)
    with pytest.raises(
        NotificationError, match=r"^1 of 2 services could not be told\. Slack did not"
    ) as caught:
        notifier.notify(told)
    assert caught.value.retryable
    assert caught.value.partly
    calls.answer(200)
    notifier.notify(told)
    assert (len(mailbox.mails), len(calls.payloads)) == (1, 2)
    notifier.notify(told)
    assert len(mailbox.mails) == 2


def test_what_another_attempt_cannot_help_is_not_sent_again_for_the_sake_of_the_rest(
    calls: Receiver, mailbox: Mailbox
) -> None:
    mailbox.answers["dev@shop.example"] = "550 no such user"
    notifier = AppriseNotifier([mailto(mailbox, ",dev@shop.example"), SLACK])
    told = notice("run failed")
    calls.answer(500, 200)
    for _ in range(2):
        with pytest.raises(NotificationError, match="refused 1 of 2 recipients") as caught:
            notifier.notify(told)
    assert not caught.value.retryable
    assert (len(mailbox.mails), len(calls.payloads)) == (1, 2)


def test_where_nobody_has_it_nothing_is_said_to_have_arrived(calls: Receiver) -> None:
    calls.answer(403)
    with pytest.raises(NotificationError, match="2 of 2 services could not be told") as caught:
        AppriseNotifier([SLACK, DISCORD]).notify(notice("run failed"))
    assert not caught.value.partly


def monitored_twice(notifier: AppriseNotifier, folder: Path) -> list[Report]:
    """What two monitors report of a place where there is no backup."""
    pipeline = BackupPipeline(
        "shop",
        Directory(folder),
        MemoryDestination(),
        encryptor=None,
        checks=[MaximumAge(days=1)],
        notifiers=[notifier],
        memory=FileMemory(folder / "memory"),
        delivery=Delivery(wait=0),
    )
    return [pipeline.monitor(), pipeline.monitor()]


@pytest.mark.parametrize("refused", ["one of two recipients", "one of two services"])
def test_unhealthy_is_not_told_at_every_check_to_those_who_can_be_reached(
    calls: Receiver, mailbox: Mailbox, tmp_path: Path, refused: str
) -> None:
    calls.answer(403)
    mailbox.answers["dev@shop.example"] = "550 no such user"
    urls = [mailto(mailbox, ",dev@shop.example")] if "recipients" in refused else [mailto(mailbox), SLACK]
    first, second = monitored_twice(AppriseNotifier(urls), tmp_path)
    assert [one.check for one in first.problems] == ["MaximumAge", "notification"]
    assert [one.check for one in second.problems] == ["MaximumAge"]
    assert len(mailbox.mails) == 1


@pytest.mark.parametrize("status", [200, 403, 500])
@pytest.mark.parametrize("url", [SLACK, DISCORD])
def test_no_secret_is_logged(
    calls: Receiver, url: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    calls.answer(status)
    caplog.set_level(1)
    logging.getLogger("apprise").debug("others are heard")
    notifier = AppriseNotifier(url)
    try:
        notifier.notify(notice("run failed"))
    except NotificationError as error:
        caplog.records.append(logging.makeLogRecord({"msg": f"{error!r} {error}"}))
    told = caplog.text + repr(notifier) + "".join(record.getMessage() for record in caplog.records)
    assert [secret for secret in SECRETS if secret in told] == []
    assert "others are heard" in told


def test_what_a_service_logs_is_told_without_anything_of_its_url() -> None:
    url = "other://us%20er:SECRET@chat.example/room?token=SEC%2BRET2"
    heard = ["Room room of us er at chat.example refused SECRET and SEC+RET2"]
    error = _failure("Other", heard, url)
    assert str(error) == "Other did not take the notification: Room *** of *** at *** refused *** and ***"


def test_what_others_log_meanwhile_is_heard(calls: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)
    sending, logged = threading.Event(), threading.Event()

    def other() -> None:
        sending.wait()
        logging.getLogger("apprise").warning("another thread")
        logged.set()

    thread = threading.Thread(target=other)
    thread.start()
    with listening() as heard:
        sending.set()
        logged.wait()
    thread.join()
    assert heard == []
    assert "another thread" in caplog.text


# Settings


@pytest.mark.parametrize(
    ("urls", "begins"),
    [
        ("nonsense-SECRET", "not begin as URLs do"),
        ("nonsense://SECRET", "nonsense://…"),
        ("discord://SECRET", "discord://…"),
        ("https://hooks.slack.com/services/SECRET", "https://…"),
        (["json://localhost", "slack://SECRET"], "slack://…"),
        ("mailto://localhost/?from=a@x.example&to=SECRET", "mailto://…"),
        ("mailto://localhost/?from=a@x.example&to=a@x.example,ops@SECRET", "mailto://…"),
        ("mailto://localhost/?from=a@x.example&to=a@x.example&cc=SECRET", "mailto://…"),
        ("", "not begin as URLs do"),
    ],
)
def test_a_url_that_apprise_does_not_understand_is_refused_and_not_shown(
    urls: str | list[str], begins: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    with pytest.raises(ConfigurationError, match=f"{begins}, is not one") as caught:
        AppriseNotifier(urls)
    assert "SECRET" not in str(caught.value) + caplog.text


def test_its_representation_names_the_services() -> None:
    assert repr(AppriseNotifier(["mailto://localhost/?to=a@x.example&from=a@x.example", SLACK, DISCORD])) == (
        "AppriseNotifier(E-Mail, Slack, Discord)"
    )


def test_no_url_at_all_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="needs at least one URL"):
        AppriseNotifier([])


@pytest.mark.parametrize(
    ("on", "message"),
    [
        (["run finished"], "'run finished', which never happens. What does: \"run succeeded\""),
        ("summary", "one text"),
    ],
)
def test_an_occasion_that_does_not_exist_is_refused(on: list[Occasion], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        AppriseNotifier("json://localhost", on=on)


def test_problems_their_end_and_the_summary_are_told_by_default() -> None:
    assert AppriseNotifier("json://localhost").on == PROBLEMS | {"healthy", "summary"} == DEFAULT
    assert DEFAULT < EVERYTHING


@pytest.mark.parametrize("package", ["apprise", "jinja2"])
def test_a_missing_package_is_told_at_once_with_the_name_of_the_extra(
    monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "backupkit.notifiers.services")
    with pytest.raises(
        ModuleNotFoundError, match=rf"needs? {package}: pip install 'backupkit\[notifications\]'"
    ):
        AppriseNotifier("json://localhost")


@pytest.mark.parametrize(("language", "zone"), [("kr", "UTC"), ("ko", "Mars/Olympus")])
def test_a_language_or_zone_that_does_not_exist_is_refused(language: str, zone: str) -> None:
    with pytest.raises(ConfigurationError):
        AppriseNotifier("json://localhost", language=language, time_zone=zone)


def test_a_broken_template_loses_no_notification(mailbox: Mailbox, tmp_path: Path) -> None:
    (tmp_path / "message.html").write_text("{{ nothing }}")
    AppriseNotifier(mailto(mailbox), templates=tmp_path).notify(notice("run failed"))
    assert "The template message.html in" in content(mailbox.mails[0], "plain")


def test_it_can_be_pickled(calls: Receiver) -> None:
    pickle.loads(pickle.dumps(AppriseNotifier(SLACK))).notify(notice("run failed"))
    assert len(calls.payloads) == 1


def test_a_pipeline_goes_on_when_nobody_can_be_told(calls: Receiver, tmp_path: Path) -> None:
    calls.answer(403)
    tree(tmp_path / "shop", {"orders.csv": "1,apples"})
    pipeline = BackupPipeline(
        "shop",
        Directory(tmp_path / "shop"),
        MemoryDestination(),
        encryptor=None,
        notifiers=[AppriseNotifier(DISCORD, on=["run succeeded"])],
        lock=MachineLock(tmp_path / "locks"),
    )
    report = pipeline.run()
    assert report.outcome == "succeeded"
    assert [one.message for one in report.problems] == [
        "Notifier 1 (AppriseNotifier) failed: Discord did not take the notification: it answered with the "
        "status 403 (Forbidden)."
    ]
    (payload,) = calls.payloads
    assert {"name": "Backups", "value": "1", "inline": True} in payload["embeds"][0]["fields"]


class TestConformance(NotifierTests):
    secrets = ("SECRET", "123456789012345678")

    @pytest.fixture
    def notifier(self, calls: Receiver) -> AppriseNotifier:
        return AppriseNotifier([SLACK, DISCORD])

    @pytest.fixture
    def refusing_notifier(self, calls: Receiver) -> AppriseNotifier:
        calls.answer(403)
        return AppriseNotifier([SLACK, DISCORD])
