"""Settings in, pipelines out: where they are found, what their short forms mean, and what each pipeline shares."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from backupkit import (
    Directory,
    KeepAll,
    KeepLast,
    LocalDestination,
    MaximumAge,
    Parallel,
    Passphrase,
    PostgreSQL,
    PruneLimits,
    Restic,
    SQLite,
    TieredRetention,
    Zstd,
)
from backupkit.config import Settings, find, from_mapping, load
from backupkit.errors import ConfigurationError
from backupkit.scheduling import Scheduled

SMALL = """
[pipelines.shop]
sources = "data"
destinations = "backups"
encryptor = "none"
"""


def settings(**keys: object) -> Settings:
    """Of one pipeline, with these keys besides what it needs."""
    needed = {"sources": "/srv/shop", "destinations": "/mnt/backup", "encryptor": "none"}
    return from_mapping({"pipelines": {"shop": {**needed, **keys}}}, environ={})


def test_a_pipeline_made_of_a_file_backs_up_what_the_file_says(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "fruit").write_text("apples")
    (tmp_path / "backups").mkdir()
    (tmp_path / "backupkit.toml").write_text(SMALL)
    pipeline = load(tmp_path / "backupkit.toml").pipeline()
    assert (pipeline.name, pipeline.run().outcome) == ("shop", "succeeded")
    assert pipeline.open("latest", "data/fruit").read() == b"apples"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
@pytest.mark.parametrize(
    ("file", "text"),
    [("backupkit.toml", ""), ("pyproject.toml", "[tool.backupkit]\n")],
    ids=["own", "project"],
)
def test_settings_above_that_belong_to_a_stranger_are_refused(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / file).write_text(text)
    assert find(tmp_path / "below") == tmp_path / file
    os.chown(tmp_path / file, 12345, -1)
    with pytest.raises(
        ConfigurationError, match="belong to user 12345, neither to you nor to the folder's owner"
    ):
        find(tmp_path / "below")
    assert find(tmp_path) == tmp_path / file  # whoever works in a folder has looked at it
    os.chown(tmp_path / "below", 12345, -1)
    assert find(tmp_path / "below") == tmp_path / file


def test_the_settings_of_the_nearest_folder_above_are_found(tmp_path: Path) -> None:
    (tmp_path / "backupkit.toml").write_text(SMALL)
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "pyproject.toml").write_text("[project]\nname = 'a'\n")
    assert find(tmp_path / "a" / "b") == tmp_path / "backupkit.toml"
    (tmp_path / "a" / "pyproject.toml").write_text("[tool.backupkit.pipelines.a]\n")
    assert find(tmp_path / "a" / "b") == tmp_path / "a" / "pyproject.toml"


def test_a_project_file_that_is_no_toml_is_found_only_if_it_has_settings(tmp_path: Path) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text("[project\n")
    assert find(tmp_path) != project
    project.write_text("[project\n[tool.backupkit]\n")
    assert find(tmp_path) == project


def test_without_a_path_the_settings_of_the_current_folder_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text(SMALL.replace("[pipelines", "[tool.backupkit.pipelines"))
    monkeypatch.chdir(tmp_path)
    found = load()
    assert (found.path, [*found.pipelines]) == (tmp_path / "pyproject.toml", ["shop"])


def test_relative_paths_begin_in_the_folder_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "backupkit.toml").write_text(
        SMALL.replace(
            '"data"', '["data", "sqlite:///app.db", { type = "directory", path = "~/x", name = "x" }]'
        )
    )
    monkeypatch.chdir("/")
    pipeline = load(tmp_path / "backupkit.toml").pipeline()
    directory, database, home = pipeline.sources
    (destination,) = pipeline.destinations
    assert isinstance(directory, Directory)
    assert directory.path == tmp_path / "data"
    assert isinstance(database, SQLite)
    assert database.path == tmp_path / "app.db"
    assert isinstance(home, Directory)
    assert str(tmp_path) not in str(home.path)
    assert isinstance(destination, LocalDestination)
    assert destination.folder == tmp_path / "backups"


def test_the_pipeline_of_a_name_and_the_only_one_are_given() -> None:
    table = {"sources": "/srv/shop", "destinations": "/mnt/backup", "encryptor": "none"}
    both = from_mapping({"pipelines": {"shop": table, "forum": table}}, environ={})
    assert both.pipeline("forum").name == "forum"
    with pytest.raises(ConfigurationError, match="name one of shop, forum"):
        both.pipeline()
    with pytest.raises(ConfigurationError, match=r"no pipeline 'blog' .*shop, forum"):
        both.pipeline("blog")
    assert from_mapping({"pipelines": {"shop": table}}, environ={}).pipeline().name == "shop"


def test_what_is_in_defaults_holds_for_each_pipeline_that_does_not_say_it_itself() -> None:
    found = from_mapping(
        {
            "defaults": {
                "destinations": "/mnt/backup",
                "encryptor": "none",
                "retention": {"type": "keep_last", "count": 3},
            },
            "pipelines": {
                "shop": {"sources": "/srv/shop"},
                "forum": {"sources": "/srv/forum", "retention": "keep_all"},
            },
        },
        environ={},
    )
    assert found.pipeline("shop").retention == KeepLast(3)
    assert found.pipeline("forum").retention == KeepAll()


def test_a_text_among_the_sources_is_a_path_or_the_url_of_a_database() -> None:
    directory, database, memory = (
        settings(sources=["/srv/shop", "postgresql://shop:secret@db.example/shop", "memory://bucket"])
        .pipeline()
        .sources
    )
    assert isinstance(directory, Directory)
    assert isinstance(database, PostgreSQL)
    assert database.url.password == "secret"
    assert memory.name == "bucket"


def test_a_short_form_is_filled_in_once() -> None:
    (source,) = settings(sources="/srv/a$${b}", destinations="/mnt/$${c}").pipeline().sources
    assert isinstance(source, Directory)
    assert str(source.path) == "/srv/a${b}"


def test_options_of_a_database_are_those_of_its_engine() -> None:
    (source,) = (
        settings(
            sources={
                "type": "database",
                "url": "postgresql://h/shop",
                "time_limit": "15 minutes",
                "inserts": True,
            }
        )
        .pipeline()
        .sources
    )
    assert isinstance(source, PostgreSQL)
    assert (source.limits.time, source.inserts) == (timedelta(minutes=15), True)


def test_parts_stand_within_parts() -> None:
    pipeline = settings(
        retention={"type": "all_of", "policies": ["keep_all", {"type": "keep_last", "count": 5}]},
        format={"type": "restic", "pruning": {"max_unused": "10%"}, "lock_wait": "PT1M"},
        encryptor={"passphrase": "correct horse battery"},
        destinations={"type": "throttled", "destination": "/mnt/backup", "bytes_per_second": "5MB"},
        sources={"type": "parallel", "sources": ["mysql://h/a", "redis://h/"], "at_once": 3},
    ).pipeline()
    assert repr(pipeline.retention) == "all_of(KeepAll(), KeepLast(count=5))"
    assert pipeline.format == Restic(pruning=PruneLimits(max_unused="10%"), lock_wait=timedelta(minutes=1))
    assert repr(pipeline.destinations[0]) == "Throttled(LocalDestination('/mnt/backup'))"
    assert isinstance(pipeline.sources[0], Parallel)
    assert (len(pipeline.sources[0].sources), pipeline.sources[0].at_once) == (2, 3)


def test_what_is_not_said_is_as_it_is_in_python() -> None:
    pipeline = settings().pipeline()
    assert pipeline.retention == TieredRetention()
    assert MaximumAge(days=1) in pipeline.checks
    assert pipeline.encryptor is None


def test_numbers_durations_and_sizes_are_read() -> None:
    pipeline = settings(
        compressor={"type": "zstd", "level": 5},
        retention={"type": "tiered", "max_size": "50GB"},
        checks=[{"type": "maximum_age", "hours": 1.5}],
        leftovers_after="6h",
    ).pipeline()
    assert isinstance(pipeline.compressor, Zstd)
    assert pipeline.compressor.level == 5
    assert isinstance(pipeline.retention, TieredRetention)
    assert pipeline.retention.max_size == 50_000_000_000
    assert pipeline.checks == (MaximumAge(hours=1.5),)


def test_urls_mean_notifiers_histories_and_locks() -> None:
    pipeline = settings(
        notifiers="mailto://127.0.0.1/?from=a@shop.example&to=b@shop.example",
        history="sqlite:////tmp/history.sqlite3",
        lock="redis://:secret@127.0.0.1/0",
    ).pipeline()
    assert repr(pipeline.notifiers) == "(AppriseNotifier(E-Mail),)"
    assert repr(pipeline.history) == "DatabaseHistory('sqlite:////tmp/history.sqlite3')"
    assert repr(pipeline.lock) == "RedisLock('redis://127.0.0.1/0')"
    assert (
        repr(settings(lock="sqlite:////tmp/locks").pipeline().lock) == "DatabaseLock('sqlite:////tmp/locks')"
    )


def test_the_options_of_a_file_system_are_passed_on() -> None:
    pipeline = settings(
        destinations={
            "url": "s3://shop-backups",
            "endpoint_url": "https://s3.example",
            "key": "id",
            "part_size": 1 << 20,
        }
    ).pipeline()
    assert pipeline.destinations[0].location == "s3://shop-backups?endpoint_url=https://s3.example"
    assert pipeline.destinations[0].part_size == 1 << 20  # type: ignore[attr-defined]


def test_a_pipeline_without_a_schedule_has_none() -> None:
    assert settings().schedules == {}
    assert settings(schedule="none").schedules == {}


def test_the_usual_schedule_leaves_out_what_the_pipeline_cannot_do() -> None:
    jobs = settings(schedule="usual").schedules["shop"].jobs
    assert [str(one.job) for one in jobs] == ["run", "clean", "monitor"]
    with_database = settings(schedule="usual", sources=["/srv/shop", "redis://h/"]).schedules["shop"].jobs
    assert "run --only databases" in [str(one.job) for one in with_database]


def test_a_schedule_is_a_table_or_a_list_of_jobs() -> None:
    job = {"when": "30 2 * * *", "verb": "run", "only": "files"}
    schedule = settings(
        schedule={"jobs": [job], "time_zone": "Europe/Berlin", "jitter": "5 minutes"}
    ).schedules["shop"]
    assert (schedule.jobs, schedule.time_zone) == (
        (Scheduled("30 2 * * *", "run", only="files"),),
        "Europe/Berlin",
    )
    assert schedule.jitter == timedelta(minutes=5)
    assert settings(schedule=[job]).schedules["shop"].jobs == schedule.jobs


def test_every_argument_of_a_pipeline_that_plain_data_can_say_is_a_key() -> None:
    with pytest.raises(ConfigurationError, match="Known are") as caught:
        settings(colour="red")
    assert str(caught.value).partition("Known are ")[2] == (
        "checks, compressor, delivery, destinations, encryptor, format, history, leftovers_after, lock, memory, "
        "notifiers, observers, retention, retry, schedule, sources, stall_limit."
    )


def test_a_passphrase_is_looked_for_when_it_is_first_needed(tmp_path: Path) -> None:
    environ: dict[str, str] = {}
    table = {"sources": "/srv/shop", "destinations": "/mnt/backup"}
    secret = tmp_path / "secret"
    found = from_mapping(
        {
            "pipelines": {
                "a": {**table, "encryptor": "environment"},
                "b": {**table, "encryptor": {"passphrase": "${OTHER}", "previous": [f"file:{secret}"]}},
                "c": {**table, "encryptor": f"file:{secret}"},
            }
        },
        environ=environ,
    )
    environ |= {"BACKUP_ARCHIVE_PASSWORD": "of a", "OTHER": "of b"}
    secret.write_text("of c\nmore")
    passphrases = [found.pipeline(name).encryptor for name in "abc"]
    assert [one.reveal() for one in passphrases if isinstance(one, Passphrase)] == [b"of a", b"of b", b"of c"]
    assert isinstance(passphrases[1], Passphrase)
    assert [one.reveal() for one in passphrases[1].candidates()] == [b"of b", b"of c"]
