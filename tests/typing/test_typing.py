from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(
    find_spec("mypy") is None, reason="mypy is not installed: it is in the dependency group types"
)
def test_the_public_names_type_check_as_they_should() -> None:
    command = [sys.executable, "-m", "mypy", "tests/typing/public_api.py"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stdout
