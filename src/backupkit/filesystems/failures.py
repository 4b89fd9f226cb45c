"""What an error of a library means, and what to do about it. None of their texts is repeated."""

from __future__ import annotations

from dataclasses import dataclass

from backupkit.filesystems.meanings import Meaning
from backupkit.filesystems.meanings.aiohttp import by_aiohttp
from backupkit.filesystems.meanings.azure import by_azure
from backupkit.filesystems.meanings.dropbox import by_dropbox
from backupkit.filesystems.meanings.ftp import by_ftp
from backupkit.filesystems.meanings.google import by_google
from backupkit.filesystems.meanings.http import by_http
from backupkit.filesystems.meanings.looking import causes
from backupkit.filesystems.meanings.requests import by_requests
from backupkit.filesystems.meanings.s3 import by_botocore
from backupkit.filesystems.meanings.smb import by_smb
from backupkit.filesystems.meanings.ssh import by_ssh
from backupkit.filesystems.meanings.system import by_system
from backupkit.filesystems.meanings.webdav import by_webdav
from backupkit.filesystems.stores import PlaceMissingError, ReplacedError, StrangeAnswerError

REASONS: dict[Meaning, str] = {
    "missing": "there is no such object: look at the list of what is there",
    "no place": "the bucket, container or folder does not exist: create it, or correct the URL",
    "exists": "it is there already: choose another name, or delete it first",
    "credentials": "the credentials are missing, wrong or have expired: correct them",
    "denied": "these credentials do not allow it: give them that right, or use others",
    "full": "the store is full, or its quota used up: make room, ask for more, or keep fewer backups there",
    "unreachable": "it could not be reached: check its address, the network and the service",
    "timeout": "it did not answer in time: check the network and the service, then try again",
    "busy": "the store is overloaded or has a fault of its own: try again later",
    "changed": "it was replaced while it was read: try again",
    "unsafe": "its certificate or host key could not be verified: find out who answers there, then trust that key",
    "strange": "what came is no answer of such a store, as if a login page or a proxy answered in its place: check "
    "the URL and the network",
    "skewed": "the store's clock and this machine's differ too much: set this machine's clock",
    "ended": "somebody else ended the unfinished upload: find the rule of the store, or the host, that does it too "
    "soon, then try again",
    "archived": "it lies in cold storage: have the store bring it back, then try again",
    "other": "an error that is not expected here: look at its cause",
}
_PASSING: set[Meaning] = {"unreachable", "timeout", "busy", "changed", "strange"}


@dataclass(frozen=True, slots=True)
class Failure:
    """What an error means. `passing` says that the same call may succeed later."""

    meaning: Meaning

    @property
    def passing(self) -> bool:
        return self.meaning in _PASSING

    @property
    def reason(self) -> str:
        """Why it failed and what to do about it, to stand behind a colon."""
        return REASONS[self.meaning]


def failure_of(error: BaseException) -> Failure:
    """What it means, by itself or by the errors that caused it."""
    chain = [*causes(error)]
    if any(_is_untrusted(one) for one in chain):
        return Failure("unsafe")  # whatever those made of it through whose hands it went
    for one in chain:
        meaning = _meaning(one)
        if meaning is not None:
            return Failure(meaning)
    return Failure("other")


def may_pass(error: BaseException) -> bool:
    """Whether the very same call may succeed later; one that asks for the old state of an object may not."""
    if not isinstance(error, Exception):
        return False
    failure = failure_of(error)
    return failure.passing and failure.meaning != "changed"


def asked_to_wait(error: BaseException) -> float:
    """For how many seconds the store asked not to be called again (`Retry-After`); 0 if it did not."""
    seconds = getattr(error, "backoff", None)  # dropbox
    return max(float(seconds), 0.0) if isinstance(seconds, int | float) else 0.0


def _is_untrusted(error: BaseException) -> bool:
    return type(error).__name__ == "SSLCertVerificationError"


def _by_store(error: BaseException) -> Meaning | None:
    if isinstance(error, PlaceMissingError):
        return "no place"
    if isinstance(error, StrangeAnswerError):
        return "strange"
    return "changed" if isinstance(error, ReplacedError) else None


# Those that know more come first: a library's own code, then any status, then what the system said.
_ASKED = (
    *(_by_store, by_botocore, by_google, by_azure, by_dropbox, by_aiohttp, by_requests),
    *(by_ssh, by_webdav, by_smb, by_ftp, by_http, by_system),
)


def _meaning(error: BaseException) -> Meaning | None:
    for ask in _ASKED:
        if (meaning := ask(error)) is not None:
            return meaning
    return None
