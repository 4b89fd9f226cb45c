"""What is wrong with a pipeline is said when it is made, in one sentence, and without any I/O."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest

from backupkit import (
    AppriseNotifier,
    BackupPipeline,
    Command,
    ConfigurationError,
    DatabaseHistory,
    DatabaseNotifier,
    DeadManPing,
    Directory,
    FileMemory,
    FutureDated,
    Leftovers,
    LocalDestination,
    LoggingObserver,
    MaximumAge,
    Passphrase,
    PrometheusObserver,
    Retry,
    SQLite,
    TieredRetention,
    UnsupportedCodecError,
    WebhookNotifier,
    Zip,
)
from backupkit.testing.destinations import MemoryDestination
from backupkit.testing.notifiers import RecordingNotifier
from tests.leftovers import open_files
from tests.pipeline.shop import Make, Scripted, names

FILES = Scripted("app", {"app/a": b"a"})


@pytest.mark.parametrize("name", ["shop", "shop-2", "a", "1", "Shop_of.the-year", "backupkit2"])
def test_a_name_may_be_what_names_a_folder_everywhere(make: Make, name: str) -> None:
    pipeline = make(FILES, MemoryDestination(), name=name)
    pipeline.run()
    assert pipeline.get().name == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        ".hidden",
        "-rf",
        "a/b",
        "../shop",
        "a b",
        "shop\n",
        "laden-für-alles",
        "backupkit",
        "BackupKit",
        "shop.",
        "aux",
        "a\0",
    ],
    ids=ascii,
)
def test_a_name_that_might_not_is_refused(make: Make, name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot name a folder at every destination: use letters"):
        make(FILES, MemoryDestination(), name=name)


def test_two_sources_of_one_name_are_refused(make: Make, tmp_path: Path) -> None:
    for pair in (
        [Directory("/srv/a/uploads"), Directory("/srv/b/uploads")],
        [SQLite("/srv/a/app.db"), SQLite("/srv/b/app.db")],
        [Command(["true"], name="dump"), Command(["false"], name="dump")],
    ):
        with pytest.raises(
            ConfigurationError, match=r"Two sources are called .* give one of them another name="
        ):
            make(pair, MemoryDestination())
    make([Directory("/srv/a/uploads"), Directory("/srv/b/uploads", name="b")], MemoryDestination())


def test_a_pipeline_without_sources_is_refused(make: Make) -> None:
    with pytest.raises(ConfigurationError, match="There is no source: name at least one"):
        make([], MemoryDestination())


@pytest.mark.parametrize("source", ["/srv/shop", Path("/srv/shop")], ids=repr)
def test_a_path_in_place_of_a_source_is_refused(make: Make, source: object) -> None:
    for sources in (source, [source]):
        with pytest.raises(
            ConfigurationError, match=r"'/srv/shop' is not a source.*Directory\('/srv/shop'\)"
        ):
            make(sources, MemoryDestination())


def test_a_pipeline_without_destinations_is_refused(make: Make) -> None:
    with pytest.raises(ConfigurationError, match="There is no destination: name at least one"):
        make(FILES, [])


def test_one_destination_twice_is_refused(make: Make, tmp_path: Path) -> None:
    for pair in (
        [tmp_path, tmp_path],
        [tmp_path, str(tmp_path)],
        [tmp_path.as_uri(), LocalDestination(tmp_path)],
        [tmp_path, tmp_path / "x/.."],
        [MemoryDestination(), MemoryDestination()],
    ):
        with pytest.raises(ConfigurationError, match="is named twice: name it once"):
            make(FILES, pair)


def test_a_destination_of_an_unknown_kind_is_refused_without_repeating_its_password(make: Make) -> None:
    with pytest.raises(ConfigurationError, match="There is no kind of destination") as caught:
        make(FILES, "nothing://me:geheim@host/backups")
    assert "geheim" not in str(caught.value)


def test_contents_that_no_source_has_are_refused(make: Make) -> None:
    destination = MemoryDestination()
    with pytest.raises(ConfigurationError, match="has no source of databases: run it without only="):
        make(FILES, destination).run(only="databases")
    assert destination.objects == {}


class Rot13:
    """A codec that no format has heard of."""

    algorithm = scheme = "ROT 13"


def test_a_codec_that_the_format_cannot_record_is_refused(make: Make) -> None:
    with pytest.raises(UnsupportedCodecError, match="ZIP archives cannot hold 'ROT 13'"):
        make(FILES, MemoryDestination(), compressor=Rot13())
    with pytest.raises(UnsupportedCodecError, match="'ROT 13' cannot stand in an object's name"):
        make(FILES, MemoryDestination(), encryptor=Rot13())
    with pytest.raises(ConfigurationError, match="rot13"):
        make(FILES, MemoryDestination(), compressor="rot13")


@pytest.mark.parametrize(("tries", "wait"), [(0, 0), (-1, 0), (1, -0.1)])
def test_retries_that_cannot_be_are_refused(tries: int, wait: float) -> None:
    with pytest.raises(ConfigurationError, match="use at least one try and a wait of zero or more"):
        Retry(tries=tries, wait=wait)


class Silent:
    """A part of no kind."""


@pytest.mark.parametrize(
    ("option", "lacks"),
    [
        ("retention", "plan"),
        ("history", "record"),
        ("memory", "recall"),
        ("lock", "hold"),
        ("retry", "attempts"),
        ("delivery", "deliver"),
    ],
)
def test_a_part_that_cannot_be_one_is_refused_without_showing_it(make: Make, option: str, lacks: str) -> None:
    for part in ("sqlite:///geheim", Silent()):
        kind = re.escape(f"{option}= is {type(part).__name__}, which has no {lacks}(): give ")
        with pytest.raises(ConfigurationError, match=kind) as caught:
            make(FILES, MemoryDestination(), **{option: part})
        assert "geheim" not in str(caught.value)
    with pytest.raises(ConfigurationError, match=f"{option}= is the class Silent itself: give "):
        make(FILES, MemoryDestination(), **{option: Silent})


@pytest.mark.parametrize(
    ("option", "lacks"), [("notifiers", "notify"), ("checks", "problems"), ("observers", "__call__")]
)
def test_what_is_no_list_of_parts_is_refused_without_showing_it(make: Make, option: str, lacks: str) -> None:
    for given in ("geheim", MaximumAge(days=1)):
        with pytest.raises(
            ConfigurationError, match=rf"{option}= is \w+, and not a list: write {option}=\[…\]"
        ):
            make(FILES, MemoryDestination(), **{option: given})
    with pytest.raises(ConfigurationError, match=rf" 1 is str, which has no {lacks}\(\): give ") as caught:
        make(FILES, MemoryDestination(), **{option: ["geheim"]})
    assert "geheim" not in str(caught.value)
    with pytest.raises(ConfigurationError, match=" 1 is the class RecordingNotifier itself: give "):
        make(FILES, MemoryDestination(), **{option: [RecordingNotifier]})


def test_the_constructor_does_no_io(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    before = open_files()
    BackupPipeline(
        "shop",
        [
            Directory(tmp_path / "missing"),
            SQLite(tmp_path / "missing.db"),
            Command(["/missing"], name="dump"),
        ],
        [tmp_path / "missing-too", "/missing/as/well"],
        encryptor=Passphrase.from_env("NOT_SET"),
        compressor="zstd",
        format=Zip(),
        retention=TieredRetention(max_size="50GB"),
        checks=[MaximumAge(days=1)],
        notifiers=[
            AppriseNotifier("mailto://host.invalid/?from=a@example.org&to=b@example.org"),
            DatabaseNotifier(f"sqlite:///{tmp_path}/records.sqlite3"),
            WebhookNotifier("https://host.invalid/", f"whsec_{'A' * 32}"),
            DeadManPing("https://host.invalid/"),
        ],
        history=DatabaseHistory(f"sqlite:///{tmp_path}/records.sqlite3"),
        memory=FileMemory(tmp_path / "memory"),
        observers=[LoggingObserver(), PrometheusObserver(textfile=tmp_path / "missing" / "x.prom")],
    )
    assert names(tmp_path) == []
    assert open_files() - before == set()


def test_one_source_and_one_destination_need_no_list(make: Make, tmp_path: Path) -> None:
    for destination in (tmp_path, str(tmp_path), tmp_path.as_uri(), LocalDestination(tmp_path)):
        assert make(FILES, destination).run().outcome == "succeeded"


def test_the_defaults_are_three_tries_a_minute_apart() -> None:
    pipeline = BackupPipeline("shop", FILES, MemoryDestination(), encryptor=None)
    assert (pipeline.retry.tries, pipeline.retry.wait) == (3, 60)
    assert pipeline.checks == (MaximumAge(days=1), FutureDated(), Leftovers())
    assert pipeline.retention == TieredRetention()


def test_a_pipeline_is_not_pickled_with_its_secret(make: Make) -> None:
    pipeline = make(FILES, MemoryDestination(), encryptor=Passphrase("correct horse battery staple extra"))
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pickle.dumps(pipeline)
