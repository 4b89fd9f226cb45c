"""pyzipper reads what is encrypted, and we read nothing but our own."""

from __future__ import annotations

from pathlib import Path

import pytest
import pyzipper

from backupkit.compression import Deflate, Store
from backupkit.protocols import Compressor
from tests.interop.made import FILES, SECRET, make

pytestmark = pytest.mark.interop


@pytest.mark.parametrize("compressor", [Store(), Deflate()], ids=repr)
def test_everything_is_read(tmp_path: Path, compressor: Compressor) -> None:
    with pyzipper.AESZipFile(make(tmp_path, compressor=compressor, secret=SECRET)) as archive:
        archive.setpassword(SECRET.encode())
        assert archive.testzip() is None
        for path, content in FILES.items():
            assert archive.read(path) == content
        assert archive.read("app/link") == b"large.txt"
        assert b'"app/link"' in archive.read(".backupkit/manifest.json")


def test_a_wrong_passphrase_opens_nothing(tmp_path: Path) -> None:
    with pyzipper.AESZipFile(make(tmp_path, secret=SECRET)) as archive:
        archive.setpassword(b"wrong")
        for path in FILES:
            # The second where the two bytes that tell happen to be right.
            with pytest.raises((RuntimeError, pyzipper.BadZipFile)):
                archive.read(path)


def test_an_umlaut_in_the_passphrase_is_utf8(tmp_path: Path) -> None:
    with pyzipper.AESZipFile(make(tmp_path, secret="pässwörter")) as archive:
        archive.setpassword("pässwörter".encode())
        assert archive.read("app/small.jpg") == FILES["app/small.jpg"]
