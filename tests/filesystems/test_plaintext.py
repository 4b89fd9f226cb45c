from __future__ import annotations

import pytest

from backupkit.errors import ConfigurationError
from backupkit.filesystems.plaintext import check_options


def test_an_address_that_anybody_could_listen_to_is_refused_however_deep_it_stands() -> None:
    with pytest.raises(ConfigurationError, match="would be reached by HTTP"):
        check_options({"client_kwargs": {"endpoint_url": "http://storage.example.com"}}, "s3://bucket")


def test_a_proxy_may_be_spoken_to_in_plaintext_as_what_passes_it_is_encrypted() -> None:
    check_options({"proxies": {"https": "http://proxy.example.com:3128"}}, "dropbox://backups")
