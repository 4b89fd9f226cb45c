"""The page in a real browser: nothing that its policy forbids, everything by keyboard, readable by all."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Come
from tests.browser.pages import Visitor

pytestmark = pytest.mark.browser


def test_the_first_page_shows_each_pipeline_with_its_style_and_scripts(anna: Visitor) -> None:
    content = anna.go("/")
    expect(content).to_contain_text("shop")
    expect(content).to_contain_text("newsletter")
    assert anna.page.evaluate("() => [...document.styleSheets].every((one) => one.cssRules.length > 0)")
    assert anna.page.evaluate("() => typeof htmx") == "object"


def test_the_skip_link_is_the_first_that_the_keyboard_finds_and_leads_to_the_content(anna: Visitor) -> None:
    anna.go("/")
    anna.press("Tab")
    assert anna.focused() == "To the content"
    anna.press("Enter")
    assert anna.page.url.endswith("/#content")


def test_what_has_the_focus_can_be_seen(anna: Visitor) -> None:
    anna.go("/")
    unseen = (
        "() => { const style = getComputedStyle(document.activeElement);"
        " return document.activeElement !== document.body && style.outlineStyle === 'none'"
        " && style.boxShadow === 'none'; }"
    )
    for _ in range(30):
        anna.press("Tab")
        assert not anna.page.evaluate(unseen), anna.focused()


def test_what_the_policy_forbids_would_be_noticed(anna: Visitor) -> None:
    anna.go("/")
    anna.page.evaluate("() => document.body.setAttribute('style', 'color: red')")
    assert any("Content Security Policy" in one for one in anna.wrong)
    anna.wrong.clear()


def test_an_address_that_is_not_there_is_a_page_with_a_way_back(come: Come) -> None:
    anna = come()
    anna.refused = {404}
    anna.go("/nowhere")
    anna.click("link", "To the overview")
    assert anna.address == "/"


def test_each_page_can_be_read_and_used_on_each_screen_in_light_and_dark(anna: Visitor) -> None:
    seen = 0
    for _ in anna.pages():
        anna.has_no_flaws()
        seen += 1
    assert seen > 20
