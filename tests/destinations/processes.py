"""What processes leave at a store that are killed, end, fork or are interrupted while they write.

A store says where in a subclass of `ProcessTests`.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from backupkit.destinations.opening import open_destination
from backupkit.protocols import Destination
from tests.fault_proxy import FaultProxy, Rule

_BEGINNING = """
import json, os, sys, threading, time
from backupkit.destinations.opening import open_destination
url, options = json.loads(sys.argv[1])
destination = open_destination(url, **options)
part_size = options["part_size"]
def chunks(count):
    for number in range(count):
        yield bytes([number % 251]) * part_size
def told(count, then):
    yield from chunks(count)
    print("under way", flush=True)
    yield from then
"""
_MiB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Place:
    """An empty place: its URL, the options with which it is opened, and those by way of the proxy.

    `part` matches the first lines of the requests that send content, `part_size` bytes each; `under_way` of them
    have stalled when a writer is interrupted, or its process ends.
    """

    url: str
    options: Mapping[str, Any]
    proxied: Mapping[str, Any]
    proxy: FaultProxy
    part: str
    part_size: int = _MiB
    under_way: int = 1

    @property
    def destination(self) -> Destination:
        return open_destination(self.url, **self.options)


class ProcessTests:
    @pytest.fixture
    def place(self) -> Iterator[Place]:
        raise NotImplementedError("give a fixture `place`")

    def test_a_killed_process_leaves_nothing_that_is_visible(self, place: Place) -> None:
        with child_of(place, KILLED) as child:
            until(child, "under way")
            child.kill()
        assert [*place.destination.list()] == []
        assert place.destination.write("object", [b"next try"]).size == 8

    def test_a_forked_child_uses_what_its_parent_has_used(self, place: Place) -> None:
        program = """
destination.write("parent", chunks(3))
pid = os.fork()
if not pid:
    destination.write("child", chunks(3))
    os._exit(0 if sum(map(len, destination.read("parent"))) == 3 * part_size else 1)
assert os.waitpid(pid, 0)[1] == 0
destination.write("parent-again", chunks(3))
"""
        with child_of(place, program) as child:
            errors = child.communicate(timeout=60)[1]
        assert child.returncode == 0, errors
        assert [one.name for one in place.destination.list()] == ["child", "parent", "parent-again"]

    def test_a_process_that_ends_while_a_thread_writes_ends_at_once(self, place: Place) -> None:
        place.proxy.rules = [Rule(place.part, "stall sending", times=1000, skip=1)]
        program = """
threading.Thread(target=lambda: destination.write("object", told(2, chunks(100))), daemon=True).start()
sys.stdin.readline()
"""
        with child_of(place, program, proxied=True) as child:
            until(child, "under way")
            _wait_for_stalls(place)
            begun = time.monotonic()
            errors = child.communicate("end\n", timeout=60)[1]
        assert time.monotonic() - begun < 30  # a request may take a minute
        assert child.returncode == 0, errors
        assert [*place.destination.list()] == []

    def test_an_interrupt_ends_an_upload_that_stalls_at_once(self, place: Place) -> None:
        place.proxy.rules = [
            Rule(place.part, "stall sending", times=1000, skip=1),
            Rule("DELETE ", "stall answer", times=1000),  # that it gives up is not heard either
        ]
        program = """
try:
    destination.write("object", told(2, chunks(100)))
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
        with child_of(place, program, proxied=True) as child:
            until(child, "under way")
            _wait_for_stalls(place)
            begun = time.monotonic()
            child.send_signal(signal.SIGINT)
            until(child, "interrupted")
            errors = child.communicate(timeout=60)[1]
        assert time.monotonic() - begun < 30
        assert child.returncode == 0, errors
        assert [*place.destination.list()] == []

    @pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
    def test_large_objects_are_sent_and_read_in_little_memory(self, place: Place) -> None:
        options = {"part_size": max(4 * _MiB, place.part_size), "concurrency": 2}
        assert memory(place, 80 * _MiB, options) < 60 * _MiB  # a few parts, or pieces of up to 8 MiB


def _wait_for_stalls(place: Place) -> None:
    while len(place.proxy.befell()) < place.under_way:
        time.sleep(0.01)


KILLED = "destination.write('shop/object', told(5, iter(lambda: time.sleep(3600), 1)))"
"""A program that is to be killed once it is under way."""


def memory(place: Place, size: int, options: Mapping[str, Any]) -> int:
    """What an object of so many bytes takes, written and read back with these options, in bytes."""
    program = f"""
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM"))
def mebibytes(count):
    for number in range(count):
        yield bytes([number % 251]) * (1 << 20)
del options["part_size"]
destination = open_destination(url, **options, **{dict(options)!r})
destination.write("small", mebibytes(1))
before = peak()
destination.write("large", mebibytes({size // _MiB}))
assert sum(map(len, destination.read("large"))) == {size}
print(peak() - before)
"""
    with child_of(place, program) as child:
        output, errors = child.communicate(timeout=120)
    assert child.returncode == 0, errors
    return int(output)


@contextmanager
def child_of(place: Place, program: str, *, proxied: bool = False) -> Iterator[subprocess.Popen[str]]:
    """A process that runs this program, which has `destination`, `chunks` of a part each, and `told`.

    It is killed at the end, so that a test fails, and does not hang, where it does not end by itself.
    """
    options = {**(place.proxied if proxied else place.options), "part_size": place.part_size}
    with subprocess.Popen(
        [sys.executable, "-c", _BEGINNING + program, json.dumps([place.url, options])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def until(child: subprocess.Popen[str], line: str) -> None:
    """Wait for what it says next, which is to be this."""
    assert child.stdout is not None
    found = child.stdout.readline().strip()
    assert found == line, child.communicate()[1]
