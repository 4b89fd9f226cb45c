"""A private FTP server, pyftpdlib's, with or without TLS."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import free_port, listens, running, wait_for

USER, PASSWORD = "backup", "hunter2"

_PROGRAM = """
import sys
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler
from pyftpdlib.servers import ThreadedFTPServer

port, folder, user, password, certificate, denied = sys.argv[1:]
authorizer = DummyAuthorizer()
authorizer.add_user(user, password, folder, perm="elradfmwMT")
if denied:
    authorizer.override_perm(user, denied, "", recursive=True)
handler = type("Handler", (TLS_FTPHandler if certificate else FTPHandler,), {"authorizer": authorizer})
handler.auth_failed_timeout = 0  # it would let three seconds pass
if certificate:
    handler.certfile = certificate
    handler.tls_control_required = handler.tls_data_required = True
ThreadedFTPServer(("127.0.0.1", int(port)), handler).serve_forever()
"""


@dataclass(frozen=True)
class FTPServer:
    port: int
    folder: Path
    process: subprocess.Popen[bytes]

    def url(self, folder: str) -> str:
        return f"ftp://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{folder}"


@contextmanager
def ftp_server(folder: Path, certificate: Path | None = None, *, denied: str = "") -> Iterator[FTPServer]:
    """A server of what is below the folder's `data`; nothing may be done in the folder `denied` of that."""
    (folder / "data" / denied).mkdir(parents=True)
    port = free_port()
    arguments: list[str | Path] = [sys.executable, "-c", _PROGRAM, str(port), folder / "data", USER, PASSWORD]
    with running(
        [*arguments, certificate or "", folder / "data" / denied if denied else ""], None, folder
    ) as process:
        wait_for("FTP", process, folder, lambda: listens(port))
        yield FTPServer(port, folder / "data", process)
