"""The progress bar."""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from rich.console import Console

from backupkit import BackupPipeline, ProgressObserver, Report, Retry
from backupkit.events import BytesRead, EntryStarted, Expected, Finished, Started, Waiting
from backupkit.testing.destinations import MemoryDestination
from tests.pipeline.shop import NoLock, Scripted, flaky

MiB = 1 << 20


def report(outcome: Literal["succeeded", "incomplete", "failed"]) -> Report:
    return Report(
        operation="run",
        outcome=outcome,
        name="shop",
        started=datetime(2026, 11, 23, 3, tzinfo=UTC),
        took=timedelta(seconds=90),
        entries=3,
        read=5_000_000,
        written=1_000_000,
    )


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=120, color_system=None, _environ={})


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_at_a_terminal_a_bar_names_the_operation_and_goes_away_at_the_end() -> None:
    console = terminal()
    observer = ProgressObserver(console)
    for event in (
        Started("verify", "shop"),
        Expected(100 * MiB),
        EntryStarted("app/a large [file].bin", None),
        BytesRead(50 * MiB),
        BytesRead(50 * MiB),
        Finished(report("succeeded")),
    ):
        observer(event)
    text = shown(console)
    assert "verify shop" in text
    assert "104.9/104.9 MB" in text
    assert "app/a large [file].bin" in text
    assert text.endswith("\x1b[2K"), "the line was erased"


def test_a_wait_is_said_as_it_is_even_in_the_language_of_rich() -> None:
    console = terminal()
    observer = ProgressObserver(console)
    observer(Started("run", "shop"))
    observer(Waiting(60, "the table [bold]orders[/bold] is locked"))
    observer(Finished(report("failed")))
    assert "Trying again in 60 seconds: the table [bold]orders[/bold] is locked" in shown(console)


def test_elsewhere_than_at_a_terminal_nothing_is_shown() -> None:
    console = Console(file=io.StringIO(), force_terminal=False)
    pipeline = BackupPipeline(
        "shop",
        Scripted("app", {"app/a": [[flaky()], [b"a" * 5 * MiB]]}),
        MemoryDestination(),
        encryptor=None,
        lock=NoLock(),
        observers=[ProgressObserver(console)],
        retry=Retry(wait=0),
    )
    assert pipeline.run().problems == ()
    assert shown(console) == ""


def test_one_bar_serves_one_operation_after_the_other() -> None:
    console = terminal()
    source = Scripted("app", {"app/[/x]": b"a" * 5 * MiB, "app/\udcff\n": b"b"})
    pipeline = BackupPipeline(
        "shop",
        source,
        MemoryDestination(),
        encryptor=None,
        lock=NoLock(),
        observers=[ProgressObserver(console)],
    )
    for report in (pipeline.run(), pipeline.verify(), pipeline.run()):
        assert (report.outcome, report.problems) == ("succeeded", ())
    assert "run shop" in shown(console)
    assert "verify shop" in shown(console)


def test_the_bar_ends_with_an_operation_that_fails() -> None:
    console = terminal()
    observer = ProgressObserver(console)
    pipeline = BackupPipeline(
        "shop",
        Scripted("app", {"app/a": [[KeyboardInterrupt()]]}),
        MemoryDestination(),
        encryptor=None,
        lock=NoLock(),
        observers=[observer],
    )
    with pytest.raises(KeyboardInterrupt):
        pipeline.run()
    before = shown(console)
    observer(BytesRead(5 * MiB))
    assert shown(console) == before


def test_without_rich_the_bar_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'backupkit\[progress\]'"):
        ProgressObserver()
