"""What the errors of asyncssh, httpx, webdav4, ftplib and smbprotocol mean."""

from __future__ import annotations

import errno
import ftplib
import socket
import ssl

import asyncssh
import httpx
import pytest
from webdav4 import client as webdav

from backupkit.filesystems.failures import failure_of
from backupkit.filesystems.stores import PlaceMissingError, ReplacedError


def _status(code: int) -> Exception:
    response = httpx.Response(code, request=httpx.Request("PUT", "https://dav.example/object"))
    error: Exception = webdav.HTTPError(response)
    return error


def _ftp(kind: str, text: str) -> Exception:
    error: Exception = getattr(ftplib, kind)(text)
    return error


def _caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "meaning", "passing"),
    [
        (asyncssh.PermissionDenied("no"), "credentials", False),
        (asyncssh.HostKeyNotVerifiable("no"), "unsafe", False),
        (asyncssh.ConnectionLost("gone"), "unreachable", True),
        (asyncssh.KeyImportError("no"), "credentials", False),
        (asyncssh.SFTPConnectionLost("gone"), "unreachable", True),
        (asyncssh.SFTPNoSuchFile("none"), "missing", False),
        (asyncssh.SFTPPermissionDenied("no"), "denied", False),
        (asyncssh.SFTPNoSpaceOnFilesystem("full"), "full", False),
        (asyncssh.SFTPQuotaExceeded("full"), "full", False),
        (asyncssh.SFTPFileAlreadyExists("there"), "exists", False),
        (asyncssh.SFTPFailure("Failure"), "other", False),
        (socket.gaierror(-2, "Name or service not known"), "unreachable", True),
        (PlaceMissingError(errno.ENOENT, "no folder"), "no place", False),
        (ReplacedError(errno.ESTALE, "replaced"), "changed", True),
        (_status(401), "credentials", False),
        (_status(403), "denied", False),
        (_status(409), "missing", False),
        (_status(423), "busy", True),
        (_status(500), "busy", True),
        (_status(507), "full", False),
        (webdav.InsufficientStorage("object"), "full", False),
        (webdav.ResourceAlreadyExists("object"), "exists", False),
        (webdav.ResourceNotFound("object"), "missing", False),
        (webdav.BadGatewayError(), "busy", True),
        (httpx.ConnectError("refused"), "unreachable", True),
        (httpx.RemoteProtocolError("cut"), "unreachable", True),
        (httpx.WriteTimeout("stalled"), "timeout", True),
        (_caused(httpx.ConnectError("tls"), ssl.SSLCertVerificationError(1, "self-signed")), "unsafe", False),
        (_ftp("error_perm", "530 Login incorrect"), "credentials", False),
        (_ftp("error_perm", "550 No such file or directory"), "missing", False),
        (_ftp("error_perm", "550 Permission denied"), "denied", False),
        (_ftp("error_perm", "552 Quota exceeded"), "full", False),
        (_ftp("error_temp", "421 Idle too long"), "unreachable", True),
        (_ftp("error_temp", "452 No space"), "full", False),
        (EOFError(), "unreachable", True),
    ],
    ids=lambda value: f"{type(value).__name__}: {value}" if isinstance(value, Exception) else "",
)
def test_an_error_of_a_library_means(error: Exception, meaning: str, passing: bool) -> None:
    failure = failure_of(error)
    assert (failure.meaning, failure.passing) == (meaning, passing)


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("LogonFailure", "credentials"),
        ("SMBAuthenticationError", "credentials"),
        ("AccessDenied", "denied"),
        ("DiskFull", "full"),
        ("ObjectNameNotFound", "missing"),
        ("BadNetworkName", "no place"),
        ("SMBConnectionClosed", "unreachable"),
        ("SharingViolation", "busy"),
    ],
)
def test_an_error_of_smb_means(name: str, meaning: str) -> None:
    """By name, as smbprotocol is not among what the tests need."""
    kind = type(name, (Exception,), {"__module__": "smbprotocol.exceptions"})
    assert failure_of(kind()).meaning == meaning
    assert failure_of(_caused(ValueError(), kind())).meaning == meaning
