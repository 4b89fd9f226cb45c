"""Processes that write to Dropbox and are killed, end, fork or are interrupted; and how much memory they take."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.destinations.processes import Place, ProcessTests, child_of
from tests.storage.dropboxes import Link, Reached, linked_dropbox


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Link]:
    with linked_dropbox(tmp_path_factory.mktemp("dropbox")) as link:
        yield link


@pytest.fixture
def place(link: Link) -> Place:
    link.proxy.forget()
    return Place(
        url=Reached(link.reached.server, link.reached.certificate, link.reached.options).url,
        options={"token": "TOKEN", **link.reached.options},
        proxied={"token": "TOKEN", "time_limit": 300, **link.options},
        proxy=link.proxy,
        part="upload_session/append_v2",
        part_size=4 << 20,
    )


class TestProcessesOnDropbox(ProcessTests):
    @pytest.fixture
    def place(self, place: Place) -> Place:
        return place


def test_a_ready_file_system_connects_anew_in_a_process_that_is_forked(place: Place) -> None:
    program = """
from backupkit.filesystems.dropbox.file_system import DropboxFileSystem
del options["part_size"]
fs, folder = DropboxFileSystem(**options), url.removeprefix("dropbox://")
fs.pipe_file(f"{folder}/parent", b"parent")
mine = fs.client
child = os.fork()
if child == 0:
    assert fs.client is not mine
    fs.pipe_file(f"{folder}/child", b"child")
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert fs.client is mine
assert fs.cat_file(f"{folder}/child") == b"child"
"""
    with child_of(place, program) as child:
        errors = child.communicate(timeout=60)[1]
    assert child.returncode == 0, errors
