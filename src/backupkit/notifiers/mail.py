"""Mail, by the settings that Apprise has read from a URL. Imports apprise: see `services`."""

from __future__ import annotations

import re
import smtplib
import ssl
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.header import decode_header, make_header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, localtime, make_msgid
from typing import Any

from apprise.plugins.email import NotifyEmail

from backupkit.errors import NotificationError
from backupkit.notifiers.rendering import Message

# Notifiers have three quarters of the pipeline's 30 seconds, for three attempts and the waits: 3 x 5 + 2 + 4.
_TIMEOUT = 5.0

_ADDRESS = re.compile(r"""[^\s,:;<>"'\[\]]+@[^\s,:;<>"'\[\]]+""")


class Mail(NotifyEmail):  # type: ignore[misc]
    """Apprise's settings for mail; the mail itself is made here, for its own would have one part of our two."""

    socket_connect_timeout = _TIMEOUT

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
                "the others have the mail.",
                partly=True,
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
