"""`Attempts`: who says wrong passwords too often has to wait."""

from __future__ import annotations

import ipaddress
import math
import time
from datetime import timedelta
from functools import cached_property

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.requests import Request

MOST, WITHIN = 20, timedelta(minutes=5)


class Attempts:
    """So many may fail from one address in so much time, counted by this process. Safe on many threads."""

    def __init__(self, most: int = MOST, within: timedelta = WITHIN) -> None:
        self._limit = RateLimitItemPerSecond(most, math.ceil(within.total_seconds()))

    def failed(self, address: str) -> None:
        """One more."""
        self._counter.hit(self._limit, address)

    def wait(self, address: str) -> int:
        """In how many seconds another one is allowed; 0 for now."""
        if self._counter.test(self._limit, address):
            return 0
        ends = self._counter.get_window_stats(self._limit, address).reset_time
        return max(1, math.ceil(ends - time.time()))

    @cached_property
    def _counter(self) -> MovingWindowRateLimiter:
        return MovingWindowRateLimiter(MemoryStorage())  # which starts a thread


def address_of(request: Request) -> str:
    """Whose attempts are counted together: an address, of IPv6 the network that one customer has."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped or ipaddress.ip_network((int(address), 64), strict=False))
    return str(address)
