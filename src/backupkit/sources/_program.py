"""A program whose output is pulled, within limits, and which never outlives a failure."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selectors import DefaultSelector

_CHUNK = 1 << 20
_KEPT = 8192  # bytes of standard error: more than anyone quotes, so that a secret is not cut in two unseen
_UNKNOWN = 256  # no exit status: those are 0 to 255, or negative numbers of signals
_GRACE = 3.0  # seconds in which a process group may end by itself


class ProgramError(Exception):
    """The program failed; the message says how, and continues a sentence that begins with its name."""


class Program:
    """Runs while its `with` lasts; an exception in there ends it with all its children.

    The program leads a session, and so a process group, of its own. Raises OSError if it cannot be
    started. Limits are seconds: `time_limit` counts from the start to the exit, `silence_limit` anew after
    each byte on either stream, and only while `output` waits.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | None,
        time_limit: float | None,
        silence_limit: float | None,
    ) -> None:
        import fcntl
        import subprocess

        self._process = subprocess.Popen(
            argv,
            bufsize=0,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=env,
            start_new_session=True,
        )
        self._time_limit = time_limit
        self._silence_limit = silence_limit
        self._started = self._heard = time.monotonic()
        self._output_open = True
        self.errors = bytearray()  # the end of standard error
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with suppress(OSError):  # the user's pipes may have used up what is allowed
                fcntl.fcntl(self._process.stdout, fcntl.F_SETPIPE_SZ, _CHUNK)  # type: ignore[arg-type]

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._end_group()
        self._close()

    def output(self) -> Iterator[bytes]:
        """Yield standard output as it comes, until it has ended and the program has exited with status 0.

        It has ended when everyone has closed it, children that live on included. Raises ProgramError.
        """
        import selectors

        with selectors.DefaultSelector() as selector:
            for stream in (self._process.stdout, self._process.stderr):
                selector.register(stream, selectors.EVENT_READ)  # type: ignore[arg-type] # both are pipes
            while self._output_open:
                if chunk := self._receive(selector, self._left()):
                    yield chunk
                    self._heard = time.monotonic()  # what the reader took was not the program's silence
            pause = 0.001
            while not self._exited():
                self._receive(selector, min(pause, self._left() or pause))
                pause = min(2 * pause, 0.05)
            self._receive(selector, 0)  # what is still in the pipe; a child that keeps it is not waited for

        if self._process.returncode != 0:
            raise ProgramError(_how_it_ended(self._process.returncode))

    def _receive(self, selector: DefaultSelector, timeout: float | None) -> bytes:
        """Wait for either stream; return what came on standard output."""
        output = b""
        for key, _ in selector.select(timeout):
            data = os.read(key.fd, _CHUNK)
            self._heard = time.monotonic()
            if key.fileobj is self._process.stdout:
                output = data
                self._output_open = bool(data)
            else:
                self.errors += data
                del self.errors[:-_KEPT]
            if not data:
                selector.unregister(key.fileobj)
        return output

    def _left(self) -> float | None:
        """Seconds until the next limit."""
        now = time.monotonic()
        left = []
        if self._time_limit is not None:
            left.append(self._started + self._time_limit - now)
            if left[-1] <= 0:
                raise ProgramError(f"took longer than {self._time_limit:g} s and was ended")
        if self._silence_limit is not None:
            left.append(self._heard + self._silence_limit - now)
            if left[-1] <= 0:
                raise ProgramError(f"wrote nothing for {self._silence_limit:g} s and was ended")
        return min(left, default=None)

    def _end_group(self) -> None:
        # The pipes stay open meanwhile: a program that tidies up, and says so, must not die of SIGPIPE.
        self._signal_group(signal.SIGTERM)
        if _lasts(self._group_lives):
            self._signal_group(signal.SIGKILL)
            self._close()  # what runs as another user, and may not be signalled, ends when it writes
            _lasts(lambda: not self._exited())

    def _signal_group(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _group_lives(self) -> bool:
        self._exited()  # a dead leader that is not yet reaped would count as alive
        try:
            os.killpg(self._process.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:  # macOS, where only dead ones are left; or another user's processes
            return not self._exited()
        return True

    def _exited(self) -> bool:
        """Whether the program itself has exited; reaps it."""
        if self._process.returncode is None:
            try:
                pid, status = os.waitpid(self._process.pid, os.WNOHANG)
            except ChildProcessError:
                # The host ignores SIGCHLD, or waits for all children. Popen.poll would say status 0.
                self._process.returncode = _UNKNOWN
            else:
                if pid:
                    self._process.returncode = os.waitstatus_to_exitcode(status)
        return self._process.returncode is not None

    def _close(self) -> None:
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()


def _lasts(claim: Callable[[], bool]) -> bool:
    """Whether it stays true for as long as a process group may take to end by itself."""
    patience = time.monotonic() + _GRACE
    while claim():
        if time.monotonic() >= patience:
            return True
        time.sleep(0.01)
    return False


def _how_it_ended(status: int) -> str:
    if status == _UNKNOWN:
        return "ended with a status that other code in this process took: let that wait for its own children"
    if status > 0:
        return f"exited with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:  # real-time signals have no names
        return f"was ended by signal {-status}"
