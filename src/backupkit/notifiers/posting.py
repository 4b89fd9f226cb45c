"""Requests to one address over HTTP, which is a secret: only its host is ever told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from backupkit.errors import ConfigurationError, NotificationError
from backupkit.notifiers.listening import listening

_LOCAL = ("localhost", "127.0.0.1", "::1")
# The request took too long to come, or there were too many: asked for again by the standard (RFC 9110, RFC 6585).
_AGAIN = (408, 429)


@dataclass(frozen=True, slots=True)
class Address:
    """A URL, checked. `what` is what it is called in messages, `timeout` the seconds of each wait for it."""

    url: SplitResult = field(repr=False)
    what: str
    timeout: float

    @property
    def host(self) -> str:
        return self.url.hostname or ""

    @property
    def name(self) -> str:
        return f"The {self.what} at {self.host}"


def address(url: str, *, what: str, allow_http: bool, timeout: float) -> Address:
    """Check the URL; ConfigurationError, which shows no more of it than its host, for one that cannot be used."""
    if timeout <= 0:
        raise ConfigurationError(f"timeout={timeout} leaves no time for an answer: say some seconds.")
    try:
        import requests  # noqa: F401 - told where the notifier is made, not when a backup has failed
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"A {what} needs requests: pip install 'backupkit[notifications]'"
        ) from error
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in ("https", "http") or not host or any(not " " < letter < "\x7f" for letter in url):
        raise ConfigurationError(
            f"The address of the {what} is no URL of the form https://host/path, in ASCII and without blanks."
        )
    if parts.scheme == "http" and host not in _LOCAL and not allow_http:
        raise ConfigurationError(
            f"The {what} at {host} would be sent unencrypted: use https://, or, within a network of your own, "
            "allow_http=True."
        )
    return Address(parts, what, timeout)


def send(
    to: Address,
    *,
    url: str,
    method: str = "POST",
    body: bytes | None = None,
    headers: Mapping[str, str],
) -> None:
    """Send one request; NotificationError unless the answer is 2xx.

    Redirects are not followed: they could lead what is signed or secret elsewhere.
    """
    with listening():  # urllib3 logs the address at DEBUG
        failure = _sent(to, url=url, method=method, body=body, headers=headers)
    # Here, not where it was caught: requests' errors hold the address, and would go along as the context.
    if failure is not None:
        raise failure


def _sent(
    to: Address, *, url: str, method: str, body: bytes | None, headers: Mapping[str, str]
) -> NotificationError | None:
    import requests

    try:
        with requests.request(
            method,
            url,
            data=body,
            headers=dict(headers),
            timeout=to.timeout,
            allow_redirects=False,
            stream=True,  # what it answers besides its status is not read
        ) as response:
            status = response.status_code
    except requests.Timeout:
        return NotificationError(f"{to.name} did not answer within {to.timeout:g} seconds.", retryable=True)
    except requests.exceptions.SSLError:
        return NotificationError(
            f"{to.name} could not be reached safely: its certificate or TLS is not accepted."
        )
    except requests.ConnectionError:
        return NotificationError(f"{to.name} could not be reached, or broke off.", retryable=True)
    except (OSError, ValueError) as error:
        return NotificationError(f"{to.name} could not be asked ({type(error).__name__}).", retryable=True)
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return NotificationError(f"{to.name} answered with a redirect ({status}): give the final address.")
    return NotificationError(f"{to.name} refused with status {status}.", retryable=may_pass(status))


def may_pass(status: int) -> bool:
    """Whether a request that was answered so may succeed later."""
    return status >= 500 or status in _AGAIN
