"""Whatever goes wrong at whichever call, the promises are kept, and docs/reference/crashes.md says how.

The cases are in `matrix` and `several`; they run in a process of their own, which forks some that are killed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.faults.matrix import Row
from tests.faults.table import TABLES, heading, line, tried, wanted

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reference/crashes.md"
ROWS = [
    pytest.param(*table, fault, id=f"{'-'.join(table)}-{fault.replace(' ', '-')}")
    for table in TABLES
    for fault in wanted(*table)
]
# Made only by root, or only where the system and its file system have them.
NOT_EVERYWHERE = {"chown", "fchown", "posix_fadvise", "setxattr"}

Ask: TypeAlias = Callable[[str, str, str], Row]


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    """Tries every case of a fault in an operation, once."""
    arguments = [sys.executable, "-m", "tests.faults", "--serve"]
    with subprocess.Popen(
        arguments, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        requests, answers = process.stdin, process.stdout

        @cache
        def asked(layer: str, operation: str, fault: str) -> Row:
            requests.write(json.dumps([layer, operation, fault]) + "\n")
            requests.flush()
            return Row(**json.loads(answers.readline()))

        yield asked
        requests.close()
    assert process.returncode == 0


def documented(layer: str, operation: str) -> list[str]:
    """The lines below a table's heading."""
    _, _, below = PAGE.read_text(encoding="utf-8").partition(f"### {heading(layer, operation)}\n")
    return below.partition("\n#")[0].splitlines()


@pytest.mark.parametrize(("layer", "operation", "fault"), ROWS)
def test_whatever_goes_wrong_at_whichever_call_the_promises_are_kept(
    ask: Ask, layer: str, operation: str, fault: str
) -> None:
    row = ask(layer, operation, fault)
    assert row.points, "it was tried nowhere"
    assert row.wrong == []


@pytest.mark.parametrize(("layer", "operation", "fault"), ROWS)
def test_the_documentation_says_what_happens(ask: Ask, layer: str, operation: str, fault: str) -> None:
    assert line(operation, fault, ask(layer, operation, fault)) in documented(layer, operation)


@pytest.mark.parametrize(("layer", "operation"), TABLES, ids=map("-".join, TABLES))
def test_the_documentation_names_every_call_that_is_tried(ask: Ask, layer: str, operation: str) -> None:
    (calls,) = (line for line in documented(layer, operation) if line.startswith("Tried at: "))
    named = {*calls.removeprefix("Tried at: ").rstrip(".").replace("`", "").split(", ")}
    rows = [ask(layer, operation, fault) for fault in wanted(layer, operation)]
    assert named - NOT_EVERYWHERE == tried(rows) - NOT_EVERYWHERE


@pytest.mark.parametrize(("layer", "operation"), TABLES, ids=map("-".join, TABLES))
def test_the_documentation_has_a_row_for_each_fault_and_no_other(layer: str, operation: str) -> None:
    rows = [line.split(" | ")[0].removeprefix("| ") for line in documented(layer, operation) if "|" in line]
    assert rows[2:] == [*wanted(layer, operation)]
