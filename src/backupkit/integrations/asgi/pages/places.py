"""Where a restore may go, in words: what a place is, what it takes, and what would become of what is there."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from backupkit.databases.urls import DatabaseURL, Engine, is_database_url, parse_database_url
from backupkit.errors import BackupKitError
from backupkit.integrations.actions import SCRATCH, Place
from backupkit.integrations.asgi.queues.threads import ThreadQueue
from backupkit.integrations.work import Queue
from backupkit.targets import DirectoryTarget
from backupkit.targets.database import DatabaseTarget

_IN_ONE_STEP: tuple[Engine, ...] = ("postgresql", "sqlite", "redis")
"""Those that a failure leaves as they were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceInWords:
    """`where` follows "to"; `keeping` and `replacing` say what becomes of what is there.

    `replacing` is None where a visitor cannot ask for that. No word holds a password.
    """

    name: str
    where: str
    keeping: str
    replacing: str | None = None
    takes_files: bool = True

    def becoming(self, *, overwrite: bool) -> str:
        return self.replacing if overwrite and self.replacing is not None else self.keeping


def places_in_words(places: Mapping[str, Place], host: str) -> list[PlaceInWords]:
    """A new folder, and then all that have a name. `host` says on which machine the work is done."""
    scratch = PlaceInWords(
        name=SCRATCH,
        where=f"a new folder on {host}",
        keeping="Only its owner can enter it. Nothing that is there already is changed.",
    )
    return [scratch, *(in_words(name, place, host) for name, place in places.items())]


def host_of(queue: Queue) -> str:
    """On which machine a queue does its work, as far as this process knows."""
    return (
        socket.gethostname() if isinstance(queue, ThreadQueue) else "the machine of the worker that does it"
    )


def in_words(name: str, place: Place, host: str) -> PlaceInWords:
    if isinstance(place, Mapping):
        return _databases(name, place)
    if isinstance(place, DatabaseTarget) or (isinstance(place, str) and is_database_url(place)):
        return _databases(name, {"": place})
    if isinstance(place, str) and "://" in place:  # not repeated: it may hold a password
        return PlaceInWords(
            name=name, where="nothing that can be restored to", keeping="It is named wrongly."
        )
    if isinstance(place, str | os.PathLike):
        return PlaceInWords(
            name=name,
            where=f"the folder {os.fspath(place)} on {host}",
            keeping="Nothing that is there is replaced: if a file is in the way, nothing is restored.",
            replacing="Files and links that are in the way are replaced; all other files stay.",
        )
    if isinstance(place, DirectoryTarget):
        return PlaceInWords(
            name=name,
            where=f"the folder {os.fspath(place.folder)} on {host}",
            keeping="Files and links that are in the way are replaced; all other files stay."
            if place.overwrite
            else "Nothing that is there is replaced: if a file is in the way, nothing is restored.",
        )
    return PlaceInWords(
        name=name,
        where=f"a {type(place).__name__} of this application",
        keeping="What becomes of what is there, this application says.",
    )


def _databases(name: str, place: Mapping[str, object]) -> PlaceInWords:
    """Of several, each with the dump that goes into it."""
    told = [*_told(place)]
    urls = [url for one in place.values() if (url := _url(one)) is not None]
    made = [one for one in place.values() if not isinstance(one, str | DatabaseURL)]
    one = len(place) == 1
    them = "The database" if one else "Each of these databases"
    keeping = f"{them} must be there and be empty, or nothing is restored."
    if any(isinstance(target, DatabaseTarget) and target.overwrite for target in made):
        keeping = f"{them} may hold something: all of that is replaced. {_failing(urls, one)}"
    elif any(isinstance(target, DatabaseTarget) and target.create for target in made):
        keeping = f"{them} is made if it is missing, and must be empty otherwise, or nothing is restored."
    elif any(_url(target) is None for target in made):
        keeping = "What becomes of what is there, this application says."
    there = "the database" if one else "these databases"
    replacing = f"All that is in {there} now is replaced. {_failing(urls, one)}"
    return PlaceInWords(
        name=name,
        where=" and ".join(told),
        keeping=keeping,
        replacing=None if made else replacing,
        takes_files=False,
    )


def _told(place: Mapping[str, object]) -> Iterator[str]:
    for dump, database in place.items():
        url = _url(database)
        where = (
            f"the database {url}" if url is not None else f"a {type(database).__name__} of this application"
        )
        yield f"{where} (the dump {dump})" if dump else f"{where} (the only dump)"


def _failing(urls: list[DatabaseURL], one: bool) -> str:
    if all(url.engine in _IN_ONE_STEP for url in urls):
        return (
            "A failure leaves it as it was." if one else "One that fails stays as it was; the others go on."
        )
    return "The dump is read through first; if loading it fails after that, the database is left empty."


def _url(database: object) -> DatabaseURL | None:
    """Where it is; it says itself as text without its password."""
    if isinstance(database, DatabaseTarget):
        return database.url
    if isinstance(database, DatabaseURL):
        return database
    if isinstance(database, str):
        try:
            return parse_database_url(database)
        except BackupKitError:
            return None
    return None
