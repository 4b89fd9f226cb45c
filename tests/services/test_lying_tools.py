"""Dump programs that lie, stall or die: each fails the run, in bounded time, whatever the engine."""

from __future__ import annotations

import os
import secrets
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from backupkit import BackupPipeline, Retry
from backupkit.databases import programs
from backupkit.errors import BackupKitError
from backupkit.model import Entry
from backupkit.protocols import Source
from tests.services.engines import Engine, stand_ins

pytestmark = pytest.mark.services

SILENCE = timedelta(seconds=1)
LIAR = """
import os, subprocess, sys, time
if {{"--version", "--help"}} & set(sys.argv):
    os.execv(REAL, [REAL, *sys.argv[1:]])
dump = open({dump!r}, "rb").read()
def give(data):
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
{act}
"""
# What the program does instead of its work, and what the message must say.
LIES = {
    "half a dump and status 0": ("give(dump[: len(dump) // 2])", ""),
    "all but the last bytes and status 0": ("give(dump[:-40])", ""),
    "nothing and status 0": ("pass", ""),
    "half a dump and a status": ("give(dump[: len(dump) // 2]); sys.exit(3)", "status 3"),
    "half a dump, then killed": ("give(dump[: len(dump) // 2]); os.kill(os.getpid(), 9)", "SIGKILL"),
    "a whole dump and a status": (
        "give(dump); sys.stderr.write('out of sorts'); sys.exit(1)",
        "out of sorts",
    ),
    "a stall": ("give(dump[: len(dump) // 2]); time.sleep(600)", "wrote nothing for 1 s"),
    "a flood of complaints": (
        "while True: sys.stderr.write('trouble ' * 1000); time.sleep(0.001)",
        "wrote nothing for 1 s",
    ),
    "a flood of complaints and a status": ("sys.stderr.write('trouble ' * 1000000); sys.exit(1)", "trouble"),
    "a child that keeps the output": (
        "give(dump); subprocess.Popen(['sleep', '600'])",
        "left a process behind",
    ),
}


@pytest.fixture
def url(engine: Engine) -> str:
    return engine.fill(f"lies_{secrets.token_hex(4)}")


def content(source: Source) -> bytes:
    (entry,) = [one for one in source.entries() if isinstance(one, Entry)]
    return b"".join(entry.chunks())


def liar(folder: Path, engine: Engine, url: str, act: str) -> Source:
    """A source whose dump program lies, and whose other programs are the real ones."""
    (folder / "dump").write_bytes(content(engine.source(url)))
    script = LIAR.format(dump=os.fspath(folder / "dump"), act=act)
    tools = stand_ins(folder / "tools", engine.programs, script, named=engine.program)
    return engine.source(url, tools=tools, silence_limit=SILENCE)


def test_an_honest_stand_in_is_believed(engine: Engine, url: str, tmp_path: Path) -> None:
    source = liar(tmp_path, engine, url, "give(dump)")
    # MySQL's sources write a line of their own behind the first.
    assert content(source).endswith((tmp_path / "dump").read_bytes().partition(b"\n")[2])


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_fails_the_run(
    engine: Engine, url: str, lie: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "_STRAGGLING", 0.3)
    act, words = LIES[lie]
    source = liar(tmp_path, engine, url, act)
    place = tmp_path / "place"
    place.mkdir()
    pipeline = BackupPipeline("shop", source, place, encryptor=None, retry=Retry(tries=1))
    with pytest.raises(BackupKitError) as failed:
        pipeline.run()
    assert "could not be dumped" in str(failed.value)
    assert words in str(failed.value)
    assert len(str(failed.value)) < 5000
    assert [path for path in place.rglob("*") if path.is_file()] == []


def test_a_dump_that_is_given_up_ends_its_program(engine: Engine, url: str, tmp_path: Path) -> None:
    act = f"open({os.fspath(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); give(dump); time.sleep(600)"
    source = liar(tmp_path, engine, url, act)
    (entry,) = [one for one in source.entries() if isinstance(one, Entry)]
    with closing(entry.chunks()) as chunks:  # type: ignore[type-var] # it is a generator
        next(chunks)
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
