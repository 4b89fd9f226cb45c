"""`WebhookNotifier`: each notice as signed JSON, to a program."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Iterable

from backupkit.errors import ConfigurationError
from backupkit.model import Notice, Occasion
from backupkit.notifiers.notice_json import json_of
from backupkit.notifiers.occasions import EVERYTHING, checked_occasions
from backupkit.notifiers.posting import address, send
from backupkit.plain_data import identity_of

_PREFIX = "whsec_"


class WebhookNotifier:
    """Posts each notice as JSON to `url`, signed with `secret` after the Standard Webhooks specification.

    The secret is `whsec_` and 24 to 64 random bytes in base64; whoever knows it can verify with any of the
    specification's libraries (standardwebhooks.com) that a notice is genuine and fresh. The id of a notice stays
    the same when it is sent again. Plain http:// is taken to this machine, and elsewhere with `allow_http`.
    `timeout` is in seconds. Needs requests: `pip install 'backupkit[notifications]'`.
    """

    def __init__(
        self,
        url: str,
        secret: str,
        *,
        on: Iterable[Occasion] = EVERYTHING,
        timeout: float = 10.0,
        allow_http: bool = False,
    ) -> None:
        self.on = checked_occasions(on)
        self._address = address(url, what="webhook", allow_http=allow_http, timeout=timeout)
        self._key = _key(secret)

    def notify(self, notice: Notice) -> None:
        body = json_of(notice).encode("ascii")
        identity = f"msg_{identity_of(notice)[:32]}"
        timestamp = str(int(time.time()))
        signed = b".".join((identity.encode("ascii"), timestamp.encode("ascii"), body))
        signature = base64.b64encode(hmac.digest(self._key, signed, hashlib.sha256)).decode("ascii")
        send(
            self._address,
            url=self._address.url.geturl(),
            body=body,
            headers={
                "Content-Type": "application/json",
                "User-Agent": "backupkit",
                "webhook-id": identity,
                "webhook-timestamp": timestamp,
                "webhook-signature": f"v1,{signature}",
            },
        )

    def __repr__(self) -> str:
        return f"WebhookNotifier({self._address.host!r})"


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not 24 <= len(key) <= 64:
        raise ConfigurationError(
            f"The secret of a webhook is {_PREFIX} and 24 to 64 random bytes in base64. Make one with: python -c "
            f"\"import base64, secrets; print('{_PREFIX}' + base64.b64encode(secrets.token_bytes(32)).decode())\""
        )
    return key
