"""Backups as fsspec's users see them, whatever the format."""

from __future__ import annotations

import errno
import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from backupkit.browsing import BackupFileSystem
from backupkit.browsing.file_system import _info
from backupkit.browsing.files import BackupFile, content_within, size_of
from backupkit.errors import ConfigurationError
from backupkit.model import Entry
from tests.browsing.kept import LARGE, MODIFIED, ODD, Kept


@pytest.fixture
def fs(shared: Kept) -> BackupFileSystem:
    return shared.file_system()


def test_the_root_has_the_backups_and_the_latest(shared: Kept, fs: BackupFileSystem) -> None:
    assert fs.ls("", detail=False) == ["latest", shared.id]
    assert fs.info("")["type"] == fs.info("latest")["type"] == fs.info(shared.id)["type"] == "directory"
    assert fs.info("latest")["backup"] == shared.id
    assert fs.created("latest") == shared.pipeline.get().time


def test_a_folder_has_what_it_had(shared: Kept, fs: BackupFileSystem) -> None:
    found = {one["name"].removeprefix(f"{shared.latest}/"): one for one in fs.ls(shared.latest)}
    assert {name: one["type"] for name, one in found.items()} == {
        "folder": "directory",
        "large": "file",
        "link": "link",
        ODD: "file",
        "same": "file",
    }
    assert (found["large"]["size"], found["same"]["size"]) == (len(LARGE), len(LARGE))
    assert (found["link"]["islink"], found["link"]["destination"]) == (True, "folder/orders.csv")
    assert (found["link"]["size"], found["folder"]["size"]) == (0, 0)
    assert found["folder"].keys() >= {"mode", "uid", "gid"}
    assert [fs.islink(f"{shared.latest}/{one}") for one in ("link", "large")] == [True, False]
    orders = fs.info(f"{shared.latest}/folder/orders.csv")
    assert (orders["mode"], orders["mtime"], orders["size"]) == (0o640, MODIFIED, 19)
    assert fs.modified(f"{shared.latest}/folder/orders.csv") == datetime.fromtimestamp(MODIFIED, UTC)


def test_it_is_walked_found_and_matched(shared: Kept, fs: BackupFileSystem) -> None:
    app = shared.latest
    walked = [(path.removeprefix(app), folders, files) for path, folders, files in fs.walk(app)]
    assert walked == [
        ("", ["folder"], ["large", "link", ODD, "same"]),
        ("/folder", ["deeper"], ["orders.csv"]),
        ("/folder/deeper", [], ["empty"]),
    ]
    files = ["folder/deeper/empty", "folder/orders.csv", "large", ODD, "same"]
    assert fs.find(app) == [f"{app}/{one}" for one in files]
    assert f"{app}/link" in fs.find(app, withdirs=True)
    assert fs.find(f"{app}/large") == fs.ls(f"{app}/large", detail=False) == [f"{app}/large"]
    assert fs.exists(f"backupkit::{app}/large")
    assert fs.glob(f"{app}/*/*.csv") == [f"{app}/folder/orders.csv"]
    assert fs.glob(f"latest/**/{'l*'}") == [f"{app}/large", f"{app}/link"]
    assert fs.du(app) == 2 * len(LARGE) + 19 + 3


def test_content_is_read_whole_and_in_ranges(shared: Kept, fs: BackupFileSystem) -> None:
    large = f"{shared.latest}/large"
    assert fs.cat_file(large) == fs.cat_file(f"{shared.id}/{shared.app}/same") == LARGE
    for start, end in [
        (0, 10),
        (1000, 2000),
        (-10, None),
        (None, -len(LARGE) + 3),
        (len(LARGE), None),
        (9, 3),
    ]:
        assert fs.cat_file(large, start, end) == LARGE[start:end]
    assert fs.cat_ranges([large] * 2, [5, 4_000_000], [9, 4_000_009]) == [
        LARGE[5:9],
        LARGE[4_000_000:4_000_009],
    ]
    assert fs.cat_file(f"{shared.latest}/{ODD}") == b"odd"
    assert fs.cat_file(f"{shared.latest}/folder/deeper/empty", 0, 10) == b""
    with fs.open(f"{shared.latest}/folder/orders.csv", "r") as text:
        assert text.readlines()[1] == "1,10\n"


def test_a_file_is_read_forwards_and_backwards(shared: Kept, fs: BackupFileSystem) -> None:
    pick = Random(4)
    with fs.open(f"{shared.latest}/large") as file:
        assert file.path == f"{shared.id}/{shared.app}/large"
        expected = io.BytesIO(LARGE)
        for _ in range(60):
            if pick.random() < 0.3:
                at = pick.randrange(len(LARGE) + 10)
                file.seek(at)
                expected.seek(at)
            count = pick.choice([1, 100, 70_000, 1_000_000])
            assert file.read(count) == expected.read(count)
        file.seek(0)
        assert file.read() == LARGE


def test_files_and_folders_are_fetched(shared: Kept, fs: BackupFileSystem, tmp_path: Path) -> None:
    fs.get(f"{shared.latest}/folder", str(tmp_path / "got"), recursive=True)
    got = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert got == {"got", "got/orders.csv", "got/deeper", "got/deeper/empty"}
    with pytest.warns(UserWarning, match="is a symbolic link and was not copied"):
        fs.get(shared.latest, str(tmp_path / "all"), recursive=True)
    assert (tmp_path / "all" / ODD).read_bytes() == b"odd"
    assert not (tmp_path / "all" / "link").is_symlink()


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("gone", FileNotFoundError),
        ("latest/gone", FileNotFoundError),
        ("{app}/gone", FileNotFoundError),
        ("{app}/gone/gone", FileNotFoundError),
        ("{app}/large/below", NotADirectoryError),
        ("{app}/folder/..", FileNotFoundError),
        ("{app}/../../../etc/passwd", FileNotFoundError),
        ("../{app}", FileNotFoundError),
        ("{app}//large", FileNotFoundError),
        ("{app}/\0", FileNotFoundError),
        ("", IsADirectoryError),
        ("latest", IsADirectoryError),
        ("{app}/folder", IsADirectoryError),
        ("{app}/link", OSError),
    ],
)
def test_where_there_is_nothing_to_read_is_said_as_fsspecs_users_expect(
    shared: Kept, fs: BackupFileSystem, path: str, error: type[OSError]
) -> None:
    path = path.format(app=shared.latest)
    for read in (fs.cat_file, fs.open):
        with pytest.raises(error) as raised:
            read(path)
        assert raised.value.filename == path
    if error in (FileNotFoundError, NotADirectoryError):
        for look in (fs.info, fs.ls, fs.modified):
            with pytest.raises(error):
                look(path)
        assert [ask(path) for ask in (fs.exists, fs.isdir, fs.isfile, fs.islink)] == [False] * 4


@pytest.mark.parametrize(
    "write",
    [
        lambda fs, path: fs.open(path, "wb"),
        lambda fs, path: fs.open(path, "ab"),
        lambda fs, path: fs.open(path, "w"),
        lambda fs, path: fs.rm(path),
        lambda fs, path: fs.rm_file(path),
        lambda fs, path: fs.rmdir(path),
        lambda fs, path: fs.mkdir(path),
        lambda fs, path: fs.makedirs(path, exist_ok=True),
        lambda fs, path: fs.mv(path, path + "2"),
        lambda fs, path: fs.copy(path, path + "2"),
        lambda fs, path: fs.cp_file(path, path + "2"),
        lambda fs, path: fs.touch(path),
        lambda fs, path: fs.pipe(path, b""),
        lambda fs, path: fs.pipe_file(path, b""),
        lambda fs, path: fs.put(__file__, path),
        lambda fs, path: fs.put_file(__file__, path),
        lambda fs, path: fs.write_text(path, ""),
        lambda fs, path: fs.delete(path),
        lambda fs, path: fs.rename(path, path + "2"),
    ],
)
def test_nothing_can_be_written(
    shared: Kept, fs: BackupFileSystem, write: Callable[[Any, str], object]
) -> None:
    with pytest.raises(OSError, match="Backups are read-only") as raised:
        write(fs, f"{shared.latest}/large")
    assert raised.value.errno == errno.EROFS


def test_reading_on_is_one_stream_and_going_elsewhere_another(shared: Kept, fs: BackupFileSystem) -> None:
    content = Random(5).randbytes(1 << 20)
    ranges: list[tuple[int, int]] = []
    left: list[int] = []

    def within(start: int, stop: int) -> Iterator[bytes]:
        ranges.append((start, stop))
        try:
            for at in range(start, stop, 1000):
                yield content[at : min(at + 1000, stop)]
        finally:
            left.append(start)

    entry = Entry(path="x", size=len(content), within=within)
    file = BackupFile(fs, "x", shared.pipeline.get(), entry, block_size="default")
    assert file.read(10) == content[:10]
    first = ranges[0]
    assert first[1] < 100_000, "whoever reads a little pays for little"
    assert file.read(300_000) == content[10:300_010]
    assert ranges == [first, (first[1], len(content))]
    file.seek(500_000)
    assert file.read(10) == content[500_000:500_010]
    assert file.read(200_000) == content[500_010:700_010]
    assert ranges[2][0] == 500_000
    assert len(ranges) == 4
    assert file._fetch_range(7, 7) == b""
    assert file._fetch_range(len(content) - 5, len(content) + 5) == content[-5:]
    assert ranges[4:] == [(len(content) - 5, len(content))]
    file.close()
    assert sorted(left) == sorted(start for start, _ in ranges)


def test_what_says_how_to_read_a_part_of_it_is_not_read_from_its_beginning() -> None:
    entry = Entry(
        path="x", chunks=lambda: pytest.fail("it is read"), within=lambda *both: iter([str(both).encode()])
    )
    assert [*content_within(entry, 1, 3)] == [b"(1, 3)"]
    assert [*content_within(replace(entry, within=None), 3, 3)] == []
    assert size_of(Entry(path="x", chunks=lambda: iter([b"12", b"3"]))) == 3


def test_threads_share_it(shared: Kept, fs: BackupFileSystem) -> None:
    wrong: list[object] = []

    def read(number: int) -> None:
        pick = Random(number)
        try:
            with fs.open(f"{shared.latest}/large") as file:
                for _ in range(5):
                    at = pick.randrange(len(LARGE))
                    file.seek(at)
                    if file.read(5000) != LARGE[at : at + 5000]:
                        wrong.append(at)
            if len(fs.find(shared.latest)) != 5:
                wrong.append("found")
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    "ns", [10**400, -(10**400), 253_402_300_800 * 10**9 - 1, -1, 1], ids=["far", "before", "last", "-1", "1"]
)
def test_a_time_that_nobody_writes_is_still_one(shared: Kept, fs: BackupFileSystem, ns: int) -> None:
    found = _info("a", shared.pipeline.get(), Entry(path="a", modified_ns=ns))
    assert datetime.fromtimestamp(found["mtime"], UTC).year in (1, 1969, 1970, 9999)
    backup = shared.pipeline.get()
    assert _info("a", backup, Entry(path="a"))["mtime"] == backup.time.timestamp()


def test_options_that_there_are_not_are_refused(shared: Kept) -> None:
    with pytest.raises(ConfigurationError, match="no options called colour"):
        BackupFileSystem(shared.pipeline, colour="red")
