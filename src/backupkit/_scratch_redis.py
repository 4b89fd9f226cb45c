"""A Redis server of a drill's own: Redis has no database that could be made beside those in use."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from backupkit._scratch import Tell, kept
from backupkit.databases.clients import DatabaseClient, client_of
from backupkit.databases.programs import ClientError, environment
from backupkit.databases.redis import server_program
from backupkit.databases.urls import DatabaseURL
from backupkit.errors import RestoreError

if TYPE_CHECKING:
    import subprocess

_PATIENCE = 30.0  # seconds in which a server without data answers
_LONGEST = 100  # bytes of a socket's path; Linux takes 107, macOS 103
# It is ended when its standard input is, however the drill ends. "$1" is the server, "$2" its configuration.
_GUARDED = '"$1" "$2" & server=$!; trap "kill $server" TERM; cat >/dev/null; kill $server; wait $server'


@dataclass(frozen=True, slots=True)
class ScratchRedis:
    """A server that is reached by a socket in `folder` alone, which only its owner can enter, and keeps nothing."""

    folder: Path
    program: str
    tools: Path | None

    @property
    def url(self) -> DatabaseURL:
        return DatabaseURL(engine="redis", scheme="redis", socket=os.fspath(self.folder / "server.sock"))

    @property
    def client(self) -> DatabaseClient:
        return client_of(self.url, tools=self.tools)

    def check(self, path: str) -> None:
        """Nothing: it is not there yet, and nobody else's."""

    def check_apart(self, path: str, sources: Iterable[DatabaseURL]) -> None:
        """Nothing, for the same reason."""

    @contextmanager
    def made(self, path: str, *, keep: bool, tell: Tell, used: Callable[[], bool]) -> Iterator[None]:
        """Run it for as long as the context lasts, or beyond if `keep`. RestoreError if it does not start."""
        import subprocess

        self.folder.mkdir(mode=0o700)
        configuration = self.folder / "redis.conf"
        configuration.write_text(
            f'port 0\nunixsocket "{self.folder}/server.sock"\nunixsocketperm 700\ndir "{self.folder}"\nsave ""\n'
        )
        command = (
            [self.program, os.fspath(configuration)]
            if keep
            else ["sh", "-c", _GUARDED, "sh", self.program, os.fspath(configuration)]
        )
        with (self.folder / "log").open("wb") as log:
            server = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment(),
                start_new_session=True,
            )
        try:
            self._wait(server, path)
            yield
        finally:
            if keep:
                tell(kept(f"The Redis server {self.url} (process {server.pid})"))
            else:
                assert server.stdin is not None  # noqa: S101 - it is a pipe
                server.stdin.close()
                server.wait()

    def _wait(self, server: subprocess.Popen[bytes], path: str) -> None:
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                self.client.state()
                return
            except ClientError as error:
                if server.poll() is not None or time.monotonic() > end:
                    said = (self.folder / "log").read_text(errors="replace").strip().rpartition("\n")[2]
                    raise RestoreError(
                        f"The drill could not begin: no scratch server for {path} started: {said or error}",
                        path=path,
                    ) from error
                time.sleep(0.02)


def scratch_redis(folder: Path, tools: Path | None) -> ScratchRedis | str:
    """A server in this folder, which does not exist yet; or why there can be none."""
    try:
        program = server_program(tools)
    except ClientError:
        return "no redis-server is installed here, and Redis has no scratch databases beside those in use"
    if len(os.fsencode(folder / "server.sock")) > _LONGEST:
        return f"the path {str(folder)!r} is too long for the socket of a scratch server: give a shorter scratch="
    return ScratchRedis(folder, program, tools)
