"""The S3 store before Ceph's gateway: `./dev test -s ceph` runs this, the default run does not."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from backupkit import open_destination
from backupkit.errors import AccessDeniedError, DestinationError, ObjectExistsError
from backupkit.protocols import Destination, HasLeftovers
from backupkit.testing.destinations import DestinationTests
from tests.storage.ceph import Ceph, ceph

pytestmark = pytest.mark.ceph

MiB = 1 << 20
PART = 5 * MiB  # the least that S3 takes
LARGE = os.urandom(2 * PART + MiB)


@pytest.fixture(scope="module")
def gateway() -> Iterator[Ceph]:
    with ceph() as running:
        running.make_bucket("backups")
        yield running


@pytest.fixture(params=["http", "https"])
def options(request: pytest.FixtureRequest, gateway: Ceph) -> dict[str, Any]:
    return _options(gateway, request.param)


def _options(gateway: Ceph, scheme: str, *, who: tuple[str, str] | None = None) -> dict[str, Any]:
    key, secret = who or gateway.admin
    return {
        "key": key,
        "secret": secret,
        "endpoint_url": gateway.http if scheme == "http" else gateway.https,
        "client_kwargs": {"verify": str(gateway.authority)},
        "part_size": PART,
    }


@pytest.fixture
def url() -> str:
    return f"s3://backups/{uuid.uuid4().hex}/shop"


@pytest.fixture
def secrets(gateway: Ceph) -> Sequence[str]:
    return gateway.admin


class TestOverHTTP(DestinationTests):
    @pytest.fixture
    def destination(self, gateway: Ceph, url: str) -> Destination:
        return open_destination(url, **_options(gateway, "http"))


class TestOverHTTPS(DestinationTests):
    @pytest.fixture
    def destination(self, gateway: Ceph, url: str) -> Destination:
        return open_destination(url, **_options(gateway, "https"))


def test_an_object_of_several_parts_is_read_back(url: str, options: dict[str, Any]) -> None:
    destination = open_destination(url, **options)
    assert destination.write("object", _in_chunks(LARGE)).size == len(LARGE)
    assert b"".join(destination.read("object")) == LARGE
    assert b"".join(destination.read("object", start=PART - 3, length=7)) == LARGE[PART - 3 : PART + 4]


def test_an_object_of_several_parts_is_replaced_only_when_told_to(url: str, options: dict[str, Any]) -> None:
    destination = open_destination(url, **options)
    destination.write("object", [b"old"])
    with pytest.raises(ObjectExistsError):
        destination.write("object", _in_chunks(LARGE))
    assert b"".join(destination.read("object")) == b"old"
    destination.write("object", _in_chunks(LARGE), overwrite=True)
    assert b"".join(destination.read("object")) == LARGE


def test_an_upload_that_fails_after_some_parts_leaves_nothing(url: str, options: dict[str, Any]) -> None:
    destination = open_destination(url, **options)
    destination.write("object", [b"old"])

    def failing() -> Iterator[bytes]:
        yield from _in_chunks(LARGE)
        raise ValueError("from the chunks")

    with pytest.raises(ValueError, match="from the chunks"):
        destination.write("object", failing(), overwrite=True)
    assert b"".join(destination.read("object")) == b"old"
    assert isinstance(destination, HasLeftovers)
    assert [*destination.leftovers()] == []


def test_what_a_killed_upload_left_is_found_below_its_prefix_and_ended(
    gateway: Ceph, url: str, options: dict[str, Any]
) -> None:
    destination = open_destination(url, **options)
    assert isinstance(destination, HasLeftovers)
    gateway.begin_upload(f"{url}/app/object")
    gateway.begin_upload(f"{url}/apple/object")
    gateway.begin_upload(f"{url}-of-another/app/object")
    found = [*destination.leftovers("app/")]
    assert [one.name.rpartition("#")[0] for one in found] == ["app/object"]
    destination.discard(found[0])
    destination.discard(found[0])
    assert [one.name.rpartition("#")[0] for one in destination.leftovers()] == ["apple/object"]
    assert [*destination.list()] == []


def test_an_identity_that_may_only_read_reads_and_is_told_that_it_may_not_write(
    gateway: Ceph, url: str, options: dict[str, Any]
) -> None:
    open_destination(url, **options).write("object", _in_chunks(LARGE))
    scheme = options["endpoint_url"].partition(":")[0]
    reader = open_destination(url, **_options(gateway, scheme, who=gateway.reader))
    assert b"".join(reader.read("object")) == LARGE
    assert [one.name for one in reader.list()] == ["object"]
    for forbidden in (
        lambda: reader.write("small", [b"content"]),
        lambda: reader.write("large", _in_chunks(LARGE)),
        lambda: reader.delete("object"),
    ):
        with pytest.raises(AccessDeniedError) as caught:
            forbidden()
        assert not caught.value.retryable
    assert [one.name for one in reader.list()] == ["object"]


def test_wrong_keys_are_said_to_be_wrong(gateway: Ceph, url: str, options: dict[str, Any]) -> None:
    scheme = options["endpoint_url"].partition(":")[0]
    for who in ((gateway.admin[0], "wrong"), ("NOBODY", gateway.admin[1])):
        destination = open_destination(url, **_options(gateway, scheme, who=who))
        with pytest.raises(AccessDeniedError) as caught:
            destination.write("object", [b"content"])
        assert not caught.value.retryable
        assert "wrong" not in str(caught.value).replace("missing, wrong or have expired", "")


def test_a_missing_bucket_is_said_to_be_missing(options: dict[str, Any]) -> None:
    destination = open_destination("s3://no-such-bucket/shop", **options)
    for ask in (
        lambda: destination.write("object", [b"content"]),
        lambda: [*destination.list()],
        lambda: next(destination.read("object")),
        lambda: destination.stat("object"),
    ):
        with pytest.raises(DestinationError) as caught:
            ask()
        assert not caught.value.retryable


def test_a_certificate_that_nobody_trusts_is_refused(gateway: Ceph, url: str) -> None:
    options = _options(gateway, "https")
    del options["client_kwargs"]
    with pytest.raises(DestinationError, match="certificate"):
        open_destination(url, **options).write("object", [b"content"])


def _in_chunks(content: bytes, size: int = MiB) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]
