"""`backupkit drill`, as a real process: what it shows, remembers, refuses and leaves."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.cli.shop import Shop

APP = ("--app", "shop_backups:pipeline")
MINUTE = r"\d{4}-\d\d-\d\dT\d\d:\d\dZ"

ASSERTIONS = """
import os, signal, sqlite3, threading
from contextlib import closing

def orders(restored):
    path = restored.databases["shop"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT count(*) FROM orders").fetchone()[0]

def has_an_order(restored):
    assert orders(restored) == 1
    assert (restored.folder / "uploads" / "note.txt").read_text() == "a note\\n"

def has_many_orders(restored):
    assert orders(restored) > 1000, f"only {orders(restored)} orders"

def waits(restored):
    print("asked", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)

def never_ends(restored):
    others = signal.getsignal(signal.SIGTERM)
    def tells(number, frame):
        others(number, frame)
        os.write(1, b"still waits\\n")  # not print, which it may have interrupted
    signal.signal(signal.SIGTERM, tells)
    print("asked", flush=True)
    while True:
        signal.pause()

number = 42
"""


@pytest.fixture
def drilled(saved: Shop) -> Shop:
    """A shop with a backup, with assertions, and with a folder for what is restored."""
    (saved.folder / "asked.py").write_text(ASSERTIONS)
    (saved.folder / "scratch").mkdir()
    return saved


def left(shop: Shop) -> list[Path]:
    return list((shop.folder / "scratch").iterdir())


def test_a_drill_tells_how_long_the_restore_took_and_list_shows_that_it_proved_the_backup(
    drilled: Shop,
) -> None:
    done = drilled.backupkit("drill", *APP, "--assert", "asked:has_an_order", "--scratch", "scratch")
    assert (done.returncode, done.stderr) == (0, "")
    head, where, took = done.stdout.splitlines()
    assert re.fullmatch(
        r"The drill of shop succeeded in [\d.]+ s: 5 entries, [\d.]+ kB restored to scratch places\.", head
    )
    assert where.startswith("  succeeded  ")
    assert re.fullmatch(r"  restored in [\d.]+ s", took)
    assert left(drilled) == []
    assert re.search(rf"complete  never +{MINUTE}  file:", drilled.backupkit("list", "backups").stdout)


def test_a_drill_whose_assertion_fails_says_so_on_standard_error_and_to_list(drilled: Shop) -> None:
    done = drilled.backupkit(
        *("drill", *APP, "--assert", "asked:has_many_orders", "--assert", "asked:has_an_order"),
        *("--scratch", "scratch"),
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("The drill of shop failed after ")
    assert "  error: The assertion has_many_orders failed: only 1 orders\n" in done.stderr
    assert re.search(r"complete  never +failed  file:", drilled.backupkit("list", "backups").stdout)
    assert left(drilled) == []


def test_a_drill_as_json_is_its_report(drilled: Shop) -> None:
    code, report = drilled.document("drill", *APP, "--scratch", "scratch")
    assert (code, report["operation"], report["outcome"], report["dumps"]) == (0, "drill", "succeeded", [])
    assert 0 < report["restore_took"] <= report["took"]
    _, listing = drilled.document("list", "backups")
    (backup,) = listing["backups"]
    assert backup["proven"].endswith("+00:00")
    assert backup["refuted"] is False


def test_a_quiet_drill_says_nothing_when_all_is_well(drilled: Shop) -> None:
    done = drilled.backupkit("drill", *APP, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_is_kept_is_told_and_is_there(drilled: Shop) -> None:
    done = drilled.backupkit("drill", *APP, "--keep", "--scratch", "scratch")
    assert done.returncode == 0
    (kept,) = left(drilled)
    assert f"  warning: The scratch folder {str(kept)!r} was kept, as asked" in done.stdout
    assert (kept / "restored" / "uploads" / "note.txt").exists()


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--assert", "asked:nothing"], 2, "The module 'asked' has no 'nothing': name its function."),
        (["--assert", "asked:number"], 2, "asked:number is of type int, not a function"),
        (["--assert", "nobody:asks"], 2, "There is no module 'nobody', which --assert nobody:asks names"),
        (["--assert", "asked"], 2, "'asked' does not name a function"),
        (["--database", "shop"], 2, "--database is written as NAME=URL or NAME=env:VARIABLE"),
        (["--database", "shop=here"], 2, "--database shop is not given the URL of a database"),
        (["--database", "shop=env:UNSET"], 2, "names the variable 'UNSET', which is not set"),
        (["--database", "shop=env:HOME"], 2, "names the variable 'HOME', which holds no URL of a database"),
        (["--database", "a=mysql://h/", "--database", "a=mysql://g/"], 2, "--database names 'a' twice"),
        (["--database", "gone=mysql://h/"], 1, "There is no dump 'gone'"),
        (["--backup", "1999"], 10, "There is no backup '1999'"),
        (["--scratch", "missing"], 1, "no scratch folder can be made"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence_and_nothing_is_recorded(
    drilled: Shop, options: list[str], code: int, message: str
) -> None:
    before = drilled.stored()
    done = drilled.backupkit("drill", *APP, *options)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert drilled.stored() == before


@pytest.mark.parametrize(
    "option",
    ["shop=postgresql://u:hunter2@h/", "postgresql://u:hunter2@h/?a=b", "shop=mysql://h/x?password=hunter2"],
)
@pytest.mark.parametrize("verb", ["drill", "restore"])
def test_a_password_on_the_command_line_is_refused_and_not_repeated(
    unchanged: Shop, verb: str, option: str
) -> None:
    done = unchanged.backupkit(verb, *APP, "--database", option)
    assert done.returncode == 2
    assert "env:VARIABLE" in done.stderr
    assert "hunter2" not in done.stderr + done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_a_drill_which_leaves_and_records_nothing(drilled: Shop, number: int) -> None:
    before = drilled.stored()
    process = drilled.start("drill", *APP, "--assert", "asked:waits", "--scratch", "scratch")
    assert process.stdout is not None
    assert process.stdout.readline() == b"asked\n"
    assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])  # or it might stop after it was woken
    assert len(left(drilled)) == 1
    process.send_signal(number)
    process.send_signal(signal.SIGCONT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert b"was cancelled" in errors
    assert (left(drilled), drilled.stored()) == ([], before)


def test_a_second_signal_ends_an_assertion_and_leaves_nothing(drilled: Shop) -> None:
    before = drilled.stored()
    process = drilled.start("drill", *APP, "--assert", "asked:never_ends", "--scratch", "scratch")
    assert process.stdout is not None
    assert process.stdout.readline() == b"asked\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == b"still waits\n"
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 130
    assert (left(drilled), drilled.stored()) == ([], before)
