"""What `from backupkit import …` offers: exactly this, all of it documented, and nothing by accident."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import cast

import pytest

import backupkit

# A name that goes or changes its meaning is a new major version; one that comes is a line in the changelog.
PUBLIC = [
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

VERBS = [
    "add_key",
    "change_passphrase",
    "clean",
    "copy",
    "delete",
    "details",
    "diff",
    "download",
    "drill",
    "entries",
    "file",
    "file_system",
    "find",
    "get",
    "keys",
    "list",
    "manifest",
    "monitor",
    "open",
    "overview",
    "pin",
    "prune",
    "recovery_sheet",
    "remove_key",
    "repair",
    "restore",
    "run",
    "send_summary",
    "statistics",
    "summary",
    "unlock",
    "unpin",
    "verify",
]


def test_the_public_names_are_these() -> None:
    assert backupkit.__all__ == PUBLIC


def test_the_public_names_are_in_order() -> None:
    assert (
        sorted(PUBLIC, key=lambda name: (not name.isupper(), name)) == PUBLIC
    )  # constants first, as ruff has it


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_can_be_imported_and_is_listed(name: str) -> None:
    assert getattr(backupkit, name) is not None
    assert name in dir(backupkit)


@pytest.mark.parametrize("name", [name for name in PUBLIC if name != "APPLICATION_EXCLUDES"])
def test_a_public_name_is_documented(name: str) -> None:
    thing = getattr(backupkit, name)
    assert thing.__doc__
    # What a dataclass without a docstring is given.
    assert not thing.__doc__.startswith(f"{name}("), thing.__doc__


def test_the_verbs_of_a_pipeline_are_these_and_documented() -> None:
    functions = inspect.getmembers(backupkit.BackupPipeline, inspect.isfunction)
    verbs = {name: function for name, function in functions if not name.startswith("_")}
    assert sorted(verbs) == VERBS
    assert [name for name, function in verbs.items() if not function.__doc__] == []


def test_past_its_subject_every_verb_takes_keywords_only() -> None:
    for name in VERBS:
        parameters = inspect.signature(getattr(backupkit.BackupPipeline, name)).parameters
        positional = [one.name for one in parameters.values() if one.kind is one.POSITIONAL_OR_KEYWORD]
        subjects: tuple[list[str], ...] = (
            [],
            ["backup"],
            ["backup", "path"],
            ["before", "after"],
            ["passphrase"],
            ["id"],
            ["new"],
        )
        assert positional in [["self", *subject] for subject in subjects], name


def test_no_signature_shows_what_is_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tools that make documentation print the defaults."""
    monkeypatch.setenv("SHOP_SECRET", "hunter2")
    callables = [thing for name in PUBLIC if callable(thing := getattr(backupkit, name))]
    assert callables
    methods = [one for thing in callables for _, one in inspect.getmembers(thing, inspect.isroutine)]
    shown = [text for one in (*callables, *methods) if (text := signature(one)) and "hunter2" in text]
    assert shown == []


def signature(function: object) -> str:
    try:
        return str(inspect.signature(cast("Callable[..., object]", function)))
    except (TypeError, ValueError):  # those written in C may have none
        return ""


def test_nothing_else_leaks() -> None:
    public = {name for name in dir(backupkit) if not name.startswith("_")}
    leaked = {
        name
        for name in public - {*PUBLIC} - {"TYPE_CHECKING", "annotations"}
        if not (
            isinstance(found := getattr(backupkit, name), ModuleType)
            and found.__name__ == f"backupkit.{name}"
        )
    }
    assert leaked == set()


def test_a_star_brings_the_public_names_and_nothing_else() -> None:
    program = "from backupkit import *; print(*sorted(name for name in dir() if not name.startswith('__')))"
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.split() == sorted(PUBLIC)


def test_the_version_is_that_of_the_package() -> None:
    from importlib.metadata import version

    assert backupkit.__version__ == version("backupkit")


def test_every_error_of_ours_is_one_error() -> None:
    errors = [getattr(backupkit, name) for name in PUBLIC if name.endswith("Error")]
    assert all(issubclass(error, backupkit.BackupKitError) for error in errors)
    builtin = {
        backupkit.ObjectNotFoundError: FileNotFoundError,
        backupkit.ObjectExistsError: FileExistsError,
        backupkit.AccessDeniedError: PermissionError,
    }
    assert all(issubclass(error, base) for error, base in builtin.items())


def test_the_types_are_shipped() -> None:
    from importlib.resources import files

    assert files("backupkit").joinpath("py.typed").is_file()
