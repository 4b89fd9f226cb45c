"""The passphrase in a pipeline: changed, weak, missing – and never seen."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from backupkit import (
    BackupPipeline,
    Command,
    ConfigurationError,
    Directory,
    IntegrityError,
    LoggingObserver,
    Passphrase,
    Report,
    WrongPassphraseError,
    open_repository,
)
from backupkit.events import Event, ProblemFound
from backupkit.testing.destinations import FaultyDestination, MemoryDestination
from backupkit.testing.trees import tree
from tests.pipeline.shop import Make, Scripted, content, down, messages, stored, write_fault

OLDEST = "an old passphrase that was good enough"
OLD = "a passphrase that somebody has seen"
NEW = "correct horse battery staple extra"

FILES = Scripted("app", {"app/a": b"a"})


def test_after_a_change_older_backups_can_still_be_read(make: Make, destination: MemoryDestination) -> None:
    make(FILES, destination, encryptor=Passphrase(OLDEST)).run()
    make(FILES, destination, encryptor=Passphrase(OLD, previous=[OLDEST])).run()
    pipeline = make(
        FILES, destination, encryptor=Passphrase(NEW, previous=[Passphrase(OLD, previous=[OLDEST])])
    )
    pipeline.run()
    backups = pipeline.list().backups
    assert len(backups) == 3
    for backup in backups:
        assert content(pipeline, backup) == {"app/a": b"a"}
        assert pipeline.verify(backup).outcome == "succeeded"


def test_a_new_backup_is_made_with_the_new_one_alone(make: Make, destination: MemoryDestination) -> None:
    make(FILES, destination, encryptor=Passphrase(NEW, previous=[OLD])).run()
    assert content(open_repository(destination, NEW)) == {"app/a": b"a"}
    with pytest.raises(WrongPassphraseError):
        content(open_repository(destination, OLD))


def test_without_the_previous_one_older_backups_do_not_open(
    make: Make, destination: MemoryDestination
) -> None:
    make(FILES, destination, encryptor=Passphrase(OLD)).run()
    pipeline = make(FILES, destination, encryptor=Passphrase(NEW))
    with pytest.raises(WrongPassphraseError):
        pipeline.restore(to="/nowhere")
    assert len(pipeline.list().backups) == 1
    assert pipeline.clean().outcome == pipeline.monitor().outcome == "succeeded"


def test_a_weak_passphrase_is_a_warning_and_the_backup_is_good(
    make: Make, destination: MemoryDestination
) -> None:
    events: list[Event] = []
    pipeline = make(FILES, destination, encryptor=Passphrase("hunter22"), observers=[events.append])
    report = pipeline.run()
    assert report.outcome == "succeeded"
    assert [(one.severity, one.check) for one in report.problems] == [("warning", "passphrase")]
    assert "is easy to guess" in report.problems[0].message
    assert [event.problem for event in events if isinstance(event, ProblemFound)] == [*report.problems]
    assert pipeline.get().good


def test_a_passphrase_that_is_not_there_fails_the_run_before_anything_is_read(
    make: Make, destination: MemoryDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BACKUP_PASSPHRASE", raising=False)
    source = Scripted("app", {"app/a": b"a"})
    pipeline = make(source, destination, encryptor=Passphrase.from_env("BACKUP_PASSPHRASE"))
    with pytest.raises(
        ConfigurationError, match="environment variable BACKUP_PASSPHRASE is empty or not set"
    ):
        pipeline.run()
    assert source.walks == 0
    monkeypatch.setenv("BACKUP_PASSPHRASE", NEW)
    assert pipeline.run().outcome == "succeeded"
    assert content(open_repository(destination, NEW)) == {"app/a": b"a"}


def test_no_secret_is_seen_wherever_one_looks(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    database = "postgres-password-123"
    events: list[Event] = []
    seen: list[str] = []
    place = stored(tmp_path / "backups")
    leaky = Command(
        [
            "sh",
            "-c",
            'echo "cannot log in with $PGPASSWORD at postgres://me:$PGPASSWORD@host/db" >&2; exit 1',
        ],
        name="shop.sql",
        env={"PGPASSWORD": database},
    )
    late = FaultyDestination(MemoryDestination("late"), [write_fault(down(retryable=True))])
    passphrase = Passphrase(NEW, previous=[OLD])
    pipeline = make(
        [Directory(tree(tmp_path / "app", {"a": "a"})), leaky],
        [place, late],
        encryptor=passphrase,
        observers=[events.append, LoggingObserver()],
    )

    def attempt(act: Callable[[], Report]) -> None:
        try:
            report = act()
        except Exception as error:
            seen.extend(traceback.format_exception(error))
            seen.append(repr(getattr(error, "report", None)))
        else:
            seen.extend((repr(report), str(report)))

    attempt(pipeline.run)
    wrong = open_repository(place, OLD, observers=[events.append, LoggingObserver()])
    newest = pipeline.list().backups[0]
    attempt(lambda: pipeline.verify(newest))
    attempt(lambda: wrong.verify(newest))
    attempt(lambda: pipeline.restore(newest, to=tmp_path / "restored"))
    attempt(lambda: wrong.restore(newest, to=tmp_path / "restored"))
    attempt(pipeline.clean)
    attempt(pipeline.monitor)
    archive = place.folder / f"shop/{newest.id}.zip"
    archive.write_bytes(archive.read_bytes()[:-30])
    with pytest.raises(IntegrityError):
        pipeline.verify(newest, at=place.location)
    attempt(lambda: pipeline.verify(newest))
    seen.extend(repr(event) for event in events)
    seen.extend(record.getMessage() for record in caplog.records)
    seen.extend((repr(pipeline), repr(pipeline.encryptor), str(pipeline.encryptor), repr(pipeline.sources)))
    seen.extend(path.read_bytes().decode("latin-1") for path in place.folder.rglob("*") if path.is_file())

    text = "\n".join(seen)
    assert "cannot log in with ***" in text, "the failure itself was told"
    for secret in (NEW, OLD, database):
        assert secret not in text


def test_names_and_numbers_alone_stand_in_the_summary(make: Make, tmp_path: Path) -> None:
    place = stored(tmp_path / "backups")
    app = tree(tmp_path / "app", {"a very secret name": "and content"})
    make(Directory(app), place, encryptor=Passphrase(NEW)).run()
    (summary,) = place.folder.rglob("*.json")
    assert "secret" not in summary.read_text()


def test_encryption_is_left_out_only_if_that_is_written_down(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="encryptor"):
        BackupPipeline("shop", Directory(tmp_path), tmp_path)  # type: ignore[call-arg]  # that is the test
    with pytest.raises(ConfigurationError, match="or encryptor=None for no encryption"):
        BackupPipeline("shop", Directory(tmp_path), tmp_path, encryptor=Passphrase(""))


def test_an_encrypted_archive_shows_nothing_of_what_is_in_it(make: Make, tmp_path: Path) -> None:
    place = stored(tmp_path / "backups")
    app = tree(tmp_path / "app", {"plain.txt": "the text that must not be seen " * 5})
    make(Directory(app), place, encryptor=Passphrase(NEW), compressor="store").run()
    (archive,) = place.folder.rglob("*.zip")
    assert b"must not be seen" not in archive.read_bytes()
    assert messages(open_repository(place, NEW).verify().problems) == []
