"""Trying an operation that will go wrong, here or in a child process that may be killed by it."""

from __future__ import annotations

import gc
import json
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from types import FrameType
from typing import Literal, TypeAlias

from backupkit import BackupKitError, OperationCancelledError, Report
from backupkit.cli.stopping import cancelled_by_signals

# What is told of signals: the event that cancels an operation, and the one that is set once one was heard.
Heard: TypeAlias = tuple[threading.Event | None, threading.Event | None]
Listening: TypeAlias = Literal["nobody", "the command", "Python"]


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How an attempt ended: what it reported, or the signal that killed it."""

    reported: str
    lossless: bool = False  # it says that it has done everything
    unrecorded: bool = False  # it warns that its result could not be written down
    silent: bool = False  # it lost something, and no report says what
    foreign: str = ""  # the traceback of an exception that is not one of ours


def attempt(act: Callable[[], Report]) -> Ended:
    """Try it; an exception is an answer too."""
    try:
        report = act()
    except OperationCancelledError as error:
        return Ended(reported="cancelled", silent=error.report is None)
    except KeyboardInterrupt:
        return Ended(reported="`KeyboardInterrupt`")
    except Exception as error:
        if _interrupted_lock(error):
            return Ended(reported="`KeyboardInterrupt`")
        members = error.exceptions if isinstance(error, ExceptionGroup) else [error]
        known = all(isinstance(one, BackupKitError) for one in members)
        return Ended(
            reported=f"`{type(error).__name__}`",
            silent=not _tells(getattr(error, "report", None)),
            foreign="" if known else _where(error),
        )
    if report.outcome == "succeeded":
        warned = ", with a warning" if report.problems else ""
        unrecorded = any("could not be recorded" in one.message for one in report.problems)
        return Ended(reported=f"succeeded{warned}", lossless=True, unrecorded=unrecorded)
    return Ended(reported=report.outcome, silent=not _tells(report))


def _interrupted_lock(error: Exception) -> bool:
    """Whether it is what `threading.Condition` makes of a Ctrl-C while it gives up a lock or takes it back."""
    return (
        isinstance(error, RuntimeError)
        and str(error) in ("release unlocked lock", "cannot release un-acquired lock")
        and isinstance(error.__context__, KeyboardInterrupt)
    )


def _where(error: BaseException) -> str:
    trace = [one for one in traceback.extract_tb(error.__traceback__) if "tests" not in one.filename]
    return f"{error!r} at {trace[-1].filename}:{trace[-1].lineno}: {trace[-1].line}"


def _tells(report: Report | None) -> bool:
    return report is not None and any(one.severity == "error" for one in report.problems)


@contextmanager
def listening(who: Listening) -> Iterator[Heard]:
    """Hear signals as the command line does, as a Python program does that says nothing of them, or not."""
    signal.signal(signal.SIGUSR2, lambda number, frame: None)
    if who == "the command":
        with cancelled_by_signals() as cancel:
            yield cancel, cancel
    elif who == "Python":
        heard = threading.Event()

        def handle(number: int, frame: FrameType | None) -> None:
            heard.set()
            signal.default_int_handler(number, frame)

        before = signal.signal(signal.SIGINT, handle)
        # Python itself loses what is raised in a callback of its garbage collector ("Exception ignored in"):
        # then no program hears of Ctrl-C, and the operation just goes on.
        gc.disable()
        try:
            yield None, heard
        finally:
            gc.enable()
            signal.signal(signal.SIGINT, before)
    else:
        yield None, None


def in_child(work: Callable[[], Ended]) -> Ended:
    """Do the work in a fork of this process, which must have no other threads, and say how it ended."""
    answers, answer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(answer, json.dumps(asdict(work())).encode())
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)  # what the parent has registered for its own exit is not the child's to do
    os.close(answer)
    with os.fdopen(answers, "rb") as told:
        text = told.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return Ended(reported=f"killed by {signal.Signals(os.WTERMSIG(status)).name}")
    return Ended(**json.loads(text))
