"""Signals end a run so that nothing is left of it."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from contextlib import suppress

import pytest

from tests.cli.shop import Shop, environment

WAITING = ("run", "--app", "shop_backups:waiting")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("as_json", [False, True])
def test_a_signal_cancels_the_run_and_leaves_nothing(shop: Shop, number: int, as_json: bool) -> None:
    os.mkfifo(shop.folder / "pipe")
    with shop.start(*WAITING, *(["--json"] if as_json else [])) as process:
        with suppress(BrokenPipeError), (shop.folder / "pipe").open("wb", buffering=0) as pipe:
            pipe.write(bytes(1 << 16))
            process.send_signal(number)
            while True:  # a source that never ends: only the signal can
                pipe.write(bytes(1 << 16))
        output, complaints = process.communicate()
    assert process.returncode == 130
    assert b"cancelled" in (output if as_json else complaints)
    assert b"Traceback" not in complaints
    assert shop.stored() == []


def test_a_signal_ends_all_pipelines(shop: Shop) -> None:
    (shop.folder / "all.py").write_text(
        "from shop_backups import pipeline, waiting\npipelines = {'a': waiting, 'b': pipeline}\n"
    )
    os.mkfifo(shop.folder / "pipe")
    with shop.start("run", "--app", "all:pipelines", "--all-pipelines") as process:
        with suppress(BrokenPipeError), (shop.folder / "pipe").open("wb", buffering=0) as pipe:
            pipe.write(bytes(1 << 16))
            process.send_signal(signal.SIGTERM)
            while True:
                pipe.write(bytes(1 << 16))
        _, complaints = process.communicate()
    assert (process.returncode, complaints.count(b"was cancelled")) == (130, 1)
    assert shop.stored() == []


def test_the_second_ctrl_c_does_not_wait_for_the_source(shop: Shop) -> None:
    os.mkfifo(shop.folder / "pipe")
    ours, its = pty.openpty()
    with subprocess.Popen(
        shop.command(*WAITING), cwd=shop.folder, env=environment({"TERM": "xterm"}), stderr=its
    ) as process:
        os.close(its)
        with (shop.folder / "pipe").open("wb"):  # a source that says nothing
            process.send_signal(signal.SIGINT)
            screen = b""
            while b"again to stop" not in screen:
                screen += os.read(ours, 4096)
            process.send_signal(signal.SIGINT)
            with suppress(OSError):
                while shown := os.read(ours, 4096):
                    screen += shown
    os.close(ours)
    assert process.returncode == 130
    assert b"Traceback" not in screen
    assert shop.stored() == []
