"""Chromium, a shop with a past, and people who come to its page."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, TypeAlias

import pytest
from playwright.sync_api import Browser, HttpCredentials, ViewportSize, sync_playwright

from tests.browser.pages import Visitor
from tests.browser.shop import Shop
from tests.browser.site import PASSWORD, Site, served
from tests.tools import require_tool

Come: TypeAlias = Callable[..., Visitor]
_DESKTOP: ViewportSize = {"width": 1280, "height": 800}


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    program = require_tool("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, chromium_sandbox=os.geteuid() != 0)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The page of a shop, whose clock goes: each test finds there what those before it have made."""
    shop = Shop(tmp_path_factory.mktemp("shop"))
    shop.live()
    shop.clock.let_go()
    with served(shop) as site:
        yield site


@pytest.fixture
def come(chromium: Browser, site: Site) -> Iterator[Come]:
    """Somebody comes: `come("vera")`. At the end, nothing may have gone wrong."""
    with ExitStack() as leaving:
        came: list[Visitor] = []

        def comes(who: str = "anna", **how: Any) -> Visitor:
            known = HttpCredentials(username=who, password=PASSWORD)
            context = chromium.new_context(viewport=_DESKTOP, http_credentials=known, **how)
            leaving.callback(context.close)
            came.append(Visitor(context.new_page(), site))
            return came[-1]

        yield comes
        assert [wrong for one in came for wrong in one.wrong] == []


@pytest.fixture
def anna(come: Come) -> Visitor:
    """Who may do everything, at a desktop."""
    return come()
