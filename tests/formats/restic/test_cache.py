"""The cache of objects on this machine."""

from __future__ import annotations

import gc
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

import pytest

from backupkit.formats.restic.cache import Cache, cache_folder
from backupkit.formats.restic.layout import ObjectKind, storage_id
from backupkit.formats.restic.objects import Objects
from backupkit.testing.destinations import FaultyDestination, MemoryDestination
from tests.leftovers import no_file_left_open

REPOSITORY = storage_id(b"the repository")
CONTENT = b"sealed bytes"
ID = storage_id(CONTENT)
HOUR = 3600


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    with Cache(REPOSITORY, folder=tmp_path) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the repository's objects are kept."""
    return tmp_path / "backupkit" / "restic" / REPOSITORY


def number(n: int, size: int = 100) -> tuple[str, bytes]:
    content = n.to_bytes(size, "big")
    return storage_id(content), content


def age(path: Path, seconds: float) -> None:
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


@pytest.mark.parametrize("kind", ["snapshots", "index", "data"])
def test_what_was_put_is_there(cache: Cache, tmp_path: Path, kind: ObjectKind) -> None:
    assert cache.get(kind, ID) is None
    cache.put(kind, ID, CONTENT)
    assert cache.get(kind, ID) == CONTENT
    with Cache(REPOSITORY, folder=tmp_path) as another:
        assert another.get(kind, ID) == CONTENT


def test_keys_and_locks_are_not_kept(cache: Cache, tmp_path: Path) -> None:
    for kind in {*get_args(ObjectKind)} - {"snapshots", "index", "data"}:
        cache.put(kind, ID, CONTENT)
        assert cache.get(kind, ID) is None
    assert not list(tmp_path.rglob(ID))


def test_repositories_have_nothing_in_common(cache: Cache, tmp_path: Path) -> None:
    cache.put("index", ID, CONTENT)
    with Cache(storage_id(b"another"), folder=tmp_path) as another:
        assert another.get("index", ID) is None


def test_a_range_of_a_pack_is_read_without_the_rest(cache: Cache) -> None:
    cache.put("data", ID, CONTENT)
    assert cache.get_range(ID, 7, 5) == b"bytes"
    assert cache.get_range(ID, 7, 6) is None
    assert cache.get_range(REPOSITORY, 0, 1) is None


def test_what_was_wrong_can_be_forgotten(cache: Cache) -> None:
    cache.put("data", ID, CONTENT)
    cache.forget("data", ID)
    cache.forget("data", ID)
    assert cache.get("data", ID) is None


def test_what_the_repository_no_longer_has_is_dropped(cache: Cache) -> None:
    gone, _ = number(1)
    cache.put("snapshots", ID, CONTENT)
    cache.put("snapshots", gone, CONTENT)
    cache.put("index", gone, CONTENT)
    cache.keep_only("snapshots", {ID})
    assert cache.get("snapshots", ID) == CONTENT
    assert cache.get("snapshots", gone) is None
    assert cache.get("index", gone) == CONTENT


def test_nobody_else_may_read_it(cache: Cache, tmp_path: Path) -> None:
    cache.put("index", ID, CONTENT)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "backupkit").rglob("*")}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if not path.is_dir()} == {0o600}


def test_it_is_marked_as_a_cache_for_programs_that_make_backups(cache: Cache, tmp_path: Path) -> None:
    cache.put("index", ID, CONTENT)
    tag = (tmp_path / "backupkit" / "restic" / "CACHEDIR.TAG").read_bytes()
    assert tag.startswith(b"Signature: 8a477f597d28d172789f06886806bc55\n")


# --- The bound


def test_the_least_recently_used_of_all_repositories_go_first(tmp_path: Path) -> None:
    size = 1000
    with (
        Cache(REPOSITORY, folder=tmp_path, limit=20 * size) as one,
        Cache(storage_id(b"another"), folder=tmp_path, limit=20 * size) as other,
    ):
        ids = []
        for n in range(10):
            for cache in (one, other):
                id, content = number(n, size)
                cache.put("data", id, content)
                ids.append((cache, id))
        for position, (cache, id) in enumerate(ids):
            repository = REPOSITORY if cache is one else storage_id(b"another")
            age(tmp_path / "backupkit" / "restic" / repository / "data" / id, 40 * HOUR - position * HOUR)
        assert ids[0][0].get("data", ids[0][1]) is not None  # that is a use
        with Cache(REPOSITORY, folder=tmp_path, limit=20 * size) as third:
            id, content = number(99, size)
            third.put("index", id, content)  # the first look at what there is
            assert third.get("index", id) == content
        left = [position for position, (cache, id) in enumerate(ids) if cache.get("data", id) is not None]
    assert left == [0, *range(2, 20)]


def test_it_never_grows_much_beyond_its_limit(tmp_path: Path) -> None:
    with Cache(REPOSITORY, folder=tmp_path, limit=10_000) as cache:
        for n in range(100):
            cache.put("data", *number(n, 1000))
            stored = sum(path.stat().st_size for path in tmp_path.rglob("*") if is_object(path))
            assert stored <= 10_000


def is_object(path: Path) -> bool:
    return len(path.name) == 64 and path.is_file()


def test_one_object_does_not_drive_out_all_others(tmp_path: Path) -> None:
    with Cache(REPOSITORY, folder=tmp_path, limit=8000) as cache:
        cache.put("data", *number(1, 1000))
        cache.put("data", *number(2, 1001))
        assert cache.get("data", number(1, 1000)[0]) is not None
        assert cache.get("data", number(2, 1001)[0]) is None


def test_what_killed_processes_left_half_written_goes_after_a_day(tmp_path: Path, folder: Path) -> None:
    (folder / "data").mkdir(parents=True)
    for name, hours in (("recent", 23), ("old", 25)):
        (folder / "data" / f".{ID}.{name}").write_bytes(b"half")
        age(folder / "data" / f".{ID}.{name}", hours * HOUR)
    with Cache(REPOSITORY, folder=tmp_path) as cache:
        cache.put("data", ID, CONTENT)
    assert sorted(os.listdir(folder / "data")) == [f".{ID}.recent", ID]


# --- It is never needed


def test_it_may_be_deleted_while_it_is_used(cache: Cache, tmp_path: Path) -> None:
    cache.put("index", ID, CONTENT)
    shutil.rmtree(tmp_path / "backupkit")
    assert cache.get("index", ID) is None
    cache.put("index", ID, CONTENT)
    cache.put("data", ID, CONTENT)
    cache.keep_only("index", set())
    cache.forget("index", ID)
    with Cache(REPOSITORY, folder=tmp_path) as another:
        another.put("index", ID, CONTENT)
        assert another.get("index", ID) == CONTENT


def test_a_place_that_cannot_be_used_is_no_cache(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for folder in (tmp_path / "file", tmp_path / "no" / "such", "/proc/self"):
        with Cache(REPOSITORY, folder=folder) as cache:
            cache.put("index", ID, CONTENT)
            assert cache.get("index", ID) is None
            cache.keep_only("index", set())
    assert not (tmp_path / "no").exists()


def test_the_folder_of_another_user_is_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Cache(REPOSITORY, folder=tmp_path) as cache:
        cache.put("index", ID, CONTENT)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with Cache(REPOSITORY, folder=tmp_path) as cache:
        assert cache.get("index", ID) is None


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, folder: Path) -> None:
    script = """
import resource, signal, sys
from backupkit.formats.restic.cache import Cache
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
with Cache(sys.argv[2], folder=sys.argv[1]) as cache:
    cache.put("index", sys.argv[3], bytes(10_000))
    assert cache.get("index", sys.argv[3]) is None
"""
    subprocess.run([sys.executable, "-c", script, tmp_path, REPOSITORY, ID], check=True)
    assert os.listdir(folder / "index") == []


def test_links_and_pipes_planted_in_it_are_not_followed(cache: Cache, tmp_path: Path, folder: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    cache.put("data", ID, CONTENT)
    (folder / "data" / ID).unlink()
    (folder / "data" / ID).symlink_to(outside)
    pipe, _ = number(1)
    os.mkfifo(folder / "data" / pipe)
    assert cache.get("data", ID) is None
    assert cache.get("data", pipe) is None
    cache.put("data", ID, CONTENT)
    assert cache.get("data", ID) == CONTENT
    assert outside.read_bytes() == b"precious"


def test_a_link_in_place_of_a_folder_is_no_cache(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "backupkit").symlink_to(elsewhere)
    with Cache(REPOSITORY, folder=tmp_path) as cache:
        cache.put("data", ID, CONTENT)
        assert cache.get("data", ID) is None
    assert list(elsewhere.iterdir()) == []


def test_a_torn_file_is_fetched_anew(cache: Cache, folder: Path) -> None:
    destination = FaultyDestination(MemoryDestination())
    Objects(destination).write("index", [CONTENT], ID)
    objects = Objects(destination, cache=cache)
    assert objects.read("index", ID) == CONTENT
    (folder / "index" / ID).write_bytes(bytes(len(CONTENT)))
    assert objects.read("index", ID) == CONTENT
    assert objects.read("index", ID) == CONTENT
    assert destination.calls["read"] == 2


def test_many_threads_use_one(cache: Cache) -> None:
    def use(n: int) -> None:
        id, content = number(n % 20)
        cache.put("data", id, content)
        assert cache.get("data", id) == content

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(400)))


def test_it_is_in_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/alice")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == "/home/alice/.cache"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == "/home/alice/.cache"
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/alice")
    assert cache_folder() == "/var/cache/alice"


def test_what_nobody_closed_is_closed_when_nobody_needs_it_any_more(tmp_path: Path) -> None:
    def use() -> None:
        cache = Cache(REPOSITORY, folder=tmp_path)
        cache.put("index", ID, CONTENT)

    with no_file_left_open():
        use()
        gc.collect()
