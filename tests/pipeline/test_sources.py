"""What happens when sources fail: in passing, for good, one, all, and the hooks around them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backupkit import (
    Around,
    Command,
    Directory,
    Entry,
    HookError,
    Problem,
    Retry,
    SourceError,
    SQLite,
)
from backupkit.events import EntryStarted, Event, ProblemFound, Started, Waiting
from backupkit.testing.destinations import MemoryDestination
from backupkit.testing.trees import tree
from tests.pipeline.shop import Make, MiB, Scripted, content, flaky, messages

LARGE = bytes(range(256)) * (3 * MiB // 256)


def gone(path: str) -> SourceError:
    return SourceError(f"{path} cannot be read.", path=path)


@pytest.mark.parametrize("start", [b"", b"begun", LARGE], ids=["at once", "early", "after 3 MiB"])
def test_a_dump_that_breaks_off_in_passing_is_made_again_and_nothing_else(make: Make, start: bytes) -> None:
    source = Scripted(
        "dumps", {"db-dumps/a": b"a", "db-dumps/b": [[start, flaky()], [LARGE, b"whole"]], "db-dumps/c": b"c"}
    )
    destination = MemoryDestination()
    pipeline = make(source, destination)
    report = pipeline.run()
    assert (report.outcome, report.problems) == ("succeeded", ())
    assert source.reads == ["db-dumps/a", "db-dumps/b", "db-dumps/b", "db-dumps/c"]
    assert source.walks == 1
    assert content(pipeline) == {"db-dumps/a": b"a", "db-dumps/b": LARGE + b"whole", "db-dumps/c": b"c"}
    assert pipeline.verify().outcome == "succeeded"


def test_a_command_that_fails_the_first_time_succeeds_the_second(make: Make, tmp_path: Path) -> None:
    script = tmp_path / "dump.py"
    script.write_text(
        "import pathlib, sys\n"
        "print('half a dump', flush=True)\n"
        "if not (mark := pathlib.Path(sys.argv[1])).exists(): mark.touch(); sys.exit('connection lost')\n"
        "print('and the rest')\n"
    )
    command = Command([sys.executable, str(script), str(tmp_path / "mark")], name="shop.sql")
    pipeline = make(command, MemoryDestination())
    assert pipeline.run().outcome == "succeeded"
    assert content(pipeline) == {"db-dumps/shop.sql": b"half a dump\nand the rest\n"}


def test_waits_are_told_and_as_long_as_was_said(make: Make) -> None:
    events: list[Event] = []
    source = Scripted("dumps", {"db-dumps/a": [[flaky("one")], [flaky("two")], [b"a"]]})
    make(source, MemoryDestination(), observers=[events.append], retry=Retry(tries=3, wait=0.001)).run()
    assert [event for event in events if isinstance(event, Waiting)] == [
        Waiting(0.001, "The dump one broke off."),
        Waiting(0.001, "The dump two broke off."),
    ]


@pytest.mark.parametrize("tries", [1, 2, 4])
def test_a_source_is_read_as_often_as_was_said_and_no_more(make: Make, tries: int) -> None:
    source = Scripted("dumps", {"db-dumps/a": [[b"half", flaky()]], "db-dumps/b": b"b"})
    pipeline = make(source, MemoryDestination(), retry=Retry(tries=tries, wait=0))
    report = pipeline.run()
    assert report.outcome == "incomplete"
    assert source.reads.count("db-dumps/a") == tries
    assert content(pipeline, pipeline.list().backups[0]) == {"db-dumps/b": b"b"}


def test_what_failed_for_good_is_read_once(make: Make) -> None:
    source = Scripted("uploads", {"uploads/a": [[b"half", gone("uploads/a")]], "uploads/b": b"b"})
    report = make(source, MemoryDestination()).run()
    assert report.outcome == "incomplete"
    assert source.reads == ["uploads/a", "uploads/b"]


@pytest.mark.parametrize(
    "start", [b"half", LARGE], ids=["before its first byte left", "after its first bytes left"]
)
def test_a_lost_entry_is_named_and_all_others_are_kept(make: Make, start: bytes) -> None:
    source = Scripted("uploads", {"uploads/a": b"a", "uploads/b": [[start, gone("b")]], "uploads/c": b"c"})
    pipeline = make(source, MemoryDestination())
    report = pipeline.run()
    assert report.outcome == "incomplete"
    assert [(one.message, one.path, one.severity) for one in report.problems] == [
        ("b cannot be read.", "uploads/b", "error")
    ]
    (result,) = report.destinations
    assert result.outcome == "incomplete"
    (backup,) = pipeline.list().backups
    assert (backup.complete, backup.good) == (False, False)
    assert content(pipeline, backup) == {"uploads/a": b"a", "uploads/c": b"c"}
    assert pipeline.verify(backup).outcome == "succeeded"


def test_a_source_that_fails_loses_its_rest_and_no_other_source(make: Make) -> None:
    failing = Scripted("uploads", {"uploads/a": b"a", "": gone("uploads"), "uploads/b": b"b"})
    other = Scripted("dumps", {"db-dumps/a": b"dump"}, "databases")
    pipeline = make([failing, other], MemoryDestination())
    report = pipeline.run()
    assert report.outcome == "incomplete"
    assert [(one.message, one.path) for one in report.problems] == [("uploads cannot be read.", "uploads")]
    assert content(pipeline, pipeline.list().backups[0]) == {"uploads/a": b"a", "db-dumps/a": b"dump"}


def test_a_list_that_breaks_off_in_passing_goes_on_where_it_was(make: Make) -> None:
    source = Scripted("uploads", {"uploads/a": b"a", "": flaky("uploads"), "uploads/b": b"b"})
    pipeline = make(source, MemoryDestination())
    report = pipeline.run()
    assert (report.outcome, report.problems) == ("succeeded", ())
    assert source.walks == 2
    assert source.reads == ["uploads/a", "uploads/b"]
    assert content(pipeline) == {"uploads/a": b"a", "uploads/b": b"b"}
    assert report.entries == 2


def test_a_mistake_in_a_source_is_a_problem_and_no_crash(make: Make) -> None:
    wrong = Scripted("uploads", {"uploads/a": [[ZeroDivisionError("division by zero")]], "": KeyError("id")})
    other = Scripted("dumps", {"db-dumps/a": b"dump"}, "databases")
    pipeline = make([wrong, other], MemoryDestination())
    report = pipeline.run()
    assert report.outcome == "incomplete"
    assert messages(report.problems) == [
        "uploads/a could not be read: ZeroDivisionError: division by zero",
        "The source uploads failed: KeyError: 'id'",
    ]
    assert content(pipeline, pipeline.list().backups[0]) == {"db-dumps/a": b"dump"}


def test_a_warning_keeps_the_run_succeeded(make: Make) -> None:
    deleted = SourceError("deleted meanwhile", path="uploads/a", severity="warning")
    source = Scripted(
        "uploads",
        {
            "uploads/a": [[deleted]],
            "": Problem(message="a socket was skipped", severity="warning", path="uploads/s"),
            "uploads/b": b"b",
        },
    )
    pipeline = make(source, MemoryDestination())
    report = pipeline.run()
    assert report.outcome == "succeeded"
    assert sorted(messages(report.problems, "warning")) == ["a socket was skipped", "deleted meanwhile"]
    assert pipeline.get().good


def test_a_source_that_breaks_off_is_an_error_whatever_it_calls_itself(make: Make) -> None:
    class BreaksOff(Scripted):
        def entries(self) -> Iterator[Entry | Problem]:
            yield from super().entries()
            raise SourceError("the rest has gone", path=self.name, severity="warning")

    report = make(BreaksOff("uploads", {"uploads/a": b"a"}), MemoryDestination()).run()
    assert (report.outcome, messages(report.problems)) == ("incomplete", ["the rest has gone"])


def test_a_sources_problem_is_told_as_soon_as_it_is_found(make: Make) -> None:
    told: list[Event] = []
    problem = Problem(message="unreadable", path="uploads/x")
    source = Scripted("uploads", {"": problem, "uploads/b": [[lambda: seen.append([*told]), b"b"]]})
    seen: list[list[Event]] = []
    make(source, MemoryDestination(), observers=[told.append]).run()
    assert seen == [[Started("run", "shop"), ProblemFound(problem), EntryStarted("uploads/b", None)]]


def test_a_problem_stands_in_the_report_once(make: Make) -> None:
    source = Scripted("uploads", {"": Problem(message="unreadable", path="uploads/x"), "uploads/b": b"b"})
    report = make(source, [MemoryDestination("one"), MemoryDestination("two")]).run()
    assert messages(report.problems) == ["unreadable"]
    assert [one.outcome for one in report.destinations] == ["incomplete", "incomplete"]


def test_when_all_sources_are_lost_the_run_fails_and_nothing_is_stored(make: Make, tmp_path: Path) -> None:
    destination = MemoryDestination()
    sources = [
        Directory(tmp_path / "missing"),
        SQLite(tmp_path / "missing.sqlite3"),
        Command(["sh", "-c", "exit 3"], name="a"),
        Command(["true"], name="b"),
    ]
    with pytest.raises(SourceError) as caught:
        make(sources, destination, retry=Retry(tries=1)).run()
    assert destination.objects == {}
    assert caught.value.report is not None
    assert caught.value.report.outcome == "failed"
    for reason in ("missing'", "missing.sqlite3'", "exited with status 3", "wrote nothing"):
        assert reason in str(caught.value)


def test_a_folder_that_is_empty_is_a_backup_all_the_same(make: Make, tmp_path: Path) -> None:
    pipeline = make(Directory(tree(tmp_path / "app", {})), MemoryDestination())
    assert pipeline.run().outcome == "succeeded"
    assert [entry.path for entry in pipeline.entries()] == ["app"]


@pytest.mark.parametrize("only", ["files", "databases"])
def test_only_one_kind_of_source_is_read_if_only_one_is_wanted(make: Make, only: str) -> None:
    files = Scripted("uploads", {"uploads/a": b"a"})
    databases = Scripted("dumps", {"db-dumps/a": b"dump"}, "databases")
    pipeline = make([files, databases], MemoryDestination())
    assert pipeline.run(only=only).outcome == "succeeded"  # type: ignore[arg-type]  # one of the two
    (backup,) = pipeline.list().backups
    assert backup.contents == {only}
    assert backup.id.endswith(f"Z-{only}")
    assert (files.walks, databases.walks) == ((1, 0) if only == "files" else (0, 1))


# Hooks


@contextmanager
def failing_before() -> Iterator[None]:
    raise RuntimeError("the worker does not stop")
    yield


@contextmanager
def failing_after() -> Iterator[None]:
    yield
    raise RuntimeError("the worker does not start")


@pytest.mark.parametrize("hook", [failing_before, failing_after])
def test_a_hook_that_fails_fails_the_run_and_nothing_is_stored(make: Make, hook: object) -> None:
    destination = MemoryDestination()
    around = Around(Scripted("uploads", {"uploads/a": b"a"}), hook)  # type: ignore[arg-type]  # one of the two
    other = Scripted("dumps", {"db-dumps/a": b"dump"}, "databases")
    with pytest.raises(HookError, match="the worker does not st") as caught:
        make([other, around], destination).run()
    assert destination.objects == {}
    assert caught.value.report is not None
    assert caught.value.report.outcome == "failed"


def test_a_hook_is_undone_before_the_next_source_and_after_a_failure(make: Make) -> None:
    told: list[str] = []

    @contextmanager
    def stopped() -> Iterator[None]:
        told.append("stopped")
        yield
        told.append("started")

    @contextmanager
    def stopped_for_good() -> Iterator[None]:
        told.append("stopped")
        try:
            yield
        finally:
            told.append("started")

    first = Around(Scripted("uploads", {"uploads/a": [[lambda: told.append("read"), b"a"]]}), stopped)
    second = Around(Scripted("media", {"media/a": b"a", "": gone("media")}), stopped_for_good)
    report = make([first, second], MemoryDestination()).run()
    assert report.outcome == "incomplete"
    assert told == ["stopped", "read", "started", "stopped", "started"]
