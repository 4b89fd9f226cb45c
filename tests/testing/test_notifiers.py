"""The contract of notifiers can be kept, and notices what breaks it."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from backupkit import NotificationError
from backupkit.model import Notice, Occasion
from backupkit.protocols import Notifier
from backupkit.testing.notices import NOW, notice
from backupkit.testing.notifiers import NotifierTests, RecordingNotifier


class TestRecordingNotifier(NotifierTests):
    @pytest.fixture
    def notifier(self) -> RecordingNotifier:
        return RecordingNotifier()

    @pytest.fixture
    def refusing_notifier(self) -> RecordingNotifier:
        return RecordingNotifier(refuses=NotificationError("no"))


def test_it_remembers_what_it_was_told_and_refuses_as_often_as_it_should() -> None:
    recording = RecordingNotifier(refuses=[NotificationError("no")])
    with pytest.raises(NotificationError):
        recording.notify(notice("run failed"))
    recording.notify(notice("run failed"))
    recording.started("run", "shop", NOW)
    assert recording.notices == recording.of("run failed") == [notice("run failed")]
    assert recording.starts == [("run", "shop", NOW)]


class Broken:
    """Swallows refusals, fails at strange names, and shows its token."""

    def __init__(self, on: Collection[Occasion] = frozenset({"run failed"})) -> None:
        self.on = on

    def notify(self, notice: Notice) -> None:
        if notice.report is not None and any("\0" in one.message for one in notice.report.problems):
            raise ValueError("a name with a NUL")

    def __repr__(self) -> str:
        return "Broken(token)"


def holds(test: str, notifier: Notifier) -> None:
    contract = NotifierTests()
    contract.secrets = ("token",)
    getattr(contract, test)(notifier)


@pytest.mark.parametrize(
    ("test", "on"),
    [
        ("test_it_says_what_it_wants_to_hear_and_always_the_same", ["run failed"]),
        ("test_it_says_what_it_wants_to_hear_and_always_the_same", ("run finished",)),
        ("test_no_secret_is_shown", ("run failed",)),
    ],
)
def test_a_contract_that_is_broken_is_noticed(test: str, on: Collection[Occasion]) -> None:
    with pytest.raises(AssertionError):
        holds(test, Broken(on))


def test_a_refusal_that_passes_silently_is_noticed() -> None:
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        holds("test_a_refusal_is_an_error_each_time_and_shows_no_secret", Broken())


def test_a_notifier_that_fails_at_strange_names_is_noticed() -> None:
    with pytest.raises(ValueError, match="NUL"):
        holds("test_it_can_be_told_of_whatever_files_are_called_and_programs_say", Broken())
