"""The generic path, over file systems that do as little as fsspec asks, or worse."""

from __future__ import annotations

import errno
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fsspec import AbstractFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from backupkit.destinations.opening import open_destination
from backupkit.destinations.remote import RemoteDestination
from backupkit.errors import (
    BackupKitError,
    ConfigurationError,
    DestinationError,
    ObjectExistsError,
)

MiB = 1 << 20


class Quirky(MemoryFileSystem):  # type: ignore[misc]
    """In memory, with what a test puts in the place of a method."""

    cachable = False
    find = AbstractFileSystem.find  # by walking, as most do; that of the memory lists at once
    store: dict[str, Any]
    pseudo_dirs: list[str]

    def __init__(self, **methods: Callable[..., Any]) -> None:
        super().__init__()
        self.store, self.pseudo_dirs = {}, [""]
        for name, method in methods.items():
            setattr(self, name, lambda *args, _method=method, **options: _method(self, *args, **options))


def _destination(**methods: Callable[..., Any]) -> RemoteDestination:
    destination = open_destination("/shop", fs=Quirky(**methods), patience=0.1)
    assert isinstance(destination, RemoteDestination)
    return destination


def _refuses(fs: Quirky, path: str, new: str, **options: Any) -> None:
    if fs.exists(new):
        raise OSError(errno.EEXIST, "File exists")
    MemoryFileSystem.mv(fs, path, new)


def test_where_renaming_replaces_nothing_a_new_object_is_made_and_an_old_one_kept() -> None:
    destination = _destination(mv=_refuses)
    destination.write("object", [b"old"])
    with pytest.raises(ConfigurationError, match="renames no file over another"):
        destination.write("object", [b"new"], overwrite=True)
    assert b"".join(destination.read("object")) == b"old"
    assert [*destination.leftovers()] == []


def test_where_renaming_replaces_what_came_meanwhile_is_looked_for_just_before() -> None:
    destination = _destination()

    def chunks() -> Iterator[bytes]:
        yield b"first"
        destination.write("object", [b"second"])

    with pytest.raises(ObjectExistsError):
        destination.write("object", chunks())
    assert b"".join(destination.read("object")) == b"second"


def test_a_file_that_came_out_shorter_never_gets_its_name() -> None:
    def mv(fs: Quirky, path: str, new: str, **options: Any) -> None:
        MemoryFileSystem.mv(fs, path, new)
        fs.pipe_file(new, fs.cat_file(new)[:-1])

    destination = _destination(mv=mv)
    with pytest.raises(DestinationError, match="it is broken"):
        destination.write("object", [b"content"])
    assert [*destination.list()] == []


@pytest.mark.parametrize("error", [OSError("wire cut"), TimeoutError(), PermissionError()], ids=repr)
def test_a_folder_that_cannot_be_listed_is_an_error_and_not_empty(error: Exception) -> None:
    broken = False

    def ls(fs: Quirky, path: str, detail: bool = True, **options: Any) -> Any:
        if broken and path.endswith("/b"):
            raise error
        return MemoryFileSystem.ls(fs, path, detail)

    destination = _destination(ls=ls)
    for name in ("a/1", "b/2", "c/3"):
        destination.write(name, [b"content"])
    broken = True
    with pytest.raises(DestinationError):
        [*destination.list()]
    assert [one.name for one in destination.list("c")] == ["c/3"]


def test_an_upload_that_failed_sends_nothing_more() -> None:
    """Nothing is flushed by a file that was given up, nor later by the garbage collector."""
    from fsspec.spec import AbstractBufferedFile

    sent: list[bytes] = []

    class File(AbstractBufferedFile):  # type: ignore[misc]
        def _initiate_upload(self) -> None:
            pass

        def _upload_chunk(self, final: bool = False) -> bool:
            sent.append(self.buffer.getvalue())
            return True

    def open_(fs: Quirky, path: str, mode: str = "rb", **options: Any) -> Any:
        return (
            File(fs, path, mode, block_size=5 * MiB)
            if mode == "wb"
            else MemoryFileSystem.open(fs, path, mode)
        )

    def chunks() -> Iterator[bytes]:
        yield b"x" * 17 * MiB
        raise ValueError("of the chunks")

    destination = _destination(open=open_)
    with pytest.raises(ValueError, match="of the chunks"):
        destination.write("object", chunks())
    assert sum(len(content) for content in sent) == 16 * MiB


def test_an_object_that_is_replaced_while_it_is_read_is_an_error() -> None:
    destination = _destination()
    destination.write("object", [b"a" * 9 * MiB])
    read = destination.read("object")
    next(read)
    destination.write("object", [b"b" * 10 * MiB], overwrite=True)
    with pytest.raises(DestinationError, match="replaced while it was read"):
        b"".join(read)


def test_what_is_read_is_never_all_of_it_at_once() -> None:
    asked: list[int] = []

    class File:
        def __init__(self, file: Any) -> None:
            self._file = file

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

        def read(self, size: int = -1) -> bytes:
            asked.append(size)
            content: bytes = self._file.read(min(size, 1000))  # as short as a file may read
            return content

    def open_(fs: Quirky, path: str, mode: str = "rb", **options: Any) -> Any:
        file = MemoryFileSystem.open(fs, path, mode, **options)
        return File(file) if mode == "rb" else file

    def cat_file(fs: Quirky, path: str, **options: Any) -> bytes:
        raise AssertionError("some ignore its range")

    destination = _destination(open=open_, cat_file=cat_file)
    destination.write("object", [bytes(range(250)) * 40_000])
    assert (
        b"".join(destination.read("object", start=5_000, length=5 * MiB))
        == (bytes(range(250)) * 40_000)[5_000 : 5_000 + 5 * MiB]
    )
    assert max(asked) <= 4 * MiB
    assert min(asked) > 0


def test_what_is_abandoned_is_found_and_swept() -> None:
    fs = Quirky()
    destination = open_destination("/shop", fs=fs)
    assert isinstance(destination, RemoteDestination)
    destination.write("a/object", [b"content"])
    fs.pipe_file("/shop/a/.lost.0123456789abcdef.partial", b"half")
    assert [one.name for one in destination.list()] == ["a/object"]
    (leftover,) = destination.leftovers("a/")
    destination.discard(leftover)
    destination.discard(leftover)
    assert [*destination.leftovers()] == []


def test_a_sweep_that_fails_hides_no_failure() -> None:
    def rm_file(fs: Quirky, path: str) -> None:
        raise PermissionError

    def chunks() -> Iterator[bytes]:
        yield b"content"
        raise ValueError("of the chunks")

    destination = _destination(rm_file=rm_file)
    with pytest.raises(ValueError, match="of the chunks"):
        destination.write("object", chunks())
    assert [*destination.list()] == []
    assert len([*destination.leftovers()]) == 1


def test_a_file_system_that_is_made_by_its_url_forgets_no_listing() -> None:
    folder = uuid.uuid4().hex
    one, other = open_destination(f"memory://{folder}"), open_destination(f"memory://{folder}")
    assert [*one.list()] == []
    other.write("a/object", [b"content"])
    assert [stored.name for stored in one.list()] == ["a/object"]
    other.delete("a/object")
    with pytest.raises(BackupKitError):
        one.stat("a/object")


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_arrived_in_part_takes_nobodys_place(overwrite: bool) -> None:
    class File:
        def __init__(self, file: Any) -> None:
            self.close = file.close
            self._file = file

        def write(self, chunk: bytes) -> None:
            self._file.write(chunk[:-1])

    def open_(fs: Quirky, path: str, mode: str = "rb", **options: Any) -> Any:
        file = MemoryFileSystem.open(fs, path, mode)
        return File(file) if mode == "wb" and broken else file

    broken = False
    destination = _destination(open=open_)
    if overwrite:
        destination.write("object", [b"old"])
    broken = True
    with pytest.raises(DestinationError, match="stored 6 bytes of 'object' and was given 7: it is broken"):
        destination.write("object", [b"content"], overwrite=overwrite)
    assert [b"".join(destination.read(one.name)) for one in destination.list()] == [b"old"] * overwrite
    assert [*destination.leftovers()] == []


def test_a_folder_is_never_replaced_by_an_object() -> None:
    destination = _destination()
    destination.write("folder/object", [b"content"])
    with pytest.raises(ObjectExistsError):
        destination.write("folder", [b"other"], overwrite=True)
    assert b"".join(destination.read("folder/object")) == b"content"


def test_what_is_unfinished_and_of_no_known_age_is_no_leftover_for_it_may_be_under_way() -> None:
    def ls(fs: Quirky, path: str, detail: bool = True, **options: Any) -> Any:
        found = MemoryFileSystem.ls(fs, path, detail=True)
        return [{name: one[name] for name in ("name", "size", "type")} for one in found]

    def chunks() -> Iterator[bytes]:
        yield b"content"
        assert [*destination.leftovers()] == []

    destination = _destination(ls=ls)
    destination.write("object", chunks())
