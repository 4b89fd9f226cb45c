"""What S3 refuses, as errors that say what to do; and who it must not be spoken to."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backupkit.destinations.opening import open_destination
from backupkit.errors import (
    AccessDeniedError,
    BackupKitError,
    ConfigurationError,
    DestinationError,
    ObjectNotFoundError,
)
from tests.servers import free_port
from tests.storage.s3 import SECRET, S3Server

_AWS = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_CA_BUNDLE"),
    *("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION"),
)


@pytest.fixture(autouse=True)
def nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials and no settings but those of a test."""
    for name in _AWS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(scope="module")
def bucket(s3_server: S3Server) -> str:
    bucket = s3_server.new_bucket()
    s3_server.client.put_object(Bucket=bucket, Key="shop/object", Body=b"content")
    return bucket


def _failure(
    server: S3Server, bucket: str, call: str = "write", **options: Any
) -> tuple[type[BackupKitError], str, bool]:
    """Of a call at this place: its kind, its reason, and whether it may pass."""
    given = {**server.options, "patience": 1, "time_limit": 5, **options}
    destination = open_destination(f"s3://{bucket}/shop", **given)
    calls: dict[str, Callable[[], object]] = {
        "write": lambda: destination.write("new", [b"content"]),
        "list": lambda: [*destination.list()],
        "delete": lambda: destination.delete("object"),
    }
    with pytest.raises(BackupKitError) as caught:
        calls[call]()
    error = caught.value
    shown = f"{error} {error!r} {destination!r}"
    assert not re.search(f"{SECRET}|not-the-secret", shown)
    return type(error), str(error).rpartition(": ")[2], getattr(error, "retryable", False)


@pytest.mark.parametrize("call", ["write", "list"])
@pytest.mark.parametrize(
    "options",
    [{"key": "nobody"}, {"secret": "not-the-secret"}, {"key": None, "secret": None}],
    ids=["wrong key", "wrong secret", "none"],
)
def test_wrong_credentials_are_told_from_rights_that_are_missing(
    s3_server: S3Server, bucket: str, call: str, options: dict[str, Any]
) -> None:
    assert _failure(s3_server, bucket, call, **options) == (
        AccessDeniedError,
        "correct them.",
        False,
    )


@pytest.mark.parametrize("call", ["write", "delete"])
def test_who_may_only_read_is_denied_the_rest(s3_server: S3Server, bucket: str, call: str) -> None:
    kind, reason, retryable = _failure(s3_server, bucket, call, key="reader", secret="read-only")
    assert (kind, reason, retryable) == (AccessDeniedError, "give them that right, or use others.", False)


@pytest.mark.parametrize("call", ["write", "list"])
def test_a_missing_bucket_is_not_made(s3_server: S3Server, call: str) -> None:
    kind, reason, retryable = _failure(s3_server, "no-such-bucket", call)
    assert (kind, reason, retryable) == (DestinationError, "create it, or correct the URL.", False)


def test_what_is_not_in_a_missing_bucket_is_not_found(s3_server: S3Server) -> None:
    destination = open_destination("s3://no-such-bucket/shop", **s3_server.options)
    with pytest.raises(ObjectNotFoundError):
        destination.stat("object")


def test_where_nobody_listens_it_is_tried_again_and_then_said(s3_server: S3Server, bucket: str) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    kind, reason, retryable = _failure(s3_server, bucket, endpoint_url=nobody)
    assert (kind, retryable) == (DestinationError, True)
    assert reason == "check its address, the network and the service."


def test_a_certificate_that_nobody_knows_is_refused_at_once(s3_server: S3Server, bucket: str) -> None:
    kind, reason, retryable = _failure(
        s3_server, bucket, endpoint_url=s3_server.secure_endpoint, patience=100
    )
    assert (kind, retryable) == (DestinationError, False)
    assert reason == "find out who answers there, then trust that key."


def test_a_certificate_that_was_trusted_is_spoken_to(s3_server: S3Server, bucket: str) -> None:
    destination = open_destination(
        f"s3://{bucket}/secure",
        **{**s3_server.options, "endpoint_url": s3_server.secure_endpoint},
        client_kwargs={"verify": str(s3_server.certificate.certificate)},
    )
    content = [bytes([number]) * (1 << 20) for number in range(20)]
    destination.write("object", content)
    assert b"".join(destination.read("object")) == b"".join(content)


FAR = "http://storage.example:9000"


def test_plain_http_to_another_machine_is_refused_where_it_is_given() -> None:
    with pytest.raises(ConfigurationError, match="allow_plaintext"):
        open_destination(f"s3://bucket/shop?endpoint_url={FAR}")
    with pytest.raises(ConfigurationError, match="allow_plaintext"):
        open_destination("s3://bucket/shop", client_kwargs={"endpoint_url": FAR})


@pytest.mark.parametrize(
    "how", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "fsspec", "file", "use_ssl", "fs"]
)
def test_plain_http_to_another_machine_is_refused_wherever_it_comes_from(
    how: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"key": "any", "secret": "any"}
    if how.startswith("AWS"):
        monkeypatch.setenv(how, FAR)
    elif how == "fsspec":
        from fsspec.config import conf

        # What FSSPEC_S3_ENDPOINT_URL is read into, once, when fsspec is imported.
        monkeypatch.setitem(conf, "s3", {"endpoint_url": FAR})
    elif how == "file":
        (tmp_path / "config").write_text(f"[default]\nendpoint_url = {FAR}\n")
    elif how == "use_ssl":
        options["use_ssl"] = False
    else:
        from s3fs import S3FileSystem

        options = {"fs": S3FileSystem(endpoint_url=FAR, skip_instance_cache=True, **options)}
    destination = open_destination("s3://bucket/shop", **options)
    with pytest.raises(ConfigurationError, match="allow_plaintext"):
        destination.write("object", [b"content"])


def test_plain_http_is_spoken_where_it_was_asked_for() -> None:
    destination = open_destination(
        "s3://bucket/shop",
        key="any",
        secret="any",
        endpoint_url="http://storage.invalid",
        allow_plaintext=True,
        patience=0.1,
        time_limit=30,
    )
    with pytest.raises(DestinationError, match="could not be reached"):
        destination.stat("object")
