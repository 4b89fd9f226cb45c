"""`Root`: a folder of a file system, how to reach it, and what it may be called in messages."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import parse_qsl, urlencode, urlsplit

from backupkit.errors import ConfigurationError
from backupkit.filesystems.kinds import Kind, kind_of
from backupkit.filesystems.plaintext import check_options, check_url
from backupkit.filesystems.stores import HasAddress
from backupkit.filesystems.transfer import Transfer

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from backupkit.filesystems.stores import FileStore

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_OURS = frozenset(field.name for field in fields(Transfer))


class Root:
    """A folder of a file system. Holds settings only; `store()` connects, once in each process.

    `location` is a URL without secrets. `options` are those of the file system, as fsspec's users know them, and
    those of `Transfer`. A ready `fs` is used as it is; then the URL may be its plain path. With
    `allow_plaintext=True` what is sent may be read by anybody on the way.
    """

    def __init__(
        self,
        url: str,
        *,
        fs: AbstractFileSystem | None = None,
        allow_plaintext: bool = False,
        **options: Any,
    ) -> None:
        self._given = {"fs": fs, "allow_plaintext": allow_plaintext, **options}
        self.transfer = Transfer(**{name: options.pop(name) for name in _OURS & options.keys()})
        self.kind, self._url, self.location, settings = _parsed(url, fs)
        if fs is not None and (options or settings):
            raise ConfigurationError(
                f"{self.location} was given a ready file system, and options for one: give them to that one."
            )
        self.kind.check_installed()
        self._options: Mapping[str, Any] = MappingProxyType({**settings, **options})
        self._fs = fs
        self._lock = threading.Lock()
        self._store: tuple[int, FileStore, str] | None = None  # of this process
        if not allow_plaintext:
            if not self._options.get("tls"):  # by which FTP is encrypted
                check_url(self._url, self.location)
            check_options(self._options, self.location)

    def __repr__(self) -> str:
        return f"Root({self.location!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{self.location} is not pickled, lest its options, which may hold a secret, be stored: "
            "make it where it is used"
        )

    def within(self) -> tuple[Root, str] | None:
        """The folder above, reached in the same way, and this folder's name; None for one that has none above."""
        scheme, _, rest = self._url.partition("://")
        above, slash, name = rest.rpartition("/")
        if not slash or (not above and not name):
            return None
        query = urlsplit(self.location).query
        return Root(f"{scheme}://{above}" + (f"?{query}" if query else ""), **self._given), name

    def store(self) -> tuple[FileStore, str]:
        """The connected file system, and the path of this folder in it.

        Connected anew in a process that was forked, where the libraries refuse to work on, or hang.
        """
        with self._lock:
            if self._store is None or self._store[0] != os.getpid():
                store, path = self._connect()
                self._store = (os.getpid(), store, path)
            return self._store[1], self._store[2]

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
        path = str(fs._strip_protocol(self._url)).rstrip("/")
        store = self.kind.connected(fs, self.transfer)
        if not self._given["allow_plaintext"] and isinstance(store, HasAddress):
            check_url(store.address, self.location)
        return store, path


def join(folder: str, name: str) -> str:
    """The path of what is called so in this folder."""
    return f"{folder}/{name}" if folder or not name else name


def _parsed(url: str, fs: AbstractFileSystem | None) -> tuple[Kind, str, str, Mapping[str, str]]:
    """The kind, the URL for fsspec, the one for people, and the settings that stood in it."""
    scheme = _SCHEME.match(url)
    if fs is not None:
        protocol = fs.protocol if isinstance(fs.protocol, str) else fs.protocol[0]
        kind = kind_of(scheme[1].lower() if scheme else protocol)
        path = url[scheme.end() :] if scheme else url
        location = f"{kind.protocol}://{path}"
        _check_text(location)
        return kind, path, location, {}
    if scheme is None:
        raise ConfigurationError(
            "This is no URL of a file system: write one such as s3://bucket/folder "
            "(and ./ before a path with a colon in it)."
        )
    kind = kind_of(scheme[1].lower())
    rest, _, query = url[scheme.end() :].partition("?")
    settings = dict(parse_qsl(query, keep_blank_values=True))
    _check_text(rest)
    if unknown := sorted(settings.keys() - kind.settings):
        allowed = ", ".join(sorted(kind.settings)) or "none"
        raise ConfigurationError(
            f"A URL of {kind.protocol}:// may have these settings behind a question mark: {allowed}. Others, and "
            f"all secrets, are options of open_destination or stand in the environment ({len(unknown)} not known)."
        )
    host, slash, path = rest.partition("/")
    user, at, address = host.rpartition("@")
    if at and not kind.hosts and kind.protocol != "abfs":
        raise ConfigurationError(
            f"A URL of {kind.protocol}:// has no place for credentials: give them as options, or in the "
            "environment."
        )
    if kind.hosts and not address:
        raise ConfigurationError(
            f"A URL of {kind.protocol}:// names a host: write {kind.protocol}://user@host/folder."
        )
    shown = f"{user.partition(':')[0]}@{address}" if at else host
    asked = f"?{urlencode(settings, safe=':/')}" if settings else ""
    location = f"{kind.protocol}://{shown}{slash}{path}".rstrip("/") + asked
    return kind, f"{kind.protocol}://{rest}".rstrip("/"), location, settings


def _check_text(text: str) -> None:
    if "::" in text:
        raise ConfigurationError(
            "A URL with '::' means one file system inside another to fsspec: give that as a ready one, fs=…, "
            "or use another name for the folder."
        )
    if not text.isprintable():
        raise ConfigurationError("The URL has characters that cannot be printed: use others for the folder.")
