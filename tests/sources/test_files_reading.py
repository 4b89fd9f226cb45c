from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from backupkit.errors import SourceError
from backupkit.model import Entry
from backupkit.sources.files import Directory
from backupkit.testing.trees import File, Symlink, tree
from tests.sources.walking import content, entry

MIB = 1 << 20
LONG_AGO = 1_000_000_000_123_456_789


def _one(root: Path, data: bytes) -> Entry:
    """The entry of a file that has not been touched for long, so that any change of its time shows."""
    return entry(Directory(tree(root / "shop", {"f": File(data, modified_ns=LONG_AGO)})), "shop/f")


@pytest.mark.parametrize(
    ("size", "chunks"),
    [(0, []), (1, [1]), (MIB, [MIB]), (MIB + 1, [MIB, 1]), (3 * MIB - 1, [MIB, MIB, MIB - 1])],
)
def test_content_comes_in_chunks_of_one_mebibyte(tmp_path: Path, size: int, chunks: list[int]) -> None:
    data = os.urandom(size)
    file = _one(tmp_path, data)
    pieces = list(file.chunks())
    assert list(map(len, pieces)) == chunks
    assert b"".join(pieces) == data
    assert file.warnings == []


# --- files that change while they are read ---------------------------------------------------------------


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def _rewrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"other")


def test_a_file_that_grows_is_stored_as_it_was_when_opened_with_a_warning(tmp_path: Path) -> None:
    data = os.urandom(2 * MIB + 7)
    file = _one(tmp_path, data)
    chunks = file.chunks()
    first = next(chunks)
    _append(tmp_path / "shop" / "f")
    assert first + b"".join(chunks) == data
    (warning,) = file.warnings
    assert (warning.path, warning.severity) == ("shop/f", "warning")
    assert "grew while it was read" in warning.message


def test_a_file_that_grew_before_it_was_opened_is_stored_whole(tmp_path: Path) -> None:
    file = _one(tmp_path, b"some ")
    _append(tmp_path / "shop" / "f")
    assert content(file) == b"some more"
    assert file.warnings == []


def test_a_file_that_grows_each_time_it_is_read_is_told_once(tmp_path: Path) -> None:
    file = _one(tmp_path, b"some")
    for _ in range(2):
        chunks = file.chunks()
        next(chunks)
        _append(tmp_path / "shop" / "f")
        assert list(chunks) == []
    assert len(file.warnings) == 1


@pytest.mark.parametrize("pulled", [1, 3])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: os.truncate(path, MIB), "shrank while it was read"),
        (lambda path: os.truncate(path, 3 * MIB - 1), "shrank while it was read"),
        (lambda path: os.truncate(path, 0), "shrank while it was read"),
        (_rewrite, "was rewritten while it was read"),
    ],
)
def test_a_file_that_shrinks_or_is_rewritten_is_an_error(
    tmp_path: Path, pulled: int, change: Callable[[Path], None], message: str
) -> None:
    file = _one(tmp_path, os.urandom(3 * MIB))
    chunks = file.chunks()
    for _ in range(pulled):
        next(chunks)
    change(tmp_path / "shop" / "f")
    with pytest.raises(SourceError, match=message) as caught:
        list(chunks)
    assert (caught.value.path, caught.value.severity, caught.value.retryable) == ("shop/f", "error", False)


def test_a_new_mode_or_another_name_while_reading_is_no_error(tmp_path: Path) -> None:
    file = _one(tmp_path, b"content")
    chunks = file.chunks()
    next(chunks)
    (tmp_path / "shop" / "f").chmod(0o600)
    os.link(tmp_path / "shop" / "f", tmp_path / "shop" / "g")
    assert list(chunks) == []
    assert file.warnings == []


def test_a_file_replaced_while_it_is_read_is_stored_as_it_was(tmp_path: Path) -> None:
    data = os.urandom(2 * MIB)
    file = _one(tmp_path, data)
    chunks = file.chunks()
    first = next(chunks)
    tree(tmp_path, {"new": "new"})
    (tmp_path / "new").rename(tmp_path / "shop" / "f")
    assert first + b"".join(chunks) == data


def test_a_file_replaced_before_it_is_read_is_an_error_as_its_mode_and_links_are_anothers(
    tmp_path: Path,
) -> None:
    file = _one(tmp_path, b"old")
    tree(tmp_path, {"new": "new"})
    (tmp_path / "new").rename(tmp_path / "shop" / "f")
    with pytest.raises(SourceError, match="was replaced"):
        content(file)


# --- files that cannot be opened -------------------------------------------------------------------------


def test_a_file_deleted_before_it_is_read_is_a_warning(tmp_path: Path) -> None:
    file = _one(tmp_path, b"content")
    (tmp_path / "shop" / "f").unlink()
    with pytest.raises(SourceError, match="was deleted before it could be read") as caught:
        content(file)
    assert (caught.value.severity, caught.value.retryable) == ("warning", False)


def test_a_link_put_in_a_files_place_is_not_followed(tmp_path: Path) -> None:
    tree(tmp_path, {"secret": "secret"})
    file = _one(tmp_path, b"content")
    (tmp_path / "shop" / "f").unlink()
    (tmp_path / "shop" / "f").symlink_to("../secret")
    with pytest.raises(SourceError, match="was replaced by a link") as caught:
        content(file)
    assert caught.value.severity == "error"


def test_a_pipe_put_in_a_files_place_is_not_waited_for(tmp_path: Path) -> None:
    file = _one(tmp_path, b"content")
    (tmp_path / "shop" / "f").unlink()
    os.mkfifo(tmp_path / "shop" / "f")
    with pytest.raises(SourceError, match="something that is no file"):
        content(file)


def test_a_folder_put_in_a_files_place_is_an_error(tmp_path: Path) -> None:
    file = _one(tmp_path, b"content")
    (tmp_path / "shop" / "f").unlink()
    (tmp_path / "shop" / "f").mkdir()
    with pytest.raises(SourceError, match="something that is no file"):
        content(file)


@pytest.mark.skipif(sys.platform != "linux", reason="leases are Linux's")
def test_a_file_that_is_not_available_right_now_is_worth_another_try(tmp_path: Path) -> None:
    import fcntl

    file = _one(tmp_path, b"content")
    previous = signal.signal(signal.SIGIO, signal.SIG_IGN)
    try:
        with (tmp_path / "shop" / "f").open("r+b") as holder:
            fcntl.fcntl(holder, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            with pytest.raises(SourceError, match="temporarily unavailable") as caught:
                content(file)
        assert caught.value.retryable
        assert content(file) == b"content"
    finally:
        signal.signal(signal.SIGIO, previous)


def test_descriptors_are_closed_however_reading_ends(tmp_path: Path) -> None:
    here = Path("/proc/self/fd")
    if not here.is_dir():
        pytest.skip("needs /proc")
    file = _one(tmp_path, os.urandom(3 * MIB))
    before = len(list(here.iterdir()))
    abandoned = file.chunks()
    next(abandoned)
    assert len(list(here.iterdir())) == before + 1
    abandoned.close()  # type: ignore[attr-defined]  # a generator
    failed = file.chunks()
    next(failed)
    os.truncate(tmp_path / "shop" / "f", 0)
    with pytest.raises(SourceError):
        next(failed)
    content(file)
    assert len(list(here.iterdir())) == before


# --- holes -----------------------------------------------------------------------------------------------


@pytest.fixture
def sparse(tmp_path: Path) -> Path:
    """A folder with a file of 64 MiB that holds 2 MiB of data, where the file system knows holes."""
    data = {8 * MIB: os.urandom(MIB), 32 * MIB: os.urandom(MIB)}
    root = tree(tmp_path / "shop", {"f": File(data, size=64 * MIB, modified_ns=LONG_AGO)})
    if (root / "f").stat().st_blocks * 512 > 32 * MIB:
        pytest.skip("no sparse files in the folder for temporary files")
    return root


def test_the_holes_of_a_sparse_file_are_named(sparse: Path) -> None:
    assert entry(Directory(sparse), "shop/f").holes == (
        (0, 8 * MIB),
        (9 * MIB, 23 * MIB),
        (33 * MIB, 31 * MIB),
    )


def test_a_sparse_file_reads_like_any_other(sparse: Path) -> None:
    chunks = list(entry(Directory(sparse), "shop/f").chunks())
    assert {len(chunk) for chunk in chunks} == {MIB}
    assert b"".join(chunks) == (sparse / "f").read_bytes()


def test_a_hole_that_ends_within_a_chunk_reads_right(tmp_path: Path) -> None:
    data: dict[int, bytes] = {0: b"a", 3 * MIB + 12345: b"b", 5 * MIB - 1: b"c"}
    root = tree(tmp_path / "shop", {"f": File(data, size=7 * MIB + 5)})
    assert content(entry(Directory(root), "shop/f")) == (root / "f").read_bytes()


def test_a_file_that_is_all_hole_reads_as_zeros(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {"f": File(b"", size=3 * MIB + 1)})
    assert content(entry(Directory(root), "shop/f")) == bytes(3 * MIB + 1)


def test_a_file_without_holes_names_none(tmp_path: Path) -> None:
    assert _one(tmp_path, bytes(2 * MIB)).holes == ()


def test_a_hole_that_was_written_to_after_it_was_named_is_an_error(sparse: Path) -> None:
    file = entry(Directory(sparse), "shop/f")
    with (sparse / "f").open("r+b") as writer:
        writer.seek(20 * MIB)
        writer.write(b"no hole any more")
    with pytest.raises(SourceError, match="was rewritten"):
        content(file)


def test_a_sparse_file_that_shrinks_is_an_error(sparse: Path) -> None:
    chunks = entry(Directory(sparse), "shop/f").chunks()
    next(chunks)
    os.truncate(sparse / "f", 2 * MIB)
    with pytest.raises(SourceError, match="shrank"):
        list(chunks)


def test_followed_links_are_read_through(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {"f": File(b"x" * 10), "l": Symlink("f")})
    assert content(entry(Directory(root, follow_symlinks=True), "shop/l")) == b"x" * 10
