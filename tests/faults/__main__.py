"""The crash and fault matrix.

python -m tests.faults                      the tables of docs/reference/crashes.md
python -m tests.faults --soak               the same with encryption, threads and more files
python -m tests.faults --serve              what the tests ask: a line of JSON for each row wanted
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from tests.faults.matrix import CALL_FAULTS, METHOD_FAULTS, Matrix, Row
from tests.faults.several import SEVERAL_FAULTS, several
from tests.faults.table import TABLES, table, wanted


def answer(matrix: Matrix, layer: str, operation: str, fault: str) -> Row:
    """The row of one fault in one operation."""
    if layer == "calls":
        return matrix.of_calls(operation, CALL_FAULTS[fault])
    if layer == "methods":
        return matrix.of_methods(operation, METHOD_FAULTS[fault])
    return several(matrix.scenes[operation], SEVERAL_FAULTS[fault])


def tables(matrix: Matrix, wrong: list[str]) -> Iterator[str]:
    for layer, operation in TABLES:
        rows = {fault: answer(matrix, layer, operation, fault) for fault in wanted(layer, operation)}
        wrong += (f"{layer}, {operation}, {fault}: {one}" for fault, row in rows.items() for one in row.wrong)
        yield from table(layer, operation, rows)


def main(*options: str) -> None:
    world = {"more_files": 4, "passphrase": "correct horse battery staple", "threads": True}
    # In memory where there is such a place: ten thousand small folders are made and removed.
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as root:
        matrix = Matrix(Path(root), **(world if "--soak" in options else {}))
        if "--serve" in options:
            for request in sys.stdin:
                row = asdict(answer(matrix, *json.loads(request)))
                sys.stdout.write(json.dumps(row, default=sorted) + "\n")
                sys.stdout.flush()
        else:
            wrong: list[str] = []
            for text in tables(matrix, wrong):
                sys.stdout.write(text + "\n")
            if wrong:
                sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main(*sys.argv[1:])
