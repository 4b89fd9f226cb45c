"""Private database servers for tests: on free ports of this machine, in temporary folders, stopped afterwards."""

from __future__ import annotations

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tools import require_tool

PASSWORD = "q\"u'o\\te #1 %41:@/ end"
"""Of the administrator of every server: with all the characters that files, URLs and shells stumble over."""
_PATIENCE = 60.0  # seconds in which a server that was started answers


@dataclass(frozen=True)
class Server:
    """A running server. `url(database)` names a database as its administrator."""

    engine: str
    port: int
    folder: Path
    socket: Path
    user: str
    password: str
    process: subprocess.Popen[bytes]

    def url(self, database: str = "", *, user: str | None = None, password: str | None = None) -> str:
        from urllib.parse import quote

        who = quote(self.user if user is None else user, safe="")
        secret = quote(self.password if password is None else password, safe="")
        return f"{self.engine}://{who}:{secret}@127.0.0.1:{self.port}/{quote(database, safe='')}"

    def kill(self) -> None:
        """End it as a power cut would, with the processes of its connections, which would go on for a while."""
        asked = ["ps", "-o", "pid=", "--ppid", str(self.process.pid)]
        children = subprocess.run(asked, capture_output=True, check=False).stdout.split()
        self.process.kill()
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        self.process.wait()


def free_port() -> int:
    """A port that nobody has; not of those that connections begin from, one of which could be any moment's."""
    while True:
        port = random.randrange(15_000, 32_000)
        with suppress(OSError), socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
            return port


@contextmanager
def postgresql(*, settings: Sequence[str] = ()) -> Iterator[Server]:
    """A PostgreSQL server that asks for a password (SCRAM) on TCP and on its socket."""
    programs = postgresql_programs()
    with server_folder("postgres") as (folder, user):
        port = free_port()
        password_file = folder / "password"
        password_file.write_text(PASSWORD + "\n")
        _give(password_file, user)
        initialise: list[str | Path] = [
            *(programs / "initdb", "--pgdata", folder / "data", "--username=admin"),
            *("--auth=scram-sha-256", f"--pwfile={password_file}", "--encoding=UTF8", "--locale=C"),
            "--no-sync",
        ]
        _done(initialise, user, folder)
        arguments: list[str | Path] = [
            *(programs / "postgres", "-D", folder / "data", "-p", str(port), "-k", folder),
            *("-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "timezone=UTC"),
            *("-c", "logging_collector=off", "-c", "max_connections=40"),
            *(part for setting in settings for part in ("-c", setting)),
        ]
        with running(arguments, user, folder) as process:
            server = Server("postgresql", port, folder, folder, "admin", PASSWORD, process)
            ready: list[str | Path] = [
                programs / "pg_isready",
                "--quiet",
                "--host=127.0.0.1",
                f"--port={port}",
            ]
            _wait_for(server, lambda: subprocess.run(ready, check=False).returncode == 0)
            yield server


@contextmanager
def postgresql_standby(primary: Server) -> Iterator[Server]:
    """A standby that follows a PostgreSQL server, and can be read."""
    from urllib.parse import quote

    programs = postgresql_programs()
    with server_folder("postgres") as (folder, user):
        port = free_port()
        where = f"postgresql://admin:{quote(PASSWORD, safe='')}@127.0.0.1:{primary.port}"
        _done(
            [
                *(
                    programs / "pg_basebackup",
                    f"--pgdata={folder / 'data'}",
                    "--checkpoint=fast",
                    "--no-sync",
                ),
                *("--write-recovery-conf", "--wal-method=stream", f"--dbname={where}"),
            ],
            user,
            folder,
        )
        arguments: list[str | Path] = [
            *(programs / "postgres", "-D", folder / "data", "-p", str(port), "-k", folder),
            *("-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=40"),
        ]
        with running(arguments, user, folder) as process:
            server = Server("postgresql", port, folder, folder, "admin", PASSWORD, process)
            _wait_for(server, lambda: listens(port))
            yield server


@contextmanager
def mariadb(*, settings: Sequence[str] = ()) -> Iterator[Server]:
    """A MariaDB server whose administrator has a password."""
    server_program = require_tool("mariadbd")
    with server_folder("mysql") as (folder, user):
        port = free_port()
        _done(
            [
                *("mariadb-install-db", "--no-defaults", f"--datadir={folder / 'data'}", "--skip-test-db"),
                *("--auth-root-authentication-method=normal", "--skip-log-bin"),
            ],
            user,
            folder,
        )
        quoted = PASSWORD.replace("\\", "\\\\").replace("'", "\\'")
        setup = folder / "setup.sql"
        setup.write_text(
            # The server takes one statement a line of this file.
            f"CREATE USER admin@'%' IDENTIFIED BY '{quoted}';\nGRANT ALL ON *.* TO admin@'%' WITH GRANT OPTION;\n"
        )
        _give(setup, user)
        arguments: list[str | Path] = [
            *(server_program, "--no-defaults", f"--datadir={folder / 'data'}", f"--port={port}"),
            *(f"--socket={folder / 'server.sock'}", "--bind-address=127.0.0.1", f"--init-file={setup}"),
            *(f"--pid-file={folder / 'pid'}", "--innodb-flush-log-at-trx-commit=0", "--skip-name-resolve"),
            *("--event-scheduler=OFF", "--log-bin-trust-function-creators=1"),
            *(f"--{setting}" for setting in settings),
        ]
        with running(arguments, user, folder) as process:
            server = Server("mariadb", port, folder, folder / "server.sock", "admin", PASSWORD, process)
            _wait_for(server, lambda: listens(port))
            yield server


@contextmanager
def redis(*, settings: Sequence[str] = ()) -> Iterator[Server]:
    """A Redis server with a password, and nothing written but what is asked for."""
    program = require_tool("redis-server")
    with server_folder("redis") as (folder, user):
        port = free_port()
        quoted = PASSWORD.replace("\\", "\\\\").replace('"', '\\"')
        configuration = folder / "redis.conf"
        configuration.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folder}\nunixsocket {folder}/server.sock\n"
            f'save ""\nrepl-diskless-sync-delay 0\n'
            f'requirepass "{quoted}"\n' + "".join(f"{setting}\n" for setting in settings)
        )
        _give(configuration, user)
        with running([program, configuration], user, folder) as process:
            server = Server("redis", port, folder, folder / "server.sock", "default", PASSWORD, process)
            _wait_for(server, lambda: listens(port))
            yield server


def postgresql_programs() -> Path:
    """The folder of the newest PostgreSQL's programs; Debian keeps the servers' out of the PATH."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda one: -int(one.parent.name)):
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            return folder
    return require_tool("initdb").parent


@contextmanager
def server_folder(owner: str, *, within: str = "/tmp") -> Iterator[tuple[Path, str | None]]:
    """A new folder, and the user to run a server as: not root, which servers refuse, or this user."""
    # Not pytest's tmp_path, which other users cannot enter, and whose sockets' paths are too long.
    folder = Path(tempfile.mkdtemp(prefix="bk-server-", dir=within))
    user = None
    try:
        if os.geteuid() == 0:
            user = owner if _exists(owner) else "nobody"
            shutil.chown(folder, user)
        yield folder, user
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _give(file: Path, user: str | None) -> None:
    if user is not None:
        shutil.chown(file, user)


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _done(arguments: Sequence[str | Path], user: str | None, folder: Path) -> None:
    done = subprocess.run(
        arguments, user=user, check=False, capture_output=True, cwd="/", env=_environment(folder), text=True
    )
    if done.returncode:
        pytest.fail(f"{arguments[0]} failed:\n{done.stdout}{done.stderr}", pytrace=False)


@contextmanager
def running(
    arguments: Sequence[str | Path], user: str | None, folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A server's process, its output in the file `log` of the folder, stopped afterwards."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            arguments,
            user=user,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=_environment(folder),
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                # For PostgreSQL the quick way to stop; the others know no difference.
                process.send_signal(signal.SIGQUIT if "postgres" in str(arguments[0]) else signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(20)
            process.kill()
            process.wait()


def _wait_for(server: Server, ready: Callable[[], bool]) -> None:
    wait_for(server.engine, server.process, server.folder, ready)


def wait_for(what: str, process: subprocess.Popen[bytes], folder: Path, ready: Callable[[], bool]) -> None:
    """Wait until a server that was started answers; fail with its log if it has ended, or never does."""
    end = time.monotonic() + _PATIENCE
    while not ready():
        if process.poll() is not None or time.monotonic() > end:
            log = (folder / "log").read_text(errors="replace")
            pytest.fail(f"The {what} server did not start:\n{log[-4000:]}", pytrace=False)
        time.sleep(0.05)


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _environment(folder: Path) -> dict[str, str]:
    # A MariaDB server that begins deletes temporary tables from its folder for them: those of other servers, too.
    temporary = {"TMPDIR": str(folder)}
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC", **temporary}
