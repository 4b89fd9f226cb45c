"""Archives encrypted to age keys, whose real implementation finds real damage in its own way."""

from __future__ import annotations

import io
import zipfile

import pytest

from backupkit.formats.zip.format import Zip
from backupkit.model import Entry
from backupkit.protocols import Encryptor, Format
from backupkit.retrying import Retry
from backupkit.testing.destinations import MemoryDestination
from backupkit.testing.entries import with_content
from backupkit.testing.repositories import BOTH, NOON, RepositoryTests
from tests.interop.made import NOISE

pyrage = pytest.importorskip("pyrage")
from examples.age_public_key import Age  # noqa: E402 - it needs pyrage

pytestmark = pytest.mark.interop

KEEPER, STRANGER = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()


def age(identity: object, *, reads: bool = True) -> Age:
    recipient = str(KEEPER.to_public())
    return Age(recipients=[recipient], identities=[str(identity)] if reads else [])


class TestAgeArchives(RepositoryTests):
    def make_format(self) -> Format:
        return Zip()

    def make_encryptor(self) -> Encryptor:
        return age(KEEPER)

    def make_wrong_encryptor(self) -> Encryptor:
        return age(STRANGER)


def test_pyrage_alone_makes_an_ordinary_archive_of_it() -> None:
    destination = MemoryDestination()
    with Zip().open(destination, name="shop", encryptor=age(KEEPER, reads=False)) as repository:
        repository.write(
            [with_content(Entry(path="f"), NOISE)], time=NOON, contents=BOTH, retry=Retry(tries=1)
        )
    (sealed,) = (content for name, content in destination.objects.items() if name.endswith(".zip.age"))
    with zipfile.ZipFile(io.BytesIO(pyrage.decrypt(sealed, [KEEPER]))) as archive:
        assert archive.testzip() is None
        assert archive.read("f") == NOISE
