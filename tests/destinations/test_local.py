from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from backupkit.destinations.local import LocalDestination
from backupkit.errors import (
    ConfigurationError,
    DestinationError,
    ObjectExistsError,
    ObjectNotFoundError,
)
from backupkit.model import StoredObject

MiB = 1 << 20


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def failing(error: BaseException) -> Iterator[bytes]:
    yield b"x" * (3 * MiB)
    raise error


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


# Making one


def test_the_constructor_touches_nothing(tmp_path: Path) -> None:
    LocalDestination(tmp_path / "missing", create=True)
    assert files(tmp_path) == []


def test_a_relative_folder_means_the_one_it_meant_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    destination = LocalDestination("here/../backups")
    monkeypatch.chdir("/")
    assert destination.folder == tmp_path / "backups"


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert LocalDestination("~/backups").folder == tmp_path / "backups"


@pytest.mark.parametrize("folder", ["", "a\0b", "~no-such-user-here/backups"])
def test_a_folder_that_cannot_be_meant_is_refused(folder: str) -> None:
    with pytest.raises(ConfigurationError, match="give its absolute path"):
        LocalDestination(folder)


@pytest.mark.parametrize("bad", [-1, 0o1000, 0o4755])
def test_a_mode_that_is_no_set_of_permissions_is_refused(bad: int, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="0o600"):
        LocalDestination(tmp_path, mode=bad)


def test_the_location_is_a_file_url() -> None:
    assert LocalDestination("/mnt/my backups").location == "file:///mnt/my%20backups"


# The folder


def test_a_missing_folder_is_not_made_since_the_disk_may_not_be_mounted(tmp_path: Path) -> None:
    destination = LocalDestination(tmp_path / "disk")
    for ask in (
        lambda: destination.write("a/object", [b"content"]),
        lambda: destination.stat("a/object"),
        lambda: next(destination.read("a/object")),
        lambda: next(destination.list()),
        lambda: next(destination.leftovers()),
        lambda: destination.delete("a/object"),
    ):
        with pytest.raises(DestinationError, match="mount it or create it") as caught:
            ask()
        assert not isinstance(caught.value, ObjectNotFoundError)
        assert not caught.value.retryable
    assert files(tmp_path) == []


def test_a_missing_folder_is_made_when_told_to(tmp_path: Path, umask: None) -> None:
    LocalDestination(tmp_path / "new" / "disk", create=True).write("a/object", [b"content"])
    assert files(tmp_path / "new") == ["disk", "disk/a", "disk/a/object"]
    assert [mode(tmp_path / "new" / one) for one in ("", "disk", "disk/a", "disk/a/object")] == [
        0o700,
        0o700,
        0o700,
        0o600,
    ]


def test_a_file_in_place_of_the_folder_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"")
    with pytest.raises(DestinationError, match="is not a folder"):
        LocalDestination(tmp_path / "disk").write("a/object", [b"content"])


def test_a_file_in_place_of_a_folder_of_the_name_is_an_error(tmp_path: Path) -> None:
    destination = LocalDestination(tmp_path)
    destination.write("a", [b"file"])
    with pytest.raises(DestinationError, match=r"'a/object' could not be written at file://.*"):
        destination.write("a/object", [b"content"])
    assert files(tmp_path) == ["a"]


def test_a_folder_in_place_of_the_object_is_kept(tmp_path: Path) -> None:
    destination = LocalDestination(tmp_path)
    destination.write("a/object", [b"content"])
    with pytest.raises(ObjectExistsError):
        destination.write("a", [b"file"])
    with pytest.raises(DestinationError, match="could not be written"):
        destination.write("a", [b"file"], overwrite=True)
    assert files(tmp_path) == ["a", "a/object"]


# Permissions


@pytest.mark.parametrize(("mask", "asked"), [(0, 0o600), (0o077, 0o640), (0o777, 0o600), (0, 0o644)])
def test_files_have_exactly_the_mode_asked_for_and_folders_may_be_entered(
    tmp_path: Path, mask: int, asked: int, umask: None
) -> None:
    os.umask(mask)
    LocalDestination(tmp_path, mode=asked).write("a/b/object", [b"content"])
    assert mode(tmp_path / "a/b/object") == asked
    folder_modes = {0o600: 0o700, 0o640: 0o750, 0o644: 0o755}
    assert {mode(tmp_path / "a"), mode(tmp_path / "a/b")} == {folder_modes[asked]}


def test_the_unfinished_file_is_never_readable_by_others(tmp_path: Path, umask: None) -> None:
    destination = LocalDestination(tmp_path, mode=0o600)
    seen: list[int] = []

    def chunks() -> Iterator[bytes]:
        yield b"x" * MiB
        seen.extend(mode(path) for path in tmp_path.glob("a/.*.partial"))
        yield b"x"

    destination.write("a/object", chunks())
    assert seen == [0o600]


def test_a_folder_keeps_the_group_it_inherits(tmp_path: Path) -> None:
    tmp_path.chmod(0o2700)
    LocalDestination(tmp_path).write("a/object", [b"content"])
    assert mode(tmp_path / "a") & 0o777 == 0o700
    assert mode(tmp_path / "a") & stat.S_ISGID


# Writing


def test_what_was_stored_reaches_the_disk_before_it_gets_its_name_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, link, replace = os.fsync, os.link, os.replace

    def name(path: object) -> str:
        return Path(str(path)).name.split(".")[-1]

    def recording_fsync(file: int) -> None:
        steps.append(f"sync {name(os.readlink(f'/proc/self/fd/{file}'))}")
        fsync(file)

    def recording_link(source: Path, target: Path) -> None:
        steps.append(f"link {name(source)} {name(target)}")
        link(source, target)

    def recording_replace(source: Path, target: Path) -> None:
        steps.append(f"replace {name(source)} {name(target)}")
        replace(source, target)

    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc to tell which file a descriptor is")
    monkeypatch.setattr(os, "fsync", recording_fsync)
    monkeypatch.setattr(os, "link", recording_link)
    monkeypatch.setattr(os, "replace", recording_replace)

    folder = tmp_path / "root"
    folder.mkdir()
    destination = LocalDestination(folder)
    destination.write("a/b/object", [b"content"])
    assert steps == ["sync root", "sync a", "sync partial", "link partial object", "sync b"]
    steps.clear()
    destination.write("a/b/object", [b"content"], overwrite=True)
    assert steps == ["sync partial", "replace partial object", "sync b"]


def test_an_object_whose_name_could_not_be_made_to_last_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    fsync = os.fsync

    def failing_fsync(file: int) -> None:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(errno.EIO, "Input/output error")
        fsync(file)

    monkeypatch.setattr(os, "fsync", failing_fsync)
    with pytest.raises(DestinationError, match="input/output error") as caught:
        LocalDestination(tmp_path).write("a/object", [b"content"])
    assert caught.value.retryable
    assert files(tmp_path) == []


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK])
def test_a_file_system_without_hard_links_or_modes_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    if number != errno.EMLINK:
        monkeypatch.setattr(os, "chmod", refuse)
    destination = LocalDestination(tmp_path)
    destination.write("a/object", [b"old"])
    with pytest.raises(ObjectExistsError):
        destination.write("a/object", [b"new"])
    assert files(tmp_path) == ["a", "a/object"]
    assert (tmp_path / "a/object").read_bytes() == b"old"


def test_a_write_that_is_bound_to_fail_pulls_nothing(tmp_path: Path) -> None:
    destination = LocalDestination(tmp_path)
    destination.write("object", [b"old"])
    for name, error in (("object", ObjectExistsError), ("../object", ConfigurationError)):
        chunks = failing(AssertionError("pulled"))
        with pytest.raises(error):
            destination.write(name, chunks)
        assert [*chunks] == []  # closed


def test_one_that_appeared_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    destination = LocalDestination(tmp_path)

    def chunks() -> Iterator[bytes]:
        yield b"slow"
        destination.write("object", [b"fast"])

    with pytest.raises(ObjectExistsError):
        destination.write("object", chunks())
    assert files(tmp_path) == ["object"]
    assert (tmp_path / "object").read_bytes() == b"fast"


def test_one_that_appeared_meanwhile_is_not_replaced_without_hard_links_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    test_one_that_appeared_meanwhile_is_not_replaced(tmp_path)


def test_of_many_writers_of_one_name_one_wins(tmp_path: Path) -> None:
    destination = LocalDestination(tmp_path)
    start = threading.Barrier(4)

    def write(writer: bytes) -> bytes | None:
        def chunks() -> Iterator[bytes]:
            start.wait()
            yield writer * 1000

        try:
            destination.write("object", chunks())
        except ObjectExistsError:
            return None
        return writer

    with ThreadPoolExecutor(4) as executor:
        winners = [winner for winner in executor.map(write, (b"1", b"2", b"3", b"4")) if winner]
    assert len(winners) == 1
    assert (tmp_path / "object").read_bytes() == winners[0] * 1000
    assert files(tmp_path) == ["object"]


def test_a_planted_symlink_is_replaced_and_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    folder = tmp_path / "disk"
    folder.mkdir()
    (folder / "object").symlink_to(precious)
    destination = LocalDestination(folder)
    with pytest.raises(ObjectNotFoundError):
        next(destination.read("object"))
    assert [*destination.list()] == []
    with pytest.raises(ObjectExistsError):
        destination.write("object", [b"content"])
    destination.write("object", [b"content"], overwrite=True)
    assert precious.read_bytes() == b"precious"
    assert not (folder / "object").is_symlink()


@pytest.mark.parametrize(
    "error", [ValueError(), OSError(errno.ENOSPC, "full"), KeyboardInterrupt()], ids=repr
)
def test_a_failed_write_leaves_not_even_a_partial_file_or_a_folder(
    tmp_path: Path, error: BaseException
) -> None:
    with pytest.raises(type(error)) as caught:
        LocalDestination(tmp_path).write("a/b/object", failing(error))
    assert caught.value is error
    assert files(tmp_path) == []


def test_a_partial_file_that_was_taken_away_is_an_error(tmp_path: Path) -> None:
    destination = LocalDestination(tmp_path)

    def chunks() -> Iterator[bytes]:
        yield b"content"
        for leftover in destination.leftovers():
            destination.discard(leftover)

    with pytest.raises(DestinationError, match="removed it meanwhile") as caught:
        destination.write("object", chunks())
    assert not isinstance(caught.value, ObjectNotFoundError)


def test_writers_and_deleters_in_one_folder_do_not_hurt_each_other(tmp_path: Path) -> None:
    destination = LocalDestination(tmp_path)

    def churn(worker: int) -> None:
        for _ in range(25):
            destination.write(f"a/b/{worker}", [b"content"])
            destination.delete(f"a/b/{worker}")

    with ThreadPoolExecutor(4) as executor:
        for future in [executor.submit(churn, worker) for worker in range(4)]:
            future.result()
    assert files(tmp_path) == []


# Reading and listing


def test_a_read_that_is_given_up_closes_its_file(tmp_path: Path) -> None:
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("needs /proc to count open files")
    destination = LocalDestination(tmp_path)
    destination.write("object", [b"x" * (3 * MiB)])
    before = len([*descriptors.iterdir()])
    chunks = destination.read("object")
    assert len(next(chunks)) <= MiB
    assert len([*descriptors.iterdir()]) == before + 1
    del chunks
    assert len([*descriptors.iterdir()]) == before


def test_only_objects_are_listed(tmp_path: Path) -> None:
    destination = LocalDestination(tmp_path)
    destination.write("a/object", [b"content"])
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "lost+found" / "file").write_bytes(b"")
    (tmp_path / ".Trash").mkdir()
    (tmp_path / ".Trash" / "object").write_bytes(b"")
    (tmp_path / "a" / ".hidden").write_bytes(b"")
    (tmp_path / "a" / "my file.txt").write_bytes(b"")
    (tmp_path / "a" / "link").symlink_to("object")
    (tmp_path / "a" / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "a" / "pipe")
    assert [stored.name for stored in destination.list()] == ["a/object"]
    for name in ("a/link", "a/dangling", "a/pipe", "a"):
        with pytest.raises(ObjectNotFoundError):
            next(destination.read(name))


def test_a_linked_folder_is_listed_like_any_other_but_not_for_ever(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder = tmp_path / "disk"
    folder.mkdir()
    (folder / "a").symlink_to(elsewhere)
    (elsewhere / "loop").symlink_to(folder)
    destination = LocalDestination(folder)
    destination.write("a/object", [b"content"])
    assert [stored.name for stored in destination.list()] == ["a/object"]


def test_folders_that_cannot_hold_the_prefix_are_not_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination = LocalDestination(tmp_path)
    for name in ("app/1/object", "app/2/object", "application/1/object", "other/object"):
        destination.write(name, [b"content"])
    looked: list[str] = []
    scandir = os.scandir

    def recording(path: Path) -> object:
        looked.append(str(path.relative_to(tmp_path)))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", recording)
    assert [stored.name for stored in destination.list("app/1")] == ["app/1/object"]
    assert looked == [".", "app", "app/1"]


def test_deleting_the_last_object_removes_the_empty_folders_but_not_the_destination(tmp_path: Path) -> None:
    destination = LocalDestination(tmp_path)
    destination.write("a/b/1", [b"content"])
    destination.write("a/c/2", [b"content"])
    destination.delete("a/b/1")
    assert files(tmp_path) == ["a", "a/c", "a/c/2"]
    destination.delete("a/c/2")
    assert files(tmp_path) == []
    assert tmp_path.is_dir()


# Leftovers


def plant_leftover(destination: LocalDestination, name: str) -> Path:
    """As a killed process leaves it: the real one is in test_local_crashes."""
    folder, _, base = name.rpartition("/")
    path = destination.folder / folder / f".{base}.0123456789abcdef.partial"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")
    os.utime(path, ns=(0, 1_700_000_000_123_456_789))
    return path


def test_leftovers_are_found_by_the_names_they_were_to_get(tmp_path: Path) -> None:
    destination = LocalDestination(tmp_path)
    for name in ("app/1.zip", "app/2.zip", "application/1.zip", "root"):
        plant_leftover(destination, name)
    destination.write("app/3.zip", [b"content"])
    assert [one.name for one in destination.leftovers("app/")] == [
        "app/.1.zip.0123456789abcdef.partial",
        "app/.2.zip.0123456789abcdef.partial",
    ]
    assert [one.name for one in destination.leftovers("app/2")] == ["app/.2.zip.0123456789abcdef.partial"]
    assert len([*destination.leftovers()]) == 4
    assert [one.name for one in destination.list()] == ["app/3.zip"]


def test_a_leftover_says_its_size_and_age(tmp_path: Path) -> None:
    destination = LocalDestination(tmp_path)
    plant_leftover(destination, "app/1.zip")
    (leftover,) = destination.leftovers()
    assert leftover.size == 4
    assert leftover.modified.isoformat() == "2023-11-14T22:13:20.123456+00:00"


def test_a_discarded_leftover_is_gone_with_its_empty_folder_and_may_be_gone_already(tmp_path: Path) -> None:
    destination = LocalDestination(tmp_path)
    plant_leftover(destination, "app/1.zip")
    (leftover,) = destination.leftovers()
    destination.discard(leftover)
    assert files(tmp_path) == []
    destination.discard(leftover)


@pytest.mark.parametrize(
    "name",
    [
        "object",
        ".object.partial",
        "../.object.0123456789abcdef.partial",
        "/.object.0123456789abcdef.partial",
        "a/../.object.0123456789abcdef.partial",
        ".a/.object.0123456789abcdef.partial",
        "...0123456789abcdef.partial",
    ],
)
def test_nothing_but_a_leftover_can_be_discarded(tmp_path: Path, name: str) -> None:
    destination = LocalDestination(tmp_path / "disk", create=True)
    destination.write("object", [b"content"])
    stored = destination.stat("object")
    with pytest.raises(ConfigurationError, match="not an unfinished object"):
        destination.discard(StoredObject(name=name, size=stored.size, modified=stored.modified))
    assert destination.stat("object") == stored


def test_other_peoples_dot_files_are_no_leftovers(tmp_path: Path) -> None:
    for name in (".bashrc", ".x.partial", "x.0123456789abcdef.partial", ".x.0123456789ABCDEF.partial"):
        (tmp_path / name).write_bytes(b"")
    assert [*LocalDestination(tmp_path).leftovers()] == []
