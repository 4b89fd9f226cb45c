"""Where the passphrase of backups at a URL comes from."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from tests.cli.shop import SECRET, Shop, environment


def test_it_is_taken_from_a_file_a_variable_or_a_program(saved: Shop) -> None:
    verify = ("verify", "backups")
    assert saved.backupkit(*verify, "--passphrase-file", "passphrase.txt").returncode == 0
    assert saved.backupkit(*verify, "--passphrase-env", "MINE", MINE=SECRET).returncode == 0
    assert saved.backupkit(*verify, "--passphrase-command", "head -n1 'passphrase.txt'").returncode == 0
    assert saved.backupkit(*verify, BACKUP_ARCHIVE_PASSWORD=SECRET).returncode == 0


def test_without_one_and_without_a_terminal_it_is_said_how_to_give_it(saved: Shop) -> None:
    done = saved.backupkit("verify", "backups")
    assert done.returncode == 12
    assert "--passphrase-file" in done.stderr


def test_an_archive_that_is_not_encrypted_needs_none(shop: Shop) -> None:
    (shop.folder / "plain.py").write_text(
        "from backupkit import *\n"
        "pipeline = BackupPipeline('plain', Directory('uploads'), 'backups', encryptor=None,"
        " lock=MachineLock('locks'))\n"
    )
    assert shop.backupkit("run", "--app", "plain:pipeline").returncode == 0
    assert at_a_terminal(shop, "restore", "backups", "--to", "restored", typed=None)[0] == 0


@pytest.mark.parametrize(("typed", "code"), [(SECRET, 0), ("something else", 12), ("", 2)])
def test_at_a_terminal_it_is_asked_for_without_showing_it(saved: Shop, typed: str, code: int) -> None:
    got, screen = at_a_terminal(saved, "restore", "backups", "--to", "restored", typed=typed)
    assert got == code
    assert screen.count("Passphrase: ") == 1
    assert not typed or typed not in screen
    assert (saved.folder / "restored").exists() == (code == 0)


def test_list_never_asks(saved: Shop) -> None:
    code, screen = at_a_terminal(saved, "list", "backups", typed=None)
    assert code == 0
    assert "Passphrase" not in screen


def test_a_person_at_a_terminal_sees_a_bar(saved: Shop) -> None:
    _, watched = at_a_terminal(saved, "verify", "backups", "--passphrase-file", "passphrase.txt", typed=None)
    _, quiet = at_a_terminal(
        saved, "verify", "backups", "--passphrase-file", "passphrase.txt", "--quiet", typed=None
    )
    assert "verify backups" in watched
    assert quiet == ""


def at_a_terminal(shop: Shop, *arguments: str, typed: str | None) -> tuple[int, str]:
    """Run the command line at a terminal of its own; type this when it asks."""
    ours, its = pty.openpty()
    with subprocess.Popen(
        shop.command(*arguments),
        cwd=shop.folder,
        env=environment({"TERM": "xterm"}),
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
    ) as process:
        os.close(its)
        screen = ""
        with closing(os.fdopen(ours, "r+b", buffering=0)):
            for shown in output_of(ours):
                screen += shown
                if typed is not None and "Passphrase: " in screen:
                    os.write(ours, f"{typed}\n".encode())
                    typed = None
    return process.returncode, screen


def output_of(terminal: int) -> Iterator[str]:
    with suppress(OSError):  # Linux's way to say that nobody has the other side open any more
        while shown := os.read(terminal, 4096):
            yield shown.decode(errors="replace")
