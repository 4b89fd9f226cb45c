from __future__ import annotations

import copy
import logging
import pickle
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backupkit.destinations.opening import open_destination, within
from backupkit.errors import BackupKitError, ConfigurationError, DestinationError
from backupkit.filesystems.addresses import below, place_within
from backupkit.filesystems.roots import Root

SECRET = "hunter2-correct-horse"

SCHEMES = [
    "s3",
    "s3a",
    "gs",
    "gcs",
    "abfs",
    "az",
    "sftp",
    "ssh",
    "smb",
    "ftp",
    "webdav",
    "memory",
    "http",
    "https",
]
WORD = st.text(st.characters(codec="utf-8", exclude_characters="/"), max_size=8)


@st.composite
def urls(draw: st.DrawFn) -> str:
    """What somebody might write, with a secret in one of the places where secrets stand."""
    scheme = draw(st.sampled_from(SCHEMES))
    user, host, path = draw(WORD), draw(WORD), draw(st.lists(WORD, max_size=3))
    query = draw(
        st.sampled_from(["", "?endpoint_url=https://s3.example", "?x=", "?endpoint_url=http://[", "?"])
    )
    secret = draw(st.sampled_from(["password", "key", "setting", "value", "nowhere"]))
    users = {"password": f"{user}:{SECRET}@", "key": f"{SECRET}:{user}@"}
    before = users.get(secret) or draw(st.sampled_from(["", "me@"]))
    after = {
        "setting": f"?{SECRET}=1",
        "value": draw(
            st.sampled_from([f"?secret={SECRET}", f"?endpoint_url=https://key:{SECRET}@s3.example"])
        ),
    }.get(secret, query)
    return f"{scheme}://{before}{host}/{'/'.join(path)}{after}"


@given(urls())
@example("sftp://[/x")
@example("http://[::1/")
@example(f"ftp://me:{SECRET}@files.example/x")
def test_no_secret_of_a_url_is_in_any_message_and_every_error_is_ours(url: str) -> None:
    shown, context = told_of(url)
    if not url.partition("://")[2].startswith(
        SECRET
    ):  # the name of a user is no secret where there can be one
        assert SECRET not in shown
        assert SECRET not in context


def told_of(url: str) -> tuple[str, str]:
    try:
        root = Root(url)
    except (BackupKitError, ModuleNotFoundError) as error:
        return str(error), str(error.__context__)
    return f"{root!r} {root.location}", ""


@given(st.text() | st.builds(lambda scheme, rest: f"{scheme}://{rest}", st.sampled_from(SCHEMES), st.text()))
def test_any_text_is_a_folder_or_one_of_our_errors(text: str) -> None:
    try:
        root = Root(text)
    except (BackupKitError, ModuleNotFoundError):
        return
    assert root.location.isprintable()
    assert Root(root.location).location == root.location


@given(urls())
def test_a_location_opens_the_same_place_again(url: str) -> None:
    try:
        destination = open_destination(url)
    except (BackupKitError, ModuleNotFoundError):
        return
    assert open_destination(destination.location).location == destination.location


@pytest.mark.parametrize(
    ("url", "options", "location"),
    [
        ("s3://bucket/shop/", {}, "s3://bucket/shop"),
        ("S3A://bucket", {}, "s3://bucket"),
        ("s3://b?endpoint_url=https://s3.example:9000", {}, "s3://b?endpoint_url=https://s3.example:9000"),
        ("s3://b", {"endpoint_url": "https://s3.example"}, "s3://b?endpoint_url=https://s3.example"),
        (
            "s3://b",
            {"client_kwargs": {"endpoint_url": "https://s3.example"}},
            "s3://b?endpoint_url=https://s3.example",
        ),
        ("s3://b?profile=a", {"profile": "b"}, "s3://b?profile=b"),
        ("abfs://box/x", {"account_name": "shop", "account_key": SECRET}, "abfs://box/x?account_name=shop"),
        ("sftp://me:hunter2@host:2222/srv", {}, "sftp://me@host:2222/srv"),
        ("s3://b/a#b", {"storage_options": {"profile": "x"}}, "s3://b/a#b?profile=x"),
    ],
)
def test_a_location_has_what_tells_one_service_from_another_and_no_secret(
    url: str, options: dict[str, Any], location: str
) -> None:
    assert Root(url, **options).location == location


def test_two_destinations_that_differ_in_their_endpoint_alone_are_two() -> None:
    from backupkit.destinations.opening import open_destinations

    two = open_destinations(
        [open_destination("s3://b", endpoint_url=f"https://{one}.example") for one in "ab"]
    )
    assert len({one.location for one in two}) == 2
    with pytest.raises(ConfigurationError, match="named twice"):
        open_destinations(["s3://b", "s3://b/"])


@pytest.mark.parametrize(
    ("url", "options", "why"),
    [
        ("s3://", {}, "a bucket or container first"),
        ("sftp:///srv", {}, "a host first"),
        ("s3://b/../c", {}, "as a folder"),
        ("s3://b", {"endpoint_url": f"https://key:{SECRET}@s3.example"}, "no place for credentials"),
        ("s3://b", {"endpoint_url": "http://s3.example"}, "anybody on the way"),
        ("s3://b", {"storage_options": SECRET}, "no mapping"),
        ("s3://b", {"storage_options": {"secret": SECRET}, "secret": SECRET}, "Given twice"),
        ("zip://x.zip::s3://b", {}, "fs="),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(url: str, options: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why) as caught:
        Root(url, **options)
    assert SECRET not in str(caught.value)


def test_options_may_be_given_one_by_one_or_as_fsspecs_users_do() -> None:
    one = Root("s3://b", key="k", secret=SECRET, part_size=5 << 20)
    other = Root("s3://b", storage_options={"key": "k", "secret": SECRET, "part_size": 5 << 20})
    assert one._options == other._options == {"key": "k", "secret": SECRET}
    assert one.transfer == other.transfer


# --- a ready file system, and paths of universal_pathlib -------------------------------------------------


def memory(**options: Any) -> Any:
    from fsspec.implementations.memory import MemoryFileSystem

    return MemoryFileSystem(skip_instance_cache=True, **options)


def test_a_ready_file_system_is_used_as_it_is_with_its_path_or_url() -> None:
    fs = memory()
    for url in ("memory://media/x", "/media/x", "media/x"):
        store, path = Root(url, fs=fs).store()
        assert path == "/media/x"
        assert store.fs is fs  # type: ignore[attr-defined]


def test_a_ready_file_system_tells_its_place_too() -> None:
    from s3fs import S3FileSystem

    fs = S3FileSystem(key="k", secret=SECRET, endpoint_url="https://s3.example", skip_instance_cache=True)
    root = Root("bucket/media", fs=fs)
    assert root.location == "s3://bucket/media?endpoint_url=https://s3.example"
    above = root.within()
    assert above
    assert (above[0].location, above[1]) == ("s3://bucket?endpoint_url=https://s3.example", "media")


@pytest.mark.parametrize(
    ("url", "options", "why"),
    [
        ("s3://b", {}, "of another"),
        ("memory://b", {"secret": SECRET}, "options for one"),
    ],
)
def test_a_ready_file_system_that_does_not_fit_is_refused(
    url: str, options: dict[str, Any], why: str
) -> None:
    with pytest.raises(ConfigurationError, match=why) as caught:
        Root(url, fs=memory(), **options)
    assert SECRET not in str(caught.value)


def test_a_file_system_that_works_only_inside_a_loop_is_refused() -> None:
    from s3fs import S3FileSystem

    with pytest.raises(ConfigurationError, match="asynchronous=True"):
        Root("s3://b", fs=S3FileSystem(asynchronous=True, skip_instance_cache=True))


def test_a_file_system_of_which_only_fsspec_knows_may_be_given_ready() -> None:
    from fsspec.implementations.dirfs import DirFileSystem

    fs = memory()
    fs.makedirs("/sub", exist_ok=True)
    destination = open_destination("dir://shop", fs=DirFileSystem("/sub", fs))
    destination.write("a", [b"x"])
    assert fs.cat_file("/sub/shop/a") == b"x"
    assert [one.name for one in destination.list()] == ["a"]


def test_a_upath_is_a_url_with_options() -> None:
    from upath import UPath

    path = UPath("s3://bucket/shop", key="k", secret=SECRET, endpoint_url="https://s3.example")
    assert Root(path).location == "s3://bucket/shop?endpoint_url=https://s3.example"
    assert open_destination(path).location == Root(path).location


# --- connecting ------------------------------------------------------------------------------------------


def stalling(hold: threading.Event) -> str:
    """The protocol of a file system that connects when it is made, to somebody who never answers."""
    import fsspec
    from fsspec.implementations.memory import MemoryFileSystem

    def connect(self: Any, **options: Any) -> None:
        hold.wait()
        MemoryFileSystem.__init__(self, **options)

    kind = type("Stalling", (MemoryFileSystem,), {"protocol": "stalling", "__init__": connect})
    fsspec.register_implementation("stalling", kind, clobber=True)
    return "stalling"


@pytest.fixture
def hold() -> Iterator[threading.Event]:
    hold = threading.Event()
    yield hold
    hold.set()


def test_a_connection_that_stalls_ends_at_the_time_limit_for_every_thread(hold: threading.Event) -> None:
    destination = open_destination(f"{stalling(hold)}://x", time_limit=0.1, patience=0.1)
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            destination.stat("a")
        except DestinationError as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(errors) == 4
    assert all("did not answer in time" in str(error) for error in errors)
    hold.set()
    assert list(destination.list()) == []  # and once it answers, all is well


def test_threads_share_one_connection() -> None:
    root = Root("memory://shared")
    stores: list[Any] = []
    threads = [threading.Thread(target=lambda: stores.append(root.store()[0])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(store) for store in stores}) == 1


# --- secrets ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("store", [pickle.dumps, copy.deepcopy])
def test_it_is_not_pickled_and_the_refusal_shows_nothing(store: Callable[[object], object]) -> None:
    for one in (Root("s3://b", secret=SECRET), open_destination("s3://b", secret=SECRET)):
        with pytest.raises(TypeError, match="make it where it is used") as caught:
            store(one)
        assert SECRET not in str(caught.value)


def test_no_log_and_no_traceback_of_a_failure_has_the_secret(caplog: pytest.LogCaptureFixture) -> None:
    """The libraries' own records included, at their most talkative."""
    from tests.storage.moto import moto, new_bucket

    with moto() as endpoint, caplog.at_level(logging.DEBUG):
        bucket = new_bucket(endpoint)
        destination = open_destination(f"s3://{bucket}/x", key="any", secret=SECRET, endpoint_url=endpoint)
        destination.write("a", [b"x"])
        assert b"".join(destination.read("a")) == b"x"
        with pytest.raises(DestinationError) as caught:
            destination.stat("not-there")
    records = "\n".join(f"{one.getMessage()} {vars(one)}" for one in caplog.records)
    assert "botocore" in records
    assert SECRET not in records
    assert SECRET not in "".join(traceback.format_exception(caught.value))


# --- places ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outer", "inner", "place"),
    [
        ("s3://b", "s3://b", ""),
        ("s3://b", "s3://b/x/y", "x/y"),
        ("s3://b/x", "s3://b", None),
        ("s3://b/x", "s3://b/xy", None),
        ("s3://b", "gs://b/x", None),
        ("s3://b?endpoint_url=https://a", "s3://b/x?endpoint_url=https://b", None),
        ("s3://b?endpoint_url=https://a/", "s3://b/x?endpoint_url=https://a", "x"),
        ("s3://b?profile=one", "s3://b/x?profile=two", "x"),
        ("sftp://me@host/srv", "sftp://you@HOST/srv/x", "x"),
        ("abfs://box@shop.dfs.core.windows.net", "abfs://box/x?account_name=shop", "x"),
        ("memory://", "memory://x", "x"),
    ],
)
def test_whether_one_place_lies_within_another(outer: str, inner: str, place: str | None) -> None:
    assert place_within(outer, inner) == place


def test_a_place_below_a_location_keeps_its_settings() -> None:
    assert below("s3://b/?endpoint_url=https://a", "shop") == "s3://b/shop?endpoint_url=https://a"


@pytest.mark.parametrize("url", ["s3://b", "sftp://host", "memory://"])
def test_there_is_nothing_above_a_bucket_or_host(url: str) -> None:
    assert within(open_destination(url)) is None


def test_the_folder_above_is_reached_in_the_same_way() -> None:
    found = within(open_destination("sftp://me:hunter2@host/srv/shop", known_hosts="x"))
    assert found
    assert (found[0].location, found[1]) == ("sftp://me@host/srv", "shop")
    assert "hunter2" in found[0]._root._url  # type: ignore[attr-defined]
