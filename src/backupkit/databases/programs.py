"""The clients of database servers: found, started without secrets in sight, explained when they fail."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

from backupkit._chunks import closing_iterator
from backupkit._program import Program, ProgramError
from backupkit.errors import ConfigurationError

_QUOTED = 1024  # characters of standard error that stand in a message
_TAIL = 4096  # bytes at the end of a dump that are kept to look for its marker
_STRAGGLING = 10.0  # seconds: no client of a database leaves a child behind that still has to write
# What a client may know of this process's environment. Applications keep passwords and whole URLs in theirs.
_INHERITED = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TZ", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR"}
)
_INHERITED_PREFIXES = ("KRB5", "DYLD_")
# What says nothing about a dump that becomes a file: the system's errors, and SQLite's (sqlite.org/rescode.html:
# NOMEM, READONLY, IOERR, FULL, CANTOPEN).
_OF_THE_SYSTEM = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM),
        *(errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ESTALE),
    }
)
_OF_SQLITE = frozenset({7, 8, 10, 13, 14})

Explain: TypeAlias = Callable[[str], str | None]
"""What a client said on standard error → a sentence that says what it means and what to do, if that is known."""


class Outside(str):
    """A meaning of trouble of the server, the network or a disk, which says nothing about a dump."""

    __slots__ = ()


class Passing(Outside):
    """A meaning of trouble that may be over at the next try; any other has to be mended by a person."""

    __slots__ = ()


class ClientError(Exception):
    """A client, or what it wrote, failed; the message is for people. It becomes a SourceError or a RestoreError.

    `outside`: it is known that a dump that was being loaded is not to blame, see `is_outside`.
    """

    def __init__(self, message: str, *, retryable: bool = False, outside: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.outside = outside


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a client may take in all, and how long it may neither read nor write; None: for ever."""

    time: timedelta | None = None
    silence: timedelta | None = None

    def deadline(self) -> float | None:
        """When the time is over that begins now, for what is no program; on the clock of `time.monotonic`."""
        return None if self.time is None else time.monotonic() + self.time.total_seconds()


QUESTION = Limits(time=timedelta(seconds=60))
"""In which any program can say what it is, and any server answer what takes it no time."""


def too_slow() -> ClientError:
    """The error of what is no program, and is not done by its deadline."""
    return ClientError("it took longer than its time_limit and was ended.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What a client is started with to reach its server: beginnings of its arguments, variables, private files.

    `secrets` are struck out of everything that it says.
    """

    arguments: tuple[str, ...] = ()
    env: Mapping[str, str]
    descriptors: tuple[int, ...] = ()
    secrets: tuple[str, ...] = field(default=(), repr=False)


def environment(*prefixes: str, without: Collection[str] = (), **more: str) -> dict[str, str]:
    """The variables for a client: the few of ours that it needs, those with these prefixes, and more.

    Its messages are English, for they are read here.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if (name in _INHERITED or name.startswith((*_INHERITED_PREFIXES, *prefixes))) and name not in without
    }
    return {**kept, "LC_ALL": "C", **more}


def find_program(names: Sequence[str], tools: Path | None, *, package: str) -> str:
    """The path of the first of these programs that is there, in the folder `tools` or else in the PATH."""
    for name in names:
        found = shutil.which(name, path=None if tools is None else os.fspath(tools))
        if found:
            return found
    where = "in the PATH" if tools is None else f"in {str(tools)!r}"
    raise ClientError(
        f"{' or '.join(names)} is not installed: none is {where}. Install it ({package}), or give tools= the "
        "folder that it is in."
    )


def version_of(path: str) -> str:
    """What a program says of its version, on one line."""
    said = answer_of([path, "--version"], Access(env=environment()), explain=lambda _: None, limits=QUESTION)
    return " ".join(said.partition("\n")[0].split())


def output_of(
    argv: Sequence[str],
    access: Access,
    *,
    explain: Explain,
    limits: Limits = Limits(),
    feed: Iterable[bytes] | None = None,
    may_leave: bool = False,
) -> Iterator[bytes]:
    """Yield what the program writes; it ended well when the iterator ends, and is ended when that is closed.

    `access.arguments` come first, after the program itself. What feeds it may raise, and passes through; it
    has to be read whole unless the program `may_leave` some.
    """
    name = os.path.basename(argv[0])
    try:
        program = Program(
            [argv[0], *access.arguments, *argv[1:]],
            env=access.env,
            time_limit=_seconds(limits.time),
            silence_limit=_seconds(limits.silence),
            errors_count=False,  # what talks without end about its troubles has stalled all the same
            straggling=_STRAGGLING,
            pass_fds=access.descriptors,
            feed=feed,
            may_leave=may_leave,
        )
    except OSError as error:
        raise ClientError(f"{name} could not be started ({error.strerror}): install it anew.") from error
    with program, closing_iterator(program.output()) as output:
        try:
            yield from output
        except ProgramError as error:
            said = readable(bytes(program.errors), access.secrets)
            heard = f"it said: {said[-_QUOTED:].rstrip('.')}" if said else "it said nothing on standard error"
            meaning = explain(said)
            message = f"{meaning} ({name} {error}; {heard})" if meaning else f"{name} {error}; {heard}."
            outside = isinstance(meaning, Outside)
            raise ClientError(message, retryable=may_pass(meaning), outside=outside) from error


def meaning_among(
    meanings: Iterable[tuple[str, str]], said: str, *, ignoring_case: bool = False
) -> str | None:
    """The meaning of the first of these patterns that is found in what was said."""
    import re

    flags = re.IGNORECASE if ignoring_case else 0
    return next((meaning for pattern, meaning in meanings if re.search(pattern, said, flags)), None)


def may_pass(meaning: str | None) -> bool:
    """Whether trouble of this meaning is worth another try; of what is not understood nobody knows."""
    return meaning is None or isinstance(meaning, Passing)


def is_outside(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is trouble of the server, the network or a disk."""
    while error is not None:
        if isinstance(error, ClientError) and error.outside:
            return True
        if isinstance(error, OSError) and error.errno in _OF_THE_SYSTEM:
            return True
        # As sqlite3.Error has it; the extended codes are in the higher bits.
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _OF_SQLITE:
            return True
        error = error.__cause__
    return False


def answer_of(
    argv: Sequence[str],
    access: Access,
    *,
    explain: Explain,
    limits: Limits = Limits(),
    feed: bytes | None = None,
) -> str:
    """All that a program writes, as text: for queries with small answers."""
    chunks = output_of(argv, access, explain=explain, limits=limits, feed=None if feed is None else [feed])
    return b"".join(chunks).decode("utf-8", "replace")


def readable(said: bytes, secrets: Collection[str]) -> str:
    """What a program said, on one line, without the secrets and the passwords of URLs."""
    import re

    text = said.decode("utf-8", "replace")
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    text = re.sub(r"://\S*@", "://***@", text)
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def with_tail(chunks: Iterable[bytes], tail: bytearray) -> Iterator[bytes]:
    """The same chunks; when they have ended, `tail` holds the last few kilobytes of them."""
    with closing_iterator(chunks) as iterator:
        for chunk in iterator:
            if len(chunk) < _TAIL:
                tail += chunk
                del tail[:-_TAIL]
            else:
                tail[:] = chunk[-_TAIL:]
            yield chunk


def check_extra_options(options: Sequence[str]) -> tuple[str, ...]:
    """Options for a client beyond those that we know; whatever can hold a password is refused."""
    if isinstance(options, str):
        raise ConfigurationError(f"extra_options is one text: give a list, such as [{options!r}].")
    for option in options:
        if not isinstance(option, str) or "\0" in option:
            raise ConfigurationError("extra_options must be texts without NUL.")
        if option.partition("=")[0] in ("--password", "--uri") or option.startswith("-p"):
            raise ConfigurationError(
                "A password in extra_options would be seen by every user of the machine: give it in the URL."
            )
    return tuple(options)


def _seconds(limit: timedelta | None) -> float | None:
    return None if limit is None else limit.total_seconds()
