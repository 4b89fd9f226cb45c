"""What a text in the settings stands for: variables of the environment, secrets in files, durations."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from backupkit.errors import ConfigurationError
from backupkit.passphrase import Passphrase

_VARIABLE = re.compile(r"\$(?:(\$)|\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\{)")
_FILE = re.compile(r"file:(?!//)(.+)", re.DOTALL)
_SECRET = re.compile(
    r"(?:^|_)(?:pass\w*|secrets?|\w*secret|tokens?|keys?|credentials?|auth\w*|sas\w*|dsn|webhook\w*|connection_string)$"
)
_SQLITE = re.compile(r"(sqlite(?:\+\w+)?:///)((?!/|:memory:|file:).+)", re.DOTALL)
_UNITS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
    **dict.fromkeys(("w", "week", "weeks"), 604_800),
}
_DURATION = re.compile(
    rf"\s*([0-9]{{1,12}}(?:\.[0-9]{{1,6}})?)\s*({'|'.join(sorted(_UNITS, key=len, reverse=True))})\b"
)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where settings stand: which variables there are, and the folder that relative paths begin in, if any."""

    environ: Mapping[str, str] = field(repr=False)
    folder: Path | None = None

    def text(self, written: str, *, secret: bool = False) -> str:
        """What the text means: `${NAME}`, `${NAME:-default}` and `$$` filled in; with `secret`, `file:/path` read.

        ConfigurationError names the variable that is not set, or the file that cannot be read.
        """
        expanded = _VARIABLE.sub(self._value, written)
        found = _FILE.fullmatch(expanded) if secret else None
        return expanded if found is None else _first_line_of(found[1])

    def path(self, text: str) -> str:
        """The path, from the folder of the settings if it is relative; a URL and `~` are left as they are."""
        if self.folder is None or not text or "://" in text or text.startswith("~"):
            return text
        return os.path.join(self.folder, text)

    def url(self, text: str) -> str:
        """The URL; that of an SQLite database with its path from the folder of the settings, if it is relative."""
        found = _SQLITE.fullmatch(text)
        if self.folder is None or found is None:
            return text
        return f"{found[1]}{os.path.join(self.folder, found[2])}"

    def passphrase(self, written: str) -> Passphrase:
        """The passphrase that the text means, looked for at its first use."""
        only = _VARIABLE.fullmatch(written)
        from_file = _FILE.fullmatch(written)
        if only and only[2]:
            name = f"environment variable {only[2]}"
        elif from_file:
            name = f"file {from_file[1]}"
        else:
            name = "the settings"
        return Passphrase.from_callable(lambda: self.text(written, secret=True), name=name)

    def _value(self, found: re.Match[str]) -> str:
        dollar, name, default = found.groups()
        if dollar:
            return "$"
        if name is None:
            raise ConfigurationError(
                "holds ${ that begins no variable: write ${NAME} or ${NAME:-default}, and $$ for a dollar sign."
            )
        value = self.environ.get(name)
        if default is not None:
            return value or str(default)
        if value is None:
            raise ConfigurationError(
                f"needs the environment variable {name}, which is not set: set it, or write ${{{name}:-default}}."
            )
        return value


def refers(written: str) -> bool:
    """Whether the text takes something from the environment or a file."""
    return any(found[2] for found in _VARIABLE.finditer(written)) or _FILE.fullmatch(written) is not None


def is_secret(key: str) -> bool:
    """Whether what stands under this key is a secret, as far as its name tells."""
    return _SECRET.search(key.lower()) is not None


def may_hold_a_secret(key: str) -> bool:
    """The same, or a URL, in which there may be one."""
    return is_secret(key) or key.endswith(("url", "urls")) or key == "server"


def duration(text: str) -> timedelta | None:
    """The duration in a text such as "15 minutes", "6h" or "1 day 12 hours"; None for any other text."""
    total, position = timedelta(0), 0
    while found := _DURATION.match(text, position):
        try:
            total += timedelta(seconds=float(found[1]) * _UNITS[found[2]])
        except OverflowError:
            return None
        position = found.end()
    return total if position and not text[position:].strip() else None


def _first_line_of(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline().rstrip("\r\n")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is no text"
        raise ConfigurationError(
            f"is to be read from the file {path!r}, which cannot be read: {reason}."
        ) from None
