"""A process that saves folders for a run: it opens, seals and stores them itself, and returns what was made."""

from __future__ import annotations

import gc
import os
import pickle
import select
import signal
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from backupkit._processes import sendable
from backupkit.errors import BackupKitError, DestinationError, IntegrityError, told
from backupkit.formats.restic.blobs import unseal_blob
from backupkit.formats.restic.exchange import (
    Done,
    Held,
    HeldAnswer,
    New,
    Question,
    Raised,
    Ready,
    Refused,
    RepositorySetup,
    Saved,
    Setup,
    StoredPack,
    Task,
    Tree,
    Waiting,
)
from backupkit.formats.restic.folders import Counts, FolderSaver, unfinished
from backupkit.formats.restic.index import Location
from backupkit.formats.restic.nodes import parse_tree
from backupkit.formats.restic.objects import Objects
from backupkit.formats.restic.packing import PackWriter
from backupkit.formats.restic.packs import PackedBlob
from backupkit.formats.restic.parents import Node
from backupkit.formats.restic.storing import ContentReader, Living, NobodyLeft
from backupkit.retrying import Retry

_BLOBS, _BYTES = 512, 8 << 20  # of which it is asked at once whether they are new
_LOOK = 1.0  # seconds after which a worker looks whether it still has a parent


def work(connection: Connection, parent: int) -> None:
    """Do what comes until nothing more can come."""
    gc.freeze()
    gc.set_threshold(100_000)  # little of what is made here refers to itself
    # Ctrl-C, the end of a terminal, and systemd's SIGTERM reach all; what is to be done then, the parent says.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(connection.fileno(), parent), daemon=True).start()
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the parent is gone, or needs no more
        try:
            worker = Worker(connection, pickle.loads(connection.recv_bytes()))  # noqa: S301  # from our parent
            connection.send(Ready())
            while content := connection.recv_bytes():
                try:
                    task: Task = pickle.loads(content)  # noqa: S301  # from our parent
                except Exception:
                    connection.send(Refused())
                    continue
                connection.send(worker.done(task))
            connection.send(worker.finished())
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise
        except Exception as error:
            connection.send(Raised(sendable(error)))
            connection.recv_bytes()  # until the parent has heard it


class Worker:
    """Saves the folders of tasks, of which the nodes go back, and the blobs to the repositories."""

    def __init__(self, connection: Connection, setup: Setup) -> None:
        self._connection = connection
        retry = Retry(tries=setup.tries, wait=setup.wait, tell=self._tell_waiting)
        self._living = Living(
            {number: Remote(number, one, self.ask) for number, one in setup.repositories.items()}
        )
        self._remotes = dict(self._living.receivers)
        self._reader = ContentReader(self._living, retry)
        self._saver = FolderSaver(
            self._living,
            self._reader,
            connection.send,
            owner=setup.owner,
            now_ns=setup.now_ns,
            largest=setup.largest,
        )
        self._reader.meanwhile = self._saver.meanwhile

    def done(self, task: Task) -> Done:
        """Save the folders of a task as far as it says."""
        for number, places in task.places.items():
            self._remotes[number].places.update(places)
        entries, read = self._saver.entries, self._reader.read
        end = entries + task.most
        saved: list[Saved] = []
        try:
            for part, before, share in task.folders:
                left = end - self._saver.entries
                if left <= 0:
                    saved.append(None)
                    continue
                folder = self._saver.save(part, before, most=left, share=share)
                if folder.done and share is None:
                    above: dict[int, dict[str, str]] = {number: {} for number in self._living.receivers}
                    self._saver.close(folder, above)
                    saved.append(above)
                else:
                    saved.append(unfinished(folder))
            self._saver.tell(task.folders[0][0].entry.path)
        except NobodyLeft:
            saved = []
        return self._result(saved, self._saver.entries - entries, self._reader.read - read)

    def finished(self) -> Done:
        """Store what has not been stored yet."""
        with suppress(NobodyLeft):
            self._living.each(lambda _, remote: remote.flush())
        for remote in self._remotes.values():
            remote.close()
        return self._result([], 0, 0)

    def ask(self, question: Question) -> Any:
        self._connection.send(question)
        return self._connection.recv()

    def _result(self, saved: Sequence[Saved], entries: int, read: int) -> Done:
        packs: list[StoredPack] = []
        counts: dict[int, Counts] = {}
        for number, remote in self._remotes.items():
            packs += remote.packs
            remote.packs = []
            counts[number], remote.counts = remote.counts, Counts()
        problems, self._saver.problems = self._saver.problems, []
        failures, self._living.failures = self._living.failures, {}
        return Done(saved, packs, problems, counts, failures, entries, read)

    def _tell_waiting(self, seconds: float, error: BaseException) -> None:
        self._connection.send(Waiting(seconds, told(error)))


class Remote:
    """A repository, of which the parent process has the index. See `folders.Folders`."""

    def __init__(self, number: int, setup: RepositorySetup, ask: Any) -> None:
        self.counts = Counts()
        self.packs: list[StoredPack] = []
        self.places: dict[bytes, Location] = {}
        self._known: Mapping[str, Node] | None = None
        self._number = number
        self._setup = setup
        self._ask = ask
        self._objects = Objects(
            setup.destination, retry=Retry(tries=setup.tries, wait=setup.wait), cache=setup.cache
        )
        # Without an executor: each worker has a processor to itself.
        self._packs = PackWriter(self._objects, setup.sealer, setup.compressor, None, self._stored)
        self._batch: list[tuple[bytes, bytes, bool]] = []
        self._size = 0

    @property
    def polynomial(self) -> int:
        return self._setup.polynomial

    def add(self, id: bytes, plain: bytes, *, tree: bool = False) -> None:
        self._batch.append((id, plain, tree))
        self._size += len(plain)
        if self._size >= _BYTES or len(self._batch) >= _BLOBS:
            self._store_new()

    def flush(self) -> None:
        """Have everything stored."""
        self._store_new()
        self._packs.flush()

    def close(self) -> None:
        self._packs.close()

    def content_of(self, tree: bytes) -> bytes:
        try:
            return self._loaded(tree)
        except BackupKitError:
            return self._of_parent(tree)

    def parsed(self, tree: bytes, content: bytes) -> Mapping[str, Node]:
        where = f"tree {tree.hex()} at {self._objects.location}"
        try:
            nodes = parse_tree(content, where=where)
        except IntegrityError:
            content = self._of_parent(tree)
            nodes = parse_tree(content, where=where) if content else ()
        return {node["name"]: node for node in nodes}

    def holds_all(self, data: Sequence[bytes], trees: Sequence[bytes]) -> bool:
        if not (data or trees):
            return True
        answer = self._asked(b"".join(data), trees)
        return all(answer.data)

    def held(self, nodes: Mapping[str, Node], files: Mapping[str, Node]) -> Mapping[str, Node]:
        trees: list[bytes] = []
        if nodes is not self._known:  # of a large folder, files come in many turns
            self._known = nodes
            trees = [bytes.fromhex(node["subtree"]) for node in nodes.values() if node.get("subtree")]
        ids = [id for node in files.values() for id in node.get("content") or ()]
        if not (ids or trees):
            return files
        answer = self._asked(bytes.fromhex("".join(ids)), trees)
        if all(answer.data):
            return files
        missing = {id for id, is_held in zip(ids, answer.data, strict=True) if not is_held}
        return {name: node for name, node in files.items() if missing.isdisjoint(node.get("content") or ())}

    def _asked(self, data: bytes, trees: Sequence[bytes]) -> HeldAnswer:
        answer: HeldAnswer | None = self._ask(Held(self._number, data, b"".join(trees)))
        if answer is None:
            raise self._failed_elsewhere()
        self.places.update(
            {tree: place for tree, place in zip(trees, answer.places, strict=True) if place is not None}
        )
        return answer

    def _of_parent(self, tree: bytes) -> bytes:
        """What the parent has of a tree, who knows of other places, and tells what is damaged."""
        return self._ask(Tree(self._number, tree)) or b""

    def _loaded(self, tree: bytes) -> bytes:
        place = self.places.pop(tree, None)
        if place is None:
            raise IntegrityError("It is not known where this tree is.", where=tree.hex())
        sealed = self._objects.read_range(place.pack, place.offset, place.length, keep=True)
        where = self._objects.where("data", place.pack)
        return unseal_blob(sealed, place.uncompressed, tree, self._setup.sealer, where=where)

    def _store_new(self) -> None:
        batch, self._batch, self._size = self._batch, [], 0
        if not batch:
            return
        # First data, then trees, each in the order in which they came.
        batch.sort(key=_is_tree)
        data = b"".join(id for id, _, tree in batch if not tree)
        trees = b"".join(id for id, _, tree in batch if tree)
        answer: bytes | None = self._ask(New(self._number, data, trees))
        if answer is None:
            raise self._failed_elsewhere()
        for (id, plain, tree), is_new in zip(batch, answer, strict=True):
            if is_new:
                self._packs.add(id, plain, tree=tree)

    def _failed_elsewhere(self) -> DestinationError:
        location = self._objects.location
        return DestinationError(f"{location} was given up by this run.", location=location)

    def _stored(self, id: str, blobs: Sequence[PackedBlob], size: int) -> None:
        self.packs.append(StoredPack(self._number, id, [(*blob,) for blob in blobs], size))


def _is_tree(blob: tuple[bytes, bytes, bool]) -> bool:
    return blob[2]


def _end_with_parent(descriptor: int, parent: int) -> None:
    """End at once when the parent has gone, whatever is being done: nobody would refer to it."""
    watched = select.poll()
    watched.register(descriptor, 0)  # of which the end is told all the same
    while not watched.poll(_LOOK * 1000) and os.getppid() == parent:
        pass
    os._exit(1)
