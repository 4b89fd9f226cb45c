"""Work on threads: in turn, followed and cancelled from every process of a machine, and what becomes of it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backupkit import BackupPipeline, ConfigurationError, Directory
from backupkit._operation import utc_now
from backupkit.integrations.actions import Action
from backupkit.integrations.asgi.queues.files import WorkFiles
from backupkit.integrations.asgi.queues.threads import ThreadQueue
from backupkit.integrations.work import Work, id_after, in_short
from backupkit.model import Contents, Entry, Problem
from tests.integrations.asgi.gated import begun, gated, let_go, until

ROOT = Path(__file__).parents[3]
RUN = Action(verb="run")


def ended(queue: ThreadQueue, id: str) -> Work:
    until(lambda: known(queue, id).is_over)
    return known(queue, id)


def known(queue: ThreadQueue, id: str) -> Work:
    work = queue.get(id)
    assert work is not None
    return work


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Callable[..., ThreadQueue]]:
    """Queues of one folder, as of several processes that serve one page."""
    queues: list[ThreadQueue] = []

    def make(*pipelines: BackupPipeline, **options: Any) -> ThreadQueue:
        by_name = {str(one.name): one for one in pipelines or (gated(tmp_path),)}
        queues.append(ThreadQueue(by_name, folder=tmp_path / "operations", **options))
        return queues[-1]

    yield make
    for queue in queues:
        queue.close()


Made = Callable[..., ThreadQueue]


def test_what_was_done_is_told_with_its_report(made: Made, folder: Path) -> None:
    queue = made()
    let_go(folder)
    work = ended(queue, queue.submit("gated", RUN, "anna"))
    assert (work.stage, work.who, work.action, work.error) == ("ended", "anna", RUN, None)
    assert work.report is not None
    assert work.report.outcome == "succeeded"
    assert work.began is not None
    assert work.ended is not None


def test_another_queue_of_the_same_folder_sees_how_far_it_is(made: Made, folder: Path) -> None:
    queue, other = made(), made()
    id = queue.submit("gated", RUN, "anna")
    work = until(lambda: (found := other.get(id)) and found.progress.read and found)
    assert work.stage == "working"
    assert work.progress.entries == 1
    assert [one.message for one in work.problems] == ["A file was passed over."]
    assert [one.id for one in other.recent()] == [id]
    let_go(folder)
    assert ended(other, id) == ended(queue, id)


def test_another_queue_of_the_same_folder_can_cancel_it_and_the_report_says_who_did(
    made: Made, folder: Path
) -> None:
    queue, other = made(), made()
    id = queue.submit("gated", RUN, "anna")
    begun(folder)
    other.cancel(id, "berta")
    work = ended(queue, id)
    assert work.error is not None
    assert work.error.endswith("cancelled, because berta asked for that on the management page.")
    assert work.report is not None
    assert work.report.outcome == "failed"


def test_that_it_is_to_end_is_seen_by_all_until_it_has(made: Made, folder: Path) -> None:
    class Slow:
        name = "slow"
        contents: Contents = "files"

        def entries(self) -> Iterator[Entry | Problem]:
            (folder / "began").touch()
            until((folder / "go").exists)  # as what hears of nothing while it waits for a disk
            yield Entry(path="file", chunks=lambda: iter([b"a"]))

    (folder / "backups").mkdir()
    slow = BackupPipeline("slow", Slow(), folder / "backups", encryptor=None)
    queue, other = made(slow), made(slow)
    id = queue.submit("slow", RUN, "anna")
    until((folder / "began").exists)
    queue.cancel(id, "berta")
    for one in (queue, other):
        work = known(one, id)
        assert work.stage == "working"
        assert work.note == "It is to end, because berta asked for that on the management page."
    (folder / "go").touch()
    work = ended(other, id)
    assert work.note is None
    assert "because berta asked" in str(work.error)
    until(lambda: not [*(folder / "operations").glob("*.cancel")])


def test_of_one_pipeline_one_after_another_is_done(made: Made, folder: Path) -> None:
    queue = made()
    first, second, third = (queue.submit("gated", RUN, "anna") for _ in range(3))
    begun(folder)
    assert (known(queue, first).stage, known(queue, second).stage) == ("working", "waiting")
    let_go(folder)
    earlier, later = ended(queue, first), ended(queue, second)
    assert earlier.ended is not None
    assert later.began is not None
    assert earlier.ended <= later.began
    assert later.error is None
    last = ended(queue, third)
    assert later.ended is not None
    assert last.began is not None
    assert later.ended <= last.began


def test_no_more_than_at_once_is_under_way_in_a_process(made: Made, folder: Path) -> None:
    names = ["one", "two", "three"]
    queue = made(*(gated(folder, name) for name in names), at_once=2)
    ids = [queue.submit(name, RUN, "anna") for name in names]
    begun(folder, "one")
    begun(folder, "two")
    assert [known(queue, id).stage for id in ids] == ["working", "working", "waiting"]
    let_go(folder, "two")
    begun(folder, "three")
    assert known(queue, ids[0]).stage == "working"


def test_pins_do_not_wait_for_what_is_under_way(made: Made, folder: Path) -> None:
    pipeline = gated(folder)
    let_go(folder)
    pipeline.run()
    (folder / "gated" / "go").unlink()
    (folder / "gated" / "began").unlink()
    queue = made(pipeline, at_once=1)
    run = queue.submit("gated", RUN, "anna")
    begun(folder)
    (backup,) = pipeline.list().backups
    assert (
        ended(
            queue, queue.submit("gated", Action(verb="pin", backup=backup.id, reason="audit"), "anna")
        ).error
        is None
    )
    assert known(queue, run).stage == "working"
    (pinned,) = pipeline.list().backups
    assert pinned.pin is not None


def test_what_waits_can_be_cancelled_and_never_begins(made: Made, folder: Path) -> None:
    queue = made()
    queue.submit("gated", RUN, "anna")
    waits = queue.submit("gated", RUN, "anna")
    queue.cancel(waits, "berta")
    work = known(queue, waits)
    assert work.stage == "ended"
    assert work.began is None
    assert (
        work.error == "It was cancelled before it began, because berta asked for that on the management page."
    )


def test_closing_ends_what_is_under_way_and_what_waits(made: Made, folder: Path) -> None:
    queue = made()
    first, second = queue.submit("gated", RUN, "anna"), queue.submit("gated", RUN, "anna")
    begun(folder)
    queue.close()
    assert known(queue, first).error == "The run of gated was cancelled, because the page was shut down."
    assert known(queue, second).stage == "ended"
    assert list((folder / "backups").rglob("*.zip")) == []
    with pytest.raises(ConfigurationError, match="shut down"):
        queue.submit("gated", RUN, "anna")


def test_each_end_is_seen_as_a_change_by_every_queue_of_the_folder(made: Made, folder: Path) -> None:
    pipelines = gated(folder), gated(folder, "another")
    queue, other = made(*pipelines), made(*pipelines)
    let_go(folder)
    before = other.ends("gated"), other.ends("another")
    ended(queue, queue.submit("gated", RUN, "anna"))
    after = other.ends("gated")
    assert after != before[0]
    assert other.ends("another") == before[1]
    ended(queue, queue.submit("gated", Action(verb="clean", dry_run=True), "anna"))
    assert other.ends("gated") == after, "a dry run changes nothing"


def test_an_error_that_is_not_ours_is_told_without_what_it_may_show(made: Made, folder: Path) -> None:
    class Broken:
        name = "broken"
        contents: Contents = "files"

        def entries(self) -> Iterator[Entry | Problem]:
            raise ValueError("no connection to postgresql://shop:hunter2@db/shop")

    pipeline = BackupPipeline("broken", Broken(), folder / "backups", encryptor=None)
    queue = made(pipeline)
    work = ended(queue, queue.submit("broken", RUN, "anna"))
    assert work.error
    assert all("hunter2" not in one.read_text() for one in (folder / "operations").glob("*.json"))


def test_an_id_that_is_none_opens_no_file(made: Made, folder: Path) -> None:
    queue = made()
    let_go(folder)
    id = queue.submit("gated", RUN, "anna")
    ended(queue, id)
    (folder / "elsewhere-long-enough.json").write_bytes((folder / "operations" / f"{id}.json").read_bytes())
    for hostile in (
        "../elsewhere-long-enough",
        "",
        "short",
        f"{id}\n",
        f"{id}/../{id}",
        "a" * 5000,
        f"{id}\0",
    ):
        assert queue.get(hostile) is None
        queue.cancel(hostile, "anna")


def test_a_page_of_other_pipelines_of_the_same_names_sees_nothing_of_it(made: Made, folder: Path) -> None:
    queue = made()
    id = queue.submit("gated", RUN, "anna")
    begun(folder)
    (folder / "another").mkdir()
    other = made(gated(folder / "another"))
    assert other.get(id) is None
    assert other.recent() == []
    other.cancel(id, "berta")
    let_go(folder / "another")
    ended(other, other.submit("gated", RUN, "berta"))
    let_go(folder)
    assert ended(queue, id).error is None


def test_only_the_user_of_the_process_can_read_it(made: Made, folder: Path) -> None:
    queue = made()
    queue.submit("gated", RUN, "anna")
    begun(folder)
    operations = folder / "operations"
    assert stat.S_IMODE(operations.stat().st_mode) == 0o700
    assert {stat.S_IMODE(one.stat().st_mode) for one in operations.iterdir()} == {0o600}


def test_a_file_that_cannot_be_understood_is_passed_over(made: Made, folder: Path) -> None:
    queue = made()
    let_go(folder)
    id = queue.submit("gated", RUN, "anna")
    ended(queue, id)
    (folder / "operations" / "damaged-damaged-damaged.json").write_text('{"pipeline": ')
    (folder / "operations" / "foreign-foreign-foreign.json").write_text('{"pipeline": "gated", "action": 3}')
    assert [one.id for one in made().recent()] == [id]


def test_what_has_been_over_for_a_day_is_removed(made: Made, folder: Path) -> None:
    queue = made()
    let_go(folder)
    old = queue.submit("gated", RUN, "anna")
    ended(queue, old)
    os.utime(folder / "operations" / f"{old}.json", (1, 1))
    new = queue.submit("gated", RUN, "anna")
    assert [one.id for one in queue.recent()] == [new]
    assert queue.get(old) is None


def test_what_somebody_else_has_in_the_folder_stays_however_old_it_is(tmp_path: Path) -> None:
    theirs = [
        tmp_path / one for one in ("customers.sqlite3", "credentials-of-google.json", ".profile", "uv.lock")
    ]
    for one in theirs:
        one.write_text("{}")
        os.utime(one, (1, 1))
    queue = ThreadQueue({"gated": gated(tmp_path)}, folder=tmp_path)
    ended(queue, queue.submit("gated", Action(verb="monitor"), "anna"))
    queue.close()
    assert all(one.exists() for one in theirs)


def test_what_is_over_is_removed_although_its_lock_is_still_held(tmp_path: Path) -> None:
    files = WorkFiles(str(tmp_path / "operations"), {"gated": gated(tmp_path)})
    work = Work(
        id="old-old-old-old-old", pipeline="gated", action=RUN, who="anna", asked=utc_now(), stage="waiting"
    )
    files.begin(work)
    files.write(
        replace(work, stage="ended", ended=utc_now())
    )  # as its thread does before it lets the lock go
    os.utime(tmp_path / "operations" / f"{work.id}.json", (1, 1))
    files.begin(replace(work, id="new-new-new-new-new"))
    assert files.get(work.id) is None
    files.leave()


def test_what_is_under_way_for_days_stays(tmp_path: Path) -> None:
    doing, other = (WorkFiles(str(tmp_path / "operations"), {"gated": gated(tmp_path)}) for _ in range(2))
    work = Work(id="a" * 20, pipeline="gated", action=RUN, who="anna", asked=utc_now(), stage="working")
    doing.begin(work)
    for kind in ("json", "lock"):
        os.utime(tmp_path / "operations" / f"{work.id}.{kind}", (1, 1))
    other.begin(replace(work, id="b" * 20))
    assert other.get(work.id) == work
    for one in (doing, other):
        one.leave()


def test_what_ends_while_somebody_looks_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    doing, looking = (WorkFiles(str(tmp_path / "operations"), {"gated": gated(tmp_path)}) for _ in range(2))
    work = Work(id="a" * 20, pipeline="gated", action=RUN, who="anna", asked=utc_now(), stage="working")
    over = replace(work, stage="ended", ended=utc_now())
    doing.begin(work)
    held = WorkFiles._is_held

    def just_now(self: WorkFiles, id: str) -> bool:
        doing.end(over, changed=True)
        return held(self, id)

    monkeypatch.setattr(WorkFiles, "_is_held", just_now)
    assert looking.get(work.id) == over


def test_of_what_is_over_so_many_are_kept(made: Made, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backupkit.integrations.asgi.queues.files._KEPT", 2)
    queue = made(BackupPipeline("empty", Directory(folder), folder / "backups", encryptor=None))
    for _ in range(4):
        ended(queue, queue.submit("empty", Action(verb="monitor"), "anna"))
    assert len(queue.recent()) == 3, "two that were over, and the last"


def test_what_a_preview_has_shown_is_done_once_by_whatever_processes_are_asked(
    made: Made, folder: Path
) -> None:
    queues = [made() for _ in range(4)]
    with ThreadPoolExecutor(4) as visitors:
        ids = [*visitors.map(lambda queue: queue.submit("gated", RUN, "anna", after="preview"), queues)]
    assert ids == [id_after("preview")] * 4
    begun(folder)
    assert len([*(folder / "operations").glob("*.lock")]) == 1
    let_go(folder)
    work = ended(queues[0], ids[0])
    for queue in queues:
        queue.submit("gated", RUN, "berta", after="preview")
        assert known(queue, ids[0]) == work
    assert len([*(folder / "backups").rglob("*.zip")]) == 1
    assert queues[0].submit("gated", RUN, "anna", after="another preview") != ids[0]


def test_of_long_reports_lists_have_little_and_the_work_itself_all(made: Made, folder: Path) -> None:
    class Holes:
        name = "holes"
        contents: Contents = "files"

        def entries(self) -> Iterator[Entry | Problem]:
            yield Entry(path="file", chunks=lambda: iter([b"a"]))
            for number in range(1000):
                yield Problem(message=f"Hole {number} was passed over.", severity="warning")

    pipeline = BackupPipeline("holes", Holes(), folder / "backups", encryptor=None)
    (folder / "backups").mkdir()
    queue = made(pipeline)
    work = ended(queue, queue.submit("holes", RUN, "anna"))
    assert work.report is not None
    assert len(work.report.problems) == 1000
    assert work.report.destinations[0].backup is not None
    for one in (queue, made(pipeline)):
        assert one.get(work.id) == work
        assert [*one.recent()] == [in_short(work)]
    assert os.path.getsize(folder / "operations" / f"{work.id}.json") < 10_000
    os.utime(folder / "operations" / f"{work.id}.json", (1, 1))
    os.utime(folder / "operations" / f"{work.id}.report", (1, 1))
    ended(queue, queue.submit("holes", Action(verb="monitor"), "anna"))
    assert not (folder / "operations" / f"{work.id}.report").exists()


def test_a_folder_that_cannot_be_written_to_is_one_sentence(folder: Path) -> None:
    (folder / "file").write_text("")
    queue = ThreadQueue({"gated": gated(folder)}, folder=folder / "file")
    with pytest.raises(ConfigurationError, match="make that a folder"):
        queue.submit("gated", RUN, "anna")


def test_what_can_not_be_written_down_is_done_and_written_down_as_soon_as_it_can(
    made: Made, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    queue = made()
    id = queue.submit("gated", RUN, "anna")
    begun(folder)
    away = (folder / "operations").rename(folder / "away")
    (folder / "operations").write_text("in its place")
    let_go(folder)
    until(lambda: "cannot be written down" in caplog.text)
    with pytest.raises(ConfigurationError, match="make that a folder"):
        queue.submit("gated", Action(verb="monitor"), "anna")
    (folder / "operations").unlink()
    away.rename(folder / "operations")
    work = ended(queue, id)
    assert work.error is None
    assert work.report is not None
    assert work.report.outcome == "succeeded"
    assert [one.message for one in work.report.problems] == ["A file was passed over."]
    assert ended(queue, queue.submit("gated", Action(verb="monitor"), "anna")).stage == "ended"


def test_what_can_never_be_written_down_keeps_no_process_from_ending(made: Made, folder: Path) -> None:
    queue = made()
    id = queue.submit("gated", RUN, "anna")
    begun(folder)
    away = (folder / "operations").rename(folder / "away")
    (folder / "operations").write_text("in its place")
    queue.close()
    (folder / "operations").unlink()
    away.rename(folder / "operations")
    assert "before it could say how this ended" in str(known(queue, id).error)


def test_a_forked_process_leaves_the_work_of_its_parent_alone_and_does_its_own(
    made: Made, folder: Path
) -> None:
    queue = made(at_once=1)
    id = queue.submit("gated", RUN, "anna")
    begun(folder)
    child = os.fork()
    if child == 0:
        try:
            ended(queue, queue.submit("gated", Action(verb="monitor"), "berta"))
            queue.close()  # as at its end
            os._exit(0 if known(queue, id).stage == "working" else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    let_go(folder)
    assert ended(queue, id).error is None


PROGRAM = """
import os, sys
from pathlib import Path
from backupkit.integrations.asgi.queues.files import WorkFiles
from backupkit.integrations.asgi.queues.threads import ThreadQueue
from backupkit.integrations.actions import Action
from tests.integrations.asgi.gated import begun, gated

folder = Path(sys.argv[1])
queue = ThreadQueue({"gated": gated(folder)}, folder=folder / "operations")
queue.submit("gated", Action(verb="run"), "anna")
begun(folder)
if os.fork() == 0:  # as servers do, whose processes may outlive it
    sys.stdin.read()
    os._exit(0)
print("begun", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def program(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that serves the page, with a run under way; it ends when its input does."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"begun\n"
            yield process
        finally:
            process.kill()


def test_what_a_killed_process_did_is_lost_although_its_child_lives_on(
    made: Made, folder: Path, program: subprocess.Popen[bytes]
) -> None:
    queue = made()
    (work,) = queue.recent()
    assert (work.stage, work.who) == ("working", "anna")
    before = queue.ends("gated")
    program.send_signal(signal.SIGKILL)
    program.wait()
    (work,) = queue.recent()
    assert work.stage == "lost"
    assert work.failed
    assert queue.ends("gated") != before
    assert not [*(folder / "operations").glob("*.lock")]


def test_what_another_process_does_is_cancelled_from_here(
    made: Made, folder: Path, program: subprocess.Popen[bytes]
) -> None:
    queue = made()
    (work,) = queue.recent()
    queue.cancel(work.id, "berta")
    assert "because berta asked" in str(ended(queue, work.id).error)


def test_a_process_that_ends_cancels_what_it_does(
    made: Made, folder: Path, program: subprocess.Popen[bytes]
) -> None:
    assert program.stdin is not None
    program.stdin.close()
    assert program.wait(30) == 0
    (work,) = made().recent()
    assert work.stage == "ended"
    assert work.error == "The run of gated was cancelled, because the page was shut down."
    assert work.report is not None
    assert [one.message for one in work.report.problems if one.severity == "error"] == [work.error]


def test_threads_are_started_when_there_is_work_only(made: Made, folder: Path) -> None:
    queue = made()
    before = threading.active_count()
    queue.recent()
    queue.ends("gated")
    queue.get("a" * 22)
    assert threading.active_count() == before
