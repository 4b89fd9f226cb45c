"""What a drill asks about a restored backup: the numbers of its rows, and the user's assertions."""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus

from backupkit._placing import Assertion, name_of_assertion
from backupkit.errors import told
from backupkit.model import Problem, Restored

_SHOWN = 100  # characters of what an assertion returned
_DIFFERENCES = 5  # tables that stand in one message


def rows_differ(path: str, recorded: Mapping[str, int], found: Mapping[str, int]) -> Problem | None:
    """The problem, if a table that was restored has not as many rows as were dumped of it."""
    differences = [
        f"{table} has {found.get(table, 'no table')} instead of {count}"
        if table in found
        else f"{table} is missing"
        for table, count in recorded.items()
        if found.get(table) != count
    ]
    # A table whose rows were left out of the dump on purpose is there, and empty.
    differences += [
        f"{table} was not dumped and has {count}"
        for table, count in found.items()
        if count and table not in recorded
    ]
    if not differences:
        return None
    more = f"; and {len(differences) - _DIFFERENCES} more" if len(differences) > _DIFFERENCES else ""
    return Problem(
        message=f"{path} came back with other rows than were dumped: "
        f"{'; '.join(differences[:_DIFFERENCES])}{more}.",
        path=path,
    )


def not_recorded(path: str) -> Problem:
    return Problem(
        message=f"The rows of {path} cannot be compared, because nobody counted them when they were dumped: say "
        "count_rows=True at the source, and drill a backup made after that.",
        path=path,
    )


def objection(assertion: Assertion, restored: Restored, secrets: Iterable[str]) -> Problem | None:
    """Ask one assertion; the problem, if it raises, or returns what is neither None nor true.

    Never tells the passwords it was given.
    """
    name = name_of_assertion(assertion)
    try:
        answer = assertion(restored)
        if answer is None:
            return None
        if isinstance(answer, Awaitable | Iterator | AsyncIterator):
            if isinstance(answer, Coroutine):
                answer.close()  # or Python would warn that it was never awaited
            reason = f"it returned a {type(answer).__name__}, of which nothing has run"
        elif answer:  # which may raise too: arrays do not know whether they are true
            return None
        else:
            reason = f"it returned {_without(secrets, repr(answer)[:_SHOWN])}"
    except Exception as error:
        reason = _without(secrets, _reason(error))
    return Problem(message=f"The assertion {name} failed: {reason}", check=name)


def _reason(error: Exception) -> str:
    """What it says, or else where it was raised: `assert count > 0` says nothing."""
    if str(error):
        return told(error).removeprefix("AssertionError: ")
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {where.filename}:{where.lineno}: {where.line}"


def _without(secrets: Iterable[str], text: str) -> str:
    forms = {
        form
        for secret in secrets
        if secret
        for form in (
            secret,
            repr(secret)[1:-1],
            # In URLs: as RFC 3986 has it, as the standard library does by itself, as forms do, as SQLAlchemy does.
            quote(secret, safe=""),
            quote(secret),
            quote_plus(secret),
            quote(secret, safe=" +"),
        )
    }
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, "***")
    return text
