"""What every notifier must hold to, and one that only remembers.

    class TestMyNotifier(NotifierTests):
        secrets = ("token",)

        @pytest.fixture
        def notifier(self) -> Notifier:
            return MyNotifier("https://example.org/token")

Needs `backupkit[testing]`.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import get_args

import pytest

from backupkit.errors import NotificationError
from backupkit.model import Notice, Occasion, Operation, Problem
from backupkit.protocols import HearsStarts, Notifier
from backupkit.testing.notices import NOW, notice, problem

_KNOWN: frozenset[Occasion] = frozenset(get_args(Occasion))
_HOSTILE = "<script>\x1b[2J\r\nBcc: a@example.org\r\n\0\udcff\u202e🎉 %s %(x)s {{ y }} ${z} `w` '; DROP TABLE"


class RecordingNotifier:
    """A notifier that keeps what it is told, in order, in `notices`, and what begins in `starts`.

    `refuses` is an exception that it raises instead, or several, one for each call, after which it takes all.
    """

    def __init__(
        self,
        *,
        on: Collection[Occasion] = _KNOWN,
        refuses: Exception | Iterable[Exception] = (),
    ) -> None:
        self.on = frozenset(on)
        self.notices: list[Notice] = []
        self.starts: list[tuple[Operation, str, datetime]] = []
        self._always = refuses if isinstance(refuses, Exception) else None
        self._next = iter(()) if isinstance(refuses, Exception) else iter(refuses)

    def started(self, operation: Operation, name: str, time: datetime) -> None:
        self.starts.append((operation, name, time))

    def notify(self, notice: Notice) -> None:
        if (refusal := self._always or next(self._next, None)) is not None:
            raise refusal
        self.notices.append(notice)

    def of(self, occasion: Occasion) -> list[Notice]:
        """The notices of one occasion."""
        return [notice for notice in self.notices if notice.occasion == occasion]


class NotifierTests:
    """Subclass it and give the fixture `notifier`: one that can tell somebody, best a real receiver.

    The fixture `refusing_notifier`, if there can be one, is a notifier whose receiver takes nothing. `secrets` are
    texts that must not show: tokens, passwords.

    Not held, for no pipeline needs it: that a notifier can be pickled, or used in a child process after a fork.
    """

    secrets: Sequence[str] = ()

    @pytest.fixture
    def notifier(self) -> Notifier:
        raise NotImplementedError("give a fixture called notifier")

    @pytest.fixture
    def refusing_notifier(self) -> Notifier | None:
        return None

    def test_it_says_what_it_wants_to_hear_and_always_the_same(self, notifier: Notifier) -> None:
        assert isinstance(notifier.on, frozenset | tuple), "a list or a set could be changed"
        assert frozenset(notifier.on) <= _KNOWN
        assert tuple(notifier.on) == tuple(notifier.on)

    def test_all_that_it_wants_to_hear_can_be_told(self, notifier: Notifier) -> None:
        for occasion in notifier.on:
            notifier.notify(notice(occasion))

    def test_it_can_be_told_when_nobody_knows_how_the_backups_stand(self, notifier: Notifier) -> None:
        for occasion in notifier.on:
            if occasion != "summary":
                notifier.notify(notice(occasion, summary=None))

    def test_it_can_be_told_of_whatever_files_are_called_and_programs_say(self, notifier: Notifier) -> None:
        for occasion in notifier.on:
            notifier.notify(_hostile(notice(occasion)))

    def test_it_can_be_told_from_several_threads_at_once(self, notifier: Notifier) -> None:
        failures: list[BaseException] = []

        def tell(occasion: Occasion) -> None:
            try:
                notifier.notify(notice(occasion))
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=tell, args=(occasion,)) for occasion in sorted(notifier.on)[:4]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []

    def test_it_hears_starts_if_it_says_so(self, notifier: Notifier) -> None:
        if not isinstance(notifier, HearsStarts):
            pytest.skip("it is told of ends only")
        notifier.started("run", "shop", NOW)

    def test_no_secret_is_shown(self, notifier: Notifier) -> None:
        assert _shown(self.secrets, repr(notifier), str(notifier)) == []

    def test_a_refusal_is_an_error_each_time_and_shows_no_secret(
        self, refusing_notifier: Notifier | None
    ) -> None:
        """Whoever is told nothing must be missed: nothing just passes."""
        if refusing_notifier is None:
            pytest.skip("no fixture refusing_notifier was given")
        for occasion in sorted(refusing_notifier.on)[:2]:
            with pytest.raises((NotificationError, OSError)) as caught:
                refusing_notifier.notify(notice(occasion))
            # The errors behind it are printed too, wherever a traceback is.
            assert _shown(self.secrets, *traceback.format_exception(caught.value)) == []


def _hostile(told: Notice) -> Notice:
    trouble: tuple[Problem, ...] = (problem(_HOSTILE, path=_HOSTILE, destination=_HOSTILE),)
    report, destination = told.report, told.destination
    return replace(
        told,
        report=None if report is None else replace(report, name=_HOSTILE, problems=trouble),
        destination=None if destination is None else replace(destination, problems=trouble),
    )


def _shown(secrets: Sequence[str], *texts: str) -> list[str]:
    return [secret for secret in secrets if any(secret in text for text in texts)]
