"""Where the command line takes a passphrase from: never an argument, which every user of the machine could see."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass

from backupkit.cli.options import NewPassphraseCommand, NewPassphraseEnv, NewPassphraseFile
from backupkit.cli.variables import PASSPHRASE
from backupkit.errors import ConfigurationError
from backupkit.passphrase import Passphrase


def from_environment() -> Passphrase | None:
    """The passphrase that the environment has for a URL, if it has one."""
    return Passphrase.from_env(PASSPHRASE) if os.environ.get(PASSPHRASE) else None


@dataclass(frozen=True, kw_only=True)
class NewPassphrase:
    """The options that say what the new passphrase is."""

    new_passphrase_file: NewPassphraseFile = None
    new_passphrase_env: NewPassphraseEnv = None
    new_passphrase_command: NewPassphraseCommand = None

    def given(self) -> Passphrase | None:
        return given_passphrase(
            self.new_passphrase_file,
            self.new_passphrase_env,
            self.new_passphrase_command,
            option="new-passphrase",
        )


def given_passphrase(
    file: str | None, variable: str | None, command: str | None, *, option: str = "passphrase"
) -> Passphrase | None:
    """The passphrase from the one place that one of these options names; None if none does."""
    given = [
        *([Passphrase.from_file(file)] if file is not None else []),
        *([Passphrase.from_env(variable)] if variable is not None else []),
        *([Passphrase.from_command(_words(command, option))] if command is not None else []),
    ]
    if len(given) > 1:
        what = option.removeprefix("to-").replace("-", " ")
        raise ConfigurationError(f"The {what} is said to be in several places: give one --{option} option.")
    return given[0] if given else None


def new_passphrase(given: Passphrase | None) -> Passphrase:
    """The new passphrase that options name, or else one that a person at the terminal writes twice."""
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise ConfigurationError(
            "Nothing says what the new passphrase is: give --new-passphrase-file, --new-passphrase-env or "
            "--new-passphrase-command."
        )
    text = asked_passphrase("New passphrase: ").reveal()
    if asked_passphrase("The same again: ").reveal() != text:
        raise ConfigurationError("The two passphrases are not the same: nothing was changed. Try again.")
    return Passphrase.from_callable(lambda: text.decode("utf-8", "surrogateescape"), name="the terminal")


def _words(command: str, option: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ConfigurationError(f"The --{option}-command cannot be read: {error}.") from error
    if not words:
        raise ConfigurationError(f"The --{option}-command is empty: give a program and its arguments.")
    return words


def asked_passphrase(prompt: str = "Passphrase: ") -> Passphrase:
    """What a person writes at the terminal, unseen."""
    import getpass

    try:
        text = getpass.getpass(prompt)
    except EOFError:
        text = ""
    # Not Passphrase(text), which would say that a program gave an empty one.
    return Passphrase.from_callable(lambda: text, name="the terminal")
