"""`backupkit web`: the page for browsers of this machine, for whoever knows the password."""

from __future__ import annotations

import base64
import http.client
import json
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from backupkit import ConfigurationError
from backupkit.cli.web import _given, _listening, _places
from tests.cli.shop import Shop
from tests.cli.terminal import CTRL_C, at_terminal

PASSWORD = "correct horse battery"
ENDLESS = """
import itertools, time

from backupkit import BackupPipeline, MachineLock
from backupkit.model import Entry

class Endless:
    name, contents = "endless", "files"

    def entries(self):
        yield Entry(path="file", chunks=self.chunks)

    def chunks(self):
        for _ in itertools.count():
            time.sleep(0.01)
            yield bytes(1000)

pipeline = BackupPipeline("shop", Endless(), "backups", encryptor=None, lock=MachineLock("locks"))
"""


def asked(port: int, password: str | None = None, *, host: str = "127.0.0.1", name: str = "backupkit") -> int:
    """The status of the first page, for this name and password, at a host of this name."""
    headers = {"Host": host}
    if password is not None:
        headers["Authorization"] = f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/", headers=headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert "server" not in answer.headers
        return answer.status
    finally:
        connection.close()


@contextmanager
def serving(
    shop: Shop, *arguments: str, app: str = "shop_backups:pipeline"
) -> Iterator[tuple[subprocess.Popen[bytes], int, str]]:
    """The process, its port, and what it said until it was ready."""
    with shop.start("web", "--app", app, "--port", "0", *arguments) as process:
        assert process.stdout is not None
        said = b""
        while b"Ctrl-C" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        found = re.search(rb"http://127\.0\.0\.1:(\d+)/", said)
        assert found is not None
        try:
            yield process, int(found[1]), said.decode()
        finally:
            process.kill()


def test_at_a_terminal_a_new_password_is_shown_once_and_lets_in(shop: Shop) -> None:
    with at_terminal(
        shop.command("web", "--app", "shop_backups:pipeline", "--port", "0"), shop.folder
    ) as terminal:
        terminal.answer("Ctrl-C ends it.")
        found = re.search(r":(\d+)/ .*with the password (\S+)", terminal.screen, re.DOTALL)
        assert found is not None
        port, password = int(found[1]), found[2]
        assert len(password) >= 20
        assert asked(port, password) == 200
        assert asked(port, password, name="root") == 401
        assert f"ssh -L {port}:127.0.0.1:{port} " in terminal.screen
        process = Path(f"/proc/{terminal.process.pid}")
        if process.exists():
            assert (
                password.encode()
                not in (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            )
        terminal.answer("", CTRL_C)
        code, rest = terminal.end()
    assert code == 0, rest
    assert "Traceback" not in rest
    assert terminal.screen.count(password) == 1


def test_only_this_machine_is_served_under_its_own_name_and_a_signal_ends_it(shop: Shop) -> None:
    (shop.folder / "password").write_text(f"{PASSWORD}\n")
    with serving(shop, "--password-file", "password") as (process, port, said):
        assert PASSWORD not in said
        assert asked(port, PASSWORD) == asked(port, PASSWORD, host=f"localhost:{port + 1}") == 200
        assert asked(port) == asked(port, "wrong") == 401
        for host in ("evil.test", f"evil.test:{port}", "127.0.0.1.evil.test", ""):
            assert asked(port, PASSWORD, host=host) == 400
        with pytest.raises(OSError):  # noqa: PT011  # refused, or unreachable
            socket.create_connection((own_address(), port), timeout=5).close()
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        assert process.stderr is not None
        shown = process.stdout.read() + process.stderr.read()
        assert (process.wait(60), shown) == (0, b"")


def test_a_signal_ends_at_once_a_run_and_the_stream_of_who_follows_it_and_tells_of_no_error(
    shop: Shop,
) -> None:
    (shop.folder / "endless.py").write_text(ENDLESS)
    (shop.folder / "password").write_text(f"{PASSWORD}\n")
    with (
        serving(shop, "--password-file", "password", app="endless:pipeline") as (process, port, _),
        closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection,
    ):
        headers = {"Authorization": f"Basic {base64.b64encode(f'backupkit:{PASSWORD}'.encode()).decode()}"}
        connection.request("GET", "/api/visitor", headers=headers)
        answer = connection.getresponse()
        headers["Cookie"] = answer.headers["Set-Cookie"].partition(";")[0]
        headers["X-CSRF-Token"] = json.loads(answer.read())["csrf_token"]
        connection.request("POST", "/api/pipelines/shop/run", headers=headers)
        operation = json.loads(connection.getresponse().read())["operation"]
        connection.request("GET", f"/operations/{operation}/events", headers=headers)
        stream = connection.getresponse()
        for line in stream:
            if b"Under way" in line:
                break
        process.send_signal(signal.SIGTERM)
        shown = b"".join(stream).decode()
        assert "because the page was shut down" in shown
        assert shown.endswith("event: over\ndata: over\n\n")
        assert process.stdout is not None
        assert process.stderr is not None
        said = process.stdout.read() + process.stderr.read()
        assert (process.wait(60), said) == (0, b"")
    assert shop.stored() == []


def own_address() -> str:
    """An address of this machine that is not the one it has for itself."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing
        found = str(probe.getsockname()[0])
    return found if not found.startswith("127.") else "127.0.0.2"


def test_without_a_terminal_no_password_is_made_up(shop: Shop) -> None:
    done = shop.backupkit("web", "--app", "shop_backups:pipeline")
    assert done.returncode == 2
    assert done.stderr.startswith(
        "Error: There is no terminal to show a new password at: give --password-file"
    )


def test_the_password_is_the_first_line_of_a_file_or_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "password").write_text("first line \nsecond\n")
    monkeypatch.setenv("PAGE_PASSWORD", PASSWORD)
    assert _given(str(tmp_path / "password"), None) == "first line "
    assert _given(None, "PAGE_PASSWORD") == PASSWORD
    assert _given(None, None) is None
    with pytest.raises(ConfigurationError, match="two places"):
        _given(str(tmp_path / "password"), "PAGE_PASSWORD")
    with pytest.raises(ConfigurationError, match="cannot be read from"):
        _given(str(tmp_path / "missing"), None)


def test_places_are_folders_by_name() -> None:
    assert _places(["old=/srv/restored", "other=/srv/a=b"]) == {"old": "/srv/restored", "other": "/srv/a=b"}
    for said in (["old"], ["=/srv"], ["old="], ["old=/a", "old=/b"]):
        with pytest.raises(ConfigurationError, match="NAME=FOLDER"):
            _places(said)


def test_a_port_that_is_taken_is_named() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(
            ConfigurationError, match=r"cannot be used \(Address already in use\): .*--port 0 for any"
        ),
    ):
        _listening(taken.getsockname()[1])
