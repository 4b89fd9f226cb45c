"""Dropbox as a destination, held against a server of our own over TLS."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from backupkit.protocols import Destination
from backupkit.testing.destinations import DestinationTests
from tests.storage.dropboxes import Reached, reached_dropbox


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reached]:
    with reached_dropbox(tmp_path_factory.mktemp("dropbox")) as reached:
        yield reached


@pytest.fixture
def dropbox(running: Reached) -> Reached:
    """The server, and a folder that nobody has used."""
    return Reached(running.server, running.certificate, running.options)


class TestDropbox(DestinationTests):
    @pytest.fixture
    def destination(self, dropbox: Reached) -> Destination:
        return dropbox.destination()

    @pytest.fixture
    def secrets(self) -> Sequence[str]:
        return ["TOKEN"]


class TestDropboxInParts(DestinationTests):
    """Where each object of more than a mebibyte is sent by a session, one part after the other."""

    @pytest.fixture
    def destination(self, dropbox: Reached) -> Destination:
        return dropbox.destination(part_size=1 << 20, concurrency=1)
