"""Every example runs by itself, in a process and a folder of its own, and says what it promises."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.tools import require_tool

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
FILES = sorted(EXAMPLES.glob("*.py"))

# A line that could not stand there if the example did not show what it is about.
SAYS = {
    "age_public_key": "2,pears",
    "apscheduler_embedded": "next: backupkit shop 0 9 * * MON-FRI monitor",
    "asyncio_host": "cancelled: True; backups: 1",
    "asyncio_schedule": "clean: succeeded",
    "back_up_a_bucket": "restored: ['2026/apple.jpg', '2026/pear.jpg']",
    "celery_app": "run: succeeded; entries: 2",
    "change_the_passphrase": "the new one alone opens the newest: succeeded",
    "check_a_destination": "fit for backups: True; may delete: True",
    "databases_every_six_hours": "latest of the databases: 2026-11-22T21-00-00.000000Z-databases",
    "dropbox_token": "Open this address, allow the app, and copy the code:",
    "first_backup": "[('apple', 1), ('pear', 2)]",
    "history_and_webhook": "unread: ['verify succeeded', 'run succeeded']",
    "incremental_snapshots": "second: read 17 bytes, less than 10 kB stored: True",
    "move_to_snapshots": "after cleaning: ['2026-11-14', '2026-11-04', '2026-11-01']",
    "notice_what_is_missing": "the monitor: failed",
    "notify": "to boss@shop.example: shop 백업 성공",
    "plain_threading": "clean: succeeded",
    "plugin_destination": "2,pears",
    "plugin_source": "Apples.md ['Red.', 'Green.']",
    "prometheus_metrics": "backupkit_healthy 1.0",
    "read_yesterdays_file": "fruit: ['apples', 'pears']",
    "rehearse_a_restore": "drill: failed; The assertion has_bananas failed: it returned False",
    "restore_a_laravel_backup": "latest: 2026-01-31-02-30-00",
    "restore_one_file": "one folder: ['shop/invoices/1.txt']",
    "s3_backup": "backups: 2",
    "settings_file": "backupkit.toml:14: pipelines.forum.compressor: is no type of compressor that is known here: "
    'did you mean "zstd"?',
    "several_destinations": "backups: 3",
    "simulate_retention": "the first that was over the limit went on 26 January: 2026-01-04T03-00-00.000000Z",
    "stop_workers_while_backing_up": "run: succeeded; running again: True",
    "watch_and_cancel": "left behind: []",
    "wrap_a_destination": "nothing is changed",
}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_example_runs_and_says_what_it_promises(file: Path, tmp_path: Path) -> None:
    if file.stem == "age_public_key" and not (find_spec("pyrage") or os.environ.get("CI")):
        pytest.skip("pyrage is not installed")
    if file.stem == "celery_app":
        require_tool("redis-server")
    (tmp_path / "temporary").mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "error", str(file)],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path / "temporary")},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert SAYS[file.stem] in done.stdout.splitlines()
    assert [*tmp_path.rglob("*")] == [tmp_path / "temporary"], "it left something behind"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_example_begins_with_the_question_it_answers(file: Path) -> None:
    question, blank, answer, *_ = file.read_text(encoding="utf-8").splitlines()
    assert question.startswith('"""How ')
    assert question.endswith("?")
    assert (blank, bool(answer)) == ("", True)


def test_every_example_is_expected_to_say_something() -> None:
    assert {file.stem for file in FILES} == SAYS.keys()
