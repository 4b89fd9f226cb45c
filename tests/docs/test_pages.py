"""What the documentation shows is what happens: each of its code blocks is run, in a world made for its page.

Pages that need a database server or a store, or take long, are run where BACKUPKIT_TESTS_DOCS is "all", as in the
session `docs`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.docs.blocks import PAGES, code_of, name_of
from tests.docs.conftest import Address
from tests.docs.telling import failure_of
from tests.docs.worlds import PLAIN, WORLDS

_ALL = os.environ.get("BACKUPKIT_TESTS_DOCS") == "all"
RUN = [page for page in PAGES if code_of(page) and (_ALL or not WORLDS.get(name_of(page), PLAIN).is_heavy)]


@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_every_block_of_a_page_does_what_it_says(page: Path, tmp_path: Path, address: Address) -> None:
    failure = failure_of(name_of(page), code_of(page), tmp_path, address)
    if failure is not None:
        pytest.fail(failure, pytrace=False)
