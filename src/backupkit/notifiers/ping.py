"""`DeadManPing`: tells a service that raises the alarm when it hears nothing."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Literal, TypeAlias, get_args
from urllib.parse import urlencode

from backupkit.errors import ConfigurationError
from backupkit.model import Notice, Operation, Report
from backupkit.notifiers.occasions import EVERYTHING
from backupkit.notifiers.posting import address, send
from backupkit.plain_data import identity_of, storable
from backupkit.sizes import format_size

_Pinged: TypeAlias = Literal["run", "clean", "verify", "drill"]
_GOOD = ("succeeded", "passed")
_LONGEST = 10_000  # bytes of a body


class DeadManPing:
    """Calls `url` in the manner of healthchecks.io: `/start`, then the URL itself after a success, or `/fail`.

    An operation that ends incomplete has failed here. Each is one `operation` of the pipeline's: a service
    expects one rhythm. Both calls of one carry the same `rid`, so that the service measures how long it took,
    and the last one says in a few lines how it ended. What the URL asks for (`?create=1`) is kept.

    `success_only` is for services that know one URL and nothing but success (Uptime Kuma's push): no start, no
    failure, a GET without a body. Plain http:// is taken to this machine, and elsewhere with `allow_http`.
    `timeout` is in seconds. The URL is a secret, and never shown.
    Needs requests: `pip install 'backupkit[notifications]'`.
    """

    def __init__(
        self,
        url: str,
        *,
        operation: Literal["run", "clean", "verify", "drill"] = "run",
        success_only: bool = False,
        timeout: float = 10.0,
        allow_http: bool = False,
    ) -> None:
        if operation not in get_args(_Pinged):
            raise ConfigurationError(
                f"operation={operation!r} cannot be watched by a ping: "
                f"choose from {', '.join(map(repr, get_args(_Pinged)))}."
            )
        self.operation = operation
        self.on = frozenset(
            one
            for one in EVERYTHING
            if one.startswith(f"{operation} ") and (not success_only or one.endswith(_GOOD))
        )
        self._address = address(url, what="ping", allow_http=allow_http, timeout=timeout)
        self._success_only = success_only

    def started(self, operation: Operation, name: str, time: datetime) -> None:
        if operation == self.operation and not self._success_only:
            self._ping("/start", _rid(operation, name, time))

    def notify(self, notice: Notice) -> None:
        report = notice.report
        if self._success_only or report is None:
            self._ping("" if notice.occasion.endswith(_GOOD) else "/fail", None)
        else:
            signal = "" if report.outcome == "succeeded" else "/fail"
            self._ping(signal, _rid(report.operation, report.name, report.started), _body(report))

    def _ping(self, signal: str, rid: str | None, body: bytes | None = None) -> None:
        url = self._address.url
        asked = "&".join(filter(None, (url.query, "" if rid is None else urlencode({"rid": rid}))))
        path = f"{url.path.rstrip('/')}{signal}" if signal else url.path
        send(
            self._address,
            url=url._replace(path=path, query=asked, fragment="").geturl(),
            method="GET" if body is None else "POST",
            body=body,
            headers={"User-Agent": "backupkit", "Content-Type": "text/plain; charset=utf-8"},
        )

    def __repr__(self) -> str:
        return f"DeadManPing({self._address.host!r}, operation={self.operation!r})"


def _rid(operation: Operation, name: str, started: datetime) -> str:
    """The same at the start and at the end of an operation, however often and by which process they are told."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, identity_of((operation, name, started))))


def _body(report: Report) -> bytes:
    text = "\n".join(_lines(report))
    return str(storable(text)).encode()[:_LONGEST].decode(errors="ignore").encode()


def _lines(report: Report) -> list[str]:
    seconds = report.took.total_seconds()
    return [
        f"{report.operation} of {report.name}: {report.outcome} after {seconds:.1f} s",
        f"{report.entries} entries, {format_size(report.read)} read, {format_size(report.written)} written",
        *(f"{problem.severity}: {problem.message}" for problem in report.problems),
    ]
