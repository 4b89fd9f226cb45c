from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from backupkit.destinations.fan_out import FanOut
from backupkit.destinations.local import LocalDestination
from backupkit.destinations.opening import open_destination
from backupkit.destinations.stall_limited import StallLimited
from backupkit.protocols import Destination, HasLeftovers, OnThisMachine
from backupkit.testing.destinations import DestinationTests, FaultyDestination, MemoryDestination


class TestLocalDestination(DestinationTests):
    @pytest.fixture
    def destination(self, tmp_path: Path) -> Destination:
        return LocalDestination(tmp_path)


class TestMemoryDestination(DestinationTests):
    @pytest.fixture
    def destination(self) -> Destination:
        return MemoryDestination()


class TestFaultyDestinationWithoutFaults(DestinationTests):
    @pytest.fixture
    def destination(self) -> Destination:
        return FaultyDestination(MemoryDestination(), piece=7000)


class TestFanOutOfTwo(DestinationTests):
    @pytest.fixture
    def destination(self, tmp_path: Path) -> Destination:
        return FanOut([LocalDestination(tmp_path), MemoryDestination()])


class TestFanOutOfOne(DestinationTests):
    @pytest.fixture
    def destination(self, tmp_path: Path) -> Destination:
        return FanOut([LocalDestination(tmp_path)])


class TestStallLimited(DestinationTests):
    @pytest.fixture
    def destination(self, tmp_path: Path) -> Iterator[Destination]:
        with StallLimited(LocalDestination(tmp_path)) as limited:
            yield limited


class TestLocalDestinationThatIsMadeByTheFirstWrite(DestinationTests):
    """A folder that does not exist yet is as good as an empty one, when it may be made."""

    @pytest.fixture
    def destination(self, tmp_path: Path) -> Destination:
        return LocalDestination(tmp_path / "not" / "there yet", create=True)


class TestAFileSystemOfWhichNothingIsKnown(DestinationTests):
    """fsspec's own, in memory: written in the way that is safe for any."""

    @pytest.fixture
    def destination(self) -> Destination:
        return open_destination(f"memory://{uuid.uuid4().hex}/shop")


def test_a_local_destination_can_do_what_the_optional_protocols_ask(tmp_path: Path) -> None:
    destination = LocalDestination(tmp_path)
    assert isinstance(destination, OnThisMachine)
    assert isinstance(destination, HasLeftovers)
    assert destination.folder == tmp_path
