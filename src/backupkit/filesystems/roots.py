"""`Root`: a folder of a file system, how to reach it, and what it may be called in messages."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar

from backupkit.errors import ConfigurationError
from backupkit.filesystems.addresses import addressed, asked, parsed, ready, shown
from backupkit.filesystems.plaintext import check_options, check_url
from backupkit.filesystems.stores import HasAddress
from backupkit.filesystems.transfer import Transfer

if TYPE_CHECKING:
    from concurrent.futures import Future

    from fsspec import AbstractFileSystem

    from backupkit.filesystems.stores import FileStore

T = TypeVar("T")

_OURS = frozenset(field.name for field in fields(Transfer))


class UPathLike(Protocol):
    """A path of universal_pathlib that is not on this machine: its text is its URL."""

    @property
    def storage_options(self) -> Mapping[str, Any]: ...


class Root:
    """A folder of a file system. Holds settings only; `store()` connects, once in each process.

    `location` is a URL without secrets; it has those of the settings that a URL may have. `options` are those of
    the file system, as fsspec's users know them, and those of `Transfer`; `storage_options` are the former as one
    mapping. A ready `fs` is used as it is; then the URL may be its plain path. With `allow_plaintext=True` what is
    sent may be read by anybody on the way.
    """

    def __init__(
        self,
        url: str | UPathLike,
        *,
        fs: AbstractFileSystem | None = None,
        storage_options: Mapping[str, Any] | None = None,
        allow_plaintext: bool = False,
        **options: Any,
    ) -> None:
        if not isinstance(url, str):
            options, url = {**url.storage_options, **options}, str(url)
        options = _together(storage_options, options)
        if fs is None:
            url = addressed(url, options)
        self._given = {"fs": fs, "allow_plaintext": allow_plaintext, **options}
        self.transfer = Transfer(**{name: options.pop(name) for name in _OURS & options.keys()})
        self._fs = fs
        self._process = os.getpid()
        self._connections: dict[int, Future[tuple[FileStore, str]]] = {}  # by process
        if fs is not None:
            self.kind, self._url, self.location = ready(url, fs)
            if options:
                raise ConfigurationError(
                    f"{self.location} was given a ready file system, and options for one: give them to that one."
                )
            self._options: Mapping[str, Any] = {}
            return
        self.kind, self._url, settings = parsed(url)
        self._options = {**settings, **options}
        self.location = shown(self._url) + asked(self.kind, self._options)
        self.kind.check_installed()
        if not allow_plaintext:
            if not self._options.get("tls"):  # by which FTP is encrypted
                check_url(self._url, self.location)
            check_options(self._options, self.location)

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine."""
        return self.kind.protocol in ("file", "local")

    @property
    def name(self) -> str:
        """The last part of the URL: the folder, or the bucket or host."""
        return self.location.partition("?")[0].rstrip("/").rpartition("/")[2].rpartition("@")[2]

    def __repr__(self) -> str:
        return f"Root({self.location!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{self.location} is not pickled, lest its options, which may hold a secret, be stored: "
            "make it where it is used"
        )

    @property
    def plaintext(self) -> bool:
        """Whether what is sent may be read by anybody on the way, which was asked for then."""
        try:
            if not self._options.get("tls"):
                check_url(self._url, self.location)
            check_options(self._options, self.location)
        except ConfigurationError:
            return True
        return False

    def within(self) -> tuple[Root, str] | None:
        """The folder above, reached in the same way, and this folder's name; None for one that has none above."""
        url, mark, query = self.location.partition("?")
        if self._fs is None:
            url = self._url  # which may have a password
        else:
            mark = query = ""  # it has them already
        scheme, _, rest = url.partition("://")
        above, slash, name = rest.rpartition("/")
        if not slash or (not above and not name) or (not above and self.kind.has_host):
            return None
        return Root(f"{scheme}://{above}{mark}{query}", **self._given), name

    def store(self) -> tuple[FileStore, str]:
        """The connected file system, and the path of this folder in it.

        Connected anew in a process that was forked, where the libraries refuse to work on, or hang. Several threads
        share one connection, and wait for it no longer than the time limit.
        """
        from backupkit.filesystems.asking import ask

        return ask(self.transfer, self._connected)

    def _connected(self) -> tuple[FileStore, str]:
        from concurrent.futures import Future

        # Without a lock, which a process that is forked at the wrong moment would inherit locked.
        process = os.getpid()
        mine: Future[tuple[FileStore, str]] = Future()
        future = self._connections.setdefault(process, mine)
        if future is mine:
            # Some libraries connect, or fetch a token, when they are made, and some of those without a time limit.
            threading.Thread(
                target=_fulfil, args=(mine, self._connect), name="backupkit connecting", daemon=True
            ).start()
        try:
            return future.result(self.transfer.time_limit)
        except BaseException:
            if self._connections.get(process) is future:
                self._connections.pop(process, None)
            raise

    def _connect(self) -> tuple[FileStore, str]:
        fs = self._fs
        if fs is None:
            connected = self.kind.connected_by_url(self._url, self._options, self.transfer)
            if connected is not None:
                return connected
            kind = self.kind.file_system_class()
            from_url = kind._get_kwargs_from_urls(self._url)
            # Not fsspec's cache of instances, which would keep the secrets of all there ever were.
            given = {**self.kind.options, **from_url, **self._options, "skip_instance_cache": True}
            fs = kind(**given)
        elif os.getpid() != self._process:
            fs = type(fs)(*fs.storage_args, **{**fs.storage_options, "skip_instance_cache": True})
        path = str(fs._strip_protocol(self._url)).rstrip("/")
        store = self.kind.connected(fs, self.transfer)
        if not self._given["allow_plaintext"] and isinstance(store, HasAddress):
            check_url(store.address, self.location)
        return store, path


def _together(storage_options: Mapping[str, Any] | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """All options, which some of fsspec's users give as one mapping."""
    given = {} if storage_options is None else storage_options
    if not isinstance(given, Mapping):
        raise ConfigurationError(
            "storage_options= is no mapping: give options by their names, or a dict of them."
        )
    if twice := sorted(given.keys() & options.keys()):
        raise ConfigurationError(
            f"Given twice, in storage_options= and beside it: {', '.join(twice)}. Give it once."
        )
    return {**given, **options}


def _fulfil(future: Future[T], function: Callable[[], T]) -> None:
    try:
        result = function()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
    finally:
        del future  # its error's traceback has this call: one would keep the other, and the connection
