"""moto: S3 in this process, for what needs no real server."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.storage.seaweedfs import client_of


@contextmanager
def moto() -> Iterator[str]:
    """Its endpoint."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def options(endpoint: str) -> dict[str, Any]:
    """Of a destination there."""
    return {"key": "any", "secret": "any", "endpoint_url": endpoint}


def new_bucket(endpoint: str) -> str:
    bucket = f"bucket-{uuid.uuid4().hex[:12]}"
    client_of(endpoint, "any", "any").create_bucket(Bucket=bucket)
    return bucket
