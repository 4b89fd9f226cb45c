"""`Passphrase`: where a secret comes from, read at first use and never shown."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from backupkit.errors import ConfigurationError

# About five words of a diceware list; below it, an archive that leaks can be guessed open.
_ENOUGH_BITS = 60


class Passphrase:
    """A secret that a person chose, and the older ones that earlier backups were made with.

        Passphrase("…")                                       # tests and one-off scripts
        Passphrase.from_env("BACKUP_ARCHIVE_PASSWORD")
        Passphrase.from_file("/etc/shop/backup.passphrase")
        Passphrase.from_command(["pass", "show", "backup"])
        Passphrase.from_callable(vault.read, name="vault")

    The secret is fetched when it is first needed, once per object. `previous` are tried for reading only,
    so that a passphrase can be changed without losing the backups made under the old one. Neither `repr`
    nor `str` nor an error shows it, and no object of this class can be pickled.
    """

    def __init__(self, text: str, *, previous: Sequence[str | Passphrase] = ()) -> None:
        if not isinstance(text, str) or not text:
            raise ConfigurationError(
                "The passphrase is empty: give a non-empty text, or encryptor=None for no encryption."
            )
        self._setup(lambda: text, "text", previous)

    def _setup(self, fetch: Callable[[], str], origin: str, previous: Sequence[str | Passphrase]) -> None:
        self._fetch = fetch
        self._origin = origin
        self._secret: str | None = None
        self._lock = threading.Lock()  # keys are derived on many threads; the secret is fetched once
        self._previous = tuple(Passphrase(old) if isinstance(old, str) else old for old in previous)

    @classmethod
    def from_callable(
        cls,
        fetch: Callable[[], str],
        *,
        name: str = "callable",
        previous: Sequence[str | Passphrase] = (),
    ) -> Passphrase:
        """Ask `fetch()` for the secret at first use; `name` is what messages call it."""
        passphrase = cls.__new__(cls)
        passphrase._setup(fetch, name, previous)
        return passphrase

    @classmethod
    def from_env(cls, variable: str, *, previous: Sequence[str | Passphrase] = ()) -> Passphrase:
        """Read the environment variable at first use."""
        return cls.from_callable(
            lambda: os.environ.get(variable, ""),
            name=f"environment variable {variable}",
            previous=previous,
        )

    @classmethod
    def from_file(
        cls, path: str | os.PathLike[str], *, previous: Sequence[str | Passphrase] = ()
    ) -> Passphrase:
        """Read the first line of the file at first use."""
        return cls.from_callable(
            lambda: _first_line(Path(path).read_text(encoding="utf-8")),
            name=f"file {os.fspath(path)}",
            previous=previous,
        )

    @classmethod
    def from_command(cls, command: Sequence[str], *, previous: Sequence[str | Passphrase] = ()) -> Passphrase:
        """Run the program (no shell) at first use and take the first line it prints."""

        def fetch() -> str:
            import subprocess

            done = subprocess.run(list(command), stdout=subprocess.PIPE, check=True, text=True)
            return _first_line(done.stdout)

        return cls.from_callable(fetch, name=f"command {command[0]}", previous=previous)

    @property
    def origin(self) -> str:
        """Where the secret comes from, safe to print."""
        return self._origin

    def reveal(self) -> bytes:
        """The secret as UTF-8, for deriving keys. ConfigurationError if it cannot be had or is empty."""
        secret = self._secret
        if secret is None:
            with self._lock:
                secret = self._fetched()
        return secret.encode("utf-8", "surrogateescape")

    def _fetched(self) -> str:
        if self._secret is None:
            try:
                secret = self._fetch()
            except Exception as error:
                # The cause's text may hold the secret (a command's arguments): its type will do.
                raise ConfigurationError(
                    f"The passphrase could not be read from {self._origin} ({type(error).__name__}): "
                    "make it available there and try again."
                ) from None
            if not secret:
                raise ConfigurationError(
                    f"The passphrase from {self._origin} is empty or not set: set it, "
                    "or write encryptor=None for no encryption."
                )
            self._secret = secret
        return self._secret

    def candidates(self) -> list[Passphrase]:
        """This passphrase, then the previous ones: what reading tries, in order."""
        return [self, *(one for old in self._previous for one in old.candidates())]

    def weakness(self) -> str | None:
        """One sentence if the secret is easy to guess, else None. An estimate from length and alphabet."""
        text = self.reveal().decode("utf-8", "surrogateescape")
        alphabet = sum(
            size
            for size, test in (
                (26, str.islower),
                (26, str.isupper),
                (10, str.isdigit),
                (33, lambda c: c.isascii() and not c.isalnum()),
                (1000, lambda c: not c.isascii()),
            )
            if any(test(c) for c in text)
        )
        distinct = len(set(text))
        # Repetition adds nothing: "aaaaaaaaaaaa" is as strong as its few distinct characters.
        bits = min(len(text), distinct * 2) * math.log2(max(alphabet, 2))
        if bits >= _ENOUGH_BITS:
            return None
        return (
            f"The passphrase from {self._origin} is easy to guess (about {bits:.0f} bits of at least "
            f"{_ENOUGH_BITS}): use five or more random words, or 16 random characters."
        )

    def __repr__(self) -> str:
        return f"Passphrase(from {self._origin})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Passphrase is not pickled, lest the secret be stored: make it where it is used")


def refuse_text(encryptor: object) -> None:
    """ConfigurationError for a secret as it is, which no format takes for an encryptor."""
    if isinstance(encryptor, str):
        raise ConfigurationError("The encryptor is a text: write Passphrase(…) around it.")


def _first_line(text: str) -> str:
    return text.split("\n", 1)[0].rstrip("\r")
