"""How a message leaves through Apprise: mail, Slack and Discord in forms of their own, all others as plain text.

This module imports apprise, so it is imported by what sends, when it sends. Apprise tells nobody but its log why
something failed: `listening` hears it.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from http.client import responses
from urllib.parse import unquote, unquote_plus

from backupkit.errors import NotificationError
from backupkit.notifiers.listening import listening
from backupkit.notifiers.posting import may_pass
from backupkit.notifiers.rendering import Message
from backupkit.notifiers.statements import Level

with warnings.catch_warnings():
    # Apprise's own use of modules that are about to leave the standard library is not its users' concern.
    warnings.simplefilter("ignore", DeprecationWarning)
    from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType
    from apprise.plugins import url_to_dict
    from apprise.plugins.base import NotifyBase

    from backupkit.notifiers.chat import Discord, Slack
    from backupkit.notifiers.mail import Mail

    Apprise.instantiate("json://localhost")  # loads the plug-ins, once

__all__ = ["Discord", "Mail", "Slack", "deliver", "service_name"]

_TYPES: Mapping[Level, NotifyType] = {
    "success": NotifyType.SUCCESS,
    "warning": NotifyType.WARNING,
    "failure": NotifyType.FAILURE,
    "info": NotifyType.INFO,
}
_STATUS = re.compile(r"\berror=([0-9]{3})\b")
_UNREACHED = re.compile(r"connection error|could not connect|timed? ?out|i/o error", re.IGNORECASE)


def service_name(url: str) -> str | None:
    """What the service of this URL is called; None if Apprise does not understand all of it. No I/O."""
    with listening() as heard:
        service = _service(url)
    # It would go on without a recipient that it cannot use, and nobody would miss the message.
    if service is None or any(text.startswith("Dropped invalid") for text in heard):
        return None
    if isinstance(service, Mail) and service.loses_somebody:
        return None
    return str(service.service_name)


def deliver(url: str, message: Message) -> None:
    """Send the message to the service of this URL; NotificationError, without the URL, if that failed."""
    with listening() as heard:
        service = _service(url)
        if service is None:
            raise NotificationError("Apprise does not understand the address any more: was it downgraded?")
        if isinstance(service, Mail) and not service.is_secured_by_pgp:
            service.deliver(message)
            return
        if isinstance(service, Slack | Discord) and service.shows_fields:
            service.message = message
            body = message.subject
        else:
            body = message.text
        try:
            done = service.notify(
                title=message.subject,
                body=body,
                body_format=NotifyFormat.TEXT,
                notify_type=_TYPES[message.level],
            )
        except Exception as error:
            raise NotificationError(
                f"{service.service_name} could not be told ({type(error).__name__}).", retryable=True
            ) from None
    if not done:
        raise _failure(str(service.service_name), heard, url)


def _service(url: str) -> NotifyBase | None:
    # No images from the web, which would tell somebody's server when and where a mail was read.
    asset = AppriseAsset(app_id="backupkit", app_desc="backupkit", app_url="", secure_logging=True)
    asset.image_url_mask = asset.image_url_logo = ""
    service = Apprise.instantiate(url, asset=asset)
    ours = next((one for one in (Mail, Slack, Discord) if type(service) is one.__bases__[0]), None)
    if ours is None or service is None:
        return service
    return ours(**(url_to_dict(url) or {}), asset=asset)


def _failure(service: str, heard: Sequence[str], url: str) -> NotificationError:
    """What Apprise's log says of it, as an error."""
    told = " ".join(heard)
    if found := _STATUS.search(told):
        status = int(found[1])
        reason = f" ({responses[status]})." if status in responses else "."
        if status < 300:
            reason = ", but says in words that it did not work: is the token or the channel right?"
        return NotificationError(
            f"{service} did not take the notification: it answered with the status {status}{reason}",
            retryable=may_pass(status),
        )
    if _UNREACHED.search(told):
        return NotificationError(
            f"{service} could not be reached, or did not answer in time.", retryable=True
        )
    if not told:
        return NotificationError(
            f"{service} did not take the notification, and Apprise did not say why.", retryable=True
        )
    return NotificationError(
        f"{service} did not take the notification: {_without(url, told)}", retryable=True
    )


def _without(url: str, text: str) -> str:
    """The text without anything that stands in the URL."""
    pieces = {unquote(piece) for piece in re.split(r"[/:@?&=#,;]+", url)} | {
        unquote_plus(piece) for piece in re.split(r"[/:@?&=#,;]+", url)
    }
    for piece in sorted(pieces, key=len, reverse=True):
        if len(piece) > 3:
            text = text.replace(piece, "***")
    return text[:300]
