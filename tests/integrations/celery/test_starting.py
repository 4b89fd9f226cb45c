"""What `register` and a worker that starts refuse, and what they set."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from backupkit import BackupPipeline, ConfigurationError, DatabaseLock, Directory, MachineLock
from backupkit.integrations.celery import register

REDIS = "redis://127.0.0.1:1/0"  # nobody is asked
HOUR = 3600


@pytest.fixture
def pipeline(tmp_path: Path) -> BackupPipeline:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "a").write_bytes(b"a")
    (tmp_path / "backups").mkdir()
    return BackupPipeline("shop", Directory(tmp_path / "app"), str(tmp_path / "backups"), encryptor=None)


@pytest.fixture
def apps() -> Iterator[list[Celery]]:
    made: list[Celery] = []
    yield made
    for app in made:
        app.close()


def application(apps: list[Celery], broker: str = REDIS, **settings: Any) -> Celery:
    app = Celery("shop", broker=broker, set_as_current=False)
    app.conf.update(settings)
    apps.append(app)
    return app


def worker_of(app: Celery, queues: str = "backups", pool: str = "prefork", **more: Any) -> Any:
    """A worker up to the moment before it connects to anything."""
    return app.WorkController(hostname="one@here", queues=queues, pool=pool, concurrency=1, **more)


def test_the_broker_waits_for_longer_than_a_run_may_take(
    apps: list[Celery], pipeline: BackupPipeline
) -> None:
    app = application(apps, broker_transport_options={"global_keyprefix": "shop"})
    register(app, pipeline)
    worker_of(app, queues="celery")  # it delivers again what others have, too
    options = app.conf.broker_transport_options
    assert options["visibility_timeout"] > HOUR + 300 + 2 * 60
    assert options["global_keyprefix"] == "shop"


@pytest.mark.parametrize(("given", "passes"), [(HOUR, False), (HOUR + 420, False), (HOUR + 421, True)])
def test_a_broker_that_waits_for_less_is_refused(
    apps: list[Celery], pipeline: BackupPipeline, given: int, passes: bool
) -> None:
    app = application(apps, broker_transport_options={"visibility_timeout": given})
    register(app, pipeline)
    if passes:
        worker_of(app)
        assert app.conf.broker_transport_options == {"visibility_timeout": given}
    else:
        with pytest.raises(ConfigurationError, match=f"visibility_timeout of {given} seconds, .* for 4020"):
            worker_of(app)


def test_each_task_has_a_soft_and_then_a_hard_limit_of_time(
    apps: list[Celery], pipeline: BackupPipeline
) -> None:
    usual, short = application(apps), application(apps)
    register(usual, pipeline)
    register(short, pipeline, time_limit=timedelta(minutes=2))
    for app, soft, hard in ((usual, HOUR, HOUR + 300), (short, 120, 240)):
        tasks = [task for name, task in app.tasks.items() if name.startswith("backupkit.")]
        assert len(tasks) == 7
        assert {(task.soft_time_limit, task.time_limit) for task in tasks} == {(soft, hard)}


def test_a_pause_is_shorter_than_what_the_broker_waits_for(
    apps: list[Celery], pipeline: BackupPipeline
) -> None:
    app = application(apps)
    register(app, pipeline, time_limit=timedelta(seconds=2), try_again=timedelta(seconds=1.9))
    fleet = app.tasks["backupkit.run"].fleet
    pauses = {fleet.pause() for _ in range(200)}
    assert len(pauses) > 100, "a crowd spreads"
    assert min(pauses) >= 1.9
    assert max(pauses) <= fleet.longest - fleet.hard_limit == 4


def test_where_redis_is_not_the_broker_a_lock_must_be_given(
    apps: list[Celery], pipeline: BackupPipeline, tmp_path: Path
) -> None:
    for broker in ("memory://", "redis://127.0.0.1:1/0;redis://127.0.0.1:2/0"):
        app = application(apps, broker)
        register(app, pipeline)
        with pytest.raises(
            ConfigurationError, match="is not one Redis server, which could keep the lock: give"
        ):
            worker_of(app)
        worker_of(app, queues="celery")  # one that makes no backups needs none
    with_lock = application(apps, "memory://")
    register(with_lock, pipeline, lock=DatabaseLock(f"sqlite:///{tmp_path / 'locks.sqlite3'}"))
    worker_of(with_lock)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"accept_content": ["json", "pickle"]}, "accept_content allows pickle, by which whoever reaches"),
        ({"result_serializer": "pickle"}, "result_serializer is 'pickle'"),
    ],
)
def test_a_worker_that_accepts_more_than_json_does_not_start(
    apps: list[Celery], pipeline: BackupPipeline, settings: dict[str, Any], why: str
) -> None:
    app = application(apps, **settings)
    register(app, pipeline)
    with pytest.raises(ConfigurationError, match=why):
        worker_of(app)


def test_a_worker_takes_one_message_for_each_process_and_has_a_limit_of_memory(
    apps: list[Celery], pipeline: BackupPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BACKUPKIT_MEMORY_LIMIT", raising=False)
    app = application(apps)
    register(app, pipeline)
    worker, other = worker_of(app), worker_of(app, queues="celery")
    assert (worker.prefetch_multiplier, worker.max_memory_per_child) == (1, 512_000_000 // 1024)
    assert (other.prefetch_multiplier, other.max_memory_per_child) == (4, None)
    assert worker_of(app, max_memory_per_child=5000).max_memory_per_child == 5000
    monkeypatch.setenv("BACKUPKIT_MEMORY_LIMIT", "1GB")
    production = application(apps)
    register(production, pipeline)
    assert worker_of(production).max_memory_per_child == 1_000_000_000 // 1024


def test_a_worker_in_which_nothing_can_be_stopped_says_so(
    apps: list[Celery], pipeline: BackupPipeline, caplog: pytest.LogCaptureFixture
) -> None:
    app = application(apps)
    register(app, pipeline)
    with caplog.at_level(logging.WARNING):
        worker_of(app, pool="solo")
    assert "backups have no time limit in it and no limit of memory" in caplog.text


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"lock": MachineLock()}, "is none that a whole fleet reaches"),
        ({"limits": {"s3://backups": 0}}, "The limit 's3://backups' of 0 runs is not possible"),
        ({"time_limit": timedelta(0)}, "time_limit=.* is not possible"),
        ({"try_again": timedelta(0)}, "try_again=.* is not possible"),
        ({"give_up_after": timedelta(-1)}, "give_up_after=.* is not possible"),
        ({"memory_limit": "512M"}, "is not a size"),
        ({"memory_limit": 1}, "less than a kilobyte"),
        ({"queue": ""}, "is no name of a queue"),
    ],
)
def test_what_is_not_possible_is_refused(
    apps: list[Celery], pipeline: BackupPipeline, options: dict[str, Any], why: str
) -> None:
    with pytest.raises(ConfigurationError, match=why):
        register(application(apps), pipeline, **options)


def test_backups_are_registered_once(apps: list[Celery], pipeline: BackupPipeline) -> None:
    app = application(apps)
    register(app, pipeline)
    with pytest.raises(ConfigurationError, match="has its backups already"):
        register(app, pipeline)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ([], "There is no pipeline"),
        (["shop"], "'shop' is no BackupPipeline"),
    ],
)
def test_only_pipelines_are_taken(apps: list[Celery], given: Any, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        register(application(apps), given)


def test_two_pipelines_of_one_name_are_refused(apps: list[Celery], pipeline: BackupPipeline) -> None:
    with pytest.raises(ConfigurationError, match="two pipelines called shop"):
        register(application(apps), [pipeline, pipeline])


def test_what_would_only_fail_later_is_refused_where_it_is_sent(
    apps: list[Celery], pipeline: BackupPipeline
) -> None:
    app = application(apps)
    register(app, pipeline)
    run, clean = app.tasks["backupkit.run"], app.tasks["backupkit.clean"]
    with pytest.raises(ConfigurationError, match="only='pictures' is not possible"):
        run.delay("shop", only="pictures")
    with pytest.raises(ConfigurationError, match="clean deals with all contents"):
        clean.delay("shop", only="files")
    with pytest.raises(ConfigurationError, match="holds a password") as refused:
        run.delay("shop", to="sftp://me:hunter2@host/backups")
    assert "hunter2" not in str(refused.value)
    with pytest.raises(ConfigurationError, match="time_limit=7200 is more than that of all backups, 3900"):
        run.apply_async(kwargs={"pipeline": "shop"}, time_limit=7200)


def test_a_message_is_json_in_the_queue_of_backups(apps: list[Celery], pipeline: BackupPipeline) -> None:
    app = application(apps, "memory://", task_serializer="pickle")
    register(app, pipeline, queue="night")
    app.tasks["backupkit.run"].delay("shop", only="files")
    with app.connection_for_read() as connection:
        message = connection.SimpleQueue("night").get(timeout=5)
    assert message.content_type == "application/json"
    assert message.headers["argsrepr"] == "('shop',)"


def test_a_task_that_is_called_runs_here(
    apps: list[Celery], pipeline: BackupPipeline, tmp_path: Path
) -> None:
    app = application(apps, "memory://")
    register(app, pipeline, lock=DatabaseLock(f"sqlite:///{tmp_path / 'locks.sqlite3'}"))
    report = app.tasks["backupkit.run"](notify=False)
    assert (report["operation"], report["outcome"]) == ("run", "succeeded")
    with pytest.raises(ConfigurationError, match="There is no pipeline 'shoop' here: use one of shop"):
        app.tasks["backupkit.run"]("shoop")
