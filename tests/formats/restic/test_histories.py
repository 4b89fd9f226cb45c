"""Any history of runs, removals and crashes: what is listed can be read, and stock restic finds nothing wrong."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from backupkit.formats.restic import packing
from backupkit.formats.restic.format import Restic
from backupkit.protocols import Format
from backupkit.prune_limits import PruneLimits
from backupkit.testing.repository_machine import RepositoryMachine
from tests.impatience import be_impatient
from tests.restics import Client


class ResticMachine(RepositoryMachine):
    passphrases = ("five words are long enough",)

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        be_impatient(self.patch, settling=0)
        self.patch.setattr(packing, "PACK_SIZE", 300_000)  # so that there are several, of each type

    def make_format(self) -> Format:
        return Restic(cache=False, pruning=PruneLimits("0 B"))

    def after_death(self) -> None:
        for name in [name for name in self.destination.objects if name.startswith("locks/")]:
            del self.destination.objects[name]  # of this process, which lives

    def teardown(self) -> None:
        self.patch.undo()
        program = shutil.which("restic")
        if program is None or "config" not in self.destination.objects:
            return
        with tempfile.TemporaryDirectory() as name:
            for object, content in self.destination.objects.items():
                path = Path(name, "repository", object)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            restic = Client(Path(program)).at(
                Path(name, "repository"), Path(name, "cache"), password=self.passphrases[0] or ""
            )
            assert "no errors were found" in restic.check(read_data=True)


ResticMachine.TestCase.settings = settings(
    max_examples=20, stateful_step_count=12, deadline=None, suppress_health_check=[*HealthCheck]
)
TestResticMachine = ResticMachine.TestCase
