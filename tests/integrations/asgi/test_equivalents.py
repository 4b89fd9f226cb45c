"""What the page says to be the same in Python and at the command line does the same."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from backupkit import BackupPipeline, DirectoryTarget
from backupkit.cli.app import main
from backupkit.config import load
from backupkit.integrations.actions import Action, Place, act
from backupkit.integrations.asgi.pages.equivalents import (
    Equivalent,
    download_equivalent,
    equivalent,
    file_equivalent,
    folder_equivalent,
    list_equivalent,
    quoted,
    sheet_equivalent,
    summary_equivalent,
)

NAME = "shop"
SETTINGS = """
[pipelines.shop]
sources = ["files", { type = "sqlite", path = "shop.sqlite3" }]
destinations = "the backups"
encryptor = "none"
compressor = "none"
checks = []
retention = { type = "keep_last", count = 2 }
"""
AN_ODD_ONE = os.fsdecode(b'it\'s an "\xff"\n*.txt')


class Shop:
    """A folder with settings, three backups of which the second is pinned, and places to restore to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.at = (folder / "the backups").as_uri()
        self.places: dict[str, Place] = {
            "site": str(folder / "site"),
            "copies": {"shop": f"sqlite:///{folder}/copy.sqlite3"},
            "copy": f"sqlite:///{folder}/copy.sqlite3",
        }
        self.variables = {
            "PLACE_SITE": str(folder / "site"),
            "PLACE_COPIES_SHOP": f"sqlite:///{folder}/copy.sqlite3",
            "PLACE_COPY": f"sqlite:///{folder}/copy.sqlite3",
        }
        self.ids: list[str] = []

    def make(self) -> None:
        for name in ("files/orders", "the backups", "site/files"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "backupkit.toml").write_text(SETTINGS)
        (self.folder / "files" / "orders" / "1.csv").write_text("1")
        (self.folder / "files" / "hello.txt").write_text("hello")
        (self.folder / "files" / AN_ODD_ONE).write_text("odd")
        (self.folder / "site" / "files" / "hello.txt").write_text("mine")
        for name in ("shop", "copy"):
            with closing(sqlite3.connect(self.folder / f"{name}.sqlite3")) as connection:
                connection.execute(f"create table of_{name} (name text)")
        for _ in range(3):
            self.pipeline.run()
        self.ids = [one.id for one in self.pipeline.list().backups]
        self.pipeline.pin(self.ids[1], reason="made by the test")

    @cached_property
    def pipeline(self) -> BackupPipeline:
        return load(self.folder / "backupkit.toml").pipeline(NAME)

    def state(self) -> object:
        """All that an action could have changed; a backup that is new has no name of its own."""
        backups = [
            (
                one.id if one.id in self.ids else "new",
                sorted(one.contents),
                one.pin,
                one.verified is not None,
                one.proven is not None,
            )
            for one in self.pipeline.list().backups
        ]
        files = {
            str(one.relative_to(self.folder)): one.read_bytes()
            for folder in ("restored", "site")
            for one in (self.folder / folder).rglob("*")
            if one.is_file()
        }
        with closing(sqlite3.connect(self.folder / "copy.sqlite3")) as connection:
            tables = connection.execute("select name from sqlite_master").fetchall()
        return backups, files, tables


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """It stands where all do, and `origin` beside it is how it began."""
    with pytest.MonkeyPatch.context() as patch:
        shop = Shop(tmp_path_factory.mktemp("equivalents") / "it's here")
        shop.folder.mkdir()
        patch.chdir(shop.folder)
        shop.make()
    shutil.copytree(shop.folder, shop.folder.parent / "origin")
    return shop


@pytest.fixture
def shop(made: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.chdir(made.folder.parent)
    for name, value in made.variables.items():
        monkeypatch.setenv(name, value)
    afresh(made)
    return made


def afresh(shop: Shop) -> None:
    os.chdir(shop.folder.parent)
    shutil.rmtree(shop.folder)
    shutil.copytree("origin", shop.folder)
    os.chdir(shop.folder)


def words(line: str) -> list[str]:
    """What a shell makes of a line."""
    script = f"backupkit() {{ printf '%s\\0' \"$@\"; }}; {line}"
    said = subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout
    return [os.fsdecode(one) for one in said.split(b"\0")[:-1]]


def at_the_command_line(line: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words(line))
    assert ended.value.code == 0


def in_python(line: str, shop: Shop) -> dict[str, Any]:
    known: dict[str, Any] = {"pipeline": shop.pipeline, "places": shop.places, "datetime": datetime}
    exec(line, known)  # noqa: S102 - the line is what is tested
    return known


def acted(shop: Shop, action: Action) -> None:
    done = act(shop.pipeline, action, places=shop.places, scratch=shop.folder / "scratch")
    if done.folder is not None and action.place == "scratch" and not action.dry_run:
        os.rename(done.folder, shop.folder / "restored")


@pytest.mark.parametrize(
    "action",
    [
        lambda ids, at: Action(verb="run"),
        lambda ids, at: Action(verb="run", only="databases", at=at),
        lambda ids, at: Action(verb="verify"),
        lambda ids, at: Action(verb="verify", backup=ids[2], at=at),
        lambda ids, at: Action(verb="drill", backup=ids[1], at=at, only="files"),
        lambda ids, at: Action(verb="monitor", at=at),
        lambda ids, at: Action(verb="clean"),
        lambda ids, at: Action(verb="clean", at=at, dry_run=True),
        lambda ids, at: Action(verb="restore"),
        lambda ids, at: Action(
            verb="restore", backup=ids[0], at=at, only="files", include=("/files/orders",)
        ),
        lambda ids, at: Action(verb="restore", backup=ids[0], include=(AN_ODD_ONE, "-*.csv", "!x")),
        lambda ids, at: Action(verb="restore", place="site", overwrite=True, include=("hello.txt",)),
        lambda ids, at: Action(verb="restore", place="copies", overwrite=True),
        lambda ids, at: Action(verb="restore", place="copy", overwrite=True),
        lambda ids, at: Action(verb="restore", place="site", overwrite=True, dry_run=True),
        lambda ids, at: Action(verb="delete", backup=ids[0], at=at, force=True),
        lambda ids, at: Action(verb="delete", backup=ids[2]),
        lambda ids, at: Action(verb="pin", backup=ids[0], reason='it\'s -- "why"'),
        lambda ids, at: Action(
            verb="pin", backup=ids[2], reason="-x", until=datetime(2100, 3, 1, 12, 30, 1, 500, UTC)
        ),
        lambda ids, at: Action(verb="unpin", backup=ids[1]),
    ],
)
def test_the_lines_of_an_action_do_what_the_action_does(
    shop: Shop, action: Callable[[list[str], str], Action]
) -> None:
    wanted = action(shop.ids, shop.at)
    lines = equivalent(NAME, wanted, shop.places)
    acted(shop, wanted)
    expected = shop.state()
    afresh(shop)
    at_the_command_line(lines.shell)
    assert shop.state() == expected
    afresh(shop)
    in_python(lines.python, shop)
    assert shop.state() == expected


def test_the_lines_show_no_place_but_its_name() -> None:
    places: Mapping[str, Place] = {
        "new server": "/srv/secret",
        "db": "postgresql://u:tr0ubador@host/x",
        "dbs": {"shop": "postgresql://u:tr0ubador@host/x", "a b": "mysql://u:tr0ubador@host/x"},
    }
    lines = [equivalent("shop", Action(verb="restore", place=name), places) for name in places]
    assert lines == [
        Equivalent(
            "pipeline.restore(to=places['new server'])",
            'backupkit restore --pipeline shop --to "$PLACE_NEW_SERVER"',
        ),
        Equivalent(
            "pipeline.restore(to=places['db'])", "backupkit restore --pipeline shop --to env:PLACE_DB"
        ),
        Equivalent(
            "pipeline.restore(databases=places['dbs'])",
            "backupkit restore --pipeline shop --database shop=env:PLACE_DBS_SHOP "
            "--database 'a b=env:PLACE_DBS_A_B'",
        ),
    ]


def test_what_only_python_can_make_has_no_line_of_the_shell_but_says_so(tmp_path: Path) -> None:
    places: Mapping[str, Place] = {
        "it": DirectoryTarget(tmp_path),
        "its": {"shop": DirectoryTarget(tmp_path)},
    }
    for name in places:
        lines = equivalent("shop", Action(verb="restore", place=name), places)
        assert lines.shell == f"# Only Python knows what the place {name} is: it has no line here."
        assert f"places['{name}']" in lines.python


@pytest.mark.parametrize(
    "text", ["", "a", "it's", "-x", "a b", "$HOME `id`", AN_ODD_ONE, "ü\t'\\", "#x", "~"]
)
def test_a_word_of_the_shell_stands_for_the_text(text: str) -> None:
    assert words(f"backupkit {quoted(text)}") == [text]


def test_the_lines_that_download_fetch_the_archive(shop: Shop) -> None:
    lines = download_equivalent(NAME, shop.ids[1], shop.at)
    archive = next((shop.folder / "the backups").rglob(f"{shop.ids[1]}.zip")).read_bytes()
    for do in (lambda: at_the_command_line(lines.shell), lambda: in_python(lines.python, shop)):
        do()
        (fetched,) = shop.folder.glob("*.zip")
        assert fetched.read_bytes() == archive
        fetched.unlink()


@pytest.mark.parametrize("path", ["files/hello.txt", f"files/{AN_ODD_ONE}"])
def test_the_lines_of_a_file_have_its_content(
    shop: Shop, path: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    lines = file_equivalent(NAME, shop.ids[0], path, shop.at)
    content = (shop.folder / path).read_bytes()
    command, _, file = lines.shell.rpartition(" > ")
    at_the_command_line(command)
    assert capfdbinary.readouterr().out == content
    assert words(f"backupkit {file}") == [path.rpartition("/")[2]]
    assert in_python(lines.python, shop)["content"] == content


def test_the_lines_of_a_folder_list_it(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    for path, names in (("", {"files", "db-dumps"}), ("files/orders", {"files/orders/1.csv"})):
        lines = folder_equivalent(NAME, shop.ids[0], path, shop.at)
        at_the_command_line(lines.shell)
        assert {one.rstrip("/") for one in capsys.readouterr().out.splitlines()} == names
        listed = in_python(f"listed = {lines.python}", shop)["listed"]
        assert {one["name"].partition("/")[2] for one in listed} == names


def test_a_file_whose_name_begins_with_a_hyphen_is_no_option() -> None:
    assert words(file_equivalent("shop", "x", "-rf").shell.rpartition(" > ")[0])[-2:] == ["--", "-rf"]


def test_the_lines_that_show_and_print_do_so(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    for lines in (list_equivalent(NAME), summary_equivalent(NAME), list_equivalent()):
        at_the_command_line(lines.shell)
        assert capsys.readouterr().out
    assert in_python(f"x = {list_equivalent(NAME).python}", shop)["x"].backups
    assert in_python(f"x = {summary_equivalent(NAME).python}", shop)["x"].destinations
    sheet = sheet_equivalent(NAME, shop.at)
    at_the_command_line(sheet.shell)
    told = in_python(f"x = {sheet.python}", shop)["x"]
    assert (shop.folder / "recovery-sheet.md").read_text().splitlines()[0] == told.splitlines()[0]
