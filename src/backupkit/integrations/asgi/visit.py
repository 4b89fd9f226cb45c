"""`Visit`: one request, let in, with what its handler needs to answer it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Scope

from backupkit.integrations.asgi.access.abilities import Visitor
from backupkit.model import Backup
from backupkit.pipeline import BackupPipeline

if TYPE_CHECKING:
    from backupkit.integrations.asgi.page import Page


def mount_path(scope: Scope) -> str:
    """What the page's own addresses begin with: quoted, and nothing that leads to another host."""
    root = str(scope.get("root_path", "")).strip("/")
    return f"/{quote(root, errors='surrogateescape')}" if root else ""


def path_below(scope: Scope) -> str:
    """The address without what the page is mounted at; empty for that itself."""
    return str(scope["path"]).removeprefix(str(scope.get("root_path", "")).rstrip("/"))


@dataclass(frozen=True, slots=True)
class Visit:
    """`form` are the fields of a POST, each name once; `token` is what its own forms must send back."""

    page: Page
    request: Request
    visitor: Visitor
    form: Mapping[str, Any]
    token: str

    @property
    def base(self) -> str:
        """The path that the page is mounted at, as links write it, without a slash at its end."""
        return mount_path(self.request.scope)

    @property
    def query(self) -> Mapping[str, str]:
        """What follows the question mark, the last of each name."""
        return dict(self.pairs)

    @property
    def pairs(self) -> Sequence[tuple[str, str]]:
        """What follows the question mark, in order; bytes that are no UTF-8 as in paths of entries."""
        raw = self.request.scope["query_string"].decode("ascii", "replace")
        try:
            return parse_qsl(raw, keep_blank_values=True, errors="surrogateescape", max_num_fields=1000)
        except ValueError:
            raise HTTPException(400, "This address says more than this page takes.") from None

    @property
    def asks_for_part(self) -> bool:
        """Whether htmx asks, which replaces a part of the page that is shown."""
        headers = self.request.headers
        # Going back in the browser's history is asked by htmx too, and wants the whole page.
        return headers.get("hx-request") == "true" and headers.get("hx-history-restore-request") != "true"

    def path(self, *parts: str, **query: object) -> str:
        """The address of something on this page: each part is quoted; what is None or empty is left out."""
        said = {name.rstrip("_"): value for name, value in query.items() if value not in (None, "")}
        address = self.base + "/" + "/".join(quote(part, safe="", errors="surrogateescape") for part in parts)
        return f"{address}?{urlencode(said, errors='surrogateescape')}" if said else address

    @property
    def name(self) -> str:
        """The name of the pipeline in the address."""
        return str(self.request.path_params["pipeline"])

    @property
    def pipeline(self) -> BackupPipeline:
        """The pipeline in the address; 404 if there is none."""
        found = self.page.pipelines.get(self.name)
        if found is None:
            raise HTTPException(404, "There is no such pipeline.")
        return found

    def backup(self) -> Backup:
        """The backup in the address, at the destination that `at` names or the first that has it, or 404.

        503 if a destination that may have it does not answer, so that nobody knows.
        """
        at, id_ = self.query.get("at") or self.form.get("at"), self.request.path_params["backup"]
        _ = self.pipeline
        looks = [one for one in self.page.looks.at(self.name) if at in (None, "", one.location)]
        for look in looks:
            for backup in look.overview.backups if look.overview else ():
                if backup.id == id_:
                    return backup
        if silent := [one for one in looks if not one.answers]:
            why = " ".join(one.error or f"{one.location} has not answered." for one in silent)
            raise HTTPException(
                503,
                f"Whether this backup is there is not known now, so try again: {why}",
                {"Retry-After": "10"},
            )
        raise HTTPException(404, "There is no such backup; it may have been deleted.")

    def html(self, template: str, status: int = 200, **values: Any) -> Response:
        """A template, rendered; `visit` stands in it for this."""
        text = self.page.templates.get_template(template).render(visit=self, page=self.page, **values)
        return HTMLResponse(text.encode("utf-8", "replace"), status)

    def go(self, address: str) -> Response:
        """On to another address of this page, by GET."""
        return RedirectResponse(address, 303)
