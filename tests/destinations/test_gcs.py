"""Google Cloud Storage, as fake-gcs-server plays it."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from gcsfs import GCSFileSystem
from google.oauth2.credentials import Credentials

from backupkit.destinations.opening import open_destination
from backupkit.errors import AccessDeniedError, ConfigurationError, DestinationError, ObjectExistsError
from backupkit.filesystems import gcs
from backupkit.protocols import Destination
from backupkit.testing.destinations import DestinationTests
from tests.destinations.processes import Place, ProcessTests
from tests.fault_proxy import Answer, Rule, fault_proxy
from tests.servers import free_port
from tests.storage.fake_gcs import FakeGCS, fake_gcs
from tests.storage.gcs_sessions import Sessions, gcs_sessions

KiB = 1 << 10
MiB = 1 << 20


@pytest.fixture(scope="module")
def server() -> Iterator[FakeGCS]:
    with fake_gcs() as server:
        yield server


class TestGCS(DestinationTests):
    @pytest.fixture
    def destination(self, server: FakeGCS) -> Destination:
        return open_destination(
            f"gs://{server.bucket()}/shop", endpoint_url=server.endpoint, token="anon", part_size=256 * KiB
        )


class TestProcessesOnGCS(ProcessTests):
    @pytest.fixture
    def place(self, server: FakeGCS) -> Iterator[Place]:
        with gcs_sessions(server) as sessions, fault_proxy(sessions.port) as proxy:
            yield Place(
                url=f"gs://{server.bucket()}/shop",
                options={"endpoint_url": sessions.endpoint, "token": "anon"},
                proxied={"endpoint_url": f"http://127.0.0.1:{proxy.port}", "token": "anon"},
                proxy=proxy,
                part=r"^PUT .*\[bytes \d",
            )


@pytest.fixture
def sessions(server: FakeGCS) -> Iterator[Sessions]:
    with gcs_sessions(server) as sessions:
        yield sessions


def _at(server: FakeGCS | Sessions, bucket: str, **options: Any) -> Destination:
    given = {"part_size": 256 * KiB, "patience": 2, **options}
    return open_destination(f"gs://{bucket}/shop", endpoint_url=server.endpoint, token="anon", **given)


def _chunks(count: int, then: Callable[[], object] = lambda: None) -> Iterator[bytes]:
    """So many KiB, none like another, and then something happens; a last byte follows."""
    for number in range(count):
        yield number.to_bytes(2, "big") * 512
    then()
    yield b"."


def test_an_upload_that_fails_is_given_up(sessions: Sessions) -> None:
    destination = _at(sessions, sessions.server.bucket())
    begun: list[int] = []

    def fail() -> None:
        begun.append(len(sessions.open))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        destination.write("object", _chunks(1024, fail))
    assert begun == [1]
    assert not sessions.open


def test_what_the_session_did_not_keep_of_a_chunk_is_sent_again(sessions: Sessions) -> None:
    sessions.keeps = 256 * KiB
    destination = _at(sessions, sessions.server.bucket(), part_size=MiB)
    destination.write("object", _chunks(2500))
    assert b"".join(destination.read("object")) == b"".join(_chunks(2500))


def test_an_upload_whose_session_is_lost_may_be_tried_again(sessions: Sessions) -> None:
    destination = _at(sessions, sessions.server.bucket())
    with pytest.raises(DestinationError) as caught:
        destination.write("object", _chunks(1024, sessions.open.clear))
    assert caught.value.retryable
    assert [*destination.list()] == []
    destination.write("object", _chunks(600))


def test_an_object_that_is_not_what_was_sent_is_noticed_and_goes(sessions: Sessions) -> None:
    destination = _at(sessions, sessions.server.bucket())
    sessions.spoils = True
    with pytest.raises(DestinationError, match="not the same ones"):
        destination.write("object", _chunks(1024, lambda: None))
    assert [*destination.list()] == []


def test_an_object_that_comes_meanwhile_stays(sessions: Sessions) -> None:
    bucket = sessions.server.bucket()
    destination, other = _at(sessions, bucket), _at(sessions, bucket)
    with pytest.raises(ObjectExistsError):
        destination.write("object", _chunks(1024, lambda: other.write("object", [b"other"])))
    with pytest.raises(ObjectExistsError):
        destination.write("small", _chunks(1, lambda: other.write("small", [b"other"])))
    assert b"".join(destination.read("object")) == b"".join(destination.read("small")) == b"other"


def test_half_an_object_does_not_stay_when_the_store_ends_an_upload_by_itself(server: FakeGCS) -> None:
    """As fake-gcs-server does when it is asked where an upload stands."""
    with fault_proxy(server.port) as proxy:
        proxy.rules = [Rule(r"^PUT .*\[bytes \d", "lose answer", skip=1)]
        destination = _at(Sessions(server, port=proxy.port), server.bucket())
        with pytest.raises(DestinationError) as caught:
            destination.write("object", _chunks(1024))
    assert caught.value.retryable
    assert [*_at(server, destination.location.split("/")[2]).list()] == []


def test_an_object_that_is_replaced_while_it_is_read_is_an_error(server: FakeGCS) -> None:
    destination = _at(server, server.bucket(), concurrency=1)
    destination.write("object", _chunks(8 * 1024))
    chunks = destination.read("object")
    next(chunks)
    destination.write("object", [b"new"], overwrite=True)
    with pytest.raises(DestinationError, match="replaced while it was read") as caught:
        list(chunks)
    assert caught.value.retryable


def test_a_small_object_is_one_request_and_one_look_before_and_after(server: FakeGCS) -> None:
    with fault_proxy(server.port) as proxy:
        _at(Sessions(server, port=proxy.port), server.bucket()).write("object", [b"small"])
        assert [line.split(" ")[0] for line, _ in proxy.seen] == ["GET", "POST", "GET"]


def test_a_listing_is_one_request_for_each_page(server: FakeGCS, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gcs, "_PAGE", 2)
    bucket = server.bucket()
    for number in range(5):
        _at(server, bucket).write(f"object-{number}", [b""])
    with fault_proxy(server.port) as proxy:
        listed = [one.name for one in _at(Sessions(server, port=proxy.port), bucket).list()]
        assert len(proxy.seen) == 3
    assert listed == [f"object-{number}" for number in range(5)]


def test_what_may_not_be_repeated_is_asked_once(server: FakeGCS) -> None:
    with fault_proxy(server.port) as proxy:
        proxy.rules = [Rule("", Answer(403), times=1000)]
        with pytest.raises(AccessDeniedError):
            _at(Sessions(server, port=proxy.port), server.bucket()).stat("object")
        assert len(proxy.seen) == 1


def test_what_somebody_between_answers_may_be_tried_again(sessions: Sessions) -> None:
    with fault_proxy(sessions.port) as proxy:
        destination = _at(Sessions(sessions.server, port=proxy.port), sessions.server.bucket())
        strange = Answer(200, b"<html>Please log in</html>")
        proxy.rules = [Rule(r"^PUT .*\[bytes \d", strange)]
        destination.write("object", _chunks(1024))
        assert b"".join(destination.read("object")) == b"".join(_chunks(1024))
        proxy.rules = [Rule("^GET ", strange)]
        with pytest.raises(DestinationError) as caught:
            destination.stat("object")
        assert caught.value.retryable


def test_a_missing_bucket_is_said_to_be_missing(server: FakeGCS) -> None:
    for call in (lambda one: one.write("object", [b""]), lambda one: list(one.list())):
        with pytest.raises(DestinationError, match="bucket, container or folder does not exist"):
            call(_at(server, "no-such-bucket"))


@pytest.mark.timeout(30)
def test_where_nobody_listens_is_said_within_the_patience() -> None:
    destination = open_destination(
        f"gs://backups/shop?endpoint_url=http://127.0.0.1:{free_port()}", token="anon", patience=1
    )
    with pytest.raises(DestinationError, match="could not be reached") as caught:
        destination.stat("object")
    assert caught.value.retryable


def test_plain_http_to_another_machine_is_refused_where_the_environment_says_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "storage.example:4443")
    destination = open_destination("gs://backups/shop", token="anon")
    with pytest.raises(ConfigurationError, match="allow_plaintext"):
        destination.stat("object")


def _credentials(port: int) -> Any:
    """Such as have to be renewed first, at a service on this port."""
    kind: Any = Credentials
    return kind(
        None,
        refresh_token="s3cret-refresh",
        token_uri=f"http://127.0.0.1:{port}/token",
        client_id="backupkit",
        client_secret="s3cret-client",
    )


def test_credentials_that_cannot_be_renewed_are_said_to_be_wrong_and_not_shown(server: FakeGCS) -> None:
    with fault_proxy(server.port) as proxy:
        proxy.rules = [Rule("/token", Answer(400, b'{"error": "invalid_grant"}'), times=1000)]
        url = f"gs://{server.bucket()}/shop"
        destination = open_destination(url, endpoint_url=server.endpoint, token=_credentials(proxy.port))
        with pytest.raises(AccessDeniedError, match="missing, wrong or have expired") as caught:
            destination.write("object", [b""])
    shown = "".join(traceback.format_exception(caught.value)) + repr(destination)
    assert "s3cret" not in shown


def test_a_service_for_tokens_that_is_not_reached_is_no_matter_of_credentials(server: FakeGCS) -> None:
    url = f"gs://{server.bucket()}/shop"
    destination = open_destination(
        url, endpoint_url=server.endpoint, token=_credentials(free_port()), patience=0.5
    )
    with pytest.raises(DestinationError, match="could not be reached") as caught:
        destination.write("object", [b""])
    assert caught.value.retryable


def test_a_token_that_is_refused_in_the_middle_is_renewed(sessions: Sessions) -> None:
    token = {"access_token": "access", "expires_in": 3600, "token_type": "Bearer"}
    with fault_proxy(sessions.port) as proxy:
        refused = Rule(r"^PUT .*\[bytes \d", Answer(401), skip=1)
        proxy.rules = [Rule("/token", Answer(200, json.dumps(token).encode()), times=1000), refused]
        destination = open_destination(
            f"gs://{sessions.server.bucket()}/shop",
            endpoint_url=f"http://127.0.0.1:{proxy.port}",
            token=_credentials(proxy.port),
            part_size=256 * KiB,
        )
        destination.write("object", _chunks(1024))
        assert proxy.requests("/token") == 2
        refused.times = 1000
        with pytest.raises(AccessDeniedError, match="missing, wrong or have expired"):
            destination.write("other", _chunks(1024))
        assert proxy.requests("/token") == 3
    assert b"".join(_at(sessions, destination.location.split("/")[2]).read("object")) == b"".join(
        _chunks(1024)
    )


def test_a_token_in_plain_is_sent_to_nobody_but_the_store(server: FakeGCS) -> None:
    """gcsfs would ask Google how long it lasts, by a URL that has it; nobody here answers for Google."""
    with fault_proxy(server.port) as proxy:
        url = f"gs://{server.bucket()}/shop?endpoint_url=http://127.0.0.1:{proxy.port}"
        destination = open_destination(url, token="ya29.s3cret")
        destination.write("object", [b"content"])
        proxy.rules = [Rule("", Answer(401), times=1000)]
        with pytest.raises(AccessDeniedError) as caught:
            destination.stat("object")
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_a_file_of_credentials_that_is_not_there_is_not_taken_for_a_token() -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        open_destination("gs://backups/shop", token="/etc/backupkit/google.json").stat("object")


def test_a_ready_file_system_may_be_the_one_with_gcsfs_experiments(server: FakeGCS) -> None:
    """Nothing is asked by gRPC, which nobody here would answer."""
    ready = GCSFileSystem(endpoint_url=server.endpoint, token="anon", skip_instance_cache=True)
    destination = open_destination(f"{server.bucket()}/shop", fs=ready)
    destination.write("object", _chunks(1024))
    assert b"".join(destination.read("object")) == b"".join(_chunks(1024))


def test_a_token_is_asked_for_once_and_goes_with_every_request(server: FakeGCS) -> None:
    token = {"access_token": "s3cret-access", "expires_in": 3600, "token_type": "Bearer"}
    with fault_proxy(server.port) as proxy:
        proxy.rules = [Rule("/token", Answer(200, json.dumps(token).encode()), times=1000)]
        credentials = _credentials(proxy.port)
        destination = open_destination(
            f"gs://{server.bucket()}/shop",
            endpoint_url=server.endpoint,
            token=credentials,
            part_size=256 * KiB,
        )
        destination.write("object", _chunks(1024))
        assert b"".join(destination.read("object")) == b"".join(_chunks(1024))
        assert proxy.requests("/token") == 1
    assert credentials.token == "s3cret-access"
