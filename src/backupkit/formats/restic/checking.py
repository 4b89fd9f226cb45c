"""What is wrong with a snapshot: folders that cannot be read, and content that is nowhere."""

from __future__ import annotations

from collections.abc import Iterator

from backupkit.errors import IntegrityError
from backupkit.formats.restic.layout import object_name
from backupkit.formats.restic.opened import OpenedRepository
from backupkit.formats.restic.reading import nodes_of
from backupkit.formats.restic.snapshots import Snapshot
from backupkit.model import Problem


def structural_problems(repository: OpenedRepository, snapshot: Snapshot) -> Iterator[Problem]:
    """Read all trees, and look whether the packs with the content of all files are there, in full length."""
    repository.load_index()
    sizes = dict(repository.objects.list("data"))
    told: set[str] = set()
    folders: list[tuple[str | None, str]] = [(snapshot.tree, "")]
    seen: set[str | None] = set()

    def problem(message: str, path: str) -> Problem:
        return Problem(message=message, check="structure", path=path or None, destination=repository.location)

    while folders:
        tree, path = folders.pop()
        if tree in seen:
            continue
        seen.add(tree)
        try:
            nodes = nodes_of(repository, tree, path)
        except IntegrityError as error:
            yield problem(f"The folder {path or '/'!r} cannot be read: {error}", path)
            continue
        for node in nodes:
            inner = f"{path}/{node['name']}" if path else node["name"]
            if node["type"] == "dir":
                folders.append((node.get("subtree"), inner))
            for id in node.get("content") or ():
                place = repository.index.find(bytes.fromhex(id))
                if place is None:
                    yield problem(f"Some of {inner!r} is in no index: the blob {id}.", inner)
                elif place.pack not in told and sizes.get(place.pack, 0) < place.offset + place.length:
                    told.add(place.pack)
                    state = "cut short" if place.pack in sizes else "missing"
                    yield problem(
                        f"{object_name('data', place.pack)} is {state}, with some of {inner!r}.", inner
                    )
