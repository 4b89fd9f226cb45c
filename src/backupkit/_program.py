"""A program that is fed and whose output is pulled, within limits, and which never outlives a failure."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING

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
    started. It inherits the descriptors in `pass_fds`, and reads the chunks of `feed` on its standard input,
    which `output` pulls as the program takes them and which has to be read whole, unless it `may_leave` some:
    an exception of theirs passes through, and ends the program while its input is still open, so that it
    never takes what it was given for all there is.

    Limits are seconds: `time_limit` counts from the start to the exit, `silence_limit` anew after each byte
    on any stream (on standard error only if `errors_count`), and only while `output` waits, `straggling` from
    the exit of the program itself to the end of its output, which children of it may hold.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | None = None,
        time_limit: float | None = None,
        silence_limit: float | None = None,
        errors_count: bool = True,
        straggling: float | None = None,
        pass_fds: Collection[int] = (),
        feed: Iterable[bytes] | None = None,
        may_leave: bool = False,
    ) -> None:
        import subprocess

        self._process = subprocess.Popen(
            argv,
            bufsize=0,
            stdin=subprocess.DEVNULL if feed is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=env,
            start_new_session=True,
            pass_fds=pass_fds,
        )
        self._time_limit = time_limit
        self._silence_limit = silence_limit
        self._errors_count = errors_count
        self._straggling = straggling
        self._started = self._heard = time.monotonic()
        self._ended: float | None = None
        self._output_open = True
        self._feed = None if feed is None else iter(feed)
        self._to_feed = memoryview(b"")
        self._may_leave = may_leave
        self.errors = bytearray()  # the end of standard error
        _widen(self._process.stdout)
        if self._process.stdin is not None:
            _widen(self._process.stdin)
            os.set_blocking(self._process.stdin.fileno(), False)

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
            if self._process.stdin is not None:
                selector.register(self._process.stdin, selectors.EVENT_WRITE)
            while self._output_open:
                if chunk := self._receive(selector, self._wait()):
                    yield chunk
                    self._heard = time.monotonic()  # what the reader took was not the program's silence
            pause = 0.001
            while not self._exited():
                self._receive(selector, min(pause, self._left() or pause))
                pause = min(2 * pause, 0.05)
            self._receive(selector, 0)  # what is still in the pipe; a child that keeps it is not waited for

        if self._process.returncode != 0:
            raise ProgramError(_how_it_ended(self._process.returncode))
        if self._feed is not None and not self._may_leave:
            raise ProgramError("ended before it had read all that it was given")

    def _receive(self, selector: DefaultSelector, timeout: float | None) -> bytes:
        """Wait for any stream; return what came on standard output."""
        output = b""
        for key, _ in selector.select(timeout):
            if key.fileobj is self._process.stdin:
                if not self._give(key.fd):
                    selector.unregister(key.fileobj)
                    self._process.stdin.close()
                continue
            data = os.read(key.fd, _CHUNK)
            is_output = key.fileobj is self._process.stdout
            if is_output or self._errors_count:
                self._heard = time.monotonic()
            if is_output:
                output = data
                self._output_open = bool(data)
            else:
                self.errors += data
                del self.errors[:-_KEPT]
            if not data:
                selector.unregister(key.fileobj)
        return output

    def _give(self, stdin: int) -> bool:
        """Write what its input takes now; False when there is no more, or nobody reads it any more."""
        while not self._to_feed:
            chunk = None if self._feed is None else next(self._feed, None)
            if chunk is None:
                self._feed = None
                return False
            self._to_feed = memoryview(chunk)
            self._heard = time.monotonic()  # waiting for what to give was not the program's silence
        try:
            written = os.write(stdin, self._to_feed)
        except BlockingIOError:
            return True
        except BrokenPipeError:
            return False
        self._to_feed = self._to_feed[written:]
        self._heard = time.monotonic()
        return True

    def _wait(self) -> float | None:
        """How long to wait for the next byte; ProgramError if only a child is left to write it, for too long."""
        left = self._left()
        if self._straggling is None:
            return left
        if self._ended is None and self._exited():
            self._ended = time.monotonic()
        if self._ended is not None and time.monotonic() - self._ended >= self._straggling:
            raise ProgramError("ended, but left a process behind that holds its output open")
        return min(0.1, left or 0.1)

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
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()


def _widen(pipe: IO[bytes] | None) -> None:
    import fcntl

    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):  # the user's pipes may have used up what is allowed
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _CHUNK)  # type: ignore[arg-type] # it is a pipe


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
