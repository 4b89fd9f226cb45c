"""Dump programs that lie, stall or die: each fails the run, in bounded time, whatever the engine."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from backupkit import BackupPipeline, Retry
from backupkit.databases import programs
from backupkit.errors import BackupKitError
from backupkit.model import Entry
from backupkit.protocols import Source
from backupkit.sources.postgresql import PostgreSQL
from tests.servers import Server

pytestmark = pytest.mark.services

SILENCE = timedelta(seconds=1)
LIAR = """#!{python}
import os, subprocess, sys, time
if "--version" in sys.argv:
    os.execv({real!r}, [{real!r}, *sys.argv[1:]])
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


@dataclass(frozen=True)
class Engine:
    """A source that is dumped by `program` from a folder of programs, and what that writes when it is honest."""

    program: str
    source: Callable[[Path | None], Source]


@pytest.fixture(params=["postgresql plain"])
def engine(request: pytest.FixtureRequest) -> Engine:
    name = str(request.param)
    match name.split():
        case ["postgresql", form]:
            server: Server = request.getfixturevalue("postgresql_server")

            def postgresql(tools: Path | None) -> Source:
                return PostgreSQL(
                    server.url("postgres"),
                    form="custom" if form == "custom" else "plain",
                    tools=tools,
                    silence_limit=SILENCE,
                )

            return Engine("pg_dump", postgresql)
    raise AssertionError(name)


def content(source: Source) -> bytes:
    (entry,) = [one for one in source.entries() if isinstance(one, Entry)]
    return b"".join(entry.chunks())


def liar(folder: Path, engine: Engine, act: str) -> Path:
    """A folder of programs in which one lies, and the others are the real ones."""
    real = shutil.which(engine.program)
    assert real is not None
    (folder / "dump").write_bytes(content(engine.source(None)))
    tools = folder / "tools"
    tools.mkdir()
    for program in ("psql", "pg_restore", "mariadb", "mysql", "redis-cli"):
        if program != engine.program and (found := shutil.which(program)):
            (tools / program).symlink_to(found)
    script = tools / engine.program
    script.write_text(
        LIAR.format(python=sys.executable, real=real, dump=os.fspath(folder / "dump"), act=act),
        encoding="utf-8",
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return tools


def test_an_honest_stand_in_is_believed(engine: Engine, tmp_path: Path) -> None:
    tools = liar(tmp_path, engine, "give(dump)")
    assert content(engine.source(tools)) == (tmp_path / "dump").read_bytes()


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_fails_the_run(
    engine: Engine, lie: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "_STRAGGLING", 0.3)
    act, words = LIES[lie]
    source = engine.source(liar(tmp_path, engine, act))
    place = tmp_path / "place"
    place.mkdir()
    pipeline = BackupPipeline("shop", source, place, encryptor=None, retry=Retry(tries=1))
    with pytest.raises(BackupKitError) as failed:
        pipeline.run()
    assert "could not be dumped" in str(failed.value)
    assert words in str(failed.value)
    assert len(str(failed.value)) < 5000
    assert [path for path in place.rglob("*") if path.is_file()] == []


def test_a_dump_that_is_given_up_ends_its_program(engine: Engine, tmp_path: Path) -> None:
    act = f"open({os.fspath(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); give(dump); time.sleep(600)"
    tools = liar(tmp_path, engine, act)
    (entry,) = [one for one in engine.source(tools).entries() if isinstance(one, Entry)]
    with closing(entry.chunks()) as chunks:  # type: ignore[type-var] # it is a generator
        next(chunks)
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
