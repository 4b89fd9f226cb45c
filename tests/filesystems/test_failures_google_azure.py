"""What the errors of Google's, Azure's and aiohttp's libraries mean. Each is one that could be raised."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import aiohttp
import pytest
from azure.core import exceptions as azure
from azure.identity import CredentialUnavailableError
from gcsfs.retry import HttpError
from google.auth import exceptions as google

from backupkit.filesystems.failures import failure_of
from backupkit.filesystems.gcs_requests import StatusError
from backupkit.filesystems.meanings import Meaning


def _azure(status: int, code: str | None, message: str = "") -> Exception:
    kind: Any = azure.ClientAuthenticationError if status in (401, 403) else azure.HttpResponseError
    error: Exception = kind(message)
    error.status_code, error.error_code = status, code  # type: ignore[attr-defined]  # as the client does
    return error


def _google(kind: Any, *, retryable: bool = False) -> Exception:
    error: Exception = kind("no", retryable=retryable)
    return error


def _connecting(error: OSError) -> Exception:
    key: Any = aiohttp.client_reqrep.ConnectionKey("host", 443, True, True, None, None, None)
    return aiohttp.ClientConnectorError(key, error)


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (StatusError(400, "invalid", "Invalid bucket name"), "other"),
        (StatusError(401, "authError", "Invalid Credentials"), "credentials"),
        (StatusError(403, "forbidden", "does not have storage.objects.create access"), "denied"),
        (StatusError(403, "retentionPolicyNotMet", "is subject to bucket's retention policy"), "denied"),
        (StatusError(403, "userRateLimitExceeded", ""), "busy"),
        (StatusError(403, "quotaExceeded", ""), "full"),
        (StatusError(404, "notFound", "No such object: bucket/name"), "missing"),
        (StatusError(404, "notFound", "The specified bucket does not exist."), "no place"),
        (StatusError(408, "", ""), "timeout"),
        (StatusError(412, "conditionNotMet", ""), "exists"),
        (StatusError(429, "rateLimitExceeded", ""), "busy"),
        (StatusError(502, "", "<html>"), "busy"),
        (_google(google.RefreshError), "credentials"),
        (_google(google.RefreshError, retryable=True), "unreachable"),
        (_google(google.TransportError), "unreachable"),
        (_google(google.DefaultCredentialsError), "credentials"),
        (_azure(401, "NoAuthenticationInformation"), "credentials"),
        (_azure(403, "AuthenticationFailed"), "credentials"),
        (_azure(403, "AuthenticationFailed", "Request date header too old: 'Thu'"), "skewed"),
        (_azure(403, "AuthorizationPermissionMismatch"), "denied"),
        (_azure(403, "AuthorizationFailure"), "denied"),
        (_azure(403, None), "denied"),
        (_azure(404, "BlobNotFound"), "missing"),
        (_azure(404, "ContainerNotFound"), "no place"),
        (_azure(409, "BlobAlreadyExists"), "exists"),
        (_azure(409, "BlobImmutableDueToPolicy"), "denied"),
        (_azure(409, "BlobArchived"), "archived"),
        (_azure(400, "InvalidBlockList"), "ended"),
        (_azure(409, "InvalidBlobType"), "other"),
        (_azure(412, "ConditionNotMet"), "exists"),
        (_azure(412, "LeaseIdMissing"), "denied"),
        (_azure(412, "LeaseIdMismatchWithBlobOperation"), "other"),
        (_azure(500, "OperationTimedOut"), "timeout"),
        (_azure(503, "ServerBusy"), "busy"),
        (CredentialUnavailableError("EnvironmentCredential is not configured"), "credentials"),
        (azure.ServiceRequestError("no"), "unreachable"),
        (azure.ServiceRequestTimeoutError("no"), "timeout"),
        (azure.ServiceResponseTimeoutError("no"), "timeout"),
        (azure.ServiceResponseError("no"), "unreachable"),
        (azure.IncompleteReadError("no"), "unreachable"),
        (_connecting(socket.gaierror(-2, "Name or service not known")), "unreachable"),
        (_connecting(ConnectionRefusedError(111, "Connection refused")), "unreachable"),
        (aiohttp.ServerDisconnectedError(), "unreachable"),
        (aiohttp.ClientPayloadError(), "unreachable"),
        (aiohttp.ServerTimeoutError(), "timeout"),
        (TimeoutError(), "timeout"),
    ],
    ids=repr,
)
def test_an_error_of_a_library_has_a_meaning(error: Exception, meaning: Meaning) -> None:
    assert failure_of(error).meaning == meaning


def test_a_token_that_gcsfs_could_not_renew_means_what_its_cause_does() -> None:
    def chained(cause: Exception) -> Exception:
        error: Exception = HttpError({"code": 401, "message": "Invalid Credentials"})
        error.__cause__ = cause
        return error

    assert failure_of(chained(_google(google.RefreshError))).meaning == "credentials"
    assert failure_of(chained(_google(google.RefreshError, retryable=True))).meaning == "unreachable"


def test_a_certificate_that_is_not_trusted_is_found_beneath_the_libraries_errors() -> None:
    error = azure.ServiceRequestError("Cannot connect")
    error.__cause__ = ssl.SSLCertVerificationError(1, "certificate verify failed")
    failure = failure_of(error)
    assert failure.meaning == "unsafe"
    assert not failure.passing
