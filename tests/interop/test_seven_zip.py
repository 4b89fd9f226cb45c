"""7-Zip opens everything we write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backupkit.compression import Deflate, Store, Zstd
from backupkit.errors import SourceError
from backupkit.model import Entry
from backupkit.protocols import Compressor
from backupkit.retrying import Retry
from tests.formats.zip.archives import MiB, repeated, writer_of
from tests.interop.made import ENTRIES, FILES, SECRET, TEXT, assert_extracted, dated, make, run
from tests.tools import require_tool

pytestmark = pytest.mark.interop


@pytest.fixture
def seven_zip() -> Path:
    return require_tool("7zz")


@pytest.mark.parametrize("secret", [None, SECRET], ids=["plain", "encrypted"])
@pytest.mark.parametrize("compressor", [Store(), Deflate(), Deflate(6), Zstd()], ids=repr)
def test_everything_is_extracted_as_it_was(
    seven_zip: Path, tmp_path: Path, compressor: Compressor, secret: str | None
) -> None:
    archive = make(tmp_path, compressor=compressor, secret=secret)
    password = f"-p{secret or ''}"
    assert "Everything is Ok" in run(seven_zip, "t", password, archive)
    run(seven_zip, "x", password, "-snld", f"-o{tmp_path / 'out'}", archive)
    assert_extracted(tmp_path / "out")


def test_it_finds_no_fault_in_the_headers(seven_zip: Path, tmp_path: Path) -> None:
    listing = run(seven_zip, "l", "-slt", make(tmp_path, secret=SECRET))
    assert "Warnings" not in listing
    assert "Errors" not in listing
    assert listing.count("Method = AES-256") == len(FILES) + 2  # the link and the manifest
    assert "Method = AES-256 Deflate" in listing
    assert "Encrypted = -" in listing  # the folder


def test_a_wrong_passphrase_opens_nothing(seven_zip: Path, tmp_path: Path) -> None:
    archive = make(tmp_path, secret=SECRET)
    output = run(seven_zip, "x", "-pwrong", f"-o{tmp_path / 'out'}", archive, ok=(2,))
    assert "Wrong password" in output
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file() and path.stat().st_size]
    assert written == []


@pytest.mark.parametrize(
    "secret", ["x" * 99, "pässwörter 語", "quote ' and \" and \\"], ids=["99-bytes", "not-ascii", "quotes"]
)
def test_every_passphrase_that_we_take_opens_it(seven_zip: Path, tmp_path: Path, secret: str) -> None:
    archive = make(tmp_path, secret=secret, entries=[dated("f", b"content")])
    run(seven_zip, "x", f"-p{secret}", f"-o{tmp_path / 'out'}", archive)
    assert (tmp_path / "out" / "f").read_bytes() == b"content"


@pytest.mark.parametrize("secret", [None, SECRET], ids=["plain", "encrypted"])
@pytest.mark.parametrize("place", [0, 1, 2], ids=["first", "middle", "last"])
def test_an_entry_that_was_given_up_is_a_gap(
    seven_zip: Path, tmp_path: Path, place: int, secret: str | None
) -> None:
    """It refuses a gap at the beginning, which is why an archive begins with a folder then."""
    gap = next(entry for entry in ENTRIES if entry.path == "app/gap")
    entries = [dated("a", b"content"), dated("b", TEXT)]
    entries.insert(place, gap)
    archive = make(tmp_path, entries=entries, secret=secret)
    output = run(seven_zip, "t", f"-p{secret or ''}", archive)
    assert "Everything is Ok" in output
    assert "Warning" not in output


def test_an_entry_that_was_tried_again_is_there_once(seven_zip: Path, tmp_path: Path) -> None:
    failures = [SourceError("busy", path="dump", retryable=True)]

    def content() -> Iterator[bytes]:
        yield TEXT
        if failures:
            raise failures.pop()

    entry = Entry(path="dump", chunks=content)
    archive = make(tmp_path, entries=[entry], secret=SECRET, retry=Retry(tries=2, wait=0))
    run(seven_zip, "x", f"-p{SECRET}", f"-o{tmp_path / 'out'}", archive)
    assert (tmp_path / "out" / "dump").read_bytes() == TEXT


def test_a_damaged_entry_is_noticed(seven_zip: Path, tmp_path: Path) -> None:
    for secret in (None, SECRET):
        archive = make(tmp_path, secret=secret, compressor=Store())
        content = bytearray(archive.read_bytes())
        content[-300_000] ^= 1
        archive.write_bytes(content)
        output = run(seven_zip, "t", f"-p{secret or ''}", archive, ok=(2,))
        assert "CRC Failed" in output


def test_odd_names_are_extracted(seven_zip: Path, tmp_path: Path) -> None:
    names = [
        "line\nbreak",
        "100%",
        "trailing.",
        " leading",
        "-rf",
        "~",
        "d" * 200 + "/" + "f" * 200,
        "é\u0301",
    ]
    entries = [*(dated(name, name.encode()) for name in names), dated("not UTF-8 \udcff", b"escaped")]
    archive = make(tmp_path, entries=entries)
    run(seven_zip, "x", f"-o{tmp_path / 'out'}", archive)
    for name in names:
        assert (tmp_path / "out" / name).read_bytes() == name.encode()
    assert (tmp_path / "out" / "not UTF-8 %FF").read_bytes() == b"escaped"


def test_more_than_65535_entries_are_seen(seven_zip: Path, tmp_path: Path) -> None:
    entries = [Entry(path=f"d{number}", kind="directory") for number in range(66_000)]
    archive = make(tmp_path, entries=[*entries, dated("last", b"x")], secret=SECRET)
    assert "Everything is Ok" in run(seven_zip, "t", f"-p{SECRET}", archive)
    run(seven_zip, "x", f"-p{SECRET}", f"-o{tmp_path / 'out'}", archive, "last")
    assert (tmp_path / "out" / "last").read_bytes() == b"x"


def test_an_entry_of_more_than_4_gib_is_seen_and_what_follows_it_found(
    seven_zip: Path, tmp_path: Path
) -> None:
    zeros = bytes(MiB)
    entries = [Entry(path="zeros", chunks=lambda: repeated(zeros, 4097)), dated("behind", b"content")]
    path = tmp_path / "archive.zip"
    with path.open("wb") as file:
        for chunk in writer_of(compressor=Store()).chunks(entries):
            if chunk.count(0) == len(chunk):
                file.seek(len(chunk), 1)  # a hole in the file: the disk need not have 4 GiB
            else:
                file.write(chunk)
    assert f"Size = {4097 * MiB}" in run(seven_zip, "l", "-slt", path)
    run(seven_zip, "x", f"-o{tmp_path / 'out'}", path, "behind")
    assert (tmp_path / "out" / "behind").read_bytes() == b"content"
