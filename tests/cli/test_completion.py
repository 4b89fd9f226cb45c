"""What bash is told when somebody presses the tab key."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.shop import environment

SETTINGS = """
[pipelines.shop]
sources = "/srv/shop"

[pipelines.blog]

[pipelines."shop at night"]
"""

# As bash does it: the function is asked, with the words so far and the number of the one that is being written.
ASK = """
source completion
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_backupkit_completion backupkit
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One with settings, and with the program on its own."""
    folder = tmp_path_factory.mktemp("completion")
    (folder / "backupkit.toml").write_text(SETTINGS)
    (folder / "other.toml").write_text("[pipelines.other]\n")
    (folder / "broken.toml").write_text("[pipelines\n")
    (folder / "home").mkdir()
    (folder / "bin").mkdir()
    program = folder / "bin" / "backupkit"
    program.write_text(f"#!{sys.executable}\nfrom backupkit.__main__ import main\nmain()\n")
    program.chmod(0o755)
    bash(folder, "backupkit --show-completion > completion; true")
    return folder


def bash(folder: Path, script: str, *words: str, **variables: str) -> str:
    own = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "HOME": str(folder / "home")}
    command = ["bash", "--norc", "-c", script, "bash", *words]
    done = subprocess.run(
        command, cwd=folder, env=environment(own | variables), capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout


def offered(folder: Path, *words: str, **variables: str) -> set[str]:
    return {*bash(folder, ASK, "backupkit", *words, **variables).split("\n")} - {""}


def test_verbs_options_and_their_values_are_offered(folder: Path) -> None:
    assert {"doctor", "download"} == offered(folder, "do")
    assert {"add", "change"} == {one for one in offered(folder, "key", "") if one[0] in "ac"}
    assert {"--pipeline"} == offered(folder, "run", "--pi")
    assert {"databases", "files"} == offered(folder, "run", "--only", "")


def test_the_names_of_pipelines_are_those_of_the_settings(folder: Path) -> None:
    assert {"shop", "blog", "shop at night"} == offered(folder, "run", "--pipeline", "")
    assert {"shop", "shop at night"} == offered(folder, "list", "--pipeline", "s")
    assert {"other"} == offered(folder, "run", "--config", "other.toml", "--pipeline", "")
    assert {"other"} == offered(folder, "run", "--pipeline", "", BACKUPKIT_CONFIG="other.toml")
    assert {"other"} == offered(folder, "copy", "--to-config", "other.toml", "--to-pipeline", "")


def test_settings_that_cannot_be_read_and_applications_offer_none(folder: Path) -> None:
    (folder / "application.py").write_text("raise SystemExit('was imported')\n")
    assert offered(folder, "run", "--config", "broken.toml", "--pipeline", "") == set()
    assert offered(folder, "run", "--config", "missing.toml", "--pipeline", "") == set()
    assert offered(folder, "run", "--app", "application:pipelines", "--pipeline", "") == set()
    assert offered(folder, "run", "--pipeline", "", BACKUPKIT_APP="application:pipelines") == set()


def test_the_program_installs_its_completion_by_itself(folder: Path) -> None:
    assert "bash completion installed in" in bash(folder, "backupkit --install-completion; true")
    installed = bash(folder, "source ~/.bashrc; complete -p backupkit")
    assert installed == "complete -o default -F _backupkit_completion backupkit\n"
