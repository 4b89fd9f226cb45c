from __future__ import annotations

import gc
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from backupkit import BackupPipeline, Directory, Retry, open_repository
from backupkit.destinations.opening import open_destination
from backupkit.errors import ConfigurationError, SourceError
from backupkit.model import Entry
from backupkit.protocols import ExcludesLocations, Source
from backupkit.sources.hooks import Around
from backupkit.sources.remote import TAG, FsspecSource
from backupkit.testing.sources import SourceTests
from tests.fault_proxy import Answer, FaultProxy, Rule, fault_proxy
from tests.sources.walking import content, entries, entry, paths, problems
from tests.storage.moto import moto_process, options
from tests.storage.s3 import client_of
from tests.storage.sshd import sshd

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

ONCE = Retry(tries=1)
SMALL = {"shop.png": b"png", "a/1.txt": b"one", "a/b/2.txt": b"two", "a-b": b"", "late": b"x" * 70_000}


def memory(**kinds: Any) -> Any:
    """A file system of fsspec's own in memory, with some methods replaced."""
    from fsspec.implementations.memory import MemoryFileSystem

    kind: Any = type("Memory", (MemoryFileSystem,), kinds)
    fs = kind(skip_instance_cache=True)
    fs.store, fs.pseudo_dirs = {}, [""]
    return fs


def before_reading(function: Callable[[str], object]) -> Any:
    """The method `open`, which calls the function before a file is read."""
    from fsspec.implementations.memory import MemoryFileSystem

    def open(self: Any, path: str, mode: str = "rb", **options: Any) -> Any:
        if mode == "rb":
            function(path)
        return MemoryFileSystem.open(self, path, mode, **options)

    return open


def filled(fs: AbstractFileSystem, objects: dict[str, bytes], folder: str = "media") -> AbstractFileSystem:
    for path, given in objects.items():
        fs.pipe_file(f"/{folder}/{path}", given)
    return fs


def in_memory(objects: dict[str, bytes], **options: Any) -> FsspecSource:
    return FsspecSource("memory://media", fs=filled(memory(), objects), **options)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto_process() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def client(endpoint: str) -> Any:
    return client_of(endpoint, "any", "any")


class Bucket:
    """A bucket of its own, filled by a client that is not ours."""

    def __init__(self, client: Any, endpoint: str) -> None:
        self.client = client
        self.endpoint = endpoint
        self.name = f"bucket-{uuid.uuid4().hex[:12]}"
        client.create_bucket(Bucket=self.name)

    def put(self, objects: dict[str, bytes]) -> None:
        for key, body in objects.items():
            self.client.put_object(Bucket=self.name, Key=key, Body=body)

    def source(self, proxy: FaultProxy | None = None, **more: Any) -> FsspecSource:
        given = options(f"http://127.0.0.1:{proxy.port}" if proxy else self.endpoint)
        return FsspecSource(f"s3://{self.name}", name="media", **{**given, **more})


@pytest.fixture
def bucket(client: Any, endpoint: str) -> Bucket:
    return Bucket(client, endpoint)


@pytest.fixture(scope="module")
def warm(client: Any, endpoint: str) -> FsspecSource:
    """One whose connections are there already: they are kept, and would be counted among what was opened."""
    bucket = Bucket(client, endpoint)
    bucket.put(SMALL)
    source = bucket.source(part_size=4096, at_once=1)
    for one in entries(source):
        content(one)
    return source


class TestInMemory(SourceTests):
    @pytest.fixture
    def source(self) -> Source:
        return in_memory(SMALL)

    @pytest.fixture
    def failing_source(self) -> Source:
        return FsspecSource("memory://media", fs=filled(memory(open=before_reading(denied)), SMALL))


class TestOnS3(SourceTests):
    @pytest.fixture
    def source(self, warm: FsspecSource) -> Source:
        return warm

    @pytest.fixture
    def failing_source(self, endpoint: str) -> Source:
        return FsspecSource("s3://no-such-bucket", **options(endpoint))

    def test_nothing_is_opened_before_the_first_pull(self, source: Source) -> None:
        """Afterwards, what is read ahead may open and close what it likes at any moment."""
        before = threads()
        entries = source.entries()
        assert threads() == before
        next(entries)


def denied(path: str) -> None:
    raise PermissionError(path)


# --- what is kept ----------------------------------------------------------------------------------------


def test_the_content_the_time_and_the_tag_of_an_object_are_kept(bucket: Bucket) -> None:
    bucket.put({"a/1.txt": b"one"})
    stored = bucket.client.head_object(Bucket=bucket.name, Key="a/1.txt")
    found = entry(bucket.source(), "media/a/1.txt")
    assert content(found) == b"one"
    assert found.modified_ns is not None
    assert found.modified_ns // 10**9 == int(stored["LastModified"].timestamp())
    assert found.xattrs == {TAG: stored["ETag"].strip('"').encode()}


def test_an_object_that_is_the_same_gives_the_same_entry_again_and_one_that_is_written_anew_another(
    bucket: Bucket,
) -> None:
    """So that a later backup can tell what has not changed without reading it."""
    bucket.put({"same": b"one", "other": b"one"})
    before = {one.path: one for one in entries(bucket.source())}
    bucket.put({"other": b"two"})
    after = {one.path: one for one in entries(bucket.source())}
    assert before["media/same"] == after["media/same"]
    assert before["media/other"] != after["media/other"]


def test_a_bucket_comes_back_into_a_folder_with_its_paths_contents_and_times(
    bucket: Bucket, tmp_path: Path
) -> None:
    bucket.put(SMALL)
    (tmp_path / "backups").mkdir()
    pipeline = BackupPipeline("shop", bucket.source(part_size=4096), tmp_path / "backups", encryptor=None)
    assert pipeline.run().outcome == "succeeded"
    assert pipeline.verify().outcome == "succeeded"
    assert pipeline.restore(to=tmp_path / "restored").outcome == "succeeded"
    there = tmp_path / "restored" / "media"
    assert {
        path.relative_to(there).as_posix(): path.read_bytes() for path in there.rglob("*") if path.is_file()
    } == SMALL
    times = {one.path: one.modified_ns for one in entries(bucket.source())}
    for path in SMALL:
        assert (there / path).stat().st_mtime_ns == times[f"media/{path}"], path


def test_odd_names_are_kept_or_told_by_name_and_the_run_is_incomplete(bucket: Bucket, tmp_path: Path) -> None:
    kept = {"a b+c%20d.png": b"1", "u/#?&.txt": b"2", "ü/é": b"3", "bell\a": b"4"}
    unkept = {"a//b": b"5", "x": b"6", "x/y": b"7"}
    bucket.put({**kept, **unkept})
    source = bucket.source()
    found = {one.path: one for one in source.entries() if isinstance(one, Entry) and one.kind == "file"}
    assert {path.removeprefix("media/"): content(one) for path, one in found.items()} == {**kept, "x/y": b"7"}
    assert sorted(str(one.path) for one in problems(source)) == ["media/a//b", "media/x"]
    assert all(one.severity == "error" for one in problems(source))
    report = BackupPipeline("shop", source, tmp_path, encryptor=None).run()
    assert report.outcome == "incomplete"
    assert len(report.problems) == 2


def test_nothing_of_a_server_is_passed_over_for_its_name_or_kind(tmp_path: Path) -> None:
    """Destinations need no hidden folders and links, a source needs all that is there, or to be told."""
    media = tmp_path / "media"
    (media / ".well-known").mkdir(parents=True)
    (media / ".well-known" / "a").write_text("1")
    (media / "folder").mkdir()
    (media / "folder" / ".hidden").write_text("22")
    (media / "link").symlink_to("folder/.hidden")
    (media / "way").symlink_to(".well-known")
    (media / "broken").symlink_to("nowhere")
    with sshd() as server:
        source = FsspecSource(server.url(media), **server.options)
        found: dict[str, bytes | str] = {}
        for one in source.entries():
            if isinstance(one, Entry) and one.kind == "file":
                try:
                    found[one.path] = content(one)
                except SourceError as error:
                    found[one.path] = str(error)
    for link in ("media/broken", "media/link"):
        assert "not found by its name" in str(found.pop(link))
    assert found == {"media/.well-known/a": b"1", "media/folder/.hidden": b"22", "media/way/a": b"1"}


def test_patterns_leave_out_as_those_of_a_folder_do(tmp_path: Path) -> None:
    tree = {"a/x.png": b"", "a/y.log": b"", "cache/z": b"", "logs/keep.log": b"", "b/cache/w": b""}
    for path, given in tree.items():
        (tmp_path / "media" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "media" / path).write_bytes(given)
    for patterns in (["cache/"], ["*.log", "!keep.log"], ["/cache"], ["a/*", "!a/x.png"]):
        files = [path for path in paths(in_memory(tree, exclude=patterns)) if not path.endswith("/")]
        there = [
            path for path in paths(Directory(tmp_path / "media", exclude=patterns)) if not path.endswith("/")
        ]
        assert files == there, patterns
    assert paths(in_memory(tree, include=["*.png"])) == ["a/", "a/x.png"]


# --- what is missing, denied or changes ------------------------------------------------------------------


@pytest.mark.parametrize("url", ["s3://no-such-bucket", "memory://nothing/here"])
def test_a_place_that_is_not_there_is_an_error_of_the_source(url: str, endpoint: str, tmp_path: Path) -> None:
    source = FsspecSource(url, **(options(endpoint) if url.startswith("s3") else {}))
    with pytest.raises(SourceError, match="correct the URL"):
        list(source.entries())
    (tmp_path / "other").write_text("x")
    sources: list[Source] = [source, Directory(tmp_path / "other")]
    (tmp_path / "backups").mkdir()
    report = BackupPipeline("shop", sources, tmp_path / "backups", encryptor=None, retry=ONCE).run()
    assert report.outcome == "incomplete"


def test_an_empty_bucket_is_one_if_it_may_be(bucket: Bucket) -> None:
    with pytest.raises(SourceError, match="allow_empty=True"):
        list(bucket.source().entries())
    assert [one.path for one in entries(bucket.source(allow_empty=True))] == ["media"]


def test_a_folder_that_cannot_be_listed_is_an_error_and_not_left_out() -> None:
    """fsspec's own `find` leaves it out, and says nothing."""
    from fsspec import AbstractFileSystem
    from fsspec.implementations.memory import MemoryFileSystem

    def ls(self: Any, path: str, **options: Any) -> Any:
        if path.endswith("/a"):
            raise PermissionError(path)
        return MemoryFileSystem.ls(self, path, **options)

    fs = filled(memory(ls=ls, find=AbstractFileSystem.find), SMALL)
    assert sorted(fs.find("/media")) == ["/media/a-b", "/media/late", "/media/shop.png"]
    with pytest.raises(SourceError, match="do not allow it"):
        list(FsspecSource("memory://media", fs=fs).entries())


@pytest.mark.parametrize("deleted", [False, True])
def test_a_folder_that_is_not_found_is_empty_only_if_it_has_gone(deleted: bool) -> None:
    """A server that refuses it by that word, or mangles its name, lists it still."""
    from fsspec import AbstractFileSystem
    from fsspec.implementations.memory import MemoryFileSystem

    def ls(self: Any, path: str, **options: Any) -> Any:
        if path.endswith("/a"):
            if deleted:
                for gone in [one for one in self.store if one.startswith("/media/a/")]:
                    self.rm_file(gone)
                self.pseudo_dirs[:] = [one for one in self.pseudo_dirs if not one.startswith("/media/a")]
            raise FileNotFoundError(path)
        return MemoryFileSystem.ls(self, path, **options)

    source = FsspecSource(
        "memory://media", fs=filled(memory(ls=ls, find=AbstractFileSystem.find), SMALL), patience=0.1
    )
    if deleted:
        assert "media/a" not in {one.path for one in source.entries() if isinstance(one, Entry)}
    else:
        with pytest.raises(SourceError, match="could not be listed"):
            list(source.entries())


@pytest.mark.parametrize("body", [b"", b"<html>Log in first</html>"], ids=["nothing", "a page"])
def test_an_answer_that_is_no_list_is_not_taken_for_an_empty_bucket_or_the_end_of_one(
    bucket: Bucket, endpoint: str, body: bytes
) -> None:
    bucket.put({"a": b"1"})
    with fault_proxy(int(endpoint.rpartition(":")[2])) as proxy:
        proxy.rules.append(Rule("list-type", Answer(200, body), times=1_000_000))
        source = bucket.source(proxy, allow_empty=True, patience=0.1)
        with pytest.raises(SourceError, match="could not be listed") as caught:
            list(source.entries())
    assert caught.value.retryable


def test_an_object_that_is_denied_is_an_error_of_its_own(
    bucket: Bucket, endpoint: str, tmp_path: Path
) -> None:
    bucket.put({"a": b"1", "b": b"2", "c": b"3"})
    with fault_proxy(int(endpoint.rpartition(":")[2])) as proxy:
        proxy.rules.append(
            Rule(rf"GET /{bucket.name}/b", Answer(403, b"<Error><Code>AccessDenied</Code></Error>"))
        )
        report = BackupPipeline("shop", bucket.source(proxy), tmp_path, encryptor=None, retry=ONCE).run()
    assert report.outcome == "incomplete"
    assert [one.path for one in report.problems] == ["media/b"]
    backups = open_repository(tmp_path)
    (backup,) = backups.list().backups
    assert [one.path for one in backups.entries(backup)] == ["media", "media/a", "media/c"]


def test_an_object_that_was_deleted_since_it_was_listed_is_a_warning(tmp_path: Path) -> None:
    fs = filled(memory(), {"a": b"1", "b": b"2" * 100})
    source = FsspecSource("memory://media", fs=fs, part_size=10)
    walk = source.entries()
    listed = [one for one in walk if isinstance(one, Entry)]
    fs.rm_file("/media/b")
    with pytest.raises(SourceError, match="was deleted") as caught:
        content(listed[-1])
    assert caught.value.severity == "warning"


def test_an_object_that_is_listed_and_cannot_be_found_is_an_error_and_not_taken_for_deleted() -> None:
    """Some servers and libraries mangle names that have a #, ? or % in them."""

    def info(self: Any, path: str, **_: Any) -> Any:
        raise FileNotFoundError(path)

    source = FsspecSource("memory://media", fs=filled(memory(info=info), {"a#b": b"x"}))
    with pytest.raises(SourceError, match="not found by its name") as caught:
        content(entry(source, "media/a#b"))
    assert caught.value.severity == "error"


def test_where_a_file_is_a_folder_too_all_that_is_lost_is_told() -> None:
    """fsspec's file system in memory lists both, and opens only one of them."""
    source = in_memory({"a/b": b"2", "a": b"1"})
    assert [one.path for one in problems(source)] == ["media/a"]
    with pytest.raises(SourceError):
        content(entry(source, "media/a/b"))


def test_an_object_that_was_replaced_since_it_was_listed_is_stored_as_it_is_now() -> None:
    fs = filled(memory(), {"a": b"old", "z": b"old"})
    listed: list[Any] = []

    class Store:
        """The real one, behind which somebody writes once the listing is made."""

        def __init__(self, real: Any) -> None:
            self.real = real

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

        def find(self, prefix: str) -> Any:
            listed.extend(self.real.find(prefix))
            filled(fs, {"z": b"newer"})
            return listed

    source = FsspecSource("memory://media", fs=fs)
    store, path = source._root.store()
    source._root.store = lambda: (Store(store), path)  # type: ignore[method-assign]
    found = entry(source, "media/z")
    assert (found.size, content(found)) == (5, b"newer")


@pytest.mark.parametrize("same_size", [False, True])
def test_an_object_that_is_replaced_while_it_is_read_is_not_stored(same_size: bool) -> None:
    fs = filled(memory(), {"big": b"a" * (9 << 20)})
    source = FsspecSource("memory://media", fs=fs, part_size=1 << 20)
    chunks = entry(source, "media/big").chunks()
    next(chunks)
    filled(fs, {"big": b"b" * (9 << 20) if same_size else b"b"})
    with pytest.raises(SourceError, match="was replaced while it was read"):
        list(chunks)


def test_a_store_that_goes_away_ends_the_source_and_not_each_object_by_its_patience() -> None:
    gone = threading.Event()

    def read(path: str) -> None:
        if gone.is_set():
            raise ConnectionResetError("hunter2")

    fs = filled(memory(open=before_reading(read)), {f"{number:03}": b"x" for number in range(100)})
    walk = FsspecSource("memory://media", fs=fs, patience=0.1, at_once=2).entries()
    assert [next(walk).path, next(walk).path] == ["media", "media/000"]
    gone.set()
    with pytest.raises(SourceError, match="could not be read to its end") as caught:
        list(walk)
    assert caught.value.retryable
    assert "hunter2" not in str(caught.value)


# --- several at once -------------------------------------------------------------------------------------


def test_small_objects_are_read_at_once_so_that_latency_is_not_paid_for_each(
    bucket: Bucket, endpoint: str
) -> None:
    objects = {f"{number:03}.png": b"%d" % number for number in range(60)}
    bucket.put(objects)
    with fault_proxy(int(endpoint.rpartition(":")[2]), latency=0.025) as proxy:
        source = bucket.source(proxy, at_once=8)
        found = {one.path: content(one) for one in source.entries() if isinstance(one, Entry)}
        assert found == {"media": b"", **{f"media/{path}": given for path, given in objects.items()}}
        assert proxy.most_at_once >= 6
        assert proxy.requests("GET") <= 62


def test_what_is_read_ahead_is_bounded() -> None:
    most, now, lock = 0, 0, threading.Lock()

    def read(path: str) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)

    fs = filled(memory(open=before_reading(read)), {f"{number:03}": bytes(10) for number in range(200)})
    source = FsspecSource("memory://media", fs=fs, part_size=10, concurrency=3, at_once=16)
    for one in source.entries():
        with lock:
            now -= one.path != "media"
    assert most <= 3 + 1


def test_contents_that_nobody_asks_for_are_not_kept() -> None:
    source = in_memory(
        {f"{number:03}": bytes(1 << 20) for number in range(40)}, part_size=2 << 20, concurrency=1
    )
    gc.collect()
    before = {id(one) for one in lists_of_bytes()}  # those of other tests
    kept = entries(source)
    gc.collect()
    held = [one for one in lists_of_bytes() if id(one) not in before]
    assert sum(len(one) for given in held for one in given if type(one) is bytes) < 8 << 20
    assert all(len(content(one)) == 1 << 20 for one in kept if one.kind == "file")


def lists_of_bytes() -> list[list[bytes]]:
    return [one for one in gc.get_objects() if issubclass(type(one), list) and one and type(one[0]) is bytes]


def test_a_walk_that_is_given_up_ends_its_threads_and_waits_for_none() -> None:
    hold = threading.Event()

    def read(path: str) -> None:
        if path != "/media/000":
            hold.wait()

    fs = filled(memory(open=before_reading(read)), {f"{number:03}": b"x" for number in range(50)})
    walk = FsspecSource("memory://media", fs=fs, at_once=4).entries()
    assert [next(walk).path, next(walk).path] == ["media", "media/000"]
    walk.close()  # type: ignore[attr-defined]
    assert threads()
    hold.set()
    until = time.monotonic() + 10
    while threads() and time.monotonic() < until:
        time.sleep(0.01)
    assert threads() == []


def threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "backupkit objects"]


# --- its own destinations --------------------------------------------------------------------------------


def test_a_run_does_not_back_up_its_own_destination(bucket: Bucket, endpoint: str) -> None:
    bucket.put(SMALL)
    from backupkit import open_destination

    destination = open_destination(f"s3://{bucket.name}/backups", **options(endpoint))
    pipeline = BackupPipeline("shop", Around(bucket.source()), destination, encryptor=None)
    first, second = pipeline.run(), pipeline.run()
    assert first.entries == second.entries == len(SMALL) + 3
    assert second.outcome == "succeeded"


def test_archives_beside_what_is_backed_up_are_left_out_by_the_pipelines_name() -> None:
    fs = filled(memory(), {"a": b"1", "shop/old.zip": b"2", "backupkit/shop/mark": b"3", "other/b": b"4"})
    source = FsspecSource("memory://media", fs=fs)
    from backupkit._reading import apart_from
    from backupkit.destinations.remote import RemoteDestination

    (apart,) = apart_from([RemoteDestination("memory://media", fs=fs)], [source], "shop")
    assert paths(apart) == ["a", "other/", "other/b"]


def test_a_source_that_is_the_pipelines_own_folder_is_refused() -> None:
    pipeline = BackupPipeline(
        "shop", FsspecSource("memory://b/shop"), "memory://b", encryptor=None, retry=ONCE
    )
    with pytest.raises(ConfigurationError, match="the folder that this pipeline's archives go to"):
        pipeline.run()


def test_a_container_of_one_name_in_another_account_is_another_place() -> None:
    def account(name: str) -> dict[str, Any]:
        return {
            "connection_string": f"DefaultEndpointsProtocol=https;AccountName={name};AccountKey=aHVudGVyMg=="
        }

    destination = open_destination("abfs://media", **account("backups"))
    assert destination.location == "abfs://media?account_name=backups"
    below = [f"abfs://media/shop?account_name={name}" for name in ("backups", "shop")]
    source = FsspecSource("abfs://media", **account("shop")).without([destination.location, *below])
    assert source._left_out == ("shop/",)


def test_nothing_is_left_out_when_nobody_can_tell_whether_it_is_a_destination() -> None:
    source = FsspecSource("s3://media", endpoint_url="https://one.example")
    assert isinstance(source, ExcludesLocations)
    source.without(["s3://media/backups?endpoint_url=https://two.example"])
    with pytest.raises(ConfigurationError, match="only one of them says which service"):
        source.without(["s3://media/backups"])


# --- what is refused -------------------------------------------------------------------------------------


def test_a_folder_of_this_machine_is_one_for_a_directory() -> None:
    from fsspec.implementations.local import LocalFileSystem

    wrong: list[dict[str, Any]] = [{"url": "file:///srv"}, {"url": "/srv", "fs": LocalFileSystem()}]
    for given in wrong:
        with pytest.raises(ConfigurationError, match=r"use Directory\(path\)"):
            FsspecSource(**given)


@pytest.mark.parametrize(
    "wrong", [{"name": "a/b"}, {"name": "db-dumps"}, {"exclude": "*.log"}, {"at_once": 0}, {"at_once": True}]
)
def test_what_makes_no_sense_is_refused_when_it_is_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        FsspecSource("memory://media", **wrong)


def test_its_name_is_that_of_the_folder_or_else_of_the_bucket() -> None:
    assert FsspecSource("s3://bucket").name == "bucket"
    assert FsspecSource("s3://bucket/media/?endpoint_url=https://s3.example").name == "media"
    assert FsspecSource("sftp://me@host").name == "host"


def test_no_secret_is_shown() -> None:
    source = FsspecSource("s3://bucket", key="AKIA", secret="hunter2")
    assert "hunter2" not in repr(source) + source.location
