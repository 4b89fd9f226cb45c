"""What Prometheus is told: each metric, its labels, and how a report changes it."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from backupkit.model import Contents, DestinationResult, DestinationSummary, Outcome, Problem, Report

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

_OUTCOMES: tuple[Outcome, ...] = ("succeeded", "incomplete", "failed")


@dataclass(frozen=True, slots=True)
class _Family:
    kind: Literal["gauge", "counter"]
    help: str
    labels: tuple[str, ...]


_OPERATION, _PLACE = ("pipeline", "operation"), ("pipeline", "destination")
_FAMILIES: Mapping[str, _Family] = {
    "backupkit_last_success_timestamp_seconds": _Family(
        "gauge",
        "When the newest good backup with these contents at the destination was begun; 0 if there is none.",
        (*_PLACE, "contents"),
    ),
    "backupkit_backups": _Family(
        "gauge", "Backups at the destination, by what they hold.", (*_PLACE, "series")
    ),
    "backupkit_stored_bytes": _Family(
        "gauge", "What the backups at the destination occupy, by what they hold.", (*_PLACE, "series")
    ),
    "backupkit_newest_stored_bytes": _Family(
        "gauge",
        "What the newest good backup at the destination occupies; 0 if there is none.",
        (*_PLACE, "series"),
    ),
    "backupkit_healthy": _Family("gauge", "Whether the last monitor found the destination healthy.", _PLACE),
    "backupkit_check_failing": _Family(
        "gauge", "Whether this health check failed at the last monitor.", (*_PLACE, "check")
    ),
    "backupkit_last_verified_timestamp_seconds": _Family(
        "gauge", "When a backup at the destination was last read back without fault.", _PLACE
    ),
    "backupkit_last_proven_timestamp_seconds": _Family(
        "gauge", "When a drill last restored a backup of the destination and found nothing wrong.", _PLACE
    ),
    "backupkit_freed_bytes_total": _Family("counter", "What cleaning has freed at the destination.", _PLACE),
    "backupkit_removed_backups_total": _Family(
        "counter", "Backups that cleaning has removed from the destination.", _PLACE
    ),
    "backupkit_destination_outcome": _Family(
        "gauge",
        "How the last operation ended at the destination: 1 for its outcome, 0 for the others.",
        (*_PLACE, "operation", "outcome"),
    ),
    "backupkit_operation_outcome": _Family(
        "gauge",
        "How the last operation ended: 1 for its outcome, 0 for the others.",
        (*_OPERATION, "outcome"),
    ),
    "backupkit_operation_last_end_timestamp_seconds": _Family(
        "gauge", "When the last operation ended, however it did.", _OPERATION
    ),
    "backupkit_operation_last_success_timestamp_seconds": _Family(
        "gauge", "When the last operation that succeeded everywhere ended.", _OPERATION
    ),
    "backupkit_operation_duration_seconds": _Family("gauge", "How long the last operation took.", _OPERATION),
    "backupkit_operation_entries": _Family("gauge", "Entries that the last operation read.", _OPERATION),
    "backupkit_operation_read_bytes": _Family(
        "gauge", "Plain bytes that the last operation read.", _OPERATION
    ),
    "backupkit_operation_written_bytes": _Family(
        "gauge", "Bytes that the last operation stored or restored.", _OPERATION
    ),
    "backupkit_operation_problems": _Family(
        "gauge", "Problems of the last operation.", (*_OPERATION, "severity")
    ),
    "backupkit_operations_total": _Family(
        "counter", "Operations that have ended, by how.", (*_OPERATION, "outcome")
    ),
}


class MetricValues:
    """The value of each metric by its labels; a collector of prometheus_client's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # whoever scrapes sees all of a report, or nothing
        self._values: dict[str, dict[tuple[str, ...], float]] = {name: {} for name in _FAMILIES}

    def describe(self) -> Iterator[Metric]:
        from prometheus_client.metrics_core import Metric

        for name, family in _FAMILIES.items():
            yield Metric(name.removesuffix("_total"), family.help, family.kind)

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            values = {name: {**of_name} for name, of_name in self._values.items()}
        for metric, (name, family) in zip(self.describe(), _FAMILIES.items(), strict=True):
            for labels, value in sorted(values[name].items()):
                metric.add_sample(name, dict(zip(family.labels, labels, strict=True)), value)
            if values[name]:
                yield metric

    def load(self, text: str) -> None:
        """Take over what `collect` once gave; ValueError if it is not in Prometheus' text format."""
        from prometheus_client.parser import text_string_to_metric_families

        for metric in text_string_to_metric_families(text):
            for sample in metric.samples:
                family = _FAMILIES.get(sample.name)
                if family and sample.labels.keys() == {*family.labels} and math.isfinite(sample.value):
                    self._set(sample.name, sample.value, *(sample.labels[label] for label in family.labels))

    def learn(self, report: Report) -> None:
        with self._lock:
            self._learn_operation(report)
            for result in report.destinations:
                self._learn_result(report, result)

    def look(self, name: str, contents: frozenset[Contents], summary: DestinationSummary) -> None:
        """How the backups of the pipeline of this name, which makes such, stand at a destination now."""
        place = (name, summary.location)
        with self._lock:
            for one in contents if summary.reachable else ():
                self._add("backupkit_last_success_timestamp_seconds", 0, *place, one)  # 0 if there is none
            self._learn_health(place, summary.problems, summary)

    def _learn_operation(self, report: Report) -> None:
        operation = (report.name, report.operation)
        end = (report.started + report.took).timestamp()
        for outcome in _OUTCOMES:
            self._set("backupkit_operation_outcome", outcome == report.outcome, *operation, outcome)
            self._add("backupkit_operations_total", outcome == report.outcome, *operation, outcome)
        self._set("backupkit_operation_last_end_timestamp_seconds", end, *operation)
        if report.outcome == "succeeded":
            self._set("backupkit_operation_last_success_timestamp_seconds", end, *operation)
        self._set("backupkit_operation_duration_seconds", report.took.total_seconds(), *operation)
        self._set("backupkit_operation_entries", report.entries, *operation)
        self._set("backupkit_operation_read_bytes", report.read, *operation)
        self._set("backupkit_operation_written_bytes", report.written, *operation)
        for severity in ("error", "warning"):
            count = sum(problem.severity == severity for problem in report.problems)
            self._set("backupkit_operation_problems", count, *operation, severity)

    def _learn_result(self, report: Report, result: DestinationResult) -> None:
        place = (report.name, result.location)
        for outcome in (*_OUTCOMES, "unknown"):
            of = (*place, report.operation, outcome)
            self._set("backupkit_destination_outcome", outcome == result.outcome, *of)
        backup, end = result.backup, report.started + report.took
        if report.operation == "run" and backup is not None and backup.good:
            for one in backup.contents:
                self._raise("backupkit_last_success_timestamp_seconds", backup.time, *place, one)
            self._set("backupkit_newest_stored_bytes", backup.stored, *place, _series(backup.contents))
        elif report.operation == "verify" and result.outcome == "succeeded":
            self._raise("backupkit_last_verified_timestamp_seconds", end, *place)
        elif report.operation == "drill" and result.outcome == "succeeded":
            self._raise("backupkit_last_proven_timestamp_seconds", end, *place)
        elif report.operation == "clean" and result.plan is not None:
            self._add("backupkit_freed_bytes_total", result.freed, *place)
            if result.outcome == "succeeded":  # of what was refused it is not known how much it was
                self._add("backupkit_removed_backups_total", len(result.plan.remove), *place)
        elif report.operation == "monitor":
            self._learn_health(place, result.problems, result.summary)

    def _learn_health(
        self, place: tuple[str, str], problems: Sequence[Problem], summary: DestinationSummary | None
    ) -> None:
        failing = {one.check or "" for one in problems if one.severity == "error"}
        self._set("backupkit_healthy", not failing, *place)
        for check in self._known("backupkit_check_failing", place) | failing:
            self._set("backupkit_check_failing", check in failing, *place, check)
        if summary is not None and summary.reachable:
            self._learn_summary(place, summary)

    def _learn_summary(self, place: tuple[str, str], summary: DestinationSummary) -> None:
        for name in ("backupkit_backups", "backupkit_stored_bytes", "backupkit_newest_stored_bytes"):
            for label in self._known(name, place):
                self._set(name, 0, *place, label)
        newest = dict.fromkeys(self._known("backupkit_last_success_timestamp_seconds", place), 0.0)
        for series in summary.series:
            label = _series(series.contents)
            self._set("backupkit_backups", series.count, *place, label)
            self._set("backupkit_stored_bytes", series.stored, *place, label)
            if series.newest is None:
                continue
            self._set("backupkit_newest_stored_bytes", series.newest.stored, *place, label)
            for one in series.contents:
                newest[one] = max(newest.get(one, 0.0), series.newest.time.timestamp())
            if series.newest.verified is not None:
                self._raise("backupkit_last_verified_timestamp_seconds", series.newest.verified, *place)
            if series.newest.proven is not None:
                self._raise("backupkit_last_proven_timestamp_seconds", series.newest.proven, *place)
        for contents, time in newest.items():
            self._set("backupkit_last_success_timestamp_seconds", time, *place, contents)

    def _known(self, name: str, place: tuple[str, str]) -> set[str]:
        """The last labels of what is known of the place."""
        first = tuple(map(_label, place))
        return {labels[-1] for labels in self._values[name] if labels[:2] == first}

    def _set(self, name: str, value: float, *labels: str) -> None:
        self._values[name][tuple(map(_label, labels))] = float(value)

    def _add(self, name: str, value: float, *labels: str) -> None:
        self._set(name, self._values[name].get(tuple(map(_label, labels)), 0.0) + value, *labels)

    def _raise(self, name: str, time: datetime, *labels: str) -> None:
        before = self._values[name].get(tuple(map(_label, labels)), 0.0)
        self._set(name, max(before, time.timestamp()), *labels)


def _series(contents: frozenset[Contents]) -> str:
    return "+".join(sorted(contents)) or "unknown"


def _label(text: str) -> str:
    # Names of files may be any bytes; a label that is not text would keep everything else from being scraped.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
