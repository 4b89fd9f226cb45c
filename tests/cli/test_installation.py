"""The command line says what is missing, and loads only when it is called."""

from __future__ import annotations

import subprocess
import sys

import pytest

WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == sys.argv[1]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from backupkit.__main__ import main
main()
"""


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_a_missing_package_is_one_sentence(package: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, package], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert package in line
    assert "pip install 'backupkit[cli]'" in line
