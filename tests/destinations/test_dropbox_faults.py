"""Dropbox behind a link on which things go wrong, and with accounts that refuse."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from backupkit.errors import DestinationError
from tests.destinations.faults import FOR_EVER, Behind, FaultTests, impatience, usually_without
from tests.fault_proxy import Answer, Rule
from tests.storage.dropboxes import Link, Reached, linked_dropbox

MiB = 1 << 20


def refusal(status: int, error: dict[str, Any]) -> Answer:
    """As the server gives it."""
    body = json.dumps({"error_summary": "…", "error": error}).encode()
    return Answer(status, body, (("Content-Type", "application/json"),))


EXPIRED = refusal(401, {".tag": "expired_access_token"})
THROTTLED = refusal(429, {"reason": {".tag": "too_many_requests"}, "retry_after": 1})


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Link]:
    with linked_dropbox(tmp_path_factory.mktemp("dropbox")) as link:
        yield link


@pytest.fixture
def impatient(link: Link, request: pytest.FixtureRequest) -> Iterator[Behind]:
    link.proxy.forget()
    folder = f"/{uuid.uuid4().hex}"
    through = Reached(link.reached.server, link.reached.certificate, link.options, folder)
    direct = Reached(link.reached.server, link.reached.certificate, link.reached.options, folder)
    yield Behind(
        proxy=link.proxy,
        through=through.destination(part_size=4 * MiB, **impatience(request)),
        direct=direct.destination(),
        part=4 * MiB,
        requests={
            "part": "upload_session/append_v2",
            "commit": "upload_session/finish",
            "small": "files/upload$",
            "read": "files/download",
            "list": "files/list_folder",
        },
        busy=Answer(503),
        throttled=THROTTLED,
        full=None,  # only the end of an upload is refused for that
        expired=EXPIRED,
        skewed=None,
    )
    # What was left behind goes on until its attempt ends, and must not be taken for a request of the next test.
    for thread in threading.enumerate():
        if thread.name == "backupkit request":
            thread.join()


class TestFaultsOfDropbox(FaultTests):
    outcomes = usually_without("a part: the store is full", "wrong clock")

    @pytest.fixture
    def behind(self, impatient: Behind) -> Behind:
        return impatient


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("skip", [0, 3], ids=["first", "last"])
def test_a_part_that_arrived_though_its_answer_was_lost_is_not_sent_into_the_object_twice(
    link: Link, impatient: Behind, concurrency: int, skip: int
) -> None:
    through = Reached(link.reached.server, link.reached.certificate, link.options)
    link.proxy.rules = [Rule("append_v2", "lose answer", skip=skip)]
    through.destination(part_size=4 * MiB, concurrency=concurrency).write("object", [impatient.content])
    assert link.proxy.befell() == ["lose answer"]
    stored = link.reached.server.contents()[f"{through.folder}/object"]
    assert stored == impatient.content


@pytest.mark.parametrize("mode", ["wb", "xb"])
def test_a_file_whose_end_was_answered_by_nobody_is_there_for_users_of_fsspec(
    link: Link, impatient: Behind, mode: str
) -> None:
    through = Reached(link.reached.server, link.reached.certificate, link.options)
    link.proxy.rules = [Rule("upload_session/finish", "lose answer")]
    with through.file_system().open(f"{through.folder}/file", mode) as file:
        file.write(b"content")
    assert link.proxy.befell() == ["lose answer"]
    assert link.reached.server.contents()[f"{through.folder}/file"] == b"content"


@pytest.mark.parametrize("answer", [THROTTLED, Answer(503)], ids=["throttled", "overloaded"])
def test_the_sdk_repeats_nothing_by_itself(link: Link, impatient: Behind, answer: Answer) -> None:
    """It would try four times after errors of the server, and for ever when it is asked to wait."""
    through = Reached(link.reached.server, link.reached.certificate, link.options)
    link.proxy.rules = [Rule("files/upload", answer, times=FOR_EVER)]
    with pytest.raises(DestinationError) as caught:
        through.destination(patience=1e-6).write("object", [b"content"])
    assert caught.value.retryable
    assert link.proxy.requests("files/upload") == 1
