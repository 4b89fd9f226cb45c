"""Downloads by the page: the very bytes, any range of them, and never a short file that looks whole."""

from __future__ import annotations

import asyncio
import http.client
import random
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from backupkit import Backup, BackupPipeline, Directory, Entry, IntegrityError, Store, Zip
from backupkit.integrations.asgi.pages.downloads import Pieces, disposition, range_of
from backupkit.protocols import Format
from tests.integrations.asgi.stored import PASSPHRASE, SNAPSHOTS, Counting, Given, page_of, pipeline_of
from tests.integrations.asgi.visitor import Browser

SIZE = 1_300_000
CONTENT = random.Random(1).randbytes(SIZE)


class Shop:
    """A backup with a large file and a small one in one of the formats, and its page."""

    def __init__(self, tmp_path: Path, format_: Format) -> None:
        entries = [
            Entry(path="app/large file.bin", size=SIZE, chunks=lambda: iter([CONTENT])),
            Entry(path="app/small", size=5, chunks=lambda: iter([b"small"])),
            Entry(path="app/none", size=0, chunks=lambda: iter([])),
            Entry(path="app/link", kind="symlink", target="small"),
        ]
        self.destination = Counting()
        self.pipeline: BackupPipeline = pipeline_of(
            Given("app", entries), self.destination, encryptor=PASSPHRASE, format=format_
        )
        self.pipeline.run()
        self.backup: Backup = self.pipeline.get()
        self.browser: Browser = page_of(self.pipeline, tmp_path)

    def address(self, what: str, path: str = "") -> str:
        return f"/pipelines/shop/backups/{self.backup.id}/{what}?at={self.backup.location}&path={path}"

    @property
    def large(self) -> str:
        return self.address("file", "app/large%20file.bin")

    def archive(self) -> bytes:
        [content] = [one for name, one in self.destination.objects.items() if name.endswith(".zip")]
        return content


@pytest.fixture(scope="module", params=[Zip(), SNAPSHOTS], ids=["archive", "snapshot"])
def shop_in(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(tmp_path_factory.mktemp("shop"), request.param)


@pytest.fixture(scope="module")
def archived(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(tmp_path_factory.mktemp("shop"), Zip())


def test_a_file_comes_as_it_was_with_what_a_browser_needs_to_save_it(shop_in: Shop) -> None:
    answer = shop_in.browser.get(shop_in.large)
    assert answer.content == CONTENT
    assert answer.headers["content-length"] == str(SIZE)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["accept-ranges"] == "bytes"
    assert (
        answer.headers["content-disposition"]
        == "attachment; filename=\"large file.bin\"; filename*=UTF-8''large%20file.bin"
    )
    assert shop_in.browser.get(shop_in.address("file", "app/none")).content == b""


def test_an_archive_comes_as_it_is_stored(archived: Shop) -> None:
    answer = archived.browser.get(archived.address("archive"))
    assert answer.content == archived.archive()
    assert answer.headers["content-length"] == str(len(archived.archive()))
    assert f'filename="{archived.backup.id}.zip"' in answer.headers["content-disposition"]


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("0-0", 0, 1),
        ("5-100", 5, 101),
        ("-7", SIZE - 7, SIZE),
        (f"{SIZE - 3}-{SIZE * 2}", SIZE - 3, SIZE),
        ("700000-", 700_000, SIZE),
    ],
)
def test_a_range_is_the_same_bytes_as_in_the_whole(shop_in: Shop, asked: str, start: int, stop: int) -> None:
    answer = shop_in.browser.get(shop_in.large, range=f"bytes={asked}")
    assert answer.status_code == 206
    assert answer.content == CONTENT[start:stop]
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{SIZE}"
    assert answer.headers["content-length"] == str(stop - start)


@settings(max_examples=30, deadline=None)
@given(start=st.integers(0, SIZE - 1), length=st.integers(1, 200_000))
def test_any_range_of_an_archive_is_the_slice_of_it(archived: Shop, start: int, length: int) -> None:
    whole = archived.archive()
    start %= len(whole)
    answer = archived.browser.get(archived.address("archive"), range=f"bytes={start}-{start + length - 1}")
    assert answer.status_code == 206
    assert answer.content == whole[start : start + length]


@given(size=st.integers(0, 30), first=st.none() | st.integers(0, 40), last=st.none() | st.integers(0, 40))
def test_what_a_range_means_is_what_a_slice_does(size: int, first: int | None, last: int | None) -> None:
    whole = bytes(range(size))
    asked = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    if first is None:
        expected = b"" if not last else whole[-last:]
    else:
        expected = whole[first:] if last is None else whole[first : last + 1]
    understood = (first, last) != (None, None) and not (
        first is not None and last is not None and last < first
    )
    if not understood:
        assert range_of(asked, size) is None
    elif not expected:
        with pytest.raises(HTTPException) as raised:
            range_of(asked, size)
        assert raised.value.status_code == 416
    else:
        found = range_of(asked, size)
        assert found is not None
        assert whole[slice(*found)] == expected


@pytest.mark.parametrize(
    "asked", ["", "bytes=", "bytes=-", "bytes=0-1,4-5", "lines=0-1", "bytes=a-b", "bytes=٣-٤", "bytes=5-2"]
)
def test_a_range_that_is_not_understood_is_the_whole(archived: Shop, asked: str) -> None:
    answer = archived.browser.client.get(
        archived.address("file", "app/small"), headers={b"range": asked.encode()}
    )
    assert (answer.status_code, answer.content) == (200, b"small")


def test_a_range_behind_the_end_is_refused_with_the_size(archived: Shop) -> None:
    answer = archived.browser.get(archived.address("file", "app/small"), range="bytes=5-")
    assert answer.status_code == 416
    assert answer.headers["content-range"] == "bytes */5"


def test_a_range_of_something_else_than_was_begun_is_the_whole(archived: Shop) -> None:
    address = archived.address("file", "app/small")
    tag = archived.browser.get(address).headers["etag"]
    other = archived.browser.get(archived.large).headers["etag"]
    part = {"range": "bytes=1-2"}
    assert archived.browser.get(address, **part, **{"if-range": tag}).content == b"ma"
    for wrong in (other, f"W/{tag}", "Wed, 21 Oct 2015 07:28:00 GMT"):
        answer = archived.browser.get(address, **part, **{"if-range": wrong})
        assert (answer.status_code, answer.content) == (200, b"small")


def test_a_snapshot_is_no_archive_and_a_link_no_file(shop_in: Shop) -> None:
    answer = shop_in.browser.get(shop_in.address("archive"))
    if shop_in.backup.shared:
        assert answer.status_code == 400
        assert "is no file of its own" in answer.text
    link = shop_in.browser.get(shop_in.address("file", "app/link"))
    assert link.status_code == 404
    for path in ("app", "nothing", "", "../app/small"):
        assert shop_in.browser.get(shop_in.address("file", path)).status_code == 404


def test_who_downloads_what_is_noted_once_however_many_pieces_it_comes_in(tmp_path: Path) -> None:
    shop = Shop(tmp_path, Zip())
    for asked in ("bytes=0-9", "bytes=10-19", "bytes=20-"):
        shop.browser.get(shop.large, range=asked)
        shop.browser.get(shop.address("archive"), range=asked)
    shop.browser.client.head(shop.address("file", "app/small"))
    noted = shop.browser.manager.page.audit.noted(None, None, limit=10, skip=0)
    assert [one.what.get("path") for one in noted] == [None, "app/large file.bin"]


@pytest.mark.parametrize(
    ("name", "plain", "encoded"),
    [
        ("a.txt", "a.txt", "a.txt"),
        ('q"u\\o%.txt', "q_u_o_.txt", "q%22u_o%25.txt"),
        ("Übung 한.zip", "_bung _.zip", "%C3%9Cbung%20%ED%95%9C.zip"),
        ("a\r\nX-Evil: 1", "a__X-Evil_ 1", "a__X-Evil%3A%201"),
        ("\udcff\u202egpj", "__gpj", "%EF%BF%BD_gpj"),
    ],
)
def test_a_name_of_any_bytes_is_one_that_a_header_can_hold(name: str, plain: str, encoded: str) -> None:
    assert disposition(name) == f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"
    disposition(name).encode("ascii")


@contextmanager
def served(browser: Browser) -> Iterator[int]:
    """The port at which a real server has the page."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(browser.manager, log_level="critical", lifespan="off"))
        thread = threading.Thread(target=asyncio.run, args=(server.serve([listening]),))
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def asked(port: int, address: str) -> Iterator[http.client.HTTPResponse]:
    """What is answered there, over a connection of its own."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", address)
        with connection.getresponse() as answer:
            yield answer


@pytest.fixture(scope="module")
def port(archived: Shop) -> Iterator[int]:
    with served(archived.browser) as found:
        yield found


def test_a_head_says_what_would_come_and_reads_nothing(archived: Shop, port: int) -> None:
    archived.browser.get(archived.large)
    archived.destination.reads.clear()
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        for _ in range(2):  # the second answer shows that nothing followed the first one
            connection.request("HEAD", archived.large)
            with connection.getresponse() as answer:
                assert (answer.status, answer.headers["content-length"]) == (200, str(SIZE))
                assert answer.read() == b""
    assert archived.destination.reads == []


def until(holds: Callable[[], bool]) -> None:
    for _ in range(1000):
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come to that")


def test_curl_goes_on_where_it_was_interrupted(archived: Shop, port: int, tmp_path: Path) -> None:
    file = tmp_path / "archive.zip"
    file.write_bytes(archived.archive()[:500_001])
    address = f"http://127.0.0.1:{port}{archived.address('archive')}"
    archived.destination.reads.clear()
    subprocess.run(["curl", "-sSf", "-C", "-", "-o", file, address], check=True, timeout=60)
    assert file.read_bytes() == archived.archive()


def test_several_are_sent_at_once(archived: Shop, port: int) -> None:
    def fetch(address: str) -> bytes:
        with asked(port, address) as answer:
            return answer.read()

    with ThreadPoolExecutor(8) as executor:
        found = [*executor.map(fetch, [archived.large, archived.address("archive")] * 4)]
    assert found == [CONTENT, archived.archive()] * 4


def test_when_somebody_leaves_everything_is_closed(tmp_path: Path) -> None:
    entry = Entry(path="large", chunks=lambda: iter([CONTENT] * 20))
    destination = Counting()
    pipeline = pipeline_of(Given("app", [entry]), destination, compressor=Store())
    pipeline.run()
    backup = pipeline.get()
    browser = page_of(pipeline, tmp_path)
    with served(browser) as port:
        for what in ("archive?", "file?path=large"):
            browser.get("/backups")
            began = len(destination.reads) - destination.closed
            with asked(port, f"/pipelines/shop/backups/{backup.id}/{what}") as answer:
                assert len(answer.read(100_000)) == 100_000
            until(lambda began=began: len(destination.reads) - destination.closed == began)  # type: ignore[misc]


def damaged(tmp_path: Path, format_: Format, size: int, *, at: float) -> tuple[Browser, str]:
    """A page, and the address of a file of this size, of which a byte is another one."""
    tree = tmp_path / "app"
    tree.mkdir()
    (tree / "big").write_bytes(random.Random(2).randbytes(size))
    destination = Counting()
    pipeline = pipeline_of(
        Directory(tree), destination, encryptor=PASSPHRASE, format=format_, compressor=Store()
    )
    pipeline.run()
    backup = pipeline.get()
    largest = max(destination.objects, key=lambda name: len(destination.objects[name]))
    content = bytearray(destination.objects[largest])
    content[int(len(content) * at)] ^= 1
    destination.objects[largest] = bytes(content)
    path = "app/big" if isinstance(format_, Zip) else f"{str(tree).strip('/')}/big"
    return page_of(pipeline, tmp_path), f"/pipelines/shop/backups/{backup.id}/file?path={path}"


@pytest.mark.parametrize("format_", [Zip(), SNAPSHOTS], ids=["archive", "snapshot"])
def test_what_is_damaged_never_looks_whole(tmp_path: Path, format_: Format) -> None:
    browser, address = damaged(tmp_path, format_, 20 << 20, at=0.9)
    with served(browser) as port:
        with asked(port, address) as answer:
            # Blobs of a snapshot stand in no order, and any may be as large as to be the first one.
            if answer.status != 502 or isinstance(format_, Zip):
                assert answer.status == 200
                with pytest.raises((http.client.IncompleteRead, ConnectionError)):
                    answer.read()
        curl = ["curl", "-sf", "--http1.0", "-o", str(tmp_path / "file"), f"http://127.0.0.1:{port}{address}"]
        ended = subprocess.run(curl, timeout=60)
        assert ended.returncode == (22 if answer.status == 502 else 18)  # refused, or cut off


def test_what_is_damaged_at_its_beginning_is_a_sentence(tmp_path: Path) -> None:
    browser, address = damaged(tmp_path, SNAPSHOTS, 300_000, at=0.5)  # which is one blob
    answer = browser.get(address)
    assert answer.status_code == 502
    assert "authentication code does not fit" in answer.text


def test_what_has_no_known_size_is_not_ended_properly_if_it_is_damaged(archived: Shop) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"some"
        raise IntegrityError("it is damaged", where="x")

    pieces = Pieces(chunks)
    pieces.begin()
    assert pieces.pull() == b"some"
    for _ in range(2):
        with pytest.raises(IntegrityError):
            pieces.pull()
    pieces.leave()


def test_what_somebody_has_left_is_closed_as_soon_as_its_piece_has_come() -> None:
    go, closed, began = threading.Event(), threading.Event(), threading.Event()

    def chunks() -> Iterator[bytes]:
        try:
            began.set()
            go.wait(60)
            yield b"late"
            yield b"never"
        finally:
            closed.set()

    pieces = Pieces(chunks)
    thread = threading.Thread(target=pieces.pull)
    thread.start()
    began.wait(60)
    pieces.leave()
    assert not closed.is_set()
    go.set()
    thread.join()
    assert closed.is_set()
    assert pieces.pull() is None
