"""Dropbox for users of fsspec, over a server of our own."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import fsspec
import pytest
from fsspec.config import conf, set_conf_env

from backupkit.errors import ConfigurationError
from backupkit.filesystems.dropbox.file_system import DropboxFileSystem
from tests.storage.dropboxes import Reached, reached_dropbox
from tests.storage.fake_dropbox import Token

MiB = 1 << 20
LARGE = b"".join(number.to_bytes(8, "big") for number in range(5 * MiB // 8)) + b"end"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reached]:
    with reached_dropbox(tmp_path_factory.mktemp("dropbox")) as reached:
        yield reached


@pytest.fixture
def dropbox(running: Reached) -> Reached:
    return Reached(running.server, running.certificate, running.options)


@pytest.fixture
def fs(dropbox: Reached) -> DropboxFileSystem:
    return dropbox.file_system(patience=2)


@pytest.fixture
def at(dropbox: Reached) -> Callable[[str], str]:
    return lambda name: f"{dropbox.folder}/{name}"


@pytest.mark.parametrize("content", [b"", b"small", LARGE], ids=["empty", "small", "large"])
def test_what_was_written_is_read_back(
    fs: DropboxFileSystem, at: Callable[[str], str], content: bytes
) -> None:
    with fs.open(at("a/file"), "wb", block_size=MiB) as file:
        file.write(content)
        assert not fs.exists(at("a/file"))
    assert fs.cat_file(at("a/file")) == content
    assert fs.info(at("a/file"))["size"] == len(content)
    with fs.open(at("a/file"), "rb", block_size=MiB) as file:
        assert file.read() == content


def test_a_url_is_all_that_fsspec_needs(dropbox: Reached, at: Callable[[str], str]) -> None:
    options = {"token": "TOKEN", **dropbox.options}
    for url in (f"dropbox://{at('file')}", f"dropbox:/{at('file')}"):
        with fsspec.open(url, "wb", **options) as file:
            file.write(b"content")
        with fsspec.open(url, "rb", **options) as file:
            assert file.read() == b"content"
    assert [*dropbox.server.contents()].count(at("file")) == 1


@pytest.mark.parametrize("written", [b"small", LARGE], ids=["small", "large"])
def test_an_exception_in_the_body_leaves_the_file_as_it_was(
    fs: DropboxFileSystem, at: Callable[[str], str], written: bytes
) -> None:
    fs.pipe_file(at("old"), b"old")
    for name in ("new", "old"):
        with pytest.raises(KeyError):
            _fail_after(fs, at(name), written)
    assert fs.ls(at(""), detail=False) == [at("old")]
    assert fs.cat_file(at("old")) == b"old"


def _fail_after(fs: DropboxFileSystem, path: str, content: bytes) -> None:
    with fs.open(path, "wb", block_size=MiB) as file:
        file.write(content)
        raise KeyError


def test_a_file_that_was_forgotten_is_not_there(fs: DropboxFileSystem, at: Callable[[str], str]) -> None:
    file = fs.open(at("file"), "wb")
    file.write(b"half of it")
    del file
    assert not fs.exists(at("file"))


def test_a_file_that_waits_for_its_commit_is_not_there_before(
    fs: DropboxFileSystem, at: Callable[[str], str]
) -> None:
    for finish in ("commit", "discard"):
        file = fs.open(at(finish), "wb", autocommit=False)
        file.write(b"content")
        file.close()
        assert not fs.exists(at(finish))
        getattr(file, finish)()
        assert fs.exists(at(finish)) == (finish == "commit")


def test_a_file_that_may_only_be_new_is_not_replaced(fs: DropboxFileSystem, at: Callable[[str], str]) -> None:
    fs.pipe_file(at("file"), b"old")
    for content in (b"new", b"old"):
        with pytest.raises(FileExistsError):
            fs.pipe_file(at("file"), content, mode="create")
    assert fs.cat_file(at("file")) == b"old"


@pytest.mark.parametrize(
    ("start", "end"), [(None, None), (0, 3), (4, None), (-3, None), (None, -2), (2, 2), (5, 99), (99, 100)]
)
def test_a_range_is_what_a_slice_would_be(
    fs: DropboxFileSystem, at: Callable[[str], str], start: int | None, end: int | None
) -> None:
    fs.pipe_file(at("file"), b"0123456789")
    assert fs.cat_file(at("file"), start=start, end=end) == b"0123456789"[start:end]


def test_an_open_file_is_read_as_it_was_when_it_was_opened(
    fs: DropboxFileSystem, at: Callable[[str], str]
) -> None:
    fs.pipe_file(at("file"), LARGE)
    with fs.open(at("file"), "rb", block_size=MiB) as file:
        begun = file.read(10)
        fs.pipe_file(at("file"), b"replaced")
        assert begun + file.read() == LARGE


def test_folders_are_listed_found_and_spelled_as_in_dropbox(
    fs: DropboxFileSystem, at: Callable[[str], str], dropbox: Reached
) -> None:
    dropbox.server.page = 2  # so that there are several
    for name in ("A/B/c.zip", "A/d.zip", "e.zip"):
        fs.pipe_file(at(name), name.encode())
    try:
        assert fs.ls(at(""), detail=False) == [at("A"), at("e.zip")]
        assert fs.ls(at("e.zip"), detail=False) == [at("e.zip")]
        assert fs.find(at("")) == [at("A/B/c.zip"), at("A/d.zip"), at("e.zip")]
        assert fs.find(at("a/")) == [at("A/B/c.zip"), at("A/d.zip")]
        assert fs.find(at(""), maxdepth=1, withdirs=True) == [at("")[:-1], at("A"), at("e.zip")]
        assert fs.find(at("missing")) == []
        assert fs.glob(at("**/*.zip")) == [at("A/B/c.zip"), at("A/d.zip"), at("e.zip")]
        assert [folders for _, folders, _ in fs.walk(at(""))] == [["A"], ["B"], []]
    finally:
        dropbox.server.page = 2000
    with pytest.raises(FileNotFoundError):
        fs.ls(at("missing"))


def test_folders_are_made_and_removed(fs: DropboxFileSystem, at: Callable[[str], str]) -> None:
    fs.makedirs(at("a/b"))
    fs.makedirs(at("a/b"), exist_ok=True)
    for again in (fs.makedirs, fs.mkdir):
        with pytest.raises(FileExistsError):
            again(at("a/b"))
    fs.pipe_file(at("a/b/file"), b"content")
    with pytest.raises(OSError, match="not empty"):
        fs.rmdir(at("a/b"))
    with pytest.raises(IsADirectoryError):
        fs.rm_file(at("a/b"))
    with pytest.raises(IsADirectoryError):
        fs.rm(at("a"))
    assert fs.isdir(at("a"))
    fs.rm(at("a"), recursive=True)
    assert not fs.exists(at("a"))
    fs.mkdir(at("c"))
    fs.rmdir(at("c"))
    assert fs.find(at(""), withdirs=True) == [at("")[:-1]]


def test_files_are_moved_copied_and_removed(fs: DropboxFileSystem, at: Callable[[str], str]) -> None:
    fs.pipe_file(at("one"), b"1")
    fs.mv(at("one"), at("a/two"))
    fs.cp_file(at("a/two"), at("three"))
    assert fs.find(at("")) == [at("a/two"), at("three")]
    with pytest.raises(FileExistsError):
        fs.mv(at("three"), at("a/two"))
    fs.rm(at("three"))
    for gone in (fs.rm, fs.rm_file, fs.info, fs.cat_file):
        with pytest.raises(FileNotFoundError):
            gone(at("three"))


def test_the_environment_may_have_the_credentials(
    dropbox: Reached, at: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(conf, "dropbox", {})
    set_conf_env(
        conf,
        {"FSSPEC_DROPBOX_OAUTH2_REFRESH_TOKEN": "REFRESH", "FSSPEC_DROPBOX_APP_KEY": "APP-KEY"},
    )
    fs = DropboxFileSystem(**dropbox.options, skip_instance_cache=True)
    fs.pipe_file(at("file"), b"content")
    assert fs.cat_file(at("file")) == b"content"


def test_without_credentials_it_says_what_to_give() -> None:
    with pytest.raises(ConfigurationError, match="Dropbox needs credentials: give oauth2_refresh_token= and"):
        DropboxFileSystem(skip_instance_cache=True)
    with pytest.raises(ConfigurationError, match="needs app_key= of the app"):
        DropboxFileSystem(oauth2_refresh_token="REFRESH", skip_instance_cache=True)


def test_secrets_are_in_nothing_that_is_stored_or_printed(dropbox: Reached) -> None:
    secrets: dict[str, Any] = {
        "token": "S-1",
        "oauth2_access_token": "S-2",
        "oauth2_refresh_token": "S-3",
        "app_secret": "S-4",
        "proxies": {"https": "http://user:S-5@127.0.0.1:1"},
    }
    fs = DropboxFileSystem(**secrets, app_key="APP-KEY", skip_instance_cache=True)
    shown = [repr(fs), str(fs), fs.to_json(), json.dumps(fs.to_dict(include_password=True))]
    shown += [repr(pickle.dumps(fs)), repr(fs._access), repr(fs.open("/x", "wb"))]
    assert not [text for text in shown if "S-" in text]
    assert all("APP-KEY" in text for text in shown[2:6])


def test_a_pickle_is_read_where_the_credentials_are(
    dropbox: Reached, at: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pickled = pickle.dumps(dropbox.file_system())
    with pytest.raises(ConfigurationError, match="Dropbox needs credentials"):
        pickle.loads(pickled)
    monkeypatch.setitem(conf, "dropbox", {"token": "TOKEN", "proxies": dropbox.options["proxies"]})
    copy = pickle.loads(pickled)
    copy.pipe_file(at("file"), b"content")
    assert copy.cat_file(at("file")) == b"content"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"token": "wrong"}, PermissionError),
        ({"token": "EXPIRED"}, PermissionError),
        ({"token": "READER"}, PermissionError),
        ({"namespace_id": "2"}, FileNotFoundError),
        ({"team_member_id": "dbmid:theirs"}, PermissionError),
        ({"ca_certs": None}, OSError),
        ({"proxies": {"https": "http://127.0.0.1:1"}}, ConnectionError),
    ],
    ids=["wrong", "expired", "scope", "namespace", "member", "certificate", "unreachable"],
)
def test_what_goes_wrong_is_the_os_error_that_users_of_fsspec_expect(
    dropbox: Reached, at: Callable[[str], str], options: dict[str, str], error: type[OSError]
) -> None:
    dropbox.server.tokens["EXPIRED"] = Token(expired=True)
    dropbox.server.tokens["READER"] = Token(scopes=frozenset({"files.metadata.read"}))
    fs = dropbox.file_system(patience=0.2, **options)
    with pytest.raises(error) as caught:
        fs.pipe_file(at("file"), b"content")
    assert isinstance(caught.value.errno, int)
    assert caught.value.filename == at("file")


def test_a_namespace_and_a_member_of_a_team_can_be_chosen(dropbox: Reached, at: Callable[[str], str]) -> None:
    fs = dropbox.file_system(namespace_id="1", team_member_id="dbmid:ours")
    fs.pipe_file(at("file"), b"content")
    assert fs.cat_file(at("file")) == b"content"


def test_a_file_is_never_appended_to(fs: DropboxFileSystem, at: Callable[[str], str]) -> None:
    with pytest.raises(NotImplementedError, match="cannot be appended to"):
        fs.open(at("file"), "ab")
