"""What is wrong with a snapshot: folders that cannot be read, content that is nowhere, bytes that are others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass, field

from backupkit._parallel import map_ordered, usable_processors
from backupkit.errors import IntegrityError
from backupkit.events import Expected
from backupkit.formats.restic.index import BlobIndex, Location
from backupkit.formats.restic.layout import object_name
from backupkit.formats.restic.loading import Trees
from backupkit.formats.restic.nodes import parse_tree
from backupkit.formats.restic.opened import OpenedRepository
from backupkit.formats.restic.pack_checking import Checked, PackChecker, Places, SpreadChecker
from backupkit.formats.restic.snapshots import Snapshot
from backupkit.model import Passed, Problem, Share

WORTH = 4000  # blobs that take longer to check than a process to start
_MOST = 4  # processes, this one included, as for runs and restores
_SMALL = 256 << 10  # bytes of blobs, on average; larger ones are checked by threads as fast
_ID = 32  # bytes


@dataclass(slots=True)
class Used:
    """What a snapshot refers to in one pack: ids one after the other, of which there may be ten million."""

    data: bytearray = field(default_factory=bytearray)
    trees: bytearray = field(default_factory=bytearray)

    def ids(self) -> Iterator[tuple[bytes, bool]]:
        """Each of them once, and whether it is a tree."""
        for ids, tree in ((self.data, False), (self.trees, True)):
            for id in dict.fromkeys(bytes(ids[at : at + _ID]) for at in range(0, len(ids), _ID)):
                yield id, tree


class Checker:
    """Looks through one snapshot; used once, by one thread."""

    def __init__(self, repository: OpenedRepository, snapshot: Snapshot, executor: Executor | None) -> None:
        self._repository = repository.uncached()
        self._snapshot = snapshot
        self._executor = executor
        self._packs = PackChecker(self._repository.objects, self._repository.sealer)
        self._sizes: dict[str, int] = {}
        self._used: dict[str, Used] = {}
        self._damaged: dict[tuple[bytes, bool], str] = {}
        self._unreadable: set[bytes] = set()
        self.entries = 0

    def structure(self) -> Iterator[Problem]:
        """What can be told without the content of files: all trees, all packs, and their headers."""
        self._begin()
        yield from self._folders()
        packs = [*self._used]
        with closing(map_ordered(self._executor, self._header_flaws, packs, self._window)) as found:  # type: ignore[type-var]  # a generator
            for flaws in found:
                for flaw in flaws:
                    yield self._problem(flaw)
        yield from self._named()

    def data(self, share: Share | None) -> Iterator[Problem | Passed | Expected]:
        """The same, and each blob in those of the packs that belong to this share."""
        self._begin()
        # They begin while the folders are read.
        with SpreadChecker(self._packs, processes=self._further_processes()) as spread:
            yield from self._folders()
            packs = [pack for pack in self._used if share is None or share.has(pack)]
            yield Expected(sum(self._size_of(pack) for pack in packs))
            yield Passed("", self.entries, 0)

            def check(pack: str) -> Checked:
                """Called on any thread."""
                return spread.check(pack, self._sizes[pack], self._places(pack))

            with closing(map_ordered(self._executor, check, packs, self._window)) as found:  # type: ignore[type-var]  # a generator
                for pack, checked in zip(packs, found, strict=True):
                    for flaw in checked.flaws:
                        yield self._problem(flaw)
                    for blob, why in checked.damaged.items():
                        yield from self._second_look(blob, why)
                    yield Passed(object_name("data", pack), 0, checked.read)
        yield from self._named()

    @property
    def _window(self) -> int:
        return 2 * usable_processors()

    def _further_processes(self) -> int:
        return further_processes(self._repository.index, self._sizes) if self._executor else 0

    def _problem(self, message: str, path: str | None = None) -> Problem:
        where = self._repository.location
        return Problem(message=message, check="structure", path=path, destination=where)

    def _begin(self) -> None:
        repository = self._repository
        repository.snapshot(self._snapshot.id)  # which raises what is wrong with it
        repository.load_index()
        self._sizes = dict(repository.objects.list("data"))

    def _folders(self) -> Iterator[Problem]:
        """Read all trees, note what they refer to, and tell which of it is nowhere."""
        repository = self._repository
        trees = Trees(repository, self._executor)
        folders: list[tuple[bytes, str]] = [(bytes.fromhex(self._snapshot.tree), "")]
        seen: set[bytes] = set()
        missing: set[str] = set()
        while folders:
            id, path = folders.pop()
            if id in seen:
                continue
            seen.add(id)
            self._note(id, True, missing)
            try:
                content = trees.load(id, (one for one, _ in reversed(folders) if one not in seen))
                nodes = parse_tree(content, where=f"tree {id.hex()} at {repository.location}")
            except IntegrityError as error:
                self._unreadable.add(id)
                yield self._problem(f"The folder {path or '/'!r} cannot be read: {error}", path or None)
                continue
            inside = []
            for node in nodes:
                self.entries += 1
                for one in node.get("content") or ():
                    self._note(bytes.fromhex(one), False, missing)
                if node["type"] == "dir":
                    inner = f"{path}/{node['name']}" if path else node["name"]
                    if (subtree := node.get("subtree")) is None:
                        yield self._problem(
                            f"The snapshot does not say what is in the folder {inner!r}.", inner
                        )
                    else:
                        inside.append((bytes.fromhex(subtree), inner))
            folders += reversed(inside)
        for pack in sorted(missing):
            state = "cut short" if pack in self._sizes else "missing"
            yield self._problem(f"{object_name('data', pack)} is {state}.")

    def _note(self, id: bytes, tree: bool, missing: set[str]) -> None:
        """Remember in which pack a blob is that the snapshot refers to."""
        index = self._repository.index
        place = index.find(id, tree=tree)
        if place is None:
            self._damaged[id, tree] = "is in no index"
            return
        if self._lacks(place):
            missing.add(place.pack)
            others = (one for one in index.elsewhere(id, tree=tree) if not self._lacks(one))
            if (other := next(others, None)) is None:
                self._damaged[id, tree] = f"was in {object_name('data', place.pack)}"
                return
            place = other
        used = self._used.get(place.pack)
        if used is None:
            used = self._used[place.pack] = Used()
        (used.trees if tree else used.data).extend(id)

    def _lacks(self, place: Location) -> bool:
        return self._sizes.get(place.pack, 0) < place.offset + place.length

    def _places(self, pack: str) -> Places:
        index = self._repository.index
        return [
            (id, tree, place)
            for id, tree in self._used[pack].ids()
            for place in (index.find(id, tree=tree), *index.elsewhere(id, tree=tree))
            if place is not None and place.pack == pack
        ]

    def _size_of(self, pack: str) -> int:
        return sum(place.size for _, _, place in self._places(pack))

    def _header_flaws(self, pack: str) -> Sequence[str]:
        """Called on any thread."""
        return self._packs.header_flaws(pack, self._sizes[pack], self._places(pack))

    def _second_look(self, blob: tuple[bytes, bool], why: str) -> Iterator[Problem]:
        """A blob is lost only if it is so every time, and everywhere."""
        id, tree = blob
        try:
            self._repository.load(id, tree=tree)
        except IntegrityError:
            self._damaged[blob] = why
        else:
            yield Problem(
                message=f"The blob {id.hex()} was right only at the second try, or at another place: {why}",
                severity="warning",
                check="structure",
                destination=self._repository.location,
            )

    def _named(self) -> Iterator[Problem]:
        """Walk once more to tell what the damaged blobs belong to, if there are any."""
        damaged = {blob: why for blob, why in self._damaged.items() if blob[0] not in self._unreadable}
        if not damaged:
            return
        repository = self._repository
        trees = Trees(repository, self._executor)
        root = bytes.fromhex(self._snapshot.tree)
        folders = [(root, "")]
        while folders:
            id, path = folders.pop()
            if why := damaged.get((id, True)):
                yield self._problem(
                    f"The folder {path or '/'!r} is damaged: its tree {id.hex()} {_of(why)}", path
                )
            try:
                content = trees.load(id, (one for one, _ in reversed(folders)))
                nodes = parse_tree(content, where=path)
            except IntegrityError:
                continue
            inside = []
            for node in nodes:
                inner = f"{path}/{node['name']}" if path else node["name"]
                for one in node.get("content") or ():
                    if why := damaged.get((bytes.fromhex(one), False)):
                        yield self._problem(f"{inner!r} is damaged: its blob {one} {_of(why)}", inner)
                        break
                if node["type"] == "dir" and node.get("subtree"):
                    inside.append((bytes.fromhex(node["subtree"]), inner))
            folders += reversed(inside)


def further_processes(index: BlobIndex, sizes: Mapping[str, int]) -> int:
    """How many help this one to check packs: one for each other processor, where so many blobs are so small."""
    blobs = len(index)
    small = sum(sizes.values()) <= blobs * _SMALL
    return min(usable_processors(), _MOST) - 1 if blobs >= WORTH and small else 0


def _of(why: str) -> str:
    return f"{why.rstrip('.')}." if why.startswith(("is ", "was ")) else f"is wrong ({why.rstrip('.')})."
