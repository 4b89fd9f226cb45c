"""What goes wrong between a destination and its store, by name.

A store fills it in with `Behind`, in a subclass of `FaultTests`, and says what comes of each fault in `outcomes`,
which is mostly what `USUALLY` says.
Each fault happens while an object of four parts, or a small one, is written, read or listed through a proxy.
Whatever happens: the object is right or not there at all, nothing of it is left, and what was there before is
untouched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import pytest

from backupkit.errors import BackupKitError, ObjectNotFoundError
from backupkit.filesystems import asking
from backupkit.protocols import Destination, HasLeftovers
from tests.fault_proxy import Answer, FaultProxy, Rule, Wrong

FOR_EVER = 1_000_000  # times

Moment: TypeAlias = Literal["part", "commit", "small", "read", "list"]


@dataclass(frozen=True, kw_only=True)
class Behind:
    """A destination behind the proxy, and how its requests look.

    `through` sends parts of `part` bytes, with the `impatience` that the fault needs. `direct` is the same place
    without the proxy. The expressions match the first lines of the requests
    that send content of a large object, make it visible, store a small object, fetch content, and list. The answers
    are those that this store would give; None for what it has no such answer for.
    """

    proxy: FaultProxy
    through: Destination
    direct: Destination
    part: int
    requests: dict[Moment, str]
    busy: Answer
    throttled: Answer
    full: Answer | None
    expired: Answer
    skewed: Answer | None

    @property
    def content(self) -> bytes:
        """Four parts, the last one shorter, none like another."""
        unit = self.part // 8
        count = 3 * 8 + 4
        return b"".join(number.to_bytes(8, "big") * (unit // 8) for number in range(count))


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that goes wrong, at a moment; `then` is what goes wrong with every request after that."""

    moment: Moment
    wrong: Callable[[Behind], Wrong | None]
    times: int = 1
    skip: int = 0
    after: int = 100_000
    then: Wrong | None = None


def _is(wrong: Wrong) -> Callable[[Behind], Wrong | None]:
    return lambda _: wrong


_BUSY: Callable[[Behind], Wrong | None] = lambda behind: behind.busy  # noqa: E731 - one of many in a table

FAULTS: dict[str, Fault] = {
    "a part: overloaded, twice": Fault(moment="part", wrong=_BUSY, times=2),
    "a part: too many requests": Fault(moment="part", wrong=lambda behind: behind.throttled, skip=1),
    "a part: overloaded for ever": Fault(moment="part", wrong=_BUSY, times=FOR_EVER, skip=1),
    "first part: connection reset": Fault(moment="part", wrong=_is("reset")),
    "second part: connection reset": Fault(moment="part", wrong=_is("reset"), skip=1),
    "third part: connection reset": Fault(moment="part", wrong=_is("reset"), skip=2),
    "last part: connection reset": Fault(moment="part", wrong=_is("reset"), skip=3),
    "a part: connection lost in the middle": Fault(moment="part", wrong=_is("cut"), skip=1),
    "a part: its answer lost": Fault(moment="part", wrong=_is("lose answer"), skip=1),
    "a part: sending stalls": Fault(moment="part", wrong=_is("stall sending"), skip=1),
    "a part: sending stalls for ever": Fault(
        moment="part", wrong=_is("stall sending"), times=FOR_EVER, skip=1
    ),
    "a part: no answer": Fault(moment="part", wrong=_is("stall answer"), skip=1),
    "a part: no answer for ever": Fault(moment="part", wrong=_is("stall answer"), times=FOR_EVER, skip=1),
    "a part: the store is full": Fault(
        moment="part", wrong=lambda behind: behind.full, times=FOR_EVER, skip=1
    ),
    "a part: credentials expired": Fault(
        moment="part", wrong=lambda behind: behind.expired, times=FOR_EVER, skip=1
    ),
    "wrong clock": Fault(moment="part", wrong=lambda behind: behind.skewed, times=FOR_EVER),
    "the end: overloaded, twice": Fault(moment="commit", wrong=_BUSY, times=2),
    "the end: connection reset": Fault(moment="commit", wrong=_is("reset")),
    "the end: its answer lost": Fault(moment="commit", wrong=_is("lose answer")),
    "the end: its answer lost for ever": Fault(moment="commit", wrong=_is("lose answer"), times=FOR_EVER),
    "the end: no answer for ever": Fault(moment="commit", wrong=_is("stall answer"), times=FOR_EVER),
    "the end: its answer lost, and nothing answers after": Fault(
        moment="commit", wrong=_is("lose answer"), then="reset"
    ),
    "the end: credentials expired": Fault(
        moment="commit", wrong=lambda behind: behind.expired, times=FOR_EVER
    ),
    "a small object: overloaded, twice": Fault(moment="small", wrong=_BUSY, times=2),
    "a small object: its answer lost": Fault(moment="small", wrong=_is("lose answer")),
    "a small object: sending stalls for ever": Fault(
        moment="small", wrong=_is("stall sending"), times=FOR_EVER, after=0
    ),
    "reading: overloaded, twice": Fault(moment="read", wrong=_BUSY, times=2),
    "reading: connection reset": Fault(moment="read", wrong=_is("reset")),
    "reading: connection lost in the middle": Fault(moment="read", wrong=_is("truncate")),
    "reading: no answer": Fault(moment="read", wrong=_is("stall answer")),
    "reading: no answer for ever": Fault(moment="read", wrong=_is("stall answer"), times=FOR_EVER),
    "listing: overloaded, twice": Fault(moment="list", wrong=_BUSY, times=2),
    "listing: connection lost in the middle": Fault(moment="list", wrong=_is("truncate"), after=20),
}

USUALLY: Mapping[str, str] = {
    **dict.fromkeys(FAULTS, "stored"),
    "a part: overloaded for ever": "DestinationError (retryable)",
    "a part: sending stalls for ever": "DestinationError (retryable)",
    "a part: no answer for ever": "DestinationError (retryable)",
    "a part: the store is full": "DestinationError",
    "a part: credentials expired": "AccessDeniedError",
    "wrong clock": "DestinationError",
    "the end: no answer for ever": "DestinationError (retryable)",
    "the end: its answer lost, and nothing answers after": "unknown",
    "the end: credentials expired": "AccessDeniedError",
    "a small object: sending stalls for ever": "DestinationError (retryable)",
    "reading: no answer for ever": "DestinationError (retryable)",
}
"""What comes of each fault, as `outcome_of` says it."""


def usually_without(*faults: str) -> Mapping[str, str]:
    """For a store that has no answer for these."""
    assert USUALLY.keys() >= {*faults}
    return {fault: outcome for fault, outcome in USUALLY.items() if fault not in faults}


def impatience(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Options for a test's destination: no more than its fault asks for, or a busy machine is taken for one."""
    callspec = getattr(request.node, "callspec", None)
    name = str(callspec.params.get("name", "")) if callspec else ""
    stalls = "stalls" in name or "no answer" in name
    lasts = name in FAULTS and (FAULTS[name].times == FOR_EVER or FAULTS[name].then is not None)
    patience = 1 if lasts and stalls else 0.5 if lasts else 30
    return {"time_limit": 0.7 if stalls else 20, "patience": patience, "slowest": 1 << 40}


class FaultTests:
    """Subclass it, give the fixture `behind`, and what comes of each fault: see `outcome_of`.

    A fault that this store has no answer for is none of `outcomes`; docs/reference/destination-faults.md has all.
    """

    outcomes: Mapping[str, str]

    @pytest.fixture(autouse=True)
    def without_long_waits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Most of the time of these tests would be waits between attempts."""
        monkeypatch.setattr(asking, "_WAIT", 0.05)

    @pytest.fixture
    def behind(self) -> Behind:
        raise NotImplementedError("give a fixture `behind`")

    @pytest.mark.timeout(60)  # none of it may take for ever
    @pytest.mark.parametrize(
        "name", [name for name in FAULTS if FAULTS[name].moment in ("part", "commit", "small")]
    )
    def test_after_a_fault_the_object_is_right_or_there_is_none(self, behind: Behind, name: str) -> None:
        fault = FAULTS[name]
        content = b"small" if fault.moment == "small" else behind.content
        behind.direct.write("shop/old", [b"old"])
        self._befalls(behind, name)
        outcome = outcome_of(lambda: behind.through.write("shop/new", _in_chunks(content)))
        check_it_befell(behind, fault)
        behind.proxy.rules = []
        there = _read(behind.direct, "shop/new")
        assert there in (content, None)
        assert (there is None) == (outcome not in ("stored", "unknown")), outcome
        assert _read(behind.direct, "shop/old") == b"old"
        if isinstance(behind.direct, HasLeftovers) and fault.then is None:
            assert [*behind.direct.leftovers()] == []
        assert outcome == self.outcomes[name]

    @pytest.mark.timeout(60)
    @pytest.mark.parametrize("name", [name for name in FAULTS if FAULTS[name].moment == "commit"])
    def test_an_object_that_is_replaced_stays_until_the_new_one_is_whole(
        self, behind: Behind, name: str
    ) -> None:
        behind.direct.write("shop/object", [b"old"])
        self._befalls(behind, name)
        outcome = outcome_of(
            lambda: behind.through.write("shop/object", _in_chunks(behind.content), overwrite=True)
        )
        check_it_befell(behind, FAULTS[name])
        assert outcome == self.outcomes[name]
        behind.proxy.rules = []
        there = _read(behind.direct, "shop/object")
        assert there in (
            (b"old", behind.content)
            if outcome == "unknown"
            else (behind.content,)
            if outcome == "stored"
            else (b"old",)
        )

    @pytest.mark.timeout(60)
    @pytest.mark.parametrize("name", [name for name in FAULTS if FAULTS[name].moment in ("read", "list")])
    def test_what_is_read_after_a_fault_is_right_or_an_error(self, behind: Behind, name: str) -> None:
        fault = FAULTS[name]
        behind.direct.write("shop/object", [behind.content])
        self._befalls(behind, name)
        if fault.moment == "read":
            outcome = outcome_of(lambda: _same(b"".join(behind.through.read("shop/object")), behind.content))
        else:
            outcome = outcome_of(lambda: _same([one.name for one in behind.through.list()], ["shop/object"]))
        check_it_befell(behind, fault)
        assert outcome == self.outcomes[name]

    def test_a_slow_link_is_only_slow(self, behind: Behind) -> None:
        behind.proxy.bandwidth = 40e6
        behind.proxy.latency = 0.01
        behind.through.write("shop/new", _in_chunks(behind.content))
        assert b"".join(behind.through.read("shop/new")) == behind.content

    def _befalls(self, behind: Behind, name: str) -> None:
        wrong = FAULTS[name].wrong(behind)
        assert (wrong is None) == (name not in self.outcomes)
        if wrong is None:
            pytest.skip("this store has no such answer")
        befalls(behind, FAULTS[name], wrong)


def befalls(behind: Behind, fault: Fault, wrong: Wrong) -> None:
    """Let it happen from now on."""
    rule = Rule(behind.requests[fault.moment], wrong, times=fault.times, skip=fault.skip, after=fault.after)
    behind.proxy.rules = [rule]
    if fault.then is not None:
        behind.proxy.rules.append(_After(rule, fault.then))


def check_it_befell(behind: Behind, fault: Fault) -> None:
    """Did it happen as often as it was to, where it was to, and after as many requests as it was to?"""
    expression = behind.requests[fault.moment]
    there = [wrong for line, wrong in behind.proxy.seen if re.search(expression, line)]
    befell = [*behind.proxy.befell()]
    assert befell, "nothing went wrong"
    assert there[: fault.skip] == [None] * fault.skip
    if fault.times < FOR_EVER:
        assert (
            befell[: fault.times] == there[fault.skip :][: fault.times] == [fault.wrong(behind)] * fault.times
        )
        assert set(befell[fault.times :]) <= {fault.then}
    if fault.then is not None:
        assert fault.then in befell[1:]


class _After(Rule):
    """Befalls everything once another rule is used up."""

    def __init__(self, rule: Rule, wrong: Wrong) -> None:
        super().__init__("", wrong, times=FOR_EVER)
        self._rule = rule

    def befalls(self, line: str) -> bool:
        return not self._rule.times and super().befalls(line)


def outcome_of(call: Callable[[], object]) -> str:
    """ "stored" (or read, or listed), "unknown", or the name of the error and, if it may pass, "(retryable)"."""
    try:
        call()
    except BackupKitError as error:
        if type(error).__name__ == "OutcomeUnknownError":
            return "unknown"
        return type(error).__name__ + (" (retryable)" if getattr(error, "retryable", False) else "")
    return "stored"


def _same(found: object, wanted: object) -> None:
    assert found == wanted


def _in_chunks(content: bytes, size: int = 1 << 20) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def _read(destination: Destination, name: str) -> bytes | None:
    try:
        return b"".join(destination.read(name))
    except ObjectNotFoundError:
        return None
