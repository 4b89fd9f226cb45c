"""What an examination finds: each step is seen to fail once, and nothing else is touched."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backupkit import (
    AccessDeniedError,
    ConfigurationError,
    DestinationError,
    Examination,
    LocalDestination,
    ObjectExistsError,
    OperationCancelledError,
    ReadOnly,
    Retrying,
    Throttled,
    _trials,
    examine,
    open_destination,
    open_repository,
)
from backupkit.model import StoredObject, Verdict
from backupkit.protocols import Chunks, Destination
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination, Method
from tests.pipeline.conftest import make as make  # the fixture
from tests.pipeline.shop import Make, Scripted, content, names
from tests.storage.s3 import S3Server

MiB = 1 << 20


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_trials, "_PART", MiB)


def verdicts(examination: Examination) -> dict[str, Verdict]:
    return {one.step: one.verdict for one in examination.findings}


def broken(examination: Examination) -> list[str]:
    """Which steps do not hold. Each says what to do, or its error does."""
    found = [one for one in examination.findings if one.verdict == "not ok"]
    assert examination.holds == (not found)
    assert all(one.advice or ": " in one.message for one in found)
    return [one.step for one in found]


def unknown(examination: Examination) -> list[str]:
    return [one.step for one in examination.findings if one.verdict == "not known"]


# Where all is well


def test_a_local_folder_holds_and_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").write_text("mine")
    examination = examine(LocalDestination(tmp_path))
    assert broken(examination) == unknown(examination) == []
    assert verdicts(examination).keys() >= {"reached", "swept", "deleted", "clock", "tidied up"}
    assert names(tmp_path) == ["other/file"]
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
    rights = examination.rights
    assert (rights.list, rights.read, rights.write, rights.overwrite, rights.delete) == (True,) * 5
    assert "It is safer to give this host some" in examination.recommendation
    assert examination.round_trip is not None
    assert examination.upload
    assert examination.download
    assert examination.clock_difference is not None
    assert abs(examination.clock_difference) < timedelta(seconds=5)
    assert examination.left == ()


@pytest.mark.parametrize("as_text", [True, False])
def test_a_path_is_as_good_as_a_destination(tmp_path: Path, as_text: bool) -> None:
    assert examine(str(tmp_path) if as_text else tmp_path).holds
    assert names(tmp_path) == []


def test_a_url_is_sent_to_in_parts_that_pass_a_slow_link() -> None:
    url = f"memory://{uuid.uuid4().hex}/shop"
    examination = examine(url)
    assert broken(examination) == []
    assert unknown(examination) == ["encrypted on the way"]
    assert "16.8 MB were sent" in str(examination.findings)
    assert [*open_destination(url).list()] == []


def test_wrappers_change_nothing_of_what_is_found(tmp_path: Path) -> None:
    examination = examine(Retrying(Throttled(LocalDestination(tmp_path), "1GB")))
    assert broken(examination) == unknown(examination) == []


def test_a_destination_that_leaves_nothing_behind_needs_no_sweeping() -> None:
    examination = examine(MemoryDestination())
    assert broken(examination) == []
    assert unknown(examination) == ["encrypted on the way", "swept"]


def test_a_real_store_holds_in_parts_and_its_rights_are_told(s3_server: S3Server) -> None:
    url = f"s3://{s3_server.new_bucket()}/shop"
    store = open_destination(url, **s3_server.options, part_size=5 * MiB)
    examination = examine(store)
    assert broken(examination) == unknown(examination) == []
    assert [*store.list()] == []
    reader = {**s3_server.options, "key": "reader", "secret": "read-only"}
    examination = examine(open_destination(url, **reader))
    assert broken(examination) == ["written"]
    assert (examination.rights.list, examination.rights.write) == (True, False)
    nobody = {**s3_server.options, "secret": "wrong"}
    assert broken(examine(open_destination(url, **nobody))) == ["written", "listed at once"]


def test_each_step_is_told_before_it_is_taken(tmp_path: Path) -> None:
    told: list[str] = []
    examination = examine(tmp_path, tell=told.append)
    assert told == [one.step for one in examination.findings][:-1]
    assert examination.findings[-1].step == "tidied up"


# Where something is not


class ListsLate(MemoryDestination):
    """Lists what there was before the last write."""

    def __init__(self) -> None:
        super().__init__()
        self._before: list[StoredObject] = []

    def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
        self._before = [*super().list()]
        return super().write(name, chunks, overwrite=overwrite)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        return (one for one in self._before if one.name.startswith(prefix))


class ReplacesSilently(MemoryDestination):
    def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
        return super().write(name, chunks, overwrite=True)


class ReplacesAndRefuses(MemoryDestination):
    def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
        there = name in self.objects and not overwrite
        stored = super().write(name, chunks, overwrite=True)
        if there:
            raise ObjectExistsError("It is there already: choose another name.", location=self.location)
        return stored


class ShowsUnfinished(MemoryDestination):
    def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
        def showing() -> Iterator[bytes]:
            for chunk in chunks:
                if name not in self.objects:
                    self.objects[name] = chunk
                yield chunk
            if self.objects.get(name) == chunk or not overwrite:
                self.objects.pop(name, None)

        if not overwrite and name in self.objects:
            return super().write(name, chunks)
        try:
            return super().write(name, showing(), overwrite=True)
        except BaseException:
            self.objects.pop(name, None)
            raise


class LeavesHalf(MemoryDestination):
    def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
        taken: list[bytes] = []

        def noting() -> Iterator[bytes]:
            for chunk in chunks:
                taken.append(chunk)
                yield chunk

        try:
            return super().write(name, noting(), overwrite=overwrite)
        except DestinationError:
            raise
        except Exception:
            self.objects[name] = b"".join(taken)
            raise


class SwallowsErrors(MemoryDestination):
    def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
        def silent() -> Iterator[bytes]:
            with suppress(Exception):
                yield from chunks

        return super().write(name, silent(), overwrite=overwrite)


class IgnoresRanges(MemoryDestination):
    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        return super().read(name)


class ReadsZeros(MemoryDestination):
    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        return (bytes(len(chunk)) for chunk in super().read(name, start=start, length=length))


class KeepsLess(MemoryDestination):
    def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
        return super().write(name, [b"".join(chunks)[:MiB]], overwrite=overwrite)


class CachesSizes(MemoryDestination):
    """Says of an object what it said first."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[str, StoredObject] = {}

    def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
        return replace(super().write(name, chunks, overwrite=overwrite), size=len(self.objects[name]))

    def stat(self, name: str) -> StoredObject:
        return (
            self._known.setdefault(name, super().stat(name)) if name in self.objects else super().stat(name)
        )

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        return (self.stat(name) for name in sorted(self.objects) if name.startswith(prefix))


class ListsOutOfOrder(MemoryDestination):
    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        return iter([*super().list(prefix)][::-1])


class DeletesNothing(MemoryDestination):
    """And says that it did."""

    def delete(self, name: str) -> None:
        self.stat(name)


class DeletesWhatIsNotThere(MemoryDestination):
    def delete(self, name: str) -> None:
        with suppress(DestinationError):
            super().delete(name)


class WrongClock(MemoryDestination):
    def stat(self, name: str) -> StoredObject:
        return replace(super().stat(name), modified=datetime.now(UTC) + timedelta(hours=2))


BROKEN: dict[type[MemoryDestination], list[str]] = {
    ListsLate: ["listed at once", "replaced", "names", "deleted", "tidied up"],
    ReplacesSilently: ["not replaced"],
    ReplacesAndRefuses: ["not replaced"],
    ShowsUnfinished: ["unseen until whole"],
    LeavesHalf: ["broken off"],
    SwallowsErrors: ["broken off"],
    IgnoresRanges: ["read in part"],
    ReadsZeros: ["read", "read in full", "read in part", "not replaced", "replaced"],
    KeepsLess: ["written in parts", "read in full", "read in part"],
    CachesSizes: ["replaced"],
    ListsOutOfOrder: ["names"],
    DeletesNothing: ["deleted", "tidied up"],
    DeletesWhatIsNotThere: ["deleted"],
    WrongClock: ["clock"],
}


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
def test_what_a_destination_does_wrong_is_found_and_what_follows_from_it(
    kind: type[MemoryDestination],
) -> None:
    destination = kind()
    examination = examine(destination)
    assert broken(examination) == BROKEN[kind]
    if kind is not ListsLate:  # which lists what is gone
        assert [*examination.left] == sorted(destination.objects)


def test_leftovers_that_cannot_be_swept_are_found(tmp_path: Path) -> None:
    class Keeps(LocalDestination):
        def discard(self, leftover: StoredObject) -> None:
            pass

    assert broken(examine(Keeps(tmp_path))) == ["swept"]


def test_leftovers_that_may_not_be_swept_are_not_known_to_be(tmp_path: Path) -> None:
    class Denies(LocalDestination):
        def discard(self, leftover: StoredObject) -> None:
            raise denied()

    examination = examine(Denies(tmp_path))
    assert (broken(examination), unknown(examination)) == ([], ["swept"])


def test_one_that_does_not_answer_is_asked_nothing_more() -> None:
    inner = MemoryDestination()
    error = DestinationError("It could not be reached: look at the network.", location="memory:memory")
    faulty = FaultyDestination(inner, [Fault(method="stat", does=error, call=None)])
    examination = examine(faulty)
    assert verdicts(examination) == {"reached": "not ok"}
    assert examination.findings[0].message == str(error)
    assert examination.recommendation == "Whether backups can be made with these credentials is not known."
    assert faulty.calls.keys() == {"stat"}


@pytest.mark.parametrize("write", [1, 2, 4, 12])
def test_one_that_goes_away_is_not_waited_for_at_every_step_and_every_name(write: int) -> None:
    class GoesAway(MemoryDestination):
        waits = 0
        writes = 0

        def _wait(self) -> None:
            if self.writes >= write:
                self.waits += 1
                raise DestinationError("It did not answer: try again.", location="x", retryable=True)

        def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
            self.writes += 1
            self._wait()
            return super().write(name, chunks, overwrite=overwrite)

        def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
            self._wait()
            return super().read(name, start=start, length=length)

        def stat(self, name: str) -> StoredObject:
            self._wait()
            return super().stat(name)

        def list(self, prefix: str = "") -> Iterator[StoredObject]:
            self._wait()
            return super().list(prefix)

        def delete(self, name: str) -> None:
            self._wait()
            super().delete(name)

    destination = GoesAway()
    examination = examine(destination)
    assert not examination.holds
    assert destination.waits <= 4
    assert {*destination.objects} <= {*examination.left}


def test_a_folder_that_is_missing_is_told_and_not_made(tmp_path: Path) -> None:
    examination = examine(tmp_path / "missing")
    assert broken(examination) == ["reached"]
    assert "mount it or create it" in examination.findings[0].message
    assert [*tmp_path.iterdir()] == []


def test_what_is_no_error_of_ours_is_a_finding_and_shows_no_secret() -> None:
    error = RuntimeError("https://user:hunter2@example.org")
    faulty = FaultyDestination(MemoryDestination(), [Fault(method="read", does=error, call=None)])
    examination = examine(faulty)
    assert "read" in broken(examination)
    assert "RuntimeError" in str(examination)
    assert "hunter2" not in str(examination)


def test_plain_http_is_told_even_if_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    destination = open_destination("ftp://192.0.2.1/shop", allow_plaintext=True)
    trials = _trials.Trials(destination, threading.Event())
    with pytest.raises(_trials.BrokenError, match="read and change what is sent"):
        trials.encryption()


# What the credentials allow


def denied() -> AccessDeniedError:
    return AccessDeniedError(
        "These credentials do not allow it: give them that right.", location="memory:memory"
    )


class MayNotOverwrite(MemoryDestination):
    def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
        if overwrite:
            raise denied()
        return super().write(name, chunks)


class MayNeither(MayNotOverwrite):
    def delete(self, name: str) -> None:
        raise denied()


@pytest.mark.parametrize(
    ("method", "not_ok"), [("list", ["listed at once"]), ("read", ["read"]), ("write", ["written"])]
)
def test_a_right_that_a_run_needs_and_has_not_is_told(method: Method, not_ok: list[str]) -> None:
    faulty = FaultyDestination(MemoryDestination(), [Fault(method=method, does=denied(), call=None)])
    examination = examine(faulty)
    assert broken(examination) == not_ok
    assert getattr(examination.rights, method) is False
    if method == "write":
        assert examination.recommendation == "Backups cannot be made with these credentials."
        assert examination.rights.list is True


def test_credentials_that_may_not_delete_are_good_and_what_stays_is_named() -> None:
    inner = MemoryDestination()
    inner.write("shop/mine", [b"x"])
    examination = examine(FaultyDestination(inner, [Fault(method="delete", does=denied(), call=None)]))
    assert examination.holds
    assert {"deleted", "tidied up"} <= {*unknown(examination)}
    assert (examination.rights.delete, examination.rights.overwrite) == (False, True)
    assert "replace, which destroys as well" in examination.recommendation
    assert [*examination.left] == sorted(inner.objects.keys() - {"shop/mine"})
    assert "names/a-b" in str(examination.findings[-1].message)
    assert examination.findings[-1].advice == "Delete it with credentials that may."


def test_credentials_that_may_neither_delete_nor_replace_are_the_safest() -> None:
    examination = examine(MayNeither())
    assert examination.holds
    assert (examination.rights.delete, examination.rights.overwrite) == (False, False)
    assert "cannot destroy the backups" in examination.recommendation


def test_credentials_that_may_not_replace_are_good() -> None:
    examination = examine(MayNotOverwrite())
    assert examination.holds
    assert (examination.rights.delete, examination.rights.overwrite) == (True, False)


def test_nothing_can_be_tried_where_nothing_can_be_written(tmp_path: Path) -> None:
    examination = examine(ReadOnly(LocalDestination(tmp_path)))
    assert broken(examination) == ["written"]
    assert examination.rights.write is False
    assert verdicts(examination).keys() == {"reached", "encrypted on the way", "written", "listed at once"}
    assert names(tmp_path) == []


# It leaves nothing, and hinders nobody


@pytest.mark.parametrize("write", range(1, 14))
def test_when_it_is_cancelled_it_leaves_nothing(write: int) -> None:
    inner, cancel = MemoryDestination(), threading.Event()
    faulty = FaultyDestination(inner, [Fault(method="write", does=cancel.set, call=write, goes_on=True)])
    with suppress(OperationCancelledError):
        examine(faulty, cancel=cancel)
        assert not cancel.is_set(), "it went on"
    assert inner.objects == {}


def test_an_interrupt_leaves_nothing() -> None:
    inner = MemoryDestination()
    faulty = FaultyDestination(inner, [Fault(method="write", does=KeyboardInterrupt(), call=5)])
    with pytest.raises(KeyboardInterrupt):
        examine(faulty)
    assert inner.objects == {}


def test_no_pipeline_takes_what_an_examination_has_left_for_its_own(make: Make) -> None:
    inner = MemoryDestination()
    pipeline = make(Scripted("a", {"a": b"content"}), inner)
    pipeline.run()
    before = dict(inner.objects)
    examine(FaultyDestination(inner, [Fault(method="delete", does=denied(), call=None)]))
    left = {name: inner.objects[name] for name in inner.objects.keys() - before.keys()}
    assert len(left) > 5
    assert all(name.startswith("backupkit/doctor-") for name in left)
    listing = pipeline.list()
    assert (len(listing.backups), listing.problems) == (1, ())
    assert len(open_repository(inner).list().backups) == 1
    assert pipeline.monitor().outcome == "succeeded"
    assert pipeline.verify().outcome == "succeeded"
    assert pipeline.clean().outcome == "succeeded"
    assert content(pipeline) == {"a": b"content"}
    assert {name: inner.objects.get(name) for name in left} == left


def test_what_is_no_destination_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        examine("nothing://bucket")


def test_its_words_are_short_enough_for_a_terminal(tmp_path: Path) -> None:
    destination: Destination = LocalDestination(tmp_path)
    for finding in examine(destination).findings:
        assert len(finding.message) < 120
        assert finding.message.endswith(".")
