"""What the errors of S3 mean, for what no server of the tests can be made to say."""

from __future__ import annotations

import ssl

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, NoCredentialsError, SSLError
from s3fs.utils import FileExpired

from backupkit.filesystems.failures import failure_of, may_pass
from backupkit.filesystems.meanings import Meaning


def _error(code: str, status: int, operation: str = "PutObject") -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": "with-a-secret"}, "ResponseMetadata": {"HTTPStatusCode": status}},
        operation,
    )


@pytest.mark.parametrize(
    ("code", "status", "meaning"),
    [
        ("NoSuchKey", 404, "missing"),
        ("NoSuchBucket", 404, "no place"),
        ("NoSuchUpload", 404, "ended"),
        ("ExpiredToken", 400, "credentials"),
        ("InvalidAccessKeyId", 403, "credentials"),
        ("SignatureDoesNotMatch", 403, "credentials"),
        ("AccessDenied", 403, "denied"),
        ("AllAccessDisabled", 403, "denied"),
        ("RequestTimeTooSkewed", 403, "skewed"),
        ("QuotaExceeded", 403, "full"),
        ("XMinioStorageFull", 507, "full"),
        ("SomethingOfTheVendors", 507, "full"),
        ("EntityTooLarge", 400, "full"),
        ("SlowDown", 503, "busy"),
        ("InternalError", 500, "busy"),
        ("502", 502, "busy"),
        ("TooManyRequests", 429, "busy"),
        ("RequestTimeout", 400, "timeout"),
        ("ConditionalRequestConflict", 409, "busy"),
        ("PreconditionFailed", 412, "exists"),
        ("InvalidObjectState", 403, "archived"),
        ("InvalidPart", 400, "other"),
        ("MalformedXML", 400, "other"),
    ],
)
def test_a_code_of_s3_has_a_meaning(code: str, status: int, meaning: Meaning) -> None:
    failure = failure_of(_error(code, status))
    assert failure.meaning == meaning
    assert failure.passing == (meaning in ("busy", "timeout"))
    assert "with-a-secret" not in failure.reason


def test_a_condition_that_fails_while_reading_means_that_the_object_changed() -> None:
    for error in (_error("PreconditionFailed", 412, "GetObject"), FileExpired("key", "tag")):
        assert failure_of(error).meaning == "changed"
        assert failure_of(error).passing  # whoever reads it all again may succeed
        assert not may_pass(error)  # the same call, for the old state, never will


def test_an_error_that_has_no_answer_is_known_by_its_kind() -> None:
    assert failure_of(NoCredentialsError()).meaning == "credentials"
    assert failure_of(ConnectTimeoutError(endpoint_url="https://s3.example")).meaning == "timeout"


def test_a_certificate_that_is_wrong_is_told_from_a_connection_that_was_lost() -> None:
    def of(cause: Exception) -> Meaning:
        try:
            raise SSLError(endpoint_url="https://s3.example", error=cause) from cause
        except SSLError as error:
            return failure_of(error).meaning

    assert of(ssl.SSLCertVerificationError("self-signed certificate")) == "unsafe"
    assert of(ssl.SSLEOFError("EOF occurred in violation of protocol")) == "unreachable"
