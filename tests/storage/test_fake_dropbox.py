"""The Dropbox of the tests is asked by an independent client, which checks what it gets by content hashes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.storage.dropbox_route import certificate_of_dropbox, connect_proxy
from tests.storage.fake_dropbox import FakeDropbox, content_hash, fake_dropbox
from tests.tools import require_tool

MiB = 1 << 20


class Rclone:
    """rclone, unmodified, which takes the server for Dropbox."""

    def __init__(self, folder: Path, proxy: int, certificate: Path) -> None:
        token = json.dumps(
            {"access_token": "TOKEN", "token_type": "bearer", "expiry": "0001-01-01T00:00:00Z"}
        )
        self._environment = {
            **{name: value for name, value in os.environ.items() if "CA_BUNDLE" not in name},
            "HTTPS_PROXY": f"http://127.0.0.1:{proxy}",
            "SSL_CERT_FILE": str(certificate),
            "RCLONE_CONFIG": str(folder / "none.conf"),
            "RCLONE_CONFIG_D_TYPE": "dropbox",
            "RCLONE_CONFIG_D_TOKEN": token,
            "RCLONE_CONFIG_D_CHUNK_SIZE": "4M",
            "RCLONE_RETRIES": "1",
            "RCLONE_LOW_LEVEL_RETRIES": "2",
        }

    def __call__(self, *arguments: str | Path) -> bytes:
        # It comes as a package of Python's, beside the interpreter.
        program = shutil.which("rclone", path=sysconfig.get_path("scripts")) or require_tool("rclone")
        asked: Sequence[str | Path] = [program, *arguments]
        done = subprocess.run(asked, env=self._environment, capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout


@pytest.fixture(scope="module")
def dropbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FakeDropbox, Rclone]]:
    folder = tmp_path_factory.mktemp("dropbox")
    certificate = certificate_of_dropbox(folder)
    with fake_dropbox(certificate.context) as server, connect_proxy(server.port) as proxy:
        yield server, Rclone(folder, proxy, certificate.certificate)


def test_an_independent_client_can_write_list_check_and_read(
    dropbox: tuple[FakeDropbox, Rclone], tmp_path: Path
) -> None:
    server, rclone = dropbox
    content = b"".join(number.to_bytes(8, "big") for number in range(9 * MiB // 8)) + b"end"
    (tmp_path / "Large.bin").write_bytes(content)
    (tmp_path / "small").write_bytes(b"small")
    rclone("copy", tmp_path, "d:Shop/files")
    assert server.contents() == {"/Shop/files/Large.bin": content, "/Shop/files/small": b"small"}
    listed = json.loads(rclone("lsjson", "--hash", "--recursive", "--files-only", "d:shop"))
    assert {one["Path"]: one["Hashes"]["dropbox"] for one in listed} == {
        "files/Large.bin": content_hash(content),
        "files/small": content_hash(b"small"),
    }
    rclone("check", tmp_path, "d:Shop/files")
    assert (
        rclone("cat", "--offset=5000000", "--count=7", "d:Shop/files/Large.bin")
        == content[5_000_000:5_000_007]
    )
    rclone("moveto", "d:Shop/files/small", "d:Shop/moved")
    rclone("deletefile", "d:Shop/files/Large.bin")
    assert server.contents() == {"/Shop/moved": b"small"}
