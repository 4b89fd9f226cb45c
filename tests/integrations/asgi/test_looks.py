"""Each destination is asked once, however many pages want to know, and none holds a page up for long."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from backupkit import BackupPipeline, DestinationError, MachineLock, StoredObject
from backupkit.integrations.asgi.standing.asked import Asked, Turns
from backupkit.integrations.asgi.standing.looks import Looks
from backupkit.testing.destinations import MemoryDestination
from tests.pipeline.shop import Scripted

LONG, NONE = timedelta(seconds=30), timedelta(0)
SHORT = timedelta(seconds=0.2)


class Watched(MemoryDestination):
    """Counts how often it is listed, by prefix; with `gate`, answers when that is opened what it knew before."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.lists: Counter[str] = Counter()
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.fails = False

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        self.lists[prefix] += 1
        found = [*super().list(prefix)]
        self.entered.release()
        assert self.gate.wait(60)
        if self.fails:
            raise DestinationError("The cable was cut.", location=self.location)
        yield from found


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Iterator[Watched]:
    made = Watched(request.node.name)
    yield made
    made.gate.set()
    settle()


@pytest.fixture
def shop(tmp_path: Path, place: Watched) -> BackupPipeline:
    return BackupPipeline(
        "shop", Scripted("app", {"app/a": b"a"}), place, encryptor=None, lock=MachineLock(tmp_path / "locks")
    )


def threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name.startswith("backupkit-look")]


def settle() -> None:
    """Wait until nobody is asked any more."""
    for thread in threads():
        thread.join(60)


def of(
    shop: BackupPipeline,
    *,
    period: timedelta = LONG,
    patience: timedelta = LONG,
    ends: Callable[[str], object] = lambda name: None,
    clock: Callable[[], float] | None = None,
) -> Looks:
    more: dict[str, Any] = {} if clock is None else {"monotonic": clock}
    return Looks({"shop": shop}, period=period, patience=patience, ends=ends, **more)


def test_each_prefix_is_listed_once_in_a_period(shop: BackupPipeline, place: Watched) -> None:
    shop.run()
    place.lists.clear()
    clock = Clock()
    looks = of(shop, clock=clock)
    for _ in range(3):
        (look,) = looks.at("shop")
        assert look.overview is not None
        assert look.overview.summary.count == 1
    assert place.lists
    assert {*place.lists.values()} == {1}
    clock.now += 31
    looks.at("shop")
    settle()
    assert {*place.lists.values()} == {2}


def test_pages_that_ask_at_once_share_one_answer(shop: BackupPipeline, place: Watched) -> None:
    place.gate.clear()
    looks = of(shop)
    with ThreadPoolExecutor(6) as pages:
        asked = [pages.submit(looks.at, "shop") for _ in range(6)]
        assert place.entered.acquire(timeout=60)
        place.gate.set()
        assert all(one.result()[0].answers for one in asked)
    assert {*place.lists.values()} == {1}


def test_what_is_out_of_date_is_shown_while_it_is_asked_anew(shop: BackupPipeline, place: Watched) -> None:
    clock = Clock()
    looks = of(shop, clock=clock)
    looks.at("shop")
    place.gate.clear()
    clock.now += 31
    (look,) = looks.at("shop")
    assert look.overview is not None
    assert look.looking
    assert look.answers


def test_a_destination_that_hangs_is_waited_for_once_and_asked_by_one_thread(
    shop: BackupPipeline, place: Watched
) -> None:
    place.gate.clear()
    looks = of(shop, period=NONE, patience=SHORT)
    began = time.monotonic()
    for _ in range(50):
        (look,) = looks.at("shop")
        assert (look.overview, look.looking) == (None, True)
        assert look.silent is not None
    assert time.monotonic() - began < 25 * SHORT.total_seconds()  # where each would wait, it is twice as long
    assert len(threads()) == 1
    assert {*place.lists.values()} == {1}
    place.gate.set()
    settle()
    assert looks.at("shop")[0].overview is not None


def test_all_are_waited_for_together(tmp_path: Path, place: Watched) -> None:
    place.gate.clear()
    clock = Clock()

    def pipeline(number: int) -> BackupPipeline:
        return BackupPipeline(f"p{number}", Scripted("app", {}), place, encryptor=None)

    looks = Looks(
        {f"p{number}": pipeline(number) for number in range(4)},
        period=LONG,
        patience=LONG,
        monotonic=clock,
    )
    with ThreadPoolExecutor(1) as pages:
        asked = pages.submit(looks.every)
        for _ in range(4):
            assert place.entered.acquire(timeout=60)  # the fourth is asked before the first has answered
        place.gate.set()
        assert {*asked.result()} == {"p0", "p1", "p2", "p3"}


def test_an_error_passes(shop: BackupPipeline, place: Watched) -> None:
    clock = Clock()
    looks = of(shop, clock=clock)
    place.fails = True
    (look,) = looks.at("shop")
    assert (look.overview, look.error) == (None, "The cable was cut.")
    place.fails = False
    clock.now += 31
    looks.at("shop")
    settle()
    (look,) = looks.at("shop")
    assert look.answers


def test_what_was_known_stays_when_a_later_look_fails(shop: BackupPipeline, place: Watched) -> None:
    shop.run()
    clock = Clock()
    looks = of(shop, clock=clock)
    (before,) = looks.at("shop")
    place.fails = True
    clock.now += 31
    looks.at("shop")
    settle()
    (look,) = looks.at("shop")
    assert look.overview == before.overview
    assert look.error == "The cable was cut."
    assert not look.answers


def test_an_answer_of_before_a_change_is_not_taken_for_a_new_one(
    shop: BackupPipeline, place: Watched
) -> None:
    shop.run()
    while place.entered.acquire(blocking=False):
        pass
    looks = of(shop)
    place.gate.clear()
    with ThreadPoolExecutor(1) as pages:
        asked = pages.submit(looks.at, "shop")
        assert place.entered.acquire(timeout=60)  # and there was a backup
        place.objects.clear()
        looks.forget("shop")
        place.gate.set()
        (look,) = asked.result()
    assert look.overview is not None
    assert look.overview.summary.count == 0


def test_after_a_change_it_is_asked_at_once(shop: BackupPipeline, place: Watched) -> None:
    looks = of(shop)
    looks.at("shop")
    shop.run()
    (look,) = looks.at("shop")
    assert look.overview is not None
    assert look.overview.summary.count == 0
    looks.forget("shop")
    (look,) = looks.at("shop")
    assert look.overview is not None
    assert look.overview.summary.count == 1


def test_what_has_ended_elsewhere_is_a_change(shop: BackupPipeline, place: Watched) -> None:
    ended = [0]
    looks = of(shop, ends=lambda name: ended[0])
    looks.at("shop")
    place.lists.clear()
    looks.at("shop")
    assert not place.lists
    ended[0] = 1
    looks.at("shop")
    assert {*place.lists.values()} == {1}


def test_visitors_who_meet_a_change_at_once_have_it_asked_for_once(
    shop: BackupPipeline, place: Watched
) -> None:
    ended = [0]
    slow, reading, others = threading.local(), threading.Event(), threading.Event()

    def ends(name: str) -> object:
        """One visitor reads it before the change, and goes on when the other ones have come and gone."""
        found = ended[0]
        if getattr(slow, "is_it", False):
            reading.set()
            others.wait(0.2)
        return found

    def visit() -> None:
        slow.is_it = True
        looks.at("shop")

    looks = of(shop, ends=ends)
    looks.at("shop")
    place.lists.clear()
    with ThreadPoolExecutor(1) as visitor:
        before = visitor.submit(visit)
        assert reading.wait(60)
        ended[0] = 1
        looks.at("shop")
        others.set()
        before.result(60)
    looks.at("shop")
    settle()
    assert {*place.lists.values()} == {1}


class Question:
    """Answers one after the other what `answers` has, each when somebody lets it."""

    def __init__(self, *answers: int) -> None:
        self.answers = iter(answers)
        self.begun = threading.Semaphore(0)
        self.go = threading.Semaphore(0)

    def __call__(self) -> int:
        self.begun.release()
        assert self.go.acquire(timeout=60)
        return next(self.answers)


def asked(ask: Callable[[], int], clock: Callable[[], float], turns: Turns | None = None) -> Asked[int]:
    return Asked(
        "backupkit-look test",
        ask,
        period=30.0,
        patience=10.0,
        turns=turns or Turns(8, 10.0),
        monotonic=clock,
    )


def test_what_changes_while_it_is_asked_is_asked_once_more_by_the_same_thread() -> None:
    question, clock = Question(1, 2), Clock()
    one = asked(question, clock)
    one.begin()
    assert question.begun.acquire(timeout=60)
    one.forget()
    one.forget()
    one.begin()
    question.go.release()
    assert question.begun.acquire(timeout=60)
    assert one.answer(clock.now).value == 1  # known, but a page waits for the other as long as it may
    assert len(threads()) == 1
    question.go.release()
    assert one.answer(clock.now + 60).value == 2
    settle()
    one.begin()
    assert one.answer(clock.now).asking is None


def test_what_fails_slowly_is_asked_ever_more_rarely() -> None:
    clock = Clock()
    asked_at: list[float] = []

    def hang() -> int:
        asked_at.append(clock.now)
        clock.now += 300
        raise DestinationError("No answer.", location="sftp://there")

    one = asked(hang, clock)
    end = clock.now + 4 * 3600
    while clock.now < end:
        one.begin()
        settle()
        clock.now += 10
    pauses = [later - before for before, later in pairwise(asked_at)]
    assert pauses == sorted(pauses)
    assert 600 < pauses[-1] <= 3700
    assert len(asked_at) < 10


def test_whoever_waits_for_a_turn_goes_on_when_others_hang() -> None:
    clock, turns = Clock(), Turns(1, 0.05)
    hanging = Question(1)
    first, second = asked(hanging, clock, turns), asked(lambda: 2, clock, turns)
    first.begin()
    assert hanging.begun.acquire(timeout=60)
    second.begin()
    assert second.answer(clock.now + 60).value == 2
    hanging.go.release()
    settle()
