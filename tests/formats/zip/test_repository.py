from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from backupkit.compression import Deflate, Zstd
from backupkit.errors import (
    BackupNotFoundError,
    ConfigurationError,
    DestinationError,
    IntegrityError,
    SourceError,
    UnsupportedCodecError,
)
from backupkit.formats.zip.format import Zip
from backupkit.formats.zip.repository import ZipRepository
from backupkit.model import Backup, Entry, Problem, Written
from backupkit.passphrase import Passphrase
from backupkit.protocols import Destination, Encryptor
from backupkit.retrying import Retry
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination
from backupkit.testing.entries import with_content
from backupkit.testing.repositories import BOTH, NOON
from tests.formats.zip.toy import ToyEncryptor

ONCE = Retry(tries=1)
ENTRY = with_content(Entry(path="f"), b"content")
MiB = 1 << 20
ID = "2026-01-31T12-00-00.250000Z"


def write(
    destination: Destination,
    entries: Sequence[Entry | Problem] = (ENTRY,),
    *,
    key: Encryptor | Passphrase | None = None,
    tags: Sequence[str] = (),
) -> Written:
    with Zip().open(destination, name="shop", encryptor=key) as repository:
        return repository.write(entries, time=NOON, contents=BOTH, tags=tags, retry=ONCE)


def listed(destination: Destination) -> list[Backup]:
    with Zip().open(destination, name="shop") as repository:
        return [*repository.list()]


def checked(destination: Destination, backup: Backup) -> list[str]:
    with Zip().open(destination, name="shop") as repository:
        return [problem.message for problem in repository.check(backup)]


# Objects and their names.


def test_a_backup_is_an_archive_and_a_summary() -> None:
    destination = MemoryDestination()
    write(destination)
    assert [*destination.objects] == [f"shop/{ID}.zip", f"shop/{ID}.complete.json"]


def test_the_summary_says_what_can_be_said_in_the_open() -> None:
    destination = MemoryDestination()
    problem = Problem(message="secret.txt could not be read", path="secret.txt")
    backup = write(destination, [ENTRY, problem], key=Passphrase("five words"), tags=["nightly"]).backup
    text = destination.objects[f"shop/{ID}.incomplete.json"]
    assert json.loads(text) == {
        "id": ID,
        "name": "shop",
        "complete": False,
        "entries": 1,
        "size": 7,
        "stored": len(destination.objects[f"shop/{ID}.zip"]),
        "host": backup.host,
        "tags": ["nightly"],
        "problems": 1,
    }
    assert b"secret" not in text


def test_foreign_objects_are_neither_listed_nor_pruned() -> None:
    destination = MemoryDestination()
    write(destination)
    for name in (
        "shop/readme.txt",
        f"shop/sub/{ID}.complete.json",
        "shop/sub/2026.zip",
        f"shop/{ID}.full.complete.json",
        f"other/{ID}.complete.json",
    ):
        destination.write(name, [b"not ours"])
    assert len(listed(destination)) == 1
    with Zip().open(destination, name="shop") as repository:
        assert repository.prune() == 0
    assert len(destination.objects) == 7


def test_an_archive_without_a_summary_is_listed_as_unconfirmed() -> None:
    destination = MemoryDestination()
    write(destination)
    destination.delete(f"shop/{ID}.complete.json")
    assert [one.complete for one in listed(destination)] == [None]
    with Zip().open(destination, name="shop") as repository:
        assert repository.details(listed(destination)[0]).size is None


def test_two_summaries_mean_the_worse_one() -> None:
    destination = MemoryDestination()
    backup = write(destination).backup
    destination.write(f"shop/{ID}.incomplete.json", [destination.objects[f"shop/{ID}.complete.json"]])
    assert [one.complete for one in listed(destination)] == [False]
    assert len(checked(destination, backup)) == 1


def test_a_summary_that_claims_what_the_manifest_does_not_is_noticed() -> None:
    destination = MemoryDestination()
    backup = write(destination, [ENTRY, Problem(message="lost")]).backup
    text = destination.objects.pop(f"shop/{ID}.incomplete.json")
    destination.write(f"shop/{ID}.complete.json", [text])
    (message,) = checked(destination, backup)
    assert "does not say what" in message


def test_an_archive_under_the_name_of_another_is_noticed() -> None:
    destination = MemoryDestination()
    first, second = write(destination).backup, write(destination).backup
    destination.objects[f"shop/{second.id}.zip"] = destination.objects[f"shop/{first.id}.zip"]
    messages = checked(destination, second)
    assert f"The archive {second.id} says that it is {first.id}: it was renamed or replaced." in messages


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[]", b"\xff", b'{"entries": 1e999}', b"[" * 100_000, b'{"entries": [], "size": 1}']
)
def test_a_summary_that_cannot_be_read_is_an_integrity_error(text: bytes) -> None:
    destination = MemoryDestination()
    backup = write(destination).backup
    destination.write(f"shop/{ID}.complete.json", [text], overwrite=True)
    with Zip().open(destination, name="shop") as repository:
        with pytest.raises(IntegrityError, match="summary"):
            repository.details(backup)
        assert len([*repository.check(backup)]) == 1


@pytest.mark.parametrize("ending", ["complete", "incomplete"])
def test_a_summary_that_a_removal_left_behind_is_not_taken_for_that_of_a_new_backup(ending: str) -> None:
    destination = MemoryDestination()
    destination.write(f"shop/{ID}.{ending}.json", [b"of one that was removed"])
    backup = write(destination).backup
    assert [(one.id, one.complete) for one in listed(destination)] == [(backup.id, True)]
    assert checked(destination, backup) == []


@pytest.mark.parametrize("answer_lost", [True, False])
def test_a_removal_begins_with_the_archive_so_that_its_rest_lists_nothing(answer_lost: bool) -> None:
    destination = MemoryDestination()
    backup = write(destination).backup
    fault = Fault(method="delete", call=1 if answer_lost else 2, answer_lost=answer_lost, does=_crash)
    with (
        Zip().open(FaultyDestination(destination, [fault]), name="shop") as repository,
        pytest.raises(DestinationError),
    ):
        repository.remove(backup)
    assert [*destination.objects] == [f"shop/{ID}.complete.json"]
    assert listed(destination) == []


def test_two_encryptions_at_the_same_moment_have_ids_of_their_own() -> None:
    destination = MemoryDestination()
    backups = [write(destination, key=key).backup for key in (None, ToyEncryptor(b"key"), Passphrase("five"))]
    assert len({backup.id for backup in backups}) == 3


def test_a_repository_without_a_name_reads_all_and_writes_none() -> None:
    destination = MemoryDestination()
    write(destination)
    with Zip().open(destination, name=None) as repository:
        assert [backup.name for backup in repository.list()] == ["shop"]
        with pytest.raises(ConfigurationError, match="name"):
            repository.write([ENTRY], time=NOON, contents=BOTH, retry=ONCE)


def test_a_backup_that_is_gone_is_not_found() -> None:
    destination = MemoryDestination()
    backup = write(destination).backup
    destination.objects.clear()
    with Zip().open(destination, name="shop") as repository:
        for use in (repository.read, repository.check):
            with pytest.raises(BackupNotFoundError, match=ID):
                list(use(backup))
        assert repository.details(backup) == backup


def test_an_answer_that_was_lost_leaves_a_whole_archive() -> None:
    inner = MemoryDestination()
    error = DestinationError("the connection was lost", location="memory:")
    faulty = FaultyDestination(inner, [Fault(method="write", does=error, answer_lost=True)])
    with pytest.raises(DestinationError):
        write(faulty)
    (backup,) = listed(inner)
    assert backup.complete is None
    with Zip().open(inner, name="shop") as repository:
        assert [b"".join(entry.chunks()) for entry in repository.read(backup)] == [b"content"]


def test_an_archive_that_the_destination_cut_short_is_noticed() -> None:
    inner = MemoryDestination()
    faulty = FaultyDestination(inner, [Fault(method="write", does=None, after=100)])
    write(faulty)
    (backup,) = listed(inner)
    with pytest.raises(IntegrityError):
        checked(inner, backup)


# Keys and codecs.


def test_a_passphrase_may_be_changed_and_older_backups_stay_readable() -> None:
    destination = MemoryDestination()
    write(destination, key=Passphrase("the first one"))
    write(destination, key=Passphrase("the second one", previous=["the first one"]))
    newest = Passphrase("the third one", previous=[Passphrase("the second one", previous=["the first one"])])
    write(destination, key=newest)
    with Zip().open(destination, name="shop", encryptor=newest) as repository:
        contents = [b"".join(e.chunks()) for backup in repository.list() for e in repository.read(backup)]
    assert contents == [b"content"] * 3


def test_a_codec_that_zip_cannot_record_is_refused_without_a_byte_moving() -> None:
    class Brotli(Deflate):
        algorithm = "brotli"

    with pytest.raises(UnsupportedCodecError, match=r"'brotli'.*store, deflate, zstd"):
        Zip().check(Brotli(), None)
    with (
        pytest.raises(UnsupportedCodecError),
        Zip().open(MemoryDestination(), name="shop", compressor=Brotli()),
    ):
        pass
    for compressor in (None, Deflate(), Zstd()):
        Zip().check(compressor, Passphrase("five words"))


def test_nothing_is_asked_of_the_destination_until_something_is_to_be_done() -> None:
    destination = FaultyDestination(MemoryDestination())
    with Zip().open(destination, name="shop", encryptor=Passphrase.from_env("NOT_SET_AT_ALL")):
        assert not destination.calls


# Everything at once, against a dictionary.

_CHUNKS = {
    "nothing": b"",
    "x": b"x",
    "text": b"text " * 50,
    "zeros": bytes(2 * MiB),
    "noise": Random(1).randbytes(MiB),
}
_contents = st.lists(st.sampled_from([*_CHUNKS]), max_size=3)
_wanted = st.dictionaries(st.sampled_from("abcd"), _contents, min_size=1, max_size=4)
_moments = st.integers(0, 3000) | st.integers(0, 2 * MiB)
_crash = DestinationError("crashed", location="memory:")


class ZipRepositoryMachine(RuleBasedStateMachine):
    """Whatever happened before, what is listed is what was written, and can be read."""

    def __init__(self) -> None:
        super().__init__()
        self.destination = MemoryDestination()
        self.model: dict[str, tuple[bool | None, dict[str, bytes]]] = {}
        self.clock = NOON

    @initialize(encrypted=st.booleans())
    def choose(self, encrypted: bool) -> None:
        self.key = Passphrase("five words are long enough") if encrypted else None

    def repository(self, *faults: Fault) -> ZipRepository:
        """Opened anew each time, as by another process."""
        destination = FaultyDestination(self.destination, faults) if faults else self.destination
        with Zip().open(destination, name="shop", encryptor=self.key) as repository:
            return repository

    def entries(self, wanted: dict[str, list[str]]) -> list[Entry]:
        return [
            with_content(Entry(path=path), *(_CHUNKS[name] for name in names))
            for path, names in wanted.items()
        ]

    def expected(self, wanted: dict[str, list[str]]) -> dict[str, bytes]:
        return {path: b"".join(_CHUNKS[name] for name in names) for path, names in wanted.items()}

    def backups(self) -> list[Backup]:
        return sorted(self.repository().list(), key=lambda backup: backup.id)

    def chosen(self, number: int) -> Backup | None:
        backups = self.backups()
        return backups[number % len(backups)] if backups else None

    @rule(minutes=st.integers(0, 2))
    def time_passes(self, minutes: int) -> None:
        self.clock += timedelta(minutes=minutes)

    @rule(wanted=_wanted, lost=st.booleans())
    def write(self, wanted: dict[str, list[str]], lost: bool) -> None:
        entries: list[Entry | Problem] = [*self.entries(wanted)]
        if lost:
            entries.append(
                with_content(Entry(path="lost"), b"x", error=SourceError("unreadable", path="lost"))
            )
        written = self.repository().write(entries, time=self.clock, contents=BOTH, retry=ONCE)
        assert written.backup.id not in self.model
        self.model[written.backup.id] = (
            not lost,
            self.expected(wanted),
        )

    @rule(wanted=_wanted, after=st.integers(0, 4))
    def write_from_a_source_that_fails(self, wanted: dict[str, list[str]], after: int) -> None:
        def failing() -> Iterator[Entry]:
            yield from self.entries(wanted)[:after]
            raise ValueError("a bug in a source")

        with pytest.raises(ValueError, match="a bug"):
            self.repository().write(failing(), time=self.clock, contents=BOTH, retry=ONCE)

    @rule(wanted=_wanted, after=_moments, lost=st.booleans(), summary=st.booleans())
    def crash_while_writing(
        self, wanted: dict[str, list[str]], after: int, lost: bool, summary: bool
    ) -> None:
        fault = Fault(method="write", call=2 if summary else 1, after=after, answer_lost=lost, does=_crash)
        before = {backup.id for backup in self.backups()}
        with pytest.raises(DestinationError):
            self.repository(fault).write(self.entries(wanted), time=self.clock, contents=BOTH, retry=ONCE)
        new = [backup for backup in self.backups() if backup.id not in before]
        # The archive may have become whole before the crash; then it is there, and at most unconfirmed.
        assert len(new) == (1 if summary or lost else 0)
        for backup in new:
            assert backup.complete is (True if summary and lost else None)
            self.model[backup.id] = (backup.complete, self.expected(wanted))

    @rule(number=st.integers(0, 20))
    def remove(self, number: int) -> None:
        if backup := self.chosen(number):
            self.repository().remove(backup)
            del self.model[backup.id]

    @rule(number=st.integers(0, 20), call=st.integers(1, 2), lost=st.booleans())
    def crash_while_removing(self, number: int, call: int, lost: bool) -> None:
        if backup := self.chosen(number):
            fault = Fault(method="delete", call=call, answer_lost=lost, does=_crash)
            with suppress(DestinationError):
                self.repository(fault).remove(backup)
            if backup.id not in {listed.id for listed in self.backups()}:
                del self.model[backup.id]

    @rule(number=st.integers(0, 20))
    def confirm(self, number: int) -> None:
        if (backup := self.chosen(number)) and backup.complete is not False:
            self.repository().confirm(backup)
            self.model[backup.id] = (True, self.model[backup.id][1])

    @rule()
    def prune(self) -> None:
        before = sum(map(len, self.destination.objects.values()))
        freed = self.repository().prune()
        assert before - freed == sum(map(len, self.destination.objects.values()))
        named = {name.split("/")[1].split("Z")[0] + "Z" for name in self.destination.objects}
        assert named == {*self.model}

    @invariant()
    def what_is_listed_is_what_was_written(self) -> None:
        backups = self.backups()
        assert {backup.id: backup.complete for backup in backups} == {
            identity: complete for identity, (complete, _) in self.model.items()
        }

    @invariant()
    def everything_can_be_read(self) -> None:
        for backup in self.backups():
            repository = self.repository()
            contents = {entry.path: b"".join(entry.chunks()) for entry in repository.read(backup)}
            complete, expected = self.model[backup.id]
            assert contents == expected
            problems = [*repository.check(backup)]
            assert [problem for problem in problems if problem.severity == "error"] == []
            assert complete is None or problems == []


ZipRepositoryMachine.TestCase.settings = settings(
    max_examples=15, stateful_step_count=10, deadline=None, suppress_health_check=[*HealthCheck]
)
TestZipRepositoryMachine = ZipRepositoryMachine.TestCase
