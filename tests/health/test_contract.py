"""The contract that third parties' checks are held to, and that a check which breaks it does not pass."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from backupkit.health import (
    FutureDated,
    Leftovers,
    MaximumAge,
    MaximumStorage,
    MinimumCount,
    MinimumSize,
    ProvenWithin,
    SizeAnomaly,
    VerifiedWithin,
)
from backupkit.model import Problem, RepositoryState
from backupkit.protocols import HealthCheck
from backupkit.testing.health import HealthCheckTests
from tests.health.states import NOW, days


class All:
    """Every check of ours, one after the other."""

    def problems(self, state: RepositoryState) -> Iterator[Problem]:
        for check in (
            MaximumAge(days=1),
            FutureDated(),
            Leftovers(),
            MaximumStorage("1TB"),
            MinimumCount(3),
            MinimumSize("1GB", contents="databases"),
            SizeAnomaly(least=3),
            VerifiedWithin(7),
            ProvenWithin(30),
        ):
            yield from check.problems(state)


class TestOurs(HealthCheckTests):
    def make_check(self) -> HealthCheck:
        return All()


@dataclass
class Breaks:
    """A check that does what it must not."""

    how: Callable[[RepositoryState], Iterable[Problem]]

    def problems(self, state: RepositoryState) -> Iterable[Problem]:
        return self.how(state)


def problem(state: RepositoryState, **changes: str) -> Problem:
    return Problem(**{"message": "bad", "check": "Breaks", "destination": state.location, **changes})  # type: ignore[arg-type]


CALLS = itertools.count()
BROKEN: dict[str, tuple[str, Callable[[RepositoryState], Iterable[Problem]]]] = {
    "names no check": ("a_problem_names", lambda state: [problem(state, check="")]),
    "names another place": ("a_problem_names", lambda state: [problem(state, destination="elsewhere")]),
    "says nothing": ("a_problem_names", lambda state: [problem(state, message=" ")]),
    "looks at the clock": (
        "it_knows_no_time",
        lambda state: [problem(state)] * (state.now > datetime.now(UTC).replace(year=2100)),
    ),
    "needs a backup": ("a_place_without", lambda state: [problem(state)] * bool(state.backups[0].stored)),
    "remembers": ("it_finds_the_same", lambda state: [problem(state, message=str(next(CALLS)))]),
}
STATE = RepositoryState(
    location="memory:", backups=tuple(days([1])), contents=frozenset({"files", "databases"}), now=NOW
)


@pytest.mark.parametrize("how", BROKEN)
def test_a_check_that_breaks_the_contract_does_not_pass(how: str) -> None:
    class Broken(HealthCheckTests):
        def make_check(self) -> HealthCheck:
            return Breaks(BROKEN[how][1])

    [name] = [name for name in dir(Broken) if name.startswith(f"test_{BROKEN[how][0]}")]
    test = getattr(Broken(), name)
    with pytest.raises((AssertionError, IndexError)):
        # One state is enough to see it, and takes no search for the smallest.
        test.hypothesis.inner_test(Broken(), STATE) if hasattr(test, "hypothesis") else test()
