"""The verbs that look at backups side by side: diff, find and stats."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from backupkit import open_repository
from backupkit.cli.app import app
from tests.restics import PASSWORD, client

ODD = "es\x1b[2Jcape"


@dataclass(frozen=True)
class Place:
    """Two snapshots that restic has made of a folder; the command line runs in this process."""

    folder: Path
    ids: Sequence[str]

    def backupkit(self, verb: str, *words: str, code: int = 0) -> list[str]:
        """The lines that it prints; on standard error if it ends with another code than 0."""
        secret = self.folder / "passphrase.txt"
        command = [verb, str(self.folder / "repository"), *words, "--passphrase-file", str(secret)]
        done = CliRunner().invoke(app, command)
        assert done.exit_code == code
        assert (done.stdout if code and "--json" not in words else done.stderr) == ""
        return (done.stdout or done.stderr).splitlines()

    def document(self, verb: str, *words: str, code: int = 0) -> Any:
        return json.loads("\n".join(self.backupkit(verb, *words, "--json", code=code)))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("place")
    tree = folder / "tree"
    stock = client("installed").at(folder / "repository", folder / "cache")
    stock.plant()
    (folder / "passphrase.txt").write_text(PASSWORD)
    tree.mkdir()
    (tree / "changed").write_bytes(b"1" * 10)
    (tree / "gone").touch()
    stock.backup(tree)
    (tree / "changed").write_bytes(b"2" * 2000)
    (tree / "gone").unlink()
    (tree / ODD).mkdir()
    stock.backup(tree)
    backups = open_repository(folder / "repository", PASSWORD).list().backups
    return Place(folder, [one.id for one in backups[::-1]])


def test_diff_shows_each_path_in_one_line_and_what_all_come_to(place: Place) -> None:
    before, after = place.ids
    first, *changes, sums, sizes = place.backupkit("diff", before, after)
    assert (before in first, after in first) == (True, True)
    tree = f"{place.folder}/tree".removeprefix("/")
    assert changes == [f"M  {tree}/changed", rf"+  {tree}/es\x1b[2Jcape/", f"-  {tree}/gone"]
    assert sums == "1 folder added; 1 file removed; 1 file with other content."
    assert sizes.startswith("Only the second needs ")
    assert place.backupkit("diff", after, "latest")[1:] == ["Nothing differs."]


def test_diff_as_json_is_one_document_even_if_it_fails(place: Place) -> None:
    tree = f"{place.folder}/tree".removeprefix("/")
    document = place.document("diff", *place.ids, "--folder", tree)
    assert [(one["change"], Path(one["path"]).name) for one in document["differences"]] == [
        ("content", "changed"),
        ("added", ODD),
        ("removed", "gone"),
    ]
    assert document["differences"][0]["before"]["size"] == 10
    assert document["sums"]["files"] == 1
    document = place.document("diff", *place.ids, "--folder", "nowhere", code=10)
    assert document["differences"] == []
    assert document["error"]["type"] == "BackupNotFoundError"


def test_find_shows_the_versions_of_each_path(place: Place) -> None:
    before, after = place.ids
    changed, newer, older, odd, only = place.backupkit("find", "CHANGED", "--or", "*cape*", "-i")
    assert changed.endswith("/tree/changed")
    assert (f"in {after}" in newer, "2 kB" in newer) == (True, True)
    assert (f"in {before}" in older, "10 B" in older) == (True, True)
    assert odd.endswith(r"/tree/es\x1b[2Jcape/")
    assert f"in {after}" in only
    (document,) = place.document("find", "changed")
    assert [[one["id"] for one in each["backups"]] for each in document["versions"]] == [[after], [before]]
    assert place.backupkit("find", "nothing") == ["Nothing was found."]
    assert place.document("find", "changed", "--since", "2999-01-01") == []


def test_stats_show_what_each_backup_has_added(place: Place) -> None:
    assert "2 backups" in place.backupkit("stats")[0]
    (document,) = place.document("stats")
    assert document["restored"] == 2010
    assert [one["restored"] for one in document["growth"]] == [10, 2000]
    assert document["stored"] == sum(one["stored"] for one in document["growth"])


@pytest.mark.parametrize("words", [("diff",), ("diff", "b", "c", "d"), ("find", "b", "c")])
def test_too_few_or_too_many_words_are_wrong_usage(place: Place, words: tuple[str, ...]) -> None:
    assert "give the URL" in place.backupkit(*words, code=2)[0]
