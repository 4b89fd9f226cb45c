"""The standard output of a program as one entry."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from backupkit.errors import ConfigurationError, SourceError
from backupkit.model import DUMPS, Contents, Entry, Finding
from backupkit.sources._names import check_component, check_path

_QUOTED = 2048  # characters of standard error that stand in a message
_SECRET = 8  # characters; what is shorter is a port or a locale, and would be struck out everywhere


@dataclass(frozen=True, slots=True, init=False)
class Command:
    """What a program writes to its standard output, as one entry, streamed while it runs.

        Command(["pg_dump", "--format=custom", "shop"], name="shop.pgdump", env={"PGPASSWORD": …})

    The entry is `db-dumps/<name>`; with `contents="files"` it is `<name>`, which may then lie in folders.
    No shell is ever involved. The program starts when the entry's chunks are first pulled, once for each
    time they are read, in a session of its own and without standard input.

    It succeeded when it exited with status 0 and wrote at least one byte (or `allow_empty`); everything
    else is a SourceError, `retryable` unless the program could not be started, with the end of what it
    wrote to standard error. The output ends when everyone who holds it has closed it, a child of the
    program that outlives it included.

    `time_limit` counts from the start until all is read and the program has exited, whoever is slow;
    `silence_limit` counts only while the program is waited for and writes nothing to either stream, never
    the time that a slow destination takes. When a limit is passed, when the program fails, or when the
    iterator is closed early, the whole process group is asked to end and, three seconds later, ended.

    `env` is merged over this process's environment. Arguments are visible to every user of the machine
    while the program runs: hand secrets over in `env` or a file. In messages only the program's own name
    appears, never its arguments; in what it wrote to standard error, values of `env` of eight and more
    characters and the passwords of URLs are struck out.
    """

    argv: tuple[str, ...] = field(repr=False)
    name: str
    contents: Contents
    time_limit: timedelta | None
    silence_limit: timedelta | None
    allow_empty: bool
    env: Mapping[str, str] = field(repr=False, hash=False)
    cwd: Path | None

    def __init__(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        name: str,
        contents: Contents = "databases",
        time_limit: timedelta | None = None,
        silence_limit: timedelta | None = None,
        allow_empty: bool = False,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
    ) -> None:
        if contents not in ("databases", "files"):
            raise ConfigurationError(
                f'A command cannot have contents {contents!r}: say "databases" or "files".'
            )
        check_name = check_component if contents == "databases" else check_path
        check_name(name, of="The output of a command")
        of = f"The command for {name!r}"
        for limit in (time_limit, silence_limit):
            if limit is not None and limit <= timedelta(0):
                raise ConfigurationError(f"{of} cannot run in no time: give limits above zero.")
        set_once = object.__setattr__
        set_once(self, "argv", _arguments(argv, of))
        set_once(self, "name", name)
        set_once(self, "contents", contents)
        set_once(self, "time_limit", time_limit)
        set_once(self, "silence_limit", silence_limit)
        set_once(self, "allow_empty", allow_empty)
        set_once(self, "env", _environment(env or {}, of))
        set_once(self, "cwd", None if cwd is None else Path(cwd))

    def examine(self) -> Iterator[Finding]:
        """Whether the program is found; it is not started."""
        import shutil

        folder = self.cwd or Path()
        if not folder.is_dir():
            message = f"The folder {str(folder)!r}, in which {self.argv[0]} is started, is not there."
            yield Finding(
                step="folder", verdict="not ok", message=message, advice="Create it, or correct cwd=."
            )
            return
        # With a slash it is a path, which the program's own folder counts for.
        named = folder / self.argv[0] if "/" in self.argv[0] else self.argv[0]
        found = shutil.which(named, path={**os.environ, **self.env}.get("PATH"))
        yield Finding(
            step="program",
            verdict="ok" if found else "not ok",
            message=f"{found} is started for the dump."
            if found
            else f"{self.argv[0]} is not there, or no program.",
            advice=None if found else "Install it, or give its full path.",
        )

    def entries(self) -> Iterator[Entry]:
        """Yield the one entry; nothing is started yet."""
        path = f"{DUMPS}/{self.name}" if self.contents == "databases" else self.name
        yield Entry(path=path, mode=0o600, chunks=lambda: self._output(path))

    def _output(self, path: str) -> Iterator[bytes]:
        from backupkit._program import Program, ProgramError

        def failed(what: str, *, retryable: bool = True) -> SourceError:
            return SourceError(f"{self.argv[0]}, for {path}, {what}", path=path, retryable=retryable)

        try:
            program = Program(
                self.argv,
                env={**os.environ, **self.env},
                cwd=self.cwd,
                time_limit=_seconds(self.time_limit),
                silence_limit=_seconds(self.silence_limit),
            )
        except OSError as error:
            where = f" in {str(self.cwd)!r}" if self.cwd is not None else ""
            raise failed(
                f"could not be started{where} ({error.strerror}): install it, or give its full path.",
                retryable=False,
            ) from error
        with program:
            empty = True
            try:
                for chunk in program.output():
                    empty = False
                    yield chunk
            except ProgramError as error:
                raise failed(f"{error}; {self._said(program.errors)}.") from error
            if empty and not self.allow_empty:
                raise failed(
                    f"succeeded but wrote nothing; {self._said(program.errors)}; "
                    "if that can be right, say allow_empty=True."
                )

    def _said(self, errors: bytearray) -> str:
        """The end of standard error on one line, without what is known to be secret."""
        import re

        text = errors.decode("utf-8", "replace")
        for value in self.env.values():
            if len(value) >= _SECRET:
                text = text.replace(value, "***")
        text = re.sub(r"://\S*@", "://***@", text)
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return f"it said: {text[-_QUOTED:]}" if text else "it said nothing on standard error"


def _arguments(argv: Sequence[str | os.PathLike[str]], of: str) -> tuple[str, ...]:
    # What is wrong is never quoted: it may hold a password.
    if isinstance(argv, (str, bytes)):
        raise ConfigurationError(
            f"{of} is one text, which only a shell could take apart, and none is ever used: "
            'give a list such as ["pg_dump", "shop"].'
        )
    arguments = tuple(os.fspath(one) if isinstance(one, os.PathLike) else one for one in argv)
    if not arguments or not all(isinstance(one, str) and "\0" not in one for one in arguments):
        raise ConfigurationError(f"{of} must be a program and its arguments, all of them texts without NUL.")
    if not arguments[0]:
        raise ConfigurationError(f"{of} begins with an empty text: give the program's name or path.")
    return arguments


def _environment(env: Mapping[str, str], of: str) -> dict[str, str]:
    for key, value in env.items():
        if not key or not isinstance(value, str) or set("=\0") & set(key) or "\0" in value:
            raise ConfigurationError(
                f'{of} has an impossible variable in env=: names are not empty and hold no "=", '
                "values are texts, and neither has a NUL."
            )
    return dict(env)


def _seconds(limit: timedelta | None) -> float | None:
    return None if limit is None else limit.total_seconds()
