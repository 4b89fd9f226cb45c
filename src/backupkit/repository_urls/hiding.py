"""Secrets among the options of a file system, which fsspec shows, compares, pickles and writes down as JSON."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from typing import Any, NoReturn

from fsspec.config import apply_config
from fsspec.spec import AbstractFileSystem

from backupkit.errors import ConfigurationError
from backupkit.filesystems.addresses import shown
from backupkit.passphrase import Passphrase

VARIABLE = "env:"  # of a passphrase that an environment variable holds, which is named, and no secret
_OF_THIS_PROCESS = os.urandom(32)


class Hidden:
    """A secret. What it is printed as differs for another one, in a way that only this process can tell."""

    __slots__ = ("_mark", "value")

    def __init__(self, value: str | Passphrase) -> None:
        self.value = value
        if isinstance(value, str):
            self._mark = hmac.new(
                _OF_THIS_PROCESS, value.encode("utf-8", "surrogatepass"), hashlib.sha256
            ).hexdigest()
        else:
            self._mark = f"{value!r} {id(value)}"

    def __repr__(self) -> str:
        return f"Hidden({self._mark})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a secret is not pickled: name an environment variable that holds it, as env:VARIABLE"
        )


class Hiding(type(AbstractFileSystem)):  # type: ignore[misc]  # fsspec has no types
    """Hides secrets before fsspec makes a token of the options, remembers them and shows them."""

    def __call__(cls, *args: Any, **options: Any) -> Any:
        options = apply_config(cls, options)  # here already, for those of the environment
        for name in ("passphrase", "repository"):
            if is_secret(name, options.get(name)):
                options[name] = Hidden(options[name])
        return super().__call__(*args, **options)


def is_secret(option: str, value: object) -> bool:
    """Whether nobody may see it: a passphrase that is no variable's, a URL with a password."""
    if option == "passphrase":
        return isinstance(value, Passphrase) or (isinstance(value, str) and not value.startswith(VARIABLE))
    return isinstance(value, str) and "://" in value and shown(value) != value


def without_secrets(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if not isinstance(value, Hidden)}


def passphrase_of(given: object) -> Passphrase | None:
    """What was given as one: a Passphrase, a text, or `env:` and the name of a variable."""
    value = given.value if isinstance(given, Hidden) else given
    if value is None or isinstance(value, Passphrase):
        return value
    if not isinstance(value, str):
        raise ConfigurationError("The passphrase= is neither a text nor a Passphrase: give one of them.")
    variable = value.removeprefix(VARIABLE)
    return Passphrase(value) if variable == value else Passphrase.from_env(variable)


def place_of(given: object) -> str | os.PathLike[str]:
    """The path or URL of the repository."""
    value = given.value if isinstance(given, Hidden) else given
    if value is None:
        raise ConfigurationError(
            "Nothing says where the backups are: give repository=, their path or URL (among storage_options, or "
            "in the environment as FSSPEC_BACKUPKIT_REPOSITORY)."
        )
    if not isinstance(value, str | os.PathLike):
        raise ConfigurationError(
            "The repository= is neither a path nor a URL: for any other place, use "
            "open_repository(…).file_system()."
        )
    return value
