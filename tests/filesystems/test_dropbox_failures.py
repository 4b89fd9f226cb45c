"""What Dropbox and requests say, and what is made of it."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from dropbox import auth, files
from dropbox.common import PathRootError as PathRootErrorUnion
from dropbox.exceptions import (
    ApiError,
    AuthError,
    BadInputError,
    HttpError,
    InternalServerError,
    PathRootError,
    RateLimitError,
)

from backupkit.filesystems.failures import asked_to_wait, failure_of
from backupkit.filesystems.meanings import Meaning


def written(reason: Any) -> ApiError:
    return said(files.UploadSessionFinishError.path(reason))


def said(error: Any) -> ApiError:
    return ApiError("request", error, None, None)


SESSION_GONE = files.UploadSessionLookupError.not_found
WRITE = files.WriteError


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (said(files.GetMetadataError.path(files.LookupError.not_found)), "missing"),
        (said(files.DownloadError.path(files.LookupError.not_file)), "missing"),
        (said(files.DownloadError.path(files.LookupError.restricted_content)), "denied"),
        (said(files.DownloadError.path(files.LookupError.locked)), "busy"),
        (said(files.ListFolderContinueError.reset), "changed"),
        (said(files.UploadSessionAppendError.not_found), "other"),
        (said(files.UploadSessionAppendError.content_hash_mismatch), "busy"),
        (said(files.UploadSessionFinishError.lookup_failed(SESSION_GONE)), "other"),
        (said(files.UploadSessionFinishError.too_many_write_operations), "busy"),
        (said(files.UploadSessionFinishError.encryption_not_supported), "other"),
        (written(WRITE.conflict(files.WriteConflictError.file_ancestor)), "exists"),
        (written(WRITE.insufficient_space), "full"),
        (written(WRITE.upload_traffic_limit_reached), "full"),
        (written(WRITE.no_write_permission), "denied"),
        (written(WRITE.too_many_write_operations), "busy"),
        (
            said(files.UploadError.path(files.UploadWriteFailed(WRITE.insufficient_space, "session"))),
            "full",
        ),
        (AuthError("request", auth.AuthError.expired_access_token), "credentials"),
        (AuthError("request", auth.AuthError.invalid_access_token), "credentials"),
        (AuthError("request", auth.AuthError.missing_scope(auth.TokenScopeError("scope"))), "denied"),
        (BadInputError("request", "The given OAuth 2 access token is malformed."), "credentials"),
        (BadInputError("request", "Error in call to API function"), "other"),
        (PathRootError("request", PathRootErrorUnion.no_permission), "no place"),
        (RateLimitError("request", None, 7), "busy"),
        (InternalServerError("request", 503, ""), "busy"),
        (HttpError("request", 507, ""), "full"),
        (requests.exceptions.ReadTimeout(), "timeout"),
        (requests.exceptions.ConnectTimeout(), "timeout"),
        (requests.exceptions.ConnectionError("Connection aborted."), "unreachable"),
        (requests.exceptions.ChunkedEncodingError(), "unreachable"),
        (requests.exceptions.ProxyError(), "unreachable"),
        (requests.exceptions.SSLError("EOF occurred in violation of protocol"), "unreachable"),
    ],
    ids=repr,
)
def test_an_error_has_a_meaning(error: Exception, meaning: Meaning) -> None:
    assert failure_of(error).meaning == meaning


def test_the_time_that_dropbox_asks_for_is_known() -> None:
    assert asked_to_wait(RateLimitError("request", None, 7)) == 7
    assert asked_to_wait(RateLimitError("request")) == 0
    assert asked_to_wait(InternalServerError("request", 503, "")) == 0
