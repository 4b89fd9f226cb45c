"""What the URL of a MySQL or MariaDB server says after its `?`, in the words of every driver."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, TypeAlias, get_args

from backupkit.databases.urls import DatabaseURL
from backupkit.errors import ConfigurationError

TLS: TypeAlias = Literal["disabled", "preferred", "required", "verify_ca", "verify_identity"]

_MODES: tuple[TLS, ...] = get_args(TLS)  # each is stricter than the one before
_OTHER_MODES: Mapping[str, TLS] = {
    "disable": "disabled",
    "prefer": "preferred",
    "require": "required",
    "skip_verify": "required",
    "verify_full": "verify_identity",
    "true": "required",
    "false": "disabled",
}
_MODE_OPTIONS = ("ssl_mode", "sslmode", "tls")
# What each asks for when it is true, and when it is false.
_SWITCHES: Mapping[str, tuple[TLS | None, TLS | None]] = {
    "ssl": ("required", "disabled"),
    "usessl": ("required", "disabled"),
    "ssl_disabled": ("disabled", None),
    "ssl_verify_cert": ("verify_ca", None),
    "ssl_verify_identity": ("verify_identity", None),
    "ssl_check_hostname": ("verify_identity", None),
    "ssl_verify_server_cert": ("verify_identity", None),
}
_PASSED_ON = (
    *("ssl_ca", "ssl_capath", "ssl_cert", "ssl_key", "ssl_cipher", "ssl_crl", "ssl_crlpath", "tls_version"),
    "connect_timeout",
)
# An application's own: dumps are in a character set of their own, in which nothing is lost.
_OF_NO_CONCERN = ("charset", "collation")
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


@dataclass(frozen=True, slots=True)
class Connection:
    """How to connect: what is asked of TLS, if anything, and options by the names that the programs know."""

    tls: TLS | None
    options: Mapping[str, str]


def check_url(url: DatabaseURL) -> DatabaseURL:
    """The URL if all that it asks for will be heeded; ConfigurationError otherwise."""
    connection_of(url)
    return url


def connection_of(url: DatabaseURL) -> Connection:
    """What the options of the URL mean; names are taken with `-` or `_`, in any case."""
    if len(url.hosts) > 1:
        raise ConfigurationError(f"The URL of {url} names several servers: name the one to use.")
    asked: set[TLS] = set()
    options: dict[str, str] = {}
    for given, value in url.options.items():
        name = given.lower().replace("-", "_")
        if name in _MODE_OPTIONS:
            asked.add(tls_mode(value, f"The URL of {url}"))
        elif name in _SWITCHES:
            mode = _SWITCHES[name][0 if _is_true(value, given, url) else 1]
            asked |= {mode} if mode else set()
        elif name in _PASSED_ON:
            options[name.replace("_", "-")] = _one_line(value, given, url)
        elif name in _OF_NO_CONCERN:
            pass
        # A driver has options of its own, which say nothing of the connection; but never on security.
        elif not url.driver or re.match("ssl|tls|use_?ssl", name):
            raise ConfigurationError(
                f"The URL of {url} has the option {given!r}, which is not known here: correct it, or leave it out."
            )
    if "disabled" in asked and (len(asked) > 1 or "ssl-ca" in options or "ssl-capath" in options):
        raise ConfigurationError(f"The URL of {url} asks for TLS and forbids it: leave one of the two out.")
    # As MySQL's own programs do: who names an authority wants it asked.
    if {"ssl-ca", "ssl-capath"} & options.keys() and not asked:
        asked.add("verify_ca")
    elif {"ssl-cert", "ssl-key"} & options.keys() and not asked:
        asked.add("required")
    return Connection(max(asked, key=_MODES.index, default=None), options)


def with_tls(url: DatabaseURL, mode: TLS | None) -> DatabaseURL:
    """The URL asking for this mode, if one is given; ConfigurationError if it asks for one by itself."""
    if mode is None:
        return url
    names = {given.lower().replace("-", "_") for given in url.options}
    if names & {*_MODE_OPTIONS, *_SWITCHES}:
        raise ConfigurationError(
            f"tls={mode!r} and the URL of {url} both say what is asked of TLS: leave one out."
        )
    return replace(
        url, options=MappingProxyType({**url.options, "ssl_mode": tls_mode(mode, f"tls= of {url}")})
    )


def tls_mode(value: str, what: str) -> TLS:
    name = value.lower().replace("-", "_")
    for mode in _MODES:
        if name == mode:
            return mode
    if name not in _OTHER_MODES:
        raise ConfigurationError(f"{what} asks for TLS {value!r}: say one of {', '.join(_MODES)}.")
    return _OTHER_MODES[name]


def _is_true(value: str, given: str, url: DatabaseURL) -> bool:
    if value.lower() in _TRUE or value.lower() in _FALSE:
        return value.lower() in _TRUE
    raise ConfigurationError(f"The URL of {url} has {given}={value!r}: say true or false.")


def _one_line(value: str, given: str, url: DatabaseURL) -> str:
    if value.isprintable() and value:
        return value
    raise ConfigurationError(f"The URL of {url} has an option {given} that is empty or not printable.")
