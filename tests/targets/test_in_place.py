"""What the file in an entry's place holds already need not come from the backup."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from backupkit.errors import IntegrityError
from backupkit.model import Entry, Problem
from backupkit.targets import DirectoryTarget
from tests.leftovers import no_file_left_open
from tests.targets.restoring import file, names

OLD = b"1234567890"
NEW = b"12345xxxxx"


class Pieces:
    """An entry of two pieces, of which those that the file at its place holds are not fetched."""

    def __init__(self, error: Exception | None = None) -> None:
        self.fetched: list[bytes] = []
        self.error = error
        self.entry = replace(file("a", NEW), chunks=self.chunks, reusing=self.reusing)

    def chunks(self) -> Iterator[bytes]:
        for piece in (NEW[:5], NEW[5:]):
            yield self._fetch(piece)

    def reusing(self, descriptor: int) -> Iterator[bytes]:
        for at in (0, 5):
            piece = NEW[at : at + 5]
            there = os.pread(descriptor, 5, at)
            yield there if there == piece else self._fetch(piece)

    def _fetch(self, piece: bytes) -> bytes:
        if self.error is not None:
            raise self.error
        self.fetched.append(piece)
        return piece


def write(place: Path, entry: Entry, *, overwrite: bool = True) -> list[Problem]:
    return list(DirectoryTarget(place, overwrite=overwrite).write([entry]))


def test_only_what_differs_is_fetched_and_the_old_file_is_replaced_not_changed(tmp_path: Path) -> None:
    pieces = Pieces()
    (tmp_path / "a").write_bytes(OLD)
    with (tmp_path / "a").open("rb") as old:
        assert write(tmp_path, pieces.entry) == []
        assert old.read() == OLD
    assert (tmp_path / "a").read_bytes() == NEW
    assert pieces.fetched == [NEW[5:]]
    assert names(tmp_path) == ["a"]


def test_a_good_file_stays_when_what_is_missing_cannot_be_fetched(tmp_path: Path) -> None:
    pieces = Pieces(IntegrityError("damaged", where="a"))
    (tmp_path / "a").write_bytes(OLD)
    assert [one.path for one in write(tmp_path, pieces.entry)] == ["a"]
    assert (tmp_path / "a").read_bytes() == OLD
    assert names(tmp_path) == ["a"]


def test_without_overwrite_nothing_is_read_and_the_file_stays(tmp_path: Path) -> None:
    pieces = Pieces()
    (tmp_path / "a").write_bytes(OLD)
    assert [one.path for one in write(tmp_path, pieces.entry, overwrite=False)] == ["a"]
    assert (tmp_path / "a").read_bytes() == OLD
    assert pieces.fetched == []


@pytest.mark.parametrize("kind", ["nothing", "link", "pipe"])
def test_what_is_no_file_is_not_read(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (tmp_path / "outside").write_bytes(OLD)
    if kind == "link":
        (place / "a").symlink_to(tmp_path / "outside")
    if kind == "pipe":
        os.mkfifo(place / "a")
    pieces = Pieces()
    assert write(place, pieces.entry) == []
    assert (place / "a").read_bytes() == NEW
    assert not (place / "a").is_symlink()
    assert (tmp_path / "outside").read_bytes() == OLD
    assert pieces.fetched == [NEW[:5], NEW[5:]]


def test_an_entry_that_gives_more_than_it_declares_is_refused_here_too(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(OLD)
    entry = replace(file("a", NEW), reusing=lambda descriptor: iter([NEW, b"more"]))
    (problem,) = write(tmp_path, entry)
    assert "more than the 10 bytes" in problem.message
    assert (tmp_path / "a").read_bytes() == OLD
    assert names(tmp_path) == ["a"]


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(OLD)
    with no_file_left_open():
        write(tmp_path, Pieces(IntegrityError("damaged", where="a")).entry)
        write(tmp_path, Pieces().entry)
