"""A job: what goes together, and that doing it is the pipeline's own method with these arguments."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backupkit import (
    BackupPipeline,
    ConfigurationError,
    Directory,
    FileMemory,
    OperationCancelledError,
    SQLite,
)
from backupkit.model import Notice, Report, Summary
from backupkit.scheduling import Job, perform
from tests.pipeline.test_telling import Told


@pytest.fixture
def pipeline(tmp_path: Path) -> BackupPipeline:
    import sqlite3

    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "a").write_bytes(b"a")
    with sqlite3.connect(tmp_path / "app.sqlite3") as connection:
        connection.execute("create table t (x)")
    connection.close()
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
    return BackupPipeline(
        "shop",
        [Directory(tmp_path / "app"), SQLite(tmp_path / "app.sqlite3")],
        [str(tmp_path / "one"), str(tmp_path / "two")],
        encryptor=None,
        notifiers=[Told()],
        memory=FileMemory(tmp_path / "state"),
    )


def told(pipeline: BackupPipeline) -> list[Notice]:
    (notifier,) = pipeline.notifiers
    assert isinstance(notifier, Told)
    return notifier.notices


def test_a_run_is_of_the_contents_and_at_the_place_that_are_named(pipeline: BackupPipeline) -> None:
    place = pipeline.destinations[1].location
    report = perform(pipeline, Job("run", only="databases", to=place))
    assert isinstance(report, Report)
    assert [one.location for one in report.destinations] == [place]
    assert [one.contents for one in pipeline.list().backups] == [{"databases"}]


@pytest.mark.parametrize("verb", ["run", "clean", "monitor", "verify", "drill"])
def test_without_notices_nobody_is_told(pipeline: BackupPipeline, verb: Any) -> None:
    perform(pipeline, Job("run", notify=False))
    report = perform(pipeline, Job(verb, notify=False))
    assert isinstance(report, Report)
    assert (report.operation, told(pipeline)) == (verb, [])


@pytest.mark.parametrize("verb", ["clean", "monitor", "verify", "drill"])
def test_one_destination_can_be_meant(pipeline: BackupPipeline, verb: Any) -> None:
    perform(pipeline, Job("run"))
    place = pipeline.destinations[1].location
    report = perform(pipeline, Job(verb, to=place))
    assert isinstance(report, Report)
    assert [one.location for one in report.destinations] == [place]


@pytest.mark.parametrize("verb", ["verify", "drill"])
def test_the_latest_backup_of_some_contents_can_be_meant(pipeline: BackupPipeline, verb: Any) -> None:
    perform(pipeline, Job("run", only="databases"))
    perform(pipeline, Job("run", only="files"))
    report = perform(pipeline, Job(verb, only="databases"))
    assert isinstance(report, Report)
    assert [one.path for one in report.dumps if verb == "drill"] in ([], ["db-dumps/sqlite-app.sqlite3"])
    verified = {tuple(one.contents): bool(one.verified or one.proven) for one in pipeline.list().backups}
    assert verified == {("databases",): True, ("files",): False}


def test_a_summary_is_sent(pipeline: BackupPipeline) -> None:
    assert isinstance(perform(pipeline, Job("summary")), Summary)
    assert [one.occasion for one in told(pipeline)] == ["summary"]


def test_an_unhealthy_destination_that_nobody_was_told_of_is_told_next_time(pipeline: BackupPipeline) -> None:
    perform(pipeline, Job("monitor", notify=False))
    perform(pipeline, Job("monitor"))
    assert [one.occasion for one in told(pipeline)] == ["unhealthy", "unhealthy"]


def test_it_can_be_cancelled(pipeline: BackupPipeline) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(OperationCancelledError):
        perform(pipeline, Job("run"), cancel=cancel, wait=timedelta(0))


def test_it_can_be_sent_as_json() -> None:
    job = Job("run", only="files", to="/mnt/backup", notify=False)
    assert Job(**json.loads(json.dumps(asdict(job)))) == job


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (Job("run"), "run"),
        (Job("run", only="databases", to="/mnt/b"), "run --only databases --to /mnt/b"),
        (Job("clean", to="/mnt/b", notify=False), "clean --at /mnt/b --no-notify"),
        (Job("summary"), "summary --send"),
    ],
    ids=str,
)
def test_as_text_it_is_what_the_command_line_takes(job: Job, words: str) -> None:
    assert str(job) == words


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"verb": "tidy"}, "There is no job called 'tidy': use one of run, clean, monitor"),
        ({"verb": "run", "only": "tables"}, "only='tables' is not possible"),
        ({"verb": "clean", "only": "files"}, "clean deals with all contents"),
        ({"verb": "run", "to": ""}, "to= is not a text"),
        ({"verb": "run", "notify": "no"}, "notify= is neither true nor false"),
        ({"verb": "summary", "to": "/mnt/b"}, "A summary is of all destinations"),
        ({"verb": "summary", "notify": False}, "A summary is of all destinations"),
    ],
    ids=str,
)
def test_what_does_not_go_together_is_refused(given: Mapping[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Job(**given)
    assert says in str(caught.value)
