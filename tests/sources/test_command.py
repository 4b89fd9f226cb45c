from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from backupkit.errors import ConfigurationError, SourceError
from backupkit.model import Entry
from backupkit.sources.command import Command
from backupkit.testing.sources import SourceTests

FOREVER = 300  # seconds: longer than any test may take
SHORT = timedelta(milliseconds=100)


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


def sh(code: str, *arguments: str) -> list[str]:
    return ["sh", "-c", code, "sh", *arguments]


def the_entry(source: Command) -> Entry:
    (entry,) = source.entries()
    return entry


def content(source: Command) -> bytes:
    return b"".join(the_entry(source).chunks())


def failure(source: Command) -> SourceError:
    with pytest.raises(SourceError) as raised:
        content(source)
    return raised.value


def close(chunks: Iterator[bytes]) -> None:
    chunks.close()  # type: ignore[attr-defined] # they are generators


def lives(pid: int) -> bool:
    """Whether the process runs; a zombie that only its new parent has not reaped yet does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def comes_true(claim: Callable[[], bool]) -> bool:
    """Whether it does within ten seconds."""
    patience = time.monotonic() + 10
    while not claim():
        if time.monotonic() > patience:
            return False
        time.sleep(0.01)
    return True


def ends(pid: int) -> bool:
    return comes_true(lambda: not lives(pid))


class TestCommandAsASource(SourceTests):
    @pytest.fixture
    def source(self) -> Command:
        return Command(["echo", "hello"], name="hello.txt")

    @pytest.fixture
    def failing_source(self) -> Command:
        return Command(sh("echo half; exit 1"), name="half.txt")


# Where the output goes, and what is refused


def test_a_database_dump_stands_among_the_dumps() -> None:
    source = Command(["echo"], name="shop.pgdump")
    assert (source.name, source.contents) == ("shop.pgdump", "databases")
    entry = the_entry(source)
    assert (entry.path, entry.kind, entry.size, entry.mode) == ("db-dumps/shop.pgdump", "file", None, 0o600)


def test_other_output_stands_under_its_own_path() -> None:
    source = Command(["echo"], name="system/packages.txt", contents="files")
    assert source.contents == "files"
    assert the_entry(source).path == "system/packages.txt"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a\\b", "a\nb", "a\0b"])
def test_a_dump_has_a_plain_name(name: str) -> None:
    with pytest.raises(ConfigurationError, match="name="):
        Command(["echo"], name=name)


@pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", "../a", "a/../b", "./a", "a\nb"])
def test_a_path_is_relative_and_clean(name: str) -> None:
    with pytest.raises(ConfigurationError, match="name="):
        Command(["echo"], name=name, contents="files")


@pytest.mark.parametrize("name", ["db-dumps/a.sql", ".backupkit/manifest.json", ".backupkit"])
def test_a_path_keeps_out_of_the_folders_of_the_library(name: str) -> None:
    with pytest.raises(ConfigurationError, match="another folder"):
        Command(["echo"], name=name, contents="files")


def test_a_shell_line_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigurationError, match="none is ever used: give a list") as raised:
        Command("mysqldump -pSECRET shop", name="shop.sql")
    assert "SECRET" not in str(raised.value)


@pytest.mark.parametrize("argv", [[], [""], ["echo", "SECRET\0"], ["echo", b"SECRET"], ["echo", 1]])
def test_what_is_no_list_of_texts_is_refused(argv: list[str]) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Command(argv, name="x")
    assert "SECRET" not in str(raised.value)


@pytest.mark.parametrize("env", [{"": "SECRET"}, {"A=SECRET": "x"}, {"A": "SECRET\0"}, {"A": 5}])
def test_an_impossible_environment_is_refused(env: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="env=") as raised:
        Command(["echo"], name="x", env=env)
    assert "SECRET" not in str(raised.value)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="contents"):
        Command(["echo"], name="x", contents="database")  # type: ignore[arg-type] # what is refused
    with pytest.raises(ConfigurationError, match="limits above zero"):
        Command(["echo"], name="x", time_limit=timedelta(0))
    with pytest.raises(ConfigurationError, match="limits above zero"):
        Command(["echo"], name="x", silence_limit=timedelta(seconds=-1))


def test_it_does_not_show_its_arguments_or_environment() -> None:
    source = Command(["echo", "SECRET-1"], name="x", env={"A": "SECRET-2"})
    assert "SECRET" not in repr(source)


# What is read


def test_the_output_is_the_content_byte_by_byte() -> None:
    code = "import sys; sys.stdout.buffer.write(bytes(range(256)) * 20_000)"
    chunks = list(the_entry(Command(python(code), name="x")).chunks())
    assert b"".join(chunks) == bytes(range(256)) * 20_000
    assert all(0 < len(chunk) <= 1 << 20 for chunk in chunks)


def test_nothing_is_interpreted_by_a_shell(tmp_path: Path) -> None:
    arguments = ["$HOME", "a; touch b", "`id`", "*", "", "two words", 'quo"te']
    code = "import sys; print(sys.argv[1:])"
    assert content(Command(python(code, *arguments), name="x", cwd=tmp_path)).decode() == f"{arguments}\n"


def test_each_reading_runs_the_program_anew(tmp_path: Path) -> None:
    entry = the_entry(Command(sh("echo run >>log; wc -l <log"), name="x", cwd=tmp_path))
    assert not (tmp_path / "log").exists()
    assert [b"".join(entry.chunks()).strip() for _ in range(2)] == [b"1", b"2"]


def test_output_is_yielded_as_it_comes() -> None:
    chunks = the_entry(Command(sh(f"echo first; exec sleep {FOREVER}"), name="x")).chunks()
    assert next(chunks) == b"first\n"
    close(chunks)


def test_the_environment_is_added_to_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT", "old")
    monkeypatch.setenv("CHANGED", "old")
    source = Command(sh("echo $KEPT $CHANGED $ADDED"), name="x", env={"CHANGED": "new", "ADDED": "new"})
    assert content(source) == b"old new new\n"


def test_standard_input_is_empty() -> None:
    assert content(Command(sh("cat; echo end"), name="x")) == b"end\n"


def test_a_noisy_standard_error_never_blocks_the_program() -> None:
    code = """
import sys
for _ in range(200):
    sys.stderr.write("progress " * 2000)
    sys.stdout.write("data")
    sys.stdout.flush()
"""
    assert content(Command(python(code), name="x")) == b"data" * 200


def test_standard_error_never_blocks_a_program_that_has_closed_its_output() -> None:
    source = Command(sh("echo data; exec >&-; yes | head -c 3000000 >&2"), name="x")
    assert content(source) == b"data\n"


# Success and failure


@pytest.mark.parametrize("code", ["echo half; exit 3", "exit 3"])
def test_an_exit_status_is_a_failure_worth_retrying(code: str) -> None:
    error = failure(Command(sh(code), name="shop.sql"))
    assert "sh, for db-dumps/shop.sql, exited with status 3" in str(error)
    assert error.retryable
    assert error.path == "db-dumps/shop.sql"


@pytest.mark.parametrize(("number", "name"), [("KILL", "SIGKILL"), ("TERM", "SIGTERM")])
def test_a_program_that_was_killed_has_failed(number: str, name: str) -> None:
    error = failure(Command(sh(f"echo half; kill -{number} $$"), name="x"))
    assert f"was ended by {name}" in str(error)
    assert error.retryable


IGNORES_CHILDREN = """
import signal
from backupkit.sources.command import Command
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
(entry,) = Command(["sh", "-c", "echo half; exit 1"], name="x").entries()
for chunk in entry.chunks():
    pass
"""


def test_a_program_whose_status_is_lost_has_failed() -> None:
    done = subprocess.run([sys.executable, "-c", IGNORES_CHILDREN], capture_output=True, text=True)
    assert "SourceError: sh, for db-dumps/x, ended with a status that other code" in done.stderr


def test_no_output_is_a_failure_unless_it_is_allowed() -> None:
    error = failure(Command(sh("echo nothing to do >&2"), name="x"))
    assert "wrote nothing" in str(error)
    assert "nothing to do" in str(error)
    assert error.retryable
    assert content(Command(["true"], name="x", allow_empty=True)) == b""


def test_a_failure_without_output_is_one_even_if_none_is_expected() -> None:
    assert "status 1" in str(failure(Command(["false"], name="x", allow_empty=True)))


def test_the_end_of_standard_error_stands_in_the_message_on_one_line() -> None:
    code = r"""
import sys
sys.stderr.write("early\n" + "noise\n" * 5000)
sys.stderr.buffer.write(b"connection \x1b[31mrefused\r\n\n  by \xff host\n")
sys.exit(1)
"""
    message = str(failure(Command(python(code), name="x")))
    assert message.endswith("noise connection [31mrefused by � host.")
    assert "early" not in message
    assert message.isprintable()
    assert len(message) < 2500


def test_a_program_that_is_not_there_is_named_and_not_tried_again() -> None:
    error = failure(Command(["no-such-program", "SECRET"], name="x"))
    assert "no-such-program" in str(error)
    assert "SECRET" not in str(error)
    assert not error.retryable


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "gone") in str(failure(Command(["echo"], name="x", cwd=tmp_path / "gone")))


def test_messages_do_not_tell_arguments() -> None:
    assert "SECRET" not in str(failure(Command(sh("exit 1", "SECRET"), name="x")))
    limited = Command(sh(f"exec sleep {FOREVER}", "SECRET"), name="x", time_limit=SHORT)
    error = failure(limited)
    while error.__cause__ is not None:
        assert "SECRET" not in str(error)
        error = error.__cause__  # type: ignore[assignment] # whatever it is, it has a text
    assert "SECRET" not in str(error)


def test_messages_do_not_tell_what_the_program_says_of_its_secrets() -> None:
    code = "echo $PGPASSWORD is wrong for postgresql://shop:p@SECRET-2@db:5432/shop >&2; exit 1"
    message = str(failure(Command(sh(code), name="x", env={"PGPASSWORD": "SECRET-1", "PGPORT": "5432"})))
    assert message.endswith("it said: *** is wrong for postgresql://***@db:5432/shop.")


# Limits


def test_a_program_that_writes_nothing_for_too_long_is_ended() -> None:
    error = failure(Command(sh(f"echo half; exec sleep {FOREVER}"), name="x", silence_limit=SHORT))
    assert "wrote nothing for 0.1 s" in str(error)
    assert error.retryable


def test_a_program_that_takes_too_long_is_ended_however_much_it_writes() -> None:
    error = failure(Command(["yes"], name="x", time_limit=SHORT, silence_limit=timedelta(minutes=1)))
    assert "took longer than 0.1 s" in str(error)
    assert error.retryable


def test_a_message_on_standard_error_breaks_the_silence() -> None:
    code = "for i in 1 2 3 4 5 6 7 8; do sleep 0.1; echo still alive >&2; done; echo data"
    assert content(Command(sh(code), name="x", silence_limit=timedelta(milliseconds=600))) == b"data\n"


def test_a_slow_reader_is_not_the_silence_of_the_program() -> None:
    limit = timedelta(seconds=2)
    program = Command(["head", "-c", "9000000", "/dev/zero"], name="x", silence_limit=limit)
    chunks = the_entry(program).chunks()
    received = len(next(chunks))
    time.sleep(2.5)  # the reader itself is what is slow here
    assert received + sum(map(len, chunks)) == 9_000_000


def test_a_program_that_closes_its_output_and_stays_is_ended_at_the_limit() -> None:
    code = f"echo data; exec sleep {FOREVER} >&- 2>&-"
    assert "took longer" in str(failure(Command(sh(code), name="x", time_limit=SHORT)))
    assert "wrote nothing" in str(failure(Command(sh(code), name="x", silence_limit=SHORT)))


def test_the_exit_status_counts_after_the_output_was_closed() -> None:
    assert "status 4" in str(failure(Command(sh("echo data; exec >&- 2>&-; sleep 0.1; exit 4"), name="x")))


def test_the_output_of_a_child_that_outlives_the_program_is_part_of_it() -> None:
    assert content(Command(sh("(sleep 0.2; echo late) & echo early"), name="x")) == b"early\nlate\n"


def test_a_child_that_never_lets_go_of_the_output_is_ended_at_the_limit(tmp_path: Path) -> None:
    code = f"sleep {FOREVER} & echo $! >pid; echo data"
    error = failure(Command(sh(code), name="x", cwd=tmp_path, silence_limit=SHORT))
    assert "wrote nothing" in str(error)
    assert ends(int((tmp_path / "pid").read_text()))


def test_a_child_that_keeps_only_standard_error_is_not_waited_for(tmp_path: Path) -> None:
    code = f"sleep {FOREVER} >&- & echo $! >pid; echo data"
    assert content(Command(sh(code), name="x", cwd=tmp_path)) == b"data\n"
    os.kill(int((tmp_path / "pid").read_text()), 9)


# Whole trees of processes end

TREE = f"""
sleep {FOREVER} & echo $! >>pids
sh -c 'sleep {FOREVER} & echo $! >>pids; echo $$ >>pids; wait' &
echo $$ >>pids
while [ "$(wc -l <pids)" -lt 4 ]; do sleep 0.01; done
echo data
"""


def pids(folder: Path) -> list[int]:
    found = [int(line) for line in (folder / "pids").read_text().split()]
    assert len(found) == 4
    return found


def test_closing_the_iterator_ends_the_whole_tree(tmp_path: Path) -> None:
    chunks = the_entry(Command(sh(TREE + "wait"), name="x", cwd=tmp_path)).chunks()
    assert next(chunks) == b"data\n"
    assert all(map(lives, pids(tmp_path)))
    close(chunks)
    assert all(map(ends, pids(tmp_path)))


def test_a_failure_ends_what_the_program_left_behind(tmp_path: Path) -> None:
    failure(Command(sh(f"{{ {TREE} }} >/dev/null 2>&1; exit 1"), name="x", cwd=tmp_path))
    assert all(map(ends, pids(tmp_path)))


def test_a_limit_ends_the_whole_tree(tmp_path: Path) -> None:
    failure(Command(sh(TREE + "wait"), name="x", cwd=tmp_path, silence_limit=timedelta(seconds=1)))
    assert all(map(ends, pids(tmp_path)))


# Written at once: print may write the end of a line by itself, when the other process has written its number.
STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
os.write(1, b"%d\\n" % os.getpid())
time.sleep(300)
"""


def test_processes_that_do_not_listen_are_ended_all_the_same() -> None:
    chunks = the_entry(Command(python(STUBBORN), name="x")).chunks()
    numbers = [*map(int, next(chunks).split())]
    while len(numbers) < 2:
        numbers += map(int, next(chunks).split())
    close(chunks)
    assert all(map(ends, numbers))


def test_a_program_may_tidy_up_when_it_is_asked_to_end(tmp_path: Path) -> None:
    code = "trap 'echo tidied >done; exit' TERM; echo data; while :; do sleep 0.01; done"
    chunks = the_entry(Command(sh(code), name="x", cwd=tmp_path)).chunks()
    next(chunks)
    close(chunks)
    assert (tmp_path / "done").read_text() == "tidied\n"


def test_no_zombie_and_no_descriptor_stays() -> None:
    open_before = sorted(os.listdir("/dev/fd"))
    content(Command(["echo", "x"], name="x"))
    failure(Command(sh("echo x; exit 1"), name="x"))
    failure(Command(["no-such-program"], name="x"))
    failure(Command(sh(f"exec sleep {FOREVER}"), name="x", time_limit=SHORT))
    chunks = the_entry(Command(["yes"], name="x")).chunks()
    next(chunks)
    close(chunks)
    assert sorted(os.listdir("/dev/fd")) == open_before
    with suppress(ChildProcessError):  # the servers of other tests are children that run
        assert os.waitpid(-1, os.WNOHANG) == (0, 0)


def test_the_program_is_in_a_session_of_its_own() -> None:
    code = "import os; print(os.getsid(0) == os.getpid() == os.getpgrp())"
    assert content(Command(python(code), name="x")) == b"True\n"
