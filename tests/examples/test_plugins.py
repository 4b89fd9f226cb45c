"""The plug-ins among the examples keep the contracts, and this is how a third party's own tests look."""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from backupkit.protocols import Destination, Encryptor, Source
from backupkit.testing.codecs import EncryptorTests
from backupkit.testing.destinations import DestinationTests
from backupkit.testing.sources import SourceTests
from examples.plugin_destination import DatabaseDestination
from examples.plugin_source import ToyWiki, Wiki

PAGES = {"Start": "Welcome.\nRead on.\n", "Apples": "Red.\nGreen.\n", "Apples-2": "Yellow.\n"}


class UnreachableWiki(ToyWiki):
    def titles(self) -> list[str]:
        raise ConnectionRefusedError("connection refused")


class TestWiki(SourceTests):
    @pytest.fixture
    def source(self) -> Source:
        return Wiki(ToyWiki(PAGES))

    @pytest.fixture(params=["unreachable", "breaks off", "odd title"])
    def failing_source(self, request: pytest.FixtureRequest) -> Source:
        match request.param:
            case "unreachable":
                return Wiki(UnreachableWiki(PAGES))
            case "breaks off":
                return Wiki(ToyWiki(PAGES, flaky=("Apples",)))
            case _:
                return Wiki(ToyWiki(PAGES | {"a/b": "An odd title.\n"}))


class TestDatabaseDestination(DestinationTests):
    @pytest.fixture
    def destination(self, tmp_path: Path) -> Destination:
        return DatabaseDestination(tmp_path / "backups.sqlite3")


@pytest.mark.skipif(not (find_spec("pyrage") or os.environ.get("CI")), reason="pyrage is not installed")
class TestAge(EncryptorTests):
    def make_encryptor(self) -> Encryptor:
        return age_of("the keeper")

    def make_wrong_encryptor(self) -> Encryptor:
        return age_of("somebody else")


@cache
def age_of(who: str) -> Encryptor:
    """An encryptor with a key of its own, always the same for the same person."""
    import pyrage

    from examples.age_public_key import Age

    identity = pyrage.x25519.Identity.generate()
    return Age(recipients=[str(identity.to_public())], identities=[str(identity)])
