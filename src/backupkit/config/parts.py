"""The types of parts that settings can name: ours, and those that installed packages bring as entry points."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from backupkit import protocols
from backupkit.config.signatures import Signature, signature_of
from backupkit.errors import ConfigurationError, told


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of part. `types` are ours, as "module:name" below backupkit; others are entry points of `group`.

    `secret` says that a text in its place may be a secret, which no message repeats.
    """

    name: str
    called: str
    types: Mapping[str, str]
    secret: bool = False

    @property
    def group(self) -> str:
        return f"backupkit.{self.name}"


_PLACES = "config.places"

SOURCES = Kind(
    "sources",
    "source",
    {
        "directory": "sources.files:Directory",
        "fsspec": "sources.remote:FsspecSource",
        "postgresql": "sources.postgresql:PostgreSQL",
        "postgresql_roles": "sources.postgresql_roles:PostgreSQLRoles",
        "mysql": "sources.mysql:MySQL",
        "mariadb": "sources.mysql:MariaDB",
        "mongodb": "sources.mongodb:MongoDB",
        "redis": "sources.redis:Redis",
        "sqlite": "sources.sqlite:SQLite",
        "database": "sources.databases:database",
        "all_databases": "sources.all_databases:AllDatabases",
        "command": "sources.command:Command",
        "around": "sources.hooks:Around",
        "parallel": "sources.parallel:Parallel",
    },
    secret=True,
)
DESTINATIONS = Kind(
    "destinations",
    "destination",
    {
        "local": f"{_PLACES}:local",
        "remote": f"{_PLACES}:remote",
        "read_only": "destinations.read_only:ReadOnly",
        "retrying": "destinations.retrying:Retrying",
        "throttled": "destinations.throttled:Throttled",
    },
    secret=True,
)
ENCRYPTORS = Kind(
    "encryptors",
    "encryptor",
    {
        "environment": f"{_PLACES}:from_environment",
        "passphrase": f"{_PLACES}:passphrase",
        "none": f"{_PLACES}:none",
    },
    secret=True,
)
COMPRESSORS = Kind(
    "compressors",
    "compressor",
    {
        "deflate": "compression:Deflate",
        "gzip": "compression:Deflate",
        "zstd": "compression:Zstd",
        "store": "compression:Store",
        "none": "compression:Store",
    },
)
FORMATS = Kind(
    "formats", "format", {"zip": "formats.zip.format:Zip", "restic": "formats.restic.format:Restic"}
)
RETENTION = Kind(
    "retention",
    "retention policy",
    {
        "tiered": "retention.tiered:TieredRetention",
        "counted": "retention.counted:CountedRetention",
        "keep_all": "retention.keeping:KeepAll",
        "keep_last": "retention.keeping:KeepLast",
        "keep_within": "retention.keeping:KeepWithin",
        "all_of": "retention.combining:all_of",
        "any_of": "retention.combining:any_of",
    },
)
CHECKS = Kind(
    "checks",
    "check",
    {
        "maximum_age": "health.ages:MaximumAge",
        "future_dated": "health.ages:FutureDated",
        "leftovers": "health.leftovers:Leftovers",
        "maximum_storage": "health.amounts:MaximumStorage",
        "minimum_count": "health.amounts:MinimumCount",
        "minimum_size": "health.amounts:MinimumSize",
        "size_anomaly": "health.anomalies:SizeAnomaly",
        "verified_within": "health.proofs:VerifiedWithin",
        "proven_within": "health.proofs:ProvenWithin",
    },
)
NOTIFIERS = Kind(
    "notifiers",
    "notifier",
    {
        "environment": f"{_PLACES}:notifiers_from_environment",
        "apprise": "notifiers.apprise:AppriseNotifier",
        "webhook": "notifiers.webhook:WebhookNotifier",
        "ping": "notifiers.ping:DeadManPing",
        "database": "notifiers.database:DatabaseNotifier",
    },
    secret=True,
)
OBSERVERS = Kind(
    "observers",
    "observer",
    {
        "log": f"{_PLACES}:log",
        "prometheus": "observers.metrics:PrometheusObserver",
        "progress": "observers.progress:ProgressObserver",
    },
)
HISTORIES = Kind(
    "histories",
    "history",
    {"database": "history:DatabaseHistory", "none": f"{_PLACES}:none"},
    secret=True,
)
MEMORIES = Kind(
    "memories", "memory", {"file": "memory:FileMemory", "database": "history:DatabaseHistory"}, secret=True
)
LOCKS = Kind(
    "locks",
    "lock",
    {
        "machine": "locking.machine:MachineLock",
        "redis": "locking.redis:RedisLock",
        "database": "locking.database:DatabaseLock",
    },
    secret=True,
)

KINDS = (
    *(SOURCES, DESTINATIONS, ENCRYPTORS, COMPRESSORS, FORMATS, RETENTION, CHECKS),
    *(NOTIFIERS, OBSERVERS, HISTORIES, MEMORIES, LOCKS),
)
_SEAMS: Mapping[Any, Kind] = {
    protocols.Source: SOURCES,
    protocols.Destination: DESTINATIONS,
    protocols.Encryptor: ENCRYPTORS,
    protocols.Compressor: COMPRESSORS,
    protocols.Format: FORMATS,
    protocols.RetentionPolicy: RETENTION,
    protocols.HealthCheck: CHECKS,
    protocols.Notifier: NOTIFIERS,
    protocols.History: HISTORIES,
    protocols.Memory: MEMORIES,
    protocols.Lock: LOCKS,
}


def kind_for(hint: Any) -> Kind | None:
    """The kind of part that a type of an argument asks for, if it is one of the seams or builds on one."""
    if hint == protocols.Observer:
        return OBSERVERS
    return next((_SEAMS[one] for one in getattr(hint, "__mro__", ()) if one in _SEAMS), None)


@dataclass(frozen=True, slots=True)
class Part:
    """One type of a kind, found."""

    kind: Kind
    type: str
    signature: Signature
    package: str | None  # that brings it; None for ours


def types_of(kind: Kind) -> list[str]:
    """All types of this kind that could be named here."""
    return sorted({*kind.types, *_theirs(kind)})


def part_named(kind: Kind, type: str) -> Part | None:
    """The part of this type, imported; None if there is none, ConfigurationError if it cannot be used."""
    theirs = _theirs(kind).get(type, ())
    if theirs and (type in kind.types or len(theirs) > 1):
        packages = " and ".join(_package(one) for one in theirs)
        whose = "backupkit's own" if type in kind.types else "taken"
        raise ConfigurationError(
            f'is of the type "{type}", by which {packages} would be meant too, though the name is {whose}: remove '
            "the package, or have it renamed."
        )
    if type in kind.types:
        return Part(kind, type, _ours(kind.types[type]), None)
    for one in theirs:
        return Part(kind, type, _loaded(one), _package(one))
    return None


@cache
def _ours(path: str) -> Signature:
    module, _, name = path.partition(":")
    return signature_of(getattr(import_module(f"backupkit.{module}"), name))


def _loaded(point: EntryPoint) -> Signature:
    try:
        make: Callable[..., Any] = point.load()
        return signature_of(make)
    except Exception as error:  # whatever a package does when it is imported
        raise ConfigurationError(
            f'is of the type "{point.name}", which the package {_package(point)} brings and which cannot be '
            f"imported ({told(error)}): repair or remove the package."
        ) from error


def _theirs(kind: Kind) -> Mapping[str, tuple[EntryPoint, ...]]:
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for point in entry_points(group=kind.group):
        if point not in found.get(point.name, ()):
            found[point.name] = (*found.get(point.name, ()), point)
    return found


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value.partition(":")[0]
