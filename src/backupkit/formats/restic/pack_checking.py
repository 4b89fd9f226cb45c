"""Whether a pack holds what the index says, header and blobs: by this process, and by others beside it."""

from __future__ import annotations

import gc
import pickle
import queue
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import NamedTuple, TypeAlias

from backupkit._processes import answer_of, check_can_start, end, received, sendable, started
from backupkit.errors import IntegrityError, ObjectNotFoundError
from backupkit.formats.restic.blobs import unseal_blob
from backupkit.formats.restic.fetching import ranges_of
from backupkit.formats.restic.index import Location
from backupkit.formats.restic.objects import Objects
from backupkit.formats.restic.packs import PackedBlob, read_header
from backupkit.formats.restic.sealing import Sealer

_LEAVE = 5.0  # seconds in which one that has nothing more to do must have ended

Places: TypeAlias = Sequence[tuple[bytes, bool, Location]]
"""Blobs of one pack: their ids, whether they are trees, and where they stand."""


class Checked(NamedTuple):
    """What came of one pack: plain bytes, what is wrong with its header, and with which of its blobs."""

    read: int
    flaws: Sequence[str]
    damaged: dict[tuple[bytes, bool], str]


@dataclass(frozen=True, slots=True)
class PackChecker:
    """Checks one pack after the other, on any thread. Secret."""

    objects: Objects = field(repr=False)
    sealer: Sealer = field(repr=False)

    def header_flaws(self, pack: str, size: int, places: Places) -> Sequence[str]:
        """Whether the pack, of this size, says itself what the index says of it."""
        where = self.objects.where("data", pack)
        after = max(place.offset + place.length for _, _, place in places)
        expected = min(max(size - after, 0), 1 << 20)
        kept: list[tuple[int, bytes]] = []

        def read(start: int, length: int) -> bytes:
            """All that is behind the last blob at once, where the header must be."""
            if not kept:
                begin = min(start, size - expected)
                kept.append((begin, self.objects.read_range(pack, begin, size - begin)))
            begin, content = kept[0]
            if start >= begin:
                return content[start - begin : start - begin + length]
            return self.objects.read_range(pack, start, length)

        try:
            blobs = {*read_header(read, size, self.sealer, where=where)}
        except ObjectNotFoundError:
            return [f"{where} is missing."]
        except IntegrityError as error:
            return [f"The header is damaged, so that the index cannot be made anew: {error}"]
        for id, tree, place in places:
            if PackedBlob(id, tree, place.offset, place.length, place.uncompressed) not in blobs:
                return [f"{where} says itself that other blobs are in it than the index says."]
        return []

    def check(self, pack: str, size: int, places: Places) -> Checked:
        """Read all that is wanted of a pack."""
        damaged: dict[tuple[bytes, bool], str] = {}
        where = self.objects.where("data", pack)
        count = 0
        for tree in (False, True):
            for part in ranges_of((id, place) for id, is_tree, place in places if is_tree == tree):
                try:
                    sealed = memoryview(self.objects.read_range(pack, part.start, part.end - part.start))
                except (IntegrityError, ObjectNotFoundError) as error:
                    damaged.update(((id, tree), str(error)) for id, _ in part.blobs)
                    continue
                for id, place in part.blobs:
                    piece = sealed[place.offset - part.start :][: place.length]
                    try:
                        blob = unseal_blob(piece, place.uncompressed, id, self.sealer, where=where)
                    except IntegrityError as error:
                        damaged[id, tree] = str(error)
                    else:
                        count += len(blob)
        return Checked(count, self.header_flaws(pack, size, places), damaged)


class SpreadChecker:
    """The same, by so many processes, and by this one where all of those are busy.

    Threads would not do: of small blobs, Python's lock lets one be dealt with at a time. A context manager, which
    no process outlives; what a process that died was at is done again here. They know no index, only what they are
    told of a pack.
    """

    def __init__(self, checker: PackChecker, *, processes: int) -> None:
        """With fewer processes where they cannot be started, or told where the packs are."""
        self._checker = checker
        self._all: list[tuple[subprocess.Popen[bytes], Connection]] = []
        self._idle: queue.SimpleQueue[tuple[subprocess.Popen[bytes], Connection]] = queue.SimpleQueue()
        if processes < 1:
            return
        with suppress(ValueError, OSError):
            check_can_start()
            try:
                content = pickle.dumps(checker)
            except Exception:  # the destination cannot be given to another process
                return
            for _ in range(processes):
                process, connection = started(__name__, "work")
                self._all.append((process, connection))
                connection.send_bytes(content)
                self._idle.put((process, connection))

    def __enter__(self) -> SpreadChecker:
        return self

    def __exit__(self, *_exit: object) -> None:
        for _, connection in self._all:
            connection.close()
        for process, _ in self._all:
            end(process, _LEAVE)

    def check(self, pack: str, size: int, places: Places) -> Checked:
        try:
            process, connection = self._idle.get_nowait()
        except queue.Empty:
            return self._checker.check(pack, size, places)
        try:
            connection.send((pack, size, places))
            answer: Checked | Exception = answer_of(process, connection)
        except (EOFError, OSError, pickle.UnpicklingError):  # it died
            return self._checker.check(pack, size, places)
        self._idle.put((process, connection))
        if isinstance(answer, Exception):
            raise answer
        return answer


def work(connection: Connection, parent: int) -> None:
    """Check what comes until nothing more can come."""
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent ends this one
    answer: Checked | Exception
    with suppress(EOFError, OSError):
        checker: PackChecker = pickle.loads(connection.recv_bytes())  # noqa: S301  # from our parent
        while True:
            task = received(connection, parent)
            try:
                answer = checker.check(*task)
            except Exception as error:
                answer = sendable(error)
            connection.send(answer)
