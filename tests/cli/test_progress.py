"""What a log hears of an operation that takes long."""

from __future__ import annotations

import io
import os
import pty
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from backupkit import Report
from backupkit.cli.output import Output
from backupkit.cli.progress import ProgressLines
from backupkit.events import BytesRead, EntryStarted, Event, Expected, Finished, Started, Waiting

MB = 1_000_000
REPORT = Report(
    operation="run",
    outcome="succeeded",
    name="shop",
    started=datetime(2026, 11, 23, 3, tzinfo=UTC),
    took=timedelta(seconds=1),
)


@dataclass
class Log:
    """The lines that were said, and a clock that is set to the time of each event."""

    lines: list[str] = field(default_factory=list)
    now: float = 1000

    def __post_init__(self) -> None:
        self.observer = ProgressLines(self.lines.append, clock=lambda: self.now)

    def hear(self, *events: tuple[float, Event]) -> list[str]:
        """Each event so many seconds after the start; the lines that were said meanwhile."""
        before = len(self.lines)
        for seconds, event in events:
            self.now = 1000 + seconds
            self.observer(event)
        return self.lines[before:]


@pytest.fixture
def log() -> Log:
    return Log()


def test_what_is_over_soon_is_not_told(log: Log) -> None:
    assert not log.hear(
        (0, Started("run", "shop")),
        (1, EntryStarted("app/a", 5)),
        (9.9, BytesRead(100 * MB)),
        (30, Finished(REPORT)),
        (31, BytesRead(1)),
    )


def test_a_line_comes_after_ten_seconds_and_then_every_minute(log: Log) -> None:
    log.hear((0, Started("run", "shop")))
    assert log.hear((9, BytesRead(50 * MB)), (10, BytesRead(50 * MB))) == [
        "run of shop: 100 MB read in 10.0 s, 10 MB/s"
    ]
    assert not log.hear((11, BytesRead(MB)), (69, BytesRead(MB)))
    # The rate is that of the last minute.
    assert log.hear((70, BytesRead(118 * MB))) == ["run of shop: 220 MB read in 1 min 10 s, 2 MB/s"]
    assert not log.hear((129, BytesRead(MB)))
    assert len(log.hear((130, BytesRead(MB)))) == 1


def test_where_the_size_is_known_the_line_says_how_long_it_will_be(log: Log) -> None:
    log.hear((0, Started("verify", "shop")), (0, Expected(600 * MB)), (0, Expected(400 * MB)))
    assert log.hear((20, BytesRead(250 * MB))) == [
        "verify of shop: 250 MB of 1 GB read in 20.0 s, 12.5 MB/s, about 1 min 0 s left"
    ]
    # One that is larger than it was said to be has no time left to tell.
    assert log.hear((80, BytesRead(750 * MB))) == [
        "verify of shop: 1 GB of 1 GB read in 1 min 20 s, 12.5 MB/s"
    ]


def test_a_wait_is_told_at_once_and_on_one_line(log: Log) -> None:
    log.hear((0, Started("run", "shop")))
    assert log.hear((1, Waiting(2.5, "the table\x1b[2J\nis locked"))) == [
        r"run of shop: trying again in 2.5 seconds: the table\x1b[2J\nis locked"
    ]


def test_the_next_operation_begins_anew(log: Log) -> None:
    log.hear((0, Started("run", "shop")), (0, Expected(100 * MB)), (12, BytesRead(90 * MB)))
    log.hear((13, Finished(REPORT)), (20, Started("clean", "blog")))
    assert not log.hear((29, BytesRead(MB)))
    assert log.hear((30, BytesRead(MB))) == ["clean of blog: 2 MB read in 10.0 s, 200 kB/s"]


def test_a_log_gets_lines_a_terminal_a_bar_and_neither_whoever_wants_quiet_or_json(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stderr", stderr := io.StringIO())
    [lines] = Output().observers()
    lines(Started("run", "shop"))
    lines(Waiting(1, "locked"))
    assert stderr.getvalue() == "run of shop: trying again in 1 seconds: locked\n"
    assert Output(quiet=True).observers() == Output(json=True).observers() == ()
    ours, its = pty.openpty()
    with open(its, "w") as terminal, open(ours, "rb", buffering=0) as screen:
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setenv("TERM", "xterm")
        [bar] = Output().observers()
        bar(Started("run", "shop"))
        bar(Finished(REPORT))
        assert b"run shop" in os.read(screen.fileno(), 1 << 16)
