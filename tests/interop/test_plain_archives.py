"""What is not encrypted opens with the tools that every system has."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from backupkit.compression import Deflate, Store, Zstd
from backupkit.model import Entry
from backupkit.protocols import Compressor
from tests.interop.made import ENTRIES, FILES, assert_extracted, dated, make, run
from tests.tools import require_tool

pytestmark = pytest.mark.interop

each_compressor = pytest.mark.parametrize("compressor", [Store(), Deflate(), Deflate(6)], ids=repr)


@each_compressor
def test_unzip_finds_no_fault_and_extracts_everything(tmp_path: Path, compressor: Compressor) -> None:
    unzip = require_tool("unzip")
    archive = make(tmp_path, compressor=compressor)
    assert "No errors detected" in run(unzip, "-t", archive)
    run(unzip, "-q", archive, "-d", tmp_path / "out")
    assert_extracted(tmp_path / "out")


@pytest.mark.parametrize("compressor", [Store(), Deflate(), Zstd()], ids=repr)
def test_bsdtar_extracts_everything(tmp_path: Path, compressor: Compressor) -> None:
    bsdtar = require_tool("bsdtar")
    archive = make(tmp_path, compressor=compressor)
    (tmp_path / "out").mkdir()
    run(bsdtar, "-x", "-p", "-f", archive, "-C", tmp_path / "out")
    assert_extracted(tmp_path / "out")


@each_compressor
def test_zipfile_reads_everything(tmp_path: Path, compressor: Compressor) -> None:
    with zipfile.ZipFile(make(tmp_path, compressor=compressor)) as archive:
        assert archive.testzip() is None
        for path, content in FILES.items():
            assert archive.read(path) == content
        infos = {info.filename.rstrip("/"): info for info in archive.infolist()}
        for entry in ENTRIES:
            if entry.path != "app/gap" and entry.kind != "symlink":
                assert stat.S_IMODE(infos[entry.path].external_attr >> 16) == entry.mode
                assert infos[entry.path].date_time == (2026, 1, 1, 0, 0, 0)
                assert infos[entry.path].is_dir() == (entry.kind == "directory")
        assert "app/gap" not in infos
        assert archive.read("app/link") == b"large.txt"


@pytest.mark.parametrize("place", [0, 1, 2], ids=["first", "middle", "last"])
def test_an_entry_that_was_given_up_is_a_gap_that_every_tool_accepts(tmp_path: Path, place: int) -> None:
    gap = next(entry for entry in ENTRIES if entry.path == "app/gap")
    entries = [dated("a", b"content"), dated("b", b"content")]
    entries.insert(place, gap)
    archive = make(tmp_path, entries=entries)
    assert archive.stat().st_size > 1 << 20
    with zipfile.ZipFile(archive) as opened:
        assert opened.testzip() is None
        assert "app/gap" not in opened.namelist()
    assert "No errors detected" in run(require_tool("unzip"), "-t", archive)
    assert {"a", "b"} < {*run(require_tool("bsdtar"), "-t", "-f", archive).split()}


def test_odd_names_are_extracted(tmp_path: Path) -> None:
    names = ["100%", "trailing.", " leading", "-rf", "d" * 200 + "/" + "f" * 200, "é\u0301"]
    archive = make(
        tmp_path, entries=[*(dated(name, name.encode()) for name in names), dated("x\udcff", b"x")]
    )
    run(require_tool("unzip"), "-q", archive, "-d", tmp_path / "unzip")
    (tmp_path / "bsdtar").mkdir()
    run(require_tool("bsdtar"), "-x", "-f", archive, "-C", tmp_path / "bsdtar")
    for tool in ("unzip", "bsdtar"):
        for name in names:
            assert (tmp_path / tool / name).read_bytes() == name.encode()
        assert (tmp_path / tool / "x%FF").read_bytes() == b"x"


def test_more_than_65535_entries_are_seen(tmp_path: Path) -> None:
    entries = [Entry(path=f"d{number}", kind="directory") for number in range(66_000)]
    archive = make(tmp_path, entries=[*entries, dated("last", b"x")])
    with zipfile.ZipFile(archive) as opened:
        assert len(opened.infolist()) == 66_002
        assert opened.read("last") == b"x"
    run(require_tool("unzip"), "-q", archive, "last", "-d", tmp_path / "out")
    assert (tmp_path / "out" / "last").read_bytes() == b"x"
    assert run(require_tool("bsdtar"), "-t", "-f", archive).count("\n") == 66_002
