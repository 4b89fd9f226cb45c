"""What the URL of a place says: which kind, folder and settings; and where two places stand to each other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode

from backupkit.errors import ConfigurationError
from backupkit.filesystems.kinds import Kind, kind_of, kind_of_ready

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_IPV6 = re.compile(r"\[[0-9A-Fa-f:.]*\]")  # an address in a URL (RFC 3986, 3.2.2)
_ACCOUNT = re.compile(r"(?:^|;)\s*AccountName\s*=([^;]*)", re.IGNORECASE)
_PLACES = ("endpoint_url", "base_url", "account_name", "account_host", "namespace_id", "team_member_id")
"""Settings that say where, and not only as whom."""


def ready(url: str, fs: AbstractFileSystem) -> tuple[Kind, str, str]:
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
    location = shown(f"{kind.protocol}://{path.rstrip('/')}") + asked(kind, fs.storage_options)
    return kind, path if scheme is None else url, location


def parsed(url: str) -> tuple[Kind, str, Mapping[str, str]]:
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


def addressed(url: str, options: dict[str, Any]) -> str:
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


def join(folder: str, name: str) -> str:
    """The path of what is called so in this folder."""
    return f"{folder}/{name}" if folder else name


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


def shown(url: str) -> str:
    """The URL without a password."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    user, at, address = host.rpartition("@")
    return f"{scheme}://{user.partition(':')[0] if at else ''}{at}{address}{slash}{path}"


def asked(kind: Kind, options: Mapping[str, Any]) -> str:
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
        if value is None and name == "account_name":
            value = _account_of(options.get("connection_string"))
        if not isinstance(value, str) or not value:
            continue
        if "@" in value.partition("://")[2].partition("/")[0]:
            raise ConfigurationError(
                f"{name} has no place for credentials: give them as options, or in the environment."
            )
        yield name, value


def _account_of(connection_string: object) -> str | None:
    """Whose account a connection string of Azure is for: containers of one name in two are two places."""
    found = _ACCOUNT.search(connection_string) if isinstance(connection_string, str) else None
    return found and found[1].strip()


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
