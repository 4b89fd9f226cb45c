from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, settings

from backupkit.compression import Deflate, Zstd
from backupkit.errors import (
    BackupNotFoundError,
    ConfigurationError,
    DestinationError,
    IntegrityError,
    UnsupportedCodecError,
)
from backupkit.formats.zip.format import Zip
from backupkit.model import Backup, Entry, Problem, Written
from backupkit.passphrase import Passphrase
from backupkit.protocols import Destination, Encryptor, Format
from backupkit.retrying import Retry
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination, Method
from backupkit.testing.entries import with_content
from backupkit.testing.repositories import BOTH, NOON
from backupkit.testing.repository_machine import RepositoryMachine
from tests.formats.zip.toy import ToyEncryptor

ONCE = Retry(tries=1)
ENTRY = with_content(Entry(path="f"), b"content")
ID = "2026-01-31T12-00-00.250000Z"
CRASH = DestinationError("crashed", location="memory:")


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
        assert repository.prune().freed == 0
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
    fault = Fault(method="delete", call=1 if answer_lost else 2, answer_lost=answer_lost, does=CRASH)
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


class ZipRepositoryMachine(RepositoryMachine):
    passphrases = (None, "five words are long enough")

    def make_format(self) -> Format:
        return Zip()

    def after_crash(self, method: Method, call: int, lost: bool, new: Sequence[Backup]) -> None:
        if method == "write":  # the archive, and then its summary
            assert [one.complete for one in new] == (
                [] if call == 1 and not lost else [True if lost and call == 2 else None]
            )

    def after_prune(self) -> None:
        named = {name.split("/")[1].split("Z")[0] + "Z" for name in self.destination.objects}
        assert named == {*self.model}


ZipRepositoryMachine.TestCase.settings = settings(
    max_examples=15, stateful_step_count=10, deadline=None, suppress_health_check=[*HealthCheck]
)
TestZipRepositoryMachine = ZipRepositoryMachine.TestCase
