"""A dead-man ping says that an operation began and how it ended, by one id, to an address that stays secret."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest

from backupkit import ConfigurationError, DeadManPing, Notice, NotificationError, Problem
from backupkit.testing.notifiers import NotifierTests
from tests.notifiers.notices import LOST, START
from tests.notifiers.receiving import Receiver, http_server

assert LOST.report is not None
REPORT = LOST.report
GOOD = replace(LOST, occasion="run succeeded", report=replace(REPORT, outcome="succeeded", problems=()))
FAILED = replace(LOST, occasion="run failed", report=replace(REPORT, outcome="failed"))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_server() as receiver:
        yield receiver


def rid(path: str) -> str:
    (found,) = parse_qs(urlsplit(path).query)["rid"]
    return found


@pytest.mark.parametrize(
    ("notice", "ending"), [(GOOD, ""), (LOST, "/fail"), (FAILED, "/fail")], ids=lambda one: str(one)[:20]
)
def test_the_start_and_the_end_are_told_with_one_id(receiver: Receiver, notice: Notice, ending: str) -> None:
    ping = DeadManPing(f"{receiver.url}/ping/t0ken")
    ping.started("run", "shop", START)
    ping.notify(notice)
    first, last = receiver.paths
    assert first == f"/ping/t0ken/start?rid={rid(first)}"
    assert last == f"/ping/t0ken{ending}?rid={rid(first)}"


def test_each_operation_has_an_id_of_its_own_whichever_ends_first(receiver: Receiver) -> None:
    ping = DeadManPing(receiver.url)
    later = START + timedelta(microseconds=1)
    ping.started("run", "shop", START)
    ping.started("run", "shop", later)
    ping.notify(replace(GOOD, report=replace(REPORT, started=START)))
    ping.notify(replace(GOOD, report=replace(REPORT, started=later)))
    ping.notify(replace(GOOD, report=replace(REPORT, name="blog")))
    first, second, *ends, other = (rid(path) for path in receiver.paths)
    assert ends == [first, second]
    assert len({first, second, other}) == 3


def test_another_process_may_tell_the_end(receiver: Receiver) -> None:
    DeadManPing(receiver.url).started("run", "shop", START)
    pickle.loads(pickle.dumps(DeadManPing(receiver.url))).notify(GOOD)
    assert len({rid(path) for path in receiver.paths}) == 1
    assert str(UUID(rid(receiver.paths[0]))) == rid(receiver.paths[0])


def test_an_end_that_is_told_again_has_the_same_id(receiver: Receiver) -> None:
    receiver.answer(200, 503, 200)
    ping = DeadManPing(receiver.url)
    ping.started("run", "shop", START)
    with pytest.raises(NotificationError) as caught:
        ping.notify(GOOD)
    assert caught.value.retryable
    ping.notify(GOOD)
    assert len({rid(path) for path in receiver.paths}) == 1


def test_a_start_that_was_not_heard_gives_the_end_its_id_all_the_same(receiver: Receiver) -> None:
    receiver.answer(503, 200)
    ping = DeadManPing(receiver.url)
    with pytest.raises(NotificationError):
        ping.started("run", "shop", START)
    ping.notify(GOOD)
    assert len({rid(path) for path in receiver.paths}) == 1


def test_what_the_address_asks_for_is_kept(receiver: Receiver) -> None:
    ping = DeadManPing(f"{receiver.url}/key/shop/?create=1&a=%20b")
    ping.started("run", "shop", START)
    ping.notify(GOOD)
    first, last = receiver.paths
    assert first == f"/key/shop/start?create=1&a=%20b&rid={rid(first)}"
    assert last == f"/key/shop/?create=1&a=%20b&rid={rid(first)}"


def test_the_last_ping_says_how_it_ended(receiver: Receiver) -> None:
    DeadManPing(receiver.url).notify(LOST)
    (request,) = receiver.requests
    assert request.body.decode().splitlines() == [
        "run of shop: incomplete after 90.0 s",
        "12 entries, 4 MB read, 1 MB written",
        "warning: It grew.",
        "error: It could not be read.",
    ]


def test_a_body_is_utf8_and_no_longer_than_10_kb(receiver: Receiver) -> None:
    problems = (Problem(message="caf\udce9 \0 " + "é" * 20_000),)
    DeadManPing(receiver.url).notify(replace(LOST, report=replace(REPORT, problems=problems)))
    body = receiver.requests[0].body
    assert 9_990 < len(body) <= 10_000
    assert "caf\\udce9 \\u0000 éé" in body.decode()


def test_a_service_that_knows_one_address_hears_of_success_alone(receiver: Receiver) -> None:
    ping = DeadManPing(f"{receiver.url}/api/push/t0ken?status=up&msg=OK", success_only=True)
    ping.started("run", "shop", START)
    ping.notify(GOOD)
    (request,) = receiver.requests
    assert (request.method, request.path, request.body) == ("GET", "/api/push/t0ken?status=up&msg=OK", b"")
    assert ping.on == {"run succeeded"}


def test_other_operations_are_not_its_business(receiver: Receiver) -> None:
    ping = DeadManPing(receiver.url, operation="drill")
    ping.started("run", "shop", START)
    assert receiver.requests == []
    assert ping.on == {"drill passed", "drill failed"}
    assert DeadManPing(receiver.url).on == {"run succeeded", "run incomplete", "run failed"}
    with pytest.raises(ConfigurationError, match="'verify'"):
        DeadManPing(receiver.url, operation="monitor")  # type: ignore[arg-type]


def test_neither_errors_nor_the_repr_show_the_address(receiver: Receiver) -> None:
    receiver.answer(404)
    ping = DeadManPing(f"{receiver.url}/t0ken?key=t0ken")
    with pytest.raises(NotificationError) as caught:
        ping.notify(GOOD)
    assert str(caught.value) == "The ping at 127.0.0.1 refused with status 404."
    assert "t0ken" not in repr(ping)
    with pytest.raises(ConfigurationError) as refused:
        DeadManPing("http://ping.example/t0ken")
    assert "t0ken" not in str(refused.value)


class TestConformance(NotifierTests):
    secrets = ("t0ken",)

    @pytest.fixture
    def notifier(self, receiver: Receiver) -> DeadManPing:
        return DeadManPing(f"{receiver.url}/t0ken")

    @pytest.fixture
    def refusing_notifier(self, receiver: Receiver) -> DeadManPing:
        receiver.answer(403)
        return DeadManPing(f"{receiver.url}/t0ken")
