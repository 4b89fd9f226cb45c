"""Spreading the folders of a run among workers: who reads what, who stores which blob, and what comes of it."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from backupkit._parallel import usable_processors
from backupkit.errors import BackupKitError
from backupkit.formats.restic.exchange import (
    Done,
    Held,
    HeldAnswer,
    Message,
    New,
    Raised,
    Refused,
    RepositorySetup,
    Setup,
    StoredPack,
    Task,
    Tree,
    Waiting,
)
from backupkit.formats.restic.folders import Before, FolderSaver, OpenFolder, Share, unfinished
from backupkit.model import Entry, Owner, Part, Passed, Problem
from backupkit.retrying import Retry

if TYPE_CHECKING:
    from backupkit.formats.restic.index import Location
    from backupkit.formats.restic.saving import Sink
    from backupkit.formats.restic.storing import ContentReader, Living
    from backupkit.formats.restic.workers import Worker, Workers

_WORTH = 1000  # entries that are saved before anything else is thought of
_SOON = 0.15  # seconds of work after which workers are started, if more is to do; to start one takes 0.12
_UNHURRIED = (
    8  # times as late they are started where nearly all is unchanged: each costs 0.2 s of a processor
)
_MOST = 4  # workers, unless more are asked for: each takes 60 MiB, and more than 8 wait for this process
_TASK = 400  # entries that a worker is given at once
_MEANWHILE = 50  # entries that are saved here between two looks whether a worker is ready
_FOLDERS = 64  # that a worker is given at once, at most
_LARGEST = 64 << 20  # bytes; larger files are read here, where threads share the work on one
_QUIET = 0.5  # seconds after which it is looked whether the run was cancelled


@dataclass(slots=True, eq=False)
class _Folder:
    """A folder with something left to do in it."""

    open: OpenFolder
    above: _Folder | None
    left: int


class _Work(NamedTuple):
    """A folder to save into the one that it is in, or a share of a folder that is begun."""

    part: Part
    before: Before
    folder: _Folder
    share: Share | None = None


class Spreading:
    """Saves folders, here as long as they are few, then by workers. Used by one thread, which has the index."""

    def __init__(
        self,
        living: Living[Sink],
        reader: ContentReader,
        retry: Retry,
        *,
        owner: Owner,
        now_ns: int,
        count: int | None,
    ) -> None:
        self.problems: list[Problem] = []
        self.entries = 0
        self.read = 0  # by workers
        self._living = living
        self._reader = reader
        self._retry = retry
        self._owner = owner
        self._now_ns = now_ns
        self._count = _usual_count() if count is None else count
        self._began = time.thread_time()
        self._workers: Workers | None = None
        self._passed: Callable[[Passed], None] = _not_told
        self._path = ""
        self._saver = self._saver_here()
        self._todo: list[_Work] = []
        self._here: list[_Work] = []  # what no worker can be given
        self._large: list[tuple[Entry, frozenset[int], _Folder]] = []

    def save(self, part: Part, before: Before) -> Mapping[int, Mapping[str, str]]:
        """The nodes of what is in a folder, by repository. Blobs may not be stored before `finish`."""
        self._passed, self._path = part.passed, part.entry.path
        saver = self._saver = self._saver_here()
        try:
            root = saver.save(part, before, most=self._at_first())
            if not root.done:
                self._finish_folder(root)
            self._passed_here()
        finally:
            self.entries += saver.entries
        return root.nodes

    def finish(self) -> None:
        """Have workers store what they have, and end them."""
        if self._workers is None:
            return
        left = {worker for worker in self._workers.all if worker.ready}
        for worker in left:
            worker.busy = ()
            worker.send_bytes(b"")  # the end
        while left:
            for worker in self._serve(_QUIET):
                left.discard(worker)
                self._workers.dismiss(worker)
        self.close()

    def close(self) -> None:
        """End the workers, whatever they are at."""
        if self._workers is not None:
            self._workers.close()
            self._workers = None

    def _at_first(self) -> int | None:
        if not self._count:
            return None
        return _WORTH if self._workers is None else _MEANWHILE

    def _saver_here(self) -> FolderSaver[Sink]:
        saver = FolderSaver(self._living, self._reader, self._tell, owner=self._owner, now_ns=self._now_ns)
        saver.problems = self.problems
        self._reader.meanwhile = self._meanwhile
        return saver

    def _tell(self, passed: Passed) -> None:
        self._passed(passed)

    def _passed_here(self) -> None:
        self._saver.tell(self._path)

    def _meanwhile(self) -> None:
        self._saver.meanwhile()
        if self._workers is not None:
            self._serve(0)
            self._give()

    def _is_worth_it(self) -> bool:
        """Whether there was so much to do that there may be much more."""
        soon = _SOON if self._saver.reads_much else _SOON * _UNHURRIED
        return time.thread_time() - self._began >= soon or (
            bool(self._todo) and self._todo[-1].share is not None
        )

    def _begin(self) -> None:
        from backupkit.formats.restic.workers import Workers  # which most runs do not need

        repositories = {
            number: RepositorySetup(
                sink.repository.objects.destination,
                sink.repository.objects.cache,
                sink.repository.sealer,
                sink.writer.compressor,
                sink.polynomial,
                sink.repository.objects.retry.tries,
                sink.repository.objects.retry.wait,
            )
            for number, sink in self._living.receivers.items()
        }
        setup = Setup(repositories, self._owner, self._now_ns, self._retry.tries, self._retry.wait, _LARGEST)
        try:
            self._workers = Workers(setup, self._count)
        except ValueError:
            self._count = 0

    def _finish_folder(self, root: OpenFolder) -> None:
        top = self._adopt(unfinished(root), None)
        while top.left:
            if self._workers is None and self._count and self._is_worth_it():
                self._begin()
            self._give()
            workers = self._workers.all if self._workers is not None else ()
            if self._workers is not None and not workers:
                self._count = 0  # none could begin, and none is to be waited for
            # A share would keep the workers waiting that are about to be ready.
            if self._here:
                self._save_here(self._here.pop())
                if workers:
                    self._serve(0)
            elif (
                self._todo
                and not any(worker.ready for worker in workers)
                and not (workers and self._todo[-1].share is not None)
            ):
                self._save_here(self._todo.pop(), _MEANWHILE if self._count else None)
                if workers:
                    self._serve(0)
            elif self._large:
                entry, had, folder = self._large.pop()
                self._saver.take_file(folder.open, entry, had)
                self._one_less(folder)
            else:
                self._serve(_QUIET)

    def _adopt(
        self, opened: Sequence[tuple[OpenFolder, int]], above: _Folder | None, into: _Folder | None = None
    ) -> _Folder:
        """Remember what is left to do in a folder, and in those in it; the first one.

        If the first is a share, it goes into the folder of which it is one.
        """
        folders: list[_Folder] = []
        for one, place in opened:
            if into is not None and place < 0:
                folder = into
                _put_into(folder.open, one.nodes)
            else:
                folder = _Folder(one, folders[place] if place >= 0 else above, 0)
                if place >= 0:
                    folders[place].left += 1
            folders.append(folder)
            folder.left += len(one.files) + len(one.unread)
            self._todo += [_Work(part, before, folder) for part, before in one.unread]
            self._large += [(entry, had, folder) for entry, had in one.files]
            if one.after is not None:
                count = max(self._count, 1)
                folder.left += count
                self._todo += [
                    _Work(one.part, one.before, folder, Share(number, count, one.after))
                    for number in range(count)
                ]
            one.unread, one.files, one.after = [], [], None
        return folders[0]

    def _put(self, saved: Sequence[tuple[OpenFolder, int]], work: _Work) -> None:
        """What was to be done was begun: close the folder, if there is nothing left to do in it."""
        if work.share is not None:
            self._adopt(saved, None, into=work.folder)
            self._one_less(work.folder)
        else:
            self._close_done(self._adopt(saved, work.folder))

    def _one_less(self, folder: _Folder) -> None:
        folder.left -= 1
        self._close_done(folder)

    def _close_done(self, folder: _Folder) -> None:
        """Close a folder in which nothing is left to do, and those above in which it was the last."""
        while not folder.left and folder.above is not None:
            self._saver.close(folder.open, folder.above.open.nodes)
            folder = folder.above
            folder.left -= 1

    def _give(self) -> None:
        """Give idle workers something to do."""
        if self._workers is None or not self._todo:
            return
        for worker in self._workers.idle():
            # Fewer while there are few, so that there is something for all.
            count = min(max(len(self._todo) // (2 * len(self._workers.all)), 1), _FOLDERS)
            given, self._todo[-count:] = self._todo[-count:][::-1], []
            places: dict[int, dict[bytes, Location]] = {}
            for number, sink in self._living.receivers.items():
                found = places[number] = {}
                for work in given:
                    tree = work.before.get(number)
                    place = sink.repository.index.find(tree, tree=True) if tree else None
                    if tree and place is not None:
                        found[tree] = place
            task = Task([(work.part, work.before, work.share) for work in given], places, _TASK)
            try:
                content = pickle.dumps(task)
            except Exception:  # of a source of somebody else, whose parts cannot leave this process
                self._here += given  # not now: a large file may be being read
            else:
                worker.busy = given
                worker.send_bytes(content)
            if not self._todo:
                return

    def _save_here(self, work: _Work, most: int | None = None) -> None:
        self._put(unfinished(self._saver.save(work.part, work.before, most=most, share=work.share)), work)

    def _serve(self, timeout: float) -> Sequence[Worker]:
        """Take in what workers have sent, and answer them; those that are done with what they were given."""
        assert self._workers is not None  # noqa: S101  # whoever calls has made sure
        received = self._workers.receive(timeout)
        for worker, message in received:
            self._take(worker, message)
        if timeout and not received:
            self._passed(Passed(self._path, 0, 0))  # which tells whether the run was cancelled
        return [worker for worker, message in received if isinstance(message, Done)]

    def _take(self, worker: Worker, message: Message) -> None:
        if isinstance(message, Passed):
            self._path = message.path
            self._passed(message)
        elif isinstance(message, New | Held | Tree):
            worker.send(self._answer(message))
        elif isinstance(message, Waiting):
            self._retry.tell(message.seconds, BackupKitError(message.why))
        elif isinstance(message, Raised):
            raise message.error
        elif isinstance(message, Refused):
            self._here += worker.busy or ()
            worker.busy = None
        elif isinstance(message, Done):
            self._take_done(worker, message)

    def _answer(self, question: New | Held | Tree) -> bytes | HeldAnswer | None:
        sink = self._living.receivers.get(question.repository)
        if sink is None:
            return None
        if isinstance(question, Tree):
            try:
                return sink.tree_content(question.id)
            except BackupKitError as error:
                self._living.fail(question.repository, error)
                return None
        writer = sink.writer
        if isinstance(question, New):
            data = bytes(writer.expect(id) for id in _ids(question.data))
            return data + bytes(writer.expect(id, tree=True) for id in _ids(question.trees))
        index = sink.repository.index
        return HeldAnswer(
            bytes(writer.holds(id) for id in _ids(question.data)),
            [index.find(id, tree=True) for id in _ids(question.trees)],
        )

    def _take_done(self, worker: Worker, done: Done) -> None:
        given: Sequence[_Work] = worker.busy or ()
        worker.busy = None
        self.problems += done.problems
        self.entries += done.entries
        self.read += done.read
        for number, sink in [*self._living.receivers.items()]:
            if number in done.counts:
                sink.counts.add(done.counts[number])
        for number, error in done.failures.items():
            if number in self._living.receivers:
                self._living.fail(number, error)
        for pack in done.packs:
            self._note(pack)
        for work, saved in zip(given, done.saved, strict=True):
            if saved is None:
                self._todo.append(work)
            elif isinstance(saved, list):
                self._put(saved, work)
            else:
                _put_into(work.folder.open, saved)
                self._one_less(work.folder)

    def _note(self, pack: StoredPack) -> None:
        sink = self._living.receivers.get(pack.repository)
        if sink is not None:
            try:
                sink.writer.note(pack.id, pack.packed(), pack.size)
            except BackupKitError as error:
                self._living.fail(pack.repository, error)


def _put_into(folder: OpenFolder, nodes: Mapping[int, Mapping[str, str]]) -> None:
    """Add these nodes; those of a repository that had failed when the folder was begun are not needed."""
    for number, own in nodes.items():
        if number in folder.nodes:
            folder.nodes[number].update(own)


def _usual_count() -> int:
    """One for each usable processor; none where there is but one, which a worker would only have to share."""
    processors = usable_processors()
    return min(processors, _MOST) if processors > 1 else 0


def _ids(joined: bytes) -> list[bytes]:
    return [joined[start : start + 32] for start in range(0, len(joined), 32)]


def _not_told(_: Passed) -> None:
    pass
