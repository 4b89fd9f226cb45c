"""moto: S3 in this process, for what needs no real server."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.servers import free_port, listens, running, server_folder, wait_for
from tests.storage.s3 import client_of


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


@contextmanager
def moto_process() -> Iterator[str]:
    """The endpoint of one in a process of its own, for who counts what this process has open."""
    with server_folder("moto") as (folder, _):
        port = free_port()
        program = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        with running(program, None, folder) as process:
            wait_for("moto", process, folder, lambda: listens(port))
            yield f"http://127.0.0.1:{port}"


def options(endpoint: str) -> dict[str, Any]:
    """Of a destination there."""
    return {"key": "any", "secret": "any", "endpoint_url": endpoint}


def new_bucket(endpoint: str) -> str:
    bucket = f"bucket-{uuid.uuid4().hex[:12]}"
    client_of(endpoint, "any", "any").create_bucket(Bucket=bucket)
    return bucket
