"""Keys at several destinations, each a repository of its own: changed by one call that tells of each."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest

from backupkit import (
    Backups,
    ConfigurationError,
    DestinationError,
    Passphrase,
    Report,
    RepositoryError,
    WrongPassphraseError,
)
from backupkit.protocols import Destination
from backupkit.testing.destinations import MemoryDestination
from tests.pipeline.snapshots import PASSPHRASE, Failing, Silent, at

NEW = Passphrase("another one of many random words")

pytestmark = pytest.mark.usefixtures("impatient")


def count(places: tuple[Destination, ...], by: Passphrase) -> int:
    """At how many of them the passphrase opens the repository."""
    opened = 0
    for place in places:
        with suppress(WrongPassphraseError):
            opened += len(at(place, by=by).list().backups)
    return opened


def test_keys_are_listed_for_each_destination(places: tuple[MemoryDestination, MemoryDestination]) -> None:
    listing = at(*places).keys()
    assert [(key.location, key.in_use) for key in listing.keys] == [(one.location, True) for one in places]
    assert [key.location for key in at(*places).keys(at=places[1].location).keys] == [places[1].location]


def test_a_destination_that_does_not_answer_is_a_problem_of_the_listing(
    places: tuple[MemoryDestination, MemoryDestination],
) -> None:
    first, second = places
    listing = at(first, Silent(second)).keys()
    assert [key.location for key in listing.keys] == [first.location]
    assert [problem.destination for problem in listing.problems] == [second.location]
    with pytest.raises(DestinationError, match="Nobody answers"):
        at(Silent(second)).keys()


def test_hosts_get_a_new_passphrase_one_after_the_other_and_none_is_shut_out(
    places: tuple[MemoryDestination, MemoryDestination],
) -> None:
    assert at(*places).add_key(NEW).outcome == "succeeded"
    assert (count(places, PASSPHRASE), count(places, NEW)) == (2, 2)
    report = at(*places, by=Passphrase(NEW.reveal().decode(), previous=[PASSPHRASE])).change_passphrase(NEW)
    assert [len(one.keys.removed) for one in report.destinations if one.keys] == [1, 1]
    assert (count(places, PASSPHRASE), count(places, NEW)) == (0, 2)


def test_a_change_that_failed_at_one_destination_is_told_and_repeated(
    places: tuple[MemoryDestination, MemoryDestination],
) -> None:
    first, second = places
    with pytest.raises(RepositoryError, match="was not changed: the old one still opens it") as failed:
        at(first, Failing(second, "keys/")).change_passphrase(NEW)
    report = failed.value.report
    assert report is not None
    assert [one.outcome for one in report.destinations] == ["succeeded", "failed"]
    assert (count((first,), NEW), count((second,), PASSPHRASE)) == (1, 1)
    report = at(*places).change_passphrase(NEW)
    assert report.outcome == "succeeded"
    assert [problem.destination for problem in report.problems] == [first.location]
    assert "nothing was changed" in report.problems[0].message
    assert (count(places, PASSPHRASE), count(places, NEW)) == (0, 2)


def test_several_that_failed_are_a_group_with_the_report(
    places: tuple[MemoryDestination, MemoryDestination],
) -> None:
    with pytest.raises(ExceptionGroup, match="could not be added everywhere") as failed:
        at(*(Failing(one, "keys/") for one in places)).add_key(NEW)
    report: Report = failed.value.report  # type: ignore[attr-defined]
    assert [one.outcome for one in report.destinations] == ["failed", "failed"]


def test_a_destination_that_breaks_its_contract_keeps_no_other_from_being_changed(
    places: tuple[MemoryDestination, MemoryDestination],
) -> None:
    first, second = places

    def fail() -> None:
        raise ValueError("a defect")

    with pytest.raises(DestinationError, match="a defect") as failed:
        at(Failing(first, "keys/", does=fail), second).add_key(NEW)
    report = failed.value.report
    assert report is not None
    assert [one.outcome for one in report.destinations] == ["failed", "succeeded"]
    assert count((second,), NEW) == 1


def test_a_key_is_removed_by_the_beginning_of_its_id_where_it_is(
    places: tuple[MemoryDestination, MemoryDestination],
) -> None:
    first, _ = places
    (added,) = (one.keys.added[0] for one in at(first).add_key(NEW).destinations if one.keys)
    report = at(*places).remove_key(added.id[:12].upper())
    assert [one.location for one in report.destinations] == [first.location]
    assert f"keys/{added.id}" not in first.objects


def test_a_key_that_is_not_there_or_not_clear_is_refused(
    places: tuple[MemoryDestination, MemoryDestination],
) -> None:
    first, _ = places
    first.objects |= {f"keys/5a{number:062x}": b"?" for number in range(2)}
    with pytest.raises(ConfigurationError, match="2 keys begin with '5a0': write more"):
        at(*places).remove_key("5a0")
    for unknown in ("", "no id", "5a00000002"):
        with pytest.raises(RepositoryError, match="No key begins with"):
            at(*places).remove_key(unknown)


def test_an_easy_passphrase_is_a_warning_and_one_that_opens_it_already_another(
    places: tuple[MemoryDestination, MemoryDestination],
) -> None:
    first, _ = places
    (weak,) = at(first).add_key(Passphrase("easy")).problems
    assert (weak.severity, weak.check) == ("warning", "passphrase")
    (known,) = at(first).add_key(NEW).problems + at(first).add_key(NEW).problems
    assert known.severity == "warning"
    assert "opens it already: no key was added" in known.message


def test_the_passphrase_in_use_is_no_new_one(places: tuple[MemoryDestination, MemoryDestination]) -> None:
    same = Passphrase(PASSPHRASE.reveal().decode())
    with pytest.raises(ConfigurationError, match="is the one in use"):
        at(*places).change_passphrase(same)
    with pytest.raises(ConfigurationError, match="write Passphrase"):
        at(*places).add_key("a text")  # type: ignore[arg-type]


def test_a_wrong_passphrase_changes_nothing(places: tuple[MemoryDestination, MemoryDestination]) -> None:
    before = [dict(one.objects) for one in places]
    wrong = at(*places, by=Passphrase("not the one that it was made with"))
    with pytest.raises(ExceptionGroup, match="could not be changed everywhere"):
        wrong.change_passphrase(NEW)
    assert [one.objects for one in places] == before


def test_archives_have_no_keys_and_nothing_is_asked_of_their_destination() -> None:
    archives = Backups("shop", Silent(MemoryDestination()), encryptor=PASSPHRASE)
    for call in (
        archives.keys,
        lambda: archives.add_key(NEW),
        lambda: archives.remove_key("5a"),
        lambda: archives.change_passphrase(NEW),
    ):
        with pytest.raises(ConfigurationError, match=re.escape("give Passphrase(new, previous=[old])")):
            call()


def test_no_report_shows_a_passphrase(places: tuple[MemoryDestination, MemoryDestination]) -> None:
    report = at(*places).change_passphrase(NEW)
    for secret in (NEW, PASSPHRASE):
        assert secret.reveal().decode() not in repr(report)
