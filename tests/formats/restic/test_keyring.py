"""The keys of a repository: whoever does what to them, one that opens it is left."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backupkit.destinations.local import LocalDestination
from backupkit.destinations.wrapping import Wrapping
from backupkit.errors import (
    AccessDeniedError,
    BackupKitError,
    DestinationError,
    IntegrityError,
    RepositoryError,
    RepositoryLockedError,
    WrongPassphraseError,
)
from backupkit.formats.restic import locks
from backupkit.formats.restic.format import Restic
from backupkit.formats.restic.keys import KeyFile, made_key_file
from backupkit.formats.restic.layout import storage_id
from backupkit.formats.restic.objects import Objects
from backupkit.formats.restic.opened import OpenedRepository
from backupkit.formats.restic.repository import ResticRepository
from backupkit.formats.restic.sealing import MasterKey
from backupkit.model import Key, StoredObject
from backupkit.passphrase import Passphrase
from backupkit.protocols import Chunks, Destination
from backupkit.testing.destinations import MemoryDestination
from tests.formats.restic.stock import PASSPHRASE, made
from tests.restics import Restic as Stock
from tests.restics import ResticError, client, clients

ALL = bool(os.environ.get("BACKUPKIT_TESTS_RESTIC"))  # every version, in all tests
OLD, NEW = PASSPHRASE, "another one of many words"


@pytest.fixture
def place() -> MemoryDestination:
    destination = MemoryDestination()
    made(destination)
    return destination


@contextmanager
def opened(destination: Destination, passphrase: str | Passphrase = OLD) -> Iterator[ResticRepository]:
    encryptor = Passphrase(passphrase) if isinstance(passphrase, str) else passphrase
    format = Restic(cache=False, create=False, lock_wait=timedelta(0))
    with format.open(destination, name=None, encryptor=encryptor) as repository:
        yield repository


def listed(repository: ResticRepository) -> Sequence[Key]:
    return repository.keys()


def opens(destination: Destination, passphrase: str) -> bool:
    try:
        with opened(destination, passphrase) as repository:
            listed(repository)
    except WrongPassphraseError:
        return False
    return True


def add(destination: Destination, passphrase: str = NEW) -> Key:
    with opened(destination) as repository:
        (key,) = repository.add_key(Passphrase(passphrase)).added
    return key


def the_key(destination: Destination) -> Key:
    with opened(destination) as repository:
        return next(key for key in listed(repository) if key.in_use)


def test_a_key_says_whose_it_is_since_when_and_whether_it_was_used(place: MemoryDestination) -> None:
    before = datetime.now(UTC)
    key = add(place)
    assert (key.user, key.host, key.location) == (getpass.getuser(), os.uname().nodename, place.location)
    assert key.created is not None
    assert before <= key.created <= datetime.now(UTC)
    with opened(place, NEW) as repository:
        assert [one.id for one in listed(repository) if one.in_use] == [key.id]
    assert the_key(place).id != key.id


def test_an_added_passphrase_opens_it_beside_the_others(place: MemoryDestination) -> None:
    add(place)
    assert opens(place, NEW)
    assert opens(place, OLD)


def test_a_passphrase_that_opens_it_already_adds_no_key(place: MemoryDestination) -> None:
    add(place)
    with opened(place) as repository:
        for passphrase in (OLD, NEW):
            change = repository.add_key(Passphrase(passphrase))
            assert (change.added, len(change.now)) == ((), 2)


def test_the_last_key_is_not_removed(place: MemoryDestination) -> None:
    key = the_key(place)
    with (
        opened(place) as repository,
        pytest.raises(RepositoryError, match="is the last one of the repository"),
    ):
        repository.remove_key(key.id)
    assert opens(place, OLD)


def test_the_key_in_use_is_not_removed_but_others_are(place: MemoryDestination) -> None:
    added = add(place)
    with opened(place) as repository:
        with pytest.raises(RepositoryError, match="is the one in use: change the passphrase instead"):
            repository.remove_key(the_key(place).id)
        assert [key.id for key in repository.remove_key(added.id).removed] == [added.id]
    assert not opens(place, NEW)


def test_the_key_in_use_is_not_removed_because_a_previous_passphrase_would_do(
    place: MemoryDestination,
) -> None:
    added = add(place)
    with (
        opened(place, Passphrase(NEW, previous=[OLD])) as repository,
        pytest.raises(RepositoryError, match="is the one in use"),
    ):
        repository.remove_key(added.id)


def test_of_two_keys_for_one_passphrase_either_may_go(place: MemoryDestination) -> None:
    first = the_key(place)
    with opened(place) as repository:
        opened_repository = repository._open()
        content = opened_repository.key_file_for(OLD).content()
        opened_repository.objects.write("keys", [content], storage_id(content))
        repository.remove_key(first.id)
        with pytest.raises(RepositoryError, match="is the last one"):
            repository.remove_key(storage_id(content))
    assert opens(place, OLD)


def test_a_key_of_another_repository_is_none_that_is_left(place: MemoryDestination) -> None:
    content = made_key_file(OLD, MasterKey.made(), now=datetime.now(UTC)).content()
    key = the_key(place)
    Objects(place).write("keys", [content], storage_id(content))
    with opened(place) as repository, pytest.raises(RepositoryError, match="is the one in use"):
        repository.remove_key(key.id)


@pytest.mark.parametrize("content", [b"", b"{}", b"no key file"])
def test_a_key_that_cannot_be_read_is_listed_and_can_be_removed(
    place: MemoryDestination, content: bytes
) -> None:
    id = storage_id(content)
    place.objects[f"keys/{id}"] = content
    place.objects["keys/" + "0" * 64] = b"whose name is not its hash"
    with opened(place) as repository:
        flaws = {key.id: key.flaw for key in listed(repository)}
        assert "is no key file" in str(flaws[id])
        assert "is not what was written" in str(flaws["0" * 64])
        assert len(repository.remove_key(id).now) == 2
    assert f"keys/{id}" not in place.objects


def test_of_two_who_remove_each_others_key_the_second_is_refused(place: MemoryDestination) -> None:
    theirs, ours = add(place), the_key(place)
    with opened(place, NEW) as second:
        assert len(listed(second)) == 2
        with opened(place) as first:
            first.remove_key(theirs.id)
            with pytest.raises(RepositoryLockedError):
                second.remove_key(ours.id)
        place.objects["keys/" + "0" * 64] = b"another one, lest ours be the last"
        with pytest.raises(RepositoryError, match="somebody has just removed it or changed the passphrase"):
            second.remove_key(ours.id)
    assert opens(place, OLD)


def test_whose_key_was_removed_meanwhile_adds_no_other(place: MemoryDestination) -> None:
    theirs = add(place)
    with opened(place, NEW) as second:
        assert len(listed(second)) == 2
        with opened(place) as first:
            first.remove_key(theirs.id)
        for change in (second.add_key, second.change_passphrase):
            with pytest.raises(RepositoryError, match="somebody has just removed it"):
                change(Passphrase("a third one of many words"))
    assert not opens(place, "a third one of many words")


def test_after_a_change_the_new_passphrase_opens_it_and_not_the_old_one(place: MemoryDestination) -> None:
    add(place, "a colleague's own passphrase")
    old, before = Passphrase(OLD), the_key(place)
    with opened(place, old) as repository:
        change = repository.change_passphrase(Passphrase(NEW))
    assert [key.id for key in change.removed] == [before.id]
    assert change.added == tuple(key for key in change.now if key.in_use)
    assert opens(place, NEW)
    assert opens(place, "a colleague's own passphrase")
    with (
        opened(place, old) as repository,
        pytest.raises(WrongPassphraseError),
    ):  # it had opened it in this process
        listed(repository)


def test_a_change_takes_all_keys_of_the_old_passphrase_and_of_previous_ones(place: MemoryDestination) -> None:
    add(place)
    with opened(place, Passphrase(NEW, previous=[OLD])) as repository:
        change = repository.change_passphrase(Passphrase(NEW))
    assert (len(change.added), len(change.removed), len(change.now)) == (0, 1, 1)
    assert opens(place, NEW)
    assert not opens(place, OLD)


def test_a_change_that_was_made_already_does_nothing(place: MemoryDestination) -> None:
    for expected in (1, 0):
        with opened(place) as repository:
            change = repository.change_passphrase(Passphrase(NEW))
        assert (len(change.added), len(change.removed), len(change.now)) == (expected, expected, 1)
    with opened(place, "a third one") as repository, pytest.raises(WrongPassphraseError):
        repository.change_passphrase(Passphrase("a fourth one"))


class Spoils(Wrapping):
    """Stores other bytes of a key than it was given."""

    def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
        if name.startswith("keys/"):
            chunks = [b"".join(chunks)[:-1]]
        return self.inner.write(name, chunks, overwrite=overwrite)


def test_a_new_key_that_is_not_read_back_as_it_was_written_counts_for_nothing(
    place: MemoryDestination,
) -> None:
    for change in ("add_key", "change_passphrase"):
        with (
            opened(Spoils(place)) as repository,
            pytest.raises(IntegrityError, match="is not what was written"),
        ):
            getattr(repository, change)(Passphrase(NEW))
    assert [name for name in place.objects if name.startswith("keys/")] == [f"keys/{the_key(place).id}"]


def test_a_new_key_that_does_not_open_this_repository_is_removed_again(
    place: MemoryDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_another(_repository: OpenedRepository, passphrase: str) -> KeyFile:
        return made_key_file(passphrase, MasterKey.made(), now=datetime.now(UTC))

    monkeypatch.setattr(OpenedRepository, "key_file_for", of_another)
    with opened(place) as repository, pytest.raises(IntegrityError, match="does not open the repository"):
        repository.change_passphrase(Passphrase(NEW))
    assert [name for name in place.objects if name.startswith("keys/")] == [f"keys/{the_key(place).id}"]


class Keeps(Wrapping):
    """Lets no key be deleted."""

    def delete(self, name: str) -> None:
        if name.startswith("keys/"):
            raise AccessDeniedError("Deleting is denied.", location=self.location)
        self.inner.delete(name)


def test_a_change_that_could_not_remove_the_old_key_says_so_and_can_be_finished(
    place: MemoryDestination,
) -> None:
    with (
        opened(Keeps(place)) as repository,
        pytest.raises(RepositoryError, match=r"but the old one does as well, .*Deleting is denied.* again"),
    ):
        repository.change_passphrase(Passphrase(NEW))
    assert opens(place, OLD)
    assert opens(place, NEW)
    with opened(place) as repository:
        assert len(repository.change_passphrase(Passphrase(NEW)).now) == 1
    assert not opens(place, OLD)


class Unread(Wrapping):
    """Does not give one object."""

    name: str | None = None

    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        if name == self.name:
            raise DestinationError("It is not to be had.", location=self.location)
        return self.inner.read(name, start=start, length=length)


def test_a_change_does_not_take_a_key_for_anothers_that_could_not_be_read(place: MemoryDestination) -> None:
    old, unread = the_key(place), Unread(place)
    add(place)
    with opened(unread) as repository:
        assert len(listed(repository)) == 2
        unread.name = f"keys/{old.id}"
        with pytest.raises(RepositoryError, match=r"which may be the old one's, .*It is not to be had"):
            repository.change_passphrase(Passphrase(NEW))
    assert opens(place, OLD)


def test_no_more_keys_are_added_than_are_tried(place: MemoryDestination) -> None:
    for number in range(19):
        place.objects[f"keys/{number:064x}"] = b"?"
    for change in ("add_key", "change_passphrase"):
        with (
            opened(place) as repository,
            pytest.raises(RepositoryError, match="has 20 keys, and of more than 20"),
        ):
            getattr(repository, change)(Passphrase(NEW))


def test_a_change_takes_keys_of_the_old_passphrase_that_are_too_many_to_be_tried(
    place: MemoryDestination,
) -> None:
    first, new = the_key(place), add(place)
    last = max(first.id, new.id)
    with opened(place) as repository:
        hidden = ""
        while hidden < last:
            content = repository._open().key_file_for(OLD).content()
            hidden = storage_id(content)
        place.objects[f"keys/{hidden}"] = content
        place.objects |= {f"keys/{int(last, 16) + number:064x}": b"?" for number in range(1, 21)}
        assert {key.id for key in repository.change_passphrase(Passphrase(NEW)).removed} == {first.id, hidden}
    assert f"keys/{hidden}" not in place.objects


def test_who_lost_the_lock_changes_no_key(place: MemoryDestination) -> None:
    class Robbed(Wrapping):
        def list(self, prefix: str = "") -> Iterator[StoredObject]:
            if prefix == "keys/":
                for name in [name for name in place.objects if name.startswith("locks/")]:
                    del place.objects[name]
            return self.inner.list(prefix)

    def keys() -> set[str]:
        return {name for name in place.objects if name.startswith("keys/")}

    added, before = add(place), keys()
    changes: Sequence[Callable[[ResticRepository], object]] = (
        lambda repository: repository.add_key(Passphrase("a third one of many words")),
        lambda repository: repository.remove_key(added.id),
        lambda repository: repository.change_passphrase(Passphrase("a third one of many words")),
    )
    for change in changes:
        with opened(Robbed(place)) as repository, pytest.raises(RepositoryError, match="lost"):
            change(repository)
        assert keys() == before


def test_keys_are_added_beside_others_and_removed_by_who_uses_it_alone(place: MemoryDestination) -> None:
    with opened(place) as other:
        other._locked()
        assert add(place)
        with opened(place) as repository, pytest.raises(RepositoryLockedError):
            repository.change_passphrase(Passphrase("a third one of many words"))
        other._locked(exclusive=True)
        with opened(place) as repository, pytest.raises(RepositoryLockedError):
            repository.add_key(Passphrase("a third one of many words"))


def test_what_is_kept_to_be_put_back_are_keys_that_can_be_read(place: MemoryDestination) -> None:
    key = the_key(place)
    place.objects["keys/" + "0" * 64] = b"whose name is not its hash"
    with opened(place) as repository:
        essentials = repository.essentials()
    assert {*essentials.objects} == {"config", f"keys/{key.id}"}
    assert [one.id for one in essentials.keys] == [key.id]


class Breaks(Wrapping):
    """Fails in one call, before or after it is carried out, and, if it is `dead`, in all that follow."""

    def __init__(self, inner: Destination, call: int, *, answer_lost: bool, dead: bool) -> None:
        super().__init__(inner)
        self._call, self._answer_lost, self._dead = call, answer_lost, dead
        self.calls = 0

    def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
        with self._broken():
            return self.inner.write(name, chunks, overwrite=overwrite)

    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        with self._broken():
            yield from [*self.inner.read(name, start=start, length=length)]

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        with self._broken():
            yield from [*self.inner.list(prefix)]

    def delete(self, name: str) -> None:
        with self._broken():
            self.inner.delete(name)

    @contextmanager
    def _broken(self) -> Iterator[None]:
        self.calls += 1
        due = self.calls == self._call or (self._dead and self.calls > self._call)
        if due and (self.calls > self._call or not self._answer_lost):
            raise DestinationError("It broke.", location=self.location)
        yield
        if due:
            raise DestinationError("It broke.", location=self.location)


@pytest.mark.parametrize("dead", [False, True], ids=["one call fails", "nothing reaches it any more"])
@pytest.mark.parametrize("answer_lost", [False, True], ids=["undone", "done"])
def test_wherever_a_change_breaks_off_one_of_the_two_opens_it_and_another_one_finishes_it(
    monkeypatch: pytest.MonkeyPatch, *, answer_lost: bool, dead: bool
) -> None:
    monkeypatch.setattr(locks, "_SETTLING", 0)
    call = 0
    while True:
        call += 1
        place = MemoryDestination()
        made(place)
        broken = Breaks(place, call, answer_lost=answer_lost, dead=dead)
        try:
            with opened(broken) as repository:
                repository.change_passphrase(Passphrase(NEW))
            assert not opens(place, OLD), f"although call {call} failed"
        except BackupKitError:
            pass
        if broken.calls < call:
            break
        for lock in [name for name in place.objects if name.startswith("locks/")]:
            del place.objects[lock]  # as `restic unlock` does, of a process that is gone
        assert opens(place, OLD) or opens(place, NEW), f"after call {call}"
        with opened(place) as repository:
            assert len(repository.change_passphrase(Passphrase(NEW)).now) == 1
        assert opens(place, NEW)
        assert not opens(place, OLD)
    assert call > 12


@pytest.fixture(params=clients())
def stock(request: pytest.FixtureRequest, tmp_path: Path) -> Stock:
    """A repository of restic's, and each version of it."""
    restic = client(request.param).at(tmp_path / "repository", tmp_path / "cache", password=OLD)
    restic.plant()
    return restic


@pytest.mark.interop
def test_restic_opens_by_a_key_that_we_added_and_says_whose_it_is(stock: Stock) -> None:
    key = add(LocalDestination(stock.repository))
    shown = json.loads(stock.run("key", "list", "--json", "--no-lock", environment={"RESTIC_PASSWORD": NEW}))
    (ours,) = (one for one in shown if one["current"])
    assert (key.id.startswith(ours["id"]), ours["userName"], ours["hostName"]) == (True, key.user, key.host)
    assert key.created is not None
    assert ours["created"] == f"{key.created.astimezone():%Y-%m-%d %H:%M:%S}"
    assert len(shown) == 2


@pytest.mark.interop
def test_a_key_that_restic_removed_opens_nothing_any_more(tmp_path: Path) -> None:
    restic = client("installed").at(tmp_path / "repository", tmp_path / "cache", password=OLD)
    restic.plant()
    place = LocalDestination(restic.repository)
    key, passphrase = add(place), Passphrase(NEW)
    with opened(place, passphrase) as repository:
        assert len(listed(repository)) == 2
    restic.run("key", "remove", key.id)
    with opened(place, passphrase) as repository, pytest.raises(WrongPassphraseError):
        listed(repository)


@pytest.mark.interop
@pytest.mark.skipif(not ALL, reason="restic takes seconds to make a key: ./dev test -s restic")
@pytest.mark.parametrize("verb", ["add", "passwd"])
def test_keys_are_changed_by_turns_with_restic(stock: Stock, tmp_path: Path, verb: str) -> None:
    place = LocalDestination(stock.repository)
    with opened(place) as repository:
        (ours,) = repository.change_passphrase(Passphrase(NEW)).now
    (tmp_path / "theirs").write_text("the one of restic")
    replace(stock, password=NEW).run("key", verb, "--new-password-file", tmp_path / "theirs")
    assert opens(place, NEW) == (verb == "add")
    with opened(place, "the one of restic") as repository:
        theirs = next(key for key in listed(repository) if key.in_use)
        assert (theirs.user, theirs.host, theirs.flaw) == (ours.user, ours.host, None)
        repository.change_passphrase(Passphrase(OLD))
    assert stock.cat("config")["version"] == 2
    with pytest.raises(ResticError):
        replace(stock, password="the one of restic").cat("config")
