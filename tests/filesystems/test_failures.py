from __future__ import annotations

import errno
import os

import pytest

from backupkit.filesystems.failures import REASONS, failure_of, may_pass
from backupkit.filesystems.meanings import Meaning
from backupkit.filesystems.stores import ReplacedError


class HttpError(Exception):
    """As gcsfs, webdav4, aiohttp and the Azure and Dropbox libraries have them: no OSError."""

    def __init__(self, **fields: object) -> None:
        self.__dict__.update(fields)


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (FileNotFoundError("x"), "missing"),  # without a number, as object stores raise it
        (PermissionError("x"), "denied"),
        (FileExistsError("x"), "exists"),
        (TimeoutError(), "timeout"),
        (ConnectionResetError(), "unreachable"),
        (BrokenPipeError(), "unreachable"),
        (OSError(errno.ENOSPC, "x"), "full"),
        (OSError(errno.EDQUOT, "x"), "full"),
        (OSError(errno.EIO, "x"), "busy"),
        (OSError(errno.EROFS, "x"), "denied"),
        (OSError(errno.EHOSTUNREACH, "x"), "unreachable"),
        (OSError(errno.EINVAL, "x"), "other"),
        (OSError("x"), "other"),
        (ReplacedError("x"), "changed"),
        (HttpError(status=401), "credentials"),
        (HttpError(status=403), "denied"),
        (HttpError(status=404), "missing"),
        (HttpError(status_code=412), "exists"),
        (HttpError(code=429), "busy"),
        (HttpError(status=500), "busy"),
        (HttpError(status=503), "busy"),
        (HttpError(status=507), "full"),
        (HttpError(status=418), "other"),
        (HttpError(status="403"), "other"),
        (HttpError(code=7), "other"),
        (ValueError("x"), "other"),
    ],
)
def test_an_error_means_what_its_number_or_kind_says(error: Exception, meaning: Meaning) -> None:
    assert failure_of(error).meaning == meaning


def test_what_caused_an_error_says_it_where_the_error_does_not() -> None:
    error = RuntimeError("Failed to upload block")
    error.__cause__ = OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    assert failure_of(error).meaning == "unreachable"


def test_an_error_that_is_its_own_cause_ends() -> None:
    error = RuntimeError()
    error.__cause__ = error
    assert failure_of(error).meaning == "other"


@pytest.mark.parametrize(
    "error",
    [PermissionError(), FileNotFoundError(), OSError(errno.ENOSPC, "x"), HttpError(status=401), KeyError()],
)
def test_what_stays_as_it_is_is_never_tried_again(error: Exception) -> None:
    assert not may_pass(error)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), GeneratorExit()])
def test_being_told_to_stop_is_no_failure(error: BaseException) -> None:
    error.__context__ = TimeoutError()
    assert not may_pass(error)


def test_every_meaning_says_what_to_do() -> None:
    assert all(": " in reason or ", " in reason for reason in REASONS.values())
