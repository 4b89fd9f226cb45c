"""`open_destination`: from what a person writes down to the destination it means."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from backupkit.destinations.local import LocalDestination
from backupkit.errors import ConfigurationError
from backupkit.protocols import Destination

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")


def open_destination(url: str | os.PathLike[str]) -> Destination:
    """Return the destination at a path, or at a `file:///path` URL, without any I/O.

    A path may be relative or begin with `~`; a URL is absolute and percent-encoded. The messages never
    repeat a URL that is refused, as it may hold a password.
    """
    text = os.fspath(url)
    scheme = _SCHEME.match(text)
    if isinstance(url, os.PathLike) or scheme is None:
        return LocalDestination(text)
    if scheme[1].lower() != "file":
        raise ConfigurationError(
            f"Destinations of the kind {scheme[1]}: are not supported: this version writes to local folders "
            "only, given as a path or as file:///path (write ./ before a path with a colon in it)."
        )
    if not text[scheme.end() :].startswith("///"):
        raise ConfigurationError(
            "The file URL names a host or a relative path: write file:///absolute/path, "
            "with three slashes, for a folder of this machine."
        )
    from urllib.parse import unquote

    return LocalDestination(unquote(text[scheme.end() + 2 :], errors="surrogateescape"))


def open_destinations(
    destinations: Destination | str | os.PathLike[str] | Sequence[Destination | str | os.PathLike[str]],
) -> Sequence[Destination]:
    """The destinations meant: URLs and paths are opened, one is made a list, none and twice are refused."""
    if isinstance(destinations, str | os.PathLike) or not isinstance(destinations, Sequence):
        destinations = [destinations]
    opened = [open_destination(one) if isinstance(one, str | os.PathLike) else one for one in destinations]
    if not opened:
        raise ConfigurationError("There is no destination: name at least one.")
    locations = [one.location for one in opened]
    for location in locations:
        if locations.count(location) > 1:
            raise ConfigurationError(f"The destination {location} is named twice: name it once.")
    return tuple(opened)
