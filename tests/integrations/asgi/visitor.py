"""A browser without a screen, in this process: it goes to pages and sends their forms."""

from __future__ import annotations

import re
import time
from collections.abc import Collection
from typing import Any

from starlette.requests import Request
from starlette.testclient import TestClient

from backupkit.integrations.asgi import EVERYTHING, Ability, BackupManager, Visitor
from backupkit.integrations.asgi.access.guard import COOKIE, FIELD, token_of
from backupkit.integrations.asgi.access.secret import page_secret
from backupkit.integrations.work import Work


def as_said(request: Request) -> Visitor:
    """Whoever the request says it is, with the abilities that it says it has; everything, unless it says so."""
    said = request.headers.get("x-abilities")
    return Visitor("anna", EVERYTHING if said is None else said.split())  # type: ignore[arg-type]


class Browser:
    """One visitor of a page, who may do what `abilities` say."""

    def __init__(
        self, manager: BackupManager, abilities: Collection[Ability] = EVERYTHING, *, base: str = ""
    ) -> None:
        self.manager = manager
        self.client = TestClient(manager, base_url="http://page.test", root_path=base, follow_redirects=False)
        self.client.headers["x-abilities"] = " ".join(sorted(abilities))

    def get(self, address: str, **headers: str) -> Any:
        return self.client.get(address, headers=headers)

    def token(self) -> str:
        """What the forms of the page send back."""
        if COOKIE not in self.client.cookies:
            self.client.get("/")
        found = re.search(rf'name="{FIELD}" value="([0-9a-f]+)"', self.client.get("/").text)
        if found is None:  # no form on the first page
            return token_of(page_secret("not to be guessed"), self.client.cookies[COOKIE], "anna")
        return found[1]

    def post(self, address: str, **fields: Any) -> Any:
        return self.client.post(address, data={FIELD: self.token(), **fields})

    def done(self, answer: Any) -> Work:
        """What became of the work that this answer leads to, when it has ended."""
        assert answer.status_code == 303, answer.text
        return self.ended(answer.headers["location"].partition("?")[0].rpartition("/")[2])

    def ended(self, id_: str) -> Work:
        queue = self.manager.page.queue
        for _ in range(3000):
            work = queue.get(id_)
            assert work is not None
            if work.is_over:
                return work
            time.sleep(0.01)
        raise AssertionError(f"{work} did not end")
