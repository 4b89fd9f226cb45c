"""Backups for applications: sources, a format, destinations and a policy, composed into a pipeline.

pipeline = BackupPipeline(
    "shop",
    [Directory("/srv/shop", exclude=APPLICATION_EXCLUDES), SQLite("/srv/shop/app.sqlite3")],
    ["/mnt/backup"],
    encryptor=Passphrase.from_env("BACKUP_ARCHIVE_PASSWORD"),
)
report = pipeline.run()
pipeline.restore("latest", to="/srv/restored")
"""

from __future__ import annotations

from backupkit.backups import Backups, open_repository
from backupkit.compression import Deflate, Store, Zstd
from backupkit.destinations.local import LocalDestination
from backupkit.destinations.opening import open_destination
from backupkit.errors import (
    AccessDeniedError,
    BackupAlreadyRunningError,
    BackupKitError,
    BackupNotFoundError,
    ConfigurationError,
    DestinationError,
    HookError,
    IntegrityError,
    ObjectExistsError,
    ObjectNotFoundError,
    OperationCancelledError,
    RepositoryError,
    RepositoryNotFoundError,
    RestoreError,
    SourceError,
    UnsupportedCodecError,
    WrongPassphraseError,
)
from backupkit.formats.zip.format import Zip
from backupkit.health import MaximumAge, MaximumStorage
from backupkit.locking import MachineLock
from backupkit.model import (
    Backup,
    DestinationResult,
    Entry,
    Kept,
    Listing,
    Owner,
    Problem,
    Removed,
    Report,
    RepositoryState,
    RetentionPlan,
    StoredObject,
)
from backupkit.observers import LoggingObserver, ProgressObserver
from backupkit.passphrase import Passphrase
from backupkit.pipeline import BackupPipeline
from backupkit.retention import KeepAll, KeepLast, TieredRetention
from backupkit.retrying import Retry
from backupkit.sources.application_excludes import APPLICATION_EXCLUDES
from backupkit.sources.command import Command
from backupkit.sources.files import Directory
from backupkit.sources.hooks import Around
from backupkit.sources.sqlite import SQLite
from backupkit.targets import DirectoryTarget

__version__ = "0.1.0"

__all__ = [
    "APPLICATION_EXCLUDES",
    "AccessDeniedError",
    "Around",
    "Backup",
    "BackupAlreadyRunningError",
    "BackupKitError",
    "BackupNotFoundError",
    "BackupPipeline",
    "Backups",
    "Command",
    "ConfigurationError",
    "Deflate",
    "DestinationError",
    "DestinationResult",
    "Directory",
    "DirectoryTarget",
    "Entry",
    "HookError",
    "IntegrityError",
    "KeepAll",
    "KeepLast",
    "Kept",
    "Listing",
    "LocalDestination",
    "LoggingObserver",
    "MachineLock",
    "MaximumAge",
    "MaximumStorage",
    "ObjectExistsError",
    "ObjectNotFoundError",
    "OperationCancelledError",
    "Owner",
    "Passphrase",
    "Problem",
    "ProgressObserver",
    "Removed",
    "Report",
    "RepositoryError",
    "RepositoryNotFoundError",
    "RepositoryState",
    "RestoreError",
    "RetentionPlan",
    "Retry",
    "SQLite",
    "SourceError",
    "Store",
    "StoredObject",
    "TieredRetention",
    "UnsupportedCodecError",
    "WrongPassphraseError",
    "Zip",
    "Zstd",
    "open_destination",
    "open_repository",
]
