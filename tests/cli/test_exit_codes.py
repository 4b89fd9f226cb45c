"""Each exit code, and that a failure is one plain sentence or one JSON document."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from backupkit import (
    BackupAlreadyRunningError,
    BackupKitError,
    IntegrityError,
    OperationCancelledError,
    WrongPassphraseError,
)
from backupkit.cli import exit_codes
from tests.cli.shop import Shop

APP = ("--app", "shop_backups:pipeline")


def flip_a_byte(archive: Path) -> None:
    middle = archive.stat().st_size // 2
    with archive.open("r+b") as file:
        file.seek(middle)
        byte = file.read(1)
        file.seek(middle)
        file.write(bytes([byte[0] ^ 1]))


def test_failed_is_1(shop: Shop) -> None:
    done = shop.backupkit("run", "--app", "shop_backups:nowhere")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.match(r"The run of shop failed after [\d.]+ s\.\n  failed .*not-mounted", done.stderr)
    assert "  error: The folder " in done.stderr


def test_damaged_is_1(saved: Shop) -> None:
    flip_a_byte(next(saved.backups.rglob("*.zip")))
    done = saved.backupkit("verify", *APP)
    assert (done.returncode, done.stdout) == (1, "")
    assert "damaged" in done.stderr
    assert "  damaged  " in saved.backupkit("list", "backups").stdout


def test_what_failed_is_told_in_json_with_its_report(shop: Shop) -> None:
    code, document = shop.document("run", "--app", "shop_backups:nowhere")
    assert (code, document["outcome"], document["operation"]) == (1, "failed", "run")
    assert document["error"]["type"] == "DestinationError"
    assert document["problems"][0]["message"] == document["error"]["message"]


def test_incomplete_is_3(shop: Shop) -> None:
    done = shop.backupkit("run", "--app", "shop_backups:losing")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("The run of shop is incomplete after ")
    assert re.search("error: .*gone", done.stderr)
    code, document = shop.document("run", "--app", "shop_backups:losing")
    assert (code, document["outcome"]) == (3, "incomplete")


def test_a_destination_that_did_not_get_it_is_3(shop: Shop) -> None:
    done = shop.backupkit("run", "--app", "shop_backups:halfway")
    assert done.returncode == 3
    assert re.search(r"\n  succeeded  \S+  .*/backups\n  failed  +file://.*/not-mounted\n", done.stderr)


def test_a_destination_that_cannot_be_listed_is_3_and_all_of_them_1(saved: Shop) -> None:
    halfway = saved.backupkit("list", "--app", "shop_backups:halfway")
    assert halfway.returncode == 3
    assert "complete" in halfway.stdout
    assert "not-mounted" in halfway.stderr
    assert saved.backupkit("list", "--app", "shop_backups:nowhere").returncode == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "backups"),
        ("verify", *APP),
        ("restore", "backups", "--to", "restored"),
        ("restore", *APP, "--to", "restored"),
        ("list", "no-such-folder"),
    ],
)
def test_no_backups_is_10(shop: Shop, arguments: tuple[str, ...]) -> None:
    done = shop.backupkit(*arguments)
    assert (done.returncode, done.stdout) == (10, "")
    assert "rror: " in done.stderr
    assert "Traceback" not in done.stderr


def test_not_this_backup_is_10(saved: Shop) -> None:
    done = saved.backupkit("verify", "backups", "--backup", "1999")
    assert done.returncode == 10
    assert "'1999'" in done.stderr
    code, document = saved.document("verify", "backups", "--backup", "1999")
    assert (code, document["error"]["type"]) == (10, "BackupNotFoundError")
    assert document["operation"] == "verify"


def test_another_run_under_way_is_11(shop: Shop) -> None:
    os.mkfifo(shop.folder / "pipe")
    first = shop.start("run", "--app", "shop_backups:waiting")
    with (shop.folder / "pipe").open("wb") as pipe:  # opens when the first run reads its source
        second = shop.backupkit("run", "--app", "shop_backups:waiting")
        code, document = shop.document("run", "--app", "shop_backups:waiting")
        pipe.write(b"a dump")
    _, complaints = first.communicate()
    assert (first.returncode, complaints) == (0, b"")
    assert second.returncode == 11
    assert "Another run" in second.stderr
    assert (code, document["error"]["type"]) == (11, "BackupAlreadyRunningError")


def test_a_run_that_waits_gets_its_turn(shop: Shop) -> None:
    os.mkfifo(shop.folder / "pipe")
    first = shop.start("run", "--app", "shop_backups:waiting")
    with (shop.folder / "pipe").open("wb") as pipe:
        second = shop.start("run", "--app", "shop_backups:patient", "--wait", "60")
        assert second.stdout is not None
        # In steps, so that signals are heard.
        assert second.stdout.readline() == b"waiting up to 0.5 seconds\n"
        pipe.write(b"a dump")
    first.communicate()
    second.communicate()
    assert (first.returncode, second.returncode) == (0, 0)


def test_a_wrong_passphrase_is_12(saved: Shop) -> None:
    (saved.folder / "wrong.txt").write_text("not the one it was made with\n")
    for verb in (["verify"], ["restore", "--to", "restored"]):
        done = saved.backupkit(*verb, "backups", "--passphrase-file", "wrong.txt")
        assert done.returncode == 12
        assert "not the one it was made with" not in done.stdout + done.stderr
    code, document = saved.document("verify", "backups", "--passphrase-file", "wrong.txt")
    assert (code, document["error"]["type"]) == (12, "WrongPassphraseError")
    assert not (saved.folder / "restored").exists()


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("run",), "--app package.module:pipeline"),
        (("clean",), "--app package.module:pipeline"),
        (("list",), "URL or path, or --app"),
        (("list", "backups", *APP), "give one of them"),
        (("verify", *APP, "--passphrase-file", "passphrase.txt"), "go with a URL"),
        (("list", "nothing://bucket"), "no kind of destination"),
        (
            ("verify", "backups", "--passphrase-file", "passphrase.txt", "--passphrase-env", "X"),
            "give one --passphrase option",
        ),
        (("verify", "backups", "--passphrase-file", "no-such-file"), "no-such-file"),
        (("verify", "backups", "--passphrase-command", "false"), "command false"),
        (("verify", *APP, "--share", "8/7"), '"2/7" for the second of seven'),
        (("verify", "backups", "--passphrase-command", ""), "--passphrase-command"),
        (("verify", "backups", "--passphrase-command", "'"), "--passphrase-command"),
        (("run", "--app", "shop_backups"), "package.module:pipeline"),
        (("run", "--app", "./shop_backups.py:pipeline"), "package.module:pipeline"),
        (("run", "--app", "no_such_module:pipeline"), "'no_such_module'"),
        (("run", "--app", "shop_backups.deeper:pipeline"), "'shop_backups.deeper'"),
        (("run", "--app", "shop_backups:missing"), "'missing'"),
        (("run", "--app", "shop_backups:number"), "int, not a BackupPipeline"),
        (("run", *APP, "--only-db", "--only-files"), "exclude each other"),
        (("run", "--app", "shop_backups:files_only", "--only", "databases"), "databases"),
        (("run", *APP, "--to", "elsewhere"), "elsewhere"),
        (("demo", "--folder", "uploads"), "not an empty folder"),
    ],
)
def test_wrong_usage_is_2_and_one_sentence(unchanged: Shop, arguments: tuple[str, ...], hint: str) -> None:
    done = unchanged.backupkit(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert hint in done.stderr
    assert done.stderr.count("rror: ") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("no-such-verb",),
        ("restore", "backups"),
        ("run", *APP, "--only", "half"),
        ("run", *APP, "--wait", "-1"),
        ("verify", "backups", "--passphrase", "in-the-process-list"),
    ],
)
def test_options_that_do_not_exist_are_2(unchanged: Shop, arguments: tuple[str, ...]) -> None:
    done = unchanged.backupkit(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "in-the-process-list" not in done.stderr


def test_wrong_usage_is_told_in_json_too(unchanged: Shop) -> None:
    code, document = unchanged.document("list", "backups", *APP)
    assert code == 2
    assert document.keys() == {"error"}
    assert document["error"]["type"] == "ConfigurationError"


def test_a_fault_of_the_application_keeps_its_traceback(shop: Shop) -> None:
    done = shop.backupkit("run", "--app", "shop_backups:broken")
    assert (done.returncode, done.stdout) == (1, "")
    assert "ZeroDivisionError: a fault of the application" in done.stderr
    done = shop.backupkit("run", "--app", "shop_backups:broken_twice")
    assert (done.returncode, done.stdout) == (1, "")
    assert "ZeroDivisionError: not ours" in done.stderr
    (shop.folder / "importing.py").write_text("import a_module_that_is_missing\n")
    done = shop.backupkit("run", "--app", "importing:pipeline")
    assert "ModuleNotFoundError: No module named 'a_module_that_is_missing'" in done.stderr


def test_a_group_has_the_worst_code_of_its_members() -> None:
    wrong, damaged = WrongPassphraseError("wrong"), IntegrityError("damaged", where="here")
    assert exit_codes.of_error(ExceptionGroup("", [wrong, WrongPassphraseError("wrong")])) == 12
    assert exit_codes.of_error(ExceptionGroup("", [wrong, damaged])) == 1
    assert exit_codes.of_error(ExceptionGroup("", [OperationCancelledError(), wrong])) == 12
    nested = ExceptionGroup(
        "", [ExceptionGroup("", [BackupAlreadyRunningError()]), OperationCancelledError()]
    )
    assert exit_codes.of_error(nested) == 11


def test_a_group_with_a_fault_in_it_has_no_code() -> None:
    assert exit_codes.of_error(ExceptionGroup("", [BackupKitError("ours"), KeyError("a fault")])) is None
