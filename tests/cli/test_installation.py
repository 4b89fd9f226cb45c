"""The command line says what is missing, and loads only when it is called."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WITHOUT = """
import sys

missing = sys.argv.pop(1)

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from backupkit.__main__ import main
main()
"""

APP = """
from backupkit import BackupPipeline, DatabaseHistory, Directory, notifiers_from_env

def told():
    notifiers = notifiers_from_env({"BACKUP_NOTIFICATION_EMAIL": "ops@example.org"})
    return BackupPipeline("shop", Directory("."), "backups", encryptor=None, notifiers=notifiers)

def kept():
    return BackupPipeline("shop", Directory("."), "backups", encryptor=None, history=DatabaseHistory("sqlite:///records.sqlite3"))

def broken():
    import apprise_or_so
"""


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_a_missing_package_is_one_sentence(package: str) -> None:
    done = without(package)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert package in line
    assert "pip install 'backupkit[cli]'" in line


@pytest.mark.parametrize(
    ("package", "pipeline", "extra"),
    [
        ("apprise", "told", "notifications"),
        ("jinja2", "told", "notifications"),
        ("sqlalchemy", "kept", "history"),
    ],
)
def test_an_extra_that_the_application_needs_and_that_is_missing_is_one_sentence(
    tmp_path: Path, package: str, pipeline: str, extra: str
) -> None:
    (tmp_path / "needing.py").write_text(APP)
    done = without(package, "run", "--app", f"needing:{pipeline}", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert package in line
    assert f"pip install 'backupkit[{extra}]'" in line


def test_what_the_page_needs_and_is_missing_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "needing.py").write_text(APP)
    (tmp_path / "password").write_text("correct horse\n")
    done = without("uvicorn", "web", "--app", "needing:kept", "--password-file", "password", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "uvicorn" in line
    assert "pip install 'backupkit[web]'" in line


def test_a_module_of_the_applications_own_that_is_missing_is_its_fault(tmp_path: Path) -> None:
    (tmp_path / "needing.py").write_text(APP)
    done = without("nothing", "run", "--app", "needing:broken", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'apprise_or_so'"


def without(package: str, *arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line as if the package were not installed."""
    command = [sys.executable, "-c", WITHOUT, package, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
