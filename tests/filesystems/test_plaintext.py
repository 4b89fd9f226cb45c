from __future__ import annotations

from typing import Any

import pytest

from backupkit.errors import ConfigurationError
from backupkit.filesystems.plaintext import check_options
from backupkit.filesystems.roots import Root

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("http://files.example/x", {}),
        ("HTTP://files.example/x", {}),
        ("ftp://files.example/x", {}),
        ("ftp://me:hunter2@192.0.2.1/x", {}),
        ("s3://b?endpoint_url=http://s3.example:9000", {}),
        ("s3://b", {"endpoint_url": "http://s3.example"}),
        ("s3://b", {"endpoint_url": "HTTP://s3.example"}),
        ("s3://b", {"client_kwargs": {"endpoint_url": "http://192.0.2.1"}}),
        ("s3://b", {"client_kwargs": {"deep": {"deeper": "http://[2001:db8::1]/"}}}),
        ("s3://b", {"endpoint_url": "http://127.0.0.1.example"}),
        ("s3://b", {"endpoint_url": "http://localhost.example"}),
        ("s3://b", {"endpoint_url": "http://"}),
        ("webdav://x", {"base_url": "http://dav.example"}),
        ("gs://b", {"endpoint_url": "http://gcs.example", "token": SECRET}),
    ],
)
def test_what_anybody_on_the_way_could_read_is_refused_unless_asked_for(
    url: str, options: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError, match="allow_plaintext=True") as caught:
        Root(url, **options)
    assert SECRET not in str(caught.value)
    Root(url, allow_plaintext=True, **options)


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://127.0.0.1:9000",
        "http://127.1.2.3",
        "http://[::1]:9000",
        "http://localhost:9000",
        "http://s3.localhost",
        "https://s3.example",
    ],
)
def test_what_stays_on_this_machine_or_is_encrypted_is_not(endpoint: str) -> None:
    Root("s3://b", endpoint_url=endpoint)


@pytest.mark.parametrize("endpoint", ["http://[", "http://[::1", "https://[/x"])
def test_an_address_that_is_none_is_refused(endpoint: str) -> None:
    with pytest.raises(ConfigurationError):
        Root("s3://b", endpoint_url=endpoint)


def test_an_address_that_anybody_could_listen_to_is_refused_however_deep_it_stands() -> None:
    with pytest.raises(ConfigurationError, match="would be reached by HTTP"):
        check_options({"client_kwargs": {"endpoint_url": "http://storage.example.com"}}, "s3://bucket")


def test_a_proxy_may_be_spoken_to_in_plaintext_as_what_passes_it_is_encrypted() -> None:
    check_options({"proxies": {"https": "http://proxy.example.com:3128"}}, "dropbox://backups")
