"""Repositories to test with: made of the byte layer alone, and used by stock restic."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backupkit.destinations.local import LocalDestination
from backupkit.formats.restic.config import Config
from backupkit.formats.restic.documents import decode, encode
from backupkit.formats.restic.keys import KeyFile, made_key_file
from backupkit.formats.restic.layout import storage_id
from backupkit.formats.restic.objects import Objects
from backupkit.formats.restic.sealing import MasterKey, Sealer
from backupkit.protocols import Destination
from tests.tools import require_tool

PASSPHRASE = "correct horse battery staple"


@dataclass(frozen=True)
class Opened:
    """A repository, opened."""

    objects: Objects
    sealer: Sealer
    config: Config


def made(destination: Destination) -> Opened:
    """A new repository of ours."""
    objects, sealer, config = Objects(destination), Sealer(master := MasterKey.made()), Config.made()
    content = made_key_file(PASSPHRASE, master, now=datetime.now(UTC)).content()
    objects.write("keys", [content], storage_id(content))
    objects.write_config(encode(config.fields(), sealer, compressed=False))
    return Opened(objects, sealer, config)


def master_key(objects: Objects) -> MasterKey:
    for id, _ in objects.list("keys"):
        master = KeyFile.parse(objects.read("keys", id), where=id).open(PASSPHRASE, where=id)
        if master is not None:
            return master
    raise AssertionError("the passphrase opens no key file")


def opened(destination: Destination) -> Opened:
    """A repository that is there."""
    objects = Objects(destination)
    sealer = Sealer(master_key(objects))
    fields = decode(objects.read_config(), sealer, where="config")
    return Opened(objects, sealer, Config.parse(fields, location=objects.location))


def make_cheap(destination: Destination) -> None:
    """Replace the key files of a repository by one that takes restic no time to open."""
    objects = Objects(destination)
    content = made_key_file(PASSPHRASE, master_key(objects), now=datetime.now(UTC)).content()
    for id, _ in [*objects.list("keys")]:
        objects.delete("keys", id)
    objects.write("keys", [content], storage_id(content))


@dataclass(frozen=True)
class Restic:
    """Debian's restic, on a repository in a local folder."""

    folder: Path
    program: Path = field(default_factory=lambda: require_tool("restic"))

    def run(self, *arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            capture_output=True,
            text=True,
            check=False,
            env=self.environment,
            cwd=cwd,
        )

    def must(self, *arguments: str | Path, cwd: Path | None = None) -> str:
        """Run it and expect success; what it wrote."""
        done = self.run(*arguments, cwd=cwd)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def cat(self, *arguments: str) -> Any:
        return json.loads(self.must("cat", *arguments))

    def command(self, *arguments: str | Path) -> Sequence[str | Path]:
        return (self.program, "--no-cache", "--quiet", "--repo", self.folder, *arguments)

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"RESTIC_PASSWORD": PASSPHRASE}


def made_here(folder: Path) -> tuple[Opened, Restic]:
    """A new repository of ours in a local folder, and restic for it."""
    restic = Restic(folder)
    return made(LocalDestination(folder, create=True)), restic
