"""`Session`: SFTP to one server over a connection that is made when it is needed, and anew when it was lost."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import asyncssh
from fsspec.asyn import get_loop
from fsspec.config import conf

from backupkit._parallel import map_ordered
from backupkit.errors import ConfigurationError
from backupkit.filesystems.asking import Asking
from backupkit.filesystems.transfer import Transfer

A = TypeVar("A")
T = TypeVar("T")

_LOST = (asyncssh.ConnectionLost, asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection)
_AT_ONCE = 1e-6  # a patience that lets no second attempt begin


class Session:
    """One account of one server, for any number of threads; what it runs is on fsspec's loop, a daemon thread's.

    The server's host key must be known: nothing can switch that off. `options` are those of `asyncssh.connect`,
    which reads ~/.ssh/config, ~/.ssh/known_hosts, the agent and the default keys unless they say otherwise.
    """

    def __init__(self, host: str, options: Mapping[str, Any], transfer: Transfer) -> None:
        self._host = host
        self.window = transfer.concurrency
        # Five unanswered seconds of sixty, four times: a connection that is dead is given up within the time limit,
        # so that the next attempt makes a new one. Whatever the server sends counts as an answer.
        beat = {"keepalive_interval": transfer.time_limit / 5, "keepalive_count_max": 3}
        # Without an empty config, options that are made apart from a connection read no ~/.ssh/config.
        usual: dict[str, Any] = {"config": (), "connect_timeout": transfer.time_limit}
        self._options = usual | {"login_timeout": transfer.time_limit} | beat
        self._options |= options
        self._lock = asyncio.Lock()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._sftp: asyncssh.SFTPClient | None = None
        self.asking = Asking(transfer, get_loop())
        self.once = Asking(replace(transfer, patience=_AT_ONCE), get_loop())

    def ask(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Call it with the SFTP client, again after failures that may pass, and wait for the answer."""
        answer: T = self.asking.ask(self.call, function, *args)
        return answer

    def in_order(
        self,
        function: Callable[[asyncssh.SFTPClient, A], Coroutine[Any, Any, T]],
        items: Iterable[A],
        *,
        moving: int,
    ) -> Iterator[T]:
        """The same for each of the items, several at once, each of which moves so many bytes."""
        asking = self.asking.moving(moving * self.window)
        call: Any = partial(self.call, function)  # whose answers an Asking waits for
        return map_ordered(asking, call, items, self.window)

    async def call(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Call it with the SFTP client of a connection that stands."""
        sftp = await self._client()
        try:
            return await function(sftp, *args)
        except _LOST:
            # The server's SFTP program may have ended while the connection goes on.
            if self._sftp is sftp:
                self._sftp = None
            raise

    async def _client(self) -> asyncssh.SFTPClient:
        async with self._lock:
            if self._sftp is None or self._connection is None or self._connection.is_closed():
                if self._connection is not None:
                    self._connection.abort()
                self._connection = await self._connect()
                # The loop holds on to it, and keeps it alive, when nobody else does any more.
                weakref.finalize(self, _leave, os.getpid(), self._connection)
                # Names may be of any bytes: those of others in the folder must not keep ours from being listed.
                self._sftp = await self._connection.start_sftp_client(path_errors="surrogateescape")
            return self._sftp

    async def _connect(self) -> asyncssh.SSHClientConnection:
        options = await asyncssh.SSHClientConnectionOptions.construct(host=self._host, **self._options)
        if options.known_hosts is None:
            raise ConfigurationError(
                f"The host key of {self._host} would not be checked (known_hosts=None, or UserKnownHostsFile none "
                "in ~/.ssh/config), and anybody could take the backups: name a file that holds its key."
            )
        return await asyncssh.connect(self._host, options=options, config=None)


def _leave(process: int, connection: asyncssh.SSHClientConnection) -> None:
    if os.getpid() == process:  # in a forked one it is the parent's
        with suppress(RuntimeError):  # the loop has ended
            get_loop().call_soon_threadsafe(connection.abort)


def account(url: str) -> tuple[str, Mapping[str, Any], str]:
    """The host, the options and the path of an `sftp://user:password@host:port/path`."""
    address, _, path = url.partition("://")[2].partition("/")
    credentials, _, place = address.rpartition("@")
    user, _, password = credentials.partition(":")
    parts = urlsplit(f"//{place}")
    try:
        named = {"username": unquote(user), "password": unquote(password), "port": parts.port}
    except ValueError:
        parts = urlsplit("")
    if not parts.hostname:
        raise ConfigurationError(
            "An SFTP URL names a host: write sftp://user@host/folder, or sftp://host:2222/folder."
        )
    inside = "" if not path else path[2:] if path.startswith("~/") else "" if path == "~" else f"/{path}"
    return (
        parts.hostname,
        {**conf.get("sftp", {}), **{name: one for name, one in named.items() if one}},
        inside,
    )
