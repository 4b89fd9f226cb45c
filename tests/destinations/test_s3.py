"""Destinations on S3, held against real servers."""

from __future__ import annotations

import hashlib
import logging
import os
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from s3fs import S3FileSystem

from backupkit.destinations.opening import open_destination
from backupkit.destinations.remote import RemoteDestination
from backupkit.errors import ConfigurationError, DestinationError, ObjectExistsError, ObjectNotFoundError
from backupkit.filesystems.s3 import QuietS3FileSystem, S3Store
from backupkit.filesystems.s3_uploads import S3Upload
from backupkit.filesystems.transfer import Transfer
from backupkit.protocols import Destination, HasLeftovers
from backupkit.testing.destinations import DestinationTests
from tests.fault_proxy import Answer, FaultProxy, Rule, fault_proxy
from tests.storage import moto
from tests.storage.s3 import SECRET, S3Server, client_of

MiB = 1 << 20


@pytest.fixture(scope="module")
def bucket(s3_server: S3Server) -> str:
    return s3_server.new_bucket()


@pytest.fixture(scope="module")
def administrator(s3_server: S3Server) -> S3FileSystem:
    """Connected once: making a client takes longer than most of these tests."""
    return QuietS3FileSystem(**s3_server.options, use_listings_cache=False, skip_instance_cache=True)


@pytest.fixture
def destination(administrator: S3FileSystem, bucket: str) -> Destination:
    return open_destination(f"{bucket}/{uuid.uuid4().hex}/shop", fs=administrator)


class TestS3(DestinationTests):
    @pytest.fixture
    def destination(self, administrator: S3FileSystem, bucket: str) -> Destination:
        return open_destination(f"{bucket}/{uuid.uuid4().hex}/shop", fs=administrator)

    @pytest.fixture
    def secrets(self) -> Sequence[str]:
        return [SECRET]


@pytest.fixture(scope="module")
def moto_endpoint() -> Iterator[str]:
    with moto.moto() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def moto_file_system(moto_endpoint: str) -> S3FileSystem:
    return QuietS3FileSystem(
        **moto.options(moto_endpoint), use_listings_cache=False, skip_instance_cache=True
    )


@pytest.fixture(scope="module")
def moto_bucket(moto_endpoint: str) -> str:
    return moto.new_bucket(moto_endpoint)


class TestMoto(DestinationTests):
    @pytest.fixture
    def destination(self, moto_file_system: S3FileSystem, moto_bucket: str) -> Destination:
        return open_destination(f"{moto_bucket}/{uuid.uuid4().hex}", fs=moto_file_system)


@pytest.fixture(scope="module")
def proxy(s3_server: S3Server) -> Iterator[FaultProxy]:
    with fault_proxy(s3_server.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def through(proxy: FaultProxy, s3_server: S3Server) -> S3FileSystem:
    return QuietS3FileSystem(**s3_server.options_by(proxy.port), skip_instance_cache=True)


@pytest.fixture
def watched(proxy: FaultProxy, through: S3FileSystem, bucket: str) -> Destination:
    """One whose requests the proxy has seen."""
    proxy.forget()
    return open_destination(f"{bucket}/{uuid.uuid4().hex}", fs=through, part_size=5 * MiB)


def _chunks(count: int) -> Iterator[bytes]:
    for number in range(count):
        yield bytes([number % 251]) * MiB


def _methods(proxy: FaultProxy) -> list[str]:
    return [line.split(" ")[0] for line, _ in proxy.seen]


def test_a_small_object_is_looked_for_sent_and_looked_at(proxy: FaultProxy, watched: Destination) -> None:
    watched.write("object", [b"content"])
    assert _methods(proxy) == ["HEAD", "PUT", "HEAD"]


def test_a_large_object_is_sent_in_parts(proxy: FaultProxy, watched: Destination) -> None:
    watched.write("object", _chunks(12))
    assert _methods(proxy) == ["HEAD", "POST", "PUT", "PUT", "PUT", "HEAD", "POST", "HEAD"]


@pytest.mark.parametrize(("start", "length"), [(0, 7), (1000, 6 * MiB), (12 * MiB - 100, 100)])
def test_a_small_range_is_one_request(
    proxy: FaultProxy, watched: Destination, start: int, length: int
) -> None:
    watched.write("object", _chunks(12))
    proxy.seen.clear()
    assert len(b"".join(watched.read("object", start=start, length=length))) == length
    assert _methods(proxy) == ["GET"]


def test_who_stops_after_the_beginning_has_read_no_more(proxy: FaultProxy, watched: Destination) -> None:
    watched.write("object", _chunks(12))
    proxy.seen.clear()
    assert len(next(iter(watched.read("object")))) == MiB
    assert _methods(proxy) == ["GET"]


def test_a_large_object_is_read_in_few_requests(proxy: FaultProxy, watched: Destination) -> None:
    watched.write("object", _chunks(32))
    proxy.seen.clear()
    assert b"".join(watched.read("object")) == b"".join(_chunks(32))
    assert _methods(proxy) == ["GET"] * 8  # 1, 2, 4 and four times 6 MiB, and the rest


def test_an_object_that_is_replaced_while_it_is_read_is_an_error(destination: Destination) -> None:
    destination.write("object", _chunks(12))
    pieces = iter(destination.read("object"))
    next(pieces)
    destination.write("object", [b"x" * 12 * MiB], overwrite=True)
    with pytest.raises(DestinationError, match="it was replaced while it was read: try again") as caught:
        b"".join(pieces)
    assert caught.value.retryable


def test_a_writer_that_comes_second_does_not_replace_the_first_ones(
    administrator: S3FileSystem, destination: Destination
) -> None:
    def late(size: int) -> Iterator[bytes]:
        yield from [b"second" * MiB] * size
        destination.write("object", [b"first"], overwrite=True)

    for size in (0, 3):  # one request, and parts
        with pytest.raises(ObjectExistsError):
            destination.write("object", late(size))
        assert b"".join(destination.read("object")) == b"first"
        destination.delete("object")
    assert isinstance(destination, HasLeftovers)
    assert [*destination.leftovers()] == []


def test_a_store_that_knows_no_conditions_is_asked_without(proxy: FaultProxy, watched: Destination) -> None:
    proxy.rules = [Rule(r"PUT [^?]+$", Answer(501)), Rule(r"POST \S+uploadId", Answer(501))]
    watched.write("small", [b"content"])
    watched.write("large", _chunks(6))
    assert len(proxy.befell()) == 2
    assert [one.name for one in watched.list()] == ["large", "small"]


def test_pages_are_put_together(s3_server: S3Server, bucket: str) -> None:
    folder = f"{bucket}/{uuid.uuid4().hex}"
    fs = QuietS3FileSystem(
        **s3_server.options,
        s3_additional_kwargs={"MaxKeys": 2, "MaxUploads": 2, "MaxParts": 1},
        skip_instance_cache=True,
    )
    destination = open_destination(folder, fs=fs)
    names = [f"object-{number}" for number in range(5)]
    for name in names:
        destination.write(name, [b"content"])
        place = {"Bucket": bucket, "Key": f"{folder.partition('/')[2]}/{name}"}
        upload = {**place, "UploadId": s3_server.client.create_multipart_upload(**place)["UploadId"]}
        for number in (1, 2):
            s3_server.client.upload_part(**upload, PartNumber=number, Body=b"part")
    assert [one.name for one in destination.list()] == names
    assert isinstance(destination, HasLeftovers)
    leftovers = sorted(destination.leftovers(), key=lambda one: one.name)
    assert [one.name.partition("#")[0] for one in leftovers] == names
    assert {one.size for one in leftovers} == {8}
    for leftover in leftovers:
        destination.discard(leftover)
    assert [*destination.leftovers()] == []


def test_content_that_changed_on_its_way_is_never_visible(
    destination: Destination, administrator: S3FileSystem, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store finds that it does not have the MD5 that was sent with it."""
    monkeypatch.setattr("backupkit.filesystems.s3_uploads._md5", lambda _: bytes(16))
    impatient = open_destination(destination.location, fs=administrator, patience=0.5)
    for chunks in ([b"small"], _chunks(17)):
        with pytest.raises(DestinationError) as caught:
            impatient.write("object", chunks)
        assert caught.value.retryable
    assert [*destination.list()] == []


def test_a_store_that_did_not_notice_is_told_by_its_etag(
    moto_file_system: S3FileSystem, moto_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """moto looks at no MD5; what it says of the object afterwards is compared all the same."""
    destination = open_destination(f"{moto_bucket}/{uuid.uuid4().hex}", fs=moto_file_system)
    destination.write("before", [b"old"])
    monkeypatch.setattr("backupkit.filesystems.s3_uploads._md5", lambda _: bytes(16))
    for chunks in ([b"small"], _chunks(17)):
        with pytest.raises(DestinationError, match="do not trust it"):
            destination.write("object", chunks)
    assert [one.name for one in destination.list()] == ["before"]


@pytest.mark.parametrize(("equal", "parts"), [(False, 3), (True, 4)])
def test_parts_are_equal_where_the_store_wants_them_so(
    s3_server: S3Server, bucket: str, equal: bool, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cloudflare R2 does; `fixed_upload_size` is s3fs's own word for it."""
    monkeypatch.setattr(
        "backupkit.filesystems.s3_uploads.growing", lambda first, **_: iter([first, 2 * first, 4 * first])
    )
    destination = open_destination(
        f"s3://{bucket}/equal-{equal}", **s3_server.options, fixed_upload_size=equal, part_size=5 * MiB
    )
    destination.write("object", _chunks(17))
    etag = s3_server.client.head_object(Bucket=bucket, Key=f"equal-{equal}/object")["ETag"]
    assert etag.endswith(f'-{parts}"')


def test_a_part_is_sent_without_asking_first(proxy: FaultProxy, watched: Destination) -> None:
    watched.write("object", _chunks(33))
    assert proxy.requests("partNumber=") > 1
    assert proxy.expecting == 0


def test_an_object_of_more_parts_than_s3_takes_is_refused_and_gone(
    destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backupkit.filesystems.s3_uploads._MOST", 2)
    with pytest.raises(ConfigurationError, match="larger part_size than 8388608"):
        destination.write("object", _chunks(33))
    assert isinstance(destination, HasLeftovers)
    assert [*destination.list(), *destination.leftovers()] == []


def test_what_the_user_says_of_every_object_is_kept_with_it(moto_endpoint: str, moto_bucket: str) -> None:
    destination = open_destination(
        f"s3://{moto_bucket}/shop",
        **moto.options(moto_endpoint),
        s3_additional_kwargs={
            "StorageClass": "STANDARD_IA",
            "Tagging": "kind=backup",
            "ServerSideEncryption": "aws:kms",
            "ACL": "bucket-owner-full-control",
        },
        requester_pays=True,
    )
    client = client_of(moto_endpoint, "any", "any")
    for name, chunks in (("small", [b"content"]), ("large", _chunks(17))):
        destination.write(name, chunks)
        key = {"Bucket": moto_bucket, "Key": f"shop/{name}"}
        head = client.head_object(**key)
        assert head["StorageClass"] == "STANDARD_IA"
        assert head["ServerSideEncryption"] == "aws:kms"
        assert client.get_object_tagging(**key)["TagSet"] == [{"Key": "kind", "Value": "backup"}]


def test_an_etag_that_is_no_md5_is_not_compared(moto_file_system: S3FileSystem, moto_bucket: str) -> None:
    path = f"{moto_bucket}/etags/{uuid.uuid4().hex}"
    store = S3Store(moto_file_system, Transfer())
    moto_file_system.pipe_file(f"{path}/plain", b"content")
    moto_file_system.pipe_file(f"{path}/kms", b"content", ServerSideEncryption="aws:kms")
    plain, kms = store.look(f"{path}/plain"), store.look(f"{path}/kms")
    assert plain is not None
    assert kms is not None
    assert plain.tag == plain.checksum == hashlib.md5(b"content", usedforsecurity=False).hexdigest()
    assert (kms.tag, kms.checksum) == (plain.tag, None)


def test_a_key_of_ones_own_encrypts_and_is_needed_to_read(moto_endpoint: str, moto_bucket: str) -> None:
    key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    url = f"s3://{moto_bucket}/own-key"
    destination = open_destination(url, **moto.options(moto_endpoint), s3_additional_kwargs=key)
    for name, chunks in (("small", [b"content"]), ("large", _chunks(17))):
        destination.write(name, chunks)
        assert b"".join(destination.read(name))
    assert "k" * 32 not in f"{destination!r}"


@pytest.fixture(scope="module")
def locked(s3_server: S3Server) -> str:
    """A bucket in which nothing that was written can be removed for a day."""
    bucket = s3_server.new_bucket(ObjectLockEnabledForBucket=True)
    s3_server.client.put_object_lock_configuration(
        Bucket=bucket,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}},
        },
    )
    return bucket


def test_what_is_deleted_in_a_bucket_with_versions_stays_as_an_old_one(
    s3_server: S3Server, administrator: S3FileSystem, locked: str
) -> None:
    destination = open_destination(f"{locked}/shop", fs=administrator)
    destination.write("object", [b"content"])
    destination.delete("object")
    assert [*destination.list()] == []
    with pytest.raises(ObjectNotFoundError):
        destination.stat("object")
    client = s3_server.client
    (version,) = client.list_object_versions(Bucket=locked, Prefix="shop/object")["Versions"]
    with pytest.raises(client.exceptions.ClientError, match="AccessDenied"):
        client.delete_object(Bucket=locked, Key="shop/object", VersionId=version["VersionId"])
    found = client.get_object(Bucket=locked, Key="shop/object", VersionId=version["VersionId"])
    assert found["Body"].read() == b"content"


@pytest.mark.parametrize("count", [1, 17], ids=["small", "large"])
def test_objects_are_locked_as_the_user_says(s3_server: S3Server, locked: str, count: int) -> None:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
    destination = open_destination(
        f"s3://{locked}/legal-{count}",
        **s3_server.options,
        s3_additional_kwargs={
            "ObjectLockMode": "GOVERNANCE",
            "ObjectLockRetainUntilDate": until,
            "ObjectLockLegalHoldStatus": "ON",
        },
    )
    destination.write("object", _chunks(count))
    if count > 1 and os.environ.get("BACKUPKIT_TESTS_S3") == "ceph":
        pytest.skip("Ceph 16 locks what comes in parts as the bucket says, whatever was said of the object")
    head = s3_server.client.head_object(Bucket=locked, Key=f"legal-{count}/object")
    assert (head["ObjectLockMode"], head["ObjectLockRetainUntilDate"]) == ("GOVERNANCE", until)
    assert head["ObjectLockLegalHoldStatus"] == "ON"


@pytest.mark.parametrize(
    "body", [b"", b'<html xmlns="http://www.w3.org/1999/xhtml"/>'], ids=["none", "a page"]
)
def test_what_is_no_answer_of_s3_is_an_error_and_no_empty_bucket(
    proxy: FaultProxy, through: S3FileSystem, watched: Destination, body: bytes
) -> None:
    watched.write("object", [b"content"])
    folder = watched.location.partition("?")[0]
    impatient = open_destination(folder, fs=through, patience=0.1)
    assert isinstance(impatient, RemoteDestination)
    calls: Sequence[Callable[[], object]] = (
        lambda: [*impatient.list()],
        lambda: [*impatient.leftovers()],
        lambda: impatient.stat("object"),
        lambda: b"".join(impatient.read("object")),
        lambda: impatient.write("large", _chunks(12)),
    )
    for call, match in zip(calls, ("GET", "GET", "HEAD", "GET", "POST"), strict=True):
        proxy.rules = [Rule(match, Answer(200, b"" if match == "HEAD" else body), times=1_000)]
        with pytest.raises(DestinationError, match="as if a login page or a proxy answered") as caught:
            call()
        assert caught.value.retryable
    proxy.rules = []
    assert [one.name for one in impatient.list()] == ["object"]


@pytest.mark.parametrize("count", [1, 12], ids=["small", "large"])
def test_what_another_writer_stored_at_the_same_moment_is_never_removed(
    destination: Destination, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = S3Upload.commit

    def overtaken(upload: S3Upload) -> None:
        commit(upload)
        monkeypatch.setattr(S3Upload, "commit", commit)
        destination.write("object", [b"another's"], overwrite=True)

    monkeypatch.setattr(S3Upload, "commit", overtaken)
    with pytest.raises(DestinationError, match="another writer has replaced it"):
        destination.write("object", _chunks(count), overwrite=True)
    assert b"".join(destination.read("object")) == b"another's"


def test_no_session_token_and_no_key_of_ones_own_is_in_the_librarys_log(
    moto_endpoint: str, moto_bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token, key = "a-session-token-that-nobody-may-see", "k" * 32
    destination = open_destination(
        f"s3://{moto_bucket}/logged",
        **moto.options(moto_endpoint),
        token=token,
        s3_additional_kwargs={"SSECustomerAlgorithm": "AES256", "SSECustomerKey": key},
    )
    destination.write("object", [b"content"])
    records = "\n".join(f"{one.getMessage()} {vars(one)}" for one in caplog.records)
    assert "botocore.auth" in records
    assert [one for one in (token, key, b64encode(key.encode()).decode()) if one in records] == []


@pytest.mark.parametrize("status", [301, 307])
def test_nobody_is_sent_to_another_host(
    proxy: FaultProxy, through: S3FileSystem, s3_server: S3Server, bucket: str, status: int
) -> None:
    """With the content, and by plain HTTP where it says so."""
    with fault_proxy(s3_server.port) as elsewhere:
        there = (("Location", f"http://localhost:{elsewhere.port}/"),)
        destination = open_destination(f"{bucket}/{uuid.uuid4().hex}", fs=through, patience=0.1)
        calls: Mapping[str, Callable[[], object]] = {
            "HEAD": lambda: destination.stat("object"),
            "PUT": lambda: destination.write("object", [b"content"]),
            "GET": lambda: b"".join(destination.read("object")),
        }
        for match, call in calls.items():
            proxy.rules = [Rule(match, Answer(status, headers=there), times=1_000)]
            with pytest.raises(DestinationError):
                call()
        assert elsewhere.seen == []
