"""`AppriseNotifier`: mail, Slack, Discord and a hundred more services, each from a URL."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence

from backupkit.errors import ConfigurationError, NotificationError
from backupkit.model import Notice, Occasion
from backupkit.notifiers.occasions import DEFAULT, checked_occasions
from backupkit.notifiers.rendering import Message, Renderer

_SCHEME = re.compile(r"[a-z][a-z0-9]{1,19}(?=://)", re.IGNORECASE)


class AppriseNotifier:
    """Tells people by a service that Apprise knows: `AppriseNotifier("mailtos://user:password@example.org")`.

    `urls` is one URL or several; the services' own (https://hooks.slack.com/…, https://discord.com/api/webhooks/…)
    are understood too. All of them are secrets, and shown nowhere. ConfigurationError for one that Apprise does
    not understand. `on` is what is told: by default problems, their end, and the summary. `templates` is a folder
    with texts of one's own, see `Renderer`.

    Mail has a text and HTML with tables; Slack and Discord get fields, and other services the plain text.
    """

    def __init__(
        self,
        urls: str | Sequence[str],
        *,
        on: Iterable[Occasion] = DEFAULT,
        language: str = "en",
        time_zone: str = "UTC",
        templates: str | os.PathLike[str] | None = None,
    ) -> None:
        self._urls = (urls,) if isinstance(urls, str) else tuple(urls)
        self._on = checked_occasions(on)
        self._renderer = Renderer(language=language, time_zone=time_zone, templates=templates)
        # The last notice that is worth another attempt, and what became of it at each URL: None, or an error.
        self._last: tuple[Notice, Mapping[int, NotificationError | None]] | None = None
        if not self._urls:
            raise ConfigurationError("AppriseNotifier needs at least one URL, such as mailto://localhost.")
        self._services = tuple(
            _service(url, f"URL {number} of" if len(self._urls) > 1 else "URL of")
            for number, url in enumerate(self._urls, 1)
        )

    @property
    def on(self) -> frozenset[Occasion]:
        return self._on

    def message(self, notice: Notice) -> Message:
        """What is sent about a notice."""
        return self._renderer.message(notice)

    def notify(self, notice: Notice) -> None:
        """Tell all services; NotificationError says how many of them could not be told, and why."""
        from backupkit.notifiers.services import deliver

        message = self.message(notice)
        last = self._last
        ends = dict(last[1]) if last is not None and last[0] is notice else {}
        for number, url in enumerate(self._urls):
            end = ends.get(number)
            if number in ends and (end is None or not end.retryable):
                continue
            try:
                deliver(url, message)
                ends[number] = None
            except NotificationError as error:
                ends[number] = error
        failures = [end for end in ends.values() if end is not None]
        retryable = any(failure.retryable for failure in failures)
        self._last = (notice, ends) if retryable else None
        if len(self._urls) == 1 and failures:
            raise failures[0]
        if failures:
            raise NotificationError(
                f"{len(failures)} of {len(self._urls)} services could not be told. "
                + " ".join(dict.fromkeys(str(failure) for failure in failures)),
                retryable=retryable,
                partly=len(failures) < len(self._urls) or any(failure.partly for failure in failures),
            )

    def __repr__(self) -> str:
        return f"AppriseNotifier({', '.join(self._services)})"


def _service(url: object, which: str) -> str:
    """What the service is called; ConfigurationError if Apprise does not understand the URL."""
    try:
        from backupkit.notifiers.services import service_name
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "AppriseNotifier needs apprise: pip install 'backupkit[notifications]'"
        ) from error
    name = service_name(url) if isinstance(url, str) else None
    if name is None:
        found = _SCHEME.match(url) if isinstance(url, str) else None
        begins = f"which begins with {found[0]}://…," if found else "which does not begin as URLs do,"
        raise ConfigurationError(
            f"The {which} AppriseNotifier, {begins} is not one that Apprise understands as a whole: "
            "see https://appriseit.com/services/ for how those of each service are written."
        )
    return name
