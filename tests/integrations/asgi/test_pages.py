"""The page as a whole."""

from __future__ import annotations

import re

import pytest

from backupkit import BackupPipeline, ConfigurationError
from backupkit.integrations.asgi import BackupManager
from backupkit.integrations.asgi.manager import ROUTES
from tests.docs.blocks import ROOT
from tests.integrations.asgi.visitor import Browser


def test_without_a_callback_the_page_refuses_to_be_made(shop: BackupPipeline) -> None:
    with pytest.raises(ConfigurationError, match="give authorize="):
        BackupManager(shop)


def test_the_first_page_names_each_pipeline(browser: Browser) -> None:
    answer = browser.get("/")
    assert answer.status_code == 200
    assert "shop" in answer.text


def test_the_table_of_the_documentation_has_each_address_with_its_ability() -> None:
    text = (ROOT / "docs/reference/management-page.md").read_text()
    told = re.findall(r"^\| `(GET|POST) (/[^`]*)` \| (\w+) \|", text, re.MULTILINE)
    routes = {(one.method, one.path, str(one.ability)) for one in ROUTES if not one.path.startswith("/api/")}
    assert routes - {*told} == set()
    assert len({*told}) == len(told)
