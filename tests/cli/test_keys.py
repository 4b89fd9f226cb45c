"""`backupkit key …`: in this process, where keys cost nothing."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from backupkit import BackupPipeline, Directory, MachineLock, Passphrase
from backupkit.cli import app as command_line
from backupkit.cli.passphrases import new_passphrase
from backupkit.testing.trees import tree
from tests.impatience import be_impatient
from tests.pipeline.snapshots import FORMAT

OLD, NEW = "five random words of the past", "five random words of the future"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a repository, `snapshots`, that has a snapshot, and passphrases in files."""
    be_impatient(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BACKUP_ARCHIVE_PASSWORD", raising=False)
    (tmp_path / "snapshots").mkdir()
    tree(tmp_path / "app", {"a": b"a"})
    BackupPipeline(
        "shop",
        Directory(tmp_path / "app"),
        tmp_path / "snapshots",
        encryptor=Passphrase(OLD),
        format=FORMAT,
        lock=MachineLock(tmp_path / "locks"),
    ).run()
    for name, text in (("old", OLD), ("new", NEW), ("weak", "weak")):
        (tmp_path / name).write_text(text)
    return tmp_path


def key(verb: str, *options: str, by: str = "old") -> Result:
    arguments = ["key", verb, "snapshots", "--passphrase-file", by, *options]
    done = CliRunner().invoke(command_line.app, arguments)
    assert OLD not in done.output
    assert NEW not in done.output
    return done


def ids(by: str = "old") -> list[str]:
    return [one["id"] for one in json.loads(key("list", "--json", by=by).stdout)["keys"]]


@pytest.mark.usefixtures("folder")
def test_keys_are_added_listed_and_removed() -> None:
    (first,) = ids()
    added = key("add", "--new-passphrase-file", "new")
    assert (added.exit_code, added.stderr) == (0, "")
    (second,) = {*ids()} - {first}
    assert f"  added  key {second[:8]}  file:" in added.stdout
    head, *rows = key("list", by="new").stdout.splitlines()
    assert head.split() == ["ID", "USER", "HOST", "CREATED", "STATE", "DESTINATION"]
    states = {row.split()[0]: "in use" in row for row in rows}
    assert states == {first[:8]: False, second[:8]: True}
    assert (key("remove", "--key", first[:8]).exit_code, key("remove", "--key", "0000").exit_code) == (1, 1)
    removed = key("remove", "--key", first[:8], by="new")
    assert (removed.exit_code, f"  removed  key {first[:8]}  file:" in removed.stdout) == (0, True)
    assert key("list").exit_code == 12


@pytest.mark.usefixtures("folder")
def test_the_passphrase_is_changed_and_an_easy_one_is_a_warning() -> None:
    changed = key("change", "--new-passphrase-command", "cat weak")
    assert changed.exit_code == 0
    assert "added" in changed.stdout
    assert "removed" in changed.stdout
    assert "warning: The passphrase from command cat is easy to guess" in changed.stdout
    assert (key("list").exit_code, key("list", by="weak").exit_code) == (12, 0)


@pytest.mark.usefixtures("folder")
def test_the_new_passphrase_is_never_an_argument() -> None:
    assert key("add", "--new-passphrase", NEW).exit_code == 2
    missing = key("add")
    assert missing.exit_code == 2
    assert "Nothing says what the new passphrase is: give --new-passphrase-file" in missing.stderr
    twice = key("add", "--new-passphrase-file", "new", "--new-passphrase-env", "NEW")
    assert twice.exit_code == 2
    assert "The new passphrase is said to be in several places" in twice.stderr
    assert len(ids()) == 1


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def at_a_terminal(*texts: str) -> None:
        answers = iter(texts)
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
        monkeypatch.setattr(getpass, "getpass", lambda _prompt: next(answers))

    return at_a_terminal


def test_at_a_terminal_it_is_asked_for_twice(typed: Callable[..., None]) -> None:
    typed(NEW, NEW)
    assert new_passphrase(None).reveal() == NEW.encode()
    typed(NEW, OLD)
    with pytest.raises(Exception, match="The two passphrases are not the same: nothing was changed"):
        new_passphrase(None)


def test_the_sheet_goes_to_standard_output_or_to_a_file_that_nobody_else_reads(folder: Path) -> None:
    printed = key("sheet")
    assert (printed.exit_code, printed.stdout.startswith("# How to restore the backups")) == (0, True)
    (folder / "sheet.md").write_text("an earlier one")
    (folder / "sheet.md").chmod(0o644)
    written = key("sheet", "--output", "sheet.md")
    assert (written.exit_code, written.stdout) == (0, "The recovery sheet is in sheet.md.\n")
    assert (folder / "sheet.md").stat().st_mode & 0o777 == 0o600
    sheet = (folder / "sheet.md").read_text()
    assert sheet.splitlines()[4:] == printed.stdout.splitlines()[4:]  # but for the time
    assert key("sheet", "--output", "nowhere/sheet.md").exit_code == 2
    assert [one.name for one in folder.iterdir() if one.name.startswith(".sheet")] == []


def test_archives_have_no_keys_and_it_is_said_what_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives: Any = BackupPipeline(
        "shop", Directory("app"), folder / "archives", encryptor=None, lock=MachineLock(folder / "locks")
    )
    (folder / "archives").mkdir()
    archives.run()
    done = CliRunner().invoke(command_line.app, ["key", "list", "archives"])
    assert done.exit_code == 2
    assert "Archives have no keys" in done.stderr
