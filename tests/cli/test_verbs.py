"""What each verb does and shows, as a real process."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.cli.shop import Shop

APP = ("--app", "shop_backups:pipeline")
URL = ("backups", "--passphrase-file", "passphrase.txt")
ID = r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{6}Z"
MINUTE = r"\d{4}-\d\d-\d\dT\d\d:\d\dZ"


def content(folder: Path) -> dict[bytes, bytes]:
    root = os.fsencode(folder)
    return {name: Path(os.fsdecode(os.path.join(root, name))).read_bytes() for name in os.listdir(root)}


def test_run_tells_what_was_stored_where(shop: Shop) -> None:
    done = shop.backupkit("run", *APP)
    assert done.returncode == 0
    assert done.stderr == ""
    first, second = done.stdout.splitlines()
    assert re.fullmatch(
        r"The run of shop succeeded in [\d.]+ s: 5 entries, [\d.]+ kB read, [\d.]+ kB stored\.", first
    )
    assert re.fullmatch(rf"  succeeded  {ID}  [\d.]+ kB  {shop.backups.as_uri()}", second)


def test_run_as_json_is_its_report(shop: Shop) -> None:
    code, report = shop.document("run", *APP, "--tag", "one", "--tag", "two")
    assert code == 0
    assert (report["operation"], report["outcome"], report["entries"]) == ("run", "succeeded", 5)
    assert isinstance(report["took"], float)
    backup = report["destinations"][0]["backup"]
    assert backup["contents"] == ["databases", "files"]
    assert backup["tags"] == ["one", "two"]
    assert backup["time"].endswith("+00:00")


@pytest.mark.parametrize(
    ("options", "contents"),
    [
        (["--only", "databases"], ["databases"]),
        (["--only-db"], ["databases"]),
        (["--only", "files"], ["files"]),
        (["--only-files"], ["files"]),
    ],
)
def test_run_can_leave_out_half(shop: Shop, options: list[str], contents: list[str]) -> None:
    _, report = shop.document("run", *APP, *options)
    assert report["destinations"][0]["backup"]["contents"] == contents


def test_run_writes_to_the_one_destination_that_is_named(shop: Shop) -> None:
    _, report = shop.document("run", "--app", "shop_backups:both", "--to", "more")
    assert [one["location"] for one in report["destinations"]] == [(shop.folder / "more").as_uri()]
    assert shop.stored() == []


def test_quiet_says_nothing_when_all_is_well(shop: Shop) -> None:
    done = shop.backupkit("run", *APP, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_quiet_still_tells_of_a_warning(shop: Shop) -> None:
    os.mkfifo(shop.folder / "uploads" / "queue")
    done = shop.backupkit("run", *APP, "--quiet")
    assert (done.returncode, done.stdout) == (0, "")
    assert "warning: " in done.stderr
    assert "queue" in done.stderr


def test_the_pipeline_may_be_made_by_a_function_and_named_by_the_environment(shop: Shop) -> None:
    done = shop.backupkit("run", BACKUPKIT_APP="shop_backups:factory")
    assert done.returncode == 0


@pytest.mark.parametrize("where", [APP, ("backups",), ("backups/shop",)])
def test_list_shows_the_backups(saved: Shop, where: tuple[str, ...]) -> None:
    done = saved.backupkit("list", *where)
    assert done.returncode == 0
    head, row = done.stdout.splitlines()
    assert head.split() == ["ID", "TIME", "CONTENTS", "STORED", "STATE", "VERIFIED", "PROVEN", "DESTINATION"]
    assert re.fullmatch(
        rf"{ID}  {MINUTE}  databases\+files  [\d.]+ kB +complete  never +never +file://\S+", row
    )


def test_list_names_the_pipelines_where_there_are_several(saved: Shop) -> None:
    (saved.folder / "other.py").write_text(
        "from shop_backups import made, uploads\nother = made([uploads], name='other')\n"
    )
    saved.backupkit("run", "--app", "other:other")
    head, *rows = saved.backupkit("list", "backups").stdout.splitlines()
    assert head.startswith("NAME ")
    assert [row.split()[0] for row in rows] == ["other", "shop"]


def test_list_with_details_reads_the_summaries(shop: Shop) -> None:
    shop.backupkit("run", *APP, "--tag", "before-upgrade")
    head, row = shop.backupkit("list", "backups", "--details").stdout.splitlines()
    assert {"ENTRIES", "SIZE", "HOST", "TAGS"} < set(head.split())
    assert "before-upgrade" in row
    _, plain = shop.document("list", "backups")
    _, detailed = shop.document("list", "backups", "--details")
    assert plain["backups"][0]["entries"] is None
    assert detailed["backups"][0]["entries"] == 5


def test_list_shows_incomplete_and_unconfirmed_backups_as_such(shop: Shop) -> None:
    shop.backupkit("run", "--app", "shop_backups:losing")
    assert "  incomplete  " in shop.backupkit("list", "backups").stdout
    next(shop.backups.rglob("*.json")).unlink()
    assert "  unconfirmed  " in shop.backupkit("list", "backups").stdout


def test_a_summary_that_cannot_be_read_is_a_problem_of_the_listing(saved: Shop) -> None:
    next(saved.backups.rglob("*.json")).write_text("{")
    done = saved.backupkit("list", "backups", "--details")
    assert done.returncode == 3
    assert re.search(ID, done.stdout)
    assert "error: The summary" in done.stderr


def test_list_of_a_new_pipeline_says_that_there_is_nothing(shop: Shop) -> None:
    done = shop.backupkit("list", *APP)
    assert (done.returncode, done.stdout) == (0, "There are no backups.\n")


def test_list_does_not_say_that_there_is_nothing_where_nobody_answered(saved: Shop) -> None:
    done = saved.backupkit("list", "--app", "shop_backups:nowhere")
    assert (done.returncode, done.stdout) == (1, "No backup was found.\n")
    assert "not-mounted does not exist" in done.stderr


@pytest.mark.parametrize("where", [APP, URL])
def test_verify_reads_everything_and_list_says_so(saved: Shop, where: tuple[str, ...]) -> None:
    done = saved.backupkit("verify", *where)
    assert done.returncode == 0
    assert "The verification of " in done.stdout
    assert re.search(r": 5 entries, [\d.]+ kB read and compared\.", done.stdout)
    assert re.search(rf"complete  {MINUTE}  never   file:", saved.backupkit("list", "backups").stdout)


def test_verify_can_be_told_which_half_is_wanted(saved: Shop) -> None:
    saved.backupkit("run", *APP, "--only-db")
    for half, contents in (("files", ["databases", "files"]), ("databases", ["databases"])):
        _, report = saved.document("verify", *APP, "--only", half)
        assert report["destinations"][0]["backup"]["contents"] == contents


@pytest.mark.parametrize("where", [APP, URL])
def test_restore_brings_the_files_back(saved: Shop, where: tuple[str, ...]) -> None:
    done = saved.backupkit("restore", *where, "--to", "restored")
    assert done.returncode == 0
    assert re.search(rf"  from {ID} at file://\S+/backups\n  to restored\n", done.stdout)
    assert content(saved.folder / "restored" / "uploads") == content(saved.folder / "uploads")
    assert (saved.folder / "restored" / "db-dumps" / "sqlite-shop.sqlite3").exists()


def test_restore_takes_the_beginning_of_an_id_and_patterns(saved: Shop) -> None:
    _, listing = saved.document("list", "backups")
    done = saved.backupkit(
        *("restore", *URL, "--backup", listing["backups"][0]["id"][:20], "--to", "restored"),
        *("--only", "files", "--include", "*.jpg", "--include", "*.txt", "--exclude", "note.*"),
    )
    assert done.returncode == 0
    odd = b"[red]line\n\xff.txt"
    assert content(saved.folder / "restored" / "uploads").keys() == {b"photo.jpg", odd}


def test_restore_replaces_only_when_told_to(saved: Shop) -> None:
    target = saved.folder / "restored" / "uploads" / "note.txt"
    target.parent.mkdir(parents=True)
    target.write_text("newer\n")
    refused = saved.backupkit("restore", *URL, "--to", "restored")
    assert (refused.returncode, target.read_text()) == (1, "newer\n")
    assert "note.txt" in refused.stderr
    assert os.listdir(target.parent) == ["note.txt"]
    assert saved.backupkit("restore", *URL, "--to", "restored", "--overwrite").returncode == 0
    assert target.read_text() == "a note\n"


def test_a_dry_restore_writes_nothing(saved: Shop) -> None:
    done = saved.backupkit("restore", *URL, "--to", "restored", "--dry-run")
    assert done.returncode == 0
    assert done.stdout.startswith("Nothing was written (dry run): 5 entries would be restored.\n")
    assert not (saved.folder / "restored").exists()


def test_a_dry_restore_tells_what_is_in_the_way(saved: Shop) -> None:
    (saved.folder / "uploads" / "note.txt").write_text("newer\n")
    done = saved.backupkit("restore", *URL, "--to", ".", "--dry-run")
    assert done.returncode == 1
    assert done.stderr.startswith("Nothing was written (dry run): this would fail.\n")
    assert "note.txt" in done.stderr


def test_a_resumed_restore_tells_how_much_was_finished(saved: Shop) -> None:
    first = saved.backupkit("restore", *URL, "--to", "restored", "--include", "note.txt")
    assert first.returncode == 0
    done = saved.backupkit("restore", *URL, "--to", "restored", "--resume", "--dry-run")
    assert done.stdout.startswith(
        "Nothing was written (dry run): 4 entries would be restored, 1 is finished.\n"
    )
    done = saved.backupkit("restore", *URL, "--to", "restored", "--resume")
    assert done.returncode == 0
    assert re.search(r": 4 entries, [\d.]+ kB written, 1 was finished already\.\n", done.stdout)


def test_restore_keeps_to_its_limits(saved: Shop) -> None:
    for limit in (["--max-size", "1kB"], ["--max-entries", "2"]):
        done = saved.backupkit("restore", *URL, "--to", "restored", *limit)
        assert done.returncode == 1
        assert "would go beyond its limit" in done.stderr
    assert not (saved.folder / "restored").exists()
    done = saved.backupkit("restore", *URL, "--to", "restored", "--max-size", "1G")
    assert done.returncode == 2
    assert "'1G' is not a size" in done.stderr


def test_restore_leaves_off_set_id_bits_unless_told_to(shop: Shop) -> None:
    (shop.folder / "uploads" / "note.txt").chmod(0o4755)
    shop.backupkit("run", *APP)
    restored = shop.folder / "restored" / "uploads" / "note.txt"
    done = shop.backupkit("restore", *URL, "--to", "restored")
    assert "set-id bit" in done.stdout
    assert restored.stat().st_mode & 0o7777 == 0o755
    shop.backupkit("restore", *URL, "--to", "restored", "--overwrite", "--setuid")
    assert restored.stat().st_mode & 0o7777 == 0o4755


def test_restore_makes_holes_of_zeros_when_told_to(shop: Shop) -> None:
    (shop.folder / "uploads" / "disk").write_bytes(bytes(1 << 20))
    shop.backupkit("run", *APP)
    shop.backupkit("restore", *URL, "--to", "restored", "--sparse")
    restored = (shop.folder / "restored" / "uploads" / "disk").stat()
    assert (restored.st_size, restored.st_blocks * 512 < 1 << 20) == (1 << 20, True)


def test_clean_removes_what_is_not_kept_and_says_why(saved: Shop) -> None:
    saved.backupkit("run", *APP)
    before = saved.stored()
    dry = saved.backupkit("clean", *APP, "--dry-run")
    assert dry.returncode == 0
    assert dry.stdout.startswith("Nothing was deleted (dry run): 1 would be kept, 1 removed, 1.8 kB freed.\n")
    assert saved.stored() == before
    real = saved.backupkit("clean", *APP)
    assert real.returncode == 0
    for text in (dry.stdout, real.stdout):
        assert re.search(rf"  keep    {ID} .* the newest good", text)
        assert re.search(rf"  remove  {ID} .* older than the newest good", text)
    assert len(saved.stored()) == len(before) // 2


def test_clean_shows_what_killed_runs_left(saved: Shop) -> None:
    left = saved.backups / "shop" / ".2020-01-01T00-00-00.000000Z.zip.0123456789abcdef.partial"
    left.write_bytes(bytes(5000))
    os.utime(left, (0, 0))
    assert re.search(
        rf"  delete  .*{left.name}.*  5 kB .* left unfinished, 1970-01-01T00:00Z",
        saved.backupkit("clean", *APP, "--dry-run").stdout,
    )
    assert left.exists()
    assert saved.backupkit("clean", *APP).returncode == 0
    assert not left.exists()


def test_clean_as_json_holds_the_plan(saved: Shop) -> None:
    code, report = saved.document("clean", *APP, "--dry-run")
    assert code == 0
    (kept,) = report["destinations"][0]["plan"]["keep"]
    assert kept["backup"]["name"] == "shop"
    assert kept["reasons"]


def test_monitor_tells_of_each_destination(saved: Shop) -> None:
    healthy = saved.backupkit("monitor", *APP)
    assert (healthy.returncode, healthy.stdout) == (0, f"healthy    shop at {saved.backups.as_uri()}\n")
    both = saved.backupkit("monitor", "--app", "shop_backups:both")
    assert (both.returncode, both.stdout) == (1, "")
    first, second, problem = both.stderr.splitlines()
    assert first.startswith("healthy ")
    assert second == f"unhealthy  shop at {(saved.folder / 'more').as_uri()}"
    assert problem.startswith("  error: ")


def test_monitor_as_json_is_its_report(shop: Shop) -> None:
    code, report = shop.document("monitor", *APP)
    assert (code, report["outcome"]) == (1, "failed")
    assert [problem["check"] for problem in report["problems"]] == ["MaximumAge"]


def test_names_are_shown_as_they_are_and_never_break_the_output(saved: Shop) -> None:
    done = saved.backupkit(
        *("restore", *URL, "--to", ".", "--include", "*red*"),
        LC_ALL="C",
        PYTHONCOERCECLOCALE="0",
        PYTHONUTF8="0",
    )
    assert done.returncode == 1
    assert r"[red]line\n\udcff.txt" in done.stderr
    assert all(line.startswith(("The ", "  ")) for line in done.stderr.splitlines())


def test_a_folder_with_an_odd_name_is_shown_on_one_line(saved: Shop) -> None:
    odd = os.fsdecode(b"[red]\x1b[2J\n\xff")
    done = saved.backupkit("restore", *URL, "--to", odd, LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == r"  to [red]\x1b[2J\n\udcff"
    assert (saved.folder / odd / "uploads" / "note.txt").exists()


def test_names_that_are_not_text_survive_json(saved: Shop) -> None:
    code, document = saved.document("restore", *URL, "--to", ".", "--include", "*red*")
    assert code == 1
    assert os.fsdecode(b"[red]line\n\xff.txt") in document["problems"][0]["path"]


def test_the_help_shows_the_order_of_things(unchanged: Shop) -> None:
    text = unchanged.backupkit("--help").stdout
    places = [
        text.index(f"backupkit {verb} ")
        for verb in ("run", "list", "verify", "restore", "drill", "clean", "retention", "monitor", "summary")
    ]
    assert places == sorted(places)


def test_the_version_is_told(unchanged: Shop) -> None:
    assert re.fullmatch(r"backupkit \d+\.\d+\.\d+\n", unchanged.backupkit("--version").stdout)


def test_restore_tells_that_a_newer_backup_may_be_where_nobody_answers(saved: Shop) -> None:
    done = saved.backupkit("restore", "--app", "shop_backups:halfway", "--only", "files", "--to", "restored")
    assert done.returncode == 0
    assert "A newer backup may be at a destination that did not answer" in done.stdout + done.stderr
    assert f"  from {saved.document('list', 'backups')[1]['backups'][0]['id']} at " in done.stdout
