"""What one process leaves for the next to know."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit import ConfigurationError, FileMemory, NotificationError
from tests.pipeline.shop import small_disk


def test_what_is_remembered_is_recalled_by_another_object(tmp_path: Path) -> None:
    FileMemory(tmp_path).remember("shop file:///mnt", "down since Monday")
    FileMemory(tmp_path).remember("shop \udcff", "\ud800 any text")
    assert FileMemory(tmp_path).recall("shop file:///mnt") == "down since Monday"
    assert FileMemory(tmp_path).recall("shop \udcff") == "\ud800 any text"
    assert FileMemory(tmp_path).recall("blog file:///mnt") is None


def test_none_forgets_it(tmp_path: Path) -> None:
    memory = FileMemory(tmp_path)
    for value in ("down", None, None):
        memory.remember("shop", value)
    assert memory.recall("shop") is None
    assert json.loads((tmp_path / "memory.json").read_text(encoding="utf-8")) == {}


def test_before_anything_is_remembered_nothing_is_made(tmp_path: Path) -> None:
    assert FileMemory(tmp_path / "not there").recall("shop") is None
    assert [*tmp_path.iterdir()] == []


def test_folder_and_file_are_for_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        FileMemory(tmp_path / "state" / "backupkit").remember("shop", "down")
    finally:
        os.umask(before)
    folder = tmp_path / "state" / "backupkit"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {one.name: stat.S_IMODE(one.stat().st_mode) for one in folder.iterdir()} == {
        "memory.json": 0o600,
        "memory.lock": 0o600,
    }


def test_threads_and_processes_lose_nothing_of_each_others(tmp_path: Path) -> None:
    script = (
        "import sys; from backupkit import FileMemory\n"
        "for n in range(20): FileMemory(sys.argv[1]).remember(f'process {n}', 'down')"
    )
    with (
        ThreadPoolExecutor(4) as threads,
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path)]) as process,
    ):
        for number in range(20):
            threads.submit(FileMemory(tmp_path).remember, f"thread {number}", "down")
    assert process.returncode == 0
    assert len(json.loads((tmp_path / "memory.json").read_text(encoding="utf-8"))) == 40


@given(
    st.binary()
    | st.sampled_from(
        [
            b"[" * 100_000,
            b'{"shop": 5, "blog": ["down"]}',
            b'{"shop": null}',
            b"1" * 5000,
            b'"text"',
            b"\xef\xbb\xbf{}",
        ]
    )
)
def test_any_bytes_in_the_file_are_at_worst_nothing(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.mktemp("memory")
    (folder / "memory.json").write_bytes(content)
    assert FileMemory(folder).recall("shop") is None
    FileMemory(folder).remember("shop", "down")
    assert FileMemory(folder).recall("shop") == "down"


def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text('{"shop": "up"}', encoding="utf-8")
    (tmp_path / "memory.json").symlink_to(precious)
    memory = FileMemory(tmp_path)
    assert memory.recall("shop") is None
    memory.remember("shop", "down")
    assert memory.recall("shop") == "down"
    assert not (tmp_path / "memory.json").is_symlink()
    assert precious.read_text(encoding="utf-8") == '{"shop": "up"}'


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "memory.json")
    assert FileMemory(tmp_path).recall("shop") is None
    FileMemory(tmp_path).remember("shop", "down")
    assert FileMemory(tmp_path).recall("shop") == "down"


def test_a_folder_that_cannot_be_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    memory = FileMemory(tmp_path / "file")
    with pytest.raises(NotificationError, match=r"cannot be read from .*file/memory.json"):
        memory.recall("shop")
    with pytest.raises(NotificationError, match=r"memory=FileMemory\(folder\)"):
        memory.remember("shop", "down")


def test_what_is_no_file_can_be_neither_read_nor_replaced(tmp_path: Path) -> None:
    (tmp_path / "memory.json").mkdir()
    with pytest.raises(NotificationError, match="cannot be read"):
        FileMemory(tmp_path).recall("shop")
    with pytest.raises(NotificationError, match="cannot be read"):
        FileMemory(tmp_path).remember("shop", "down")


def test_a_full_disk_leaves_what_was_remembered_before_and_nothing_else(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=64k") as disk:
        memory = FileMemory(disk)
        memory.remember("shop", "down")
        with pytest.raises(NotificationError, match=r"cannot be remembered in .*No space left"):
            memory.remember("blog", "x" * 100_000)
        assert memory.recall("shop") == "down"
        assert sorted(one.name for one in disk.iterdir()) == ["memory.json", "memory.lock"]


def test_without_a_home_no_folder_is_made_where_one_happens_to_be(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    with pytest.raises(ConfigurationError, match="no home folder"):
        FileMemory().remember("shop", "down")
    assert [*tmp_path.iterdir()] == []
