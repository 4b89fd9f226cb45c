"""What several files of tests against servers start from."""

from __future__ import annotations

import pytest

from tests.services.engines import PROGRAMS, Engine, engine_named


@pytest.fixture(params=PROGRAMS)
def engine(request: pytest.FixtureRequest) -> Engine:
    return engine_named(str(request.param), request)
