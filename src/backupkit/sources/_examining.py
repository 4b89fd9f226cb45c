"""How a source is examined: step by step, each a finding, whatever programs and servers do."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from typing import TypeVar

from backupkit.errors import SourceError
from backupkit.model import Finding, Verdict
from backupkit.protocols import Examines, Source

T = TypeVar("T")


def tried(
    step: str,
    ask: Callable[[], T],
    say: Callable[[T], str],
    *,
    of: object = None,
    otherwise: Verdict = "not ok",
) -> Generator[Finding, None, T | None]:
    """Ask, yield what was found, and return the answer; None if there was none. `of` is what an error is about."""
    from backupkit.databases.programs import ClientError

    try:
        answer = ask()
        message = say(answer)
    except (ClientError, SourceError) as error:
        of_client = of is not None and isinstance(error, ClientError)  # the others are whole sentences
        message = f"{of}: {error}" if of_client else str(error)
        yield Finding(step=step, verdict=otherwise, message=message)
        return None
    yield Finding(step=step, verdict="ok", message=message)
    return answer


def installed(
    step: str, find: Callable[[], str], does: str, *, otherwise: Verdict = "not ok"
) -> Generator[Finding, None, str | None]:
    """Whether a program is installed, and what it does; what it says of its version is returned."""
    from backupkit.databases.programs import version_of

    def ask() -> tuple[str, str]:
        path = find()
        return path, version_of(path)

    found = yield from tried(step, ask, lambda one: f"{one[0]} {does} ({one[1]}).", otherwise=otherwise)
    return None if found is None else found[1]


def findings_of(source: Source) -> Iterator[Finding]:
    """What the source finds of itself, if it can."""
    if isinstance(source, Examines):
        yield from source.examine()
        return
    yield Finding(
        step="examined",
        verdict="not known",
        message=f"A source of type {type(source).__name__} cannot be examined: only a run shows more.",
    )


def findings_within(source: Source, name: str) -> Iterator[Finding]:
    """The same of one of several sources, whose name stands before each step."""
    for finding in findings_of(source):
        yield replace(finding, step=f"{name}: {finding.step}")


def some(names: list[str]) -> str:
    """The first few of them, in a sentence."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
