"""Somebody at a browser: goes to pages, presses what has a name, and notices whatever goes wrong on the way."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import ConsoleMessage, Locator, Page, Request, Response, expect

from tests.browser.site import AT, Site

_FLAWS = (Path(__file__).parent / "flaws.js").read_text(encoding="utf-8")
_WIDTHS = (1280, 390, 360)
_COLOURS: tuple[Literal["light", "dark"], ...] = ("light", "dark")
_PATIENCE = 60_000.0  # ms, for what a thread does by itself
_LEFT = "net::ERR_ABORTED"  # a stream of a page that was left, or what became a download

_LINKS = "() => [...document.querySelectorAll('a[href]')].map((one) => one.pathname + one.search)"
_DRAWN = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
_NO_PAGE = re.compile(r"/(api|archive|file|metrics)\b|as=text")


def _kind(address: str) -> str:
    """What is the same for all addresses of one kind: no names, no values."""
    path, _, query = address.partition("?")
    for above in ("pipelines", "backups", "operations", "history"):
        path = re.sub(f"/{above}/[^/]+", f"/{above}/*", path)
    return path + "?" + "&".join(sorted(one.partition("=")[0] for one in query.split("&")))


class Visitor:
    """One tab of a browser. `wrong` has what no page may do: failing scripts, broken policies, refused requests."""

    def __init__(self, page: Page, site: Site) -> None:
        self.page, self.site = page, site
        self.wrong: list[str] = []
        self.refused: set[int] = set()  # statuses that a test is about
        page.set_default_timeout(_PATIENCE)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.wrong.append(f"{page.url}: {error}"))
        page.on("requestfailed", self._failed)
        page.on("response", self._answered)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not self._is_expected(message.text):
            self.wrong.append(f"{self.page.url}: {message.text}")

    def _is_expected(self, text: str) -> bool:
        if text == "[object Event]":  # so htmx says that a stream has ended, which it opens again
            return True
        status = re.match(r"Failed to load resource: the server responded with a status of (\d+)", text)
        return status is not None and int(status[1]) in self.refused

    def _failed(self, request: Request) -> None:
        if request.failure != _LEFT:
            self.wrong.append(f"{request.method} {request.url}: {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self.refused:
            self.wrong.append(f"{response.request.method} {response.url}: {response.status}")

    # What somebody does

    def go(self, address: str = "/") -> Locator:
        """To an address below the mount; the content of that page."""
        self.page.goto(f"{self.site.url}{address}")
        return self.content

    @property
    def content(self) -> Locator:
        return self.page.get_by_role("main")

    @property
    def address(self) -> str:
        """Where the tab is, below the mount."""
        return self.page.url.removeprefix(self.site.url)

    def click(self, role: Any, name: str, *, within: Locator | None = None) -> None:
        """What is called exactly so, of which there is one."""
        (within or self.page).get_by_role(role, name=name, exact=True).click()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def tab_to(self, name: str) -> None:
        """By the keyboard alone, to what is called so."""
        for _ in range(200):
            self.press("Tab")
            if self.focused() == name:
                return
        raise AssertionError(f"no key leads to {name!r} on {self.page.url}")

    def focused(self) -> str:
        """The name of what has the focus."""
        return str(
            self.page.evaluate(
                "() => { const one = document.activeElement;"
                " return (one.getAttribute('aria-label') || one.labels?.[0]?.innerText"
                " || one.innerText || one.value || '').trim(); }"
            )
        )

    # What somebody sees

    def sees(self, *texts: str | re.Pattern[str]) -> None:
        """Each text, now or soon."""
        for text in texts:
            expect(self.content).to_contain_text(text, timeout=_PATIENCE)

    def sees_end(self, ending: str = "It has succeeded") -> None:
        """How the operation ends that is followed on this page."""
        expect(self.page.get_by_role("heading", name=ending)).to_be_visible(timeout=_PATIENCE)

    def pages(self) -> Iterator[str]:
        """To one of each kind of page that links lead to from the first one; its address, while it is shown."""
        found, todo = set(), ["/"]
        while todo:
            address = todo.pop(0)
            kind = _kind(address)
            if kind in found or _NO_PAGE.search(address):
                continue
            found.add(kind)
            self.go(address)
            yield address
            links: list[str] = self.page.evaluate(_LINKS)
            assert [link for link in links if not link.startswith(f"{AT}/")] == [], address
            todo += [link.removeprefix(AT) for link in links]

    def has_no_flaws(self) -> None:
        """Nothing keeps people from reading or using the page that is shown, on any screen: see flaws.js."""
        before = self.page.viewport_size
        assert before is not None
        found = []
        for width, colours in itertools.product(_WIDTHS, _COLOURS):
            self.page.set_viewport_size({"width": width, "height": 800})
            self.page.emulate_media(color_scheme=colours)
            self.page.evaluate(_DRAWN)
            found += [f"{width} px, {colours}: {flaw}" for flaw in self.page.evaluate(_FLAWS)]
        self.page.set_viewport_size(before)
        self.page.emulate_media(color_scheme="light")
        assert not found, "\n".join([self.address, *found])
