from __future__ import annotations

import gc
import multiprocessing
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from backupkit.destinations.opening import open_destination, within
from backupkit.destinations.remote import RemoteDestination
from backupkit.errors import (
    AccessDeniedError,
    ConfigurationError,
    DestinationError,
    ObjectExistsError,
    ObjectNotFoundError,
)
from backupkit.protocols import Destination
from backupkit.testing.destinations import DestinationTests
from tests.servers import free_port, wait_for
from tests.storage.sshd import SSHServer, sshd

MiB = 1 << 20
IMPATIENT = {"time_limit": 2.0, "patience": 0.1, "slowest": 64 * MiB}


@pytest.fixture(scope="module")
def server() -> Iterator[SSHServer]:
    with sshd() as server:
        yield server


@pytest.fixture
def destination(server: SSHServer, tmp_path: Path) -> RemoteDestination:
    return _destination(server, tmp_path)


class TestSFTP(DestinationTests):
    @pytest.fixture
    def destination(self, server: SSHServer, tmp_path: Path) -> Destination:
        return _destination(server, tmp_path)


def test_objects_and_their_folders_are_readable_by_their_owner_alone(
    destination: RemoteDestination, tmp_path: Path
) -> None:
    destination.write("a/b/object", [b"content"])
    modes = [(tmp_path / path).stat().st_mode & 0o777 for path in ("a", "a/b", "a/b/object")]
    assert [*map(oct, modes)] == ["0o700", "0o700", "0o600"]


def test_folders_left_empty_go_and_others_stay(destination: Destination, tmp_path: Path) -> None:
    destination.write("a/b/one", [b"1"])
    destination.write("a/two", [b"2"])
    destination.delete("a/b/one")
    assert {path.name for path in tmp_path.rglob("*")} == {"a", "two"}
    destination.delete("a/two")
    assert [*tmp_path.iterdir()] == []


def test_a_folder_that_is_not_there_is_an_error_and_is_not_made(server: SSHServer, tmp_path: Path) -> None:
    destination = _destination(server, tmp_path / "not mounted")
    calls: Sequence[Callable[[], object]] = (
        lambda: destination.write("object", [b"content"]),
        lambda: [*destination.list()],
        lambda: destination.stat("object"),
        lambda: [*destination.leftovers()],
    )
    for call in calls:
        with pytest.raises(DestinationError, match="folder does not exist: create it") as caught:
            call()
        assert not isinstance(caught.value, ObjectNotFoundError)
    assert not (tmp_path / "not mounted").exists()


def test_a_missing_folder_is_made_when_it_may_be(server: SSHServer, tmp_path: Path) -> None:
    destination = _destination(server, tmp_path / "new" / "folder", create=True)
    assert [*destination.list()] == []
    destination.write("object", [b"content"])
    assert (tmp_path / "new" / "folder" / "object").read_bytes() == b"content"


def test_a_link_to_a_folder_is_followed_and_one_to_where_it_is_is_not(
    destination: Destination, tmp_path: Path
) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "object").write_bytes(b"content")
    (tmp_path / "other").symlink_to(tmp_path / "shop")
    (tmp_path / "shop" / "round").symlink_to(tmp_path)
    assert [one.name for one in destination.list()] == ["other/object", "shop/object"]
    assert b"".join(destination.read("other/object")) == b"content"


def test_a_list_never_leaves_its_folder_and_minds_no_name_in_it(server: SSHServer, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "object").write_bytes(b"of somebody else")
    folder = tmp_path / "ours"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "object").write_bytes(b"ours")
    with open(os.fsencode(folder) + b"/a/\xff", "wb"):
        pass
    store, _ = _destination(server, folder)._root.store()
    found = [one.path for one in store.find(f"{folder}/")]
    assert sorted(found) == [f"{folder}/a/object", f"{folder}/a/\udcff"]


def test_two_writers_of_one_name_make_one_object_and_an_error(destination: RemoteDestination) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"first"
        destination.write("object", [b"second"])

    with pytest.raises(ObjectExistsError):
        destination.write("object", chunks())
    assert b"".join(destination.read("object")) == b"second"
    assert [*destination.leftovers()] == []


def test_an_unfinished_object_is_a_leftover_that_can_be_discarded(
    destination: RemoteDestination, tmp_path: Path
) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"x" * MiB
        (leftover,) = destination.leftovers("shop/")
        assert leftover.name.startswith("shop/object#")
        assert [*destination.leftovers("other")] == []
        assert [*destination.list()] == []

    destination.write("shop/object", chunks())
    assert [*destination.leftovers()] == []
    (tmp_path / "shop" / ".lost.0123456789abcdef.partial").write_bytes(b"half")
    (leftover,) = destination.leftovers()
    assert (leftover.name, leftover.size) == ("shop/lost#0123456789abcdef", 4)
    destination.discard(leftover)
    destination.discard(leftover)
    assert [path.name for path in (tmp_path / "shop").iterdir()] == ["object"]


def test_a_server_whose_key_is_not_known_gets_nothing(server: SSHServer, tmp_path: Path) -> None:
    nobody = tmp_path / "known_hosts"
    nobody.write_text("")
    with pytest.raises(DestinationError, match="host key could not be verified") as caught:
        _destination(server, tmp_path, known_hosts=str(nobody)).write("object", [b"content"])
    assert not caught.value.retryable


def test_a_server_whose_key_has_changed_gets_nothing(server: SSHServer, tmp_path: Path) -> None:
    kind, key = (server.folder / "client.pub").read_text().split()[:2]
    other = tmp_path / "known_hosts"
    other.write_text(f"[127.0.0.1]:{server.port} {kind} {key}\n")
    with pytest.raises(DestinationError, match="host key could not be verified"):
        _destination(server, tmp_path, known_hosts=str(other)).write("object", [b"content"])


def test_nothing_switches_the_check_of_the_key_off(server: SSHServer, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nobody would check who answers"):
        _destination(server, tmp_path, known_hosts=None)
    config = tmp_path / "config"
    config.write_text("Host *\n  UserKnownHostsFile none\n")
    options = {**server.options, "config": [str(config)]}
    del options["known_hosts"]
    destination = open_destination(server.url(tmp_path), **options)
    with pytest.raises(ConfigurationError, match="would not be checked"):
        destination.write("object", [b"content"])


def test_settings_of_ssh_count(server: SSHServer, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(
        f"Host storage\n  HostName 127.0.0.1\n  Port {server.port}\n  User {server.options['username']}\n"
        f"  IdentityFile {server.folder}/client\n  UserKnownHostsFile {server.known_hosts}\n"
    )
    destination = open_destination(f"sftp://storage{tmp_path}", config=[str(config)], agent_path=None)
    destination.write("object", [b"content"])
    assert (tmp_path / "object").read_bytes() == b"content"


def test_the_settings_of_this_user_count_without_being_named(
    server: SSHServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/config").write_text(
        f"Host storage\n  HostName 127.0.0.1\n  Port {server.port}\n  User {server.options['username']}\n"
        f"  IdentityFile {server.folder}/client\n  UserKnownHostsFile {server.known_hosts}\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    destination = open_destination(f"sftp://storage{tmp_path}", agent_path=None)
    destination.write("object", [b"content"])
    assert (tmp_path / "object").read_bytes() == b"content"


def test_a_upath_is_a_url_with_options(server: SSHServer, tmp_path: Path) -> None:
    path = UPath(server.url(tmp_path), **server.options)
    destination = open_destination(path)
    destination.write("object", [b"content"])
    assert (tmp_path / "object").read_bytes() == b"content"
    user = server.options["username"]
    assert destination.location == f"sftp://{user}@127.0.0.1:{server.port}{tmp_path}"
    above = within(destination)
    assert above is not None
    assert [one.name for one in above[0].list(f"{tmp_path.name}/")] == [f"{tmp_path.name}/object"]


def test_wrong_credentials_are_said_to_be_wrong(server: SSHServer, tmp_path: Path) -> None:
    key = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    with pytest.raises(AccessDeniedError, match="credentials are missing, wrong") as caught:
        _destination(server, tmp_path, client_keys=[str(key)]).write("object", [b"content"])
    assert not caught.value.retryable


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to_is_said_to_be_denied(
    destination: Destination, tmp_path: Path
) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(AccessDeniedError):
        destination.write("object", [b"content"])


def test_a_server_that_only_reads_denies(tmp_path: Path) -> None:
    with sshd(settings=["ForceCommand internal-sftp -R"]) as server:
        destination = _destination(server, tmp_path)
        (tmp_path / "object").write_bytes(b"content")
        assert b"".join(destination.read("object")) == b"content"
        with pytest.raises(AccessDeniedError):
            destination.write("new", [b"content"])
        with pytest.raises(AccessDeniedError):
            destination.delete("object")


def test_an_account_that_may_only_add_writes_and_reads_and_deletes_nothing(tmp_path: Path) -> None:
    how_to = Path(__file__).parents[2] / "docs" / "how-to" / "back-up-over-sftp.md"
    (setting,) = re.findall(r"ForceCommand internal-sftp -p .*", how_to.read_text(encoding="utf-8"))
    with sshd(settings=[setting]) as server:
        destination = _destination(server, tmp_path)
        destination.write("shop/object", [b"content"])
        assert b"".join(destination.read("shop/object")) == b"content"
        assert [one.name for one in destination.list()] == ["shop/object"]
        with pytest.raises(AccessDeniedError):
            destination.delete("shop/object")
        destination.write("shop/new", [b"content"], overwrite=True)
        with pytest.raises(ConfigurationError, match="renames no file over another"):
            destination.write("shop/object", [b"other"], overwrite=True)
        assert b"".join(destination.read("shop/object")) == b"content"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_a_full_disk_is_said_to_be_full(server: SSHServer, tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(tmp_path)], check=True)
    try:
        with pytest.raises(DestinationError, match="store is full") as caught:
            _destination(server, tmp_path).write("object", [b"x" * MiB] * 4)
        assert not caught.value.retryable
        assert [*tmp_path.iterdir()] == []
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_connection_lost_while_sending_leaves_nothing(server: SSHServer, tmp_path: Path) -> None:
    destination = _destination(server, tmp_path)
    destination.write("object", [b"old"])

    def chunks() -> Iterator[bytes]:
        yield from [b"x" * MiB] * 8
        _signal(server, signal.SIGKILL)
        yield from [b"x" * MiB] * 8

    with pytest.raises(DestinationError) as caught:
        destination.write("object", chunks(), overwrite=True)
    assert caught.value.retryable
    assert b"".join(destination.read("object")) == b"old"
    assert [*destination.leftovers()] == []


def test_a_connection_lost_while_reading_is_made_anew(server: SSHServer, tmp_path: Path) -> None:
    destination = _destination(server, tmp_path)
    content = os.urandom(16 * MiB)
    (tmp_path / "object").write_bytes(content)
    read = destination.read("object")
    taken = [next(read)]
    _signal(server, signal.SIGKILL)
    assert b"".join([*taken, *read]) == content


def test_a_file_replaced_while_it_is_read_is_never_mixed(server: SSHServer, tmp_path: Path) -> None:
    destination = _destination(server, tmp_path)
    (tmp_path / "object").write_bytes(b"a" * 16 * MiB)
    read = destination.read("object")
    next(read)
    (tmp_path / "new").write_bytes(b"b" * 17 * MiB)
    (tmp_path / "new").rename(tmp_path / "object")
    _signal(server, signal.SIGKILL)
    with pytest.raises(DestinationError, match="replaced while it was read"):
        b"".join(read)


def test_a_connection_lost_between_two_calls_is_made_anew(
    destination: Destination, server: SSHServer
) -> None:
    destination.write("object", [b"content"])
    _signal(server, signal.SIGKILL)
    assert [one.name for one in destination.list()] == ["object"]


def test_a_destination_that_nobody_has_any_more_leaves_its_server(tmp_path: Path) -> None:
    with sshd() as server:
        destination = _destination(server, tmp_path)
        destination.write("object", [b"content"])
        assert b"".join(destination.read("object")) == b"content"
        assert server.connections()
        del destination
        gc.collect()  # what retries remember of their calls goes round in circles
        wait_for("OpenSSH", server.process, server.folder, lambda: not server.connections())


def test_a_server_that_stops_reading_ends_the_write_in_time(server: SSHServer, tmp_path: Path) -> None:
    destination = _destination(server, tmp_path, **IMPATIENT)

    def chunks() -> Iterator[bytes]:
        yield b"x" * MiB
        _signal(server, signal.SIGSTOP)
        yield from [b"x" * MiB] * 64

    try:
        with pytest.raises(DestinationError) as caught:
            destination.write("object", chunks())
    finally:
        _signal(server, signal.SIGKILL)
    assert caught.value.retryable
    assert [*_destination(server, tmp_path).list()] == []


def test_a_server_that_stops_answering_ends_the_read_in_time(server: SSHServer, tmp_path: Path) -> None:
    (tmp_path / "object").write_bytes(b"x" * 64 * MiB)
    destination = _destination(server, tmp_path, **IMPATIENT)
    read = destination.read("object")
    next(read)
    _signal(server, signal.SIGSTOP)
    try:
        # A new connection would be answered; none may be made when the patience is used up.
        with pytest.raises(DestinationError) as caught:
            b"".join(read)
    finally:
        _signal(server, signal.SIGKILL)
    assert caught.value.retryable


def test_nobody_there_is_said_to_be_unreachable(server: SSHServer, tmp_path: Path) -> None:
    url = f"sftp://127.0.0.1:{free_port()}{tmp_path}"
    with pytest.raises(DestinationError, match="could not be reached") as caught:
        [*open_destination(url, **{**server.options, **IMPATIENT}).list()]
    assert caught.value.retryable


def test_a_forked_process_has_a_connection_of_its_own(destination: Destination) -> None:
    destination.write("one", [b"of the parent"])
    child = multiprocessing.get_context("fork").Process(
        target=destination.write, args=("two", [b"of the child"])
    )
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert b"".join(destination.read("two")) == b"of the child"
    assert [one.name for one in destination.list()] == ["one", "two"]


PROGRAM = """
import os, signal, sys, threading, time
from backupkit.destinations.opening import open_destination

url, key, known_hosts, user, do, pid = sys.argv[1:]
destination = open_destination(
    url, client_keys=[key], known_hosts=known_hosts, username=user, config=None, agent_path=None
)

def connections(parent):
    return [int(one) for one in os.popen(f"ps -o pid= --ppid {parent}").read().split()]

def chunks():
    yield b"x" * (8 << 20)
    if do == "stop":
        for one in connections(pid):
            os.kill(one, signal.SIGSTOP)
            for below in connections(one):
                os.kill(below, signal.SIGSTOP)
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    print("under way", flush=True)
    while True:
        yield b"x" * (1 << 20)
        if do == "end":
            time.sleep(0.01)

if do == "end":
    began = threading.Event()
    threading.Thread(target=destination.write, args=("shop/object", chunks()), daemon=True).start()
    time.sleep(1)
else:
    destination.write("shop/object", chunks())
"""


def _process(server: SSHServer, folder: Path, do: str) -> subprocess.Popen[str]:
    arguments = [
        *(server.url(folder), server.options["client_keys"][0], str(server.known_hosts)),
        *(server.options["username"], do, str(server.process.pid)),
    ]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_a_killed_process_leaves_nothing_but_a_leftover(
    server: SSHServer, destination: RemoteDestination, tmp_path: Path
) -> None:
    with _process(server, tmp_path, "write") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "under way\n"
        process.kill()
    assert [*destination.list()] == []
    (leftover,) = destination.leftovers()
    destination.discard(leftover)
    assert [*destination.leftovers()] == []


@pytest.mark.timeout(60)
def test_ctrl_c_ends_a_write_to_a_server_that_has_stopped_at_once(server: SSHServer, tmp_path: Path) -> None:
    with _process(server, tmp_path, "stop") as process:
        try:
            _, errors = process.communicate(timeout=20)  # the time limit would be sixty seconds
        finally:
            process.kill()
            _signal(server, signal.SIGKILL)
    assert process.returncode in (130, -signal.SIGINT), errors
    assert errors.rstrip().endswith("KeyboardInterrupt"), errors


@pytest.mark.timeout(60)
def test_a_process_may_end_while_a_write_is_under_way(server: SSHServer, tmp_path: Path) -> None:
    with _process(server, tmp_path, "end") as process:
        try:
            _, errors = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("sftp://backup@storage.example/srv/shop", "sftp://backup@storage.example/srv/shop"),
        ("sftp://backup:hunter2@storage.example:2222/srv/", "sftp://backup@storage.example:2222/srv"),
        ("ssh://storage.example/~/shop", "sftp://storage.example/~/shop"),
        ("sftp://me@[fd00::1]:2222/srv", "sftp://me@[fd00::1]:2222/srv"),
    ],
)
def test_a_location_shows_no_password(url: str, location: str) -> None:
    destination = open_destination(url, password="hunter2")
    assert destination.location == location
    assert "hunter2" not in repr(destination)


@pytest.mark.parametrize(
    ("url", "host", "options", "folder"),
    [
        ("sftp://a.example/srv/b", "a.example", {}, "/srv/b"),
        ("sftp://a.example", "a.example", {}, ""),
        ("sftp://a.example/~/b", "a.example", {}, "b"),
        ("sftp://a.example/~", "a.example", {}, ""),
        ("sftp://me:p%40ss@[::1]:2222/b", "::1", {"username": "me", "password": "p@ss", "port": 2222}, "/b"),
    ],
)
def test_a_url_names_account_and_folder(url: str, host: str, options: dict[str, Any], folder: str) -> None:
    from backupkit.filesystems.ssh import account

    assert account(url) == (host, options, folder)


@pytest.mark.parametrize("url", ["sftp://", "sftp:///srv", "ftp:///srv"])
def test_a_url_without_a_host_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="names a host"):
        open_destination(url)


def test_a_home_folder_can_be_meant(server: SSHServer) -> None:
    destination = open_destination(f"sftp://127.0.0.1:{server.port}", **server.options)
    with pytest.raises(ObjectNotFoundError):
        destination.stat("what-nobody-has-in-his-home-folder")


def _destination(server: SSHServer, folder: Path, **options: Any) -> RemoteDestination:
    destination = open_destination(server.url(folder), **{**server.options, **options})
    assert isinstance(destination, RemoteDestination)
    return destination


def _signal(server: SSHServer, number: int) -> None:
    for process in server.connections():
        with suppress(ProcessLookupError):  # one of a connection that has just ended
            os.kill(process, number)


def test_an_accounts_home_folder_lists_as_any_folder_does(tmp_path: Path) -> None:
    with sshd(settings=[f"ForceCommand internal-sftp -d {tmp_path}"]) as server:
        home = open_destination(f"sftp://127.0.0.1:{server.port}/~", **server.options)
        home.write("shop/object", [b"content"])
        assert [one.name for one in home.list()] == ["shop/object"]
        assert [one.name for one in home.list("shop/")] == ["shop/object"]


@pytest.mark.timeout(30)
def test_what_is_no_file_is_no_object_and_holds_nothing_up(server: SSHServer, tmp_path: Path) -> None:
    destination = _destination(server, tmp_path, **IMPATIENT)
    destination.write("object", [b"content"])
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "link").symlink_to("object")
    assert [one.name for one in destination.list()] == ["object"]
    for name in ("pipe", "dangling"):  # to open a pipe blocks until somebody opens its other end
        with pytest.raises(ObjectNotFoundError):
            b"".join(destination.read(name))
        with pytest.raises(ObjectExistsError):
            destination.write(name, [b"other"])
    assert b"".join(destination.read("object")) == b"content"
