"""A drill restores a backup to scratch places, asks about it, remembers what was found, and leaves nothing."""

from __future__ import annotations

import functools
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from backupkit import (
    Around,
    BackupNotFoundError,
    BackupPipeline,
    ConfigurationError,
    DestinationError,
    Directory,
    OperationCancelledError,
    RestoreError,
    SQLite,
    open_repository,
)
from backupkit._questioning import objection
from backupkit._scratch import ScratchDatabase
from backupkit.databases.urls import DatabaseURL, parse_database_url
from backupkit.events import BytesRead, Event, Finished, Started
from backupkit.model import Backup, Restored
from backupkit.sources.sqlite import Form
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination
from backupkit.testing.trees import Folder, tree
from tests.pipeline.shop import Clock, Make, Scripted, messages, names, small_disk


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    with closing(sqlite3.connect(tmp_path / "shop.sqlite3")) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, fruit TEXT)")
        connection.executemany("INSERT INTO orders (fruit) VALUES (?)", [("apple",), ("pear",)])
        connection.commit()
    return tmp_path / "shop.sqlite3"


@pytest.fixture
def pipeline(
    make: Make, tmp_path: Path, database: Path, destination: MemoryDestination, clock: Clock
) -> BackupPipeline:
    app = tree(tmp_path / "app", {"note.txt": "a note", "locked": Folder({"in": "x"}, mode=0o500)})
    pipeline = make([Directory(app), SQLite(database)], destination, clock=clock)
    pipeline.run()
    clock.forward(hours=1)
    return pipeline


def orders(restored: Restored) -> int:
    path = restored.databases["shop"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM orders").fetchone()
    return int(count)


def marks(destination: MemoryDestination) -> list[str]:
    return [name.rpartition("-")[2] for name in destination.objects if name.startswith("backupkit/")]


def test_a_drill_restores_everything_asks_about_it_and_leaves_nothing(
    pipeline: BackupPipeline, scratch: Path, clock: Clock
) -> None:
    seen: list[Restored] = []

    def is_all_there(restored: Restored) -> None:
        seen.append(restored)
        assert (restored.folder / "app" / "note.txt").read_text() == "a note"
        assert orders(restored) == 2
        assert scratch in restored.folder.parents
        (inside,) = scratch.iterdir()
        assert stat.S_IMODE(inside.stat().st_mode) == 0o700
        clock.forward(hours=1)

    report = pipeline.drill(scratch=scratch, assertions=[is_all_there])
    assert (report.operation, report.outcome, report.problems) == ("drill", "succeeded", ())
    assert [replace(one.backup, proven=clock.now) for one in seen] == [report.destinations[0].backup]
    assert (report.restore_took, report.took) == (timedelta(0), timedelta(hours=1))
    assert report.entries == 5
    assert list(scratch.iterdir()) == []


def test_a_drill_that_succeeded_proves_the_backup_wherever_that_is_listed(
    pipeline: BackupPipeline, scratch: Path, destination: MemoryDestination, clock: Clock
) -> None:
    assert pipeline.get().proven is None
    pipeline.drill(scratch=scratch)
    proven = clock.now
    backup = open_repository(destination).get()
    assert (backup.proven, backup.refuted, backup.verified, backup.good) == (proven, False, None, True)
    clock.forward(hours=1)
    pipeline.drill(scratch=scratch)
    assert pipeline.get().proven == proven + timedelta(hours=1)


async def an_async_one(_: Restored) -> None:
    raise AssertionError("is never asked")


def a_generator(_: Restored) -> Iterator[None]:
    yield
    raise AssertionError("is never asked")


async def an_async_generator(_: Restored) -> AsyncIterator[None]:
    yield
    raise AssertionError("is never asked")


class AsyncCall:
    async def __call__(self, _: Restored) -> None:
        raise AssertionError("is never asked")


def returns_false(_: Restored) -> bool:
    return False


def raises(_: Restored) -> None:
    raise ValueError("no orders since 2026-01-01")


def asserts(restored: Restored) -> None:
    assert orders(restored) == 3, f"{orders(restored)} orders instead of 3"


class NumpyFalse:
    """`numpy.False_` is false and is not False."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "np.False_"


def returns_an_array_s_false(_: Restored) -> object:
    return NumpyFalse()


def returns_nothing_found(_: Restored) -> object:
    return []


def returns_a_generator(restored: Restored) -> object:
    return (row for row in [orders(restored) == 3])


def returns_a_coroutine(restored: Restored) -> object:
    return an_async_one(restored)


def says_nothing(restored: Restored) -> None:
    if not list(restored.folder.glob("gone")):
        raise AssertionError


@pytest.mark.parametrize(
    ("assertion", "message"),
    [
        (returns_false, "The assertion returns_false failed: it returned False"),
        (returns_an_array_s_false, "The assertion returns_an_array_s_false failed: it returned np.False_"),
        (returns_nothing_found, "The assertion returns_nothing_found failed: it returned []"),
        (
            returns_a_generator,
            "The assertion returns_a_generator failed: it returned a generator, of which nothing has run",
        ),
        (
            returns_a_coroutine,
            "The assertion returns_a_coroutine failed: it returned a coroutine, of which nothing has run",
        ),
        (raises, "The assertion raises failed: ValueError: no orders since 2026-01-01"),
        (asserts, "The assertion asserts failed: 2 orders instead of 3"),
        (says_nothing, "The assertion says_nothing failed: AssertionError at "),
    ],
)
def test_an_assertion_that_fails_fails_the_drill_and_is_remembered(
    pipeline: BackupPipeline,
    scratch: Path,
    clock: Clock,
    assertion: Callable[[Restored], object],
    message: str,
) -> None:
    pipeline.drill(scratch=scratch)
    clock.forward(hours=1)
    report = pipeline.drill(scratch=scratch, assertions=[assertion])
    assert report.outcome == "failed"
    (problem,) = report.problems
    assert problem.message.startswith(message)
    assert problem.check == assertion.__name__
    assert report.destinations[0].outcome == "failed"
    backup = pipeline.get()
    assert report.destinations[0].backup == backup, "what was recorded is reported"
    assert (backup.proven, backup.refuted, backup.damaged) == (None, True, False)
    assert backup.good, "an assertion may be wrong: that is no damage"
    assert list(scratch.iterdir()) == []
    clock.forward(hours=1)
    pipeline.drill(scratch=scratch)
    assert (pipeline.get().proven, pipeline.get().refuted) == (clock.now, False), "the newest drill counts"


def test_every_assertion_is_asked_even_if_one_failed(pipeline: BackupPipeline, scratch: Path) -> None:
    asked: list[str] = []

    def fine(_: Restored) -> None:
        asked.append("fine")

    report = pipeline.drill(scratch=scratch, assertions=[raises, fine, returns_false])
    assert asked == ["fine"]
    assert [problem.check for problem in report.problems] == ["raises", "returns_false"]


def test_what_an_assertion_says_is_told_without_the_passwords_of_urls(
    pipeline: BackupPipeline, scratch: Path
) -> None:
    def leaks(_: Restored) -> None:
        raise RuntimeError("cannot connect to postgresql://app:hunter2@server/shop")

    (problem,) = pipeline.drill(scratch=scratch, assertions=[leaks]).problems
    assert "hunter2" not in problem.message


@pytest.mark.parametrize(
    "written",
    ["a b/c+d@e", "a%20b%2Fc%2Bd%40e", "a%20b/c%2Bd%40e", "a+b%2Fc%2Bd%40e", "a b%2Fc+d%40e"],
)
def test_a_password_is_not_told_however_it_is_written(tmp_path: Path, written: str) -> None:
    def leaks(_: Restored) -> None:
        raise RuntimeError(f"cannot connect with {written}!")

    restored = Restored(folder=tmp_path, databases={}, backup=Backup.__new__(Backup))
    problem = objection(leaks, restored, ["a b/c+d@e"])
    assert problem is not None
    assert problem.message == "The assertion leaks failed: RuntimeError: cannot connect with ***!"


def test_what_was_restored_is_never_shown_with_its_urls(pipeline: BackupPipeline, scratch: Path) -> None:
    shown: list[str] = []
    pipeline.drill(scratch=scratch, assertions=[lambda restored: shown.append(repr(restored))])
    assert "sqlite" not in shown[0].partition("backup=")[0]


def test_a_damaged_byte_marks_the_backup_as_verifying_it_would(
    pipeline: BackupPipeline, scratch: Path, destination: MemoryDestination
) -> None:
    pipeline.drill(scratch=scratch)
    name = f"shop/{pipeline.get().id}.zip"
    archive = destination.objects[name]
    position = archive.index(b"note.txt") + 40
    destination.objects[name] = (
        archive[:position] + bytes([archive[position] ^ 0x20]) + archive[position + 1 :]
    )
    asked: list[Restored] = []
    report = pipeline.drill(pipeline.get(), scratch=scratch, assertions=[asked.append])
    assert (report.outcome, asked) == ("failed", [])
    backup = pipeline.list().backups[0]
    assert report.destinations[0].backup == backup
    assert (backup.damaged, backup.proven, backup.good) == (True, None, False)
    assert list(scratch.iterdir()) == []


def test_an_archive_that_was_cut_is_damaged(
    pipeline: BackupPipeline, scratch: Path, destination: MemoryDestination
) -> None:
    backup = pipeline.get()
    name = f"shop/{backup.id}.zip"
    destination.objects[name] = destination.objects[name][:-100]
    assert pipeline.drill(backup, scratch=scratch).outcome == "failed"
    assert pipeline.list().backups[0].damaged


def test_damage_that_was_seen_is_remembered_even_if_the_drill_then_breaks_off(
    make: Make, tmp_path: Path, scratch: Path
) -> None:
    memory = MemoryDestination()
    make(Scripted("app", {"app/a": os.urandom(100_000), "app/b": os.urandom(5 << 20)}), memory).run()
    (name,) = [name for name in memory.objects if name.endswith(".zip")]
    archive = memory.objects[name]
    memory.objects[name] = archive[:50_000] + bytes([archive[50_000] ^ 1]) + archive[50_001:]
    cancel = threading.Event()

    def stop_late(event: Event) -> None:
        if isinstance(event, BytesRead) and event.count > 200_000:
            cancel.set()

    pipeline = make(Scripted("app", {}), memory, observers=[stop_late])
    with pytest.raises(OperationCancelledError):
        pipeline.drill(scratch=scratch, cancel=cancel)
    assert pipeline.list().backups[0].damaged


def test_a_drill_of_the_files_alone_does_not_prove_a_backup_that_holds_more(
    pipeline: BackupPipeline, scratch: Path, destination: MemoryDestination
) -> None:
    report = pipeline.drill(scratch=scratch, only="files", assertions=[_has_no_databases])
    assert report.outcome == "succeeded"
    (problem,) = report.problems
    assert (problem.severity, "does not count as proven: only its files" in problem.message) == (
        "warning",
        True,
    )
    assert marks(destination) == []
    pipeline.run(only="files")
    assert pipeline.drill(scratch=scratch, only="files").problems == ()
    assert marks(destination) == ["proven"]


def _has_no_databases(restored: Restored) -> bool:
    return restored.databases == {} and (restored.folder / "app" / "note.txt").exists()


def test_a_backup_of_databases_alone_gives_assertions_an_empty_place_for_files(
    pipeline: BackupPipeline, scratch: Path, destination: MemoryDestination
) -> None:
    pipeline.run(only="databases")
    report = pipeline.drill(only="databases", scratch=scratch, assertions=[lambda r: r.folder.is_dir()])
    assert (report.outcome, report.problems, marks(destination)) == ("succeeded", (), ["proven"])


def test_a_dump_whose_server_nobody_knows_stays_a_file_with_a_warning_that_says_how(
    make: Make, scratch: Path, destination: MemoryDestination
) -> None:
    dump = Scripted("shop.sql", {"db-dumps/mysql-shop.sql.gz": b"SELECT 1;"}, contents="databases")
    pipeline = make(dump, destination)
    pipeline.run()

    def is_a_file(restored: Restored) -> bool:
        dump = restored.folder / "db-dumps" / "mysql-shop.sql.gz"
        return dump.read_bytes() == b"SELECT 1;" and restored.databases == {}

    report = pipeline.drill(scratch=scratch, assertions=[is_a_file])
    assert report.outcome == "succeeded"
    problem, unproven = report.problems
    assert (problem.severity, unproven.severity) == ("warning", "warning")
    assert "db-dumps/mysql-shop.sql.gz is rehearsed as a file only" in problem.message
    assert "databases={'shop': '<engine>://<host>/'}" in problem.message
    assert "does not count as proven: no database was made of db-dumps/mysql-shop.sql.gz" in unproven.message
    assert marks(destination) == [], "whether it could be restored is not known"


def test_roles_which_stay_files_keep_no_backup_from_being_proven(
    make: Make, scratch: Path, destination: MemoryDestination
) -> None:
    roles = Scripted("roles", {"db-dumps/postgresql-main.roles.sql": b"CREATE ROLE a;"}, contents="databases")
    pipeline = make(roles, destination)
    pipeline.run()
    assert pipeline.drill(scratch=scratch).problems == ()
    assert marks(destination) == ["proven"]


def test_no_database_can_be_named_for_roles(
    make: Make, scratch: Path, tmp_path: Path, destination: MemoryDestination
) -> None:
    roles = Scripted("roles", {"db-dumps/postgresql-main.roles.sql": b"CREATE ROLE a;"}, contents="databases")
    pipeline = make(roles, destination)
    pipeline.run()
    named: dict[str, str | DatabaseURL] = {"postgresql-main.roles.sql": "postgresql://nobody.invalid/x"}
    with pytest.raises(RestoreError, match=r"holds the roles of a server, and no database can be made of it"):
        pipeline.drill(scratch=scratch, databases=named)
    with pytest.raises(RestoreError, match=r"holds the roles of a server, and no database can be made of it"):
        pipeline.restore(to=tmp_path / "out", databases=dict(named))
    assert (list(scratch.iterdir()), (tmp_path / "out").exists(), marks(destination)) == ([], False, [])


def test_a_part_of_an_archive_that_does_not_say_what_it_holds_does_not_prove_it(
    make: Make, scratch: Path, destination: MemoryDestination
) -> None:
    source = Scripted("app", {"app/a": b"a", "db-dumps/shop.ldif": b"dn: a"})
    pipeline = make(source, destination)
    pipeline.run()
    backup = replace(pipeline.get(), contents=frozenset())  # as of an archive of another program
    problem = pipeline.drill(backup, scratch=scratch, only="files").problems[-1]
    assert "does not count as proven: only its files were rehearsed" in problem.message
    assert marks(destination) == []


def test_hooks_around_a_source_hide_nothing_of_what_it_dumps(database: Path) -> None:
    @contextmanager
    def hook() -> Iterator[None]:
        yield

    inner = SQLite(database)
    around = Around(Around(inner, hook), hook)
    assert around.database_of("db-dumps/sqlite-shop.sqlite3") == inner.database_of(
        "db-dumps/sqlite-shop.sqlite3"
    )
    assert around.database_of("db-dumps/other.sql") is None
    assert Around(Directory(database.parent), hook).database_of("db-dumps/other.sql") is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"databases": {"shop": "ftp://server/"}}, "not the URL of a database"),
        ({"databases": ["postgresql://server/"]}, "databases= is a mapping"),
        ({"assertions": raises}, "assertions= is a list"),
        ({"assertions": ["shop:check"]}, "assertions= is a list"),
        ({"assertions": [raises, an_async_one]}, "an_async_one is async or yields"),
        ({"assertions": [functools.partial(an_async_one)]}, "is async or yields"),
        ({"assertions": [a_generator]}, "a_generator is async or yields"),
        ({"assertions": [an_async_generator]}, "an_async_generator is async or yields"),
        ({"assertions": [AsyncCall()]}, "AsyncCall is async or yields"),
        (
            {"databases": {"a": "mysql://h/x", "b": "mysql://u@h:3306/x"}},
            "'a' and 'b' would both be restored to mysql://u@h:3306/x",
        ),
    ],
)
def test_what_is_wrong_with_the_options_is_said_before_anything_is_done(
    pipeline: BackupPipeline, scratch: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        pipeline.drill(scratch=scratch, **options)  # type: ignore[arg-type]
    assert list(scratch.iterdir()) == []


def test_a_name_that_means_no_dump_is_refused(
    pipeline: BackupPipeline, scratch: Path, destination: MemoryDestination
) -> None:
    with pytest.raises(RestoreError, match="There is no dump 'shopp'"):
        pipeline.drill(scratch=scratch, databases={"shopp": "postgresql://server/"})
    assert (list(scratch.iterdir()), marks(destination)) == ([], [])


def test_a_dump_is_not_restored_to_another_engine(
    pipeline: BackupPipeline, scratch: Path, destination: MemoryDestination
) -> None:
    with pytest.raises(RestoreError, match=r"is a dump of sqlite, and .* is a database of mysql"):
        pipeline.drill(scratch=scratch, databases={"shop": "mysql://server/"})
    assert (list(scratch.iterdir()), marks(destination)) == ([], [])


def test_the_original_is_refused_as_a_place_to_drill(
    pipeline: BackupPipeline, scratch: Path, database: Path, destination: MemoryDestination
) -> None:
    before = database.read_bytes()
    with pytest.raises(ConfigurationError, match="would be restored over sqlite:///"):
        pipeline.drill(scratch=scratch, databases={"shop": f"sqlite:///{database}"})
    assert database.read_bytes() == before
    assert (list(scratch.iterdir()), marks(destination)) == ([], [])


def test_a_database_that_exists_is_refused_as_a_place_to_drill(
    pipeline: BackupPipeline, scratch: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.sqlite3"
    other.write_bytes(b"")
    with pytest.raises(RestoreError, match="exists already, and a drill drops what it used"):
        pipeline.drill(scratch=scratch, databases={"shop": f"sqlite:///{other}"})
    assert other.exists()


def test_a_database_that_comes_into_being_meanwhile_is_not_dropped(tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite3"
    place = ScratchDatabase(parse_database_url(f"sqlite:///{other}"), None, made_up=False)
    place.check("db-dumps/sqlite-shop.sql")
    other.write_bytes(b"")
    with (
        pytest.raises(RestoreError, match=r"there is no scratch database for .*File exists"),
        place.made("db-dumps/sqlite-shop.sql", keep=False, tell=lambda _: None, used=lambda: True),
    ):
        raise AssertionError("it was taken over")
    assert other.exists()


def test_a_backup_that_is_not_there_cannot_be_drilled(make: Make, destination: MemoryDestination) -> None:
    with pytest.raises(BackupNotFoundError):
        make(Scripted("app", {"app/a": b"a"}), destination).drill()


def test_a_scratch_folder_that_cannot_be_made_is_told(
    pipeline: BackupPipeline, tmp_path: Path, destination: MemoryDestination
) -> None:
    with pytest.raises(RestoreError, match=r"no scratch folder can be made in .*/missing' \(No such file"):
        pipeline.drill(scratch=tmp_path / "missing")
    assert marks(destination) == []


def test_a_disk_that_is_too_small_proves_nothing(
    make: Make, tmp_path: Path, destination: MemoryDestination
) -> None:
    pipeline = make(Scripted("app", {"app/a": os.urandom(3 << 20)}), destination)
    pipeline.run()
    with small_disk(tmp_path / "small", "size=1m") as small:
        with pytest.raises(RestoreError, match=r"The drill could not begin: .* are free"):
            pipeline.drill(scratch=small)
        assert names(small) == []
    assert marks(destination) == []


@pytest.mark.parametrize("form", ["sql", "pages"])
def test_a_disk_that_is_too_small_for_a_database_says_nothing_about_the_backup(
    make: Make, tmp_path: Path, destination: MemoryDestination, form: Form
) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.sqlite3")) as connection:
        connection.execute("CREATE TABLE t (text)")
        connection.executemany("INSERT INTO t VALUES (?)", [("x" * 1000,)] * 5000)
        connection.commit()
    pipeline = make(SQLite(tmp_path / "shop.sqlite3", form=form), destination)
    pipeline.run()
    with small_disk(tmp_path / "small", "size=2m") as small:
        with pytest.raises(RestoreError, match=r"disk is full|No space left|are free"):
            pipeline.drill(scratch=small)
        assert names(small) == []
    assert marks(destination) == []


def test_a_destination_that_fails_proves_nothing(make: Make, scratch: Path) -> None:
    memory = MemoryDestination()
    make(Scripted("app", {"app/a": os.urandom(3 << 20)}), memory).run()
    cut = DestinationError("The cable was cut.", location="memory:memory")
    faulty = FaultyDestination(memory, [Fault(method="read", does=cut, call=None, after=2 << 20)])
    with pytest.raises(DestinationError, match="The cable was cut"):
        make(Scripted("app", {}), faulty).drill(scratch=scratch)
    assert (marks(memory), list(scratch.iterdir())) == ([], [])


def test_a_drill_is_believed_even_where_it_cannot_be_recorded(
    make: Make, pipeline: BackupPipeline, destination: MemoryDestination, scratch: Path
) -> None:
    refuses = DestinationError("It is read-only.", location="memory:memory")
    faulty = FaultyDestination(destination, [Fault(method="write", does=refuses, call=None)])
    report = make(pipeline.sources, faulty).drill(scratch=scratch)
    assert report.outcome == "succeeded"
    assert messages(report.problems, "warning") == [
        f"That the backup {pipeline.get().id} is proven could not be recorded: It is read-only."
    ]


def test_keep_leaves_everything_and_says_where(pipeline: BackupPipeline, scratch: Path) -> None:
    report = pipeline.drill(scratch=scratch, keep=True)
    assert report.outcome == "succeeded"
    (kept,) = scratch.iterdir()
    assert (kept / "restored" / "app" / "note.txt").read_text() == "a note"
    (problem,) = report.problems
    assert (problem.severity, str(kept) in problem.message) == ("warning", True)
    os.utime(kept, (0, 0))
    pipeline.drill(scratch=scratch)
    assert list(scratch.iterdir()) == [kept], "nor does a later drill remove it"


def test_cancelling_ends_a_drill_leaves_nothing_and_proves_nothing(
    pipeline: BackupPipeline, scratch: Path, destination: MemoryDestination
) -> None:
    cancel = threading.Event()
    asked: list[Restored] = []
    with pytest.raises(OperationCancelledError) as caught:
        pipeline.drill(scratch=scratch, assertions=[lambda _: cancel.set(), asked.append], cancel=cancel)
    assert caught.value.report is not None
    assert (caught.value.report.operation, asked) == ("drill", [])
    assert (list(scratch.iterdir()), marks(destination)) == ([], [])


def test_an_interrupt_in_an_assertion_leaves_nothing_and_proves_nothing(
    pipeline: BackupPipeline, scratch: Path, destination: MemoryDestination
) -> None:
    def interrupted(_: Restored) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipeline.drill(scratch=scratch, assertions=[interrupted])
    assert (list(scratch.iterdir()), marks(destination)) == ([], [])


def test_observers_hear_a_drill_as_any_operation(
    make: Make, pipeline: BackupPipeline, destination: MemoryDestination, scratch: Path
) -> None:
    events: list[Event] = []
    report = make(pipeline.sources, destination, observers=[events.append]).drill(
        scratch=scratch, assertions=[returns_false]
    )
    assert events[0] == Started("drill", "shop")
    assert events[-1] == Finished(report)
    assert any(isinstance(event, BytesRead) for event in events)


KILLED = """
import os, signal, sys
from backupkit import BackupPipeline, Directory
app, backups, scratch = sys.argv[1:]
pipeline = BackupPipeline("shop", Directory(app), [backups], encryptor=None)
pipeline.run()
pipeline.drill(scratch=scratch, assertions=[lambda _: os.kill(os.getpid(), signal.SIGKILL)])
"""


def killed_drill(tmp_path: Path, scratch: Path) -> BackupPipeline:
    """Leave what a drill that was killed leaves."""
    tree(tmp_path / "app2", {"note.txt": "a note"})
    (tmp_path / "backups").mkdir()
    command: Sequence[str | Path] = [
        sys.executable,
        "-c",
        KILLED,
        tmp_path / "app2",
        tmp_path / "backups",
        scratch,
    ]
    assert subprocess.run(command, check=False).returncode == -9
    return BackupPipeline("shop", Directory(tmp_path / "app2"), [tmp_path / "backups"], encryptor=None)


def test_what_a_killed_drill_left_is_removed_by_the_next_once_it_is_not_new(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = killed_drill(tmp_path, scratch)
    (left,) = scratch.iterdir()
    pipeline.drill(scratch=scratch)
    assert list(scratch.iterdir()) == [left], "it may not have been locked yet"
    later = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: later)
    pipeline.drill(scratch=scratch)
    assert list(scratch.iterdir()) == []
    assert pipeline.get().proven is not None


def test_the_folder_of_a_drill_that_goes_on_is_left_alone_however_old(
    pipeline: BackupPipeline, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = time.time() + 100_000

    def another_drill(restored: Restored) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(time, "time", lambda: later)
            assert pipeline.drill(scratch=scratch).outcome == "succeeded"
        assert (restored.folder / "app" / "note.txt").exists()

    assert pipeline.drill(scratch=scratch, assertions=[another_drill]).problems == ()


def test_a_link_that_is_named_like_a_scratch_folder_is_not_followed(
    pipeline: BackupPipeline, scratch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    precious = tree(tmp_path / "precious", {"file": "x"})
    (scratch / "backupkit-drill-link").symlink_to(precious)
    later = time.time() + 100_000
    monkeypatch.setattr(time, "time", lambda: later)
    assert pipeline.drill(scratch=scratch).outcome == "succeeded"
    assert (precious / "file").exists()


def test_a_page_by_page_copy_needs_no_counts_to_be_compared(pipeline: BackupPipeline, scratch: Path) -> None:
    assert pipeline.drill(scratch=scratch, compare_rows=True).problems == ()


def test_a_page_by_page_copy_that_sqlite_calls_malformed_refutes_the_backup(
    make: Make, database: Path, scratch: Path, destination: MemoryDestination
) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(
            "CREATE INDEX by_fruit ON orders (fruit); PRAGMA writable_schema=ON; "
            "UPDATE sqlite_master SET rootpage=2 WHERE name='by_fruit';"
        )
    pages = database.read_bytes()
    pipeline = make(
        Scripted("shop", {"db-dumps/sqlite-shop.sqlite3": pages}, contents="databases"), destination
    )
    pipeline.run()
    asked: list[Restored] = []
    report = pipeline.drill(scratch=scratch, assertions=[asked.append])
    (problem,) = report.problems
    assert (report.outcome, marks(destination), asked) == ("failed", ["refuted"], [])
    assert (
        "db-dumps/sqlite-shop.sqlite3 is no database: what the dump makes is not a whole" in problem.message
    )
