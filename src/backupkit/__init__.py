"""Backups for applications: sources, a format, destinations and a policy, composed into a pipeline.

pipeline = BackupPipeline(
    "shop",
    [Directory("/srv/shop", exclude=APPLICATION_EXCLUDES), database(os.environ["DATABASE_URL"])],
    ["/mnt/backup", "s3://shop-backups"],
    encryptor=Passphrase.from_env("BACKUP_ARCHIVE_PASSWORD"),
)
report = pipeline.run()
pipeline.restore("latest", to="/srv/restored")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from backupkit._comparing import Comparison
from backupkit._looking import versions_of
from backupkit.backups import Backups
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
    OutcomeUnknownError,
    RepositoryError,
    RepositoryLockedError,
    RepositoryNotFoundError,
    RestoreError,
    SettingsError,
    SourceError,
    UnsupportedCodecError,
    WrongPassphraseError,
)
from backupkit.formats.restic.format import Restic
from backupkit.formats.zip.format import Zip
from backupkit.health import (
    FutureDated,
    Leftovers,
    MaximumAge,
    MaximumStorage,
    MinimumCount,
    MinimumSize,
    ProvenWithin,
    SizeAnomaly,
    VerifiedWithin,
)
from backupkit.locking import MachineLock
from backupkit.memory import FileMemory
from backupkit.model import (
    Backup,
    DestinationOverview,
    DestinationResult,
    DestinationSummary,
    Difference,
    Differing,
    Entry,
    Examination,
    Finding,
    Found,
    Growth,
    Kept,
    Key,
    KeyChange,
    KeyListing,
    Listing,
    Manifest,
    Notice,
    Origin,
    Owner,
    Pin,
    PipelineExamination,
    Problem,
    Pruned,
    Removed,
    Repaired,
    Report,
    RepositoryState,
    Restored,
    RestoredDump,
    RetentionPlan,
    Rights,
    SeriesSummary,
    SourceExamination,
    Statistics,
    StoredObject,
    Summary,
    Version,
)
from backupkit.observers import LoggingObserver, ProgressObserver
from backupkit.opening import open_repository
from backupkit.passphrase import Passphrase
from backupkit.pipeline import BackupPipeline
from backupkit.prune_limits import PruneLimits
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
    from backupkit.destinations.read_only import ReadOnly
    from backupkit.destinations.retrying import Retrying
    from backupkit.destinations.throttled import Throttled
    from backupkit.examining import examine
    from backupkit.examining_pipelines import examine_pipeline
    from backupkit.history import DatabaseHistory
    from backupkit.locking.database import DatabaseLock
    from backupkit.locking.limits import Limits
    from backupkit.locking.redis import RedisLock
    from backupkit.notifiers.apprise import AppriseNotifier
    from backupkit.notifiers.database import DatabaseNotifier, Notification
    from backupkit.notifiers.environment import notifiers_from_env
    from backupkit.notifiers.occasions import EVERYTHING, PROBLEMS
    from backupkit.notifiers.ping import DeadManPing
    from backupkit.notifiers.webhook import WebhookNotifier
    from backupkit.observers.metrics import PrometheusObserver
    from backupkit.retention.picture import plot_plan, plot_retention
    from backupkit.retention.simulation import ScheduledRun, Simulation, simulate
    from backupkit.sources.all_databases import AllDatabases
    from backupkit.sources.databases import database
    from backupkit.sources.frameworks import from_django, from_sqlalchemy
    from backupkit.sources.mongodb import MongoDB
    from backupkit.sources.mysql import MariaDB, MySQL
    from backupkit.sources.parallel import Parallel
    from backupkit.sources.postgresql import PostgreSQL
    from backupkit.sources.postgresql_roles import PostgreSQLRoles
    from backupkit.sources.redis import Redis
    from backupkit.sources.remote import FsspecSource

__version__ = "0.1.0"

__all__ = [
    "APPLICATION_EXCLUDES",
    "EVERYTHING",
    "PROBLEMS",
    "AccessDeniedError",
    "AllDatabases",
    "AppriseNotifier",
    "Around",
    "Backup",
    "BackupAlreadyRunningError",
    "BackupKitError",
    "BackupNotFoundError",
    "BackupPipeline",
    "Backups",
    "Command",
    "Comparison",
    "ConfigurationError",
    "CountedRetention",
    "DatabaseHistory",
    "DatabaseLock",
    "DatabaseNotifier",
    "DatabaseTarget",
    "DeadManPing",
    "Deflate",
    "Delivery",
    "DestinationError",
    "DestinationOverview",
    "DestinationResult",
    "DestinationSummary",
    "Difference",
    "Differing",
    "Directory",
    "DirectoryTarget",
    "Entry",
    "Examination",
    "FileMemory",
    "Finding",
    "Found",
    "FsspecSource",
    "FutureDated",
    "Growth",
    "HookError",
    "IntegrityError",
    "KeepAll",
    "KeepLast",
    "KeepWithin",
    "Kept",
    "Key",
    "KeyChange",
    "KeyListing",
    "Leftovers",
    "Limits",
    "Listing",
    "LocalDestination",
    "LoggingObserver",
    "MachineLock",
    "Manifest",
    "MariaDB",
    "MaximumAge",
    "MaximumStorage",
    "MinimumCount",
    "MinimumSize",
    "MongoDB",
    "MySQL",
    "Notice",
    "Notification",
    "NotificationError",
    "ObjectExistsError",
    "ObjectNotFoundError",
    "OperationCancelledError",
    "Origin",
    "OutcomeUnknownError",
    "Owner",
    "Parallel",
    "Passphrase",
    "Pin",
    "PipelineExamination",
    "PostgreSQL",
    "PostgreSQLRoles",
    "Problem",
    "ProgressObserver",
    "PrometheusObserver",
    "ProvenWithin",
    "PruneLimits",
    "Pruned",
    "ReadOnly",
    "Redis",
    "RedisLock",
    "Removed",
    "Repaired",
    "Report",
    "RepositoryError",
    "RepositoryLockedError",
    "RepositoryNotFoundError",
    "RepositoryState",
    "Restic",
    "RestoreError",
    "Restored",
    "RestoredDump",
    "RetentionPlan",
    "Retry",
    "Retrying",
    "Rights",
    "SQLite",
    "ScheduledRun",
    "SeriesSummary",
    "SettingsError",
    "Simulation",
    "SizeAnomaly",
    "SourceError",
    "SourceExamination",
    "Statistics",
    "Store",
    "StoredObject",
    "Summary",
    "Throttled",
    "TieredRetention",
    "UnsupportedCodecError",
    "VerifiedWithin",
    "Version",
    "WebhookNotifier",
    "WrongPassphraseError",
    "Zip",
    "Zstd",
    "all_of",
    "any_of",
    "database",
    "examine",
    "examine_pipeline",
    "from_django",
    "from_sqlalchemy",
    "notifiers_from_env",
    "open_destination",
    "open_repository",
    "plot_plan",
    "plot_retention",
    "simulate",
    "versions_of",
]

# Imported when they are first asked for: few applications have every kind of database, or every notifier.
_LATE = {
    "EVERYTHING": "notifiers.occasions",
    "PROBLEMS": "notifiers.occasions",
    "AllDatabases": "sources.all_databases",
    "AppriseNotifier": "notifiers.apprise",
    "DatabaseHistory": "history",
    "DatabaseLock": "locking.database",
    "DatabaseNotifier": "notifiers.database",
    "DeadManPing": "notifiers.ping",
    "FsspecSource": "sources.remote",
    "Limits": "locking.limits",
    "MariaDB": "sources.mysql",
    "MongoDB": "sources.mongodb",
    "MySQL": "sources.mysql",
    "Notification": "notifiers.database",
    "Parallel": "sources.parallel",
    "PostgreSQL": "sources.postgresql",
    "PostgreSQLRoles": "sources.postgresql_roles",
    "PrometheusObserver": "observers.metrics",
    "ReadOnly": "destinations.read_only",
    "Redis": "sources.redis",
    "RedisLock": "locking.redis",
    "Retrying": "destinations.retrying",
    "ScheduledRun": "retention.simulation",
    "Simulation": "retention.simulation",
    "Throttled": "destinations.throttled",
    "WebhookNotifier": "notifiers.webhook",
    "database": "sources.databases",
    "examine": "examining",
    "examine_pipeline": "examining_pipelines",
    "from_django": "sources.frameworks",
    "from_sqlalchemy": "sources.frameworks",
    "notifiers_from_env": "notifiers.environment",
    "plot_plan": "retention.picture",
    "plot_retention": "retention.picture",
    "simulate": "retention.simulation",
}


if not TYPE_CHECKING:  # type checkers would let every misspelt name pass

    def __getattr__(name: str) -> object:
        if name not in _LATE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        found = getattr(import_module(f"backupkit.{_LATE[name]}"), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return [*globals(), *_LATE]
