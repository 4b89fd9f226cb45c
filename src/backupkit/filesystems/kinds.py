"""What backupkit knows of each kind of file system: who brings it, and which of its settings are no secrets."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

from backupkit.errors import ConfigurationError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from backupkit.filesystems.stores import FileStore
    from backupkit.filesystems.transfer import Transfer


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind. `file_system` and `store` are classes, as "module:name", imported when a place of the kind is used.

    `connects` is a function that makes the store of a URL by itself, without a file system of fsspec's.

    `settings` may stand in a URL (`s3://bucket?endpoint_url=https://…`), and in what is printed: none is a secret.
    `options` are given to the file system unless the user gives others.
    """

    protocol: str
    requires: str | None = None
    extra: str | None = None
    file_system: str | None = None
    store: str = "backupkit.filesystems.renaming:RenamingStore"
    connects: str | None = None
    settings: frozenset[str] = frozenset()
    options: Mapping[str, Any] = field(default_factory=dict)
    hosts: bool = False  # its URLs name a host, and may name a user of it
    buckets: bool = False  # its URLs name a bucket or container
    encrypts: bool = False  # what is sent, and verifies who answers, unless it is told to use plain HTTP

    @property
    def has_host(self) -> bool:
        """Whether the first part of its URLs, a host or a bucket, cannot be left out."""
        return self.hosts or self.buckets

    def check_installed(self) -> None:
        """Raise ModuleNotFoundError, which names the extra, for what is not installed; imports nothing."""
        if self.requires is not None and find_spec(self.requires) is None:
            what = f"'backupkit[{self.extra}]'" if self.extra else self.requires
            raise ModuleNotFoundError(
                f"{self.protocol}:// needs {self.requires}: pip install {what}", name=self.requires
            )

    def file_system_class(self) -> type[AbstractFileSystem]:
        if self.file_system is not None:
            return cast("type[AbstractFileSystem]", _named(self.file_system))
        import fsspec

        return cast("type[AbstractFileSystem]", fsspec.get_filesystem_class(self.protocol))

    def includes(self, fs: AbstractFileSystem) -> bool:
        """Whether it is of the library behind this kind; our own classes are subclasses of the library's."""
        known = self.file_system_class()
        theirs = [one for one in known.__mro__ if one.__module__.partition(".")[0] == self.requires]
        return isinstance(fs, (known, *theirs))

    def connected(self, file_system: AbstractFileSystem, transfer: Transfer) -> FileStore:
        """The store of a file system of this kind."""
        store: FileStore = _named(self.store)(file_system, transfer)
        return store

    def connected_by_url(
        self, url: str, options: Mapping[str, Any], transfer: Transfer
    ) -> tuple[FileStore, str] | None:
        """The store of a URL, and the path of its folder there; None where fsspec's file system is needed."""
        if self.connects is None:
            return None
        connected: tuple[FileStore, str] = _named(self.connects)(url, options, transfer)
        return connected


# Without its caches: a listing must say what is there now, and each process has connections of its own.
_UNCACHED = {"use_listings_cache": False}

_KINDS = (
    Kind(
        protocol="s3",
        buckets=True,
        encrypts=True,
        requires="s3fs",
        extra="s3",
        file_system="backupkit.filesystems.s3:QuietS3FileSystem",
        store="backupkit.filesystems.s3:S3Store",
        settings=frozenset({"endpoint_url", "profile"}),
        options=_UNCACHED,
    ),
    Kind(
        protocol="gs",
        buckets=True,
        encrypts=True,
        requires="gcsfs",
        extra="gcs",
        file_system="backupkit.filesystems.gcs:PlainGCSFileSystem",
        store="backupkit.filesystems.gcs:GCSStore",
        settings=frozenset({"endpoint_url", "project"}),
        options=_UNCACHED,
    ),
    Kind(
        protocol="abfs",
        buckets=True,
        encrypts=True,
        requires="adlfs",
        extra="azure",
        file_system="backupkit.filesystems.azure:NamedAzureFileSystem",
        store="backupkit.filesystems.azure:AzureStore",
        settings=frozenset({"account_host", "account_name"}),
        options=_UNCACHED,
    ),
    Kind(
        protocol="dropbox",
        encrypts=True,
        requires="dropbox",
        extra="dropbox",
        file_system="backupkit.filesystems.dropbox.file_system:DropboxFileSystem",
        store="backupkit.filesystems.dropbox.store:DropboxStore",
        settings=frozenset({"app_key", "namespace_id", "team_member_id"}),
    ),
    Kind(
        protocol="sftp",
        encrypts=True,
        requires="asyncssh",
        extra="sftp",
        connects="backupkit.filesystems.sftp:connect",
        hosts=True,
    ),
    *(
        Kind(
            protocol=protocol,
            encrypts=protocol == "webdav",
            requires="webdav4",
            extra="webdav",
            store="backupkit.filesystems.webdav:WebDAVStore",
            connects="backupkit.filesystems.webdav:connect",
            settings=frozenset({"base_url"}),
            hosts=True,
        )
        for protocol in ("webdav", "webdav+http")
    ),
    Kind(
        protocol="smb",
        requires="smbprotocol",
        extra="smb",
        file_system="backupkit.filesystems.smb:ReplacingSMBFileSystem",
        hosts=True,
    ),
    Kind(protocol="ftp", file_system="backupkit.filesystems.ftp:CheckedFTPFileSystem", hosts=True),
    Kind(protocol="memory"),
)
_ALIASES = {"s3a": "s3", "gcs": "gs", "az": "abfs", "abfss": "abfs", "ssh": "sftp", "webdav+https": "webdav"}
_BY_PROTOCOL = {kind.protocol: kind for kind in _KINDS}


def kind_of(protocol: str) -> Kind:
    """The kind of this protocol; one that only fsspec knows is handled in the way that is safe for any."""
    known = _BY_PROTOCOL.get(_ALIASES.get(protocol, protocol))
    if known is not None:
        return known
    from fsspec.registry import known_implementations, registry

    if protocol not in known_implementations and protocol not in registry:
        raise ConfigurationError(
            f"There is no kind of destination or file system called {protocol!r}: use a path, or a URL such as "
            "file:///path, s3://bucket/folder, gs://…, abfs://…, dropbox://…, sftp://…, or of another file system "
            "that fsspec knows (write ./ before a path with a colon in it)."
        )
    # What fsspec only knows the name of is installed by whoever wants it, and then registers itself.
    module = str(known_implementations.get(protocol, {}).get("class", "fsspec")).partition(".")[0]
    return Kind(protocol=protocol, requires=None if module in ("fsspec", "backupkit") else module)


def kind_of_ready(fs: AbstractFileSystem, protocol: str) -> Kind:
    """The kind of a file system that was made already: one that is not of the class we know is handled as any."""
    known = _BY_PROTOCOL.get(_ALIASES.get(protocol, protocol))
    try:
        if known is not None and known.includes(fs):
            return known
    except ImportError:
        pass
    return Kind(protocol=known.protocol, encrypts=known.encrypts) if known else Kind(protocol=protocol)


def _named(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
