"""`Root`: a folder of a file system, how to reach it, and what it may be called in messages."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar
from urllib.parse import parse_qsl, quote, urlencode

from backupkit.errors import ConfigurationError
from backupkit.filesystems.kinds import Kind, kind_of, kind_of_ready
from backupkit.filesystems.plaintext import check_options, check_url
from backupkit.filesystems.stores import HasAddress
from backupkit.filesystems.transfer import Transfer

if TYPE_CHECKING:
    from concurrent.futures import Future

    from fsspec import AbstractFileSystem

    from backupkit.filesystems.stores import FileStore

T = TypeVar("T")

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_IPV6 = re.compile(r"\[[0-9A-Fa-f:.]*\]")  # an address in a URL (RFC 3986, 3.2.2)
_OURS = frozenset(field.name for field in fields(Transfer))
_PLACES = ("endpoint_url", "base_url", "account_name", "account_host", "namespace_id", "team_member_id")
"""Settings that say where, and not only as whom."""


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
            url = _addressed(url, options)
        self._given = {"fs": fs, "allow_plaintext": allow_plaintext, **options}
        self.transfer = Transfer(**{name: options.pop(name) for name in _OURS & options.keys()})
        self._fs = fs
        self._process = os.getpid()
        self._connections: dict[int, Future[tuple[FileStore, str]]] = {}  # by process
        if fs is not None:
            self.kind, self._url, self.location = _ready(url, fs)
            if options:
                raise ConfigurationError(
                    f"{self.location} was given a ready file system, and options for one: give them to that one."
                )
            self._options: Mapping[str, Any] = {}
            return
        self.kind, self._url, settings = _parsed(url)
        self._options = {**settings, **options}
        self.location = _shown(self._url) + _asked(self.kind, self._options)
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
        url, asked, query = self.location.partition("?")
        if self._fs is None:
            url = self._url  # which may have a password
        else:
            asked = query = ""  # it has them already
        scheme, _, rest = url.partition("://")
        above, slash, name = rest.rpartition("/")
        if not slash or (not above and not name) or (not above and self.kind.has_host):
            return None
        return Root(f"{scheme}://{above}{asked}{query}", **self._given), name

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
            threading.Thread(target=_fulfil, args=(mine, self._connect), daemon=True).start()
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


def join(folder: str, name: str) -> str:
    """The path of what is called so in this folder."""
    return f"{folder}/{name}" if folder or not name else name


def below(location: str, name: str) -> str:
    """The location of what is called so there."""
    url, asked, query = location.partition("?")
    return f"{url.rstrip('/')}/{name}{asked}{query}"


def place_within(outer: str, inner: str) -> str | None:
    """The path of one location below another, "" for the same one, None if it is elsewhere.

    ConfigurationError if they would be the same by their paths, and only one of them says which service is meant:
    leaving out what may be somebody's data, and taking what may be our own backups, are both wrong.
    """
    scheme, path, place = _place(outer)
    other_scheme, other_path, other_place = _place(inner)
    if scheme != other_scheme or (path and not f"{other_path}/".startswith(f"{path}/")):
        return None
    for setting in _PLACES:
        one, other = place.get(setting), other_place.get(setting)
        if None not in (one, other) and one != other:
            return None
    if place != other_place:
        raise ConfigurationError(
            f"Whether {inner} lies within {outer} cannot be told, as only one of them says which service it means: "
            "say it for both, in the URLs or as options."
        )
    return other_path.removeprefix(path).lstrip("/")


def _place(location: str) -> tuple[str, str, dict[str, str]]:
    url, _, query = location.partition("?")
    scheme, _, path = url.partition("://")
    settings = {name: value.rstrip("/") for name, value in parse_qsl(query) if name in _PLACES}
    host, slash, folder = path.partition("/")
    before, at, address = host.rpartition("@")
    if at and scheme == "abfs":  # abfs://container@account.dfs.core.windows.net/
        host, settings["account_name"] = before, address.partition(".")[0]
    elif at:  # whoever asks, the place is the same
        host = address
    return scheme, f"{host.lower()}{slash}{folder}".strip("/"), settings


def _addressed(url: str, options: dict[str, Any]) -> str:
    """Move the server from the options, where fsspec's users and UPath may have it, into a URL that names none."""
    scheme, _, path = url.partition("://")
    if scheme.startswith("webdav") and "base_url" in options:
        protocol, _, base = str(options.pop("base_url")).partition("://")
        return f"webdav+{protocol}://{base.rstrip('/')}/{path.lstrip('/')}"
    if "host" not in options or not path.startswith("/"):
        return url
    host, port, user = (options.pop(name, None) for name in ("host", "port", "username"))
    address = f"[{host}]" if ":" in str(host) else str(host)
    address += f":{port}" if port else ""
    return f"{scheme}://{quote(user, safe='') + '@' if user else ''}{address}{path}"


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


def _ready(url: str, fs: AbstractFileSystem) -> tuple[Kind, str, str]:
    """The kind, the URL for fsspec and the one for people, of a path of a file system that was made already."""
    protocols = (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)
    if getattr(fs, "asynchronous", False):
        raise ConfigurationError(
            "The file system that was given works only inside an event loop: make it without asynchronous=True."
        )
    scheme = _SCHEME.match(url)
    if scheme and scheme[1].lower() not in protocols:
        raise ConfigurationError(
            f"The file system that was given is one of {protocols[0]}://, and the URL is of another: give its path."
        )
    kind = kind_of_ready(fs, protocols[0])
    path = url[scheme.end() :] if scheme else url
    _check_text(path)
    location = _shown(f"{kind.protocol}://{path.rstrip('/')}") + _asked(kind, fs.storage_options)
    return kind, path if scheme is None else url, location


def _parsed(url: str) -> tuple[Kind, str, Mapping[str, str]]:
    """The kind, the URL for fsspec, and the settings that stood in it."""
    scheme = _SCHEME.match(url)
    if scheme is None:
        raise ConfigurationError(
            "This is no URL of a file system: write one such as s3://bucket/folder "
            "(and ./ before a path with a colon in it)."
        )
    kind = kind_of(scheme[1].lower())
    rest, _, query = url[scheme.end() :].partition("?")
    settings = dict(parse_qsl(query, keep_blank_values=True))
    _check_text(rest)
    if unknown := settings.keys() - kind.settings:
        allowed = ", ".join(sorted(kind.settings)) or "none"
        raise ConfigurationError(
            f"A URL of {kind.protocol}:// may have these settings behind a question mark: {allowed}. Others, and "
            f"all secrets, are options of open_destination or stand in the environment ({len(unknown)} not known)."
        )
    host = rest.partition("/")[0]
    if "@" in host and not kind.hosts and kind.protocol != "abfs":
        raise ConfigurationError(
            f"A URL of {kind.protocol}:// has no place for credentials: give them as options, or in the "
            "environment."
        )
    if not host and kind.has_host:
        raise ConfigurationError(
            f"A URL of {kind.protocol}:// names {'a host' if kind.hosts else 'a bucket or container'} first, as in "
            f"{kind.protocol}://name/folder."
        )
    return kind, f"{kind.protocol}://{rest.rstrip('/')}", settings


def _shown(url: str) -> str:
    """The URL without a password."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    user, at, address = host.rpartition("@")
    return f"{scheme}://{user.partition(':')[0] if at else ''}{at}{address}{slash}{path}"


def _asked(kind: Kind, options: Mapping[str, Any]) -> str:
    """The settings, as they stand at the end of a URL."""
    settings = dict(_settings(kind, options))
    return f"?{urlencode(settings, safe=':/')}" if settings else ""


def _settings(kind: Kind, options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Those that a URL may have, wherever they were given: two places that differ in them are two."""
    nested = options.get("client_kwargs")
    for name in sorted(kind.settings):
        value = options.get(name)
        if value is None and isinstance(nested, Mapping):
            value = nested.get(name)
        if not isinstance(value, str) or not value:
            continue
        if "@" in value.partition("://")[2].partition("/")[0]:
            raise ConfigurationError(
                f"{name} has no place for credentials: give them as options, or in the environment."
            )
        yield name, value


def _check_text(text: str) -> None:
    if "::" in _IPV6.sub("", text):
        raise ConfigurationError(
            "A URL with '::' means one file system inside another to fsspec: give that as a ready one, fs=…, "
            "or use another name for the folder."
        )
    if not text.isprintable():
        raise ConfigurationError("The URL has characters that cannot be printed: use others for the folder.")
    if {".", ".."} & set(text.split("/")):
        raise ConfigurationError("The URL has '.' or '..' as a folder: write the path that is meant.")
