from __future__ import annotations

import multiprocessing
import signal
import ssl
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from upath import UPath
from webdav4.fsspec import WebdavFileSystem

from backupkit.destinations.opening import open_destination
from backupkit.destinations.remote import RemoteDestination
from backupkit.errors import AccessDeniedError, ConfigurationError, DestinationError, ObjectExistsError
from backupkit.protocols import Destination
from backupkit.testing.destinations import CONTENT, DestinationTests
from tests.destinations.faults import outcome_of
from tests.fault_proxy import Answer, FaultProxy, Rule, Wrong, fault_proxy
from tests.storage.certificates import self_signed
from tests.storage.wsgidav import PASSWORD, WebDAVServer, webdav_server

MiB = 1 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDAVServer]:
    with webdav_server(tmp_path_factory.mktemp("webdav")) as server:
        yield server


class TestWebDAV(DestinationTests):
    @pytest.fixture
    def destination(self, server: WebDAVServer) -> Destination:
        return open_destination(server.url(f"backups/{uuid.uuid4().hex}"), password=PASSWORD)

    @pytest.fixture
    def secrets(self) -> Sequence[str]:
        return (PASSWORD,)


@pytest.fixture
def direct(server: WebDAVServer) -> RemoteDestination:
    destination = open_destination(server.url(uuid.uuid4().hex), password=PASSWORD)
    assert isinstance(destination, RemoteDestination)
    return destination


@pytest.fixture
def proxy(server: WebDAVServer) -> Iterator[FaultProxy]:
    with fault_proxy(server.port) as proxy:
        yield proxy


@pytest.fixture
def through(direct: RemoteDestination, server: WebDAVServer, proxy: FaultProxy) -> Destination:
    """The same folder through the proxy, impatiently."""
    folder = direct.location.rpartition("/")[2]
    return open_destination(
        server.url(folder, port=proxy.port), password=PASSWORD, time_limit=1.0, patience=1.5
    )


BUSY, FULL, EXPIRED, DENIED = Answer(503), Answer(507), Answer(401), Answer(403)


FAULTS = [
    (Rule("PROPFIND", BUSY, times=2), "stored"),
    (Rule("PUT", BUSY), "DestinationError (retryable)"),
    (Rule("PUT", "reset"), "DestinationError (retryable)"),
    (Rule("PUT", "cut", after=MiB), "DestinationError (retryable)"),
    (Rule("PUT", "stall sending", after=MiB), "DestinationError (retryable)"),
    (Rule("PUT", "stall answer"), "DestinationError (retryable)"),
    (Rule("PUT", "lose answer"), "DestinationError (retryable)"),
    (Rule("PUT", FULL), "DestinationError"),
    (Rule("PUT", EXPIRED), "AccessDeniedError"),
    (Rule("PUT", DENIED), "AccessDeniedError"),
    (Rule("MOVE", BUSY), "DestinationError (retryable)"),
    (Rule("MOVE", "reset"), "DestinationError (retryable)"),
    (Rule("MOVE", "lose answer"), "stored"),
    (Rule("MOVE", "stall answer"), "DestinationError (retryable)"),
    (Rule("MOVE", EXPIRED), "AccessDeniedError"),
]


@pytest.mark.parametrize(
    ("rule", "outcome", "overwrite"),
    [(*fault, False) for fault in FAULTS] + [(*fault, True) for fault in FAULTS if fault[0].match == "MOVE"],
    ids=lambda value: f"{value.match} {value.wrong}" if isinstance(value, Rule) else None,
)
def test_after_a_fault_the_object_is_right_or_what_it_was(
    direct: RemoteDestination,
    through: Destination,
    proxy: FaultProxy,
    rule: Rule,
    outcome: str,
    overwrite: bool,
) -> None:
    if overwrite:
        direct.write("shop/object", [b"old"])
    proxy.rules = [replace(rule)]
    content = b"new" * 4 * MiB
    found = outcome_of(lambda: through.write("shop/object", [content], overwrite=overwrite))
    assert proxy.befell(), "nothing went wrong"
    assert found == outcome
    kept = [b"".join(direct.read(one.name)) for one in direct.list()]
    assert kept == ([content] if found == "stored" else [b"old"] if overwrite else [])
    if rule.wrong != "cut":  # then the server may still be at it when it is told to delete it
        assert [*direct.leftovers()] == []


def test_when_nobody_answers_after_the_move_the_outcome_is_unknown(
    direct: RemoteDestination, through: Destination, proxy: FaultProxy
) -> None:
    proxy.rules = [Rule("MOVE", "lose answer"), Rule("", "reset", times=1_000_000, skip=1_000)]

    def chunks() -> Iterator[bytes]:
        yield b"content"
        proxy.rules = [Rule("MOVE", "lose answer"), Rule("PROPFIND", "reset", times=1_000_000, skip=2)]

    assert outcome_of(lambda: through.write("object", chunks())) == "unknown"
    assert b"".join(direct.read("object")) == b"content"


@pytest.mark.parametrize(
    ("rule", "outcome"),
    [
        (Rule("GET", BUSY, times=2), "stored"),
        (Rule("GET", "reset"), "stored"),
        (Rule("GET", "truncate", after=100_000, times=3), "stored"),
        (Rule("GET", "stall answer"), "stored"),
        (Rule("GET", "stall answer", times=1_000_000), "DestinationError (retryable)"),
        (Rule("GET", EXPIRED), "AccessDeniedError"),
    ],
    ids=lambda value: f"{value.match} {value.wrong}" if isinstance(value, Rule) else None,
)
def test_what_is_read_after_a_fault_is_right_or_an_error(
    direct: RemoteDestination, through: Destination, proxy: FaultProxy, rule: Rule, outcome: str
) -> None:
    content = CONTENT[: 2 * MiB]
    direct.write("object", [content])
    proxy.rules = [replace(rule)]

    def read() -> None:
        assert b"".join(through.read("object", start=1)) == content[1:]

    assert outcome_of(read) == outcome
    assert proxy.befell(), "nothing went wrong"


@pytest.mark.parametrize("wrong", ["truncate", "reset", EXPIRED])
def test_a_listing_that_fails_is_never_short(
    direct: RemoteDestination, through: Destination, proxy: FaultProxy, wrong: Wrong
) -> None:
    for name in ("a/1", "b/2", "c/3"):
        direct.write(name, [b"content"])
    proxy.rules = [Rule("PROPFIND .*/b", wrong, times=1_000_000, after=200)]
    outcome = outcome_of(lambda: [*through.list()])
    assert outcome.startswith(("DestinationError", "AccessDeniedError"))
    proxy.rules = []
    assert [one.name for one in through.list()] == ["a/1", "b/2", "c/3"]


def test_an_object_replaced_while_it_is_read_is_never_mixed(
    direct: RemoteDestination, through: Destination, proxy: FaultProxy
) -> None:
    direct.write("object", [b"a" * 4 * MiB])
    proxy.rules = [Rule("GET", "truncate", after=2 * MiB)]
    read = through.read("object")
    next(read)
    direct.write("object", [b"b" * 4 * MiB], overwrite=True)
    with pytest.raises(DestinationError, match="replaced while it was read"):
        b"".join(read)


def test_nothing_is_kept_on_this_machine_while_it_is_sent(
    direct: RemoteDestination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def chunks() -> Iterator[bytes]:
        for _ in range(8):
            yield b"x" * MiB
            assert [*tmp_path.iterdir()] == []

    direct.write("object", chunks())


def test_what_is_unfinished_is_a_leftover_that_can_be_discarded(
    direct: RemoteDestination, server: WebDAVServer
) -> None:
    direct.write("shop/object", [b"content"])
    folder = server.folder / direct.location.rpartition("/")[2] / "shop"
    (folder / ".lost.0123456789abcdef.partial").write_bytes(b"half")
    assert [one.name for one in direct.list()] == ["shop/object"]
    (leftover,) = direct.leftovers()
    assert (leftover.name, leftover.size) == ("shop/lost#0123456789abcdef", 4)
    direct.discard(leftover)
    direct.discard(leftover)
    assert [one.name for one in folder.iterdir()] == ["object"]


def test_a_wrong_password_is_said_to_be_wrong(server: WebDAVServer) -> None:
    with pytest.raises(AccessDeniedError, match="credentials are missing, wrong"):
        open_destination(server.url("shop"), password="wrong").write("object", [b"content"])


def test_user_and_password_may_stand_in_fsspecs_environment(
    server: WebDAVServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.config import conf

    monkeypatch.setitem(conf, "webdav", {"password": PASSWORD})
    destination = open_destination(server.url(uuid.uuid4().hex))
    destination.write("object", [b"content"])


def test_fsspecs_way_to_name_a_folder_works_too(server: WebDAVServer) -> None:
    options: Any = {"base_url": f"http://127.0.0.1:{server.port}", "auth": ("backup", PASSWORD)}
    folder = uuid.uuid4().hex
    named = open_destination(f"webdav://{folder}/shop", **options)
    assert named.location == f"webdav+http://127.0.0.1:{server.port}/{folder}/shop"
    named.write("object", [b"content"])
    in_url = f"webdav://{folder}/shop?base_url={options['base_url']}"
    assert b"".join(open_destination(in_url, auth=options["auth"]).read("object")) == b"content"
    ready = open_destination(f"{folder}/shop", fs=WebdavFileSystem(**options))
    assert b"".join(ready.read("object")) == b"content"
    path = UPath(f"webdav+http://127.0.0.1:{server.port}/{folder}/shop", auth=("backup", PASSWORD))
    assert b"".join(open_destination(path).read("object")) == b"content"


def test_plain_http_is_refused_unless_it_is_asked_for() -> None:
    assert open_destination("webdav://me@dav.example/b").location == "webdav://me@dav.example/b"
    assert open_destination("webdav+https://me:hunter2@dav.example/b").location == "webdav://me@dav.example/b"
    with pytest.raises(ConfigurationError, match="reached by HTTP, which anybody on the way can read"):
        open_destination("webdav+http://dav.example/b")
    with pytest.raises(ConfigurationError, match="reached by HTTP"):
        open_destination("webdav://b", base_url="http://dav.example")
    open_destination("webdav+http://dav.example/b", allow_plaintext=True)


def test_a_certificate_that_nobody_vouches_for_is_refused(server: WebDAVServer, tmp_path: Path) -> None:
    made = self_signed(tmp_path)
    with fault_proxy(server.port, tls=made.context) as proxy:
        url = f"webdav://backup@127.0.0.1:{proxy.port}/{uuid.uuid4().hex}"
        with pytest.raises(DestinationError, match="certificate or host key could not be verified") as caught:
            open_destination(url, password=PASSWORD).write("object", [b"content"])
        assert not caught.value.retryable
        trusting = ssl.create_default_context(cafile=made.certificate)
        assert [*open_destination(url, password=PASSWORD, verify=trusting).list()] == []


def test_a_forked_process_has_a_connection_of_its_own(direct: RemoteDestination) -> None:
    direct.write("one", [b"of the parent"])
    child = multiprocessing.get_context("fork").Process(target=direct.write, args=("two", [b"of the child"]))
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert [one.name for one in direct.list()] == ["one", "two"]


PROGRAM = """
import os, sys, threading, time
from backupkit.destinations.opening import open_destination

url, password, do = sys.argv[1:]
destination = open_destination(url, password=password)

def chunks():
    yield b"x" * (1 << 18)
    yield b""
    print("under way", flush=True)
    while True:
        yield b"x" * (1 << 20)
        time.sleep(0.01)

if do == "end":
    threading.Thread(target=destination.write, args=("shop/object", chunks()), daemon=True).start()
    time.sleep(1)
else:
    destination.write("shop/object", chunks())
"""


def _process(url: str, do: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, url, PASSWORD, do],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_killed_process_leaves_nothing_but_a_leftover(
    direct: RemoteDestination, server: WebDAVServer
) -> None:
    with _process(server.url(direct.location.rpartition("/")[2]), "write") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "under way\n"
        process.kill()
    assert [*direct.list()] == []
    for leftover in direct.leftovers():
        direct.discard(leftover)
    assert [*direct.leftovers()] == []


@pytest.mark.timeout(60)
def test_ctrl_c_ends_a_write_to_a_server_that_has_stopped_at_once(
    direct: RemoteDestination, server: WebDAVServer, proxy: FaultProxy
) -> None:
    proxy.rules = [Rule("PUT|DELETE", "stall sending", times=1_000)]
    with _process(server.url(direct.location.rpartition("/")[2], port=proxy.port), "write") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "under way\n"
        process.send_signal(signal.SIGINT)
        try:
            _, errors = process.communicate(timeout=20)  # the time limit would be sixty seconds
        finally:
            process.kill()
    assert errors.rstrip().endswith("KeyboardInterrupt"), errors


@pytest.mark.timeout(60)
def test_a_process_may_end_while_a_write_is_under_way(
    direct: RemoteDestination, server: WebDAVServer
) -> None:
    with _process(server.url(direct.location.rpartition("/")[2]), "end") as process:
        try:
            _, errors = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, errors) == (0, "")


def test_a_folder_is_never_replaced_by_an_object(direct: RemoteDestination) -> None:
    """A server that is told to overwrite puts the file in the place of the folder and all that is in it."""
    direct.write("folder/object", [b"content"])
    with pytest.raises(ObjectExistsError):
        direct.write("folder", [b"other"], overwrite=True)
    assert b"".join(direct.read("folder/object")) == b"content"


def test_the_root_of_a_server_lists_as_any_folder_does(
    direct: RemoteDestination, server: WebDAVServer
) -> None:
    direct.write("object", [b"content"])
    folder = direct.location.rpartition("/")[2]
    root = open_destination(server.url(""), password=PASSWORD)
    assert f"{folder}/object" in [one.name for one in root.list()]
    assert [one.name for one in root.list(folder)] == [f"{folder}/object"]


@pytest.mark.parametrize(
    "answer", [Answer(200, b"<html/>"), Answer(207, b"<html/>"), Answer(207, b"<br>")], ids=repr
)
def test_a_page_in_place_of_an_answer_is_an_error_and_no_empty_folder(
    direct: RemoteDestination, server: WebDAVServer, proxy: FaultProxy, answer: Answer
) -> None:
    direct.write("object", [b"content"])
    url = server.url(direct.location.rpartition("/")[2], port=proxy.port)
    through = open_destination(url, password=PASSWORD, patience=0.1)
    calls: Sequence[Callable[[], object]] = (
        lambda: [*through.list()],
        lambda: through.stat("object"),
        lambda: through.write("new", [b"content"]),
    )
    for call in calls:
        proxy.rules = [Rule("PROPFIND", answer, times=1_000)]
        with pytest.raises(DestinationError, match="as if a login page or a proxy answered") as caught:
            call()
        assert caught.value.retryable
