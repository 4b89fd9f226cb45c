"""`backupkit prune`: in this process, where keys cost nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from backupkit.cli import app as command_line
from tests.impatience import be_impatient

PIPELINE = """
from datetime import timedelta
from backupkit import *
pipeline = BackupPipeline(
    "shop",
    Directory("app"),
    LocalDestination("snapshots"),
    encryptor=Passphrase("five random words of the past"),
    format=Restic(cache=False, lock_wait=timedelta(0), pruning=PruneLimits(None)),
    lock=MachineLock("locks"),
)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Names a pipeline that stores nothing anew, with a pack of which a half is of use."""
    be_impatient(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    name = f"backups_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(PIPELINE)
    (tmp_path / "snapshots").mkdir()
    (tmp_path / "app").mkdir()
    for one in "ab":
        (tmp_path / "app" / one).write_bytes(os.urandom(40_000))
    prune_or("run", name)
    (first,) = (tmp_path / "snapshots/snapshots").iterdir()
    (tmp_path / "app/b").unlink()
    prune_or("run", name)
    first.unlink()
    return name


def prune_or(verb: str, module: str, *options: str) -> Mapping[str, Any]:
    done = CliRunner().invoke(command_line.app, [verb, "--app", f"{module}:pipeline", "--json", *options])
    assert done.exit_code == 0, done.output
    found: Mapping[str, Any] = json.loads(done.stdout)["destinations"][0]
    return found


def test_what_no_option_says_is_what_the_pipeline_says(module: str) -> None:
    for options in ([], ["--max-repack", "1GB"]):
        pruned = prune_or("prune", module, *options)["pruned"]
        assert (pruned["repacked"], pruned["unused"] > 40_000) == (0, True)
    pruned = prune_or("prune", module, "--max-unused", "0%")["pruned"]
    assert (pruned["repacked"] > 40_000, pruned["unused"]) == (True, 0)
