from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import backupkit
from backupkit.errors import ConfigurationError
from backupkit.filesystems.kinds import kind_of

LIBRARIES = {
    "s3": ("s3fs", "s3"),
    "gs": ("gcsfs", "gcs"),
    "abfs": ("adlfs", "azure"),
    "dropbox": ("dropbox", "dropbox"),
    "sftp": ("asyncssh", "sftp"),
    "webdav": ("webdav4", "webdav"),
    "smb": ("smbprotocol", "smb"),
}
ABSENT = {library for library, _ in LIBRARIES.values()}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of what is installed here, without the libraries of any extra."""
    folder = tmp_path_factory.mktemp("bare")
    for entry in os.scandir(sysconfig.get_paths()["purelib"]):
        if entry.name.split("-")[0].split(".")[0] not in ABSENT:
            (folder / entry.name).symlink_to(entry.path)
    return folder


def run(program: str, *paths: Path) -> str:
    """What a new interpreter prints that finds nothing but this package and these folders."""
    places = [str(Path(backupkit.__file__).parent.parent), *map(str, paths)]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {places!r}\n{program}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_missing_extra_is_named_for_each_kind_as_soon_as_a_place_of_it_is_named(bare: Path) -> None:
    program = f"""
from backupkit import open_destination
for protocol in {[*LIBRARIES]!r}:
    try:
        open_destination(f"{{protocol}}://name/x")
    except ModuleNotFoundError as error:
        print(error)
"""
    told = run(program, bare).splitlines()
    assert told == [
        f"{protocol}:// needs {library}: pip install 'backupkit[{extra}]'"
        for protocol, (library, extra) in LIBRARIES.items()
    ]


def test_a_library_that_fsspec_merely_knows_of_is_named(bare: Path) -> None:
    program = """
from backupkit import open_destination
try:
    open_destination("oss://bucket/x")
except ModuleNotFoundError as error:
    print(error)
"""
    assert run(program, bare) == "oss:// needs ossfs: pip install ossfs\n"


def test_naming_a_place_imports_no_library() -> None:
    program = f"""
from backupkit import FsspecSource, open_destination
for protocol in {[one for one in LIBRARIES if one != "smb"]!r}:
    open_destination(f"{{protocol}}://name/x", time_limit=5)
    FsspecSource(f"{{protocol}}://name/x")
print(sorted({ABSENT!r} & set(sys.modules)), "fsspec" in sys.modules, "asyncio" in sys.modules)
"""
    assert run(program, Path(sysconfig.get_paths()["purelib"])) == "[] False False\n"


def test_an_entry_point_of_somebody_elses_file_system_is_a_kind(tmp_path: Path) -> None:
    (tmp_path / "shelf.py").write_text(
        "from fsspec.implementations.memory import MemoryFileSystem\n"
        "class Shelf(MemoryFileSystem):\n    protocol = 'shelf'\n"
    )
    about = tmp_path / "shelf-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: shelf\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[fsspec.specs]\nshelf = shelf:Shelf\n")
    program = """
from backupkit import open_destination
destination = open_destination("shelf://books/x")
destination.write("a", [b"abc"])
print(destination.location, b"".join(destination.read("a")))
"""
    site = Path(sysconfig.get_paths()["purelib"])
    assert run(program, tmp_path, site) == "shelf://books/x b'abc'\n"


@pytest.mark.parametrize(
    ("alias", "protocol"), [("s3a", "s3"), ("gcs", "gs"), ("az", "abfs"), ("ssh", "sftp")]
)
def test_an_alias_is_the_same_kind(alias: str, protocol: str) -> None:
    assert kind_of(alias) is kind_of(protocol)


def test_a_protocol_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no kind of destination"):
        kind_of("nothing")
