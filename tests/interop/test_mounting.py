"""Backups where other programs expect them: mounted by fsspec and FUSE, and as the paths of universal-pathlib."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from upath import UPath

from backupkit import BackupPipeline, Directory, MachineLock, Restic
from backupkit.repository_urls import RepositoryFileSystem
from tests.impatience import be_impatient
from tests.pipeline.snapshots import PASSPHRASE
from tests.restics import PASSWORD
from tests.tools import require_tool

# What an installed package is registered for by its entry point; the process says when it is mounted.
MOUNT = """
import sys
import fsspec, fsspec.fuse
from backupkit.repository_urls import RepositoryFileSystem
fsspec.register_implementation("backupkit", RepositoryFileSystem, clobber=True)

class Telling(fsspec.fuse.FUSEr):
    def init(self, path):
        print("mounted", flush=True)

fs = fsspec.filesystem("backupkit", repository=sys.argv[1], passphrase="env:SHOP_SECRET")
fsspec.fuse.run(fs, "", sys.argv[2], ops_class=Telling)
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    app = tmp_path / "app"
    (app / "folder").mkdir(parents=True)
    (app / "large").write_bytes(os.urandom(3 << 20))
    (app / "folder" / "small").write_bytes(b"small")
    return app


@pytest.fixture
def place(tmp_path: Path, app: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    be_impatient(monkeypatch)
    place = tmp_path / "backup"
    place.mkdir()
    locks = MachineLock(tmp_path / "locks")
    format = Restic(workers=0)
    BackupPipeline("shop", Directory(app), place, encryptor=PASSPHRASE, format=format, lock=locks).run()
    return place


@pytest.fixture
def mounted(place: Path, tmp_path: Path) -> Iterator[Path]:
    fusermount = require_tool("fusermount3")
    try:
        import fsspec.fuse  # noqa: F401
    except (ImportError, OSError) as error:
        pytest.skip(f"{error}: pip install fusepy, and apt-get install libfuse2")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("/dev/fuse cannot be used here, as in most containers")
    point = tmp_path / "mounted"
    point.mkdir()
    command = [sys.executable, "-c", MOUNT, str(place), str(point)]
    environment = os.environ | {"SHOP_SECRET": PASSWORD}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        said = b""
        while b"mounted" not in said:
            line = process.stdout.readline()
            if not line:
                assert b"fuse: " in said, said  # anything else is a fault of ours
                pytest.skip(f"FUSE cannot be used here: {said.decode()}")
            said += line
        try:
            yield point
        finally:
            subprocess.run([fusermount, "-u", point], check=False)
            process.wait()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_fsspec_mounts_it(mounted: Path, app: Path) -> None:
    found = mounted / "latest" / app.relative_to("/")
    assert sorted(one.name for one in found.iterdir()) == ["folder", "large"]
    assert digest(found / "large") == digest(app / "large")
    assert (found / "folder" / "small").stat().st_size == 5
    assert subprocess.check_output(["tail", "-c", "3", found / "folder" / "small"]) == b"all"
    with (found / "large").open("rb") as file:
        file.seek(2_000_000)
        assert file.read(10) == (app / "large").read_bytes()[2_000_000:2_000_010]
    with pytest.raises(OSError, match="Read-only") as raised:
        (found / "new").write_bytes(b"x")
    assert raised.value.errno == errno.EROFS


@pytest.mark.filterwarnings("ignore:UPath 'backupkit' filesystem not explicitly implemented")
def test_universal_pathlib_has_paths_of_it(place: Path, app: Path) -> None:
    fsspec.register_implementation("backupkit", RepositoryFileSystem, clobber=True)
    path = UPath("backupkit://latest", repository=str(place), passphrase=PASSWORD).joinpath(*app.parts[1:])
    assert sorted(one.name for one in path.iterdir()) == ["folder", "large"]
    assert (path / "folder" / "small").read_bytes() == b"small"
    assert (path / "large").stat().st_size == 3 << 20
    assert [one.name for one in path.glob("**/sm*")] == ["small"]
    assert not (path / "gone").exists()
    assert PASSWORD not in repr(path) + str(path)
