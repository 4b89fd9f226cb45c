"""Users of a Django site, for `authorize=`: known by their session, where none of Django's middleware has run."""

from __future__ import annotations

from importlib import import_module
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse

from backupkit.integrations.asgi.access.abilities import EVERYTHING, Allowed, Authorize, Visitor
from backupkit.integrations.asgi.access.authorizing import ADMINISTRATORS, Roles, abilities_of


def by_django_user(groups: Roles = ADMINISTRATORS, *, login: str | None = None) -> Authorize:
    """Superusers may do everything, members of these groups what they allow together, others nothing.

    Whoever is not logged in is led to `login`, the address where that is done, if it is given. The site must be
    set up, `django.setup()`, and the page mounted where its session cookie is sent.
    """
    checked = {name: frozenset(Visitor(name, abilities).abilities) for name, abilities in groups.items()}

    def authorize(request: Request) -> Allowed:
        from django.db import close_old_connections

        close_old_connections()  # as Django does around each request of its own
        try:
            visitor = _visitor(request, checked)
        finally:
            close_old_connections()
        if visitor is not None:
            return visitor
        if login is None or request.method != "GET":
            return frozenset()
        asked = request.scope["path"] + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"{login}{'&' if '?' in login else '?'}{urlencode({'next': asked})}", 303)

    return authorize


def _visitor(request: Request, groups: Roles) -> Visitor | None:
    """The user of the session; None if nobody is logged in, or they are not active any more."""
    from django.conf import settings
    from django.contrib.auth import get_user
    from django.http import HttpRequest

    key = request.cookies.get(settings.SESSION_COOKIE_NAME)
    if not key:
        return None
    theirs = HttpRequest()
    theirs.session = session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    # After a change of SECRET_KEY, Django would give it a new key, which only its own middleware tells browsers.
    session.cycle_key = lambda: None
    user = get_user(theirs)
    if not user.is_authenticated or not user.is_active:
        return None
    if getattr(user, "is_superuser", False):
        return Visitor(user.get_username(), EVERYTHING)
    member = getattr(user, "groups", None)
    names = member.values_list("name", flat=True) if member is not None else ()
    return Visitor(user.get_username(), abilities_of(names, groups))
