"""Where the cases of the matrix happen: what is there before, and what is right afterwards.

What is visible is read with plain code, not with the library: its own answer is compared with that.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import threading
import zipfile
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from backupkit import (
    BackupPipeline,
    Directory,
    KeepAll,
    KeepLast,
    LocalDestination,
    MachineLock,
    Passphrase,
    Report,
    Retry,
)
from backupkit.protocols import Destination
from backupkit.testing.destinations import MemoryDestination
from backupkit.testing.executors import SerialExecutor
from backupkit.testing.trees import File, Hardlink, Node, Symlink, same_tree, tree
from tests.pipeline.shop import Clock

OLD: Mapping[str, Node] = {"a": "an older a", "both": "the same", "inner": {"b": "an older b"}}
NEWEST = File(os.urandom(2500), mode=0o640, modified_ns=1_500_000_000_123_456_789, xattrs={"user.x": b"x"})
NEW: Mapping[str, Node] = {
    "a": NEWEST,
    "again": Hardlink("a"),
    "both": "the same",
    "empty": "",
    "inner": {"b": os.urandom(700), "link": Symlink("../a"), "sparse": File({1 << 16: b"end"}, size=1 << 17)},
}
MANIFEST = ".backupkit/manifest.json"
DAY = timedelta(days=1)


class WrongError(AssertionError):
    """A promise that was not kept."""


def expect(condition: object, what: str) -> None:
    if not condition:
        raise WrongError(what)


def files_in(folder: Path) -> dict[str, bytes]:
    """Every file below a folder that has a final name, with its content, which of a link is its target."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.name.endswith(".partial"):
            continue
        if path.is_symlink():
            found[str(path.relative_to(folder))] = os.readlink(path).encode()
        elif path.is_file():
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def keeps_attributes(folder: Path) -> bool:
    """Whether the file system keeps extended attributes of users."""
    try:
        os.setxattr(folder, "user.backupkit", b"")
    except (AttributeError, OSError):
        return False
    return True


def partials(folder: Path) -> list[Path]:
    return sorted(folder.rglob(".*.partial"))


def ours(id_or_name: str) -> str:
    return id_or_name.rpartition("/")[2].partition(".zip")[0]


@dataclass
class World:
    """What all cases share: an application, older backups of it, and how its pipeline is set."""

    root: Path
    more_files: int = 0
    passphrase: str | None = None
    threads: bool = False
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        newest = dict(NEW)
        if not keeps_attributes(self.root):
            newest["a"] = replace(NEWEST, xattrs={})
        self.older = tree(self.root / "older" / "app", OLD)
        many: Mapping[str, Node] = {f"file-{number}": os.urandom(1500) for number in range(self.more_files)}
        self.newer = tree(self.root / "newer" / "app", newest | ({"zz": many} if many else {}))
        self.contents = {
            "older": {f"app/{path}": content for path, content in files_in(self.older).items()},
            "newer": {f"app/{path}": content for path, content in files_in(self.newer).items()},
        }

    def pipeline(self, destination: Destination | Sequence[Destination], **options: Any) -> BackupPipeline:
        settings: dict[str, Any] = {
            "encryptor": Passphrase(self.passphrase) if self.passphrase else None,
            "retry": Retry(tries=1),
            "retention": KeepAll(),
            "lock": MachineLock(self.root / "locks"),
            "clock": Clock(self.started),
        }
        if not self.threads:
            settings["executor"] = SerialExecutor
        return BackupPipeline("shop", Directory(self.newer), destination, **(settings | options))

    def backed_up(self, destination: Destination, what: str, *, days_ago: float) -> str:
        """Make a backup as of some days ago and return its id."""
        pipeline = self.pipeline(destination, clock=Clock(self.started - days_ago * DAY))
        pipeline.sources = (Directory(self.older if what == "older" else self.newer),)
        (result,) = pipeline.run().destinations
        assert result.backup is not None
        return result.backup.id

    def read_archive(self, archive: bytes) -> dict[str, bytes]:
        """The files of an archive, read by somebody else's code."""
        if self.passphrase is None:
            opened = zipfile.ZipFile(io.BytesIO(archive))
        else:
            import pyzipper

            opened = pyzipper.AESZipFile(io.BytesIO(archive))
            opened.setpassword(self.passphrase.encode())
        with opened:
            names = [name for name in opened.namelist() if not name.endswith("/") and name != MANIFEST]
            return {name: opened.read(name) for name in names}


class Place:
    """One case's destination, in the state before, and its folder for what is restored."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.target = folder / "target"

    destination: Destination

    def objects(self) -> dict[str, bytes]:
        raise NotImplementedError

    def leftovers(self) -> list[Path]:
        return []

    def state(self) -> Hashable:
        """Equal for two places that have the same in them: names, contents and unfinished files."""
        unfinished = [*self.leftovers(), *partials(self.target)]
        names = (re.sub(r"\.[0-9a-f]{8,16}\.partial", "", path.name) for path in unfinished)
        sizes = (path.lstat().st_size for path in unfinished)
        contents = (*self.objects().items(), None, *files_in(self.target).items())
        return contents, tuple(zip(names, sizes, strict=True))


class LocalPlace(Place):
    """A folder. The objects of the state before are other names of the same files: they are never changed."""

    def __init__(self, folder: Path, before: Path) -> None:
        super().__init__(folder)
        self.store = folder / "store"
        shutil.copytree(before, self.store, copy_function=os.link)
        self.destination: LocalDestination = LocalDestination(self.store)

    def objects(self) -> dict[str, bytes]:
        return files_in(self.store)

    def leftovers(self) -> list[Path]:
        return partials(self.store)


class MemoryPlace(Place):
    """A dictionary."""

    def __init__(self, folder: Path, before: Path) -> None:
        super().__init__(folder)
        self.destination: MemoryDestination = MemoryDestination()
        self.destination.objects.update(files_in(before))

    def objects(self) -> dict[str, bytes]:
        return dict(self.destination.objects)


@dataclass
class Scene:
    """One operation: the state before it, itself, what may be seen of it, and how it is done again."""

    world: World
    name: ClassVar[str]

    def __post_init__(self) -> None:
        self.before = self.world.root / f"before-{self.name}"
        self.before.mkdir()
        self.set_up(LocalDestination(self.before))
        self.objects = files_in(self.before)

    def set_up(self, destination: LocalDestination) -> None:
        self.older = self.world.backed_up(destination, "older", days_ago=3)

    def prepare(self, place: Place) -> None:
        """Make what the operation needs besides the destination."""

    def act(
        self, place: Place, destination: Destination, cancel: threading.Event | None, **options: Any
    ) -> Report:
        raise NotImplementedError

    def look(self, place: Place) -> str:
        """Say what is visible of the operation. Raises WrongError if that is anything half-written."""
        raise NotImplementedError

    def everything(self, seen: str) -> bool:
        """Whether this is what the operation should leave."""
        raise NotImplementedError

    def again(self, place: Place) -> None:
        """Do the same without a fault. Raises WrongError if it is hindered."""
        raise NotImplementedError

    def later(self, **options: Any) -> dict[str, Any]:
        return {"clock": Clock(self.world.started + timedelta(hours=1)), **options}

    def sweep(self, place: Place) -> None:
        """Leftovers stay while they are young and go when they are old. What is visible stays."""
        young, visible = place.leftovers(), place.objects()
        if not young:
            return
        for hours, left in ((2, young), (49, [])):
            clock = Clock(self.world.started + timedelta(hours=hours))
            report = self.world.pipeline(place.destination, clock=clock).clean()
            expect(report.outcome == "succeeded", f"cleaning after {hours} hours: {report}")
            found = [one for one in place.leftovers() if one in young]
            expect(found == left, f"after {hours} hours these leftovers are there: {found}")
        gone = visible.keys() - place.objects().keys()
        expect(not gone, f"sweeping took {gone}")

    def tidy(self, place: Place) -> bool:
        """Whether the operation has left nothing unfinished. (`clean` has one to leave.)"""
        return not place.leftovers()

    def unharmed(self, objects: Mapping[str, bytes]) -> None:
        for name, content in self.objects.items():
            expect(objects.get(name) == content, f"{name} is not what it was")


class Run(Scene):
    name = "run"

    def act(
        self, place: Place, destination: Destination, cancel: threading.Event | None, **options: Any
    ) -> Report:
        return self.world.pipeline(destination, **options).run(cancel=cancel)

    def look(self, place: Place) -> str:
        objects = place.objects()
        self.unharmed(objects)
        new = sorted(objects.keys() - self.objects.keys())
        whole = self._archives(objects, new)
        pipeline = self.world.pipeline(place.destination)
        listing = pipeline.list()
        expect(not listing.problems, f"the listing says {listing.problems}")
        listed = {one.id: one for one in listing.backups}
        older = {self.older} - {""}
        expect(listed.keys() == older | whole.keys(), f"listed are {sorted(listed)}")
        good = {id_ for id_, one in listed.items() if one.good}
        for id_, is_whole in whole.items():
            expect(is_whole or id_ not in good, f"{id_} cannot be read and is called good")
        expect(older <= good, "the older backup is not good any more")
        expect(not good or pipeline.get().id == max(good), "the newest good backup is not found")
        states = [
            "the backup" if id_ in good else "the archive, unconfirmed" if is_whole else "a part, unconfirmed"
            for id_, is_whole in whole.items()
        ]
        return " and ".join(states) or "nothing"

    def _archives(self, objects: Mapping[str, bytes], new: Sequence[str]) -> dict[str, bool]:
        """Of the new archives, by id: whether it is whole."""
        whole = {}
        for name in new:
            if name.endswith(".zip"):
                try:
                    whole[ours(name)] = self.world.read_archive(objects[name]) == self.world.contents["newer"]
                except zipfile.BadZipFile:
                    whole[ours(name)] = False
        for name in new:
            archive = name.rpartition("/")[2].replace(".complete.json", "")
            expect(name.endswith(".zip") or archive in whole, f"{name} is there without its archive")
        return whole

    def everything(self, seen: str) -> bool:
        return "the backup" in seen.split(" and ")

    def again(self, place: Place) -> None:
        before = place.objects()
        report = self.world.pipeline(place.destination, **self.later()).run()
        expect(report.outcome == "succeeded", f"the next run: {report}")
        self.look(place)
        new = place.objects().keys() - before.keys()
        kinds = sorted(name.partition("Z-files.")[2] for name in new)
        expect(kinds == ["complete.json", "zip"], f"the next run made {new}")
        (result,) = report.destinations
        latest = self.world.pipeline(place.destination).get()
        expect(result.backup is not None and latest.id == result.backup.id, "the next run is not the latest")


class FirstRun(Run):
    """There is no backup yet, and no folder for them."""

    name = "first-run"

    def set_up(self, destination: LocalDestination) -> None:
        self.older = ""


class Clean(Scene):
    """Two backups go, with what is known of one of them; a summary and a mark of what is gone, a leftover."""

    name = "clean"

    def set_up(self, destination: LocalDestination) -> None:
        folder = destination.folder
        self.gone = self.world.backed_up(destination, "older", days_ago=5)
        self.going = [self.world.backed_up(destination, "older", days_ago=days) for days in (4, 3)]
        self.world.pipeline(destination).verify(self.going[0])
        self.world.pipeline(destination).verify(self.gone)
        (folder / f"shop/{self.gone}.zip").unlink()
        self.kept = self.world.backed_up(destination, "newer", days_ago=2)
        for days in (0, 9):
            leftover = folder / f"shop/.{self.kept}.zip.{days:016x}.partial"
            leftover.write_bytes(b"PK")
            at = (self.world.started - days * DAY).timestamp()
            os.utime(leftover, (at, at))
        self.stays = {name for name in files_in(folder) if self.kept in name}

    def act(
        self, place: Place, destination: Destination, cancel: threading.Event | None, **options: Any
    ) -> Report:
        return self.world.pipeline(destination, retention=KeepLast(1), **options).clean(cancel=cancel)

    def look(self, place: Place) -> str:
        objects = place.objects()
        for name, content in objects.items():
            expect(self.objects.get(name) == content, f"{name} is new or not what it was")
        expect(self.stays <= objects.keys(), f"what should stay went: {self.stays - objects.keys()}")
        for going in self.going:
            archive, summary = (f"shop/{going}.{end}" in objects for end in ("zip", "complete.json"))
            expect(summary or not archive, f"the summary of {going} went before its archive")
        pipeline = self.world.pipeline(place.destination)
        expect(pipeline.get().id == self.kept, "the newest good backup is not found")
        listed = {one.id for one in pipeline.list().backups}
        archives = {ours(name) for name in objects if name.endswith(".zip")}
        expect(listed == archives, f"listed are {listed}, and there are {archives}")
        left = [f"{0:016x}.partial" in one.name for one in place.leftovers()]
        expect(any(left) or isinstance(place, MemoryPlace), "a young leftover was swept")
        rest = objects.keys() - self.stays
        if rest == self.objects.keys() - self.stays and len(left) in (0, 2):
            return "nothing was removed"
        return "what should go is gone" if not rest and len(left) < 2 else "a part of it is gone"

    def everything(self, seen: str) -> bool:
        return seen == "what should go is gone"

    def tidy(self, place: Place) -> bool:
        return True

    def again(self, place: Place) -> None:
        pipeline = self.world.pipeline(place.destination, retention=KeepLast(1), **self.later())
        report = pipeline.clean()
        expect(report.outcome == "succeeded", f"the next clean: {report}")
        seen = self.look(place)
        expect(self.everything(seen), f"after the next clean {seen}: {sorted(place.objects())}")


class Verify(Scene):
    """A backup that is whole and unconfirmed: verifying it writes its summary and a mark."""

    name = "verify"

    def set_up(self, destination: LocalDestination) -> None:
        self.older = self.world.backed_up(destination, "older", days_ago=3)
        self.newer = self.world.backed_up(destination, "older", days_ago=2)
        (destination.folder / f"shop/{self.newer}.complete.json").unlink()

    def act(
        self, place: Place, destination: Destination, cancel: threading.Event | None, **options: Any
    ) -> Report:
        return self.world.pipeline(destination, **options).verify(self.newer, cancel=cancel)

    def look(self, place: Place) -> str:
        objects = place.objects()
        self.unharmed(objects)
        new = sorted(name.rpartition("/")[2] for name in objects.keys() - self.objects.keys())
        summary = f"{self.newer}.complete.json" in new
        expect(len(new) - summary <= 1, f"these are new: {new}")
        backups = {one.id: one for one in self.world.pipeline(place.destination).list().backups}
        backup = backups[self.newer]
        expect(backup.complete is (True if summary else None), f"listed as {backup}")
        expect(backups[self.older].good, "the older backup is not good any more")
        if backup.damaged:
            return "a mark that it is damaged"
        marked = any(name.endswith("-verified") for name in new)
        expect(marked is (backup.verified is not None), f"{new}, and {backup}")
        return " and ".join(["its summary"] * summary + ["the mark"] * marked) or "nothing"

    def everything(self, seen: str) -> bool:
        return seen == "its summary and the mark"

    def again(self, place: Place) -> None:
        report = self.world.pipeline(place.destination, **self.later()).verify(self.newer)
        expect(report.outcome == "succeeded", f"the next verification: {report}")
        backup = self.world.pipeline(place.destination).get()
        expect(backup.id == self.newer and backup.good, f"after the next verification it is {backup}")
        expect(backup.verified == self.world.started + timedelta(hours=1), f"verified {backup.verified}")


class Restore(Scene):
    """Into a folder that is not there yet."""

    name = "restore"
    overwrite = False

    def set_up(self, destination: LocalDestination) -> None:
        self.newer = self.world.backed_up(destination, "newer", days_ago=3)

    def act(
        self, place: Place, destination: Destination, cancel: threading.Event | None, **options: Any
    ) -> Report:
        pipeline = self.world.pipeline(destination, **options)
        return pipeline.restore(to=place.target, overwrite=self.overwrite, cancel=cancel)

    def look(self, place: Place) -> str:
        self.unharmed(place.objects())
        expect(place.objects().keys() == self.objects.keys(), "the destination was written to")
        found = files_in(place.target)
        newer, older = self.world.contents["newer"], self.world.contents["older"]
        for path, content in found.items():
            right = {newer.get(path), older.get(path) if self.overwrite else None}
            expect(content in right, f"{path} is neither what it was nor what it will be")
        if self.overwrite:
            expect(older.keys() <= found.keys(), f"missing are {older.keys() - found.keys()}")
        if found == (older if self.overwrite else {}):
            return "nothing"
        return "all files" if found == newer else "some of the files"

    def everything(self, seen: str) -> bool:
        return seen == "all files"

    def tidy(self, place: Place) -> bool:
        return not partials(place.target)

    def again(self, place: Place) -> None:
        report = self.world.pipeline(place.destination).restore(to=place.target, overwrite=True)
        expect(report.outcome == "succeeded", f"the next restore: {report}")
        left = partials(place.target)
        for path in left:  # only a killed process leaves these; they are in nobody's way
            path.unlink()
        if left:  # which has changed the times of their folders
            self.world.pipeline(place.destination).restore(to=place.target, overwrite=True)
        differences = same_tree(self.world.newer, place.target / "app")
        expect(not differences, f"after the next restore: {differences}")


class RestoreOver(Restore):
    """Into a folder with older files, which are replaced."""

    name = "restore-over"
    overwrite = True

    def prepare(self, place: Place) -> None:
        shutil.copytree(self.world.older, place.target / "app", symlinks=True)


SCENES: tuple[type[Scene], ...] = (Run, FirstRun, Clean, Verify, Restore, RestoreOver)
