"""The frame around every store decides what has become of an object when the store does not say."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from backupkit.destinations.opening import open_destination
from backupkit.errors import DestinationError, ObjectExistsError, OutcomeUnknownError
from backupkit.protocols import Destination

_places = itertools.count()


class Moving(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A file system in which something else happens when a finished file gets its name."""

    cachable = False
    happens: Callable[[Moving, str, str], None]
    reachable = True

    def mv(self, path1: str, path2: str, **options: Any) -> None:
        type(self).happens(self, path1, path2)

    def move(self, path1: str, path2: str) -> None:
        super().mv(path1, path2)

    def info(self, path: str, **options: Any) -> Any:
        if not self.reachable:
            raise ConnectionRefusedError(111, "Connection refused")
        return super().info(path, **options)


def place(happens: Callable[[Moving, str, str], None], **traits: object) -> tuple[Destination, Destination]:
    """A destination in which this happens, and the same place without."""
    folder = f"/remote-{next(_places)}"
    kind = type("ThisMoving", (Moving,), {"happens": staticmethod(happens), **traits})
    return (
        open_destination(folder, fs=kind(), time_limit=1, patience=0.05),
        open_destination(f"memory:/{folder}"),
    )


def names(destination: Destination) -> list[str]:
    return [stored.name for stored in destination.list()]


def test_an_object_whose_last_answer_was_lost_is_stored_if_it_is_there() -> None:
    def happens(fs: Moving, path1: str, path2: str) -> None:
        fs.move(path1, path2)
        raise ConnectionResetError(104, "Connection reset by peer")

    destination, direct = place(happens)
    assert destination.write("object", [b"content"]).size == 7
    assert b"".join(direct.read("object")) == b"content"


def test_an_object_that_is_not_there_after_a_failure_failed() -> None:
    def happens(fs: Moving, path1: str, path2: str) -> None:
        raise ConnectionResetError(104, "Connection reset by peer")

    destination, direct = place(happens)
    with pytest.raises(DestinationError, match="could not be reached") as caught:
        destination.write("object", [b"content"])
    assert caught.value.retryable
    assert names(direct) == []


def test_a_failed_replacement_of_the_same_size_is_no_success() -> None:
    def happens(fs: Moving, path1: str, path2: str) -> None:
        raise ConnectionResetError(104, "Connection reset by peer")

    destination, direct = place(happens)
    direct.write("object", [b"before!"])
    with pytest.raises(DestinationError):
        destination.write("object", [b"content"], overwrite=True)
    assert b"".join(direct.read("object")) == b"before!"


def test_what_nobody_can_tell_is_unknown() -> None:
    def happens(fs: Moving, path1: str, path2: str) -> None:
        fs.move(path1, path2)
        fs.reachable = False
        raise ConnectionResetError(104, "Connection reset by peer")

    destination, _ = place(happens)
    with pytest.raises(OutcomeUnknownError, match="is not known") as caught:
        destination.write("object", [b"content"])
    assert caught.value.retryable
    assert caught.value.name == "object"


def test_an_object_that_was_kept_in_part_is_removed_and_the_store_not_trusted() -> None:
    def happens(fs: Moving, path1: str, path2: str) -> None:
        fs.pipe_file(path2, fs.cat_file(path1)[:-1])
        fs.rm_file(path1)

    destination, direct = place(happens)
    with pytest.raises(DestinationError, match="stored 6 bytes of 'object' and was given 7"):
        destination.write("object", [b"content"])
    assert names(direct) == []


def test_an_object_by_which_another_one_replaced_ours_at_that_moment_stays() -> None:
    def happens(fs: Moving, path1: str, path2: str) -> None:
        fs.move(path1, path2)
        fs.pipe_file(path2, b"another's")

    destination, direct = place(happens)
    with pytest.raises(DestinationError, match="another writer has replaced it") as caught:
        destination.write("object", [b"content"], overwrite=True)
    assert caught.value.retryable
    assert b"".join(direct.read("object")) == b"another's"


def test_an_object_that_another_one_stored_meanwhile_stays_and_is_not_ours() -> None:
    def happens(fs: Moving, path1: str, path2: str) -> None:
        fs.pipe_file(path2, b"another")
        raise FileExistsError(path2)

    destination, direct = place(happens)
    with pytest.raises(ObjectExistsError):
        destination.write("object", [b"content"])
    assert b"".join(direct.read("object")) == b"another"


def test_an_error_that_is_not_expected_is_named_and_its_text_is_not_repeated() -> None:
    def happens(fs: Moving, path1: str, path2: str) -> None:
        raise RuntimeError("https://key:hunter2@store/")

    destination, direct = place(happens)
    with pytest.raises(DestinationError, match="RuntimeError") as caught:
        destination.write("object", [b"content"])
    assert "hunter2" not in str(caught.value)
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert names(direct) == []


def test_what_another_writer_stored_at_the_same_moment_is_never_removed() -> None:
    def happens(fs: Moving, path1: str, path2: str) -> None:
        fs.move(path1, path2)
        fs.pipe_file(path2, b"another one")

    destination, direct = place(happens, renames_in_one_step=True)
    for overwrite in (False, True):
        with pytest.raises(DestinationError, match="another writer has replaced it") as caught:
            destination.write("object", [b"content"], overwrite=overwrite)
        assert caught.value.retryable
        assert b"".join(direct.read("object")) == b"another one"
        direct.delete("object")


def test_the_root_of_a_file_system_lists_as_any_folder_does() -> None:
    place = f"root-{next(_places)}"
    open_destination(f"memory://{place}").write("object", [b"content"])
    root = open_destination("memory://")
    assert f"{place}/object" in names(root)
    assert [one.name for one in root.list(place)] == [f"{place}/object"]
