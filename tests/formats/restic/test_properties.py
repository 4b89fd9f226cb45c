"""What holds of any content, tree and change, by random examples."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from backupkit.formats.restic.chunking import MAX, MIN, Chunker
from backupkit.formats.restic.format import Restic
from backupkit.model import Backup, Entry, Owner, Problem
from backupkit.passphrase import Passphrase
from backupkit.protocols import Destination
from backupkit.retrying import Retry
from backupkit.sources.files import Directory
from backupkit.testing.destinations import MemoryDestination
from backupkit.testing.entries import with_content
from backupkit.testing.repositories import NOON
from tests.formats.restic.test_format import kept
from tests.impatience import be_impatient

MiB = 1 << 20
PASSPHRASE = Passphrase("five words are long enough")
POLYNOMIAL = 0x25B468838DCB75
NOISE = Random(11).randbytes(14 * MiB)
FEW = settings(max_examples=25, deadline=None, suppress_health_check=[*HealthCheck])


@pytest.fixture(scope="module", autouse=True)
def _cheap_keys() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        be_impatient(patch, settling=0)
        yield


# Where content is cut.


def cut(*chunks: bytes, polynomial: int = POLYNOMIAL) -> list[bytes]:
    chunker = Chunker(polynomial)
    chunker.begin()
    return [*(blob for chunk in chunks for blob in chunker.add(chunk)), *chunker.rest()]


def ids(blobs: Sequence[bytes]) -> set[bytes]:
    return {hashlib.sha256(blob).digest() for blob in blobs}


_contents = st.one_of(
    st.integers(0, 3 * MiB).map(lambda size: NOISE[:size]),
    st.integers(0, 20 * MiB).map(bytes),
    st.tuples(st.binary(min_size=1, max_size=50), st.integers(1, 200_000)).map(lambda one: one[0] * one[1]),
)


@given(_contents, st.integers(1, 1 << 54))
@example(NOISE, POLYNOMIAL)
@example(bytes(20 * MiB), POLYNOMIAL)
@FEW
def test_blobs_are_the_content_and_neither_too_small_nor_too_large(content: bytes, polynomial: int) -> None:
    blobs = cut(content, polynomial=polynomial)
    assert b"".join(blobs) == content
    assert all(MIN <= len(blob) <= MAX for blob in blobs[:-1])
    assert all(0 < len(blob) <= MAX for blob in blobs)


@given(st.lists(st.integers(0, len(NOISE)), max_size=40))
@FEW
def test_it_does_not_matter_in_which_pieces_content_comes(ends: list[int]) -> None:
    ends = [0, *sorted(ends), len(NOISE)]
    pieces = [NOISE[one:other] for one, other in pairwise(ends)]
    assert cut(*pieces, NOISE) == cut(NOISE + NOISE)


@given(st.integers(0, len(NOISE)), st.binary(max_size=3000), st.integers(0, 3000))
@FEW
def test_an_insertion_or_deletion_changes_only_the_blobs_around_it(
    at: int, inserted: bytes, deleted: int
) -> None:
    before = cut(NOISE)
    after = cut(NOISE[:at] + inserted + NOISE[at + deleted :])
    # The one that it stands in, and those until the two find the same cut again.
    assert len(ids(after) - ids(before)) <= 4


def test_repositories_cut_in_ways_of_their_own() -> None:
    assert not ids(cut(NOISE)[:-1]) & ids(cut(NOISE, polynomial=POLYNOMIAL + 2)[:-1])


# What is written and read back.

_names = (
    st.binary(min_size=1, max_size=12)
    .filter(lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b".."))
    .map(os.fsdecode)
)
_times = st.none() | st.integers(-(2**62), 2**63 - 1) | st.sampled_from([0, -1, 1, 10**18 + 1])
_modes = st.none() | st.integers(0, 0o7777)
_user_names = st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
_numbers = st.integers(0, 2**32 - 1)
_owners = st.none() | st.builds(Owner, uid=_numbers, gid=_numbers, user=_user_names, group=_user_names)
_attributes = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8).map("user.{}".format),
    st.binary(max_size=20),
    max_size=2,
)
_metadata: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"modified_ns": _times, "mode": _modes, "owner": _owners, "xattrs": _attributes}
)
_targets = st.binary(min_size=1, max_size=20).filter(lambda one: b"\0" not in one).map(os.fsdecode)


def _file(metadata: dict[str, Any], content: bytes) -> Entry:
    return with_content(Entry(path="", **metadata), content)


def _other(metadata: dict[str, Any], **more: Any) -> Entry:
    return Entry(path="", **metadata, **more)


_files = st.builds(_file, _metadata, st.binary(max_size=30))
_links = st.builds(_other, _metadata, kind=st.just("symlink"), target=_targets)
_fifos = st.builds(_other, _metadata, kind=st.just("fifo"))
_devices = st.builds(
    _other,
    _metadata,
    kind=st.sampled_from(["chardev", "blockdev"]),
    device=st.tuples(st.integers(0, 4095), st.integers(0, 2**20 - 1)),
)
_leaves = st.one_of(_files, _files, _links, _fifos, _devices)
_trees = st.recursive(
    st.dictionaries(_names, _leaves, max_size=4),
    lambda inner: st.dictionaries(_names, _leaves | st.tuples(_metadata, inner), max_size=4),
    max_leaves=12,
)


def flat(tree: dict[str, Any], above: str = "") -> Iterator[Entry]:
    """Its entries, in the order in which a source gives them."""
    for name in sorted(tree, key=os.fsencode):
        path, one = f"{above}{name}", tree[name]
        if isinstance(one, Entry):
            yield replace(one, path=path)
        else:
            metadata, inner = one
            yield Entry(path=path, kind="directory", **metadata)
            yield from flat(inner, f"{path}/")


def written(destination: Destination, entries: Sequence[Entry | Problem], hours: int = 0) -> Backup:
    with Restic(cache=False).open(destination, name="shop", encryptor=PASSPHRASE) as repository:
        done = repository.write(
            entries,
            time=NOON + timedelta(hours=hours),
            contents=frozenset({"files"}),
            retry=Retry(tries=1),
        )
    assert [one for one in done.problems if one.check != "repository"] == []
    return done.backup


def read(destination: Destination, backup: Backup) -> list[tuple[Entry, bytes]]:
    with Restic(cache=False).open(destination, name="shop", encryptor=PASSPHRASE) as repository:
        return [(entry, b"".join(entry.chunks())) for entry in repository.read(backup)]


@given(_trees.filter(bool))
@settings(FEW, max_examples=60)
@example({"\udcff": with_content(Entry(path="", modified_ns=-(2**62)), b"")})
def test_any_tree_comes_back_as_it_was(tree: dict[str, Any]) -> None:
    destination = MemoryDestination()
    entries = [*flat(tree)]
    backup = written(destination, entries)
    found = read(destination, backup)
    assert [entry for entry, _ in found] == [*kept(entries, backup)]
    assert [content for _, content in found] == [b"".join(entry.chunks()) for entry in entries]


# What changed since the run before.


@contextmanager
def application() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        app = Path(name, "app")
        (app / "inner").mkdir(parents=True)
        for number, path in enumerate(("a", "b", "inner/c", "inner/d")):
            (app / path).write_bytes(bytes([number]) * 10)
        os.link(app / "a", app / "inner" / "link of a")
        yield app


def _same_size(app: Path, one: Path, other: Path) -> None:
    """Changed in place, and made to look as if it was not: only the time of this change says so."""
    before = one.stat()
    with one.open("r+b") as file:
        file.write(b"other text")
    os.utime(one, ns=(before.st_atime_ns, before.st_mtime_ns))


def _replaced(app: Path, one: Path, other: Path) -> None:
    before = one.stat()
    new = app.parent / "new"
    new.write_bytes(b"a new file")
    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
    new.replace(one)


def _swapped(app: Path, one: Path, other: Path) -> None:
    between = app.parent / "between"
    one.rename(between)
    other.rename(one)
    between.rename(other)


def _grown(app: Path, one: Path, other: Path) -> None:
    with one.open("ab") as file:
        file.write(b"more")


def _touched(app: Path, one: Path, other: Path) -> None:
    os.utime(one)


def _removed(app: Path, one: Path, other: Path) -> None:
    one.unlink()
    other.with_name(f"{other.name}-new").write_bytes(b"new")


def _linked(app: Path, one: Path, other: Path) -> None:
    one.unlink()
    os.link(other, one)


_CHANGES = (_same_size, _replaced, _swapped, _grown, _touched, _removed, _linked)
_changes = st.lists(st.tuples(st.sampled_from(_CHANGES), st.integers(0, 9), st.integers(0, 9)), max_size=4)


def _let_time_pass(app: Path) -> None:
    """Until files get another time than those that are there have: kernels count it in some milliseconds."""
    newest = max(path.lstat().st_ctime_ns for path in [app, *app.rglob("*")])
    probe = app.parent / "probe"
    probe.touch()
    while probe.stat().st_ctime_ns <= newest:
        probe.touch()
    probe.unlink()


def on_disk(app: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(app.rglob("*")) if path.is_file()}


@given(_changes)
@settings(FEW, max_examples=40)
@example([(_same_size, 0, 0)])
@example([(_swapped, 0, 1), (_same_size, 1, 0)])
def test_whatever_changed_is_what_the_next_snapshot_holds_and_nothing_else_is_read(
    changes: list[tuple[Callable[[Path, Path, Path], None], int, int]],
) -> None:
    opened: list[str] = []

    def watched(app: Path) -> Iterator[Entry | Problem]:
        for entry in Directory(app).entries():
            if isinstance(entry, Problem):
                yield entry
                continue

            def chunks(entry: Entry = entry) -> Iterator[bytes]:
                opened.append(str(entry.origin and entry.origin.path))
                yield from entry.chunks()

            yield replace(entry, chunks=chunks)

    with application() as app:
        destination = MemoryDestination()
        written(destination, [*watched(app)])
        _let_time_pass(app)
        states = {str(path): path.lstat() for path in app.rglob("*")}
        opened.clear()
        for change, first, second in changes:
            files = sorted(path for path in app.rglob("*") if path.is_file())
            one, other = files[first % len(files)], files[second % len(files)]
            if one != other or change in (_same_size, _grown, _touched, _replaced):
                change(app, one, other)
        backup = written(destination, [*watched(app)], hours=1)
        expected = on_disk(app)
        found = {f"/{entry.path}": content for entry, content in read(destination, backup)}
        assert {path: found.get(path) for path in expected} == expected
        assert {path for path in found if found[path]} == {path for path in expected if expected[path]}
        untouched = {
            path
            for path in expected
            if path in states and states[path].st_ctime_ns == os.lstat(path).st_ctime_ns
        }
        assert not untouched & {*opened}
