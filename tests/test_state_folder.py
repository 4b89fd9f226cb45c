"""Where files lie that one process leaves for the next."""

from __future__ import annotations

import pytest

from backupkit.memory import FileMemory
from backupkit.state_folder import state_folder


@pytest.mark.parametrize(
    ("uid", "state", "folder"),
    [
        (0, "/srv/state", "/var/lib/backupkit"),
        (1000, "/srv/state", "/srv/state/backupkit"),
        (1000, "", "/home/shop/.local/state/backupkit"),
    ],
)
def test_root_keeps_state_for_the_machine_and_others_in_their_own_folder(
    uid: int, state: str, folder: str, monkeypatch: pytest.MonkeyPatch, roots_state_folder: str
) -> None:
    monkeypatch.setattr("backupkit.state_folder._FOR_ROOT", roots_state_folder)
    monkeypatch.setattr("os.geteuid", lambda: uid)
    monkeypatch.setenv("HOME", "/home/shop")
    monkeypatch.setenv("XDG_STATE_HOME", state)
    assert state_folder() == folder
    assert FileMemory()._folder() == folder
    assert FileMemory("/srv/own")._folder() == "/srv/own"
