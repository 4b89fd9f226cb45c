"""`examine_pipeline`: what would keep a pipeline's sources from being read here, before a night is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from backupkit._reading import apart_from
from backupkit.errors import ConfigurationError, OperationCancelledError, told
from backupkit.model import Finding, PipelineExamination, SourceExamination
from backupkit.passphrase import Passphrase
from backupkit.pipeline import BackupPipeline
from backupkit.protocols import Source
from backupkit.sources._examining import findings_of


def examine_pipeline(
    pipeline: BackupPipeline,
    *,
    tell: Callable[[str], object] = lambda step: None,
    cancel: threading.Event | None = None,
) -> PipelineExamination:
    """Look at each source of a pipeline, and at its passphrase: are its tools and rights what a run here needs?

    Nothing is written or changed, no hook is called and no program of a `Command` started. What does not hold is a
    finding. The destinations are another matter, see `examine`. `tell` is called with the name of each source.
    Raises OperationCancelledError after `cancel` was set.
    """
    began = datetime.now(UTC)
    sources: list[SourceExamination] = []
    for source in pipeline.sources:
        tell(source.name)
        begin = time.monotonic()
        findings = tuple(_checked(_findings(pipeline, source), cancel or threading.Event(), source.name))
        took = timedelta(seconds=time.monotonic() - begin)
        sources.append(SourceExamination(name=source.name, took=took, findings=findings))
    return PipelineExamination(
        name=str(pipeline.name),
        time=began,
        sources=tuple(sources),
        passphrase=tuple(_passphrase(pipeline.encryptor)),
    )


def _checked(findings: Iterator[Finding], cancel: threading.Event, name: str) -> Iterator[Finding]:
    for finding in findings:
        yield finding
        if cancel.is_set():
            raise OperationCancelledError(f"The examination of {name} was cancelled.")


def _findings(pipeline: BackupPipeline, source: Source) -> Iterator[Finding]:
    try:
        (apart,) = apart_from(
            pipeline.destinations, [source], str(pipeline.name), whole=pipeline.format.shares_bytes
        )
    except ConfigurationError as error:
        yield Finding(step="destination", verdict="not ok", message=str(error))
        apart = source
    try:
        yield from findings_of(apart)
    except OperationCancelledError:
        raise
    except Exception as error:  # of a source that others wrote
        message = f"Its examination failed ({told(error)}): only a run shows whether it is read."
        yield Finding(step="examined", verdict="not known", message=message)


def _passphrase(encryptor: object) -> Iterator[Finding]:
    if not isinstance(encryptor, Passphrase):
        return
    for number, one in enumerate(encryptor.candidates()):
        step = "read" if number == 0 else f"previous {number}"
        try:
            weakness = one.weakness()
        except ConfigurationError as error:
            yield Finding(step=step, verdict="not ok", message=str(error))
            continue
        yield Finding(step=step, verdict="ok", message=f"The passphrase can be read from {one.origin}.")
        if number:
            continue
        if weakness is None:
            yield Finding(step="strong", verdict="ok", message="It is not easy to guess.")
        else:
            yield Finding(step="strong", verdict="warning", message=weakness)
