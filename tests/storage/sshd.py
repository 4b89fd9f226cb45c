"""A private OpenSSH server, which serves SFTP to this very user."""

from __future__ import annotations

import getpass
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers import free_port, listens, running, server_folder, wait_for
from tests.tools import require_tool


@dataclass(frozen=True)
class SSHServer:
    """`options` let this user in; `known_hosts` is the file with the server's key."""

    port: int
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def options(self) -> Mapping[str, Any]:
        # Nothing of the real user: neither ~/.ssh/config nor an agent.
        return {
            "username": getpass.getuser(),
            "client_keys": [str(self.folder / "client")],
            "known_hosts": str(self.known_hosts),
            "config": None,
            "agent_path": None,
        }

    def url(self, folder: Path) -> str:
        return f"sftp://127.0.0.1:{self.port}{folder}"

    def connections(self) -> Sequence[int]:
        """The processes of its connections, and what serves SFTP in them."""
        found: list[int] = []
        parents = [self.process.pid]
        while parents:
            asked = ["ps", "-o", "pid=", "--ppid", ",".join(map(str, parents))]
            output = subprocess.run(asked, capture_output=True, check=False, text=True).stdout
            parents = [int(one) for one in output.split()]
            found += parents
        return found


@contextmanager
def sshd(*, settings: Sequence[str] = ()) -> Iterator[SSHServer]:
    """An OpenSSH server with a key of its own, on a free port of this machine."""
    program = _program()
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where it locks itself in, when it is root
    with server_folder(getpass.getuser()) as (folder, _):
        port = free_port()
        for key in ("host", "client"):
            generate = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)]
            subprocess.run(generate, check=True)
        kind, key = (folder / "host.pub").read_text().split()[:2]
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {kind} {key}\n")
        (folder / "authorized_keys").write_text((folder / "client.pub").read_text())
        (folder / "sshd_config").write_text(
            f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\n"
            f"AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nUsePAM no\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n"
            "MaxStartups 100\nSubsystem sftp internal-sftp\n" + "".join(f"{one}\n" for one in settings)
        )
        with running([program, "-D", "-e", "-f", folder / "sshd_config"], None, folder) as process:
            server = SSHServer(port, folder, process)
            wait_for("OpenSSH", process, folder, lambda: listens(port))
            yield server


def _program() -> Path:
    for folder in ("/usr/sbin", "/usr/local/sbin"):  # which are not in everybody's PATH
        if (program := Path(folder, "sshd")).exists():
            return program
    return require_tool("sshd")
