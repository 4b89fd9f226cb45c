"""Dropbox as a destination, held against a server of our own over TLS."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from upath import UPath

from backupkit import BackupPipeline, Directory, KeepLast
from backupkit.destinations.opening import open_destination
from backupkit.errors import (
    AccessDeniedError,
    ConfigurationError,
    DestinationError,
    ObjectExistsError,
    ObjectNotFoundError,
)
from backupkit.protocols import Destination
from backupkit.testing.destinations import DestinationTests
from tests.storage.dropboxes import Reached, reached_dropbox
from tests.storage.fake_dropbox import FakeDropbox, Token

MiB = 1 << 20
APPEND = "files/upload_session/append_v2"
LARGE = b"".join(number.to_bytes(8, "big") for number in range(10 * MiB // 8)) + b"end"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reached]:
    with reached_dropbox(tmp_path_factory.mktemp("dropbox")) as reached:
        yield reached


@pytest.fixture
def dropbox(running: Reached) -> Iterator[Reached]:
    """The server as it was, and a folder that nobody has used."""
    server = running.server
    server.seen.clear()
    server.sessions.clear()
    yield Reached(server, running.certificate, running.options)
    fresh = FakeDropbox()
    server.tokens, server.refresh_tokens = fresh.tokens, fresh.refresh_tokens
    server.quota, server.page, server.before = fresh.quota, fresh.page, fresh.before
    server.files_first = fresh.files_first


class TestDropbox(DestinationTests):
    @pytest.fixture
    def destination(self, dropbox: Reached) -> Destination:
        return dropbox.destination()

    @pytest.fixture
    def secrets(self) -> Sequence[str]:
        return ["TOKEN"]


class TestDropboxInParts(DestinationTests):
    """Where each object of more than a mebibyte is sent by a session, one part after the other."""

    @pytest.fixture
    def destination(self, dropbox: Reached) -> Destination:
        return dropbox.destination(part_size=1 << 20, concurrency=1)


def _pieces(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), MiB):
        yield content[start : start + MiB]


def _names(destination: Destination) -> Sequence[str]:
    return [stored.name for stored in destination.list()]


@pytest.mark.parametrize("size", [4 * MiB, 4 * MiB + 1, 8 * MiB, len(LARGE)])
def test_an_object_of_parts_is_what_was_sent(dropbox: Reached, size: int) -> None:
    destination = dropbox.destination(part_size=4 * MiB)
    destination.write("large", _pieces(LARGE[:size]))
    assert b"".join(destination.read("large")) == LARGE[:size]
    assert dropbox.server.asked(APPEND) == (0 if size == 4 * MiB else -(-size // (4 * MiB)))
    assert not dropbox.server.sessions


def test_several_parts_are_under_way_at_once(dropbox: Reached) -> None:
    together = threading.Barrier(2)
    waited: list[int] = []

    def before(route: str) -> None:
        if route == APPEND and len(waited) < 2:
            waited.append(together.wait(60))

    dropbox.server.before = before
    dropbox.destination(part_size=4 * MiB, concurrency=2).write("large", _pieces(LARGE))
    assert len(waited) == 2


def test_a_list_is_one_call_for_each_page(dropbox: Reached) -> None:
    destination = dropbox.destination()
    for number in range(5):
        destination.write(f"shop/{number}", [b"content"])
    dropbox.server.page = 3  # of eight: the folders are listed too
    dropbox.server.seen.clear()
    assert _names(destination) == [f"shop/{number}" for number in range(5)]
    assert [route for route, _ in dropbox.server.seen] == [
        "files/list_folder",
        "files/list_folder/continue",
        "files/list_folder/continue",
    ]


def test_a_list_may_have_a_folder_after_what_is_in_it(dropbox: Reached) -> None:
    destination = dropbox.destination()
    for name in ("Shop/a/1", "Shop/2"):
        destination.write(name, [b"content"])
    dropbox.server.files_first = True
    assert _names(destination) == ["Shop/2", "Shop/a/1"]


@pytest.mark.filterwarnings("ignore:UPath 'dropbox' filesystem not explicitly implemented")
def test_a_ready_file_system_and_a_upath_lead_to_the_same_place(dropbox: Reached) -> None:
    dropbox.destination().write("object", [b"content"])
    places = [
        open_destination(dropbox.folder, fs=dropbox.file_system()),
        open_destination(UPath(dropbox.url, token="TOKEN", **dropbox.options)),
    ]
    for place in places:
        assert b"".join(place.read("object")) == b"content"
        assert "TOKEN" not in f"{place.location} {place!r}"


def test_options_win_over_the_environment(dropbox: Reached, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    destination = dropbox.destination()
    destination.write("object", [b"content"])
    assert _names(destination) == ["object"]


@pytest.mark.parametrize(
    ("route", "size", "requests", "again"),
    [(APPEND, 8 * MiB, 2, False), ("files/upload", 8, 1, True)],
    ids=["large", "small"],
)
def test_only_a_request_that_moves_much_may_take_longer_than_the_limit(
    dropbox: Reached, route: str, size: int, requests: int, again: bool
) -> None:
    """The first answer takes twice the limit: a part of 4 MiB has time for it, and a small object is sent again."""
    asked: list[str] = []

    def before(one: str) -> None:
        if one == route:
            asked.append(one)
            if len(asked) == 1:
                threading.Event().wait(1.4)

    dropbox.server.before = before
    destination = dropbox.destination(part_size=4 * MiB, concurrency=1, time_limit=0.7, slowest=MiB)
    destination.write("object", _pieces(LARGE[:size]))
    assert (len(asked) > requests) == again


def test_an_object_that_is_replaced_while_it_is_read_is_read_as_it_was(dropbox: Reached) -> None:
    destination = dropbox.destination(concurrency=1)
    destination.write("large", _pieces(LARGE))
    chunks = destination.read("large")
    begun = next(chunks)
    destination.write("large", [b"new"], overwrite=True)
    assert begun + b"".join(chunks) == LARGE


@pytest.mark.parametrize("content", [b"small", LARGE], ids=["small", "large"])
def test_a_full_account_keeps_what_it_had(dropbox: Reached, content: bytes) -> None:
    destination = dropbox.destination(part_size=4 * MiB)
    destination.write("old", [b"old"])
    dropbox.server.quota = dropbox.server.used + 1
    for name, overwrite in (("old", True), ("new", False)):
        with pytest.raises(DestinationError, match="the store is full, or its quota used up") as caught:
            destination.write(name, _pieces(content), overwrite=overwrite)
        assert not caught.value.retryable
    assert _names(destination) == ["old"]
    assert b"".join(destination.read("old")) == b"old"


@pytest.mark.parametrize("route", [APPEND, "files/upload_session/finish"], ids=["part", "end"])
def test_an_upload_whose_session_is_lost_may_be_tried_again(dropbox: Reached, route: str) -> None:
    def before(one: str) -> None:
        if one == route:
            dropbox.server.sessions.clear()

    dropbox.server.before = before
    with pytest.raises(DestinationError) as caught:
        dropbox.destination(part_size=4 * MiB, concurrency=1).write("large", _pieces(LARGE))
    assert caught.value.retryable
    assert _names(dropbox.destination()) == []


def test_a_token_that_expires_in_the_middle_is_renewed(dropbox: Reached) -> None:
    destination = dropbox.destination(
        token=None, oauth2_refresh_token="REFRESH", app_key="APP-KEY", part_size=4 * MiB
    )

    def chunks() -> Iterator[bytes]:
        for number, piece in enumerate(_pieces(LARGE)):
            if number == 9:
                for token in dropbox.server.tokens.values():
                    token.expired = True
            yield piece

    destination.write("large", chunks())
    assert b"".join(destination.read("large")) == LARGE
    assert dropbox.server.asked("oauth2/token") >= 2


@pytest.mark.parametrize(
    ("credentials", "why"),
    [
        ({"token": "EXPIRED"}, "the credentials are missing, wrong or have expired"),
        ({"token": "WRONG"}, "the credentials are missing, wrong or have expired"),
        (
            {"token": None, "oauth2_refresh_token": "REVOKED", "app_key": "APP-KEY"},
            "the credentials are missing, wrong or have expired",
        ),
        ({"token": "READER"}, "these credentials do not allow it"),
    ],
    ids=["expired", "wrong", "revoked", "scope"],
)
def test_credentials_that_do_not_do_are_refused_at_once_and_not_shown(
    dropbox: Reached, credentials: dict[str, str], why: str
) -> None:
    dropbox.server.tokens["EXPIRED"] = Token(expired=True)
    dropbox.server.tokens["READER"] = Token(scopes=frozenset({"files.metadata.read"}))
    with pytest.raises(AccessDeniedError, match=why) as caught:
        dropbox.destination(**credentials).write("object", [b"content"])
    shown = "".join(traceback.format_exception(caught.value))
    assert not [secret for secret in ("EXPIRED", "WRONG", "REVOKED", "READER") if f"'{secret}" in shown]


def test_a_server_whose_certificate_nobody_vouches_for_is_not_spoken_to(dropbox: Reached) -> None:
    destination = dropbox.destination(ca_certs=None)
    with pytest.raises(DestinationError, match="its certificate or host key could not be verified") as caught:
        destination.write("object", [b"content"])
    assert not caught.value.retryable
    assert not dropbox.server.seen


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("other", ["shop/OBJECT", "Shop/object", "SHOP/new"])
def test_a_name_that_differs_only_in_case_is_refused_before_anything_is_sent(
    dropbox: Reached, other: str, overwrite: bool
) -> None:
    destination = dropbox.destination()
    destination.write("shop/object", [b"first"])
    pulled: list[bytes] = []

    def chunks() -> Iterator[bytes]:
        pulled.append(b"second")
        yield pulled[0]

    with pytest.raises(
        ConfigurationError, match=r"Dropbox has .* and takes .* for the same name, since they"
    ):
        destination.write(other, chunks(), overwrite=overwrite)
    assert not pulled
    assert _names(dropbox.destination()) == ["shop/object"]


@pytest.mark.parametrize("content", [b"small", LARGE], ids=["small", "large"])
@pytest.mark.parametrize("theirs", ["Shop/theirs", "Shop/ours", "shop/OURS"])
def test_of_two_that_make_a_name_at_one_moment_which_differs_in_case_only_one_stays(
    dropbox: Reached, theirs: str, content: bytes
) -> None:
    def chunks() -> Iterator[bytes]:
        dropbox.destination().write(theirs, [content])
        yield content

    with pytest.raises((ConfigurationError, ObjectExistsError)):
        dropbox.destination(part_size=4 * MiB).write("shop/ours", chunks())
    assert _names(dropbox.destination()) == [theirs]


@pytest.mark.parametrize(
    ("route", "size"), [(APPEND, len(LARGE)), ("files/upload", 8)], ids=["large", "small"]
)
def test_every_request_says_what_must_arrive(dropbox: Reached, route: str, size: int) -> None:
    dropbox.destination(part_size=4 * MiB).write("object", _pieces(LARGE[:size]))
    said = [argument.get("content_hash") for one, argument in dropbox.server.seen if one == route]
    assert said
    assert all(said)


def test_an_object_that_another_one_stored_meanwhile_stays_and_is_not_ours(dropbox: Reached) -> None:
    destination = dropbox.destination()

    def chunks() -> Iterator[bytes]:
        destination.write("object", [b"theirs"])
        yield b"ours!!"

    with pytest.raises(ObjectExistsError):
        destination.write("object", chunks())
    assert b"".join(destination.read("object")) == b"theirs"


def test_a_url_that_spells_the_folder_in_another_way_says_so(dropbox: Reached) -> None:
    Reached(
        dropbox.server, dropbox.certificate, dropbox.options, f"{dropbox.folder}/Shop"
    ).destination().write("object", [b"content"])
    other = Reached(
        dropbox.server, dropbox.certificate, dropbox.options, f"{dropbox.folder}/shop"
    ).destination()
    asks: Sequence[Callable[[], object]] = [
        lambda: [*other.list()],
        lambda: other.stat("object"),
        lambda: [*other.read("object")],
        lambda: other.delete("object"),
    ]
    for ask in asks:
        with pytest.raises(
            ConfigurationError, match="Dropbox has 'Shop', and takes 'shop' for the same name"
        ):
            ask()


def test_an_object_in_another_spelling_is_never_read_or_deleted(dropbox: Reached) -> None:
    destination = dropbox.destination()
    destination.write("object", [b"content"])
    for ask in (destination.stat, lambda name: [*destination.read(name)], destination.delete):
        with pytest.raises(ObjectNotFoundError):
            ask("Object")
    assert _names(destination) == ["object"]


def test_the_whole_account_may_be_the_place(dropbox: Reached) -> None:
    root = Reached(dropbox.server, dropbox.certificate, dropbox.options, "/").destination()
    name = f"{dropbox.folder[1:]}/object"
    root.write(name, [b"content"])
    assert name in _names(root)
    above = dropbox.destination().within()
    assert above is not None
    assert above[1] == dropbox.folder[1:]
    assert b"".join(above[0].read(name)) == b"content"


def test_a_pipeline_lives_there(dropbox: Reached, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "large").write_bytes(LARGE)
    pipeline = BackupPipeline(
        "shop",
        Directory(tmp_path / "shop"),
        dropbox.destination(part_size=4 * MiB),
        encryptor=None,
        compressor="store",
        retention=KeepLast(1),
    )
    for _ in range(2):
        assert pipeline.run().outcome == "succeeded"
    assert pipeline.verify().outcome == "succeeded"
    assert pipeline.clean().outcome == "succeeded"
    (backup,) = pipeline.list().backups
    assert backup.verified is not None
    assert pipeline.restore(to=tmp_path / "restored").outcome == "succeeded"
    assert (tmp_path / "restored" / "shop" / "large").read_bytes() == LARGE
