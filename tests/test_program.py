"""Programs that are fed; those that only write are held to their rules in tests/sources/test_command.py."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backupkit._program import Program, ProgramError

FOREVER = 300  # seconds: longer than any test may take
ENV = {"PATH": os.environ["PATH"]}


def sh(code: str) -> list[str]:
    return ["sh", "-c", code]


def output(program: Program) -> bytes:
    with program:
        return b"".join(program.output())


def test_what_it_is_fed_comes_out_of_what_it_runs() -> None:
    chunks = [b"one\n", b"", b"two\n" * 300_000, b"three\n"]
    assert output(Program(["cat"], env=ENV, feed=chunks)) == b"".join(chunks)


def test_a_program_may_say_more_than_pipes_hold_while_it_is_fed() -> None:
    code = "import sys\nfor line in sys.stdin.buffer: sys.stdout.buffer.write(line * 9); sys.stderr.write('x' * 99)"
    chunks = [b"0123456789\n" * 1000] * 200
    assert output(Program([sys.executable, "-c", code], env=ENV, feed=chunks)) == (
        b"0123456789\n" * 9 * 200_000
    )


def test_it_is_fed_no_faster_than_it_reads() -> None:
    pulled = 0

    def endless() -> Iterator[bytes]:
        nonlocal pulled
        while True:
            pulled += 1
            yield bytes(1 << 20)

    with pytest.raises(ProgramError, match="wrote nothing"):
        output(Program(sh(f"sleep {FOREVER}"), env=ENV, feed=endless(), silence_limit=0.2))
    assert pulled < 5


def test_what_its_feed_raises_passes_through_and_its_input_was_never_ended(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise LookupError("damaged")

    code = f"trap 'exit 1' TERM; cat >'{tmp_path}/got'; echo the end >'{tmp_path}/end'"
    with pytest.raises(LookupError, match="damaged"):
        output(Program(sh(code), env=ENV, feed=broken()))
    assert not (tmp_path / "end").exists()


def test_a_program_that_stops_reading_with_status_0_has_failed() -> None:
    chunks = [bytes(1 << 20)] * 20
    with pytest.raises(ProgramError, match="before it had read all"):
        output(Program(sh("head -c 9 >/dev/null"), env=ENV, feed=chunks))


def test_a_program_that_fails_while_it_is_fed_tells_its_status() -> None:
    program = Program(sh("head -c 9 >/dev/null; echo why >&2; exit 3"), env=ENV, feed=[bytes(1 << 20)] * 20)
    with pytest.raises(ProgramError, match="status 3"):
        output(program)
    assert program.errors == b"why\n"


def test_feeding_nothing_ends_its_input_at_once() -> None:
    assert output(Program(sh("cat; echo done"), env=ENV, feed=[])) == b"done\n"


def test_a_descriptor_that_is_passed_on_can_be_read() -> None:
    reading, writing = os.pipe()
    try:
        os.write(writing, b"secret\n")
        os.close(writing)
        assert output(Program(sh(f"cat /dev/fd/{reading}"), env=ENV, pass_fds=[reading])) == b"secret\n"
    finally:
        os.close(reading)


def test_a_child_that_keeps_the_output_is_not_waited_for_beyond_its_time() -> None:
    with pytest.raises(ProgramError, match="left a process behind"):
        output(Program(sh(f"sleep {FOREVER} & echo data"), env=ENV, straggling=0.1))


def test_a_child_that_ends_within_its_time_is_waited_for() -> None:
    assert output(Program(sh("(sleep 0.2; echo late) & echo early"), env=ENV, straggling=FOREVER)) == (
        b"early\nlate\n"
    )


def test_talk_on_standard_error_breaks_the_silence_only_if_it_counts() -> None:
    code = "while true; do echo trouble >&2; sleep 0.05; done"
    with pytest.raises(ProgramError, match="wrote nothing"):
        output(Program(sh(code), env=ENV, silence_limit=0.3, errors_count=False))
