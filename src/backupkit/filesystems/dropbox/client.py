"""The SDK's client, so that no request hangs, none is repeated unseen, and certificates are verified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
from dropbox import Dropbox
from dropbox.common import PathRoot, PathRoot_validator
from dropbox.dropbox_client import PATH_ROOT_HEADER, SELECT_USER_HEADER
from requests.adapters import HTTPAdapter
from stone.backends.python_rsrc import stone_serializers
from urllib3.connection import HTTPConnection

from backupkit.errors import ConfigurationError
from backupkit.filesystems.transfer import Transfer


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who asks, and how Dropbox is reached. The names are the SDK's, but the last three.

    `namespace_id` is where paths begin instead of the user's own folder: a team's root or a team folder.
    `team_member_id` is for whom a token of a team acts. `proxies` are those of requests.
    """

    oauth2_access_token: str | None = field(default=None, repr=False)
    oauth2_refresh_token: str | None = field(default=None, repr=False)
    app_key: str | None = None
    app_secret: str | None = field(default=None, repr=False)
    ca_certs: str | None = None
    namespace_id: str | None = None
    team_member_id: str | None = None
    proxies: Mapping[str, str] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.oauth2_refresh_token and not self.app_key:
            raise ConfigurationError("A refresh token of Dropbox needs app_key= of the app it was given to.")
        if not (self.oauth2_access_token or self.oauth2_refresh_token):
            raise ConfigurationError(
                "Dropbox needs credentials: give oauth2_refresh_token= and app_key=, or an access token as token=, "
                "or set FSSPEC_DROPBOX_OAUTH2_REFRESH_TOKEN and FSSPEC_DROPBOX_APP_KEY in the environment."
            )


def connected(access: Access, transfer: Transfer) -> Dropbox:
    """A client of this process. It repeats nothing, but after renewing an access token that has expired."""
    headers = {}
    if access.namespace_id is not None:
        # https://www.dropbox.com/developers/reference/namespace-guide
        root = PathRoot.namespace_id(access.namespace_id)
        headers[PATH_ROOT_HEADER] = stone_serializers.json_encode(PathRoot_validator, root)  # type: ignore[no-untyped-call]
    if access.team_member_id is not None:
        headers[SELECT_USER_HEADER] = access.team_member_id
    return Dropbox(
        oauth2_access_token=access.oauth2_access_token,
        oauth2_refresh_token=access.oauth2_refresh_token,
        app_key=access.app_key,
        app_secret=access.app_secret,
        headers=headers or None,
        user_agent="backupkit",
        session=_Session(access, transfer),
        timeout=transfer.time_limit,
        # Ours are bounded by patience; the SDK's are 4 for its own errors, and for ever when it is asked to wait.
        max_retries_on_error=0,
        max_retries_on_rate_limit=0,
    )


class _Session(requests.Session):
    """Verifies certificates, follows no redirection, and gives each request its time."""

    def __init__(self, access: Access, transfer: Transfer) -> None:
        super().__init__()
        self._access = access
        self._transfer = transfer
        self.mount("https://", _Adapter(pool_maxsize=2 * transfer.concurrency + 2))

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        # urllib3 applies the first also to sending, anew for each record of 16 KiB, so that it ends what stalls; by
        # the second, what the system has taken may be on its way still when the wait for the answer begins.
        size = len(request.body or b"")
        kwargs["timeout"] = (self._transfer.time_limit, self._transfer.seconds_for(size))
        kwargs["allow_redirects"] = False
        # As options, these are meant: requests would let the environment (REQUESTS_CA_BUNDLE, HTTPS_PROXY) win.
        if self._access.ca_certs is not None:
            kwargs["verify"] = self._access.ca_certs
        if self._access.proxies is not None:
            kwargs["proxies"] = dict(self._access.proxies)
        return super().send(request, **kwargs)


class _Adapter(HTTPAdapter):
    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        # Without these, through a proxy, the body of each request waits 40 ms for its head to be acknowledged.
        return super().proxy_manager_for(
            proxy, socket_options=HTTPConnection.default_socket_options, **options
        )
