"""The application that the command line is tried on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.shop import Shop, make_shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return make_shop(tmp_path)


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """One with a backup, shared by tests that change nothing."""
    shop = make_shop(tmp_path_factory.mktemp("shop"))
    assert shop.backupkit("run", "--app", "shop_backups:pipeline").returncode == 0
    return shop


@pytest.fixture
def saved(shop: Shop) -> Shop:
    """The same, with one backup made."""
    assert shop.backupkit("run", "--app", "shop_backups:pipeline").returncode == 0
    return shop
