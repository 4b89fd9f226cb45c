"""What the errors of smbprotocol mean."""

from __future__ import annotations

from backupkit.filesystems.meanings import Meaning

_BY_SMB: dict[str, Meaning] = {
    "SMBAuthenticationError": "credentials",
    "LogonFailure": "credentials",
    "PasswordExpired": "credentials",
    "WrongPassword": "credentials",
    "AccessDenied": "denied",
    "CannotDelete": "denied",
    "BadNetworkName": "no place",
    "DiskFull": "full",
    "ObjectNameNotFound": "missing",
    "ObjectPathNotFound": "missing",
    "ObjectNameCollision": "exists",
    "SMBConnectionClosed": "unreachable",
    "UserSessionDeleted": "unreachable",
    "IOTimeout": "timeout",
    "InsuffServerResources": "busy",
    "ServerUnavailable": "busy",
    "SharingViolation": "busy",
}


def by_smb(error: BaseException) -> Meaning | None:
    kind = type(error)
    return _BY_SMB.get(kind.__name__) if kind.__module__ == "smbprotocol.exceptions" else None
