"""Backups for applications: sources, a format, destinations and a policy, composed into a pipeline.

pipeline = BackupPipeline(
    "shop",
    [Directory("/srv/shop", exclude=APPLICATION_EXCLUDES), database(os.environ["DATABASE_URL"])],
    ["/mnt/backup"],
    encryptor=Passphrase.from_env("BACKUP_ARCHIVE_PASSWORD"),
)
report = pipeline.run()
pipeline.restore("latest", to="/srv/restored")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    NotificationError,
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
from backupkit.memory import FileMemory
from backupkit.model import (
    Backup,
    DestinationResult,
    DestinationSummary,
    Entry,
    Kept,
    Listing,
    Notice,
    Owner,
    Pin,
    Problem,
    Removed,
    Report,
    RepositoryState,
    Restored,
    RestoredDump,
    RetentionPlan,
    SeriesSummary,
    StoredObject,
    Summary,
)
from backupkit.observers import LoggingObserver, ProgressObserver
from backupkit.passphrase import Passphrase
from backupkit.pipeline import BackupPipeline
from backupkit.retention import (
    CountedRetention,
    KeepAll,
    KeepLast,
    KeepWithin,
    TieredRetention,
    all_of,
    any_of,
)
from backupkit.retrying import Delivery, Retry
from backupkit.sources.application_excludes import APPLICATION_EXCLUDES
from backupkit.sources.command import Command
from backupkit.sources.files import Directory
from backupkit.sources.hooks import Around
from backupkit.sources.sqlite import SQLite
from backupkit.targets import DirectoryTarget
from backupkit.targets.database import DatabaseTarget

if TYPE_CHECKING:
    from backupkit.sources.all_databases import AllDatabases
    from backupkit.sources.databases import database
    from backupkit.sources.frameworks import from_django, from_sqlalchemy
    from backupkit.sources.mongodb import MongoDB
    from backupkit.sources.mysql import MariaDB, MySQL
    from backupkit.sources.parallel import Parallel
    from backupkit.sources.postgresql import PostgreSQL
    from backupkit.sources.postgresql_roles import PostgreSQLRoles
    from backupkit.sources.redis import Redis

__version__ = "0.1.0"

__all__ = [
    "APPLICATION_EXCLUDES",
    "AccessDeniedError",
    "AllDatabases",
    "Around",
    "Backup",
    "BackupAlreadyRunningError",
    "BackupKitError",
    "BackupNotFoundError",
    "BackupPipeline",
    "Backups",
    "Command",
    "ConfigurationError",
    "CountedRetention",
    "DatabaseTarget",
    "Deflate",
    "Delivery",
    "DestinationError",
    "DestinationResult",
    "DestinationSummary",
    "Directory",
    "DirectoryTarget",
    "Entry",
    "FileMemory",
    "HookError",
    "IntegrityError",
    "KeepAll",
    "KeepLast",
    "KeepWithin",
    "Kept",
    "Listing",
    "LocalDestination",
    "LoggingObserver",
    "MachineLock",
    "MariaDB",
    "MaximumAge",
    "MaximumStorage",
    "MongoDB",
    "MySQL",
    "Notice",
    "NotificationError",
    "ObjectExistsError",
    "ObjectNotFoundError",
    "OperationCancelledError",
    "Owner",
    "Parallel",
    "Passphrase",
    "Pin",
    "PostgreSQL",
    "PostgreSQLRoles",
    "Problem",
    "ProgressObserver",
    "Redis",
    "Removed",
    "Report",
    "RepositoryError",
    "RepositoryNotFoundError",
    "RepositoryState",
    "RestoreError",
    "Restored",
    "RestoredDump",
    "RetentionPlan",
    "Retry",
    "SQLite",
    "SeriesSummary",
    "SourceError",
    "Store",
    "StoredObject",
    "Summary",
    "TieredRetention",
    "UnsupportedCodecError",
    "WrongPassphraseError",
    "Zip",
    "Zstd",
    "all_of",
    "any_of",
    "database",
    "from_django",
    "from_sqlalchemy",
    "open_destination",
    "open_repository",
]

# Imported when they are first asked for: few applications have every kind of database, or every notifier.
_LATE = {
    "AllDatabases": "sources.all_databases",
    "MariaDB": "sources.mysql",
    "MongoDB": "sources.mongodb",
    "MySQL": "sources.mysql",
    "Parallel": "sources.parallel",
    "PostgreSQL": "sources.postgresql",
    "PostgreSQLRoles": "sources.postgresql_roles",
    "Redis": "sources.redis",
    "database": "sources.databases",
    "from_django": "sources.frameworks",
    "from_sqlalchemy": "sources.frameworks",
}


def __getattr__(name: str) -> object:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(f"backupkit.{_LATE[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*globals(), *_LATE]
