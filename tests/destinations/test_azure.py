"""Azure Blob Storage, as Azurite plays it."""

from __future__ import annotations

import re
import traceback
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import md5
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest
from azure.storage.blob import BlobServiceClient, ContainerSasPermissions, generate_container_sas

from backupkit.destinations.opening import open_destination
from backupkit.errors import (
    AccessDeniedError,
    ConfigurationError,
    DestinationError,
    ObjectExistsError,
    ObjectNotFoundError,
)
from backupkit.filesystems import azure
from backupkit.filesystems.roots import Root
from backupkit.filesystems.stores import HasAddress
from backupkit.protocols import Destination
from backupkit.testing.destinations import DestinationTests
from tests.destinations.processes import Place, ProcessTests
from tests.fault_proxy import Answer, Rule, fault_proxy
from tests.servers import free_port
from tests.storage.azurite import ACCOUNT, KEY, Azurite, azurite, connection_string

KiB = 1 << 10
MiB = 1 << 20


@pytest.fixture(scope="module")
def server() -> Iterator[Azurite]:
    with azurite() as server:
        yield server


class TestAzure(DestinationTests):
    @pytest.fixture
    def destination(self, server: Azurite) -> Destination:
        return open_destination(
            f"abfs://{server.container()}/shop",
            connection_string=server.connection_string,
            part_size=256 * KiB,
        )

    @pytest.fixture
    def secrets(self) -> Sequence[str]:
        return [KEY]


class TestProcessesOnAzure(ProcessTests):
    @pytest.fixture
    def place(self, server: Azurite) -> Iterator[Place]:
        with fault_proxy(server.port) as proxy:
            yield Place(
                url=f"abfs://{server.container()}/shop",
                options={"connection_string": server.connection_string},
                proxied={"connection_string": connection_string(proxy.port)},
                proxy=proxy,
                part=r"^PUT .*comp=block&",
            )


def _at(server: Azurite, container: str, port: int | None = None, **options: Any) -> Destination:
    given = {"part_size": 256 * KiB, "patience": 2, **options}
    if "account_name" not in given:
        given.setdefault("connection_string", connection_string(port or server.port))
    return open_destination(f"abfs://{container}/shop", **given)


def _chunks(count: int, then: Callable[[], object] = lambda: None) -> Iterator[bytes]:
    """So many KiB, none like another, and then something happens; a last byte follows."""
    for number in range(count):
        yield number.to_bytes(2, "big") * 512
    then()
    yield b"."


def test_others_can_read_it_and_compare_its_md5(server: Azurite) -> None:
    container = server.container()
    _at(server, container).write("object", _chunks(1024))
    with BlobServiceClient.from_connection_string(server.connection_string) as service:
        found = service.get_blob_client(container, "shop/object").download_blob()
        content = found.readall()
        assert content == b"".join(_chunks(1024))
        assert found.properties.content_settings.content_md5 == bytearray(
            md5(content, usedforsecurity=False).digest()
        )


def test_a_block_that_is_changed_on_its_way_is_not_taken(
    server: Azurite, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def spoilt(block: bytes) -> AsyncIterator[bytes]:
        yield b"?" + block[1:]

    monkeypatch.setattr(azure, "slices", spoilt)
    destination = _at(server, server.container())
    with pytest.raises(DestinationError):
        destination.write("object", [b"content"])
    assert [*destination.list()] == []


def test_an_object_that_comes_meanwhile_stays(server: Azurite) -> None:
    container = server.container()
    destination, other = _at(server, container), _at(server, container)
    with pytest.raises(DestinationError):
        destination.write("object", _chunks(1024, lambda: other.write("object", [b"other"])))
    with pytest.raises(ObjectExistsError):
        destination.write("small", _chunks(1, lambda: other.write("small", [b"other"])))
    assert b"".join(destination.read("object")) == b"".join(destination.read("small")) == b"other"


def test_an_object_that_is_replaced_while_it_is_read_is_an_error(server: Azurite) -> None:
    destination = _at(server, server.container(), concurrency=1)
    destination.write("object", _chunks(8 * 1024))
    chunks = destination.read("object")
    next(chunks)
    destination.write("object", [b"new"], overwrite=True)
    with pytest.raises(DestinationError, match="replaced while it was read") as caught:
        list(chunks)
    assert caught.value.retryable


def test_a_listing_is_one_request_for_each_page(server: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(azure, "_PAGE", 2)
    container = server.container()
    for number in range(5):
        _at(server, container).write(f"object-{number}", [b""])
    with fault_proxy(server.port) as proxy:
        listed = [one.name for one in _at(server, container, proxy.port).list()]
        assert len(proxy.seen) == 3
    assert listed == [f"object-{number}" for number in range(5)]


def test_folders_of_accounts_that_have_such_are_no_objects(server: Azurite) -> None:
    container = server.container()
    with BlobServiceClient.from_connection_string(server.connection_string) as service:
        blob = service.get_blob_client(container, "shop/folder")
        blob.upload_blob(b"", metadata={"hdi_isfolder": "true"})
    destination = _at(server, container)
    destination.write("folder/object", [b"content"])
    assert [one.name for one in destination.list()] == ["folder/object"]
    with pytest.raises(ObjectNotFoundError):
        destination.stat("folder")


def test_what_may_not_be_repeated_is_asked_once_and_what_may_by_us_only(server: Azurite) -> None:
    with fault_proxy(server.port) as proxy:
        proxy.rules = [Rule("", Answer(403), times=1000)]
        with pytest.raises(AccessDeniedError):
            _at(server, server.container(), proxy.port).stat("object")
        assert len(proxy.seen) == 1
        proxy.rules = [Rule("", Answer(500), times=1000)]
        with pytest.raises(DestinationError):
            _at(server, server.container(), proxy.port, patience=0.000_001).stat("object")
        assert len(proxy.seen) == 2


def test_a_missing_container_is_said_to_be_missing(server: Azurite) -> None:
    for call in (lambda one: one.write("object", [b""]), lambda one: list(one.list())):
        with pytest.raises(DestinationError, match="bucket, container or folder does not exist"):
            call(_at(server, "no-such-container"))


def test_a_wrong_key_is_refused_and_not_shown(server: Azurite) -> None:
    key = b64encode(b"not the key").decode()
    destination = _at(server, server.container(), connection_string=connection_string(server.port, key=key))
    with pytest.raises(AccessDeniedError) as caught:
        destination.write("object", [b""])
    assert key not in "".join(traceback.format_exception(caught.value)) + repr(destination)


def test_a_sas_that_may_read_write_and_list_is_enough_and_is_denied_to_delete(server: Azurite) -> None:
    container = server.container()
    token = generate_container_sas(
        ACCOUNT,
        container,
        account_key=KEY,
        permission=ContainerSasPermissions(read=True, write=True, list=True),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    endpoint = f"http://127.0.0.1:{server.port}/{ACCOUNT}"
    destination = _at(
        server, container, connection_string=f"BlobEndpoint={endpoint};SharedAccessSignature={token}"
    )
    destination.write("object", _chunks(1024))
    with pytest.raises(AccessDeniedError) as caught:
        destination.delete("object")
    signature = parse_qs(token)["sig"][0]
    shown = "".join(traceback.format_exception(caught.value)) + repr(destination)
    assert signature not in unquote(shown)


@pytest.mark.timeout(30)
def test_where_nobody_listens_is_said_within_the_patience(server: Azurite) -> None:
    destination = _at(server, "backups", free_port(), patience=1)
    with pytest.raises(DestinationError, match="could not be reached") as caught:
        destination.stat("object")
    assert caught.value.retryable


@pytest.mark.parametrize("by", ["option", "environment"])
def test_plain_http_to_another_machine_is_refused(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = f"AccountName=shop;AccountKey={KEY};BlobEndpoint=http://storage.example/shop"
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", given)
    options = {"connection_string": given} if by == "option" else {}
    destination = open_destination("abfs://backups/shop", **options)
    with pytest.raises(ConfigurationError, match="allow_plaintext") as caught:
        destination.stat("object")
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("abfs://backups@shop.dfs.core.windows.net/folder", {"account_key": KEY}),
        ("abfss://backups@shop.dfs.core.windows.net/folder", {"sas_token": "sv=2026-01-01&sig=s3cret"}),
        ("abfs://backups/folder?account_name=shop", {"account_key": KEY}),
        ("az://backups/folder", {"account_name": "shop", "anon": True}),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_an_account_may_be_named_as_azures_users_do(url: str, options: dict[str, Any]) -> None:
    root = Root(url, **options)
    store, folder = root.store()
    assert isinstance(store, HasAddress)
    assert (store.address, folder) == ("https://shop.blob.core.windows.net", "backups/folder")
    assert not re.search("s3cret|" + re.escape(KEY), f"{root!r} {root.location}")


@pytest.mark.parametrize("options", [{}, {"connection_string": "AccountKey=s3cret"}], ids=["none", "broken"])
def test_an_account_that_nobody_named_is_asked_for(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ACCOUNT_NAME", "CONNECTION_STRING"):
        monkeypatch.delenv(f"AZURE_STORAGE_{name}", raising=False)
    with pytest.raises(ConfigurationError, match="account_name=") as caught:
        open_destination("abfs://backups/shop", anon=True, **options).stat("object")
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))
