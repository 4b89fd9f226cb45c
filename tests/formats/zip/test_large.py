"""Sizes and counts that do not fit in the older fields of ZIP, and memory that stays bounded."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from backupkit.compression import Store
from backupkit.formats.zip.reader import ArchiveReader
from backupkit.model import Entry
from backupkit.testing.entries import with_content
from tests.formats.zip.archives import KEY, MiB, archive_of, contents_of, repeated, writer_of


def test_more_entries_than_16_bits_can_count() -> None:
    count = 66_000
    # Directories have no content, so that no key has to be derived for them.
    entries = [Entry(path=f"d{number}", kind="directory") for number in range(count)]
    archive = archive_of([*entries, with_content(Entry(path="last"), b"x")], encryptor=KEY)
    assert archive[-98:].startswith(b"PK\6\6")
    contents = contents_of(archive, KEY)
    assert len(contents) == count + 1
    assert contents["last"] == b"x"


class MostlyZeros:
    """A place for gigabytes of zeros: only the other chunks are kept."""

    in_any_order = True

    def __init__(self) -> None:
        self.total = 0
        self._kept: list[tuple[int, bytes]] = []

    def append(self, chunk: bytes) -> None:
        if chunk.count(0) < len(chunk):
            self._kept.append((self.total, chunk))
        self.total += len(chunk)

    def read(self, start: int, length: int) -> Iterator[bytes]:
        end = min(start + length, self.total)
        for begin, chunk in self._kept:
            if begin + len(chunk) > start and begin < end:
                yield bytes(max(0, begin - start))
                yield chunk[max(0, start - begin) : end - begin]
                start = begin + len(chunk)
        yield bytes(max(0, end - start))


def test_sizes_and_places_beyond_32_bits() -> None:
    count = 4097
    zeros = bytes(MiB)
    archive = MostlyZeros()
    entries = [
        Entry(path="zeros", chunks=lambda: repeated(zeros, count)),
        with_content(Entry(path="behind"), b"content " * 100),
        with_content(Entry(path="streamed"), b"content " * 200_000),
        Entry(path="directory", kind="directory"),
    ]
    writer = writer_of(compressor=Store())
    for chunk in writer.chunks(entries):
        archive.append(chunk)
    assert writer.size == count * MiB + 800 + 1_600_000
    assert archive.total > count * MiB

    reader = ArchiveReader(archive, encryptors=[])
    large, *rest = reader.entries()
    assert large.size == count * MiB
    assert [b"".join(entry.chunks()) for entry in rest] == [b"content " * 100, b"content " * 200_000, b""]
    assert [*reader.headers_differ()] == []


# Imports no test module: what importing them takes, and gives back, would hide what is looked for.
_PEAK = """
import resource
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from backupkit.compression import Deflate, Zstd
from backupkit.formats.zip import manifest
from backupkit.formats.zip.aes import WinZipAES
from backupkit.formats.zip.writer import ArchiveWriter
from backupkit.model import Entry
from backupkit.passphrase import Passphrase
from backupkit.retrying import Retry

def peak():
    status = Path("/proc/self/status")
    if status.exists():  # Linux keeps the parent's peak in ru_maxrss, even after exec
        return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

header = manifest.Header(
    id="", name="", time=datetime.now(UTC), contents=frozenset({"files"}), host="", tags=()
)
piece = bytes(range(256)) * 4096

def write(compressor, entries):
    with ThreadPoolExecutor(2) as executor:
        writer = ArchiveWriter(
            header,
            compressor=compressor,
            encryptor=WinZipAES(Passphrase("five words are long enough")),
            executor=executor,
            retry=Retry(),
        )
        for chunk in writer.chunks(entries):
            pass

def long_entry(size):
    return [Entry(path="f", chunks=lambda: (piece for _ in range(size)))]

def many_entries(count):
    return (Entry(path=f"app/some/folder/{n}", kind="directory") for n in range(count))

"""


def growth_of_the_peak(script: str) -> int:
    """By how many bytes the peak memory of a process of its own has grown, as the script prints it."""
    done = subprocess.run(
        [sys.executable, "-c", _PEAK + script], capture_output=True, text=True, check=True, timeout=240
    )
    return int(done.stdout)


@pytest.mark.parametrize("compressor", ["Deflate()", "Zstd()"])
def test_memory_is_bounded_however_long_an_entry_is(compressor: str) -> None:
    grown = growth_of_the_peak(
        f"write({compressor}, long_entry(64)); before = peak(); "
        f"write({compressor}, long_entry(1024)); print(peak() - before)"
    )
    assert grown < 50 * MiB


def test_an_entry_costs_little_memory_when_there_are_many() -> None:
    grown = growth_of_the_peak(
        "write(Deflate(), many_entries(1000)); before = peak(); "
        "write(Deflate(), many_entries(31_000)); print(peak() - before)"
    )
    assert grown / 30_000 < 1000  # bytes: its name, a record of the directory, a line of the manifest
