"""What Prometheus is told, by its own parser, over HTTP and in files."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge, generate_latest, start_http_server
from prometheus_client.parser import text_string_to_metric_families

from backupkit import (
    BackupPipeline,
    ConfigurationError,
    DestinationResult,
    KeepLast,
    MaximumAge,
    Problem,
    PrometheusObserver,
    Report,
)
from backupkit.events import Finished
from backupkit.model import Outcome
from backupkit.observers.metric_values import MetricValues
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination
from tests.pipeline.shop import Clock, NoLock, Scripted, down

NOW = datetime(2026, 11, 23, 3, tzinfo=UTC)
FULL = [Scripted("app", {"app/a": b"a" * 1000}), Scripted("dumps", {"db-dumps/a": b"dump"}, "databases")]
PLACE = {"pipeline": "shop", "destination": "memory:memory"}


def pipeline(observer: PrometheusObserver, to: Any = None, **options: Any) -> BackupPipeline:
    settings: dict[str, Any] = {"name": "shop", "sources": FULL, "encryptor": None, "lock": NoLock()}
    settings |= {"clock": Clock(NOW), "observers": [observer]} | options
    return BackupPipeline(destinations=to or MemoryDestination(), **settings)


def parsed(text: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Each sample by its name, without the common beginning."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation.endswith(".")
        for sample in family.samples:
            found.setdefault(sample.name.removeprefix("backupkit_"), []).append((sample.labels, sample.value))
    return found


def scraped(observer: PrometheusObserver) -> dict[str, list[tuple[dict[str, str], float]]]:
    return parsed(generate_latest(observer.registry).decode())


def of(
    samples: dict[str, list[tuple[dict[str, str], float]]], name: str, **labels: str
) -> dict[str, float] | float | None:
    """The values of a metric with these labels, by what is left of the labels."""
    found = {
        ",".join(value for key, value in sorted(has.items()) if key not in labels and key not in PLACE): value
        for has, value in samples.get(name, [])
        if labels.items() <= has.items()
    }
    return found.get("") if set(found) == {""} else found or None


def ended(
    outcome: Outcome = "succeeded", location: str = "file:///mnt", name: str = "shop", **more: Any
) -> Finished:
    result = DestinationResult(location=location, outcome=outcome)
    report = Report(
        operation="run",
        outcome=outcome,
        name=name,
        started=NOW,
        took=timedelta(seconds=90),
        destinations=(result,),
    )
    return Finished(replace(report, **more))


# What a report changes


def test_a_run_says_when_which_contents_were_last_backed_up_and_how_large_they_are() -> None:
    observer = PrometheusObserver()
    shop = pipeline(observer)
    report = shop.run()
    backup = report.destinations[0].backup
    assert backup is not None
    samples = scraped(observer)
    assert of(samples, "last_success_timestamp_seconds", **PLACE) == {
        "databases": NOW.timestamp(),
        "files": NOW.timestamp(),
    }
    assert of(samples, "newest_stored_bytes", **PLACE) == {"databases+files": backup.stored}
    assert of(samples, "operation_read_bytes", pipeline="shop", operation="run") == report.read
    assert of(samples, "operation_written_bytes", operation="run") == report.written
    assert of(samples, "operation_entries", operation="run") == report.entries
    assert of(samples, "operation_last_end_timestamp_seconds", operation="run") == NOW.timestamp()
    assert of(samples, "operation_outcome", operation="run") == {"succeeded": 1, "incomplete": 0, "failed": 0}
    assert of(samples, "destination_outcome", operation="run") == {
        "succeeded": 1,
        "incomplete": 0,
        "failed": 0,
        "unknown": 0,
    }


def test_databases_alone_leave_the_time_of_the_files_as_it_was() -> None:
    observer, clock = PrometheusObserver(), Clock(NOW)
    shop = pipeline(observer, clock=clock)
    shop.run()
    clock.forward(hours=6)
    shop.run(only="databases")
    assert of(scraped(observer), "last_success_timestamp_seconds") == {
        "databases": clock.now.timestamp(),
        "files": NOW.timestamp(),
    }


def test_a_run_that_failed_or_lost_something_is_no_success() -> None:
    observer, clock = PrometheusObserver(), Clock(NOW)
    dead = FaultyDestination(
        MemoryDestination("dead"), [Fault(method="write", does=down(retryable=False), call=None)]
    )
    shop = pipeline(observer, [MemoryDestination("good"), dead], clock=clock)
    shop.run()
    samples = scraped(observer)
    assert of(samples, "last_success_timestamp_seconds", destination="memory:dead") is None
    assert of(samples, "destination_outcome", destination="memory:dead", outcome="failed") == {"run": 1}
    assert of(samples, "operation_problems", severity="error") == {"run": 1}
    clock.forward(days=1)
    shop.sources = (Scripted("app", {"app/a": b"a", "app/b": Problem(message="lost")}), FULL[1])
    shop.run(to="memory:good")
    samples = scraped(observer)
    assert of(samples, "last_success_timestamp_seconds", contents="files") == NOW.timestamp()
    assert of(samples, "operations_total", operation="run") == {"succeeded": 0, "incomplete": 2, "failed": 0}
    assert of(samples, "operation_last_success_timestamp_seconds") is None


def test_a_monitor_says_what_is_there_and_whether_it_is_healthy() -> None:
    observer, clock = PrometheusObserver(), Clock(NOW)
    shop = pipeline(observer, clock=clock, checks=[MaximumAge(days=1)])
    shop.run()
    clock.forward(hours=6)
    shop.run(only="databases")
    fresh = PrometheusObserver()
    shop.observers = (fresh,)
    report = shop.monitor()
    samples = scraped(fresh)
    assert of(samples, "backups", **PLACE) == {"databases": 1, "databases+files": 1}
    summary = report.destinations[0].summary
    assert summary is not None
    assert sum(value for _, value in samples["stored_bytes"]) == summary.stored
    assert of(samples, "last_success_timestamp_seconds", **PLACE) == {
        "databases": clock.now.timestamp(),
        "files": NOW.timestamp(),
    }
    assert (of(samples, "healthy", **PLACE), of(samples, "check_failing")) == (1, None)
    clock.forward(days=2)
    shop.monitor()
    samples = scraped(fresh)
    assert (of(samples, "healthy", **PLACE), of(samples, "check_failing")) == (0, {"MaximumAge": 1})
    shop.run()
    shop.monitor()
    samples = scraped(fresh)
    assert (of(samples, "healthy", **PLACE), of(samples, "check_failing")) == (1, {"MaximumAge": 0})


def test_backups_that_have_disappeared_are_noticed_and_a_silent_destination_changes_nothing() -> None:
    observer, memory = PrometheusObserver(), MemoryDestination()
    shop = pipeline(observer, memory)
    shop.run()
    shop.monitor()
    before = scraped(observer)
    shop.destinations = (
        FaultyDestination(memory, [Fault(method="list", does=down(retryable=False), call=None)]),
    )
    shop.monitor()
    silent = scraped(observer)
    for name in ("last_success_timestamp_seconds", "backups", "stored_bytes"):
        assert silent[name] == before[name]
    assert (of(silent, "healthy"), of(silent, "check_failing")) == (0, {"Reachable": 1})
    memory.objects.clear()
    shop.destinations = (memory,)
    shop.monitor()
    gone = scraped(observer)
    assert of(gone, "last_success_timestamp_seconds") == {"databases": 0, "files": 0}
    for name in ("backups", "stored_bytes", "newest_stored_bytes"):
        assert of(gone, name) == {"databases+files": 0}


def test_cleaning_counts_what_it_freed_and_a_dry_run_counts_for_nothing() -> None:
    observer, clock = PrometheusObserver(), Clock(NOW)
    shop = pipeline(observer, clock=clock, retention=KeepLast(1))
    freed = 0
    for _ in range(3):
        shop.run()
        clock.forward(hours=1)
        shop.clean(dry_run=True)
        freed += shop.clean().destinations[0].freed
    samples = scraped(observer)
    assert freed > 0
    assert of(samples, "freed_bytes_total", **PLACE) == freed
    assert of(samples, "removed_backups_total", **PLACE) == 2
    assert of(samples, "operations_total", operation="clean", outcome="succeeded") == 3


def test_verifying_and_drills_say_when_and_a_monitor_elsewhere_knows_it() -> None:
    observer, clock = PrometheusObserver(), Clock(NOW)
    shop = pipeline(observer, clock=clock, sources=FULL[0])
    shop.run()
    shop.verify()
    clock.forward(hours=1)
    shop.drill(assertions=[lambda restored: False])
    assert of(scraped(observer), "last_proven_timestamp_seconds") is None
    clock.forward(hours=1)
    shop.drill()
    elsewhere = PrometheusObserver()
    shop.observers = (elsewhere,)
    shop.monitor()
    for one in (observer, elsewhere):
        samples = scraped(one)
        assert of(samples, "last_proven_timestamp_seconds", **PLACE) == clock.now.timestamp()
    assert of(scraped(observer), "last_verified_timestamp_seconds", **PLACE) == NOW.timestamp()


def test_a_monitor_sees_the_newest_backup_and_does_not_forget_that_an_older_one_was_verified_since() -> None:
    observer, clock = PrometheusObserver(), Clock(NOW)
    shop = pipeline(observer, clock=clock)
    old = shop.run().destinations[0].backup
    assert old is not None
    clock.forward(hours=1)
    shop.run()
    shop.verify()
    clock.forward(hours=1)
    shop.verify(old)
    shop.monitor()
    assert of(scraped(observer), "last_verified_timestamp_seconds", **PLACE) == clock.now.timestamp()


def test_an_error_without_a_backup_is_told_of_the_operation() -> None:
    observer = PrometheusObserver()
    with pytest.raises(ConfigurationError):
        pipeline(observer, sources=FULL[0]).run(only="databases")
    assert of(scraped(observer), "operation_outcome", operation="run") == {
        "succeeded": 0,
        "incomplete": 0,
        "failed": 1,
    }


# Scraping


def test_one_registry_serves_several_pipelines_beside_the_applications_own_metrics_over_http() -> None:
    registry = CollectorRegistry()
    Gauge("orders", "Orders that are open.", registry=registry).set(3)
    for name in ("shop", "blog", "shop"):
        pipeline(PrometheusObserver(registry=registry), name=name).run()
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    try:
        with urlopen(f"http://127.0.0.1:{server.server_port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert text.count("# HELP backupkit_operations_total ") == 1
    samples = parsed(text)
    assert samples["orders"] == [({}, 3.0)]
    assert {
        labels["pipeline"]: value
        for labels, value in samples["operations_total"]
        if labels["outcome"] == "succeeded"
    } == {"shop": 2, "blog": 1}


def test_observers_have_registries_of_their_own_unless_one_is_given() -> None:
    one, other = PrometheusObserver(), PrometheusObserver()
    one(ended())
    assert scraped(one)
    assert scraped(other) == {}


def test_another_program_cannot_take_the_names_of_our_metrics() -> None:
    registry = CollectorRegistry()
    PrometheusObserver(registry=registry)
    with pytest.raises(ValueError, match="Duplicated"):
        Gauge("backupkit_healthy", "Ours.", registry=registry)


def test_a_name_that_is_not_text_does_not_keep_the_rest_from_being_scraped() -> None:
    observer = PrometheusObserver()
    observer(ended(location='file:///mnt/\udcff"\n\\'))
    (labels, _), *_ = scraped(observer)["destination_outcome"]
    assert labels["destination"] == 'file:///mnt/\\udcff"\n\\'


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'backupkit\[metrics\]'"):
        PrometheusObserver()


# Text files


def in_file(path: Path) -> dict[str, list[tuple[dict[str, str], float]]]:
    return parsed(path.read_text(encoding="utf-8"))


def test_a_file_keeps_what_earlier_observers_and_other_pipelines_wrote(tmp_path: Path) -> None:
    path, clock = tmp_path / "backups.prom", Clock(NOW)
    memory = MemoryDestination()

    def shop() -> BackupPipeline:
        return pipeline(PrometheusObserver(textfile=path), memory, clock=clock)

    shop().run()
    shop().monitor()
    clock.forward(hours=6)
    shop().run(only="databases")
    pipeline(PrometheusObserver(textfile=path), name="blog").run()
    samples = in_file(path)
    assert of(samples, "last_success_timestamp_seconds", pipeline="shop") == {
        "databases": clock.now.timestamp(),
        "files": NOW.timestamp(),
    }
    assert of(samples, "healthy", pipeline="shop") == 1
    assert of(samples, "operations_total", pipeline="shop", outcome="succeeded") == {"run": 2, "monitor": 1}
    assert of(samples, "operations_total", pipeline="blog", outcome="succeeded") == {"run": 1}


SCRIPT = """
import sys
from datetime import UTC, datetime, timedelta
from backupkit import PrometheusObserver, Report
from backupkit.events import Finished

observer = PrometheusObserver(textfile=sys.argv[1])
for _ in range(15):
    observer(Finished(Report(operation="run", outcome="succeeded", name=sys.argv[2],
        started=datetime.now(UTC), took=timedelta(seconds=1))))
"""


def test_processes_and_threads_that_share_a_file_lose_nothing_of_each_others(tmp_path: Path) -> None:
    path = tmp_path / "backups.prom"
    observer = PrometheusObserver(textfile=path)
    with (
        subprocess.Popen([sys.executable, "-W", "error", "-c", SCRIPT, str(path), "shop"]) as process,
        ThreadPoolExecutor(2) as threads,
    ):
        for name in ["shop", "blog"] * 10:
            threads.submit(observer, ended(name=name))
    assert process.returncode == 0
    samples = in_file(path)
    assert of(samples, "operations_total", pipeline="shop", outcome="succeeded") == {"run": 25}
    assert of(samples, "operations_total", pipeline="blog", outcome="succeeded") == {"run": 10}
    assert sorted(one.name for one in tmp_path.iterdir()) == ["backups.prom", "backups.prom.lock"]


def test_others_can_read_the_file_and_a_mode_that_it_was_given_stays(tmp_path: Path) -> None:
    path = tmp_path / "backups.prom"
    observer = PrometheusObserver(textfile=path)
    before = os.umask(0o077)
    try:
        observer(ended())
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
        path.chmod(0o640)
        observer(ended())
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def written() -> str:
    values = MetricValues()
    values.learn(ended().report)
    registry = CollectorRegistry()
    registry.register(values)
    return generate_latest(registry).decode()


@given(
    st.text()
    | st.builds(
        lambda text, at, more: text[:at] + more + text[at + 1 :],
        st.just(written()),
        st.integers(0, len(written())),
        st.text(max_size=3) | st.sampled_from(["{", "}", '"', "\\", "\n", " NaN", "#", "="]),
    )
)
def test_whatever_text_a_file_holds_it_is_read_or_refused(content: str) -> None:
    values = MetricValues()
    with suppress(ValueError):
        values.load(content)
    values.learn(ended().report)
    assert [*values.collect()]


@pytest.mark.parametrize(
    "content", [b"\xff", b"a{", b"\0", b"<html>", b'backupkit_healthy{pipeline="shop",destination="a"} NaN\n']
)
def test_a_file_that_is_not_ours_is_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "backups.prom"
    path.write_bytes(content)
    PrometheusObserver(textfile=path)(ended())
    samples = in_file(path)
    assert of(samples, "operations_total", outcome="succeeded") == {"run": 1}
    assert "healthy" not in samples


def test_of_a_file_that_is_broken_in_the_middle_nothing_is_believed(tmp_path: Path) -> None:
    path = tmp_path / "backups.prom"
    PrometheusObserver(textfile=path)(ended(name="blog"))
    path.write_text(path.read_text(encoding="utf-8") + 'backupkit_healthy{pipeline="sh', encoding="utf-8")
    PrometheusObserver(textfile=path)(ended())
    assert {labels["pipeline"] for labels, _ in in_file(path)["destination_outcome"]} == {"shop"}


def test_a_file_that_cannot_be_written_is_a_warning_and_what_is_scraped_is_right(tmp_path: Path) -> None:
    observer = PrometheusObserver(textfile=tmp_path / "missing" / "backups.prom")
    report = pipeline(observer).run()
    assert report.outcome == "succeeded"
    (problem,) = report.problems
    assert (problem.severity, problem.check) == ("warning", "observer")
    assert of(scraped(observer), "operations_total", outcome="succeeded") == {"run": 1}


def test_a_file_that_the_node_exporter_would_not_read_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r'names end with "\.prom"'):
        PrometheusObserver(textfile="/var/lib/node_exporter/backups.txt")
