"""`DeadManPing`: tells a service that raises the alarm when it hears nothing."""

from __future__ import annotations

import threading
import uuid
from collections import defaultdict
from typing import Literal, TypeAlias, get_args
from urllib.parse import urlencode

from backupkit.errors import ConfigurationError
from backupkit.model import Notice, Operation, Report
from backupkit.notifiers.occasions import EVERYTHING
from backupkit.notifiers.posting import address, send
from backupkit.plain_data import identity_of, storable
from backupkit.sizes import format_size

_Pinged: TypeAlias = Literal["run", "clean", "verify", "drill"]
_LONGEST = 10_000  # bytes of a body
_FORGOTTEN = 100  # ends that could not be told, of which it is still known how they began


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
        good = ("succeeded", "passed")
        self.operation = operation
        self.on = frozenset(
            one
            for one in EVERYTHING
            if one.startswith(f"{operation} ") and (not success_only or one.endswith(good))
        )
        self._address = address(url, what="ping", allow_http=allow_http, timeout=timeout)
        self._success_only = success_only
        self._lock = threading.Lock()
        self._begun: dict[str, list[str]] = defaultdict(list)
        self._ended: dict[str, str] = {}

    def started(self, operation: Operation, name: str) -> None:
        if operation != self.operation or self._success_only:
            return
        rid = str(uuid.uuid4())
        with self._lock:
            self._begun[name].append(rid)
        self._ping("/start", rid)

    def notify(self, notice: Notice) -> None:
        if self._success_only:
            self._ping("", None)
            return
        succeeded = notice.report is None or notice.report.outcome == "succeeded"
        identity = identity_of(notice)
        self._ping("" if succeeded else "/fail", self._rid(identity, notice.name), _body(notice))
        with self._lock:
            self._ended.pop(identity, None)

    def _rid(self, identity: str, name: str) -> str:
        """That of the start, also when the end is told again.

        Of two operations of one name that overlap, the one that began last ends first: it waited for the lock.
        """
        with self._lock:
            if identity not in self._ended:
                if len(self._ended) >= _FORGOTTEN:
                    self._ended.clear()
                begun = self._begun[name]
                self._ended[identity] = begun.pop() if begun else str(uuid.uuid4())
            return self._ended[identity]

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


def _body(notice: Notice) -> bytes:
    text = notice.occasion if notice.report is None else "\n".join(_lines(notice.report))
    return str(storable(text)).encode()[:_LONGEST].decode(errors="ignore").encode()


def _lines(report: Report) -> list[str]:
    seconds = report.took.total_seconds()
    return [
        f"{report.operation} of {report.name}: {report.outcome} after {seconds:.1f} s",
        f"{report.entries} entries, {format_size(report.read)} read, {format_size(report.written)} written",
        *(f"{problem.severity}: {problem.message}" for problem in report.problems),
    ]
