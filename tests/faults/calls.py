"""The system calls that a local destination and a folder to restore to make: counted, and made to go wrong."""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, TypeAlias

from backupkit.destinations import local
from backupkit.formats.zip import key_derivation, together
from backupkit.targets import directory, folders, metadata, resuming, writing

WATCHED = frozenset(
    {"access", "chmod", "chown", "close", "dup", "fchmod", "fchown", "fstat", "fsync", "ftruncate", "link"}
    | {"lseek", "lstat", "makedirs", "mkdir", "open", "posix_fadvise", "pread", "rename", "replace", "rmdir"}
    | {"scandir", "setxattr", "stat", "statvfs", "symlink", "unlink", "utime", "write"}
)
_ROOM = frozenset({"write", "mkdir", "makedirs", "link", "symlink", "rename", "replace", "setxattr", "fsync"})

# Given the call's name, its arguments and the call itself: make it, make it go wrong, or both.
Hook: TypeAlias = Callable[[str, tuple[Any, ...], Callable[[], Any]], Any]

_hooks: list[Hook] = []


def _through(name: str, arguments: tuple[Any, ...], call: Callable[[], Any]) -> Any:
    return _hooks[-1](name, arguments, call) if _hooks else call()


@contextmanager
def hooked(hook: Hook) -> Iterator[None]:
    """Let every watched call pass through the hook, in all threads."""
    _hooks.append(hook)
    try:
        yield
    finally:
        _hooks.pop()


class _Watched:
    """A module in which every function that is watched passes through the hook."""

    def __init__(self, module: object, watched: frozenset[str]) -> None:
        self._module = module
        self._watched = watched

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._module, name)
        if name not in self._watched:
            return value

        def watched(*arguments: Any, **options: Any) -> Any:
            return _through(name, arguments, lambda: value(*arguments, **options))

        self.__dict__[name] = watched
        return watched


class _Scan:
    """What `os.scandir` returns, with entries whose `stat` is a call too."""

    def __init__(self, place: Any) -> None:
        self._entries = os.scandir(place)

    def __enter__(self) -> _Scan:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._entries.close()

    def __iter__(self) -> Iterator[_ScanEntry]:
        return map(_ScanEntry, self._entries)


class _ScanEntry:
    def __init__(self, entry: os.DirEntry[str]) -> None:
        self.name = entry.name
        self.is_dir = entry.is_dir
        self._entry = entry

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        def call() -> os.stat_result:
            return self._entry.stat(follow_symlinks=follow_symlinks)

        answer: os.stat_result = _through("stat", (), call)
        return answer


def watch() -> None:
    """From now on, let the calls of local destinations and of restores be seen."""
    seen = _Watched(os, WATCHED)
    seen.__dict__["path"] = _Watched(os.path, frozenset({"isdir", "lexists"}))
    seen.__dict__["scandir"] = lambda place: _through("scandir", (place,), lambda: _Scan(place))
    # Only a power cut shows whether it was done, and a thousand of them would take a minute.
    seen.__dict__["fsync"] = lambda file: _through("fsync", (file,), lambda: None)
    for module in (local, directory, folders, metadata, resuming, writing):
        vars(module)["os"] = seen
    # Small pieces: little trees then have what large ones have, a write for each of many pieces.
    vars(local).update(_PIECE=1 << 10, _READ=1 << 10, _WRITE_BACK=2 << 10)
    # The compiler of keys works on for a moment after a run, and what is forked must have one thread.
    vars(key_derivation).update(_COMPILER=key_derivation._Compiler(worth=1 << 60))
    vars(together).update(_TOGETHER=1, _AHEAD=0)


def needs_room(name: str, arguments: tuple[Any, ...]) -> bool:
    """Whether a full disk may refuse this call."""
    return name in _ROOM or (name == "open" and bool(arguments[1] & os.O_CREAT))


def can_be_short(name: str, arguments: tuple[Any, ...]) -> bool:
    return name in ("write", "pread")


def any_call(name: str, arguments: tuple[Any, ...]) -> bool:
    return True


@dataclass
class Recorder:
    """A hook that makes every call and remembers them."""

    calls: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)

    def __call__(self, name: str, arguments: tuple[Any, ...], call: Callable[[], Any]) -> Any:
        self.calls.append((name, arguments))
        return call()


@dataclass
class GoesWrong:
    """A hook that lets `does` take the place of the call with this number (the first is 0).

    With `lasting` that also befalls every later call that `befalls` names.
    """

    at: int
    does: Hook
    befalls: Callable[[str, tuple[Any, ...]], bool] = any_call
    lasting: bool = False
    count: int = 0

    def __call__(self, name: str, arguments: tuple[Any, ...], call: Callable[[], Any]) -> Any:
        number, self.count = self.count, self.count + 1
        if number == self.at or (self.lasting and number > self.at and self.befalls(name, arguments)):
            return self.does(name, arguments, call)
        return call()


def refused(number: int) -> Hook:
    """Fails with this error; to a question the answer is no then, which is what Python makes of an error."""

    def does(name: str, arguments: tuple[Any, ...], call: Callable[[], Any]) -> Any:
        if name in ("access", "isdir", "lexists"):
            return False
        if name == "close":
            call()  # the descriptor is closed, whatever `close` says
        raise OSError(number, os.strerror(number))

    return does


IO_ERROR = refused(errno.EIO)
NO_ROOM = refused(errno.ENOSPC)


def half(name: str, arguments: tuple[Any, ...], call: Callable[[], Any]) -> Any:
    """Writes or reads half of what was asked for, and says so."""
    if name == "write":
        file, data = arguments
        return os.write(file, data[: max(1, len(data) // 2)])
    file, size, start = arguments
    return os.pread(file, max(1, size // 2), start)


def send(number: signal.Signals, heard: threading.Event | None) -> None:
    """Send this process a signal and wait until it was heard."""
    os.kill(os.getpid(), number)
    main = threading.main_thread().ident or 0
    for _ in range(1000):
        if heard is None or heard.wait(0.05):
            return
        # It may have come just before the main thread began to wait for a lock: Python hears it after that,
        # or when another signal ends the wait. (`attempts.listening` has given this one nothing to do.)
        signal.pthread_kill(main, signal.SIGUSR2)
    raise AssertionError(f"{number.name} was not heard")


def signalled(number: signal.Signals, heard: threading.Event | None, *, after: bool = False) -> Hook:
    """Sends this process a signal, waits until it was heard, and makes the call; or first the call."""

    def does(name: str, arguments: tuple[Any, ...], call: Callable[[], Any]) -> Any:
        if not after:
            send(number, heard)
            return call()
        try:
            return call()
        finally:  # that there is no such file is an answer too
            send(number, heard)

    return does
