"""What third parties' parts do that their types do not allow, and what they must never get away with."""

from __future__ import annotations

import copy
import pickle
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any, cast

import pytest

from backupkit import (
    Around,
    BackupPipeline,
    ConfigurationError,
    DestinationError,
    Entry,
    HookError,
    IntegrityError,
    OperationCancelledError,
    Owner,
    Problem,
    Retry,
    SourceError,
    open_repository,
)
from backupkit.errors import told
from backupkit.events import Event, Waiting
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination
from tests.pipeline.shop import Make, MiB, Scripted, content, down, messages, write_fault


def odd(**fields: Any) -> Entry:
    return Entry(**({"path": "uploads/odd"} | fields))


@pytest.mark.parametrize(
    "entry",
    [
        odd(kind="socket"),
        odd(modified_ns=1.5e18),
        odd(modified_ns=True),
        odd(kind="directory", size=1.5),
        odd(kind="symlink", target=5),
        odd(owner=Owner(uid=cast("int", None), gid=0)),
        odd(xattrs={"user.a": "text"}),
        odd(path=b"bytes"),
        odd(kind="symlink", target="\ud800"),
    ],
    ids=lambda entry: repr(entry)[:60],
)
def test_an_entry_with_an_impossible_field_is_left_out_and_the_rest_can_be_read(
    entry: Entry, make: Make
) -> None:
    class Odd:
        name = "odd"
        contents = "files"

        def entries(self) -> Iterator[Entry | Problem]:
            yield Entry(path="uploads/a", chunks=lambda: iter([b"a"]))
            yield entry

    memory = MemoryDestination()
    report = make(cast("Any", Odd()), memory).run()
    assert report.outcome == "incomplete"
    assert len(report.problems) == 1
    assert content(open_repository(memory), open_repository(memory).list().backups[0].id) == {
        "uploads/a": b"a"
    }


def test_a_problem_of_unknown_severity_is_an_error(make: Make) -> None:
    problem = Problem(message="lost", severity=cast("Any", "critical"))
    report = make(Scripted("uploads", {"uploads/a": b"a", "x": problem}), MemoryDestination()).run()
    assert report.outcome == "incomplete"


def test_contents_that_no_listing_knows_are_refused(make: Make) -> None:
    source = Scripted("uploads", {}, contents=cast("Any", "database"))
    with pytest.raises(ConfigurationError, match="'uploads' says that it holds 'database'"):
        make(source, MemoryDestination())


@pytest.mark.parametrize("tags", ["nightly", [42]])
def test_tags_are_a_list_of_texts(make: Make, tags: Any) -> None:
    with pytest.raises(ConfigurationError, match="is not a list of texts"):
        make(Scripted("uploads", {"uploads/a": b"a"}), MemoryDestination()).run(tags=tags)


def test_a_passphrase_that_is_only_a_text_is_refused_without_repeating_it(make: Make) -> None:
    with pytest.raises(ConfigurationError, match=r"write Passphrase") as caught:
        make(Scripted("uploads", {}), MemoryDestination(), encryptor=cast("Any", "hunter2hunter2"))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("size", [1 << 16, 1 << 20])
def test_a_source_may_fill_one_buffer_again_and_again(make: Make, size: int) -> None:
    wanted = b"".join(bytes([number]) * size for number in range(40))

    class Reusing:
        name = "reusing"
        contents = "files"

        def entries(self) -> Iterator[Entry | Problem]:
            yield Entry(path="a", chunks=self._chunks)

        def _chunks(self) -> Iterator[bytes]:
            buffer = bytearray(size)
            for number in range(40):
                buffer[:] = bytes([number]) * size
                yield cast("bytes", memoryview(buffer))

    memory = MemoryDestination()
    make(cast("Any", Reusing()), memory).run()
    assert content(open_repository(memory)) == {"a": wanted}


class Hook:
    """A file-system snapshot that can be mounted once at a time."""

    def __init__(self) -> None:
        self.mounted = False
        self.times = 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        if self.mounted:
            raise RuntimeError("the snapshot is already mounted")
        self.mounted, self.times = True, self.times + 1
        try:
            yield
        finally:
            self.mounted = False


@pytest.mark.parametrize("error", [down(retryable=False), KeyboardInterrupt(), OperationCancelledError("x")])
def test_hooks_are_left_before_the_error_of_a_run_is_heard(make: Make, error: BaseException) -> None:
    hook = Hook()
    source = Around(Scripted("uploads", {"uploads/a": b"a" * 3 * MiB}), hook.__call__)
    place = FaultyDestination(MemoryDestination(), [Fault(method="write", does=error, after=MiB)])
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - each of the three
        make(source, place).run()
    assert caught.value is not None  # it is still held here, with all that its traceback holds
    assert (hook.mounted, hook.times) == (False, 1)


def test_hooks_are_left_before_a_run_is_made_again(make: Make) -> None:
    hook = Hook()
    source = Around(Scripted("uploads", {"uploads/a": b"a" * 3 * MiB}), hook.__call__)
    place = FaultyDestination(MemoryDestination(), [write_fault(down(retryable=True), after=MiB)])
    assert make(source, place).run().outcome == "succeeded"
    assert (hook.mounted, hook.times) == (False, 2)


def test_a_destination_that_hangs_for_good_does_not_hang_the_run(make: Make) -> None:
    released = threading.Event()
    hanging = FaultyDestination(
        MemoryDestination("hanging"), [Fault(method="write", does=released.wait, call=None)]
    )
    whole = MemoryDestination("whole")
    try:
        source = Scripted("uploads", {"uploads/a": b"a"})
        report = make(source, [whole, hanging], stall_limit=timedelta(seconds=1), retry=Retry(tries=1)).run()
    finally:
        released.set()
    assert [one.outcome for one in report.destinations] == ["succeeded", "failed"]
    assert content(open_repository(whole)) == {"uploads/a": b"a"}


def test_a_dying_disk_is_not_waited_for_entry_by_entry(make: Make) -> None:
    bad = SourceError("input/output error", path="x", retryable=True)
    files = {f"uploads/{number}": [[bad]] for number in range(50)} | {"uploads/z": [[b"z"]]}
    retry = Retry(tries=3, wait=0)
    events: list[Event] = []
    pipeline = make(Scripted("uploads", files), MemoryDestination(), retry=retry, observers=[events.append])
    report = pipeline.run()
    assert len(report.problems) == 50
    assert len([event for event in events if isinstance(event, Waiting)]) == 2 * 3


SECRET_CALLS: list[Callable[[], object]] = [
    partial(subprocess.run, ["false", "--password=hunter2hunter2"], check=True),
    partial(subprocess.run, ["sleep", "9", "hunter2hunter2"], timeout=0.01, check=True),
]


@pytest.mark.parametrize("call", SECRET_CALLS)
def test_command_lines_in_the_errors_of_others_stay_out_of_reports(
    make: Make, call: Callable[[], object]
) -> None:
    source = Scripted("uploads", {"uploads/a": b"a", "uploads/b": [[cast("Any", call)]], "uploads/c": call})
    report = make(source, MemoryDestination()).run()
    assert report.outcome == "incomplete"
    assert "hunter2" not in repr(report)


def test_a_password_in_a_url_is_struck_out_of_others_errors() -> None:
    assert told(ValueError("no answer from postgres://u:pa/ss@host/db")) == (
        "ValueError: no answer from postgres://***@host/db"
    )


def test_the_arguments_of_an_observer_that_fails_are_not_shown(make: Make) -> None:
    def ping(address: str, event: Event) -> None:
        raise RuntimeError

    observer = partial(ping, "https://user:hunter2@example.org/token")
    report = make(Scripted("uploads", {"uploads/a": b"a"}), MemoryDestination(), observers=[observer]).run()
    assert "hunter2" not in repr(report)
    assert "Observer 1 (partial) failed" in messages(report.problems)[0]


def test_a_destination_that_breaks_its_contract_does_not_hide_the_others(make: Make) -> None:
    whole = MemoryDestination("whole")
    rude = FaultyDestination(
        MemoryDestination("rude"),
        [Fault(method="list", does=TimeoutError("https://u:hunter2@h"), call=None)],
    )
    pipeline: BackupPipeline = make(Scripted("uploads", {"uploads/a": b"a"}), [whole, rude])
    pipeline.run()
    listing = pipeline.list()
    assert [one.location for one in listing.backups] == ["memory:whole"]
    assert "TimeoutError" in listing.problems[0].message
    assert "hunter2" not in listing.problems[0].message
    assert [one.outcome for one in pipeline.monitor().destinations] == ["succeeded", "failed"]
    assert [one.outcome for one in pipeline.clean().destinations] == ["succeeded", "failed"]


@pytest.mark.parametrize(
    "error",
    [
        DestinationError("away", location="memory:x", name="a", retryable=True),
        IntegrityError("damaged", where="a"),
        HookError("failed"),
    ],
)
def test_errors_pass_through_queues_with_all_they_say(error: Exception) -> None:
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (type(other), str(other), vars(other)) == (type(error), str(error), vars(error))
