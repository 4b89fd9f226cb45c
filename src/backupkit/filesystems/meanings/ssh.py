"""What the errors of asyncssh mean."""

from __future__ import annotations

from backupkit.filesystems.meanings import Meaning

_BY_SSH: dict[str, Meaning] = {
    "PermissionDenied": "credentials",
    "IllegalUserName": "credentials",
    "PasswordChangeRequired": "credentials",
    "KeyImportError": "credentials",
    "KeyEncryptionError": "credentials",
    "HostKeyNotVerifiable": "unsafe",
    "MACError": "unsafe",
    "ConnectionLost": "unreachable",
    "ServiceNotAvailable": "unreachable",
    "SFTPConnectionLost": "unreachable",
    "SFTPNoConnection": "unreachable",
    "SFTPNoSuchFile": "missing",
    "SFTPNoSuchPath": "missing",
    "SFTPNotADirectory": "missing",
    "SFTPFileAlreadyExists": "exists",
    "SFTPPermissionDenied": "denied",
    "SFTPWriteProtect": "denied",
    "SFTPCannotDelete": "denied",
    "SFTPNoSpaceOnFilesystem": "full",
    "SFTPQuotaExceeded": "full",
    "SFTPLockConflict": "busy",
}


def by_ssh(error: BaseException) -> Meaning | None:
    kind = type(error)
    return _BY_SSH.get(kind.__name__) if kind.__module__.partition(".")[0] == "asyncssh" else None
