"""A restore of which a person at a terminal is asked what, whence and where to."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import typer

from backupkit.backups import Backups
from backupkit.cli.texts import columns, contents, counted, minutes, state
from backupkit.destinations.opening import chosen_of
from backupkit.errors import BackupNotFoundError, OperationCancelledError
from backupkit.model import Backup, Contents
from backupkit.patterns import escaped, pattern_of
from backupkit.printable import printable
from backupkit.sizes import format_size

if TYPE_CHECKING:
    from questionary import Choice

Part: TypeAlias = Literal["all", "some"] | Contents

_MOST_FOUND = 200
_ANSWERED = ("backup", "at", "include", "only", "to", "overwrite")
_UP, _ALL, _SEARCH, _DONE = "up", "all", "search", "done"


@dataclass(slots=True)
class Wanted:
    """What is to be restored where, as far as it was said; the rest is asked, each thing once."""

    backup: Backup | str | None
    only: Contents | None
    include: Sequence[str]
    to: str | None
    overwrite: bool
    asking: bool
    _part: Part | None = None
    _agreed: bool = False

    def complete(self, backups: Backups, *, at: str | None, command: Sequence[str]) -> None:
        """Ask for what is missing. Calling it again, with the passphrase that was missing, asks nothing twice.

        `command` is what led here, to which the answers are added for whoever wants to do the same again.
        """
        if not self.asking or self._agreed:
            return
        try:
            import questionary  # noqa: F401
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "To be asked needs questionary, which is missing: pip install 'backupkit[cli]', or give --to."
            ) from error
        if not isinstance(self.backup, Backup):
            self.backup = _backup(backups, at) if self.backup is None else backups.get(self.backup, at=at)
        if not (self.include or self.only):
            self._part = self._part or _part_of(self.backup)
            if self._part == "files" or self._part == "databases":
                self.only = self._part
            elif self._part == "some":
                self.include = [pattern_of(path) for path in _Chooser(backups, self.backup).chosen()]
        if self.to is None:
            self.to = _folder()
            self.overwrite = self.overwrite or _replaces(self.to)
        self._agree(self.backup, self.to, command)

    def _agree(self, backup: Backup, to: str, command: Sequence[str]) -> None:
        import questionary

        print(printable(f"The backup {backup.id} of {backup.name} at {backup.location}:"))
        for line in self._what():
            print(printable(f"  {line}"))
        print(
            printable(
                f"  to {os.path.abspath(to)}{', replacing what is in the way' if self.overwrite else ''}"
            )
        )
        print("The same without questions:")
        print(printable(f"  {shlex.join([*command, *self._options(backup, to)])}"))
        self._agreed = questionary.confirm("Restore this now?").unsafe_ask()
        if not self._agreed:
            raise OperationCancelledError("Nothing was restored.")

    def _what(self) -> Iterator[str]:
        if self.include:
            yield from self.include
        else:
            yield f"all {self.only}" if self.only else "everything"

    def _options(self, backup: Backup, to: str) -> Iterator[str]:
        yield from ("--backup", backup.id, "--at", backup.location)
        for pattern in self.include:
            yield from ("--include", pattern)
        if self.only:
            yield from ("--only", self.only)
        yield from ("--to", to)
        if self.overwrite:
            yield "--overwrite"


def somebody_is_there() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def words_of(context: typer.Context) -> Iterator[str]:
    """The command line that led here, without the options that answers add."""
    yield from context.command_path.split()
    for one in context.command.params:
        value = context.params.get(str(one.name))
        if one.name in _ANSWERED or value is None or value is False:
            continue
        for each in value if isinstance(value, list | tuple) else [value]:
            if one.param_type_name == "option":
                yield one.opts[0]
            if each is not True:
                yield str(each)


def _backup(backups: Backups, at: str | None) -> Backup:
    listing = backups.list()
    for problem in listing.problems:
        print(printable(f"{problem.severity}: {problem.message}"), file=sys.stderr)
    locations = {one.location for one in chosen_of(backups.destinations, at)}
    found = [one for one in listing.backups if one.location in locations]
    if not found:
        raise BackupNotFoundError("There are no backups to choose from.")
    titles = [*columns([_cells(one) for one in found])]
    good = next((one for one in found if one.good), found[0])
    chosen = _select("Which backup?", [*zip(titles, found, strict=True)], default=good)
    assert isinstance(chosen, Backup)  # noqa: S101  # they are all there is
    return chosen


def _cells(backup: Backup) -> list[str]:
    verified = f"verified {minutes(backup.verified)}" if backup.verified else "not verified"
    proven = f"proven {minutes(backup.proven)}" if backup.proven else "drill failed" if backup.refuted else ""
    return [
        backup.name,
        minutes(backup.time),
        contents(backup),
        format_size(backup.stored),
        state(backup),
        "damaged" if backup.damaged else verified,
        proven,
        f"pinned: {backup.pin.reason}" if backup.pin else "",
        backup.location,
    ]


def _part_of(backup: Backup) -> Part:
    halves = [("All files", "files"), ("All databases, as the dumps that they are", "databases")]
    parts = [
        ("Everything", "all"),
        *(halves if len(backup.contents) > 1 else []),
        ("Files and folders that I choose", "some"),
    ]
    part: Part = _select("What of it?", parts)
    return part


class _Chooser:
    """Goes through the folders of a backup, and collects what is chosen there."""

    def __init__(self, backups: Backups, backup: Backup) -> None:
        self._backups = backups
        self._backup = backup
        self._files = backups.file_system(at=backup.location)
        self._chosen: dict[str, None] = {}

    def chosen(self) -> Sequence[str]:
        """The paths, at least one, without those in folders that are chosen too."""
        folder = ""
        while True:
            action = _select(f"/{printable(folder)}", [*self._choices(folder)], search=True)
            match action:
                case "done":
                    return [path for path in self._chosen if not self._is_in_chosen(path)]
                case "up":
                    folder = folder.rpartition("/")[0]
                case "all":
                    self._turn(folder)
                case "search":
                    self._search()
                case (path, "directory"):
                    folder = path
                case (path, _):
                    self._turn(path)

    def _choices(self, folder: str) -> Iterator[tuple[str, object]]:
        if self._chosen:
            yield f"Done: {counted(len(self._chosen), 'thing', 'things')} chosen", _DONE
        if folder:
            yield "Up", _UP
            yield f"{self._mark(folder)} all of this folder", _ALL
        yield "Search the whole backup", _SEARCH
        start = f"{self._backup.id}/{folder}".rstrip("/")
        for entry in self._files.ls(start):
            path = str(entry["name"]).partition("/")[2]
            name = printable(path.rpartition("/")[2])
            is_folder = entry["type"] == "directory"
            size = "" if is_folder or entry["size"] is None else f"  {format_size(entry['size'])}"
            yield f"{self._mark(path)} {name}{'/' if is_folder else ''}{size}", (path, entry["type"])

    def _search(self) -> None:
        import questionary

        text = questionary.text("Part of the name:").unsafe_ask().strip()
        if not text:
            return
        time, paths = self._backup.time, []
        for found in self._backups.find(
            f"*{escaped(text)}*", at=self._backup.location, since=time, until=time, ignore_case=True
        ):
            if found.backup.id == self._backup.id and found.backup.name == self._backup.name:
                paths.append(found.entry.path)
            if len(paths) == _MOST_FOUND:
                print(f"There are more than {_MOST_FOUND}: these are the first.")
                break
        if not paths:
            print("Nothing has such a name.")
            return
        choices: list[Choice] = [
            questionary.Choice(printable(path), value=path, checked=path in self._chosen) for path in paths
        ]
        marked = questionary.checkbox("Which of these?", choices=choices).unsafe_ask()
        self._chosen = dict.fromkeys([*(one for one in self._chosen if one not in paths), *marked])

    def _turn(self, path: str) -> None:
        if path in self._chosen:
            del self._chosen[path]
        else:
            self._chosen[path] = None

    def _mark(self, path: str) -> str:
        return "[x]" if path in self._chosen or self._is_in_chosen(path) else "[ ]"

    def _is_in_chosen(self, path: str) -> bool:
        return any(path.startswith(f"{one}/") for one in self._chosen)


def _folder() -> str:
    import questionary

    said = questionary.path(
        "To which folder?",
        only_directories=True,
        validate=lambda text: bool(text.strip()) or "Name a folder.",
    ).unsafe_ask()
    return os.path.expanduser(str(said))


def _replaces(folder: str) -> bool:
    """Whether files in the folder may be replaced; nobody is asked about one that is empty or missing."""
    import questionary

    if not (os.path.isdir(folder) and os.listdir(folder)):
        return False
    question = f"{printable(folder)} is not empty. Replace files in it that are in the way?"
    return bool(questionary.confirm(question, default=False).unsafe_ask())


def _select(
    question: str, choices: Sequence[tuple[str, object]], *, default: object = None, search: bool = False
) -> Any:
    import questionary

    made = [questionary.Choice(title, value=value) for title, value in choices]
    return questionary.select(
        question,
        choices=made,
        default=next((one for one in made if default is not None and one.value is default), None),
        use_jk_keys=not search,
        use_search_filter=search,
    ).unsafe_ask()
