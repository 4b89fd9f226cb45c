"""Defects that users of older backup tools have met: each is a rule here that forbids it.

Most of these rules are proved in detail beside the part they concern. This file keeps them together, through the
front door, so that none comes back by way of a change that looks unrelated.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backupkit import (
    BackupAlreadyRunningError,
    BackupPipeline,
    Command,
    ConfigurationError,
    DestinationError,
    Directory,
    IntegrityError,
    KeepLast,
    MachineLock,
    Passphrase,
    Retry,
    SourceError,
    SQLite,
    TieredRetention,
    open_repository,
)
from backupkit.events import Event
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination
from backupkit.testing.trees import Symlink, same_tree, tree
from tests.pipeline.shop import Clock, NoLock, Scripted, content, down, messages, names, stored, write_fault

FILES = Scripted("app", {"app/a": b"a"})


def pipeline(
    sources: object, destinations: object, *, clock: Clock | None = None, **options: object
) -> BackupPipeline:
    """One that waits for nothing."""
    return BackupPipeline(
        "shop",
        sources,  # type: ignore[arg-type]
        destinations,  # type: ignore[arg-type]
        encryptor=None,
        retry=Retry(wait=0),
        **({"lock": NoLock()} | ({"clock": clock} if clock else {}) | options),  # type: ignore[arg-type]
    )


# Files


@pytest.mark.parametrize("pattern", ["public/storage", "/public/storage", "storage", "<root>/public/storage"])
def test_excluding_a_link_never_excludes_what_it_points_to(tmp_path: Path, pattern: str) -> None:
    """Where patterns are resolved to real paths, the target vanishes from the backup."""
    app = tree(
        tmp_path / "app",
        {"data": {"public": {"a.jpg": "a"}}, "public": {"storage": Symlink("../data/public")}},
    )
    exclude = [pattern.replace("<root>", str(app))]
    for follow in (False, True):
        one = pipeline(Directory(app, exclude=exclude, follow_symlinks=follow), MemoryDestination())
        one.run()
        paths = [entry.path for entry in one.entries()]
        assert "app/data/public/a.jpg" in paths
        assert "app/public/storage" not in paths


def test_names_with_newlines_and_blanks_at_their_edges_are_kept(tmp_path: Path) -> None:
    """Where the list of files is a text with a name per line, such names vanish without a word."""
    odd = {
        name: name for name in ("new\nline", "\n", " leading", "trailing ", "\ttab\t", " ", "\r", "\u2028")
    }
    app = tree(tmp_path / "app", odd)
    one = pipeline(Directory(app), MemoryDestination())
    assert one.run().problems == ()
    one.restore(to=tmp_path / "restored")
    assert same_tree(app, tmp_path / "restored/app") == []


def test_a_cycle_of_links_ends(tmp_path: Path) -> None:
    """Where links are followed without a guard, the walk never ends, and two of them explode."""
    app = tree(
        tmp_path / "app",
        {"a": {"up": Symlink(".."), "b": Symlink("../b")}, "b": {"a": Symlink("../a"), "file": "f"}},
    )
    one = pipeline(Directory(app, follow_symlinks=True), MemoryDestination())
    assert one.run().outcome == "succeeded"
    assert {"app/a/b/file", "app/b/file"} <= {entry.path for entry in one.entries()}
    assert len([*one.entries()]) < 20


def test_excludes_hold_for_single_files_too(tmp_path: Path) -> None:
    """Where files that are named one by one pass by the excludes, a secret is backed up all the same."""
    app = tree(tmp_path / "app", {".env": "SECRET=1", "index.html": ""})
    sources = [
        Directory(app / ".env", name="env", exclude=[".env"]),
        Directory(app, exclude=[".env"], include=["*", ".env"]),
    ]
    one = pipeline(sources, MemoryDestination())
    report = one.run()
    assert [entry.path for entry in one.entries()] == ["app", "app/index.html"]
    assert "is left out by the patterns of its own source" in messages(report.problems)[0]


# Databases


@pytest.mark.parametrize("form", ["pages", "sql"])
@pytest.mark.parametrize("found", ["nothing", "an empty file", "a text"])
def test_a_missing_database_is_never_a_backup(tmp_path: Path, form: str, found: str) -> None:
    """Where a client makes the file it does not find, its empty dump is a success."""
    path, destination = tmp_path / "shop.sqlite3", MemoryDestination()
    if found != "nothing":
        path.write_text("" if found == "an empty file" else "not a database " * 100)
    before = names(tmp_path)
    with pytest.raises(SourceError, match="The SQLite database"):
        pipeline(SQLite(path, form=form), destination).run()  # type: ignore[arg-type]  # one of the two
    assert destination.objects == {}
    assert names(tmp_path) == before, "and nothing was made in its place"


def test_a_missing_database_beside_files_makes_the_run_incomplete(tmp_path: Path) -> None:
    one = pipeline([FILES, SQLite(tmp_path / "missing.sqlite3")], MemoryDestination())
    report = one.run()
    assert report.outcome == "incomplete"
    assert not one.list().backups[0].good


@pytest.mark.parametrize(
    "dump", [["false"], ["true"], ["sh", "-c", "echo half; kill -9 $$"], ["no-such-program"]], ids=repr
)
def test_a_dump_that_fails_in_any_way_is_lost_and_told(dump: list[str]) -> None:
    one = pipeline([FILES, Command(dump, name="shop.sql")], MemoryDestination())
    report = one.run()
    assert report.outcome == "incomplete"
    assert [problem.path for problem in report.problems] == ["db-dumps/shop.sql"]
    assert content(one, one.list().backups[0]) == {"app/a": b"a"}


def test_two_databases_of_one_name_never_overwrite_each_other(tmp_path: Path) -> None:
    """Where dumps are named after the database alone, the second replaces the first."""
    databases = [tmp_path / folder / "app.sqlite3" for folder in ("one", "two")]
    for number, path in enumerate(databases):
        path.parent.mkdir()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"CREATE TABLE number_{number} (id)")
    with pytest.raises(ConfigurationError, match="give one of them another name="):
        pipeline([SQLite(path) for path in databases], MemoryDestination())
    named = [SQLite(path, name=path.parent.name) for path in databases]
    one = pipeline(named, MemoryDestination())
    one.run()
    assert sorted(content(one)) == ["db-dumps/sqlite-one.sqlite3", "db-dumps/sqlite-two.sqlite3"]


@pytest.mark.parametrize(
    "secret", ["it's", 'a "b"', "back\\slash", "$(id)", "`id`", "a;b", "ends with \\", "ü"]
)
def test_a_secret_reaches_its_program_unchanged_and_off_the_command_line(secret: str) -> None:
    """Where secrets are pasted into a shell line or an option file, quotes break them and `ps` shows them."""
    program = "import os; print(os.environ['PGPASSWORD'], open('/proc/self/cmdline').read(), sep='|', end='')"
    if not os.path.exists("/proc/self/cmdline"):
        program = "import os, sys; print(os.environ['PGPASSWORD'], sys.argv, sep='|', end='')"
    argv = [sys.executable, "-X", "utf8", "-c", program]
    one = pipeline(Command(argv, name="dump", env={"PGPASSWORD": secret}), MemoryDestination())
    one.run()
    received, _, command_line = content(one)["db-dumps/dump"].decode().partition("|")
    assert received == secret
    assert secret not in command_line.replace(program, "")


@pytest.mark.parametrize(
    "misspelt",
    [
        lambda: Command(["true"], name="a", timeout=60),  # type: ignore[call-arg]
        lambda: SQLite("a.db", exclude_tables=["sessions"]),  # type: ignore[call-arg]
        lambda: Directory("/srv", excludes=["*.log"]),  # type: ignore[call-arg]
        lambda: TieredRetention(keep_daily=30),  # type: ignore[call-arg]
        lambda: Retry(attempts=3),  # type: ignore[call-arg]
    ],
)
def test_an_option_that_is_not_known_is_refused(misspelt: Callable[[], object]) -> None:
    """Where unknown options are ignored, a slip of the pen loses what they were to do."""
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        misspelt()


# Runs


def test_an_observer_that_is_down_never_fails_a_backup_nor_repeats_it() -> None:
    """Where the news of a success is part of the upload, a mail server that is down makes it a failure."""

    def mail_server_is_down(event: Event) -> None:
        raise ConnectionError("the mail server is down")

    destination = FaultyDestination(MemoryDestination())
    source = Scripted("app", {"app/a": b"a"})
    report = pipeline(source, destination, observers=[mail_server_is_down]).run()
    assert report.outcome == "succeeded"
    assert "failed and was told no more: ConnectionError" in messages(report.problems, "warning")[0]
    assert (source.walks, destination.calls["write"]) == (1, 2)


def test_a_run_that_failed_at_some_destinations_is_not_a_success() -> None:
    """Where only a failure everywhere counts, a disk can be broken for months."""
    bad = FaultyDestination(MemoryDestination("bad"), [write_fault(down(retryable=False))])
    report = pipeline(FILES, [MemoryDestination(), bad]).run()
    assert report.outcome == "incomplete"
    assert [one.outcome for one in report.destinations] == ["succeeded", "failed"]


def test_another_try_repeats_nothing_that_is_finished() -> None:
    """Where a retry is the whole run again, each destination that was well gets a second copy."""
    source = Scripted("app", {"app/a": b"a", "app/b": b"b"})
    well = FaultyDestination(MemoryDestination("well"))
    late = FaultyDestination(MemoryDestination("late"), [write_fault(down(retryable=True))])
    one = pipeline(source, [well, late])
    assert one.run().outcome == "succeeded"
    assert source.reads == ["app/a", "app/b"]
    assert well.calls["write"] == 2, "the archive and its summary"
    assert [backup.location for backup in one.list().backups] == ["memory:well", "memory:late"]


def test_verifying_reads_every_byte_of_the_contents() -> None:
    """Where it is enough that the archive opens, a rotten disk goes unnoticed."""
    destination = MemoryDestination()
    large = os.urandom(100_000)
    one = pipeline(Scripted("app", {"app/large": large}), destination)
    one.run()
    name = f"shop/{one.get().id}.zip"
    archive = bytearray(destination.objects[name])
    archive[archive.index(large) + 50_000] ^= 1
    destination.objects[name] = bytes(archive)
    with pytest.raises(IntegrityError, match="app/large is damaged"):
        one.verify()


def test_a_lock_does_not_end_before_its_run(tmp_path: Path) -> None:
    """Where a lock expires after an hour, the second run of a long night joins the first."""
    locks = tmp_path / "locks"
    reading, go = threading.Event(), threading.Event()
    first = pipeline(
        Scripted("app", {"app/a": [[reading.set, go.wait, b"a"]]}),
        stored(tmp_path / "backups"),
        lock=MachineLock(locks),
    )
    thread = threading.Thread(target=first.run)
    thread.start()
    try:
        assert reading.wait(60)
        for lock in locks.iterdir():
            os.utime(lock, (1, 1))  # as if the run had begun half a century ago
        second = pipeline(FILES, tmp_path / "backups", lock=MachineLock(locks))
        with pytest.raises(BackupAlreadyRunningError):
            second.run()
        other = pipeline(FILES, stored(tmp_path / "elsewhere"), lock=MachineLock(locks))
        assert other.run().outcome == "succeeded", "another configuration is another lock"
    finally:
        go.set()
        thread.join()


# Dates and cleaning


def test_the_time_of_a_backup_is_in_its_name_and_nowhere_else(tmp_path: Path) -> None:
    """Where the time of the file counts, a copied or touched archive is as old as its copy."""
    clock = Clock(datetime(2026, 1, 31, 23, 59, 59, 999999, tzinfo=UTC))
    place = stored(tmp_path / "backups")
    one = pipeline(FILES, place, clock=clock)
    one.run(tags=["before the move", "weekly"])
    for path in place.folder.rglob("*.*"):
        os.utime(path, (1, 1))
    (backup,) = one.list().backups
    assert backup.time == clock.now
    assert one.details(backup).tags == ("before the move", "weekly"), "what others put into the name"


def cleaned(times: list[datetime], now: datetime, policy: TieredRetention) -> list[datetime]:
    """The times of the backups that stay, oldest first."""
    clock = Clock()
    one = pipeline(FILES, MemoryDestination(), clock=clock, retention=policy)
    for clock.now in times:
        one.run()
    clock.now = now
    one.clean()
    return [backup.time for backup in reversed(one.list().backups)]


def day(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


WEEKS_ONLY = TieredRetention(
    keep_all_days=0, keep_daily_days=0, keep_weekly_weeks=60, keep_monthly_months=0, keep_yearly_years=0
)


def test_a_week_at_new_year_is_one_week() -> None:
    """Where the key is the calendar year and the ISO week, that week is two, or is taken for another."""
    newest = day("2021-02-01T12:00")
    week_53 = [day(f"2020-12-{one}T12:00") for one in (28, 29, 30, 31)]
    week_53 += [day(f"2021-01-0{one}T12:00") for one in (1, 2, 3)]
    assert cleaned([*week_53, newest], newest, WEEKS_ONLY) == [week_53[-1], newest]
    # 30 December 2024 is in week 1 of 2025, and has nothing to do with the first week of January 2024.
    first, last = day("2024-01-03T12:00"), day("2024-12-30T12:00")
    newest = day("2025-01-20T12:00")
    assert cleaned([first, last, newest], newest, WEEKS_ONLY) == [first, last, newest]


def test_a_backup_on_a_boundary_never_costs_another_tier_its_own() -> None:
    """Where it belongs to both tiers, it is deleted in one and was the choice of the other."""
    policy = TieredRetention(
        keep_all_days=1, keep_daily_days=1, keep_weekly_weeks=4, keep_monthly_months=0, keep_yearly_years=0
    )
    now = day("2026-11-20T12:00")
    on_the_boundary, later_that_day = day("2026-11-18T12:00"), day("2026-11-18T18:00")
    of_the_week = day("2026-11-17T12:00")
    kept = cleaned([of_the_week, on_the_boundary, later_that_day, now], now, policy)
    assert kept == [of_the_week, later_that_day, now]


def test_a_destination_that_never_deletes_is_given_up_after_one_try_each() -> None:
    """Where the size limit is a loop over what is left, it never ends on an immutable bucket."""
    clock, inner = Clock(), MemoryDestination()
    locked = FaultyDestination(
        inner, [Fault(method="delete", does=DestinationError("locked", location="memory:memory"), call=None)]
    )
    one = pipeline(FILES, locked, clock=clock, retention=TieredRetention(max_size=1))
    for _ in range(5):
        clock.forward(hours=1)
        one.run()
    assert one.clean().outcome == "incomplete"
    assert locked.calls["delete"] == 4
    assert len(one.list().backups) == 5


def test_a_destination_that_fails_never_keeps_the_others_from_being_cleaned() -> None:
    """Where the first failure ends the command, the disks after it fill up."""
    clock, well = Clock(), MemoryDestination("well")
    dead = FaultyDestination(
        MemoryDestination("dead"), [Fault(method="list", does=down(retryable=True), call=None)]
    )
    one = pipeline(FILES, [dead, well], clock=clock, retention=KeepLast(1))
    for _ in range(3):
        clock.forward(hours=1)
        one.run(to="memory:well")
    assert one.clean().outcome == "incomplete"
    assert [backup.location for backup in one.list().backups] == ["memory:well"]


def test_one_pipelines_settings_are_never_taken_from_another(tmp_path: Path) -> None:
    """Where a second configuration falls back to the first, it encrypts and cleans with the wrong settings."""
    clock, place = Clock(), stored(tmp_path / "backups")
    lock = MachineLock(tmp_path / "locks")
    two = [
        BackupPipeline(
            name,
            FILES,
            place,
            encryptor=Passphrase(f"the long passphrase of {name}"),
            retention=KeepLast(count),
            clock=clock,
            lock=lock,
        )
        for name, count in (("shop", 1), ("blog", 3))
    ]
    for _ in range(3):
        clock.forward(hours=1)
        for one in two:
            one.run()
    for one in two:
        one.clean()
    assert [len(one.list().backups) for one in two] == [1, 3]
    for name in ("shop", "blog"):
        own = open_repository(place, f"the long passphrase of {name}", name=name)
        assert own.verify().outcome == "succeeded"


def test_what_one_operation_is_told_holds_for_that_one_alone() -> None:
    """Where a switch is set for the process, every later run of a long-lived worker has it too."""
    cancel = threading.Event()
    cancel.set()
    events: list[Event] = []
    one = pipeline(
        [FILES, Scripted("d", {"db-dumps/a": b"d"}, "databases")],
        MemoryDestination(),
        observers=[events.append],
    )
    one.run(only="files", tags=["once"])
    with pytest.raises(Exception, match="cancelled"):
        one.run(cancel=cancel)
    before = len(events)
    one.run()
    backup = one.details(one.get())
    assert backup.contents == {"files", "databases"}
    assert backup.tags == ()
    assert len(events) > before


def test_a_day_in_another_zone_is_that_zones_day() -> None:
    """Where some times are UTC and others local, two days of the wall clock become one."""
    policy = TieredRetention(keep_all_days=0, keep_daily_days=30, time_zone="Asia/Seoul")
    newest = day("2026-11-20T12:00")
    one_day_there = [day("2026-11-10T15:00"), day("2026-11-11T14:59")]
    assert cleaned([*one_day_there, newest], newest + timedelta(hours=1), policy) == [
        one_day_there[1],
        newest,
    ]
