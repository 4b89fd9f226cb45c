"""A folder that stands for a machine: its /srv, /mnt and so on, its programs, its environment."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import backupkit
from tests.docs.blocks import ROOT
from tests.docs.outside import STAND_INS
from tests.docs.worlds import PASSPHRASE

# Paths of the documentation that are in the sandbox. Without the slash they are paths within snapshots.
_ABSOLUTE = re.compile(
    r"/(?:srv|mnt)\b|(?<![\w.])/(?:media|tmp|var/www|var/lib/node_exporter|run/(?:secrets|forum)|etc/(?:shop|backup|backupkit|nginx|ssl|systemd|cron\.d))\b"
)
_WITHIN = re.compile(r"(?<![\w/.~-])srv/shop\b")

_PATIENCE = 240.0  # seconds, on any machine
# One run of a pipeline at a time on this machine, but these pages are run by several processes.
_LOCKS = """
try:
    import backupkit.locking as locking
except ImportError:  # a virtual environment of a page
    locking = None

for one in (locking, getattr(locking, "machine", None)):
    if hasattr(one, "_SHARED"):
        one._SHARED = ({folder!r},)
"""
_PIP = """
import re, sys

known = {extras!r}
for extra in re.findall(r"backupkit\\[([^]]*)\\]", " ".join(sys.argv[1:])):
    if unknown := {{*extra.replace(" ", "").split(",")}} - known:
        sys.exit(f"backupkit has no extras {{sorted(unknown)}}")
"""


@dataclass(frozen=True)
class Sandbox:
    """The folder; `path("/srv/shop")` is where that is."""

    root: Path

    def path(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def mapped(self, text: str) -> str:
        """The same text, of which the paths are those here."""
        inside = str(self.root).lstrip("/")
        text = _ABSOLUTE.sub(lambda found: f"{self.root}{found[0]}", text)
        return _WITHIN.sub(lambda found: f"{inside}/{found[0]}", text)

    @property
    def home(self) -> Path:
        """The folder in which the commands are given."""
        return self.root / "home"

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("LANG", "CI") if name in os.environ}
        return {
            **kept,
            "PATH": f"{self.root / 'bin'}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "TMPDIR": str(self.root / "tmp"),
            "PYTHONPATH": self._python_path,
            "TERM": "dumb",
            "BACKUP_ARCHIVE_PASSWORD": PASSPHRASE,
            "DATABASE_URL": f"sqlite:///{self.path('/srv/shop/shop.sqlite3')}",
            **{name: self.mapped(value) for name, value in more.items()},
        }

    @property
    def _python_path(self) -> str:
        return f"{self.root / 'site'}:{Path(backupkit.__file__).parent.parent}:{ROOT}"

    def program(self, name: str, script: str) -> None:
        file = self.root / "bin" / name
        file.write_text(script)
        file.chmod(0o755)

    def tell(self, story: Mapping[str, object], env: Mapping[str, str]) -> str | None:
        """Run the blocks of a page as one story; what was said if that failed."""
        folder = self.root / "story"
        folder.mkdir()
        (folder / "story.json").write_text(json.dumps(story))
        with subprocess.Popen(
            [sys.executable, "-m", "tests.docs.story", str(folder)],
            cwd=self.home,
            env=self.environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                said, _ = process.communicate(timeout=_PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                return f"It was not done after {_PATIENCE:.0f} seconds:\n{process.communicate()[0]}"
            finally:
                with suppress(ProcessLookupError):  # what blocks have left running
                    os.killpg(process.pid, signal.SIGKILL)
            return said if process.returncode else None


def made(root: Path) -> Sandbox:
    """A machine with an application, an empty disk for its backups, and a passphrase."""
    sandbox = Sandbox(root)
    for folder in (
        "home",
        "bin",
        "site",
        "tmp",
        "locks",
        "srv/shop/uploads/2026",
        "srv/shop/data",
        "mnt/backup",
        "etc/shop",
    ):
        (root / folder).mkdir(parents=True)
    (root / "locks").chmod(0o1777)
    (root / "site/sitecustomize.py").write_text(_LOCKS.format(folder=str(root / "locks")))
    shop = root / "srv/shop"
    (shop / "orders.csv").write_text("id,customer,pieces\n1,ada,3\n")
    (shop / "data/orders.csv").write_text("id,customer,pieces\n1,ada,3\n")
    (shop / "uploads/pear.jpg").write_bytes(b"\xff\xd8" + bytes(2000))
    (shop / "uploads/2026/apple.jpg").write_bytes(b"\xff\xd8" + bytes(1000))
    (shop / "uploads/prices.csv").write_text("pear,5\n")
    (shop / "uploads/manual.pdf").write_bytes(b"%PDF")
    _database(shop / "shop.sqlite3")
    (root / "etc/shop/backup.passphrase").write_text(f"{PASSPHRASE}\n")
    python = shlex.quote(sys.executable)
    environment = f"PYTHONPATH={shlex.quote(sandbox._python_path)}"
    sandbox.program("backupkit", f'#!/bin/sh\n{environment} exec {python} -m backupkit "$@"\n')
    for name in ("flask", "celery", "uvicorn"):
        sandbox.program(name, f'#!/bin/sh\n{environment} exec {python} -m {name} "$@"\n')
    for name in ("python", "python3"):
        # A virtual environment without pip is made in no time; and in it pip is the one that stands in.
        sandbox.program(
            name, f'#!/bin/sh\n[ "$1 $2" = "-m venv" ] && set -- "$@" --without-pip\nexec {python} "$@"\n'
        )
    for name in STAND_INS:
        sandbox.program(name, "#!/bin/sh\nexit 0\n")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    sandbox.program("pip", f"#!{sys.executable} -IS\n{_PIP.format(extras={*extras})}")
    return sandbox


def _database(path: Path) -> None:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT)")
        connection.execute("INSERT INTO orders (customer) VALUES ('ada')")
        connection.commit()


def missing(code: str, programs: Sequence[str]) -> list[str]:
    """Those of the programs that a block needs and this machine lacks."""
    return [
        one
        for one in programs
        if re.search(rf"^\s*{re.escape(one)}\b", code, re.MULTILINE) and not shutil.which(one)
    ]
