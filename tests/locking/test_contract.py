"""Every lock keeps the contract, on every server where it can be."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from backupkit.protocols import Lock
from backupkit.testing.locks import LockTests
from tests.recording import KINDS, database_url
from tests.servers import PASSWORD, Server

LIFE = timedelta(seconds=1.5)


@pytest.fixture(scope="module", params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with database_url(str(request.param), request, tmp_path_factory.mktemp("locks")) as url:
        yield url


class TestMachineLock(LockTests):
    @pytest.fixture
    def program(self, tmp_path: Path) -> str:
        return f"from backupkit import MachineLock; lock = MachineLock({str(tmp_path)!r})"


class TestRedisLock(LockTests):
    life = LIFE
    secrets = (PASSWORD,)

    @pytest.fixture
    def program(self, redis_server: Server) -> str:
        return f"""
from datetime import timedelta
from backupkit import RedisLock
lock = RedisLock({redis_server.url("0")!r}, life=timedelta(seconds={LIFE.total_seconds()}))
"""


class TestDatabaseLock(LockTests):
    life = LIFE
    secrets = (PASSWORD,)

    @pytest.fixture
    def program(self, url: str) -> str:
        return f"""
from datetime import timedelta
from backupkit import DatabaseLock
lock = DatabaseLock({url!r}, life=timedelta(seconds={LIFE.total_seconds()}))
"""

    def test_a_process_that_slept_for_too_long_finds_that_it_lost_it(self, program: str, lock: Lock) -> None:
        if "sqlite" not in program:
            pytest.skip("what it asks has been asked on this server by the rules of lives that end and go on")
        super().test_a_process_that_slept_for_too_long_finds_that_it_lost_it(program, lock)
