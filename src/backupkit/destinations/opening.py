"""`open_destination`: from what a person writes down to the destination it means."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any, TypeAlias, cast

from backupkit.destinations.local import LocalDestination
from backupkit.destinations.remote import RemoteDestination
from backupkit.destinations.wrapping import Wrapping
from backupkit.errors import ConfigurationError
from backupkit.filesystems.roots import UPathLike
from backupkit.protocols import Destination

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")


URLLike: TypeAlias = str | os.PathLike[str] | UPathLike
"""What a person writes down to say where."""


def open_destination(url: URLLike, **options: Any) -> Destination:
    """Return the destination at a path or URL, without any I/O.

    A path may be relative or begin with `~`; a `file:` URL is absolute and percent-encoded; both take the options
    of `LocalDestination`. Other URLs (`s3://`, `gs://`, `abfs://`, `dropbox://`, `sftp://`, `memory://`, and those
    of any other file system that fsspec knows) take that file system's own options, a ready one as `fs=`, and
    those of `RemoteDestination`. A UPath is a URL with options.

    ConfigurationError for what is no such thing, ModuleNotFoundError, which names the extra, for what is not
    installed. The messages never repeat a URL, as it may hold a password.
    """
    if not isinstance(url, str | os.PathLike):
        return RemoteDestination(url, **options)
    text = os.fspath(url)
    scheme = _SCHEME.match(text)
    fs = options.get("fs")
    if fs is not None and not _is_local(fs):
        return RemoteDestination(text, **options)
    options.pop("fs", None)
    if isinstance(url, os.PathLike) or scheme is None:
        return _local(text, options)
    if scheme[1].lower() not in ("file", "local"):
        return RemoteDestination(text, **options)
    if not text[scheme.end() :].startswith("///"):
        raise ConfigurationError(
            "The file URL names a host or a relative path: write file:///absolute/path, "
            "with three slashes, for a folder of this machine."
        )
    from urllib.parse import unquote

    return _local(unquote(text[scheme.end() + 2 :], errors="surrogateescape"), options)


def within(destination: Destination) -> tuple[Destination, str] | None:
    """The destination one folder above, and that folder's name; None if there is none, or nobody can tell."""
    if isinstance(destination, Wrapping):
        found = within(destination.inner)
        return found and (destination.around(found[0]), found[1])
    return destination.within() if isinstance(destination, LocalDestination | RemoteDestination) else None


def _opened(one: Destination | URLLike) -> Destination:
    if isinstance(one, str | os.PathLike) or hasattr(one, "storage_options"):
        return open_destination(cast("URLLike", one))
    return one


def _is_local(fs: Any) -> bool:
    return "file" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)


def _local(folder: str, options: dict[str, Any]) -> LocalDestination:
    if unknown := sorted(options.keys() - {"mode", "create"}):
        raise ConfigurationError(
            f"A local folder has no options called {', '.join(unknown)}: it knows mode= and create=."
        )
    return LocalDestination(folder, **options)


def open_destinations(
    destinations: Destination | URLLike | Sequence[Destination | URLLike],
) -> Sequence[Destination]:
    """The destinations meant: URLs and paths are opened, one is made a list, none and twice are refused."""
    if isinstance(destinations, str) or not isinstance(destinations, Sequence):
        destinations = [destinations]
    opened = [_opened(one) for one in destinations]
    if not opened:
        raise ConfigurationError("There is no destination: name at least one.")
    locations = [one.location for one in opened]
    for location in locations:
        if locations.count(location) > 1:
            raise ConfigurationError(f"The destination {location} is named twice: name it once.")
    return tuple(opened)


def chosen_of(destinations: Sequence[Destination], at: str | None) -> Sequence[Destination]:
    """The one of these at this location, path or URL, whose settings may be left out; all of them for None."""
    if at is None:
        return destinations
    for destination in destinations:
        if destination.location == at:
            return [destination]
    location = open_destination(at).location
    chosen = [one for one in destinations if one.location == location]
    if not chosen:  # the settings behind the question mark may be left out
        chosen = [one for one in destinations if one.location.partition("?")[0] == location]
    all_of_them = ", ".join(destination.location for destination in destinations)
    if not chosen:
        raise ConfigurationError(f"There is no destination {location} here: use one of {all_of_them}.")
    if len(chosen) > 1:
        raise ConfigurationError(
            f"Several destinations are called {location}: write all of one, of {all_of_them}."
        )
    return chosen
