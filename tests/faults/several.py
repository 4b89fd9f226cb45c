"""Three destinations, of which one fails, at each of its calls: the other two are complete and correct."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

from backupkit import BackupPipeline, KeepLast, Report, Retry
from backupkit.cli.exit_codes import OF_OUTCOME
from backupkit.protocols import Destination
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination, Method
from tests.faults.matrix import END, METHOD_FAULTS, MethodFault, Row
from tests.faults.scenes import Clean, Scene, WrongError, expect, ours

STALL = timedelta(seconds=0.5)  # long enough for the others to be no slower on a busy machine
NAMES = ("one", "two", "three")
HANGS = MethodFault(name="it hangs", does=lambda _, wait: wait, methods=("write",), stages=(0, END))
HANGS_ONCE = replace(HANGS, name="it hangs, tried again", tries=2)
SEVERAL_FAULTS: Mapping[str, MethodFault] = {
    name: fault
    for name, fault in (*METHOD_FAULTS.items(), (HANGS.name, HANGS), (HANGS_ONCE.name, HANGS_ONCE))
    if fault.heard_by == "nobody" and not fault.kills
}


def several(scene: Scene, fault: MethodFault) -> Row:
    """The row of a fault at one of three destinations, in the run or the clean of this scene."""
    row = Row()
    for bad in range(3):
        _, given = _destinations(scene, bad, [])
        _act(scene, given, tries=1)
        counted = given[bad]
        assert isinstance(counted, FaultyDestination)
        for method in fault.methods:
            for call in range(1, counted.calls[method] + 1):
                for stage, _ in enumerate(fault.at(method, call, None)):
                    row.points.append(method)
                    try:
                        _case(scene, fault, bad, method, call, stage, row)
                    except (WrongError, ExceptionGroup) as wrong:
                        row.wrong.append(f"{NAMES[bad]}, {method} {call}, stage {stage}: {wrong}")
    return row


def _destinations(
    scene: Scene, bad: int, faults: Sequence[Fault]
) -> tuple[list[MemoryDestination], list[Destination]]:
    inner = [MemoryDestination(name) for name in NAMES]
    for one in inner:
        one.objects.update(scene.objects)
    given: list[Destination] = [*inner]
    given[bad] = FaultyDestination(inner[bad], faults)
    return inner, given


def _pipeline(scene: Scene, destinations: Sequence[Destination], tries: int) -> BackupPipeline:
    options = {"retention": KeepLast(1)} if isinstance(scene, Clean) else {}
    return scene.world.pipeline(destinations, retry=Retry(tries=tries, wait=0), stall_limit=STALL, **options)


def _act(scene: Scene, destinations: Sequence[Destination], *, tries: int) -> Report:
    made = _pipeline(scene, destinations, tries)
    return made.clean() if isinstance(scene, Clean) else made.run()


@contextmanager
def _hanging(fault: MethodFault) -> Iterator[Callable[[], object]]:
    """What to wait for, for ever, unless the fault is another one; it ends, and its thread, after the body."""
    if fault not in (HANGS, HANGS_ONCE):
        yield lambda: None
        return
    released = threading.Event()
    try:
        yield released.wait
    finally:
        released.set()
        for thread in threading.enumerate():
            if thread.name.startswith("backupkit memory:"):
                thread.join()


def _case(
    scene: Scene, fault: MethodFault, bad: int, method: Method, call: int, stage: int, row: Row
) -> None:
    with _hanging(fault) as wait:
        one = [*fault.at(method, call, fault.does((None, None), wait))][stage]
        inner, given = _destinations(scene, bad, [one])
        report = _act(scene, given, tries=fault.tries)
        others = [each.objects for number, each in enumerate(inner) if number != bad]
        _whole(scene, others)
    expect(others[0] == others[1], "the two others are not the same")
    for number, result in enumerate(report.destinations):
        expect(number == bad or result.outcome == "succeeded", f"{NAMES[number]} ended {result.outcome}")
    result = report.destinations[bad]
    if fault.harmless or fault.tries > 1:
        expect(report.outcome == "succeeded", f"nothing was lost, and it ended {report.outcome}")
        expect(inner[bad].objects == others[0], f"{NAMES[bad]} is not the same")
    else:
        expect(OF_OUTCOME[report.outcome] == 3, f"one failed, and the run is {report.outcome}")
        unknown = fault is HANGS and method == "write" and one.after == END
        failed = ("unknown",) if unknown else ("failed", "incomplete")
        expect(result.outcome in failed, f"{NAMES[bad]} failed and is {result.outcome}")
        reasons = [problem.destination for problem in report.problems if problem.severity == "error"]
        expect(reasons == [inner[bad].location], f"the reasons given are {report.problems}")
    row.reported.add(report.outcome + (", and unknown there" if result.outcome == "unknown" else ""))
    row.visible.add(_seen(scene, inner[bad].objects, others[0]))
    again = _pipeline(scene, inner, 1)
    again._clock = scene.later()["clock"]  # the next one comes an hour later
    after = again.clean() if isinstance(scene, Clean) else again.run()
    expect(after.outcome == "succeeded", f"the next one ended {after.outcome}: {after.problems}")


def _seen(scene: Scene, objects: Mapping[str, bytes], whole: Mapping[str, bytes]) -> str:
    """What is visible where it failed."""
    if objects == whole:
        return "the same as elsewhere"
    if objects == scene.objects:
        return "nothing of it"
    if isinstance(scene, Clean):
        expect(whole.keys() < objects.keys() < scene.objects.keys(), "more was removed, or less")
        return "a part of it"
    new = objects.keys() - scene.objects.keys()
    expect([name.endswith(".zip") for name in new] == [True], f"these are new: {new}")
    (archive,) = new
    expect(objects[archive] == whole[archive], f"{archive} is not whole")
    return "the archive, unconfirmed"


def _whole(scene: Scene, places: Sequence[Mapping[str, bytes]]) -> None:
    """Every one of these has all that the operation should leave, and nothing else."""
    for objects in places:
        if isinstance(scene, Clean):
            expect(objects.keys() == scene.stays, f"after cleaning there are {sorted(objects)}")
            continue
        new = sorted(objects.keys() - scene.objects.keys())
        expect([name.partition("Z-files.")[2] for name in new] == ["complete.json", "zip"], f"new: {new}")
        scene.unharmed(objects)
        content = scene.world.read_archive(objects[new[1]])
        expect(content == scene.world.contents["newer"], f"{ours(new[1])} does not hold what was backed up")
