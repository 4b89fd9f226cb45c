"""A private WebDAV server, WsgiDAV, which asks for a password."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import free_port, listens, running, wait_for

USER, PASSWORD = "backup", "hunter2"


@dataclass(frozen=True)
class WebDAVServer:
    port: int
    folder: Path
    process: subprocess.Popen[bytes]

    def url(self, folder: str, *, port: int | None = None) -> str:
        return f"webdav+http://{USER}@127.0.0.1:{port or self.port}/{folder}"


@contextmanager
def webdav_server(folder: Path) -> Iterator[WebDAVServer]:
    """A server of what is below the folder's `data`."""
    (folder / "data").mkdir()
    port = free_port()
    configuration = {
        "host": "127.0.0.1",
        "port": port,
        "provider_mapping": {"/": str(folder / "data")},
        "http_authenticator": {"accept_basic": True, "accept_digest": False, "default_to_digest": False},
        "simple_dc": {"user_mapping": {"*": {USER: {"password": PASSWORD}}}},
        "verbose": 1,
    }
    (folder / "wsgidav.json").write_text(json.dumps(configuration))
    program = [sys.executable, "-m", "wsgidav.server.server_cli", f"--config={folder / 'wsgidav.json'}"]
    with running(program, None, folder) as process:
        wait_for("WebDAV", process, folder, lambda: listens(port))
        yield WebDAVServer(port, folder / "data", process)
