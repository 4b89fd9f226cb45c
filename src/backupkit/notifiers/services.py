"""How a message leaves through Apprise: mail, Slack and Discord in forms of their own, all others as plain text.

This module imports apprise, so it is imported by what sends, when it sends. Apprise tells nobody why something
failed but its log, and its log at DEBUG, as urllib3's, holds the addresses, which are secrets. So what both log
while we send is taken away from the log, and read for the reason.
"""

from __future__ import annotations

import logging
import re
import smtplib
import ssl
import threading
import warnings
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from email.header import decode_header, make_header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, localtime, make_msgid
from http.client import responses
from typing import Any
from urllib.parse import unquote, unquote_plus

from backupkit.errors import NotificationError
from backupkit.notifiers.rendering import Message
from backupkit.notifiers.statements import Level, Pair

with warnings.catch_warnings():
    # Apprise's own use of modules that are about to leave the standard library is not its users' concern.
    warnings.simplefilter("ignore", DeprecationWarning)
    from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType
    from apprise.plugins import url_to_dict
    from apprise.plugins.base import NotifyBase
    from apprise.plugins.discord import NotifyDiscord
    from apprise.plugins.email import NotifyEmail
    from apprise.plugins.slack import NotifySlack, SlackMode

    Apprise.instantiate("json://localhost")  # loads the plug-ins, once

# The pipeline waits 30 seconds for three attempts and the waits between them: 3 x 7 + 2 + 4.
_MAIL_TIMEOUT = 7.0

_TYPES: Mapping[Level, NotifyType] = {
    "success": NotifyType.SUCCESS,
    "warning": NotifyType.WARNING,
    "failure": NotifyType.FAILURE,
    "info": NotifyType.INFO,
}
_ADDRESS = re.compile(r"""[^\s,:;<>"'\[\]]+@[^\s,:;<>"'\[\]]+""")
_STATUS = re.compile(r"\berror=([0-9]{3})\b")
_UNREACHED = re.compile(r"connection error|could not connect|timed? ?out|i/o error", re.IGNORECASE)


def service_name(url: str) -> str | None:
    """What the service of this URL is called; None if Apprise does not understand all of it. No I/O."""
    with _listening() as heard:
        service = _service(url)
    # It would go on without a recipient that it cannot use, and nobody would miss the message.
    if service is None or any(text.startswith("Dropped invalid") for text in heard):
        return None
    if isinstance(service, Mail) and service.loses_somebody:
        return None
    return str(service.service_name)


def deliver(url: str, message: Message) -> None:
    """Send the message to the service of this URL; NotificationError, without the URL, if that failed."""
    with _listening() as heard:
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


class Mail(NotifyEmail):  # type: ignore[misc]
    """Apprise's settings for mail; the mail itself is made here, for its own would have one part of our two."""

    socket_connect_timeout = _MAIL_TIMEOUT

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        given = str([settings.get(one) for one in ("targets", "cc", "bcc", "reply_to")])
        found = {address for _, address in self.targets} | self.cc | self.bcc | self.reply_to
        self.loses_somebody = not {*_ADDRESS.findall(given.lower())} <= {one.lower() for one in found}

    @property
    def is_secured_by_pgp(self) -> bool:
        return str(self.pgp_mode) != "no"

    def deliver(self, message: Message) -> None:
        """Send one mail to all recipients; NotificationError says whether trying again may help."""
        try:
            mail = self._mail(message)
            everybody = [*dict.fromkeys([address for _, address in self.targets] + [*self.cc, *self.bcc])]
            with self._connected() as server:
                refused = server.send_message(mail, self.from_addr[1], everybody)
        except smtplib.SMTPRecipientsRefused as error:
            codes = {code for code, _ in error.recipients.values()}
            raise NotificationError(
                f"The mail server refused every recipient ({_codes(codes)}).",
                retryable=all(400 <= code < 500 for code in codes),
            ) from None
        except smtplib.SMTPResponseException as error:
            what = "user name or password" if isinstance(error, smtplib.SMTPAuthenticationError) else "mail"
            raise NotificationError(
                f"The mail server did not take the {what} ({_codes({error.smtp_code})}).",
                retryable=not 500 <= error.smtp_code < 600,
            ) from None
        except smtplib.SMTPNotSupportedError:
            raise NotificationError(
                "The mail server offers no encryption, or no way to log in, as the settings ask for."
            ) from None
        except ssl.SSLCertVerificationError:
            raise NotificationError(
                "The certificate of the mail server is not one that this machine trusts."
            ) from None
        except (OSError, smtplib.SMTPException) as error:
            raise NotificationError(
                f"The mail server could not be reached, or did not answer in time ({type(error).__name__}).",
                retryable=True,
            ) from None
        except ValueError:  # a header that would be two, an address that is none
            raise NotificationError("An address or name in the settings for mail cannot be used.") from None
        if refused:
            codes = {code for code, _ in refused.values()}
            raise NotificationError(
                f"The mail server refused {len(refused)} of {len(everybody)} recipients ({_codes(codes)}); "
                "the others have the mail."
            )

    def _mail(self, message: Message) -> EmailMessage:
        # This class refuses line breaks in headers, by ValueError.
        mail = EmailMessage(policy=SMTP)
        name, address = self.from_addr
        mail["Subject"] = message.subject
        mail["From"] = _address(name or "backupkit", address)
        mail["To"] = [_address(name, address) for name, address in self.targets]
        for header, addresses in (("Cc", self.cc), ("Reply-To", self.reply_to)):
            if addresses:
                mail[header] = [_address(self.names.get(one), one) for one in sorted(addresses)]
        mail["Date"] = format_datetime(localtime())
        mail["Message-ID"] = make_msgid(domain=str(address).rpartition("@")[2])
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: holiday notices do not answer it
        for header, value in self.headers.items():
            mail[header] = value
        mail.set_content(message.text)
        mail.add_alternative(message.html, subtype="html")
        return mail

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        context = ssl.create_default_context()
        if not self.verify_certificate:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        where: dict[str, Any] = {
            "host": self.smtp_host,
            "port": self.port,
            "timeout": self.socket_connect_timeout,
        }
        encrypted = self.secure_mode == "ssl"
        server = smtplib.SMTP_SSL(**where, context=context) if encrypted else smtplib.SMTP(**where)
        try:
            if self.secure_mode == "starttls":
                server.starttls(context=context)
            if self.user and self.password:
                _log_in(server, self.user, self.password)
            yield server
        except BaseException:
            server.close()
            raise
        # The mail is taken. How the server says goodbye must not make it look lost, and be sent again.
        with suppress(OSError, smtplib.SMTPException):
            server.quit()


class Slack(NotifySlack):  # type: ignore[misc]
    """Block Kit, with the fields as fields. Apprise asks `gen_payload` for a template's blocks; these are ours."""

    message: Message
    template: Any

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        # A user's own template, and workflows, which take one text, go Apprise's way.
        self.shows_fields = not self.template and self.mode in (
            SlackMode.WEBHOOK,
            SlackMode.WEBHOOK_GOV,
            SlackMode.BOT,
        )
        if self.shows_fields:
            self.template = self.use_blocks = True

    def gen_payload(
        self, body: str, title: str = "", notify_type: NotifyType = NotifyType.INFO, **_: Any
    ) -> dict[str, Any]:
        message = self.message
        header = {"type": "plain_text", "text": message.subject[:150], "emoji": False}
        blocks: list[dict[str, Any]] = [{"type": "header", "text": header}]
        blocks.append({"type": "section", "text": _mrkdwn(_slack(message.lead), 3000)})
        for group in _groups(message.fields, most=10):
            texts = [_mrkdwn(f"*{_slack(label)}*\n{_slack(value)}", 2000) for label, value in group]
            if len(group) == 1 and _is_wide(group[0]):
                blocks.append({"type": "section", "text": texts[0]})
            else:
                blocks.append({"type": "section", "fields": texts})
        return {"color": self.color(notify_type), "fallback": message.subject, "blocks": blocks[:50]}


class Discord(NotifyDiscord):  # type: ignore[misc]
    """An embed, with the fields as fields. Apprise asks `gen_payload` for what a template says; this is ours."""

    message: Message
    template: Any

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.shows_fields = not self.template
        if self.shows_fields:
            self.template = True

    def gen_payload(
        self, body: str, title: str = "", notify_type: NotifyType = NotifyType.INFO, **_: Any
    ) -> dict[str, Any]:
        message = self.message
        # All of it together stays far below the 6000 characters that an embed may have.
        embed = {
            "title": _discord(message.subject, 256),
            "description": _discord(message.lead, 2000),
            "color": self.color(notify_type, int),
            "fields": [
                {
                    "name": _discord(label, 256),
                    "value": _discord(value, 1024),
                    "inline": not _is_wide((label, value)),
                }
                for label, value in message.fields[:25]
            ],
        }
        # Nobody is pinged by what a file is called.
        return {"embeds": [embed], "allowed_mentions": {"parse": []}}


def _groups(fields: Sequence[Pair], *, most: int) -> Iterator[list[Pair]]:
    """Yield the fields in groups that fit one block; a wide one is a group by itself."""
    group: list[Pair] = []
    for field in fields:
        if group and (_is_wide(field) or len(group) == most):
            yield group
            group = []
        group.append(field)
        if _is_wide(field):
            yield group
            group = []
    if group:
        yield group


def _is_wide(field: Pair) -> bool:
    return "\n" in field[1] or len(field[1]) > 60


def _mrkdwn(text: str, limit: int) -> dict[str, Any]:
    # Verbatim: no link or mention is made of what only looks like one.
    return {
        "type": "mrkdwn",
        "text": text if len(text) <= limit else f"{text[: limit - 1]}…",
        "verbatim": True,
    }


def _slack(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _discord(text: str, limit: int) -> str:
    """The text with Discord's Markdown written out, cut to so many characters."""
    escaped = re.sub(r"([\\*_~`|>#\[\]<])", r"\\\1", text)
    return escaped if len(escaped) <= limit else f"{escaped[: limit - 2].rstrip(chr(92))}…"


def _address(name: object, address: str) -> Address:
    # Apprise encodes the names that stand in a URL's name=.
    return Address(str(make_header(decode_header(str(name)))) if name else "", addr_spec=address)


def _log_in(server: smtplib.SMTP, user: str, password: str) -> None:
    if (user + password).isascii():
        server.login(user, password)
        return
    # smtplib's login knows ASCII only (python/cpython#73936); RFC 4616 says UTF-8.
    server.ehlo_or_helo_if_needed()
    if "PLAIN" not in server.esmtp_features.get("auth", "").upper().split():
        raise smtplib.SMTPNotSupportedError
    secret = b64encode(f"\0{user}\0{password}".encode()).decode()
    code, text = server.docmd("AUTH", f"PLAIN {secret}")
    if code != 235:
        raise smtplib.SMTPAuthenticationError(code, text)


def _codes(codes: set[int]) -> str:
    return ", ".join(str(code) for code in sorted(codes))


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
            retryable=status >= 500 or status in (408, 429),
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


class _Listener(logging.Filter):
    """Takes what is logged by a thread that sends, and passes on what others log."""

    def __init__(self) -> None:
        super().__init__()
        self._heard = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        heard: list[str] | None = getattr(self._heard, "texts", None)
        if heard is None:
            return True
        if record.levelno >= logging.WARNING:
            heard.append(record.getMessage())
        return False

    @contextmanager
    def listening(self) -> Iterator[list[str]]:
        before = getattr(self._heard, "texts", None)
        heard: list[str] = []
        self._heard.texts = heard
        try:
            yield heard
        finally:
            self._heard.texts = before


_listener = _Listener()


@contextmanager
def _listening() -> Iterator[list[str]]:
    for name in ("apprise", "urllib3.connectionpool", "urllib3.util.retry"):
        logging.getLogger(name).addFilter(_listener)  # once, however often it is added
    with _listener.listening() as heard:
        yield heard
