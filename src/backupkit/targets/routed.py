"""`RoutedTarget`: dumps go to their databases, everything else to a folder, in one pass."""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from backupkit.errors import IntegrityError, RestoreError, SourceError
from backupkit.model import DUMPS, Entry, Problem
from backupkit.protocols import Target
from backupkit.targets.dumps import short_name


@dataclass(frozen=True, slots=True)
class RoutedTarget:
    """Each dump that `databases` names goes there, and all other entries to `rest`, if there is one.

    A dump is named by its path, by that below `db-dumps/`, or by its short name: `db-dumps/mysql-shop.sql` is
    `shop`. A database that fails is a problem of the report; the others go on.
    """

    databases: Mapping[str, Target]
    rest: Target | None

    def takes(self, entry: Entry) -> bool:
        """Whether there is a place for it."""
        return self.rest is not None or self._name_of(entry) is not None

    def check(self, entries: Iterable[Entry]) -> Iterator[Problem]:
        """What is wrong with the names first, then what each of the targets finds."""
        dumps: dict[str, list[Entry]] = {name: [] for name in self.databases}
        others: list[Problem] = []

        def without_dumps() -> Iterator[Entry]:
            for entry in entries:
                name = self._name_of(entry)
                if name is None:
                    yield entry
                else:
                    dumps[name].append(entry)

        if self.rest is not None:
            others += self.rest.check(rest := without_dumps())
        else:
            rest = without_dumps()
        for _ in rest:
            pass  # a check may stop early, and the dumps may come later
        yield from misnamed({name: [entry.path for entry in meant] for name, meant in dumps.items()})
        for name, meant in dumps.items():
            if len(meant) == 1:
                yield from self.databases[name].check(meant)
        yield from others

    def write(self, entries: Iterable[Entry]) -> Iterator[Problem]:
        """Put all in place, in the order they come. RestoreError if everything that was asked for failed.

        What ends the writing is raised after the problems that were found before it.
        """
        problems: deque[Problem] = deque()
        failures: list[RestoreError] = []
        done = 0

        def without_dumps() -> Iterator[Entry]:
            nonlocal done
            for entry in entries:
                name = self._name_of(entry)
                if name is None:
                    yield entry
                    continue
                try:
                    problems.extend(self.databases[name].write([entry]))
                    done += 1
                except RestoreError as error:
                    failures.append(error)
                    problems.append(_problem(str(error), entry.path))
                except (IntegrityError, SourceError) as error:
                    failure = RestoreError(f"{entry.path} was not restored: {error}", path=entry.path)
                    failure.__cause__ = error
                    failures.append(failure)
                    problems.append(_problem(str(failure), entry.path))

        try:
            rest = without_dumps()
            for problem in self.rest.write(rest) if self.rest is not None else _nowhere(rest):
                while problems:
                    yield problems.popleft()
                yield problem
        except Exception:
            yield from problems
            raise
        yield from problems
        if failures and not done and self.rest is None:
            raise failures[0] if len(failures) == 1 else ExceptionGroup("No database was restored", failures)

    def _name_of(self, entry: Entry) -> str | None:
        return name_of(entry, self.databases)


def name_of(entry: Entry, names: Container[str]) -> str | None:
    """The one of these names that means this entry, the most exact one; None if none does."""
    if entry.kind not in ("file", "hardlink") or not entry.path.startswith(f"{DUMPS}/"):
        return None
    below = entry.path.removeprefix(f"{DUMPS}/")
    return next((name for name in (entry.path, below, short_name(below)) if name in names), None)


def misnamed(meant: Mapping[str, Sequence[str]]) -> Iterator[Problem]:
    """What is wrong with names, each given with the paths of the dumps that it means."""
    for name, paths in meant.items():
        if not paths:
            yield _problem(f"There is no dump {name!r} in what was asked for: look at the entries.", name)
        elif len(paths) > 1:
            yield _problem(
                f"{name!r} means several dumps ({', '.join(paths)}): give the path of one.",
                name,
            )


def _nowhere(entries: Iterable[Entry]) -> Iterator[Problem]:
    for _ in entries:
        pass
    yield from ()


def _problem(message: str, path: str) -> Problem:
    return Problem(message=message, path=path)
