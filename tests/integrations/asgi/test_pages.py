"""The page as a whole."""

from __future__ import annotations

import pytest

from backupkit import BackupPipeline, ConfigurationError
from backupkit.integrations.asgi import BackupManager
from tests.integrations.asgi.visitor import Browser


def test_without_a_callback_the_page_refuses_to_be_made(shop: BackupPipeline) -> None:
    with pytest.raises(ConfigurationError, match="give authorize="):
        BackupManager(shop)


def test_the_first_page_names_each_pipeline(browser: Browser) -> None:
    answer = browser.get("/")
    assert answer.status_code == 200
    assert "shop" in answer.text
