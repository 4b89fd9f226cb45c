"""FTP: fsspec's file system, with certificates that are checked, and no failure taken for an empty folder."""

from __future__ import annotations

import ftplib
import ssl
import weakref
from datetime import UTC, datetime
from typing import Any

from fsspec.implementations.ftp import FTPFileSystem

from backupkit.errors import ConfigurationError
from backupkit.filesystems.meanings.ftp import by_ftp

_NOT_KNOWN = ("500", "502", "504")  # replies to commands that a server does not have (RFC 959, 4.2.1)


class CheckedFTPFileSystem(FTPFileSystem):  # type: ignore[misc]
    """`tls=True` encrypts all (RFC 4217) and checks the server's certificate, which fsspec's own does not."""

    renames_in_one_step = True
    _close: weakref.finalize[..., CheckedFTPFileSystem] | None = None

    def __init__(self, host: str, **options: Any) -> None:
        if options.get("tls", False) not in (True, False):
            raise ConfigurationError(
                "FTP is encrypted with tls=True, which begins on the usual port; implicit TLS is not possible."
            )
        super().__init__(host, **options)

    def reconnect(self) -> None:
        """Begin anew, after a failure in the middle of something."""
        self._connect()

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        """What is in a folder, as it is now; a server that refuses, or has gone, is an error."""
        folder = self._strip_protocol(path)
        try:
            entries = [self._entry(folder, name, facts) for name, facts in self.ftp.mlsd(folder)]
        except ftplib.error_perm as error:
            code = str(error)[:3]
            if code in _NOT_KNOWN:
                self.invalidate_cache()
                return list(super().ls(folder, detail, **options))
            if code in ("550", "501") and by_ftp(error) != "denied":  # no such folder, or a file
                raise FileNotFoundError(folder) from error
            raise
        found = [entry for entry in entries if entry["type"] in ("file", "directory")]
        return found if detail else sorted(entry["name"] for entry in found)

    def _entry(self, folder: str, name: str, facts: dict[str, str]) -> dict[str, Any]:
        entry: dict[str, Any] = {"name": f"{folder.rstrip('/')}/{name}", "size": int(facts.get("size", 0))}
        entry["type"] = {"dir": "directory"}.get(facts["type"], facts["type"])
        if "modify" in facts:
            entry["modified"] = datetime.strptime(facts["modify"][:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        return entry

    def _connect(self) -> None:
        if self._close is not None:
            self._close()
        if self.tls:
            self.ftp: ftplib.FTP = ftplib.FTP_TLS(  # noqa: S321
                context=ssl.create_default_context(), timeout=self.timeout, encoding=self.encoding
            )
        else:
            self.ftp = ftplib.FTP(timeout=self.timeout, encoding=self.encoding)  # noqa: S321 - it was asked for
        # Not in `__del__`: the collector ends what refers to each other in any order, and perhaps the socket first.
        self._close = weakref.finalize(self, self.ftp.close)
        self.ftp.connect(self.host, int(self.port))
        self.ftp.login(*self.cred)
        if isinstance(self.ftp, ftplib.FTP_TLS):
            self.ftp.prot_p()

    def __del__(self) -> None:
        """Do nothing: fsspec's would close a connection that perhaps was never made."""
