"""An archive with one of everything, made through the front door, and what stock tools must find in it."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path
from random import Random

from backupkit.errors import SourceError
from backupkit.formats.zip.format import Zip
from backupkit.model import Entry
from backupkit.passphrase import Passphrase
from backupkit.protocols import Compressor
from backupkit.retrying import Retry
from backupkit.testing.destinations import MemoryDestination
from backupkit.testing.entries import with_content
from backupkit.testing.repositories import BOTH, NOON

MiB = 1 << 20
SECRET = "five words are long enough"
NOISE = Random(4).randbytes(2 * MiB + 5)
TEXT = b"a line that is much like the next\n" * 80_000
TIME = 1_767_225_600  # even: the older time field of ZIP has steps of two seconds


def dated(path: str, *chunks: bytes, mode: int = 0o644, error: BaseException | None = None) -> Entry:
    entry = Entry(path=path, mode=mode, modified_ns=TIME * 10**9 + 5)
    return with_content(entry, *chunks, error=error)


# Small and large, compressible and not, and an entry that is given up half-way in between.
ENTRIES = [
    Entry(path="app", kind="directory", mode=0o750, modified_ns=TIME * 10**9),
    dated("app/empty"),
    dated("app/gap", NOISE, error=SourceError("unreadable", path="app/gap")),
    dated("app/large.txt", TEXT[:MiB], TEXT[MiB:], mode=0o600),
    Entry(path="app/link", kind="symlink", target="large.txt", mode=0o777, modified_ns=TIME * 10**9),
    dated("app/noise.txt", NOISE, mode=0o640),
    dated("app/program", b"#!/bin/sh\n", mode=0o755),
    dated("app/small.jpg", TEXT[:1000]),
    dated("app/spaces and 'quotes' & $signs", b"odd"),
    dated("app/ä 語 🍐", b"not ASCII"),
    dated("db-dumps/shop.sql", b"select 1;\n" * 300_000),
]
FILES = {
    entry.path: b"".join(entry.chunks())
    for entry in ENTRIES
    if entry.kind == "file" and entry.path != "app/gap"
}


def make(
    folder: Path,
    *,
    compressor: Compressor | None = None,
    secret: str | None = None,
    entries: list[Entry] | None = None,
    retry: Retry | None = None,
) -> Path:
    """Write the archive into the folder and return its path."""
    destination = MemoryDestination()
    encryptor = None if secret is None else Passphrase(secret)
    with Zip().open(destination, name="shop", compressor=compressor, encryptor=encryptor) as repository:
        repository.write(
            ENTRIES if entries is None else entries, time=NOON, contents=BOTH, retry=retry or Retry(tries=1)
        )
    (archive,) = (content for name, content in destination.objects.items() if name.endswith(".zip"))
    path = folder / "archive.zip"
    path.write_bytes(archive)
    return path


def run(*command: str | Path, ok: tuple[int, ...] = (0,)) -> str:
    """Run a tool in a UTF-8 locale, whatever the tests run in; its output, if it ended as it should."""
    done = subprocess.run(
        [*map(str, command)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"},
        timeout=120,
        check=False,
    )
    output = done.stdout.decode(errors="replace")
    assert done.returncode in ok, output
    return output


def assert_extracted(folder: Path) -> None:
    """All that ZIP can hold is below the folder as it was: contents, modes, times, links."""
    for path, content in FILES.items():
        assert (folder / path).read_bytes() == content, path
    for entry in ENTRIES:
        if entry.path == "app/gap":
            assert not (folder / entry.path).exists()
            continue
        status = (folder / entry.path).lstat()
        if entry.kind == "symlink":
            assert stat.S_ISLNK(status.st_mode)
            assert os.readlink(folder / entry.path) == "large.txt"
        else:
            assert stat.S_IMODE(status.st_mode) == entry.mode, entry.path
        if entry.kind == "file":
            assert int(status.st_mtime) == TIME, entry.path
