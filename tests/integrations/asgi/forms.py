"""What a person finds on a page of the management page, and what pressing a button there sends."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request

from backupkit.integrations.asgi.access.abilities import EVERYTHING, Ability, Visitor
from backupkit.integrations.asgi.visit import Visit
from backupkit.integrations.work import Work
from tests.integrations.asgi.visitor import Browser


class Form(HTMLParser):
    """The first form of a page whose address ends in this: its fields as they are sent, unless changed."""

    def __init__(self, html: str, address: str) -> None:
        super().__init__()
        self.fields: list[tuple[str, str]] = []
        self.action = self.method = ""
        self._wanted, self._inside = address, False
        self.feed(html)
        assert self.action, f"no form that leads to {address} in {html}"

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        action = found.get("action") or ""
        if tag == "form" and not self.action and action.partition("?")[0].endswith(self._wanted):
            self.action, self.method, self._inside = action, found.get("method") or "get", True
        elif tag == "input" and self._inside and _is_sent(found):
            self.fields.append((found["name"] or "", found.get("value") or ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False

    def send(self, browser: Browser, **changed: str) -> Any:
        fields = [(name, value) for name, value in self.fields if name not in changed] + [*changed.items()]
        if self.method == "post":
            body = urlencode(fields)
            return browser.client.post(
                self.action, content=body, headers={"content-type": "application/x-www-form-urlencoded"}
            )
        return browser.get(f"{urlsplit(self.action).path}?{urlencode(fields)}")


def _is_sent(field: dict[str, str | None]) -> bool:
    """Whether a browser sends it as it is."""
    return "disabled" not in field and (field.get("type") not in ("radio", "checkbox") or "checked" in field)


def shown(
    browser: Browser, template: str, work: Work, *abilities: Ability, who: str = "anna", query: str = ""
) -> str:
    """The part of a page that a template shows of some work, to somebody with these abilities or all."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": f"/operations/{work.id}",
        "query_string": query.encode(),
        "headers": [],
        "path_params": {"operation": work.id},
    }
    visitor = Visitor(who, abilities or EVERYTHING)
    page = browser.manager.page
    visit = Visit(page=page, request=Request(scope), visitor=visitor, form={}, token=browser.token())
    return page.templates.get_template(template).render(visit=visit, page=page, work=work)
