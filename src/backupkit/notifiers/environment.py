"""`notifiers_from_env`: mail, Slack and Discord as the environment of the application names them."""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import quote, urlencode

from backupkit.errors import ConfigurationError
from backupkit.model import Occasion
from backupkit.notifiers.apprise import AppriseNotifier
from backupkit.notifiers.occasions import DEFAULT, checked_occasions
from backupkit.notifiers.rendering import Renderer

_ENCRYPTIONS = {"": "insecure", "none": "insecure", "tls": "starttls", "starttls": "starttls"} | {
    "ssl": "ssl",
    "smtps": "ssl",
}
_PORTS = {"insecure": "25", "starttls": "587", "ssl": "465"}
_LONGEST_NAME = 87  # Apprise takes 128 characters, and as many does this have when it is encoded
_ADDRESS = re.compile(r"[^\s@<>,;\"]+@[^\s@<>,;\"]+")
_HOST = re.compile(r"[A-Za-z0-9._:\[\]-]{1,253}")
_SLACK = re.compile(r"https://hooks\.slack(-gov)?\.com/")
_DISCORD = re.compile(r"https://((canary|ptb)\.)?discord(app)?\.com/api/webhooks/")
_CHANNEL = re.compile(r"[#@+]?[A-Za-z0-9_-]{1,32}")


def notifiers_from_env(
    environ: Mapping[str, str] | None = None,
    *,
    on: Iterable[Occasion] = DEFAULT,
    language: str = "en",
    time_zone: str = "UTC",
    templates: str | os.PathLike[str] | None = None,
) -> list[AppriseNotifier]:
    """One notifier for each service that the environment, by default the process's own, names; it may be none.

    BACKUP_NOTIFICATION_EMAIL holds one address or several, with commas between them. The mail goes to the server
    that MAIL_HOST (localhost), MAIL_PORT, MAIL_USERNAME, MAIL_PASSWORD and MAIL_ENCRYPTION (tls, ssl or none) name,
    from MAIL_FROM_ADDRESS and MAIL_FROM_NAME. BACKUP_SLACK_WEBHOOK_URL and BACKUP_DISCORD_WEBHOOK_URL are what
    these services give; BACKUP_SLACK_CHANNEL says to which channel. Empty ones count as missing, and so does
    "null". ConfigurationError names the variable that cannot be right, and never shows its value.
    """

    # As a default of the signature, documentation tools would show it, with all that is secret in it.
    variables = os.environ if environ is None else environ

    def value(name: str) -> str:
        text = variables.get(name, "")
        if text.strip().lower() in ("", "null"):
            return ""
        return text if name == "MAIL_PASSWORD" else text.strip()

    # What is wrong after this is wrong with a variable.
    occasions = checked_occasions(on)
    Renderer(language=language, time_zone=time_zone)
    found: list[AppriseNotifier] = []

    def add(variable: str, url: str, wrong: str = "is not what the service gives: copy it again") -> None:
        try:
            notifier = AppriseNotifier(
                url, on=occasions, language=language, time_zone=time_zone, templates=templates
            )
        except ConfigurationError:
            raise _wrong(variable, wrong) from None
        found.append(notifier)

    if addresses := value("BACKUP_NOTIFICATION_EMAIL"):
        add("BACKUP_NOTIFICATION_EMAIL", _mail(addresses, value), "holds an address that cannot be used")
    if slack := value("BACKUP_SLACK_WEBHOOK_URL"):
        if not _SLACK.match(slack):
            raise _wrong("BACKUP_SLACK_WEBHOOK_URL", "does not begin with https://hooks.slack.com/")
        add("BACKUP_SLACK_WEBHOOK_URL", slack + _channel(value("BACKUP_SLACK_CHANNEL")))
    if discord := value("BACKUP_DISCORD_WEBHOOK_URL"):
        if not _DISCORD.match(discord):
            raise _wrong(
                "BACKUP_DISCORD_WEBHOOK_URL", "does not begin with https://discord.com/api/webhooks/"
            )
        # The beta versions of Discord's own program name hosts of their own, and mean the same.
        add("BACKUP_DISCORD_WEBHOOK_URL", _DISCORD.sub("https://discord.com/api/webhooks/", discord))
    return found


def _mail(addresses: str, value: Callable[[str], str]) -> str:
    """The URL of the mail server, for Apprise."""
    to = [address.strip() for address in addresses.split(",") if address.strip()]
    if not to or not all(_ADDRESS.fullmatch(address) for address in to):
        raise _wrong("BACKUP_NOTIFICATION_EMAIL", "does not hold mail addresses with commas between them")
    sender = value("MAIL_FROM_ADDRESS") or to[0]
    if not _ADDRESS.fullmatch(sender):
        raise _wrong("MAIL_FROM_ADDRESS", "is not a mail address")
    name = value("MAIL_FROM_NAME")
    if not name.isprintable():
        raise _wrong("MAIL_FROM_NAME", "holds line breaks or other characters that no name has")
    if len(name.encode()) > _LONGEST_NAME:
        raise _wrong("MAIL_FROM_NAME", f"is longer than {_LONGEST_NAME} bytes")
    mode = _ENCRYPTIONS.get(value("MAIL_ENCRYPTION").lower())
    if mode is None:
        raise _wrong("MAIL_ENCRYPTION", 'is not one of "tls", "ssl" and "none"')
    port = value("MAIL_PORT") or _PORTS[mode]
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise _wrong("MAIL_PORT", "is not the number of a port")
    if mode == "starttls" and port == "465":  # where nothing is said before encryption begins
        mode = "ssl"
    host = value("MAIL_HOST") or "localhost"
    if not _HOST.fullmatch(host):
        raise _wrong("MAIL_HOST", "is not the name or address of a server")
    user, password = value("MAIL_USERNAME"), value("MAIL_PASSWORD")
    if bool(user) != bool(password):
        raise _wrong("MAIL_PASSWORD" if user else "MAIL_USERNAME", "is missing: the one needs the other")
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
    # smtp= takes the names of servers that cannot stand in a URL, as those of containers may be.
    query = {"smtp": host, "mode": mode, "from": sender, "to": ",".join(to)}
    if name:  # encoded as in mail, for Apprise takes a name apart that has a comma or a colon
        query["name"] = f"=?utf-8?b?{b64encode(name.encode()).decode()}?="
    scheme = "mailto" if mode == "insecure" else "mailtos"
    return f"{scheme}://{login}localhost:{port}/?{urlencode(query, quote_via=quote)}"


def _channel(channel: str) -> str:
    if not channel:
        return ""
    if not _CHANNEL.fullmatch(channel):
        raise _wrong("BACKUP_SLACK_CHANNEL", "is not the name of a channel, such as #backups")
    return f"?to={quote(channel, safe='')}"


def _wrong(variable: str, what: str) -> ConfigurationError:
    return ConfigurationError(f"The environment variable {variable} {what}.")
