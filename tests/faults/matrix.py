"""Every operation, every call that it makes, everything that can go wrong there.

A case is one operation with one fault at one call. Afterwards it is looked at what is visible, whether that is
what the operation reported, and whether the next operation is hindered; what is the same in two cases is
looked at once.
"""

from __future__ import annotations

import gc
import itertools
import shutil
import signal
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from backupkit import BackupKitError, DestinationError, Report, Retry
from backupkit.testing.destinations import Fault, FaultyDestination, Method
from tests.faults.attempts import Ended, Heard, Listening, attempt, in_child, listening
from tests.faults.calls import (
    IO_ERROR,
    NO_ROOM,
    GoesWrong,
    Hook,
    Recorder,
    any_call,
    can_be_short,
    half,
    hooked,
    needs_room,
    send,
    signalled,
    watch,
)
from tests.faults.scenes import SCENES, LocalPlace, MemoryPlace, Place, Scene, World, WrongError, expect

END = 1 << 60
Look: TypeAlias = Callable[[], object]
F = TypeVar("F", "CallFault", "MethodFault")
Kind: TypeAlias = type[LocalPlace] | type[MemoryPlace]


@dataclass(frozen=True, kw_only=True)
class CallFault:
    """Something that goes wrong in a system call, at each call that it can befall."""

    name: str
    does: Callable[[Heard, Look], Hook]  # the second looks, from outside, at what is visible at that moment
    befalls: Callable[[str, tuple[Any, ...]], bool] = any_call
    lasting: bool = False
    heard_by: Listening = "nobody"
    harmless: bool = False
    kills: signal.Signals | None = None
    tries: int = 1


@dataclass(frozen=True, kw_only=True)
class MethodFault:
    """Something that goes wrong in a call of a destination: before, within or after it."""

    name: str
    does: Callable[[Heard, Look], BaseException | Callable[[], object] | None]
    methods: Sequence[Method] = ("write", "read", "stat", "list", "delete")
    lasting: bool = False
    heard_by: Listening = "nobody"
    harmless: bool = False
    kills: signal.Signals | None = None
    tries: int = 1
    stages: Sequence[int] = ()  # instead of the usual ones
    lies: bool = False  # the rest of what was under way is lost, and nothing is said of it

    def at(
        self, method: Method, call: int, does: BaseException | Callable[[], object] | None
    ) -> Iterator[Fault]:
        """The fault at every stage of this call."""
        make = partial(
            Fault, method=method, does=does, call=call, lasting=self.lasting, goes_on=not self.lies
        )
        stages = self.stages or {"write": (0, 1, 100, END), "read": (0, 1), "list": (0, 1, END)}.get(
            method, (0,)
        )
        for after in stages:
            if not (self.lies and after == END):
                yield make(after=after)
        if (
            not self.lies and not self.stages and method != "read"
        ):  # whoever has read enough does not wait for the end
            yield make(answer_lost=True)


def _waits(_: Heard, look: Look) -> Hook:
    def does(name: str, arguments: tuple[Any, ...], call: Callable[[], Any]) -> Any:
        look()
        return call()

    return does


def _sends(number: signal.Signals, *, after: bool = False) -> Callable[[Heard, Look], Hook]:
    return lambda heard, _: signalled(number, heard[1], after=after)


def _sending(number: signal.Signals) -> Callable[[Heard, Look], Callable[[], object]]:
    return lambda heard, _: partial(send, number, heard[1])


def _error(message: str, *, retryable: bool = False) -> Callable[[Heard, Look], BaseException]:
    return lambda *_: DestinationError(message, location="memory:memory", retryable=retryable)


def _by_name(*faults: F) -> Mapping[str, F]:
    return {fault.name: fault for fault in faults}


KILL, TERM, INT = signal.SIGKILL, signal.SIGTERM, signal.SIGINT

CALL_FAULTS: Mapping[str, CallFault] = _by_name(
    CallFault(name="an error", does=lambda *_: IO_ERROR),
    CallFault(name="an error, tried again", does=lambda *_: IO_ERROR, tries=2),
    CallFault(name="errors from then on", does=lambda *_: IO_ERROR, lasting=True),
    CallFault(name="a short write or read", does=lambda *_: half, befalls=can_be_short, harmless=True),
    CallFault(name="a full disk", does=lambda *_: NO_ROOM, befalls=needs_room, lasting=True),
    CallFault(name="a slow disk", does=_waits, harmless=True),
    CallFault(name="SIGKILL", does=_sends(KILL), kills=KILL),
    CallFault(name="SIGTERM", does=_sends(TERM), kills=TERM),
    CallFault(name="SIGTERM to the command", does=_sends(TERM), heard_by="the command"),
    CallFault(name="SIGINT to the command", does=_sends(INT), heard_by="the command"),
    CallFault(name="SIGINT", does=_sends(INT), heard_by="Python"),
    CallFault(name="SIGINT as the call returns", does=_sends(INT, after=True), heard_by="Python"),
)

METHOD_FAULTS: Mapping[str, MethodFault] = _by_name(
    MethodFault(name="an error", does=_error("The cable was cut.")),
    MethodFault(name="an error, tried again", does=_error("The cable is loose.", retryable=True), tries=2),
    MethodFault(name="a part is kept, or given", does=lambda *_: None, methods=("write", "read"), lies=True),
    MethodFault(name="a full disk", does=_error("The disk is full."), methods=("write",), lasting=True),
    MethodFault(name="a slow destination", does=lambda _, look: look, harmless=True),
    MethodFault(name="SIGKILL", does=_sending(KILL), kills=KILL),
    MethodFault(name="SIGTERM", does=_sending(TERM), kills=TERM),
    MethodFault(name="SIGTERM to the command", does=_sending(TERM), heard_by="the command"),
    MethodFault(name="SIGINT to the command", does=_sending(INT), heard_by="the command"),
    MethodFault(name="SIGINT", does=_sending(INT), heard_by="Python"),
)


@dataclass
class Row:
    """What the cases of one fault in one operation have shown."""

    points: list[str] = field(default_factory=list)
    visible: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)  # at which calls something unfinished and invisible was left
    reported: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)


class Matrix:
    """The cases. Needs a process of its own, without other threads, in which system calls are watched."""

    def __init__(self, root: Path, **world: Any) -> None:
        watch()
        self._root = root
        made = World(root, **world)
        self.scenes: dict[str, Scene] = {kind.name: kind(made) for kind in SCENES}
        self._numbers = itertools.count()
        self._seen: dict[Hashable, str] = {}
        self._gone_on: set[Hashable] = set()
        gc.freeze()  # what there is now is not looked at, and so not copied, in each child

    def of_calls(self, operation: str, fault: CallFault) -> Row:
        """The row of a fault in the system calls of an operation on a local folder."""
        scene, row = self.scenes[operation], Row()
        with self._place(scene, LocalPlace) as place, hooked(recorder := Recorder()):
            _without_fault(scene, partial(scene.act, place, place.destination, None))
        for number, (name, arguments) in enumerate(recorder.calls):
            if fault.befalls(name, arguments):
                row.points.append(name)
                with self._case(scene, LocalPlace, fault, f"{name}, call {number + 1}", row) as case:
                    case(partial(self._with_hook, fault, number))
        return row

    def of_methods(self, operation: str, fault: MethodFault) -> Row:
        """The row of a fault in the calls that an operation makes of its destination."""
        scene, row = self.scenes[operation], Row()
        kind: Kind = LocalPlace if fault.kills else MemoryPlace
        with self._place(scene, kind) as place:
            counted = FaultyDestination(place.destination)
            _without_fault(scene, partial(scene.act, place, counted, None))
        for method in fault.methods:
            for call in range(1, counted.calls[method] + 1):
                for stage, _ in enumerate(fault.at(method, call, None)):
                    row.points.append(method)
                    with self._case(scene, kind, fault, f"{method} {call}, stage {stage}", row) as case:
                        case(partial(self._with_destination, fault, method, call, stage))
        return row

    def _with_hook(
        self, fault: CallFault, number: int, scene: Scene, place: Place, heard: Heard, look: Look
    ) -> Ended:
        hook = GoesWrong(number, fault.does(heard, look), fault.befalls, fault.lasting)
        retry = Retry(tries=fault.tries, wait=0)
        with hooked(hook):
            return attempt(partial(scene.act, place, place.destination, heard[0], retry=retry))

    def _with_destination(
        self,
        fault: MethodFault,
        method: Method,
        call: int,
        stage: int,
        scene: Scene,
        place: Place,
        heard: Heard,
        look: Look,
    ) -> Ended:
        one = [*fault.at(method, call, fault.does(heard, look))][stage]
        faulty = FaultyDestination(place.destination, [one])
        retry = Retry(tries=fault.tries, wait=0)
        return attempt(partial(scene.act, place, faulty, heard[0], retry=retry))

    @contextmanager
    def _case(
        self, scene: Scene, kind: Kind, fault: CallFault | MethodFault, where: str, row: Row
    ) -> Iterator[Callable[[Callable[..., Ended]], None]]:
        """One case, given what to try in it; what is wrong in it goes into the row."""
        with self._place(scene, kind) as place:

            def case(trial: Callable[..., Ended]) -> None:
                glances: list[WrongError] = []

                def look() -> None:
                    try:
                        with hooked(lambda name, arguments, call: call()):
                            self._look(scene, place)
                    except WrongError as wrong:  # told here: this may be the thread of a destination
                        glances.append(wrong)

                def work(glance: Look) -> Ended:
                    with listening(fault.heard_by) as heard:
                        return trial(scene, place, heard, glance)

                ended = in_child(partial(work, look)) if fault.kills else work(look)
                expect(not glances, f"meanwhile {glances}")
                for thread in threading.enumerate():
                    if thread.name.startswith("backupkit_"):
                        thread.join()  # of an executor, interrupted as it began; it ends by itself
                expect(threading.active_count() == 1, f"still at work: {threading.enumerate()}")
                seen = self._look(scene, place)
                row.visible.add(seen)
                row.reported.add(ended.reported)
                if not scene.tidy(place):
                    row.left.add(where.partition(",")[0])
                    can_leave = fault.kills or fault.lasting or where.startswith("unlink")
                    expect(can_leave, "something unfinished was left behind")
                _judge(scene, fault, ended, seen)
                self._go_on(scene, place)

            try:
                yield case
            except (WrongError, BackupKitError, ExceptionGroup) as wrong:
                row.wrong.append(f"{where}: {wrong!r}")

    @contextmanager
    def _place(self, scene: Scene, kind: Kind) -> Iterator[Place]:
        """A place in the state before the operation."""
        folder = self._root / f"case-{next(self._numbers)}"
        folder.mkdir()
        try:
            place = kind(folder, scene.before)
            scene.prepare(place)
            yield place
        finally:
            shutil.rmtree(folder)

    def _look(self, scene: Scene, place: Place) -> str:
        state = (scene.name, type(place), place.state())
        if state not in self._seen:
            self._seen[state] = scene.look(place)
        return self._seen[state]

    def _go_on(self, scene: Scene, place: Place) -> None:
        state = (scene.name, type(place), place.state())
        if state not in self._gone_on:
            scene.again(place)
            scene.sweep(place)
            self._gone_on.add(state)


def _without_fault(scene: Scene, act: Callable[[], Report]) -> None:
    ended = attempt(act)
    expect(ended.lossless, f"{scene.name} without a fault: {ended}")


def _judge(scene: Scene, fault: CallFault | MethodFault, ended: Ended, seen: str) -> None:
    """Is what was reported true?"""
    expect(not ended.foreign, f"an exception that is not ours: {ended.foreign}")
    expect(not ended.silent, f"{ended.reported}, and no report says what was lost")
    done = not ended.lossless or ended.unrecorded or scene.everything(seen)
    expect(done, f"{ended.reported}, and what is visible is: {seen}")
    expect(ended.lossless or not fault.harmless, f"{ended.reported}, although nothing was lost")
    if fault.kills:
        expect(ended.reported == f"killed by {fault.kills.name}", f"not killed, but {ended.reported}")
