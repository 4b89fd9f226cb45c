"""That what tests ask of restic is what they believe."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.restics import Client, ResticError

pytestmark = pytest.mark.interop


def test_what_fails_is_an_error_with_what_restic_said(restic: Client, tmp_path: Path) -> None:
    nothing = restic.at(tmp_path / "nothing", tmp_path / "cache")
    with pytest.raises(ResticError, match="unable to open config file") as caught:
        nothing.snapshots()
    assert nothing.password not in str(caught.value)


def test_every_question_is_answered_by_every_version(restic: Client, tmp_path: Path) -> None:
    one = restic.at(tmp_path / "one", tmp_path / "cache")
    file = tmp_path / "file"
    file.write_bytes(b"content")
    one.plant()
    one.backup(file)
    file.write_bytes(b"changed")
    one.backup(file)
    first, second = (snapshot["id"] for snapshot in one.snapshots())
    assert one.ls(second)[str(file)]["size"] == one.stats(second)["total_size"] == 7
    assert one.diff(first, second) == [f"M    {file}"]
    assert one.cat("snapshot", first)["paths"] == [str(file)]
    assert one.list("locks") == []


def test_what_was_copied_is_restored_and_forgotten(installed_restic: Client, tmp_path: Path) -> None:
    one = installed_restic.at(tmp_path / "one", tmp_path / "cache")
    one.plant()
    one.backup(options=["--stdin"], stdin=b"a dump")
    other = installed_restic.at(tmp_path / "other", tmp_path / "cache", password="another")
    other.plant()
    other.copy_from(one)
    other.restore(tmp_path / "restored")
    assert (tmp_path / "restored" / "stdin").read_bytes() == b"a dump"
    other.forget("latest")
    assert "no errors were found" in other.check(read_data=True)
    assert other.snapshots() == []
