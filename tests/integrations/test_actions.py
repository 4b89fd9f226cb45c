"""What can be asked of a pipeline from afar, as plain values, and how it is done."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
import threading
from contextlib import closing
from datetime import UTC
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from backupkit import (
    BackupPipeline,
    ConfigurationError,
    Directory,
    DirectoryTarget,
    KeepLast,
    OperationCancelledError,
    PostgreSQL,
    RepositoryError,
    RestoreError,
    SQLite,
)
from backupkit.databases.clients import client_of
from backupkit.databases.urls import DatabaseURL, parse_database_url
from backupkit.events import EntryStarted
from backupkit.integrations.actions import REPLACED, Action, Asked, Place, act, action_from, plain_action
from tests.servers import Server

_NAMES = [*Action.__dataclass_fields__]
_JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text(max_size=8),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_TEXTS = some.text(
    some.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=9
)
_TIMES = some.datetimes(timezones=some.just(UTC))


@pytest.fixture
def shop(tmp_path: Path) -> BackupPipeline:
    (tmp_path / "backups").mkdir()
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.txt").write_text("a")
    with closing(sqlite3.connect(tmp_path / "shop.sqlite3")) as connection, connection:
        connection.execute("create table customers (name text)")
        connection.execute("insert into customers values ('anna')")
    return BackupPipeline(
        "shop",
        [Directory(tmp_path / "files"), SQLite(tmp_path / "shop.sqlite3")],
        tmp_path / "backups",
        encryptor=None,
    )


@settings(max_examples=60)
@given(
    some.dictionaries(some.sampled_from(_NAMES) | some.text(max_size=5), _JSON, max_size=6)
    | some.fixed_dictionaries(
        {"verb": some.sampled_from(get_args(Asked))},
        optional={name: _JSON | _TEXTS for name in _NAMES if name != "verb"},
    )
    | _JSON
)
def test_any_json_is_an_action_or_a_configuration_error(data: Any) -> None:
    try:
        action = action_from(data)
    except ConfigurationError as error:
        assert str(error)  # noqa: PT017
    else:
        assert action_from(json.loads(json.dumps(plain_action(action)))) == action


@settings(max_examples=40)
@given(
    some.builds(
        Action,
        verb=some.just("restore"),
        backup=some.none() | _TEXTS,
        at=some.none() | _TEXTS,
        only=some.sampled_from([None, "files", "databases"]),
        include=some.lists(_TEXTS, max_size=3).map(tuple),
        place=_TEXTS.filter(lambda text: text != "scratch"),
        overwrite=some.booleans(),
        dry_run=some.booleans(),
    )
    | some.builds(
        Action, verb=some.just("pin"), backup=_TEXTS, reason=some.none() | _TEXTS, until=some.none() | _TIMES
    )
)
def test_an_action_comes_back_from_json_as_it_was(action: Action) -> None:
    plain = plain_action(action)
    assert action_from(plain) == action_from(json.loads(json.dumps(plain))) == action


def test_a_path_of_any_bytes_comes_back_from_json() -> None:
    action = Action(verb="restore", include=(os.fsdecode(b"\xff/\x80"),))
    assert action_from(json.loads(json.dumps(plain_action(action)))) == action


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"verb": "restore", "include": "a.txt"}, "include is not a list"),
        ({"verb": "restore", "include": ["a\0b"]}, "characters that no name or path has"),
        ({"verb": "restore", "include": ["\ud800"]}, "characters that no name or path has"),
        ({"verb": "restore", "place": ""}, "place is empty"),
        ({"verb": "restore", "overwrite": True}, "A new folder holds nothing"),
        ({"verb": "restore", "overwrite": 1}, "overwrite is not true or false"),
        ({"verb": "restore", "to": "/etc"}, "This is no action"),
        ({"verb": "pin", "backup": "x", "until": "2030-01-31"}, "give its time zone"),
        ({"verb": "verify", "at": ""}, "at is empty"),
        ({"verb": ["run"]}, "verb is not a text"),
        ({"verb": "run", "at": None}, "at is not a text"),
        ({"backup": "x"}, "This is no action"),
        (["run"], "This is no action"),
    ],
)
def test_what_is_no_action_is_refused_in_a_sentence(data: object, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        action_from(data)


def test_each_verb_takes_its_own_arguments_and_no_other() -> None:
    values: dict[str, Any] = {
        "backup": "x",
        "at": "file:///a",
        "only": "files",
        "include": ["a"],
        "place": "site",
        "overwrite": True,
        "force": True,
        "dry_run": True,
        "reason": "audit",
        "until": "2030-01-31T00:00:00+00:00",
    }
    taken = {
        "run": {"at", "only"},
        "verify": {"backup", "at", "only"},
        "drill": {"backup", "at", "only"},
        "monitor": {"at"},
        "clean": {"at", "dry_run"},
        "restore": {"backup", "at", "only", "include", "place", "overwrite", "dry_run"},
        "delete": {"backup", "at", "force"},  # and no dry run, which would delete
        "pin": {"backup", "reason", "until"},
        "unpin": {"backup"},
    }
    assert {*taken} == {*get_args(Asked)}
    for verb, its in taken.items():
        needed: dict[str, Any] = {"backup": "x"} if verb in ("delete", "pin", "unpin") else {}
        if needed:
            with pytest.raises(ConfigurationError, match="needs the id of a backup"):
                action_from({"verb": verb})
        for name, value in values.items():
            said = {"verb": verb, **needed, name: value}
            if name == "overwrite" and name in its:
                said["place"] = "site"
            if name in its:
                action_from(said)
            else:
                with pytest.raises(ConfigurationError, match=f"^{verb} takes no {name}: leave it out.$"):
                    action_from(said)


@pytest.fixture
def two(shop: BackupPipeline, tmp_path: Path) -> BackupPipeline:
    """The same with a second destination, and a backup at both."""
    (tmp_path / "second").mkdir()
    made = BackupPipeline(
        "shop",
        shop.sources,
        [tmp_path / "backups", tmp_path / "second"],
        encryptor=None,
        retention=KeepLast(1),
    )
    made.run()
    return made


@pytest.mark.parametrize("verb", ["verify", "drill", "monitor", "clean", "delete"])
def test_at_is_the_one_destination_that_is_concerned(
    two: BackupPipeline, verb: Asked, tmp_path: Path
) -> None:
    at = (tmp_path / "second").as_uri()
    id = two.list().backups[0].id
    action = (
        Action(verb="delete", backup=id, at=at, force=True) if verb == "delete" else Action(verb=verb, at=at)
    )
    report = act(two, action).report
    assert report is not None
    assert (report.operation, [one.location for one in report.destinations]) == (verb, [at])
    there = [one.location for one in two.list().backups]
    assert (at in there, len(there)) == (verb != "delete", 1 if verb == "delete" else 2)


def test_the_last_good_one_is_deleted_only_with_force(two: BackupPipeline) -> None:
    id = two.list().backups[0].id
    with pytest.raises(RepositoryError, match="is the newest good backup"):
        act(two, Action(verb="delete", backup=id))
    assert len(two.list().backups) == 2
    act(two, Action(verb="delete", backup=id, force=True))
    assert two.list().backups == ()


@pytest.mark.parametrize("verb", ["verify", "drill"])
def test_only_is_what_is_read(shop: BackupPipeline, verb: Asked) -> None:
    shop.run()
    shop.run(only="files")
    reports = [act(shop, Action(verb=verb, only=only)).report for only in (None, "files", "databases")]
    everything, files, databases = [report.read for report in reports if report is not None]
    assert files == 1
    assert everything > 1
    assert databases > 1


@pytest.mark.parametrize(
    "said",
    [
        {"verb": "run"},
        {"verb": "verify"},
        {"verb": "drill"},
        {"verb": "monitor"},
        {"verb": "clean"},
        {"verb": "clean", "dry_run": True},
        {"verb": "restore"},
        {"verb": "delete", "force": True},
    ],
)
def test_what_is_cancelled_before_it_begins_changes_nothing(
    shop: BackupPipeline, said: dict[str, Any], tmp_path: Path
) -> None:
    shop.retention = KeepLast(1)
    shop.run()
    shop.run()
    before = shop.list().backups
    cancel = threading.Event()
    cancel.set()
    action = Action(**said, backup=before[0].id) if said["verb"] == "delete" else Action(**said)
    with pytest.raises(OperationCancelledError):
        act(shop, action, scratch=tmp_path / "scratch", cancel=cancel)
    assert shop.list().backups == before


def test_a_new_folder_is_made_only_when_something_is_restored(shop: BackupPipeline, tmp_path: Path) -> None:
    shop.run()
    scratch = tmp_path / "scratch"
    dry = act(shop, Action(verb="restore", dry_run=True), scratch=scratch)
    assert (dry.folder, scratch.exists()) == (str(scratch), False)
    done = act(shop, Action(verb="restore", only="files"), scratch=scratch)
    assert done.folder is not None
    assert stat.S_IMODE(os.stat(done.folder).st_mode) == 0o700
    assert stat.S_IMODE(scratch.stat().st_mode) == 0o700
    assert (Path(done.folder) / "files" / "a.txt").read_text() == "a"


def test_the_dry_run_of_a_restore_to_a_new_folder_finds_nothing_in_the_way(
    shop: BackupPipeline, tmp_path: Path
) -> None:
    shop.run()
    act(shop, Action(verb="restore"), scratch=tmp_path)
    dry = act(shop, Action(verb="restore", dry_run=True), scratch=tmp_path)
    assert dry.report is not None
    assert (dry.report.outcome, dry.report.problems) == ("succeeded", ())


def test_a_new_folder_that_nothing_was_put_into_is_removed_again(
    shop: BackupPipeline, tmp_path: Path
) -> None:
    shop.run()
    with pytest.raises(RestoreError, match=r"matches what was asked for: look at its entries\.$"):
        act(shop, Action(verb="restore", include=("/none",)), scratch=tmp_path / "scratch")
    assert [*(tmp_path / "scratch").iterdir()] == []


def test_a_restore_that_ends_early_says_where_that_is_which_was_restored(
    shop: BackupPipeline, tmp_path: Path
) -> None:
    (tmp_path / "files" / "a.txt").write_bytes(b"a" * (2 << 20))
    (tmp_path / "files" / "b.txt").write_bytes(b"b" * (2 << 20))
    shop.run()
    cancel = threading.Event()

    def ending(event: object) -> None:
        if isinstance(event, EntryStarted) and event.path == "files/b.txt":
            cancel.set()

    shop.observers = (ending,)
    with pytest.raises(OperationCancelledError) as caught:
        act(shop, Action(verb="restore", only="files"), scratch=tmp_path / "scratch", cancel=cancel)
    (folder,) = (tmp_path / "scratch").iterdir()
    assert str(caught.value).endswith(f"What was restored until then is in {folder}.")
    assert [one.name for one in (folder / "files").iterdir()] == ["a.txt"]


def test_where_no_new_folder_can_be_made_that_is_said(shop: BackupPipeline, tmp_path: Path) -> None:
    shop.run()
    with pytest.raises(ConfigurationError, match=r"No new folder can be made in .* give scratch="):
        act(shop, Action(verb="restore"), scratch=tmp_path / "files" / "a.txt")


def test_an_unknown_place_is_refused_and_the_known_ones_are_named(shop: BackupPipeline) -> None:
    with pytest.raises(ConfigurationError, match=r"no place called '/etc' .* one of scratch, site\.$"):
        act(shop, Action(verb="restore", place="/etc"), places={"site": "/nowhere"})


def test_files_are_not_restored_to_databases(shop: BackupPipeline) -> None:
    action = Action(verb="restore", place="copies", only="files")
    with pytest.raises(ConfigurationError, match="'copies' takes databases only"):
        act(shop, action, places={"copies": {"shop": "sqlite:////nowhere"}})


def test_what_a_target_replaces_it_says_itself(shop: BackupPipeline, tmp_path: Path) -> None:
    target = DirectoryTarget(tmp_path / "site")
    action = Action(verb="restore", place="site", overwrite=True)
    several: list[Place] = [target, {"shop": target}, {"shop": "sqlite:////nowhere", "crm": target}]
    for place in several:
        with pytest.raises(ConfigurationError, match="'site' is replaced or not as it says itself"):
            act(shop, action, places={"site": place})


def test_a_dry_run_tells_what_would_be_replaced_from_what_cannot_be(
    shop: BackupPipeline, tmp_path: Path
) -> None:
    (tmp_path / "files" / "b.txt").write_text("b")
    shop.run()
    (tmp_path / "site" / "files" / "a.txt").mkdir(parents=True)
    (tmp_path / "site" / "files" / "b.txt").write_text("mine")
    action = Action(verb="restore", place="site", overwrite=True, dry_run=True)
    report = act(shop, action, places={"site": tmp_path / "site"}).report
    assert report is not None
    assert [(one.path, one.severity, one.check) for one in report.problems] == [
        ("files/a.txt", "error", None),
        ("files/b.txt", "warning", REPLACED),
    ]
    assert (tmp_path / "site" / "files" / "b.txt").read_text() == "mine"


def test_a_restore_says_the_folder_that_it_went_to(shop: BackupPipeline, tmp_path: Path) -> None:
    shop.run()
    for name, place in (("one", tmp_path / "one"), ("two", DirectoryTarget(tmp_path / "two"))):
        done = act(shop, Action(verb="restore", place=name), places={name: place})
        assert done.folder == str(tmp_path / name)
    copy = f"sqlite:///{tmp_path / 'copy.sqlite3'}"
    sqlite3.connect(tmp_path / "copy.sqlite3").close()
    done = act(shop, Action(verb="restore", place="copies"), places={"copies": {"shop": copy}})
    assert done.folder is None
    with closing(sqlite3.connect(tmp_path / "copy.sqlite3")) as connection:
        assert connection.execute("select name from customers").fetchall() == [("anna",)]


@pytest.mark.services
def test_a_dump_replaces_the_postgresql_database_of_a_place_only_if_that_is_asked_for(
    postgresql_server: Server, tmp_path: Path
) -> None:
    (tmp_path / "backups").mkdir()
    there, copy = (parse_database_url(postgresql_server.url(f"actions_{name}")) for name in ("shop", "copy"))
    for url in (there, copy):
        client_of(url).create()
    asked(there, "create table customers (name text); insert into customers values ('anna')")
    asked(copy, "create table old (name text)")
    pipeline = BackupPipeline("shop", PostgreSQL(there), tmp_path / "backups", encryptor=None)
    pipeline.run()
    places: dict[str, Place] = {"copy": {"actions_shop": copy}}
    dry = act(pipeline, Action(verb="restore", place="copy", dry_run=True), places=places).report
    assert dry is not None
    assert [f"The database {copy} is not empty" in one.message for one in dry.problems] == [True]
    dry = act(
        pipeline, Action(verb="restore", place="copy", overwrite=True, dry_run=True), places=places
    ).report
    assert dry is not None
    assert dry.outcome == "succeeded"
    assert [(one.severity, one.check, one.path) for one in dry.problems] == [("warning", REPLACED, str(copy))]
    assert asked(copy, "select count(*) from old") == "0"
    act(pipeline, Action(verb="restore", place="copy", overwrite=True), places=places)
    assert asked(copy, "select name from customers") == "anna"
    for url in (there, copy):
        client_of(url).drop()


def asked(url: DatabaseURL, statements: str) -> str:
    command = ["psql", "-X", "-A", "-t", "-q", "-c", statements]
    variables = {
        "PGHOST": url.hosts[0][0],
        "PGPORT": str(url.hosts[0][1]),
        "PGUSER": url.user or "",
        "PGPASSWORD": url.password or "",
        "PGDATABASE": url.database,
    }
    done = subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
