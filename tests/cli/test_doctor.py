"""`backupkit doctor`, as a real process."""

from __future__ import annotations

import re

import pytest

from tests.cli.shop import Shop

WRAPPED = """
from backupkit import BackupPipeline, Directory, MachineLock, ReadOnly, Throttled

def made(*destinations):
    return BackupPipeline("shop", Directory("uploads"), destinations, encryptor=None, lock=MachineLock("locks"))

from backupkit import LocalDestination
slow = made(Throttled(LocalDestination("backups"), "20MB"), LocalDestination("more"))
kept = made(LocalDestination("backups"), ReadOnly(LocalDestination("more")))
"""


def test_a_folder_that_holds_is_0_and_stays_empty(shop: Shop) -> None:
    done = shop.backupkit("doctor", "backups")
    assert (done.returncode, done.stderr) == (0, "")
    first, *lines = done.stdout.splitlines()
    assert re.fullmatch(r"file://.*/backups, examined in [\d.]+ s", first)
    assert lines[0].split()[:2] == ["ok", "reached"]
    assert "  These credentials: may list, may read, may write, may overwrite, may delete." in lines
    assert lines[-1] == "  Nothing is wrong."
    assert shop.stored() == []


def test_something_that_does_not_hold_is_1_with_what_to_do(shop: Shop) -> None:
    done = shop.backupkit("doctor", "not-mounted")
    assert (done.returncode, done.stdout) == (1, "")
    assert "not ok  reached" in done.stderr
    assert "mount it or create it" in done.stderr
    assert "1 of 1 do not hold." in done.stderr


def test_each_destination_of_a_pipeline_is_examined_with_its_wrappers(shop: Shop) -> None:
    (shop.folder / "wrapped.py").write_text(WRAPPED)
    code, document = shop.document("doctor", "--app", "wrapped:slow")
    assert (code, document["holds"]) == (0, True)
    locations = [one["location"].rpartition("/")[2] for one in document["destinations"]]
    assert locations == ["backups", "more"]
    assert document["destinations"][0]["upload"] < 60e6
    code, document = shop.document("doctor", "--app", "wrapped:kept")
    assert (code, document["holds"]) == (1, False)
    verdicts = [
        {each["step"]: each["verdict"] for each in one["findings"]}["written"]
        for one in document["destinations"]
    ]
    assert verdicts == ["ok", "not ok"]
    assert document["destinations"][1]["rights"]["write"] is False
    code, document = shop.document("doctor", "--app", "wrapped:slow", "--at", "more")
    assert [one["location"] for one in document["destinations"]] == [(shop.folder / "more").as_uri()]


def test_the_sources_and_the_passphrase_of_a_pipeline_are_examined_too(shop: Shop) -> None:
    code, document = shop.document("doctor", "--app", "shop_backups:pipeline")
    assert (code, document["holds"]) == (0, True)
    assert [one["name"] for one in document["sources"]] == ["uploads", "sqlite-shop.sqlite3"]
    assert [one["step"] for one in document["passphrase"]] == ["read", "strong"]
    assert {each["verdict"] for one in document["sources"] for each in one["findings"]} == {"ok"}


def test_a_source_that_does_not_hold_is_1_with_what_to_do(shop: Shop) -> None:
    (shop.folder / "shop.sqlite3").write_text("no database" * 100)
    (shop.folder / "passphrase.txt").write_text("kitten")
    done = shop.backupkit("doctor", "--app", "shop_backups:pipeline")
    assert (done.returncode, done.stdout) == (1, "")
    first, second, third, fourth = done.stderr.split("\n\n")
    assert first.startswith("source uploads, examined in ")
    assert "Nothing is wrong." in first
    assert "not ok  database  " in second
    assert "1 of 1 do not hold." in second
    assert "warning  strong" in third
    assert "Nothing is wrong." in third
    assert "Nothing is wrong." in fourth


def test_one_destination_is_examined_without_the_sources(shop: Shop) -> None:
    (shop.folder / "shop.sqlite3").unlink()
    code, document = shop.document("doctor", "--app", "shop_backups:both", "--at", "more")
    assert (code, document["sources"], len(document["destinations"])) == (0, [], 1)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("doctor",), "URL or path, or --app"),
        (("doctor", "backups", "--app", "shop_backups:pipeline"), "the URL alone"),
        (
            ("doctor", "--app", "shop_backups:pipeline", "--at", "elsewhere"),
            "There is no destination file:",
        ),
        (("doctor", "nothing://bucket"), "no kind of destination"),
        (("doctor", "ftp://192.0.2.1/shop"), "allow_plaintext"),
    ],
)
def test_wrong_usage_is_2_and_one_sentence(unchanged: Shop, arguments: tuple[str, ...], hint: str) -> None:
    done = unchanged.backupkit(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert hint in done.stderr
    assert done.stderr.count("rror: ") == 1
    assert "Traceback" not in done.stderr


# As on a machine without the extra: what is installed for the tests is not found.
MISSING = """
import importlib.util
import sys

def without(name, find=importlib.util.find_spec):
    return None if name == "s3fs" else find(name)

importlib.util.find_spec = without
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ("doctor", "s3://bucket/shop"),
        ("list", "s3://bucket/shop"),
        ("restore", "s3://bucket/shop", "--to", "restored"),
        ("run", "--app", "in_a_bucket:pipeline"),
    ],
)
def test_an_extra_that_is_missing_is_2_and_one_sentence_everywhere(
    shop: Shop, arguments: tuple[str, ...]
) -> None:
    (shop.folder / "sitecustomize.py").write_text(MISSING)
    (shop.folder / "in_a_bucket.py").write_text(
        "from backupkit import BackupPipeline, Directory\n"
        'pipeline = BackupPipeline("shop", Directory("uploads"), "s3://bucket/shop", encryptor=None)\n'
    )
    done = shop.backupkit(*arguments, PYTHONPATH=str(shop.folder))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "Error: s3:// needs s3fs: pip install 'backupkit[s3]'\n"


def test_it_is_one_document_too(shop: Shop) -> None:
    (shop.folder / "sitecustomize.py").write_text(MISSING)
    code, document = shop.document_with({"PYTHONPATH": str(shop.folder)}, "doctor", "s3://bucket/shop")
    assert (code, document["error"]["type"]) == (2, "ModuleNotFoundError")
