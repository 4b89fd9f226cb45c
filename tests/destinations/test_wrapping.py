"""A wrapper can what the destination behind it can, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from backupkit import Directory, LocalDestination, ReadOnly, Retrying, Throttled, open_repository
from backupkit.destinations.leased import Leased
from backupkit.destinations.opening import open_destination, within
from backupkit.destinations.stall_limited import StallLimited
from backupkit.destinations.wrapping import innermost
from backupkit.protocols import Destination, HasLeftovers, LimitsStalls, OnThisMachine
from backupkit.testing.destinations import FaultyDestination, MemoryDestination
from tests.pipeline.conftest import make as make  # the fixture
from tests.pipeline.shop import Clock, Make, NoLock, Scripted, content, names, stored

WRAPPERS: dict[str, Callable[[Destination], Destination]] = {
    "Retrying": Retrying,
    "Throttled": lambda inner: Throttled(inner, "1GB"),
    "ReadOnly": ReadOnly,
    "FaultyDestination": FaultyDestination,
    "StallLimited": StallLimited,
    "Leased": lambda inner: Leased(inner, NoLock()),
    "several": lambda inner: Retrying(Throttled(FaultyDestination(Retrying(inner)), "1GB")),
}
every_wrapper = pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS.keys())
every_writing_one = pytest.mark.parametrize(
    "wrap", [wrap for name, wrap in WRAPPERS.items() if name != "ReadOnly"]
)


@every_wrapper
def test_a_wrapped_folder_of_this_machine_is_still_one(
    wrap: Callable[[Destination], Destination], tmp_path: Path
) -> None:
    wrapped = wrap(LocalDestination(tmp_path))
    assert isinstance(wrapped, OnThisMachine)
    assert wrapped.folder == tmp_path
    assert isinstance(wrapped, HasLeftovers)
    assert not isinstance(wrapped, LimitsStalls)
    assert wrapped.location == tmp_path.as_uri()


@every_wrapper
def test_a_wrapped_store_gives_up_as_late_as_it_does_by_itself(
    wrap: Callable[[Destination], Destination],
) -> None:
    store = open_destination("memory://shop", patience=500)
    assert isinstance(store, LimitsStalls)
    wrapped = wrap(store)
    assert isinstance(wrapped, LimitsStalls)
    assert wrapped.stall_limit == store.stall_limit > 1500


@every_wrapper
def test_a_wrapper_promises_nothing_that_the_destination_cannot_do(
    wrap: Callable[[Destination], Destination],
) -> None:
    wrapped = wrap(MemoryDestination())
    for protocol in (OnThisMachine, HasLeftovers, LimitsStalls):
        assert not isinstance(wrapped, protocol)


@every_writing_one
def test_a_run_never_backs_up_its_own_wrapped_destination(
    wrap: Callable[[Destination], Destination], make: Make, tmp_path: Path
) -> None:
    (tmp_path / "app/backups").mkdir(parents=True)
    (tmp_path / "app/index.html").write_text("<h1>Shop</h1>")
    pipeline = make(Directory(tmp_path / "app"), wrap(LocalDestination(tmp_path / "app/backups")))
    pipeline.run()
    pipeline.run()
    assert [entry.path for entry in pipeline.entries()] == ["app", "app/index.html"]


@every_writing_one
def test_what_a_killed_run_left_at_a_wrapped_destination_is_swept(
    wrap: Callable[[Destination], Destination], make: Make, tmp_path: Path
) -> None:
    left = tmp_path / "disk/shop/.2026-01-01T00-00-00.000000Z.zip.0123456789abcdef.partial"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"unfinished")
    clock = Clock()
    clock.forward(days=365_0)
    destination = wrap(LocalDestination(tmp_path / "disk"))
    pipeline = make(Scripted("a", {"a": b"a"}), destination, clock=clock, leftovers_after=timedelta(0))
    (result,) = pipeline.clean().destinations
    assert [one.size for one in result.swept] == [10]
    assert names(tmp_path / "disk") == []


def test_the_folder_of_a_pipeline_is_opened_through_wrappers(make: Make, tmp_path: Path) -> None:
    make(Scripted("a", {"a": b"a"}), stored(tmp_path)).run()
    inner = LocalDestination(tmp_path / "shop")
    backups = open_repository(ReadOnly(Throttled(Retrying(inner), "1GB")))
    assert backups.name == "shop"
    assert content(backups) == {"a": b"a"}
    assert (
        repr(backups.destinations[0]) == f"ReadOnly(Throttled(Retrying(LocalDestination({str(tmp_path)!r}))))"
    )


def test_above_a_wrapped_bucket_there_is_nothing() -> None:
    assert within(ReadOnly(open_destination("memory://"))) is None
    assert within(Retrying(MemoryDestination())) is None


def test_the_innermost_is_behind_all_wrappers() -> None:
    inner = MemoryDestination()
    assert innermost(ReadOnly(Throttled(Retrying(inner), "1MB"))) is inner
    assert innermost(inner) is inner
