"""Where it is told how an operation ended, to a person or to a program, and the process's exit code set."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn, TextIO, TypeVar

import typer

from backupkit.cli import exit_codes
from backupkit.cli.progress import progress
from backupkit.cli.reports import problem_lines, report_lines
from backupkit.errors import BackupKitError, SettingsError
from backupkit.model import Listing, Report
from backupkit.pipeline import BackupPipeline
from backupkit.plain_data import plain, plain_error
from backupkit.printable import printable
from backupkit.protocols import Observer

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A person reads lines, on standard error if something is wrong; a program one JSON document.

    `quiet` leaves out the progress, and the lines too if there is nothing wrong.
    """

    json: bool = False
    quiet: bool = False

    def observers(self) -> tuple[Observer, ...]:
        return () if self.json or self.quiet else (progress(),)

    def report(self, report: Report, lines: Iterable[str] | None = None) -> NoReturn:
        """Tell how an operation ended, and exit accordingly."""
        code = exit_codes.OF_OUTCOME[report.outcome]
        lines = report_lines(report) if lines is None else lines
        if self.json:
            _document(plain(report))
        else:
            self._tell(report, lines, code)
        raise typer.Exit(code)

    def each(
        self,
        pipelines: Sequence[BackupPipeline],
        do: Callable[[BackupPipeline], T],
        lines: Callable[[T], Iterable[str]],
    ) -> NoReturn:
        """Do it with each pipeline, whatever becomes of the others, and exit with the worst code.

        As JSON, one list with what would be the document of each. Only cancelling ends all.
        """
        codes = [0]
        documents: list[object] = []
        for one in pipelines:
            try:
                done = do(one)
            except (Exception, KeyboardInterrupt) as error:
                code = exit_codes.of_error(error)
                documents.append({"name": one.name, **plain_error(error)})
                if not self.json:
                    _say([f"{one.name}:", *(f"  {line}" for line in _error_lines(error))], sys.stderr)
                if code is None:  # a fault, which must not keep the others from being backed up
                    traceback.print_exception(error)
                codes.append(1 if code is None else code)
                if code == exit_codes.CANCELLED:
                    break
            else:
                documents.append(plain(done))
                codes.append(exit_codes.OF_OUTCOME[done.outcome] if isinstance(done, Report) else 0)
                if not self.json:
                    self._tell(done, lines(done), codes[-1])
        if self.json:
            _document(documents)
        raise typer.Exit(exit_codes.worst(codes))

    def _tell(self, done: object, lines: Iterable[str], code: int) -> None:
        if code:
            _say(lines, sys.stderr)
        elif not self.quiet:
            _say(lines, sys.stdout)
        elif isinstance(done, Report):
            _say(problem_lines(done.problems), sys.stderr)

    def listing(self, listing: Listing, lines: Iterable[str]) -> NoReturn:
        """Show a listing, and exit accordingly."""
        if self.json:
            _document(plain(listing))
        else:
            _say(lines, sys.stdout)
            _say(problem_lines(listing.problems), sys.stderr)
        raise typer.Exit(exit_codes.of_listing(listing))

    def told(self, value: object, lines: Iterable[str], *, wrong: bool = False) -> None:
        """Show what was asked for, or done; on standard error if something is wrong with it."""
        if self.json:
            _document(plain(value))
        else:
            _say(lines, sys.stderr if wrong else sys.stdout)

    def stream(
        self,
        head: Mapping[str, object],
        items: tuple[str, Iterable[object]],
        then: Callable[[], Mapping[str, object]],
    ) -> None:
        """Print a JSON document of which one value is a list that may be too long to be held.

        `then` is what comes after it. An error on the way ends the list, stands in the document, and sets the exit
        code.
        """
        name, values = items
        code = 0
        print("{")
        for key, value in head.items():
            print(f"  {json.dumps(key)}: {json.dumps(value)},")
        print(f"  {json.dumps(name)}: [", end="")
        comma = ""
        try:
            for value in values:
                print(f"{comma}\n    {json.dumps(value)}", end="")
                comma = ","
            last = then()
        except (BackupKitError, BaseExceptionGroup, KeyboardInterrupt) as error:
            found = exit_codes.of_error(error)
            if found is None:
                raise
            code, last = found, plain_error(error)
        print("\n  ]", end="")
        for key, value in last.items():
            print(f",\n  {json.dumps(key)}: {json.dumps(value)}", end="")
        print("\n}")
        if code:
            raise typer.Exit(code)

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Tell the error that ends the body, and exit with its code.

        What is not an error of ours passes: it is a fault, and its traceback is what helps to find it. Only what
        is not installed, and says how to, is no fault.
        """
        try:
            yield
        except ModuleNotFoundError as error:
            # Python's own says the module's name and nothing else.
            if "pip install " not in str(error):
                raise
            if self.json:
                _document(plain_error(error))
            else:
                _say([f"Error: {printable(str(error))}"], sys.stderr)
            raise typer.Exit(2) from None
        except (BackupKitError, BaseExceptionGroup, KeyboardInterrupt) as error:
            code = exit_codes.of_error(error)
            if code is None:
                raise
            if self.json:
                _document(plain_error(error))
            else:
                _say(_error_lines(error), sys.stderr)
            raise typer.Exit(code) from None


def _error_lines(error: BaseException) -> Iterator[str]:
    report = getattr(error, "report", None)
    if isinstance(error, KeyboardInterrupt):
        yield "Stopped."
    elif report is not None:  # its problems hold the error's own message
        yield from report_lines(report)
    elif isinstance(error, SettingsError):
        yield "Error: the settings cannot be used."
        yield from map(printable, error.problems)
    else:
        yield f"Error: {printable(str(error))}"
    yield from getattr(error, "__notes__", ())


def _say(lines: Iterable[str], where: TextIO) -> None:
    for line in lines:
        print(line, file=where)


def _document(value: object) -> None:
    # ASCII, so that a name that is not UTF-8 survives any encoding of standard output.
    print(json.dumps(value, indent=2))
