"""`./dev`, with a machine's programs replaced by what a bare one would have; nothing is installed here."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.tools import PACKAGES

ROOT = Path(__file__).parent.parent
PROGRAMS = ("sh", "dirname", "cat", "cmp", "id", "env", "mkdir")


class Machine:
    """A checkout in a folder with a blank in its name, and a PATH with little on it."""

    def __init__(self, folder: Path) -> None:
        self.programs = folder / "bin"
        self.programs.mkdir()
        for name in PROGRAMS:
            path = shutil.which(name)
            assert path
            (self.programs / name).symlink_to(path)
        self.checkout = folder / "the checkout"
        self.checkout.mkdir()
        shutil.copy(ROOT / "dev", self.checkout)
        (self.checkout / "pyproject.toml").write_text("first\n")

    def program(self, path: str, script: str) -> None:
        program = self.programs / path
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    def dev(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.checkout / "dev", *arguments],
            cwd="/",
            env={"PATH": os.fspath(self.programs)},
            capture_output=True,
            text=True,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_help_needs_nothing(machine: Machine) -> None:
    done = machine.dev("help")
    assert (done.returncode, done.stdout.split(maxsplit=2)[:2]) == (0, ["usage:", "./dev"])


def test_an_unknown_command_is_a_usage_error(machine: Machine) -> None:
    done = machine.dev("tset")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage:")


def test_a_missing_python_is_said_in_one_sentence(machine: Machine) -> None:
    machine.program("python3", "exit 1  # too old")
    machine.program("python3.12", 'echo "pyenv: python3.12: command not found" >&2; exit 127')
    done = machine.dev("demo")
    assert done.returncode == 1
    assert done.stderr.splitlines()[1:] == [
        "Python 3.11 or newer was not found: install it and run this again."
    ]


def test_a_missing_ensurepip_names_the_package_that_has_it(machine: Machine) -> None:
    machine.program("python3.11", "case $2 in *ensurepip*) exit 1 ;; *print*) echo 3.11 ;; esac")
    done = machine.dev("test")
    assert done.returncode == 1
    assert "sudo apt-get install python3.11-venv" in done.stderr
    assert not (machine.checkout / ".venv").exists()


def test_a_failed_installation_shows_why_and_is_tried_again(machine: Machine) -> None:
    python = "case $* in *install*) echo no such package; exit 1 ;; esac"
    machine.program(os.fspath(machine.checkout / ".venv/bin/python"), python)
    for _ in range(2):
        done = machine.dev("demo")
        assert done.returncode == 1
        assert "no such package" in done.stderr


def test_set_up_happens_once_for_each_state_of_the_project_file(machine: Machine) -> None:
    log = machine.checkout / "log"
    machine.program(os.fspath(machine.checkout / ".venv/bin/python"), f'echo "$*" >>"{log}"')

    def calls() -> list[str]:
        log.write_text("")
        assert machine.dev("demo", "--keep", "a b").returncode == 0
        return [" ".join(line.split()[:3]) for line in log.read_text().splitlines()]

    pip, demo = ["-m pip --version", "-m pip install"], ["-m backupkit demo"]
    assert [calls(), calls()] == [pip + demo, demo]
    (machine.checkout / "pyproject.toml").write_text("second\n")
    assert [calls(), calls()] == [pip + demo, demo]


def test_arguments_pass_unchanged(machine: Machine) -> None:
    machine.program(os.fspath(machine.checkout / ".venv/bin/python"), r'printf "%s\n" "$@"')
    machine.dev("demo")
    assert machine.dev("demo", "a  b", "*", "").stdout == "-m\nbackupkit\ndemo\na  b\n*\n\n"


def test_every_tool_that_tests_ask_for_is_installed() -> None:
    script = (ROOT / "dev").read_text(encoding="utf-8")
    checks = {"php": """php -r 'exit(extension_loaded("zip") ? 0 : 1);' >/dev/null 2>&1"""}
    lines = {
        tool: f'{checks.get(tool, f"command -v {tool} >/dev/null")} || missing="$missing {PACKAGES[tool]}"'
        for tool in PACKAGES
    }
    assert [tool for tool, line in lines.items() if line not in script] == []


def test_a_php_without_its_zip_extension_is_counted_as_missing(machine: Machine) -> None:
    machine.program(os.fspath(machine.checkout / ".venv/bin/python"), "exit 0")
    for tool in PACKAGES:
        machine.program(tool, "exit 0")
    assert machine.dev("test").stderr.splitlines()[1:] == []
    machine.program("php", "exit 1")
    assert machine.dev("test").stderr.endswith(
        "(on Debian and Ubuntu: sudo apt-get install php-cli php-zip).\n"
    )
