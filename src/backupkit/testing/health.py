"""What every health check must hold to, and random states to hold it against.

    class TestNoArchiveOnSunday(HealthCheckTests):
        def make_check(self) -> HealthCheck:
            return NoArchiveOnSunday()

Needs `backupkit[testing]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck as Slowness
from hypothesis import given, settings
from hypothesis import strategies as st

from backupkit.model import Backup, Contents, Problem, RepositoryState, StoredObject
from backupkit.protocols import HealthCheck
from backupkit.testing.retention import backups

# So long that the calendar repeats itself: the same dates, weekdays and leap days.
_AN_AGE = timedelta(days=146_097)


@st.composite
def states(draw: st.DrawFn) -> RepositoryState:
    """One destination of one pipeline: good backups and others, verified and not, and leftovers."""
    now = draw(st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)))
    ago = st.one_of(st.none(), st.timedeltas(timedelta(0), timedelta(days=60)))

    def known(backup: Backup) -> Backup:
        verified, proven = draw(ago), draw(ago)
        return replace(
            backup,
            verified=None if verified is None or backup.damaged else now - verified,
            proven=None if proven is None or backup.damaged else now - proven,
            refuted=proven is None and draw(st.booleans()),
        )

    history = [known(backup) for backup in draw(backups(now))]
    left = [
        StoredObject(name=f"shop/.{number}.partial", size=number, modified=now - age)
        for number, age in enumerate(
            draw(st.lists(st.timedeltas(timedelta(0), timedelta(days=9)), max_size=3))
        )
    ]
    return RepositoryState(
        location="memory:",
        backups=tuple(sorted(history, key=lambda one: (one.time, one.id), reverse=True)),
        contents=frozenset({"files", "databases"}),
        now=now,
        leftovers=tuple(left),
    )


# A class of tests is there to be inherited; and whoever runs it may be on a slow machine.
_settings = settings(deadline=None, suppress_health_check=[Slowness.differing_executors, Slowness.too_slow])


class HealthCheckTests:
    """Subclass, and return the check from `make_check`."""

    def make_check(self) -> HealthCheck:
        raise NotImplementedError

    def found(self, state: RepositoryState) -> Sequence[Problem]:
        return list(self.make_check().problems(state))

    @_settings
    @given(states())
    def test_it_finds_the_same_when_it_is_asked_again(self, state: RepositoryState) -> None:
        check = self.make_check()
        assert list(check.problems(state)) == list(check.problems(state)) == list(self.found(state))

    @_settings
    @given(states())
    def test_a_problem_names_the_destination_and_the_check_and_says_something(
        self, state: RepositoryState
    ) -> None:
        for problem in self.found(state):
            assert problem.destination == state.location
            assert problem.check
            assert problem.message.strip()
            assert problem.severity in ("warning", "error")

    @_settings
    @given(states())
    def test_it_knows_no_time_but_that_of_the_state(self, state: RepositoryState) -> None:
        found = [(one.check, one.severity) for one in self.found(_later(state))]
        assert found == [(one.check, one.severity) for one in self.found(state)]

    def test_a_place_without_backups_can_be_asked_about(self) -> None:
        now = datetime(2026, 11, 23, 3, tzinfo=UTC)
        contents: frozenset[Contents] = frozenset({"files"})
        self.found(RepositoryState(location="memory:", backups=(), contents=contents, now=now))


def _later(state: RepositoryState) -> RepositoryState:
    """The same, an age later."""

    def moved(time: datetime | None) -> datetime | None:
        return None if time is None else time + _AN_AGE

    return replace(
        state,
        now=state.now + _AN_AGE,
        backups=tuple(
            replace(one, time=one.time + _AN_AGE, verified=moved(one.verified), proven=moved(one.proven))
            for one in state.backups
        ),
        leftovers=tuple(replace(one, modified=one.modified + _AN_AGE) for one in state.leftovers),
    )
