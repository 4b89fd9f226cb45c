"""The rows of the matrix as they stand in docs/reference/crashes.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from tests.faults.matrix import CALL_FAULTS, METHOD_FAULTS, Row
from tests.faults.several import SEVERAL_FAULTS

TABLES = (
    *(
        ("calls", operation)
        for operation in ("run", "first-run", "clean", "verify", "restore", "restore-over")
    ),
    *(("methods", operation) for operation in ("run", "clean", "verify", "restore", "restore-over")),
    *(("several", operation) for operation in ("run", "clean")),
)
_OPERATIONS = {
    "run": "A run",
    "first-run": "The first run",
    "clean": "A clean",
    "verify": "Verifying",
    "restore": "A restore",
    "restore-over": "A restore over older files",
}
_LAYERS = {
    "calls": "{}: each system call",
    "methods": "{}: each call of a destination",
    "several": "{} at three destinations: each call of one of them",
}
_COLUMNS = ("what goes wrong", "visible then", "unfinished, invisible", "it reports", "the next one")


def wanted(layer: str, operation: str) -> Iterator[str]:
    """The faults that can befall the operation: only a run tries again, and some only read, or only write."""
    for fault in {"calls": CALL_FAULTS, "methods": METHOD_FAULTS, "several": SEVERAL_FAULTS}[layer]:
        if fault in ("an error, tried again", "it hangs, tried again"):
            possible = operation in ("run", "first-run")
        elif fault in ("a full disk", "it hangs"):
            possible = operation in ("run", "first-run", "verify") or (
                layer == "calls" and operation != "clean"
            )
        else:
            possible = operation != "clean" or not fault.startswith(("a short", "a part"))
        if possible:
            yield fault


def heading(layer: str, operation: str) -> str:
    return _LAYERS[layer].format(_OPERATIONS[operation])


def table(layer: str, operation: str, rows: Mapping[str, Row]) -> Iterator[str]:
    """The lines of one table, with the heading above it."""
    yield f"### {heading(layer, operation)}"
    yield ""
    yield f"Tried at: {', '.join(f'`{name}`' for name in sorted(tried(rows.values())))}."
    yield ""
    yield f"| {' | '.join(_COLUMNS)} |"
    yield "|---" * len(_COLUMNS) + "|"
    for fault, row in rows.items():
        yield line(operation, fault, row)
    yield ""


def tried(rows: Iterable[Row]) -> set[str]:
    """The names of the calls."""
    return {name for row in rows for name in row.points}


def line(operation: str, fault: str, row: Row) -> str:
    """One row of a table. How many calls there are depends on the machine and is not in it."""
    left = "a `.partial` file" if row.left else "nothing"
    after = "succeeds"
    if row.left:
        after += ", and leaves it" if operation.startswith("restore") else ", and sweeps it when it is old"
    cells = (fault, "; ".join(sorted(row.visible)), left, "; ".join(sorted(row.reported)), after)
    return f"| {' | '.join(cells)} |"
