"""What would go over the network for anybody to read is refused, unless it was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from backupkit.errors import ConfigurationError

_PLAIN = {"http", "ftp", "webdav+http"}


def check_url(url: str, location: str) -> None:
    """Raise ConfigurationError for a URL whose protocol encrypts nothing, unless it stays on this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError as error:  # half of an IPv6 address
        raise ConfigurationError(f"An address of {location} is no URL: correct it.") from error
    if parts.scheme.lower() in _PLAIN and not _is_loopback(host):
        protocol = parts.scheme.rpartition("+")[2].upper()
        raise ConfigurationError(
            f"{location} would be reached by {protocol}, which anybody on the way can read and change: use HTTPS "
            "(or tls=True for FTP), or allow_plaintext=True if you trust the network."
        )


def check_options(options: Mapping[str, Any], location: str) -> None:
    """The same for every address among the options of a file system, nested ones too."""
    if "known_hosts" in options and options["known_hosts"] is None:
        raise ConfigurationError(
            f"With known_hosts=None nobody would check who answers at {location}: name a file that holds its key, "
            "or leave the option away for ~/.ssh/known_hosts."
        )
    for name, value in options.items():
        if name == "proxies":
            continue  # they only see what is encrypted for the address behind them
        if isinstance(value, Mapping):
            check_options(value, location)
        elif isinstance(value, str) and "://" in value:
            check_url(value, location)


def _is_loopback(host: str | None) -> bool:
    if host is None or host == "localhost" or host.endswith(".localhost"):
        return host is not None
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
