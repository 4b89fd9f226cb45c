"""A real Redis and a real worker: what a task does, and what becomes of it when it, or its worker, is stopped."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from celery.beat import PersistentScheduler
from celery.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded
from celery.result import AsyncResult

from backupkit import BackupAlreadyRunningError, BackupKitError, ConfigurationError
from backupkit.plain_data import report_from
from tests.integrations.celery.application import LIMITED, MOST_AT_ONCE, PASSPHRASE, SECRET
from tests.integrations.celery.fleets import Fleet, Program, ended, fleet, until
from tests.servers import free_port, listens

MEMORY_LIMIT = 200  # MB: a process that imported all of it has about a third of that


@pytest.fixture(scope="module")
def ships(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fleet(tmp_path_factory.mktemp("fleet")) as made:
        yield made


@pytest.fixture
def worker(ships: Fleet) -> Program:
    """One worker of two processes, begun anew if the last test has killed it."""
    for program in ships.programs:
        if program.name == "one" and program.process.poll() is None:
            return program
    return ships.worker("one", BACKUPKIT_MEMORY_LIMIT=f"{MEMORY_LIMIT}MB")


def processes(ships: Fleet) -> set[int]:
    """The processes of the pools of all workers."""
    stats = ships.app.control.inspect(timeout=1).stats()
    return {process for one in stats.values() for process in one["pool"]["processes"]}


def state_is(result: AsyncResult[Any], state: str) -> None:
    until(lambda: result.state == state, f"{state} of {result.id} ({result.state})")


def is_gone(process: int) -> None:
    until(lambda: not Path(f"/proc/{process}").exists(), f"the end of process {process}")


def be_impatient(ships: Fleet) -> None:
    """Let the time of the broker's visibility timeout pass, for all messages that were not acknowledged."""
    tags: Any = ships.client.zrange("unacked_index", 0, -1)
    for tag in tags:
        ships.client.zadd("unacked_index", {tag: 1})


def put_off(ships: Fleet, task: str) -> Any:
    """The headers of a message that a worker holds until it is tried again."""
    held: Any = ships.client.hvals("unacked")
    for headers in (json.loads(one)[0]["headers"] for one in held):
        if headers["id"] == task and headers["retries"] > 0:
            return headers
    return None


def test_a_run_ends_with_its_report_as_plain_data(ships: Fleet, worker: Program) -> None:
    name = ships.name()
    ships.go(name)
    result = ships.send(name)
    assert ended(result) == "SUCCESS"
    report = report_from(result.result)
    assert (report.operation, report.name, report.outcome) == ("run", name, "succeeded")
    assert (len(ships.archives(name)), ships.told(name)) == (1, ["run succeeded"])


@pytest.mark.parametrize("verb", ["clean", "monitor", "verify", "drill", "report"])
def test_each_task_does_what_it_is_called(ships: Fleet, worker: Program, verb: str) -> None:
    name = "shop-0"
    if not ships.archives(name):
        ships.go(name)
        ended(ships.send(name))
    result = ships.send(name, verb)
    assert ended(result) == "SUCCESS"
    assert result.result.get("operation", "report") == verb
    assert ("summary" in ships.told(name)) == (verb == "report")


def test_only_and_notify_are_those_of_the_run(ships: Fleet, worker: Program) -> None:
    name = ships.name()
    ships.go(name)
    run = ships.app.tasks["backupkit.run"]
    quiet = run.delay(name, only="files", notify=False)
    none = run.delay(name, only="databases", notify=False)
    assert (ended(quiet), ended(none)) == ("SUCCESS", "FAILURE")
    assert str(none.result) == f"The pipeline {name} has no source of databases: run it without only=."
    assert ships.told(name) == []


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (
            {"pipeline": "shoop"},
            "There is no pipeline 'shoop' here: use one of broken, large, leaky, limited-0",
        ),
        ({}, "There are several pipelines: say which is meant"),
        ({"pipeline": "shop-0", "only": "pictures"}, "only='pictures' is not possible"),
        ({"pipeline": "shop-0", "to": "/nowhere"}, "There is no destination file:///nowhere here"),
    ],
)
def test_what_is_impossible_fails_at_once(
    ships: Fleet, worker: Program, arguments: dict[str, Any], why: str
) -> None:
    # By its name: the task itself would refuse some of it where it is sent.
    result = ships.app.send_task("backupkit.run", kwargs=arguments, queue="backups")
    assert ended(result) == "FAILURE"
    assert isinstance(result.result, ConfigurationError)
    assert why in str(result.result)
    assert f"{result.id}] retry" not in worker.output


def test_a_failure_is_told_without_secrets(ships: Fleet, worker: Program) -> None:
    result = ships.send("broken")
    assert ended(result) == "FAILURE"
    assert type(result.result) is BackupKitError
    assert "The source broken failed: ValueError: no connection to postgresql://***@db/shop" in str(
        result.result
    )
    assert "in _perform" in str(result.traceback), "where it failed is worth knowing"
    assert SECRET not in f"{result.traceback}{worker.output}"


def test_causes_stay_where_they_are(ships: Fleet, worker: Program) -> None:
    result = ships.send("leaky")
    assert (ended(result), str(result.result)) == ("FAILURE", "It could not be run.")
    assert "in _perform" in str(result.traceback)
    assert SECRET not in f"{result.traceback}{worker.output}"


def test_a_run_that_finds_another_one_is_tried_again_and_says_why(ships: Fleet, worker: Program) -> None:
    name = ships.name()
    first = ships.send(name)
    ships.begun(name)
    since = int(time.time()) - 60
    second = ships.send(name, expires=3600, headers={"backupkit_since": since})
    state_is(second, "RETRY")
    assert isinstance(second.result, BackupAlreadyRunningError)
    assert f"Another run of '{name}" in str(second.result)
    headers = until(lambda: put_off(ships, second.id), "the message that is put off")
    assert headers["backupkit_since"] == since, "it gives up some day"
    assert headers["expires"] is None, "it has begun to wait, and is not stale before it gives up"
    ships.go(name)
    assert ended(first) == "SUCCESS"
    ships.go(name)
    assert ended(second) == "SUCCESS"
    assert len(ships.archives(name)) == 2
    assert ships.told(name) == ["run succeeded"] * 2, "an attempt that is put off is no failure"


def test_a_run_that_was_never_next_fails_and_people_are_told(ships: Fleet, worker: Program) -> None:
    name = ships.name()
    first = ships.send(name)
    ships.begun(name)
    second = ships.send(name, headers={"backupkit_since": 1})
    assert ended(second) == "FAILURE"
    assert isinstance(second.result, BackupAlreadyRunningError)
    assert ships.told(name) == ["run failed"]
    ships.go(name)
    assert ended(first) == "SUCCESS"


def test_the_state_tells_how_far_a_run_has_come_and_no_names_of_files(ships: Fleet, worker: Program) -> None:
    name = ships.name()
    result = ships.send(name)
    state_is(result, "PROGRESS")
    numbers = result.info
    ships.go(name)
    assert numbers.keys() == {"entries", "read", "expected", "rate", "remaining"}
    assert numbers["entries"] == 1
    assert numbers["read"] >= numbers["rate"] > 0
    assert ended(result) == "SUCCESS"


def test_at_its_time_limit_a_run_is_cancelled_and_leaves_nothing(ships: Fleet, worker: Program) -> None:
    name = ships.name()
    result = ships.send(name, soft_time_limit=1, time_limit=60)
    process = ships.begun(name)
    assert ended(result) == "FAILURE"
    assert isinstance(result.result, SoftTimeLimitExceeded)
    assert "backupkit.run took longer than it may, 1 seconds" in str(result.result)
    assert (ships.stored(name), ships.told(name)) == ([], ["run failed"])
    assert ships.why(name) == f"The run of {name} was cancelled, because its time limit was reached."
    assert ships.client.keys(f"backupkit:lock:{name}*") == []
    assert process in processes(ships)


def test_a_run_that_cannot_be_cancelled_is_killed_and_the_next_succeeds(
    ships: Fleet, worker: Program
) -> None:
    result = ships.send("stuck", soft_time_limit=1, time_limit=2)
    process = ships.begun("stuck")
    assert ended(result) == "FAILURE"
    assert isinstance(result.result, TimeLimitExceeded)
    is_gone(process)
    assert ships.archives("stuck") == []
    ships.go("stuck")
    assert ended(ships.send("stuck")) == "SUCCESS"
    assert process not in processes(ships)


def test_revoking_a_run_stops_it_cleanly(ships: Fleet, worker: Program) -> None:
    name = ships.name()
    result = ships.send(name)
    process = ships.begun(name)
    result.revoke(terminate=True)
    assert ended(result) == "REVOKED"
    until(lambda: ships.stored(name) == [], "the clean end")
    until(lambda: ships.client.keys(f"backupkit:lock:{name}*") == [], "the free lock")
    assert ships.why(name) == f"The run of {name} was cancelled, because its process was told to stop."
    next_one = ships.send(name)
    ships.begun(name)
    ships.go(name)
    assert (ended(next_one), result.state) == ("SUCCESS", "REVOKED")
    is_gone(process)
    assert len(ships.archives(name)) == 1


def test_what_ends_although_its_process_was_told_to_stop_has_ended(ships: Fleet, worker: Program) -> None:
    result = ships.send("teller", "report")
    process = ships.begun("teller")
    os.kill(process, signal.SIGTERM)
    ships.go("teller")
    is_gone(process)
    assert ended(result) == "SUCCESS"
    until(lambda: ships.client.hlen("unacked") == 0, "the end of its message")
    assert ships.told("teller") == ["summary"]


def test_a_run_that_waits_for_its_turn_can_be_revoked(ships: Fleet, worker: Program) -> None:
    name = ships.name()
    first, waits = ships.send(name), ships.send(name)
    ships.begun(name)
    until(lambda: "RETRY" in (first.state, waits.state), "one that waits")
    if first.state == "RETRY":
        first, waits = waits, first
    waits.revoke()
    ships.go(name)
    assert (ended(first), ended(waits)) == ("SUCCESS", "REVOKED")
    assert len(ships.archives(name)) == 1


def test_a_run_that_was_not_begun_can_be_revoked(ships: Fleet, worker: Program) -> None:
    names = [ships.name(), ships.name()]
    under_way = [ships.send(name) for name in names]
    for name in names:
        ships.begun(name)
    ships.go(third := ships.name())
    result = ships.send(third)
    result.revoke()
    for name in names:
        ships.go(name)
    assert ([ended(one) for one in under_way], ended(result)) == (["SUCCESS"] * 2, "REVOKED")
    assert ships.stored(third) == []
    # So that workers know it which begin later.
    until(lambda: ships.client.get(f"backupkit:task:{result.id}") == b"ended", "the note of its end")


def test_a_run_whose_process_is_killed_is_made_again(ships: Fleet, worker: Program) -> None:
    name = ships.name()
    result = ships.send(name)
    os.kill(ships.begun(name), signal.SIGKILL)
    ships.begun(name)
    assert ships.client.get(f"backupkit:task:{result.id}") == b"2"
    ships.go(name)
    assert ended(result) == "SUCCESS"
    assert len(ships.archives(name)) == 1


def test_a_run_whose_process_is_told_to_stop_is_made_again(ships: Fleet, worker: Program) -> None:
    name = ships.name()
    result = ships.send(name)
    os.kill(ships.begun(name), signal.SIGTERM)  # as a service manager does to all processes of a service
    ships.begun(name)
    assert ships.client.get(f"backupkit:task:{result.id}") == b"1"
    ships.go(name)
    assert ended(result) == "SUCCESS"
    assert len(ships.archives(name)) == 1


def test_a_run_whose_worker_dies_each_time_fails_and_people_are_told(ships: Fleet, worker: Program) -> None:
    name = ships.name()
    ships.client.set("backupkit:task:doomed", 3)
    result = ships.send(name, task_id="doomed")
    assert ended(result) == "FAILURE"
    assert "begun 3 times, and its worker died each time" in str(result.result)
    assert ships.told(name) == ["run failed"]


@pytest.mark.parametrize("ignore_result", [False, True])
def test_a_message_that_is_delivered_again_makes_no_second_backup(
    ships: Fleet, worker: Program, ignore_result: bool
) -> None:
    name = ships.name()
    ships.go(name)
    result = ships.send(name, ignore_result=ignore_result)
    worker.said(f"backupkit.run[{result.id}] succeeded")
    before = result.state
    ships.go(name)
    again = ships.send(name, task_id=result.id, ignore_result=ignore_result)
    worker.said(f"Task backupkit.run[{again.id}] received", times=2)
    ships.client.delete(f"go {name}")
    behind = ships.send(name)
    ships.begun(name)
    ships.begun(name)
    ships.go(name)
    assert ended(behind) == "SUCCESS"
    assert (again.state, len(ships.archives(name))) == (before, 2)


def test_a_process_that_needed_too_much_memory_is_replaced(ships: Fleet, worker: Program) -> None:
    result = ships.send("large")
    process = ships.begun("large")
    ships.go("large")
    assert ended(result) == "SUCCESS"
    until(lambda: process not in processes(ships), "another process")
    ships.go(name := ships.name())
    assert ended(ships.send(name)) == "SUCCESS"


def test_what_a_killed_worker_did_is_done_by_the_next(ships: Fleet, worker: Program) -> None:
    name = ships.name()
    result = ships.send(name)
    process = ships.begun(name)
    worker.kill()
    is_gone(process)
    be_impatient(ships)
    ships.worker("one", BACKUPKIT_MEMORY_LIMIT=f"{MEMORY_LIMIT}MB")
    ships.begun(name)
    ships.go(name)
    assert ended(result) == "SUCCESS"
    assert len(ships.archives(name)) == 1
    until(lambda: ships.client.hlen("unacked") == 0, "the end of its message")


def test_two_workers_keep_the_limits_of_twenty_pipelines(ships: Fleet, worker: Program) -> None:
    second = ships.worker("two")
    ships.client.set("now", 0)  # killed runs have not counted themselves out
    ships.client.set("most", 0)
    results = [ships.send(name) for name in LIMITED]
    until(lambda: ships.client.get("now") == str(MOST_AT_ONCE).encode(), "as many as may be")
    until(lambda: any(result.state == "RETRY" for result in results), "one that is put off")
    for name in LIMITED:
        ships.go(name)
    assert {ended(result) for result in results} == {"SUCCESS"}
    assert int(ships.client.get("most") or 0) == MOST_AT_ONCE
    assert all(len(ships.archives(name)) == 1 for name in LIMITED)
    second.stop()


def test_beat_sends_once_what_was_missed(ships: Fleet, worker: Program) -> None:
    file = str(ships.folder / "beat")
    ships.app.finalize()
    began = PersistentScheduler(ships.app, schedule_filename=file)
    (entry,) = [one for name, one in began.schedule.items() if name.startswith("backupkit")]
    assert entry.name == "backupkit shop-0: monitor, 0 3 * * *"
    entry.last_run_at -= timedelta(days=3)
    began.close()
    beat = ships.start("beat", "--loglevel=DEBUG", "--schedule", file)
    sent = str(until(lambda: re.search(r"backupkit.monitor sent. id->(\S+)", beat.output), "what is due")[1])
    assert ended(ships.app.AsyncResult(sent)) == "SUCCESS"
    until(lambda: "Waking up in" in beat.output.partition(sent)[2], "the next look")
    assert beat.output.count("Sending due task") == 1
    beat.stop()


def test_flower_shows_the_tasks(ships: Fleet, worker: Program) -> None:
    port, patterns = free_port(), ships.client.pubsub_numpat()
    flower = ships.start("flower", f"--port={port}", "--address=127.0.0.1", FLOWER_UNAUTHENTICATED_API="1")
    until(lambda: listens(port), "flower", log=flower.log)
    until(lambda: ships.client.pubsub_numpat() > patterns, "its ear for events", log=flower.log)
    ships.go(name := ships.name())
    result = ships.send(name)
    assert ended(result) == "SUCCESS"

    def shown() -> Any:
        with urlopen(f"http://127.0.0.1:{port}/api/tasks", timeout=10) as answer:
            tasks = json.load(answer)
        return tasks.get(result.id) if tasks.get(result.id, {}).get("state") == "SUCCESS" else None

    task = until(shown, "the task", log=flower.log)
    assert (task["name"], task["kwargs"]) == ("backupkit.run", str({"pipeline": name}))
    assert PASSPHRASE not in json.dumps(task)
    flower.stop()


def test_no_secret_was_ever_in_redis(ships: Fleet, worker: Program) -> None:
    ships.go(name := ships.name())
    ended(ships.send(name))
    written = b"".join(one.read_bytes() for one in (ships.servers_folder / "appendonlydir").iterdir())
    assert name.encode() in written, "this is all that was ever written"
    assert [one for one in (PASSPHRASE, SECRET) if one.encode() in written] == []
