"""One place in several processes, threads and loops, as Celery, Gunicorn and asynchronous hosts use a pipeline."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.storage.moto import moto, new_bucket

MODULE = """
import os
from backupkit import BackupPipeline, Directory, FsspecSource, Retry, open_destination

options = {"key": "any", "secret": "any", "endpoint_url": os.environ["ENDPOINT"], "time_limit": 20, "patience": 20}
bucket = os.environ["BUCKET"]
destination = open_destination(f"s3://{bucket}/backups", **options)
source = FsspecSource(f"s3://{bucket}/media", **options)
pipeline = BackupPipeline("shop", source, destination, encryptor=None, retry=Retry(tries=1))


def run(number=0):
    return pipeline.run().outcome
"""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto() as endpoint:
        yield endpoint


@pytest.fixture
def place(endpoint: str, tmp_path: Path) -> dict[str, str]:
    """The environment of programs that import the module `shop`, whose pipeline uses S3 on both ends."""
    (tmp_path / "shop.py").write_text(MODULE)
    environment = {
        **os.environ,
        "ENDPOINT": endpoint,
        "BUCKET": new_bucket(endpoint),
        "PYTHONPATH": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "PYTHONWARNINGS": "ignore::DeprecationWarning",  # of later versions, about forking beside threads
    }
    done = program(
        "shop.source._root.store()[0]._fs.pipe_file(f'{shop.bucket}/media/a.png', b'png')", environment
    )
    assert done == ""
    return environment


def program(code: str, environment: dict[str, str]) -> str:
    """What it prints; it must end by itself."""
    done = subprocess.run(
        [sys.executable, "-c", f"import shop\n{code}"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_a_parent_has_used_works_in_a_forked_child_and_goes_on_working_in_the_parent(
    place: dict[str, str],
) -> None:
    code = """
import os
print(shop.run(), flush=True)
child = os.fork()
if not child:
    print(shop.run(), flush=True)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
print(shop.run(), len(shop.pipeline.list().backups))
"""
    assert program(code, place).split() == ["succeeded", "succeeded", "0", "succeeded", "3"]


def test_a_ready_file_system_is_made_anew_in_a_forked_child(place: dict[str, str]) -> None:
    code = """
import os
from s3fs import S3FileSystem
fs = S3FileSystem(**{name: shop.options[name] for name in ("key", "secret", "endpoint_url")})
ready = shop.open_destination(shop.bucket, fs=fs)
ready.write("a", [b"1"])
child = os.fork()
if not child:
    print(b"".join(ready.read("a")), flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""
    assert program(code, place) == "b'1'\n"


def test_a_spawned_process_runs_a_pipeline_of_a_module(place: dict[str, str]) -> None:
    code = """
import multiprocessing
if __name__ == "__main__":
    shop.pipeline.list()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.map(shop.run, [1]), flush=True)
"""
    assert program(code, place) == "['succeeded']\n"


def test_an_asynchronous_host_runs_it_in_a_thread_or_even_in_its_loop(place: dict[str, str]) -> None:
    code = """
import asyncio

async def host():
    print(await asyncio.to_thread(shop.run))
    print(shop.run())

asyncio.run(host())
"""
    assert program(code, place).split() == ["succeeded", "succeeded"]


@pytest.mark.parametrize(
    "code",
    [
        "reading = shop.source.entries(); print(next(reading).path)",
        "shop.destination.write('a', [bytes(9 << 20)]); half = shop.destination.read('a'); print(len(next(half)))",
        "import threading; threading.Thread(target=shop.run, daemon=True).start(); print('begun')",
    ],
)
def test_a_process_ends_with_what_is_half_read_or_half_written(place: dict[str, str], code: str) -> None:
    assert program(code, place)


def test_celerys_prefork_workers_run_a_pipeline_that_the_parent_has_imported_and_used(
    place: dict[str, str], tmp_path: Path
) -> None:
    for folder in ("queue", "results"):
        (tmp_path / folder).mkdir()
    (tmp_path / "tasks.py").write_text(
        f"""
import shop
from celery import Celery

shop.pipeline.list()
folder = {str(tmp_path / "queue")!r}
app = Celery("tasks", broker="filesystem://", backend="file://{tmp_path / "results"}")
app.conf.broker_transport_options = {{
    "data_folder_in": folder, "data_folder_out": folder, "control_folder": {str(tmp_path / "control")!r}
}}
app.conf.broker_connection_retry_on_startup = True

@app.task
def backup():
    import os
    return shop.run(), os.getpid()
"""
    )
    worker = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "tasks",
        "worker",
        "--pool=prefork",
        "--concurrency=1",
    ]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(worker, env=place, cwd=tmp_path, stdout=log, stderr=log)
        try:
            code = "import tasks; result = tasks.backup.delay(); print(result.get(timeout=40))"
            outcome, child = eval(program(code, place))  # noqa: S307 - what the line above prints
        except BaseException:
            print((tmp_path / "log").read_text())  # noqa: T201 - pytest shows it
            raise
        finally:
            process.terminate()
            process.wait(30)
    assert outcome == "succeeded"
    assert child != process.pid
