"""A webhook is verified by the specification's own library, comes once per notice, and shows no secret."""

from __future__ import annotations

import json
import socket
import traceback
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from backupkit import ConfigurationError, DeadManPing, Notice, NotificationError, Problem, WebhookNotifier
from backupkit.notifiers.occasions import EVERYTHING, PROBLEMS
from backupkit.testing.notifiers import NotifierTests
from tests.notifiers.notices import LOST, START, UNHEALTHY, cleaned
from tests.notifiers.receiving import Receiver, Request, http_server, untrusted

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # the specification's example


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_server() as receiver:
        yield receiver


def webhook(receiver: Receiver, **options: Any) -> WebhookNotifier:
    return WebhookNotifier(f"{receiver.url}/hooks/t0ken?key=t0ken", SECRET, **options)


def verified(request: Request) -> Any:
    return Webhook(SECRET).verify(request.body, dict(request.headers))


@pytest.mark.parametrize("notice", [LOST, UNHEALTHY], ids=lambda notice: notice.occasion)
def test_a_stock_library_verifies_what_is_sent(receiver: Receiver, notice: Notice) -> None:
    webhook(receiver).notify(notice)
    (request,) = receiver.requests
    assert (request.method, request.path) == ("POST", "/hooks/t0ken?key=t0ken")
    assert request.headers["content-type"] == "application/json"
    assert verified(request)["occasion"] == notice.occasion


def test_a_stock_library_refuses_a_changed_body(receiver: Receiver) -> None:
    webhook(receiver).notify(LOST)
    request = receiver.requests[0]
    changed = replace(request, body=request.body.replace(b"run incomplete", b"run succeeded"))
    assert changed != request
    with pytest.raises(WebhookVerificationError, match="signature"):
        verified(changed)


def test_a_stock_library_refuses_it_an_hour_later_or_under_another_time(receiver: Receiver) -> None:
    webhook(receiver).notify(LOST)
    request = receiver.requests[0]
    sent = int(request.headers["webhook-timestamp"])
    old = {**request.headers, "webhook-timestamp": str(sent - 3600)}
    with pytest.raises(WebhookVerificationError, match="timestamp too old"):
        verified(replace(request, headers=old))
    with pytest.raises(WebhookVerificationError, match="signature"):
        verified(replace(request, headers={**old, "webhook-timestamp": str(sent - 1)}))


def test_the_id_is_the_same_each_time_a_notice_is_sent_and_another_for_another(receiver: Receiver) -> None:
    receiver.answer(503, 200)
    notifier = webhook(receiver)
    with pytest.raises(NotificationError):
        notifier.notify(LOST)
    notifier.notify(LOST)
    notifier.notify(replace(LOST, time=START + timedelta(seconds=91)))
    first, again, other = (request.headers["webhook-id"] for request in receiver.requests)
    assert first == again != other


def test_the_body_is_the_notice(receiver: Receiver) -> None:
    webhook(receiver).notify(UNHEALTHY)
    data = json.loads(receiver.requests[0].body)
    assert data["destination"]["problems"][0]["message"] == "The newest backup is two days old."
    assert data.keys() == {
        *("occasion", "name", "time", "report", "destination", "since", "reminder", "summary", "shortened")
    }
    assert (data["name"], data["since"], data["reminder"], data["shortened"]) == (
        *("shop", "2026-11-22T03:00:00+00:00", True, False),
    )


def test_names_that_are_not_utf8_are_written_out(receiver: Receiver) -> None:
    webhook(receiver).notify(LOST)
    problems = json.loads(receiver.requests[0].body)["report"]["problems"]
    assert problems[1]["path"] == "app/caf\\udce9"


def test_a_long_report_is_shortened_and_says_so(receiver: Receiver) -> None:
    report = cleaned(10_000)
    webhook(receiver).notify(Notice(occasion="clean succeeded", name="shop", time=START, report=report))
    data = json.loads(receiver.requests[0].body)
    assert data["shortened"] is True
    assert len(data["report"]["destinations"][0]["plan"]["keep"]) == 100
    assert data["report"]["destinations"][0]["freed"] == 5
    assert len(receiver.requests[0].body) < 100_000


def test_a_long_text_is_shortened_and_says_so(receiver: Receiver) -> None:
    problems = (Problem(message="x" * 10_000_000),)
    webhook(receiver).notify(replace(LOST, report=replace(cleaned(1), problems=problems)))
    data = json.loads(receiver.requests[0].body)
    assert data["shortened"] is True
    assert data["report"]["problems"][0]["message"] == "x" * 2_000


def refused(receiver: Receiver, **options: Any) -> NotificationError:
    with pytest.raises(NotificationError) as caught:
        webhook(receiver, **options).notify(LOST)
    return caught.value


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_an_answer_of_200_and_more_is_success(receiver: Receiver, status: int) -> None:
    receiver.answer(status)
    webhook(receiver).notify(LOST)


@pytest.mark.parametrize(
    ("status", "retryable"),
    [
        (400, False),
        (401, False),
        (404, False),
        (410, False),
        (408, True),
        (429, True),
        (500, True),
        (503, True),
    ],
)
def test_a_refusal_says_whether_trying_again_may_help(
    receiver: Receiver, status: int, retryable: bool
) -> None:
    receiver.answer(status)
    error = refused(receiver)
    assert error.retryable is retryable
    assert str(error) == f"The webhook at 127.0.0.1 refused with status {status}."


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.answer(307)
    receiver.location = f"{receiver.url}/elsewhere"
    error = refused(receiver)
    assert not error.retryable
    assert "answered with a redirect (307)" in str(error)
    assert receiver.paths == ["/hooks/t0ken?key=t0ken"]


def test_a_receiver_that_hangs_is_waited_for_as_long_as_said(receiver: Receiver) -> None:
    receiver.answer("hang")
    error = refused(receiver, timeout=0.2)
    assert error.retryable
    assert "did not answer within 0.2 seconds" in str(error)


def test_a_connection_that_breaks_off_may_be_tried_again(receiver: Receiver) -> None:
    receiver.answer(0)
    error = refused(receiver)
    assert error.retryable
    assert "could not be reached, or broke off" in str(error)


def test_a_receiver_without_tls_is_not_told_over_https(receiver: Receiver) -> None:
    notifier = WebhookNotifier(receiver.url.replace("http:", "https:"), SECRET)
    with pytest.raises(NotificationError, match="could not be reached safely"):
        notifier.notify(LOST)


def test_a_certificate_that_nobody_vouches_for_is_refused() -> None:
    with http_server(untrusted()) as receiver:
        error = refused(receiver)
        assert not error.retryable
        assert "could not be reached safely" in str(error)
        assert receiver.requests == []


def test_neither_errors_nor_the_repr_show_the_address_or_the_secret() -> None:
    with socket.socket() as nobody:  # bound and not listening: refused
        nobody.bind(("127.0.0.1", 0))
        notifier = WebhookNotifier(
            f"http://us3r:t0ken@127.0.0.1:{nobody.getsockname()[1]}/t0ken?key=t0ken", SECRET
        )
        with pytest.raises(NotificationError) as caught:
            notifier.notify(LOST)
    # The context too, which trackers of errors send along.
    assert caught.value.__cause__ is caught.value.__context__ is None
    for text in ("".join(traceback.format_exception(caught.value)), repr(notifier), str(vars(caught.value))):
        assert not any(secret in text for secret in ("t0ken", "us3r", SECRET))


def test_no_log_shows_the_address_or_the_secret(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)
    webhook(receiver).notify(LOST)
    DeadManPing(f"{receiver.url}/t0ken").started("run", "shop", START)
    assert len(receiver.requests) == 2
    assert "t0ken" not in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ("url", "secret", "says"),
    [
        ("ftp://hooks.example/t0ken", SECRET, "https://host/path"),
        ("hooks.example/t0ken", SECRET, "https://host/path"),
        ("https://[::1/t0ken", SECRET, "https://host/path"),
        ("https://hooks.example:t0ken/", SECRET, "https://host/path"),
        ("https://hooks.example/t0ken\n", SECRET, "https://host/path"),
        ("http://hooks.example/t0ken", SECRET, "unencrypted"),
        ("https://hooks.example/t0ken", "s3cret", "24 to 64 random bytes"),
        ("https://hooks.example/t0ken", "whsec_" + "QQ==", "24 to 64 random bytes"),
        ("https://hooks.example/t0ken", "whsec_" + "!" * 40, "24 to 64 random bytes"),
        ("https://hooks.example/t0ken", "whsec_" + "ü" * 40, "24 to 64 random bytes"),
    ],
)
def test_what_cannot_be_used_is_refused_where_it_is_made(url: str, secret: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        WebhookNotifier(url, secret)
    assert "t0ken" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_no_time_for_an_answer_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="timeout=0"):
        WebhookNotifier("https://hooks.example/", SECRET, timeout=0)


def test_plain_http_within_a_network_of_ones_own_can_be_allowed() -> None:
    assert "hooks.internal" in repr(WebhookNotifier("http://hooks.internal/", SECRET, allow_http=True))


def test_it_hears_everything_or_what_it_is_told_to() -> None:
    url = "https://hooks.example/"
    assert WebhookNotifier(url, SECRET).on == set(EVERYTHING)
    assert WebhookNotifier(url, SECRET, on=PROBLEMS).on == set(PROBLEMS)
    assert set(PROBLEMS) < set(EVERYTHING)


@pytest.mark.parametrize("on", [["run done"], "run failed"])
def test_an_occasion_that_does_not_exist_is_refused(on: Any) -> None:
    with pytest.raises(ConfigurationError, match="run "):
        WebhookNotifier("https://hooks.example/", SECRET, on=on)


class TestConformance(NotifierTests):
    secrets = ("t0ken", SECRET)

    @pytest.fixture
    def notifier(self, receiver: Receiver) -> WebhookNotifier:
        return webhook(receiver)

    @pytest.fixture
    def refusing_notifier(self, receiver: Receiver) -> WebhookNotifier:
        receiver.answer(403)
        return webhook(receiver)
