"""The blocks of one page, run one after the other in this process: a later one may use the names of an earlier one.

It is given a folder that holds `story.json`, and ends with status 1 at the first block that fails, which it names.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.docs.terminal import ProgramFailedError, at_terminal

_OWN = {"_", "PWD", "OLDPWD", "SHLVL"}  # bash's
_EXPECTED = re.compile(r"^(.*?)\s+# .*\bexit code (\d+):.*$", re.MULTILINE)
_CRON = re.compile(r"^(?:@[a-z]+\s+|(?:[\d*/,A-Z-]+\s+){5})(.*)$")


class FailedError(Exception):
    """What a block did, which it should not."""


class Story:
    """The state that one block leaves to the next: names, variables, the folder."""

    def __init__(
        self, folder: Path, page: str, answers: Mapping[str, Sequence[str]], appended: Mapping[str, str]
    ) -> None:
        self._folder = folder
        self._page = page
        self._answers = {prompt: [*given] for prompt, given in answers.items()}
        self._appended = appended
        self._names: dict[str, Any] = {"__name__": "__page__"}

    def tell(self, language: str, line: int, code: str) -> None:
        getattr(self, f"_{language}")(code, line)

    def _python(self, code: str, line: int) -> None:
        tree = ast.parse(code)
        file = _named(code) or _of_pipelines(tree)
        self._names["__file__"] = os.path.abspath(file or "page.py")
        if file is not None:
            code = self.write(file, code)
            for name in [
                one for one in sys.modules if one.partition(".")[0] == Path(file).parts[0].removesuffix(".py")
            ]:
                del sys.modules[name]
        if any(
            isinstance(one, ast.FunctionDef | ast.ClassDef) and one.name.lower().startswith("test")
            for one in tree.body
        ):
            Path("test_block.py").write_text(code)
            self._run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_block.py"])
            return
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        compiled = compile("\n" * (line - 1) + code, self._page, "exec", flags=flags, dont_inherit=True)
        if compiled.co_flags & inspect.CO_COROUTINE:
            asyncio.run(eval(compiled, self._names))  # noqa: S307 - it is ours
        else:
            exec(compiled, self._names)  # noqa: S102 - it is ours

    def write(self, file: str, code: str) -> str:
        """Write a file that a block is, with what the world has below it."""
        if file in self._appended:
            code = f"{code}\n{self._appended[file]}"
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text(code)
        return code

    def _sh(self, code: str, line: int) -> None:
        state, place = self._folder / "environment", self._folder / "place"
        expected = _EXPECTED.sub(r"\1 && false || test $? -eq \2", code)
        script = (
            f"trap 's=$?; env -0 > {state}; pwd > {place}; exit $s' EXIT\n"
            "trap 'echo \"It ended at: $BASH_COMMAND\" >&2' ERR\n"
            f"set -e\n{expected}\n"
        )
        arguments = ["bash", "-c", script]
        if self._answers:
            try:
                asked = at_terminal(arguments, {prompt: given[0] for prompt, given in self._answers.items()})
            except ProgramFailedError as error:
                raise FailedError(str(error)) from None
            if asked:
                self._answers = {prompt: given[1:] or given for prompt, given in self._answers.items()}
        else:
            self._run(arguments)
        variables = dict(one.partition("=")[::2] for one in state.read_text().split("\0") if one)
        kept = {name: value for name, value in variables.items() if name not in _OWN}
        os.environ.clear()
        os.environ.update(kept)
        os.chdir(place.read_text().rstrip("\n"))

    def _console(self, code: str, line: int) -> None:
        """Each `$ command`, in one shell, and below it what it prints."""
        commands = re.findall(r"^\$ (.*)$", code, re.MULTILINE)
        printed = [
            text.partition("\n")[2] for text in re.split(r"^(?=\$ )", code, flags=re.MULTILINE) if text
        ]
        script = "".join(f"{command}\ns=$?; printf '\\001'; (exit $s)\n" for command in commands)
        done = subprocess.run(
            ["bash", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        for command, should, did in zip(commands, printed, done.stdout.split("\1"), strict=False):
            if plain(should) != plain(did):
                raise FailedError(f"$ {command}\nprints:\n{did}\nand not:\n{should}")

    def _cron(self, code: str, line: int) -> None:
        """Each line's command, by a shell with the environment that cron gives."""
        variables = {"HOME": os.environ["HOME"], "PATH": os.environ["PATH"], "SHELL": "/bin/sh"}
        for one in code.splitlines():
            if set_here := re.match(r"(\w+)=(.*)$", one):
                variables[set_here[1]] = set_here[2]
            elif one and not one.startswith("#"):
                job = _CRON.match(one)
                if job is None:
                    raise FailedError(f"This is no line of a crontab: {one}")
                self._run(["sh", "-c", job[1].replace("%", "\n")], env=variables)

    def _toml(self, code: str, line: int) -> None:
        import tomllib

        found = tomllib.loads(code)
        if found.keys() <= {"project", "build-system", "dependency-groups"}:
            return
        try:
            from backupkit.config import load
        except ImportError:
            return
        name = "pyproject.toml" if "tool" in found else "backupkit.toml"
        Path(name).write_text(code)
        load(name)

    def _json(self, code: str, line: int) -> None:
        json.loads(code)

    def _yaml(self, code: str, line: int) -> None:
        import yaml

        yaml.safe_load(code)

    def _dockerfile(self, code: str, line: int) -> None:
        """Its commands are there; what they are is not started."""
        for command in re.findall(r"^(?:CMD|ENTRYPOINT) (.*)$", code, re.MULTILINE):
            self._run([*json.loads(command), "--help"])

    def _php(self, code: str, line: int) -> None:
        Path("page.php").write_text(code)
        self._run(["php", "page.php"])

    def _sql(self, code: str, line: int) -> None:
        self._run([*json.loads(os.environ["SQL_CLIENT"])], input=code)

    def _text(self, code: str, line: int) -> None:
        """Nothing can be said of it."""

    def _run(
        self, arguments: Sequence[str], *, env: Mapping[str, str] | None = None, input: str = ""
    ) -> None:
        done = subprocess.run(
            arguments,
            env=env,
            input=input,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise FailedError(f"It ended with status {done.returncode}:\n{done.stdout}")


def plain(printed: str) -> str:
    """What was printed, without what is another thing each time: ids, times, sizes, folders, and blanks."""
    for pattern, name in (
        (r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{6}Z", "ID"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\dZ", "TIME"),
        (r"\d+(\.\d+)? (s|B|kB|MB)\b", "NUMBER"),
        (r"file://\S*?/(?=backup-tutorial)", "file:///"),
    ):
        printed = re.sub(pattern, name, printed)
    return "\n".join(" ".join(line.split()) for line in printed.strip().splitlines())


def _named(code: str) -> str | None:
    """The file that a block's first line says that it is."""
    found = re.match(r"# ([\w/]+\.py)$", code.partition("\n")[0])
    return found and found[1]


def _of_pipelines(tree: ast.Module) -> str | None:
    """The module that all commands name, if a block makes the pipeline."""
    assigned = [target for one in tree.body if isinstance(one, ast.Assign) for target in one.targets]
    made = any(isinstance(target, ast.Name) and target.id == "pipeline" for target in assigned)
    return "backups.py" if made else None


def main(folder: Path) -> int:
    story = json.loads((folder / "story.json").read_text())
    telling = Story(folder, story["page"], story["answers"], story["append"])
    sys.path.insert(0, "")
    for language, _, code in story["steps"][
        ::-1
    ]:  # the first of each name stays, for commands may stand above it
        if language == "python" and (file := _named(code)):
            telling.write(file, code)
    for language, line, code in story["steps"]:
        try:
            telling.tell(language, line, code)
        except FailedError as error:
            sys.stdout.write(f"{story['page']}, the {language} block at line {line}: {error}\n\n{code}\n")
            return 1
        except BaseException:
            sys.stdout.write(f"{story['page']}, the {language} block at line {line}:\n\n{code}\n")
            sys.stdout.flush()
            traceback.print_exc()
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
