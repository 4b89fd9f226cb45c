"""A restore at a terminal, where what is not said is asked."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.shop import SECRET, Shop, environment, make_shop
from tests.cli.terminal import CTRL_C, DOWN, ENTER, Terminal, at_terminal
from tests.cli.test_installation import WITHOUT

WHICH, WHAT, WHERE, NOW = "Which backup?", "What of it?", "To which folder?", "Restore this now?"


@pytest.fixture(scope="module")
def shop_with_two(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """One with two backups, of which the newer has a file more."""
    shop = make_shop(tmp_path_factory.mktemp("shop"))
    (shop.folder / "uploads" / "2026" / "[a] *").mkdir(parents=True)
    (shop.folder / "uploads" / "2026" / "[a] *" / "inside").write_text("inside\n")
    (shop.folder / "uploads" / "2026" / "a").write_text("not meant\n")
    for _ in range(2):
        assert shop.backupkit("run", "--app", "shop_backups:pipeline").returncode == 0
        (shop.folder / "uploads" / "2026" / "invoice.txt").write_text("newer\n")
    return shop


def restoring(shop: Shop, *options: str) -> list[str]:
    return shop.command("restore", *options)


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def chosen(terminal: Terminal, *keys: str) -> None:
    terminal.answer("/", *keys)


def test_everything_of_the_newest_good_backup_is_two_keys_away(shop_with_two: Shop, tmp_path: Path) -> None:
    with at_terminal(restoring(shop_with_two, "backups"), shop_with_two.folder) as terminal:
        terminal.answer(WHICH, ENTER)
        terminal.answer(WHAT, ENTER)
        terminal.answer(WHERE, f"{tmp_path}/restored", ENTER)
        terminal.answer(NOW, "y")
        terminal.answer("Passphrase: ", SECRET, "\n")
        code, shown = terminal.end()
    assert code == 0, shown
    assert "The restore of backups succeeded in" in shown
    assert "uploads/2026/invoice.txt" in names(tmp_path / "restored")
    assert "db-dumps/sqlite-shop.sqlite3" in names(tmp_path / "restored")
    assert re.search(
        r"shop +\d{4}-\d\d-\S+Z +databases\+files +[\d.]+ kB +complete +not verified", terminal.screen
    )


def test_an_older_backup_and_single_things_of_it_can_be_chosen_and_the_same_is_said_as_a_command(
    shop_with_two: Shop, tmp_path: Path
) -> None:
    options = ("backups", "--passphrase-file", "passphrase.txt")
    others = ("--exclude", "*.tmp", "--exclude", "a b", "--sparse", "--max-size", "1GB")
    with at_terminal(restoring(shop_with_two, *options, *others), shop_with_two.folder) as terminal:
        terminal.answer(WHICH, DOWN, ENTER)
        terminal.answer(WHAT, DOWN * 3, ENTER)
        terminal.answer("Search the whole backup", "uploads", ENTER)
        terminal.answer("note.txt", "note", ENTER)
        terminal.answer("[x] note.txt", "2026", ENTER)
        terminal.answer("[ ] [a] */", "[a]", ENTER)
        terminal.answer("all of this folder", "all of", ENTER)
        terminal.answer("[x] all of this folder", "Done", ENTER)
        terminal.answer(WHERE, f"{tmp_path}/restored", ENTER)
        terminal.answer(NOW, "y")
        code, shown = terminal.end()
    assert code == 0, shown
    wanted = ["uploads/2026/[a] */inside", "uploads/note.txt"]
    assert names(tmp_path / "restored") == wanted
    command = terminal.screen.partition("The same without questions:")[2].splitlines()[1]
    again = shlex.split(command.replace(f"{tmp_path}/restored", f"{tmp_path}/again"))
    done = subprocess.run(
        shop_with_two.command(*again[1:]), cwd=shop_with_two.folder, env=environment({}), check=False
    )
    assert (again[0], done.returncode, names(tmp_path / "again")) == ("backupkit", 0, wanted)
    assert " ".join(others) in " ".join(again)


def test_a_part_of_a_name_finds_it_wherever_it_is(shop_with_two: Shop, tmp_path: Path) -> None:
    with at_terminal(restoring(shop_with_two, "backups"), shop_with_two.folder) as terminal:
        terminal.answer(WHICH, ENTER)
        terminal.answer(WHAT, DOWN * 3, ENTER)
        terminal.answer("Passphrase: ", SECRET, "\n")
        # What was answered before is not asked again.
        terminal.answer("Search the whole backup", "Search", ENTER)
        terminal.answer("Part of the name:", "INVOI", ENTER)
        terminal.answer("Which of these?", " ", ENTER)
        terminal.answer("Done: 1 thing chosen", "Done", ENTER)
        terminal.answer(WHERE, f"{tmp_path}/restored", ENTER)
        terminal.answer(NOW, "y")
        code, shown = terminal.end()
    assert code == 0, shown
    assert names(tmp_path / "restored") == ["uploads/2026/invoice.txt"]


def test_what_is_in_the_way_stays_unless_the_person_says_otherwise(
    shop_with_two: Shop, tmp_path: Path
) -> None:
    file = tmp_path / "uploads" / "note.txt"
    file.parent.mkdir()
    options = ("--app", "shop_backups:pipeline", "--include", "note.txt", "--backup", "latest")
    for answer, code, text in (("n", 1, "precious"), ("y", 0, "a note\n")):
        file.write_text("precious")
        with at_terminal(restoring(shop_with_two, *options), shop_with_two.folder) as terminal:
            terminal.answer(WHERE, str(tmp_path), ENTER)
            terminal.answer("Replace files in it that are in the way?", answer)
            terminal.answer(NOW, "y")
            assert terminal.end()[0] == code
        assert file.read_text() == text


@pytest.mark.parametrize("keys", [CTRL_C, "n"])
def test_who_does_not_want_to_after_all_restores_nothing(
    shop_with_two: Shop, tmp_path: Path, keys: str
) -> None:
    options = ("--app", "shop_backups:pipeline", "--only", "files", "--backup", "latest")
    with at_terminal(restoring(shop_with_two, *options), shop_with_two.folder) as terminal:
        terminal.answer(WHERE, f"{tmp_path}/restored", ENTER)
        terminal.answer(NOW, keys)
        code, shown = terminal.end()
    assert (code, "Traceback" in shown) == (130, False)
    assert not (tmp_path / "restored").exists()


def test_without_questionary_it_is_said_what_to_install_or_to_give(shop_with_two: Shop) -> None:
    command = [sys.executable, "-c", WITHOUT, "questionary", "restore", "backups"]
    with at_terminal(command, shop_with_two.folder) as terminal:
        code, shown = terminal.end()
    assert (code, shown.count("\n")) == (2, 1)
    assert "pip install 'backupkit[cli]', or give --to" in shown


def test_nobody_is_asked_where_there_is_no_terminal_or_a_program_reads(shop_with_two: Shop) -> None:
    done = shop_with_two.backupkit("restore", "backups")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Nothing says where to restore to" in done.stderr
    with at_terminal(restoring(shop_with_two, "backups", "--json"), shop_with_two.folder) as terminal:
        code, shown = terminal.end()
    assert (code, "Nothing says where to restore to" in shown) == (2, True)
