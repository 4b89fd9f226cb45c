"""Whose turn it is: which lock and which limits a run takes, and what is told to whom that is not next."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from backupkit import (
    BackupAlreadyRunningError,
    BackupPipeline,
    Directory,
    Limits,
    LocalDestination,
    MachineLock,
    Redis,
)
from backupkit.integrations.celery.turns import NotNowError, turn
from backupkit.protocols import Lock
from backupkit.scheduling import Job

AT_ONCE = timedelta(0)
RUN = Job("run")


@pytest.fixture
def lock(tmp_path: Path) -> MachineLock:
    return MachineLock(tmp_path / "fleet")


def pipeline(folder: Path, lock: Lock | None = None) -> BackupPipeline:
    return BackupPipeline(
        "shop",
        [Directory(folder), Redis("redis://db1.internal")],
        [LocalDestination(folder / "one"), LocalDestination(folder / "two")],
        encryptor=None,
        lock=lock,
    )


def is_held(lock: Lock, name: str) -> bool:
    try:
        with lock.hold(name, wait=AT_ONCE):
            return False
    except BackupAlreadyRunningError:
        return True


def test_a_run_has_the_lock_of_the_fleet_and_gives_it_back(tmp_path: Path, lock: MachineLock) -> None:
    shop = pipeline(tmp_path)
    with turn(shop, RUN, lock=lock, limits=None, last=False):
        assert is_held(lock, shop.lock_name)
    assert not is_held(lock, shop.lock_name)


def test_a_lock_that_a_pipeline_has_itself_stays(tmp_path: Path, lock: MachineLock) -> None:
    own = MachineLock(tmp_path / "own")
    shop = pipeline(tmp_path, own)
    with turn(shop, RUN, lock=lock, limits=None, last=False):
        assert (is_held(own, shop.lock_name), is_held(lock, shop.lock_name)) == (True, False)


@pytest.mark.parametrize("verb", ["clean", "monitor", "verify", "drill", "summary"])
def test_other_jobs_wait_for_nobody(tmp_path: Path, lock: MachineLock, verb: str) -> None:
    shop = pipeline(tmp_path)
    with (
        lock.hold(shop.lock_name, wait=AT_ONCE),
        turn(shop, Job(verb), lock=lock, limits=None, last=False),  # type: ignore[arg-type]
    ):
        pass


@pytest.mark.parametrize(
    ("job", "waits"),
    [
        (RUN, True),
        (Job("run", only="databases", to="{folder}/two"), True),
        (Job("run", to="{folder}/one"), True),
        (Job("run", only="files", to="{folder}/two"), False),
    ],
)
def test_a_run_counts_by_what_it_uses(tmp_path: Path, lock: MachineLock, job: Job, waits: bool) -> None:
    limits = Limits({"db1.internal": 1, f"file://{tmp_path}/one": 1}, lock=lock)
    if job.to is not None:
        job = Job("run", only=job.only, to=job.to.format(folder=tmp_path))
    shop, other = pipeline(tmp_path), Redis("redis://db1.internal")
    with limits.hold([LocalDestination(tmp_path / "one")], [other]):
        if waits:
            with (
                pytest.raises(NotNowError, match="No more runs than 1 may use"),
                turn(shop, job, lock=lock, limits=limits, last=False),
            ):
                pass
            assert not is_held(lock, shop.lock_name), "whoever is not next keeps nobody waiting"
        else:
            with turn(shop, job, lock=lock, limits=limits, last=False):
                pass


def test_at_the_last_attempt_the_pipeline_fails_by_itself(tmp_path: Path, lock: MachineLock) -> None:
    shop = pipeline(tmp_path)
    with (
        lock.hold(shop.lock_name, wait=AT_ONCE),
        turn(shop, RUN, lock=lock, limits=None, last=True) as mine,
        pytest.raises(BackupAlreadyRunningError),
    ):
        mine.run()
    assert shop.lock == MachineLock(), "the pipeline of others is as it was"
