"""A password that must be nowhere: not in a process list, an environment, a file, a message or a log."""

from __future__ import annotations

import json
import logging
import os
import secrets
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from backupkit import BackupPipeline, LoggingObserver, RestoreError, Retry
from backupkit.errors import BackupKitError
from tests.services.engines import Engine, stand_ins

pytestmark = pytest.mark.services

# Notes what anyone could see of the program and of the files beside it, then becomes the real one.
OBSERVED = """
import json, os, sys, tempfile
seen = {"argv": sys.argv, "environ": dict(os.environ), "files": {}}
for folder in (%(temporary)r, "/dev/shm"):
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            try:
                seen["files"][path] = open(path, "rb").read(1 << 16).decode("latin-1")
            except OSError:
                pass
seen["open"] = {}
for number in os.listdir("/proc/self/fd"):
    try:
        status = os.stat(f"/proc/self/fd/{number}")
        seen["open"][number] = [os.readlink(f"/proc/self/fd/{number}"), status.st_mode & 0o777, status.st_nlink]
    except OSError:
        pass
with open(os.path.join(%(records)r, str(os.getpid())), "w") as record:  # several run at once
    json.dump(seen, record)
os.execv(REAL, sys.argv)
"""


@pytest.fixture
def canary() -> str:
    """A password with everything that files and URLs escape, around what is looked for."""
    return f"a\\b'c\"d #%41:@/ {secrets.token_hex(8)} \\"


def token_of(canary: str) -> str:
    return canary.split(" ")[-2]


@pytest.fixture
def watched(tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of programs that note what can be seen of them in `tmp_path / "records"`."""
    (tmp_path / "records").mkdir()
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", os.fspath(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    script = OBSERVED % {"temporary": os.fspath(temporary), "records": os.fspath(tmp_path / "records")}
    yield stand_ins(tmp_path / "tools", engine.programs, script)
    tempfile.tempdir = None


def test_a_password_is_nowhere_to_be_seen(
    engine: Engine,
    canary: str,
    watched: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    token = token_of(canary)
    name = f"shop_{secrets.token_hex(4)}"
    engine.fill(name)
    user = f"user_{secrets.token_hex(4)}"
    url = engine.user(user, canary, name)
    monkeypatch.setenv("DATABASE_URL", url)  # as an application has it, and its children should not
    place = tmp_path / "place"
    place.mkdir()
    said: list[str] = []
    with caplog.at_level(logging.DEBUG):
        source = engine.source(url, tools=watched)
        pipeline = BackupPipeline(
            "shop", source, place, encryptor=None, observers=[LoggingObserver()], retry=Retry(tries=1)
        )
        said += [repr(source), repr(pipeline.run())]
        restored = url.replace(f"/{name}", f"/{name}_restored")
        said.append(repr(restore(pipeline, restored, watched)))
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        said.append(repr(pipeline.drill(scratch=scratch)))
        # What fails must not tell either.
        wrong = engine.source(url.replace(token, f"{token}0"), tools=watched)
        unable = BackupPipeline("shop", wrong, place, encryptor=None, retry=Retry(tries=1))
        with pytest.raises(BackupKitError) as failed:
            unable.run()
        said.append("".join(traceback.format_exception(failed.value)))
        with pytest.raises(RestoreError) as refused:
            pipeline.restore(to=url.replace(token, f"{token}0"))
        said.append("".join(traceback.format_exception(refused.value)))
    said.append(caplog.text)
    records = [json.loads(path.read_text()) for path in (tmp_path / "records").iterdir()]
    assert {Path(one["argv"][0]).name for one in records} >= {engine.program}
    assert [text for text in said if token in text] == []
    assert [one for one in records if token in json.dumps(one)] == []
    # What holds it is open to nobody else, and has no name.
    private = [opened for one in records for opened in one["open"].values() if "backupkit" in opened[0]]
    assert [opened for opened in private if opened[1:] != [0o600, 0]] == []
    assert os.listdir(tmp_path / "temporary") == []


def restore(pipeline: BackupPipeline, url: str, tools: Path) -> object:
    from backupkit import DatabaseTarget

    return pipeline.restore(to=DatabaseTarget(url, create=True, overwrite=True, tools=tools))
