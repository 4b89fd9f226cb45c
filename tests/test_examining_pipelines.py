"""What an examination finds of sources and passphrases on this machine, and that it changes nothing."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest

from backupkit import (
    Around,
    Command,
    Directory,
    FsspecSource,
    MongoDB,
    OperationCancelledError,
    Parallel,
    Passphrase,
    PostgreSQL,
    SQLite,
    examine_pipeline,
)
from backupkit.databases.postgresql_rights import PostgreSQLServer, is_too_old
from backupkit.model import Entry, Finding, Problem, Verdict
from backupkit.protocols import Examines, Source
from backupkit.sources import _looking, sqlite
from backupkit.sources._examining import some
from backupkit.testing.trees import File, Folder, tree
from tests.pipeline.conftest import make as make  # the fixture
from tests.pipeline.shop import Make, Scripted
from tests.sources.test_files_permissions import folder as folder  # the fixture
from tests.sources.walking import without_privileges


def verdicts(findings: Iterator[Finding] | tuple[Finding, ...]) -> list[tuple[Verdict, str]]:
    return [(one.verdict, one.step) for one in findings]


def made_database(path: Path) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
        connection.commit()
    return path


# Folders


def test_a_folder_that_is_there_and_can_be_read_holds(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {"a": "1", "b": Folder({"c": "2"})})
    findings = [*Directory(root).examine()]
    assert verdicts(iter(findings)) == [("ok", "there"), ("ok", "readable")]
    assert "all 4 entries" in findings[1].message


def test_a_folder_that_is_missing_says_what_to_do(tmp_path: Path) -> None:
    (finding,) = Directory(tmp_path / "gone").examine()
    assert (finding.verdict, finding.step) == ("not ok", "there")
    assert "mount it, create it" in finding.message


def test_what_this_user_may_not_read_is_counted_and_named_unless_it_is_excluded(folder: Path) -> None:
    root = tree(
        folder / "shop", {"a": "", "key": File(b"x", mode=0), "private": Folder({"x": ""}, mode=0), "z": ""}
    )
    with without_privileges():
        _, unreadable = Directory(root).examine()
        without = [*Directory(root, exclude=["key", "private/"]).examine()]
    assert (unreadable.verdict, unreadable.step) == ("not ok", "readable")
    assert f"may not read 2: {root}/key, shop/private." in unreadable.message
    assert verdicts(iter(without)) == [("ok", "there"), ("ok", "readable")]


def test_only_the_beginning_of_a_large_folder_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_looking, "_MOST", 3)
    _, readable = Directory(tree(tmp_path / "shop", dict.fromkeys("abcdef", ""))).examine()
    assert "the first 3 entries" in readable.message


def test_a_destination_in_a_source_is_told_to_be_left_out(tmp_path: Path, make: Make) -> None:
    (tmp_path / "shop/backups/shop").mkdir(parents=True)
    pipeline = make(Directory(tmp_path / "shop"), tmp_path / "shop/backups")
    (source,) = examine_pipeline(pipeline).sources
    (finding,) = [one for one in source.findings if one.step == "destination"]
    assert finding.verdict == "ok"
    assert f"'{tmp_path}/shop/backups', which lies in it" in finding.message


def test_a_source_that_is_the_folder_of_its_own_backups_does_not_hold(tmp_path: Path, make: Make) -> None:
    (tmp_path / "shop").mkdir()
    examination = examine_pipeline(make(Directory(tmp_path / "shop"), tmp_path))
    assert not examination.holds
    assert examination.sources[0].findings[0].step == "destination"


# Files that are databases


class Full:
    free = 10


@pytest.mark.parametrize("form", ["pages", "sql"])
def test_an_sqlite_database_holds_and_stays_as_it_is(tmp_path: Path, form: sqlite.Form) -> None:
    path = made_database(tmp_path / "shop.sqlite3")
    before = path.read_bytes()
    findings = verdicts(SQLite(path, form=form).examine())
    assert findings == [("ok", "database"), ("ok", "scratch copy")][: 2 if form == "pages" else 1]
    assert (path.read_bytes(), [*tmp_path.iterdir()]) == (before, [path])


@pytest.mark.parametrize(
    ("content", "hint"), [(None, "cannot be found"), (b"text" * 200, "is not an SQLite")]
)
def test_what_is_no_sqlite_database_is_told(tmp_path: Path, content: bytes | None, hint: str) -> None:
    if content:
        (tmp_path / "shop.sqlite3").write_bytes(content)
    (finding,) = SQLite(tmp_path / "shop.sqlite3").examine()
    assert finding.verdict == "not ok"
    assert hint in finding.message


def test_a_database_that_is_locked_just_now_is_no_fault(tmp_path: Path) -> None:
    path = made_database(tmp_path / "shop.sqlite3")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        finding, _ = SQLite(path).examine()
    assert finding.verdict == "ok"
    assert "locked just now" in finding.message


def test_a_scratch_folder_without_room_or_that_is_missing_does_not_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made_database(tmp_path / "shop.sqlite3")
    _, missing = SQLite(path, scratch=tmp_path / "gone").examine()
    monkeypatch.setattr("shutil.disk_usage", lambda folder: Full())
    _, full = SQLite(path).examine()
    assert [missing.verdict, full.verdict] == ["not ok", "not ok"]
    assert "has 10 B left" in full.message


# Programs


def test_a_command_whose_program_is_found_is_not_started(tmp_path: Path) -> None:
    (finding,) = Command(["touch", str(tmp_path / "started")], name="x").examine()
    assert (finding.verdict, [*tmp_path.iterdir()]) == ("ok", [])


@pytest.mark.parametrize(
    ("argv", "cwd", "verdict"),
    [
        (["no-such-program-here"], None, "not ok"),
        (["./made"], "", "ok"),
        (["./made"], "below", "not ok"),
        (["true"], "gone", "not ok"),
    ],
)
def test_a_program_is_looked_for_where_it_would_be_started(
    tmp_path: Path, argv: list[str], cwd: str | None, verdict: Verdict
) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "made").write_text("#!/bin/sh\n")
    (tmp_path / "made").chmod(0o755)
    (finding,) = Command(argv, name="x", cwd=None if cwd is None else tmp_path / cwd).examine()
    assert finding.verdict == verdict


def test_the_path_of_the_commands_own_environment_counts(tmp_path: Path) -> None:
    (finding,) = Command(["true"], name="x", env={"PATH": str(tmp_path)}).examine()
    assert finding.verdict == "not ok"


def test_programs_that_are_not_installed_say_which_package_has_them(tmp_path: Path) -> None:
    findings = [*PostgreSQL("postgresql://127.0.0.1:1/shop", form="custom", tools=tmp_path).examine()]
    assert verdicts(iter(findings)) == [("not ok", "program"), ("not ok", "psql"), ("not ok", "pg_restore")]
    assert all("Debian: postgresql-client" in one.message for one in findings)


def test_what_only_a_restore_needs_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "mongodump").write_text("#!/bin/sh\necho mongodump version: 100.9.4\n")
    (tmp_path / "mongodump").chmod(0o755)
    source = MongoDB("mongodb://admin:se-cret@127.0.0.1:1/?serverSelectionTimeoutMS=50", tools=tmp_path)
    findings = [*source.examine()]
    assert verdicts(iter(findings)) == [("ok", "program"), ("warning", "restored by"), ("not ok", "server")]
    assert "100.9.4" in findings[0].message
    assert "se-cret" not in str(findings)


@pytest.mark.parametrize(
    ("tool", "number", "refused"),
    [
        ("pg_dump (PostgreSQL) 15.4 (Debian)", 150018, False),
        ("pg_dump (PostgreSQL) 15.4", 160000, True),
        ("pg_dump (PostgreSQL) 17beta1", 160000, False),
        ("pg_dump (PostgreSQL) 9.6.1", 90524, False),
        ("pg_dump (PostgreSQL) 9.5.1", 90600, True),
        ("something else", 160000, False),
    ],
)
def test_pg_dump_refuses_servers_of_newer_releases_only(tool: str, number: int, refused: bool) -> None:
    assert is_too_old(tool, PostgreSQLServer(number, "", "", False)) is refused


# Stores


def test_a_store_is_listed_and_not_read(tmp_path: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe("/examined/media/a", b"x")
    assert verdicts(FsspecSource("memory://examined/media").examine()) == [("ok", "listed")]
    nothing = FsspecSource("memory://examined/nothing")
    assert verdicts(nothing.examine())[-1][0] == "not ok"
    assert verdicts(FsspecSource("memory://examined/nothing", allow_empty=True).examine()) == [
        ("ok", "listed")
    ]


# What stands around sources


def test_hooks_are_not_called_and_what_is_inside_is_examined(tmp_path: Path) -> None:
    def stopped() -> AbstractContextManager[None]:
        raise AssertionError("called")

    findings = [*Around(Directory(tmp_path, name="shop"), stopped).examine()]
    assert verdicts(iter(findings)) == [("ok", "there"), ("ok", "readable"), ("not known", "hooks")]
    assert "stopped" in findings[-1].message


def test_each_of_parallel_dumps_is_examined_under_its_name(tmp_path: Path) -> None:
    good = made_database(tmp_path / "good.sqlite3")
    both = Parallel(SQLite(good, form="sql"), SQLite(tmp_path / "bad.sqlite3"))
    assert verdicts(both.examine()) == [
        ("ok", "sqlite-good.sql: database"),
        ("not ok", "sqlite-bad.sqlite3: database"),
    ]


@pytest.mark.parametrize("wrap", [lambda source: source, Around])
def test_a_source_that_cannot_be_examined_is_not_known(make: Make, wrap: Callable[[Source], Source]) -> None:
    source = wrap(Scripted("mine", {"a": b"x"}))
    examination = examine_pipeline(make(source, "memory://x"))
    assert examination.holds
    assert verdicts(examination.sources[0].findings) == [("not known", "examined")]


class Failing:
    name = "mine"
    contents = "files"

    def entries(self) -> Iterator[Entry | Problem]:
        yield from ()

    def examine(self) -> Iterator[Finding]:
        yield Finding(step="first", verdict="ok", message="It is.")
        raise RuntimeError("https://user:hunter2@example.org")


def test_an_examination_that_fails_is_not_known_and_the_next_source_follows(
    make: Make, tmp_path: Path
) -> None:
    assert isinstance(Failing(), Examines)
    examination = examine_pipeline(make([Failing(), Directory(tmp_path, name="t")], "memory://x"))
    assert verdicts(examination.sources[0].findings) == [("ok", "first"), ("not known", "examined")]
    assert "hunter2" not in str(examination)
    assert [one.name for one in examination.sources] == ["mine", "t"]


def test_it_tells_which_source_it_is_at_and_can_be_cancelled(make: Make, tmp_path: Path) -> None:
    cancel = threading.Event()
    told: list[str] = []

    def tell(name: str) -> None:
        told.append(name)
        cancel.set()

    pipeline = make([Directory(tmp_path, name="a"), Directory(tmp_path, name="b")], "memory://x")
    with pytest.raises(OperationCancelledError):
        examine_pipeline(pipeline, tell=tell, cancel=cancel)
    assert told == ["a"]


# The passphrase

STRONG = "correct-horse-battery-staple-anew"


def examined(make: Make, tmp_path: Path, passphrase: Passphrase | None) -> list[tuple[Verdict, str]]:
    examination = examine_pipeline(make(Directory(tmp_path, name="t"), "memory://x", encryptor=passphrase))
    assert STRONG not in str(examination)
    return verdicts(examination.passphrase)


def test_a_passphrase_is_read_and_its_strength_told(make: Make, tmp_path: Path) -> None:
    assert examined(make, tmp_path, None) == []
    assert examined(make, tmp_path, Passphrase(STRONG)) == [("ok", "read"), ("ok", "strong")]
    assert examined(make, tmp_path, Passphrase("kitten")) == [("ok", "read"), ("warning", "strong")]


def test_a_passphrase_that_cannot_be_read_does_not_hold(make: Make, tmp_path: Path) -> None:
    missing = Passphrase.from_file(tmp_path / "gone")
    assert examined(make, tmp_path, missing) == [("not ok", "read")]
    previous = Passphrase(STRONG, previous=[missing])
    assert examined(make, tmp_path, previous) == [("ok", "read"), ("ok", "strong"), ("not ok", "previous 1")]


def test_how_strong_earlier_passphrases_are_is_not_told(make: Make, tmp_path: Path) -> None:
    previous = Passphrase(STRONG, previous=["kitten"])
    assert examined(make, tmp_path, previous) == [("ok", "read"), ("ok", "strong"), ("ok", "previous 1")]


def test_five_names_are_told_and_further_ones_counted() -> None:
    assert some([*"abcde"]) == "a, b, c, d, e"
    assert some([*"abcdefg"]) == "a, b, c, d, e and 2 more"


def test_a_finding_that_does_not_hold_makes_the_whole_not_hold(make: Make, tmp_path: Path) -> None:
    gone = make(Directory(tmp_path / "gone"), "memory://x")
    assert not examine_pipeline(gone).holds
    weak = make(Directory(tmp_path, name="t"), "memory://x", encryptor=Passphrase("kitten"))
    assert examine_pipeline(weak).holds
    unread = make(Directory(tmp_path, name="t"), "memory://x", encryptor=Passphrase.from_env("NOT_SET_HERE"))
    assert not examine_pipeline(unread).holds
