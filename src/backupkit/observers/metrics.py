"""Metrics for Prometheus, to be scraped or for the node exporter's folder of text files."""

from __future__ import annotations

import os
import stat
import threading
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from backupkit.errors import ConfigurationError
from backupkit.events import Event, Finished
from backupkit.model import Report
from backupkit.observers.metric_values import MetricValues

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


class PrometheusObserver:
    """Metrics of what operations end with, and of how the backups stand, by pipeline and destination.

    To be scraped, they are in `registry`: an own one, or the one given, which several observers may share. With
    `textfile`, a path ending in ".prom", they are also written there at the end of each operation, for the
    node exporter: what others or earlier processes have written there stays, so several pipelines and processes
    may share one file. One that cannot be understood is replaced. Dry runs count for nothing.

    Needs prometheus_client: `pip install 'backupkit[metrics]'`.
    """

    def __init__(
        self,
        *,
        textfile: str | os.PathLike[str] | None = None,
        registry: CollectorRegistry | None = None,
    ) -> None:
        try:
            from prometheus_client import CollectorRegistry
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "PrometheusObserver needs prometheus_client: pip install 'backupkit[metrics]'"
            ) from error
        self.textfile = None if textfile is None else os.fspath(textfile)
        if self.textfile is not None and not self.textfile.endswith(".prom"):
            raise ConfigurationError(
                f"PrometheusObserver(textfile={self.textfile!r}) would never be looked at: the node exporter "
                'reads files whose names end with ".prom".'
            )
        self.registry = CollectorRegistry() if registry is None else registry
        self._values = _values_in(self.registry)

    def __call__(self, event: Event) -> None:
        if isinstance(event, Finished) and not event.report.dry_run:
            self._values.learn(event.report)
            if self.textfile is not None:
                _learn_in_file(self.textfile, event.report)

    def __repr__(self) -> str:
        return f"PrometheusObserver(textfile={self.textfile!r})"


_shared: WeakKeyDictionary[CollectorRegistry, MetricValues] = WeakKeyDictionary()
_sharing = threading.Lock()


def _values_in(registry: CollectorRegistry) -> MetricValues:
    """The values of this registry: one set of them, however many observers it has."""
    with _sharing:
        if registry not in _shared:
            values = MetricValues()
            registry.register(values)
            _shared[registry] = values
        return _shared[registry]


def _learn_in_file(path: str, report: Report) -> None:
    """Change the values in the file by the report, atomically; what else is known there stays."""
    import filelock
    from prometheus_client import CollectorRegistry, write_to_textfile

    os.stat(os.path.dirname(os.path.abspath(path)))  # the lock would make a folder that nobody looks into
    with filelock.FileLock(f"{path}.lock", timeout=5):
        values, mode = MetricValues(), 0o644  # the node exporter is another user
        try:
            with open(path, encoding="utf-8") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                values.load(file.read())
        except FileNotFoundError:
            pass
        except ValueError:
            values = MetricValues()
        values.learn(report)
        registry = CollectorRegistry()
        registry.register(values)
        write_to_textfile(path, registry)
        os.chmod(path, mode)
